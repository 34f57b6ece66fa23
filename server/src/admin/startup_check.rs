//! Checks whether a server would start, without starting one.

use crate::config::{self, Config, ConfigError, shown};
use crate::confine::{self, ConfineError};
use crate::control::{self, ControlRequest, ControlResponse, StatusReport};
use crate::host_key::read as read_host_key;
use crate::sockets;
use rustix::process::{Resource, getrlimit};
use sshome_store::{HomeSettings, entries};
use sshome_store_posix::{check_system, examine_folder, examine_home};
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::path::Path;

/// The descriptors of a server without connections, besides its homes: runtime, sockets, log.
const OWN_DESCRIPTORS: u64 = 64;

/// The descriptors of a served home: its top, and until it is counted a second handle and one for the walk.
const HOME_DESCRIPTORS: u64 = 3;

/// Fewer spare descriptors than this give a note: one session that uploads many small files may hold several hundred.
const MIN_SPARE_DESCRIPTORS: u64 = 4096;

/// The result of the check.
#[derive(Debug, Default)]
pub struct StartupCheck {
    /// Problems that prevent the start or lock out a user.
    pub problems: Vec<String>,
    /// Hints for the administrator.
    pub notes: Vec<String>,
}

/// Checks the requirements of a start with these settings. Changes only this process: started as root with an account in
/// the settings, it becomes that account as the server would.
///
/// # Errors
/// If the settings cannot be read, or there are mistakes in them.
pub fn examine_start(
    dir: &Path,
    file: Option<&Path>,
    listen_override: &[SocketAddr],
) -> Result<StartupCheck, ConfigError> {
    let config = config::load(dir, file, listen_override)?;
    let mut start = StartupCheck::default();
    if let Some(problem) = confine::examine_account(&config) {
        start.problems.push(problem);
        return Ok(start);
    }
    let running = running(dir, file);
    if let Some(server) = &running {
        start.notes.push(format!(
            "another sshomed runs in this folder, process {}: its ports were not tried.",
            server.pid
        ));
    }
    let held = |server: &StatusReport| server.listen.iter().chain(&server.metrics).cloned().collect();
    let held: Vec<String> = running.as_ref().map(held).unwrap_or_default();
    start.problems.extend(sockets::examine(&config, &held).iter().map(ToString::to_string));
    let host_keys: Vec<String> = config.host_keys.iter().filter_map(|key| host_key(key)).collect();
    descriptors(&config, &mut start);
    // From here on, this process runs as the account.
    let refused = confine::examine(&config);
    let names_all = refused.iter().any(|error| matches!(error, ConfineError::NotTheirs { .. }));
    start.problems.extend(refused.iter().map(ToString::to_string));
    if names_all {
        // Further failures would only follow from these files.
        return Ok(start);
    }
    start.problems.extend(check_system().err().map(|error| error.to_string()));
    start.problems.extend(host_keys);
    let socket = config.control_socket.as_deref().filter(|socket| socket.parent().is_some_and(Path::exists));
    start
        .problems
        .extend(socket.and_then(|socket| control::examine(socket).err()).map(|error| error.to_string()));
    start.problems.extend(
        config
            .log
            .file
            .as_deref()
            .filter(|file| file.is_dir())
            .map(|file| format!("the log {} is a directory: server.log.file names a file", shown(file))),
    );
    for account in config.accounts.iter().filter(|account| account.enabled) {
        let problem = |why| format!("{}, the home of {}: {why}", shown(&account.root), account.name);
        let served = running.as_ref().and_then(|server| served_badly(server, &account.name));
        let home = HomeSettings::from(&**account);
        start.problems.extend(served.or_else(|| examine_home(&home).map(problem)));
        for key in &account.keys {
            let why = key.folder().and_then(|folder| examine_folder(&home, folder));
            let refused = |why| {
                format!("a key of {}, {}: {why}: its logins are refused.", account.name, key.fingerprint())
            };
            start.notes.extend(why.map(refused));
        }
    }
    Ok(start)
}

/// The running server's problem with a home, if it has one. It may run as a different account, and only it knows which
/// directory it opened.
fn served_badly(server: &StatusReport, user: &str) -> Option<String> {
    if let Some(home) = server.unavailable.iter().find(|home| home.user == user) {
        return Some(format!(
            "{}, the home of {user}, as seen by the running server: {}",
            home.root, home.why
        ));
    }
    let home = server.homes.iter().find(|home| home.user == user)?;
    let found = home.unreadable.as_ref().or(home.closed.as_ref())?;
    let named = found.first.iter().map(|entry| format!("\n  {}: {}", entry.path, entry.why));
    let (count, named) = (entries(found.count), named.collect::<String>());
    Some(format!("the running server cannot read all of the home of {user}, {count}:{named}"))
}

/// The server that runs in the folder, if one answers.
fn running(dir: &Path, file: Option<&Path>) -> Option<StatusReport> {
    let sockets = config::control_sockets(dir, file).ok()?;
    match control::ask_any(&sockets, &ControlRequest::Status).ok()? {
        ControlResponse::Status(status) => Some(status),
        _ => None,
    }
}

/// The problem with a host key, as seen by this process.
fn host_key(path: &Path) -> Option<String> {
    match read_host_key(path) {
        Err(russh::keys::Error::IO(error)) if error.kind() != ErrorKind::NotFound => {
            Some(format!("the host key {}: {}", shown(path), crate::permission::CannotRead(path, &error)))
        }
        _ => None,
    }
}

fn descriptors(config: &Config, start: &mut StartupCheck) {
    let homes = config.accounts.iter().filter(|account| account.enabled).count() as u64;
    let needed = OWN_DESCRIPTORS + homes * HOME_DESCRIPTORS;
    let Some(limit) = getrlimit(Resource::Nofile).maximum else { return };
    let hint = "raise it: LimitNOFILE= in the unit, or ulimit -Hn";
    if limit < needed {
        start.problems.push(format!(
            "the limit of descriptors is {limit}, and {needed} are open before anybody connects: {hint}"
        ));
    } else if limit < needed + MIN_SPARE_DESCRIPTORS {
        start
            .notes
            .push(format!("the limit of descriptors is {limit}, which a few busy sessions use up: {hint}."));
    }
}
