//! `sshomed`: the server, and the administrator's commands.

use anyhow::Context;
use clap::Parser;
use sshomed::accounts::Password;
use sshomed::admin::{self, Admin, AdminError, NewUser, UserSettings};
use sshomed::cli::{AdminCommand, HomeCommand, KeyCommand, QuotaCommand, ServerCli, ShareArgs, UserCommand};
use sshomed::config;
use sshomed::control::{self, ClientError, ControlRequest, ControlResponse};
use sshomed::invocation::{self, Role};
use sshomed::share::FolderShare;
use std::io::{self, ErrorKind, Write};
use std::net::SocketAddr;
use std::process::ExitCode;

/// Measured: 25 to 40 % more throughput than the system's allocator.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    match run(&ServerCli::parse().checked()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Ignored: if standard error is closed, nobody reads the message.
            let _ = writeln!(io::stderr(), "{error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(cli: &ServerCli) -> anyhow::Result<()> {
    invocation::begin(match cli.command {
        None | Some(AdminCommand::Serve(_) | AdminCommand::Share(_)) => Role::Start,
        Some(AdminCommand::Check(_)) => Role::Check,
        Some(_) => Role::Command,
    });
    match &cli.command {
        None => serve(cli, &cli.listen.addresses),
        Some(AdminCommand::Serve(listen)) => {
            serve(cli, &[&cli.listen.addresses[..], &listen.addresses].concat())
        }
        Some(AdminCommand::Check(listen)) => {
            check(cli, &[&cli.listen.addresses[..], &listen.addresses].concat())
        }
        Some(AdminCommand::User(command)) => {
            // The command may handle a password.
            sshomed::confine::no_core_dumps()?;
            let admin = Admin::open(cli.dir(), cli.config.as_deref())?;
            let (text, changed) = user(&admin, command)?;
            print(&text)?;
            changed.map_or(Ok(()), |user| apply(cli, user))
        }
        Some(AdminCommand::Status { json }) => ask(cli, &ControlRequest::Status, *json),
        Some(AdminCommand::Kick { who, lock: false }) => {
            ask(cli, &ControlRequest::Kick { who: who.clone() }, false)
        }
        Some(AdminCommand::Kick { who, lock: true }) => lock_out(cli, who),
        Some(AdminCommand::Quota(QuotaCommand::Scan { user, json })) => {
            ask(cli, &ControlRequest::QuotaScan { user: user.clone() }, *json)
        }
        Some(AdminCommand::Home(HomeCommand::Reopen { user })) => {
            ask(cli, &ControlRequest::HomeReopen { user: user.clone() }, false)
        }
        Some(AdminCommand::Penalties { json }) => match answer(cli, &ControlRequest::Status)? {
            ControlResponse::Status(status) => print(&control::shown_penalties(&status, *json)?),
            _ => anyhow::bail!("the server sent an unexpected answer"),
        },
        Some(AdminCommand::Forgive { address }) => {
            ask(cli, &ControlRequest::Forgive { source: address.clone() }, false)
        }
        Some(AdminCommand::Reload) => ask(cli, &ControlRequest::Reload, false),
        Some(AdminCommand::Setup { options, listen }) => {
            // The command may handle a password.
            sshomed::confine::no_core_dumps()?;
            print(&sshomed::setup::setup(cli.given_dir(), &listen.addresses, options)?)
        }
        Some(AdminCommand::Share(share)) => {
            let ShareArgs { folder, write, time_limit, listen } = share;
            let (folder, listen) = (folder.clone(), listen.addresses.clone());
            Ok(FolderShare { folder, listen, writable: *write, time_limit: *time_limit }.run()?)
        }
    }
}

/// Asks the running server, and prints its answer.
fn ask(cli: &ServerCli, request: &ControlRequest, json: bool) -> anyhow::Result<()> {
    let answer = answer(cli, request)?;
    print(&control::response_text(&answer, json)?)?;
    anyhow::ensure!(!control::is_incomplete(&answer), "not all homes could be compared");
    Ok(())
}

fn answer(cli: &ServerCli, request: &ControlRequest) -> anyhow::Result<ControlResponse> {
    Ok(control::ask_any(&config::control_sockets(cli.dir(), cli.config.as_deref())?, request)?)
}

/// Makes the running server, if there is one, apply a user's changed settings. Fails if they are not applied.
fn apply(cli: &ServerCli, user: &str) -> anyhow::Result<()> {
    let answer = match answer(cli, &ControlRequest::Apply { user: user.to_owned() }) {
        Ok(answer) => answer,
        Err(error) => match error.downcast_ref() {
            Some(ClientError::NoServer(_)) => {
                let dir = std::path::absolute(cli.dir()).unwrap_or_else(|_| cli.dir().to_owned());
                return print(&format!("(no server is running in {})\n", dir.display()));
            }
            Some(ClientError::Off) => {
                return print(
                    "control-socket is \"off\": a server that is running notices the change by itself\n",
                );
            }
            _ => {
                let text =
                    "the file was changed, but it is not known whether the running server applied the change";
                return Err(error.context(text));
            }
        },
    };
    let text = control::response_text(&answer, false)?;
    // The reason of a failure goes to standard error, with the failure.
    anyhow::ensure!(!control::is_incomplete(&answer), "{}", text.trim_end());
    print(&text)
}

