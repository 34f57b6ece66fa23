//! The five questions and their answers.

use super::machine::Machine;
use super::questions::{Question, Questionnaire};
use super::{ServiceKind, SetupError, SetupOptions};
use crate::accounts::{Password, check_name};
use crate::admin::{ask_password, read_key_file, read_password};
use crate::config::{parse_address, parse_limit, shown};
use crate::sockets::check_bind;
use std::fs::{self, File};
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Component, Path, PathBuf};

/// The port of the default address.
const DEFAULT_PORT: u16 = 2222;

/// Entries that a folder may have before it is set up: those of a server whose settings were lost, and of an empty disk.
const EXPECTED_ENTRIES: [&str; 6] = ["etc", "home", "keys", "log", "lost+found", "run"];

/// The answers. None of them has changed anything.
pub(super) struct SetupAnswers {
    /// The server's folder, absolute.
    pub(super) folder: PathBuf,
    pub(super) listen: Vec<SocketAddr>,
    pub(super) user: String,
    pub(super) credential: UserCredential,
    /// The quota of the user.
    pub(super) quota: String,
    pub(super) service: ServiceKind,
    /// The system account; `None` for the current one.
    pub(super) account: Option<String>,
}

/// How the user logs in.
pub(super) enum UserCredential {
    /// With these keys, as lines of `authorized_keys`.
    Keys(Vec<String>),
    Password(Password),
}

impl SetupAnswers {
    /// Takes the answers from the options, and asks for the others.
    pub(super) fn collect(
        machine: &Machine,
        questions: &mut Questionnaire,
        dir: Option<&Path>,
        listen: &[SocketAddr],
        options: &SetupOptions,
    ) -> Result<SetupAnswers, SetupError> {
        let account = account(machine, options)?;
        let quota = options.quota.clone().unwrap_or_else(|| "unlimited".to_owned());
        parse_limit(&quota)
            .map_err(|error| SetupError::Answer { option: "--quota", why: error.to_string() })?;
        let folder = folder(machine, questions, dir)?;
        let listen = addresses(questions, listen)?;
        let user = user(machine, questions, options)?;
        let credential = credential(machine, questions, options, &user)?;
        let service = service(machine, questions, options)?;
        Ok(SetupAnswers { folder, listen, user, credential, quota, service, account })
    }
}

fn account(machine: &Machine, options: &SetupOptions) -> Result<Option<String>, SetupError> {
    match (&options.account, machine.is_root) {
        (Some(_), false) => {
            let why = "only root can run the server as another account".to_owned();
            Err(SetupError::Answer { option: "--account", why })
        }
        (None, false) => Ok(None),
        (given, true) => {
            let name = given.clone().unwrap_or_else(|| "sshome".to_owned());
            check_name(&name).map_err(|why| SetupError::Answer { option: "--account", why })?;
            Ok(Some(name))
        }
    }
}

fn folder(
    machine: &Machine,
    questions: &mut Questionnaire,
    given: Option<&Path>,
) -> Result<PathBuf, SetupError> {
    if let Some(folder) = given {
        return fresh(folder).map_err(|why| SetupError::Answer { option: "--dir", why });
    }
    let default = machine.folder().map(|folder| shown(&folder).to_string());
    let text = "1/5 Folder for settings, keys and homes";
    questions.ask(&Question { text, option: "--dir", default }, |answer| fresh(&machine.path(answer)))
}

/// The absolute path of a folder that can be set up, or why it cannot.
fn fresh(folder: &Path) -> Result<PathBuf, String> {
    let folder = std::path::absolute(folder).map_err(|error| error.to_string())?;
    // As far as it exists, without symbolic links.
    let folder = folder.ancestors().find_map(|above| {
        let below = folder.strip_prefix(above).ok()?;
        fs::canonicalize(above).ok().map(|real| real.join(below).components().collect::<PathBuf>())
    });
    let folder = folder.filter(|folder| !folder.components().any(|part| part == Component::ParentDir));
    let folder = folder.ok_or("is not a path")?;
    let settings = folder.join("etc/users.toml");
    if fs::symlink_metadata(&settings).is_ok() {
        return Err(format!(
            "{} exists: the server is set up. `sshomed --dir {} user add NAME` adds users",
            shown(&settings),
            shown(&folder)
        ));
    }
    let entries = match fs::read_dir(&folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(folder),
        entries => entries.map_err(|error| format!("{}: {error}", shown(&folder)))?,
    };
    let foreign = entries
        .flatten()
        .map(|entry| entry.file_name())
        .find(|name| !EXPECTED_ENTRIES.iter().any(|expected| name == expected));
    match foreign {
        None => Ok(folder),
        Some(name) => {
            let name = folder.join(name);
            Err(format!("{} exists: choose a new or empty folder", shown(&name)))
        }
    }
}

