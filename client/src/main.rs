//! sshome: files on a server that runs sshomed.

use clap::Parser;
use sshome::cli::Cli;
use sshome::exit::Exit;
use sshome::shell::command::{self, Invocation};
use sshome::shell::words::Word;
use sshome::shell::{self, Shell, ShellError};
use sshome::ssh::{self, Environment, Settings};
use sshome::{names, tell::tell};
use sshome_wire::display::Escaped;
use std::io::IsTerminal;
use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            let exit = if error.use_stderr() { Exit::Usage } else { Exit::Ok };
            // Where the text cannot be written, the exit code is all that is left to say.
            let _ = error.print();
            return exit.into();
        }
    };
    // One thread carries a connection; more only make it wait for itself.
    match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => {
            let exit = runtime.block_on(run(&cli));
            // A thread may still be waiting for standard input.
            runtime.shutdown_background();
            exit.into()
        }
        Err(error) => {
            tell(format_args!("cannot start: {error}"));
            Exit::Failed.into()
        }
    }
}

async fn run(cli: &Cli) -> Exit {
    let invocation = match parse(cli) {
        Ok(invocation) => invocation,
        Err(error) => {
            error.tell();
            return error.exit();
        }
    };
    let settings = match Settings::resolve(cli, &Environment::current()) {
        Ok(settings) => settings,
        Err(error) => {
            tell(error);
            return Exit::Usage;
        }
    };
    let (connection, conversation) = match ssh::connect(&settings).await {
        Ok(connected) => connected,
        Err(error) => {
            tell(&error);
            return error.exit();
        }
    };
    let exit = match Shell::new(conversation, cli.quiet) {
        Ok(shell) => {
            let mut shell = shell.over(connection);
            let exit = work(&mut shell, invocation.as_ref(), cli, &settings).await;
            shell.close().await;
            exit
        }
        Err(error) => Err(error),
    };
    match exit {
        Ok(()) => Exit::Ok,
        Err(error) => {
            error.tell();
            error.exit()
        }
    }
}

/// The command of the arguments; none if there is none. A mistake is found before anybody logs in.
fn parse(cli: &Cli) -> Result<Option<Invocation>, ShellError> {
    let words: Vec<Word> = cli.command.iter().map(|word| Word::plain(&names::bytes(word))).collect();
    Ok(command::parse(&words)?)
}

async fn work(
    shell: &mut Shell,
    invocation: Option<&Invocation>,
    cli: &Cli,
    settings: &Settings,
) -> Result<(), ShellError> {
    if let Some(invocation) = invocation {
        return shell.argument(invocation).await.map(drop);
    }
    if std::io::stdin().is_terminal() && std::io::stdout().is_terminal() {
        let (user, host) = (Escaped(settings.user.as_bytes()), Escaped(cli.destination.host.as_bytes()));
        return shell::interactive(shell, &format!("{user}@{host}")).await;
    }
    shell::batch(shell).await
}