/// Disables a user, and ends all of the user's sessions.
fn lock_out(cli: &ServerCli, who: &str) -> anyhow::Result<()> {
    let user = match who.parse::<u64>() {
        Ok(number) => match answer(cli, &ControlRequest::Status)? {
            ControlResponse::Status(status) => {
                status.sessions.into_iter().find(|session| session.session == number)
            }
            _ => None,
        },
        Err(_) => None,
    };
    let user = user.map(|session| session.user);
    let user = user.as_deref().unwrap_or(who);
    let locked = Admin::open(cli.dir(), cli.config.as_deref())
        .and_then(|admin| admin.set(user, &UserSettings::enabled(false)));
    match locked {
        Ok(text) => {
            print(&text)?;
            // This also ends the user's sessions.
            apply(cli, user)
        }
        Err(error) => {
            let kicked = ask(cli, &ControlRequest::Kick { who: user.to_owned() }, false);
            let kicked = kicked.err().map(|error| format!("\n{error:#}")).unwrap_or_default();
            anyhow::bail!(
                "{} was NOT locked and can log in again: {error}{kicked}",
                sshome_wire::display::Escaped(user.as_bytes())
            )
        }
    }
}

fn serve(cli: &ServerCli, listen: &[SocketAddr]) -> anyhow::Result<()> {
    let config = config::load(cli.dir(), cli.config.as_deref(), listen)?;
    Ok(sshomed::server::run(config)?)
}

fn check(cli: &ServerCli, listen: &[SocketAddr]) -> anyhow::Result<()> {
    let check = admin::check(cli.dir(), cli.config.as_deref(), listen)?;
    let warnings = check.warnings.iter().map(|warning| format!("warning: {warning}\n")).collect::<String>();
    let start = admin::examine_start(cli.dir(), cli.config.as_deref(), listen)?;
    let notes = start.notes.iter().map(|note| format!("note: {note}\n")).collect::<String>();
    let gap = if warnings.is_empty() && notes.is_empty() { "" } else { "\n" };
    print(&(check.report + gap + &warnings + &notes))?;
    anyhow::ensure!(
        start.problems.is_empty(),
        "this would not work:\n{}",
        start.problems.iter().map(|problem| format!("error: {problem}")).collect::<Vec<_>>().join("\n")
    );
    Ok(())
}

/// Executes the command. Also returns the user whose settings were changed, if any were.
fn user<'a>(admin: &Admin, command: &'a UserCommand) -> Result<(String, Option<&'a str>), AdminError> {
    let (text, changed) = match command {
        UserCommand::Add { name, password_stdin, keys, quota } => {
            let password = if *password_stdin { Some(admin::read_password(io::stdin())?) } else { None };
            (admin.add(name, &NewUser { password, keys: keys.clone(), quota: quota.clone() })?, name)
        }
        UserCommand::Remove { name } => (admin.remove(name)?, name),
        UserCommand::List { json: false } => return Ok((admin.list()?, None)),
        UserCommand::List { json: true } => return Ok((admin.list_json()?, None)),
        UserCommand::Set { name, settings } => (admin.set(name, settings)?, name),
        UserCommand::Disable { name } => (admin.set(name, &UserSettings::enabled(false))?, name),
        UserCommand::Enable { name } => (admin.set(name, &UserSettings::enabled(true))?, name),
        UserCommand::Passwd { name, password_stdin } => {
            (admin.passwd(name, || new_password(name, *password_stdin))?, name)
        }
        UserCommand::Key { name, command } => match command {
            KeyCommand::Add { file, settings } => (admin.add_key(name, file, settings)?, name),
            KeyCommand::List => return Ok((admin.list_keys(name)?, None)),
            KeyCommand::Remove { key } => (admin.remove_key(name, key)?, name),
        },
        UserCommand::Quota { name, size } => {
            let settings = UserSettings { quota: Some(size.clone()), ..UserSettings::default() };
            (admin.set(name, &settings)?, name)
        }
    };
    Ok((text, Some(changed.as_str())))
}

fn new_password(user: &str, from_stdin: bool) -> Result<Password, AdminError> {
    if from_stdin { admin::read_password(io::stdin()) } else { admin::ask_password(user) }
}

/// Writes to standard output. A closed pipe is not a failure.
fn print(text: &str) -> anyhow::Result<()> {
    match io::stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(error).context("standard output"),
        _ => Ok(()),
    }
}