fn addresses(questions: &mut Questionnaire, given: &[SocketAddr]) -> Result<Vec<SocketAddr>, SetupError> {
    if !given.is_empty() {
        let refused = |error| SetupError::Answer { option: "--listen", why: error };
        given.iter().try_for_each(|address| free(*address).map(drop)).map_err(refused)?;
        return Ok(given.to_vec());
    }
    let everywhere = SocketAddr::from((Ipv6Addr::UNSPECIFIED, DEFAULT_PORT));
    // An IPv6 socket takes IPv4 connections as well.
    let has_ipv6 = check_bind(SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0))).is_ok();
    let default = if has_ipv6 { everywhere } else { SocketAddr::from((Ipv4Addr::UNSPECIFIED, DEFAULT_PORT)) };
    let text = "2/5 Address and port; 127.0.0.1:2222 is this machine only";
    let question = Question { text, option: "--listen", default: Some(default.to_string()) };
    Ok(vec![questions.ask(&question, |answer| parse_address(answer).and_then(free))?])
}

/// The address, if the server can listen on it.
fn free(address: SocketAddr) -> Result<SocketAddr, String> {
    if address.port() == 0 {
        return Err(format!("{address} has no port: clients need one that stays the same, such as 2222"));
    }
    check_bind(address).map(|()| address).map_err(|error| error.to_string())
}

fn user(
    machine: &Machine,
    questions: &mut Questionnaire,
    options: &SetupOptions,
) -> Result<String, SetupError> {
    let accept = |name: &str| check_name(name).map(|()| name.to_owned());
    if let Some(name) = &options.user {
        return accept(name).map_err(|why| SetupError::Answer { option: "--user", why });
    }
    let default = machine.user().map(str::to_owned);
    questions.ask(&Question { text: "3/5 Name of the first user", option: "--user", default }, accept)
}

fn credential(
    machine: &Machine,
    questions: &mut Questionnaire,
    options: &SetupOptions,
    user: &str,
) -> Result<UserCredential, SetupError> {
    if options.password_stdin {
        return Ok(UserCredential::Password(read_password(io::stdin())?));
    }
    if let Some(file) = &options.password_file {
        let read = File::open(file);
        let why = |error: io::Error| format!("{}: {error}", shown(file));
        let read = read.map_err(|error| SetupError::Answer { option: "--password-file", why: why(error) })?;
        return Ok(UserCredential::Password(read_password(read)?));
    }
    let mut lines = Vec::new();
    for file in &options.keys {
        lines.extend(read_key_file(file)?.into_iter().map(|(line, _)| line));
    }
    if !lines.is_empty() {
        return Ok(UserCredential::Keys(lines));
    }
    let key = machine.key().map(|key| shown(&key).to_string());
    let default = key.or_else(|| questions.asks().then(|| "password".to_owned()));
    let text = format!("4/5 Public key file of {user}, or \"password\"");
    let question = Question { text: &text, option: "--key or --password-file", default };
    let keys = questions.ask(&question, |answer| match answer {
        "password" => Ok(None),
        file => {
            let keys = read_key_file(&machine.path(file)).map_err(|error| error.to_string())?;
            Ok(Some(keys.into_iter().map(|(line, _)| line).collect()))
        }
    })?;
    match keys {
        Some(keys) => Ok(UserCredential::Keys(keys)),
        None => password(questions, user),
    }
}

/// Asks for a password until one is accepted.
fn password(questions: &Questionnaire, user: &str) -> Result<UserCredential, SetupError> {
    use crate::admin::AdminError;
    loop {
        match ask_password(user) {
            Err(error @ (AdminError::ShortPassword | AdminError::PasswordsDiffer)) => {
                questions.tell(&error.to_string());
            }
            password => return Ok(UserCredential::Password(password?)),
        }
    }
}

fn service(
    machine: &Machine,
    questions: &mut Questionnaire,
    options: &SetupOptions,
) -> Result<ServiceKind, SetupError> {
    if let Some(kind) = options.service {
        if kind == ServiceKind::Systemd && !machine.has_systemd {
            let why = format!("{}: choose background or none", no_systemd(machine));
            return Err(SetupError::Answer { option: "--service", why });
        }
        return Ok(kind);
    }
    let (text, default, yes) = match machine.has_systemd {
        true => ("5/5 Start the server with systemd, now and at each boot", "yes", ServiceKind::Systemd),
        false => {
            questions.tell(no_systemd(machine));
            (
                "5/5 Start the server now, in the background, until the next boot",
                "no",
                ServiceKind::Background,
            )
        }
    };
    let question = Question { text, option: "--service", default: Some(default.to_owned()) };
    questions.ask(&question, |answer| match answer {
        "yes" | "y" => Ok(yes),
        "no" | "n" => Ok(ServiceKind::None),
        _ => Err("answer yes or no".to_owned()),
    })
}

fn no_systemd(machine: &Machine) -> &'static str {
    match machine.is_root {
        true => "systemd does not run on this machine",
        false => "systemd runs no units for this account",
    }
}
