//! The settings file `etc/users.toml`: parsed and validated as a whole into a [`Config`].
//!
//! All mistakes are reported at once, each with its line and the remedy, and the server does not start.

mod address;
mod diagnostics;
mod encoding;
mod host_keys;
mod keys;
mod limits;
mod location;
mod log;
pub(crate) mod modes;
mod options;
mod roots;
mod section;
mod server;
mod settings;
mod share;
mod size;
mod users;
mod value;

pub use address::parse_address;
pub use diagnostics::{ConfigError, Diagnostic};
pub use log::{LogFormat, LogSettings};
pub use options::{Algorithms, Confine, Kex};
pub use settings::{SETTING_TABLES, Setting, SettingKind};
pub use size::{SizeError, parse_limit};

pub(crate) use location::ConfigLocation;
pub(crate) use sshome_store::shown;
pub(crate) use users::authorized_keys;

use crate::accounts::Account;
use crate::limits::ConnectionLimits;
use diagnostics::Diagnostics;
use section::Section;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use toml::de::DeTable;

/// The validated settings. Paths are absolute.
#[derive(Clone, Debug)]
pub struct Config {
    /// The server's folder. Relative paths in the file start here.
    pub dir: PathBuf,
    /// The settings file.
    pub file: PathBuf,
    /// The addresses to listen on. Port 0 selects a free port.
    pub listen: Vec<SocketAddr>,
    /// The host keys. They may not exist yet; those that do are of a type that `algorithms` allows, unencrypted and
    /// private, as far as this process may look at them.
    pub host_keys: Vec<PathBuf>,
    /// The parent folder of homes without an explicit root.
    pub homes: PathBuf,
    /// The files with users' keys.
    pub key_files: Vec<PathBuf>,
    /// The system account to run as. `None` keeps the account that started the server.
    pub account: Option<String>,
    /// The sandbox.
    pub confine: Confine,
    /// Which key exchanges are offered.
    pub kex: Kex,
    /// Whether algorithms for older clients are offered.
    pub algorithms: Algorithms,
    /// The grace period for running transfers at shutdown.
    pub shutdown_grace: Duration,
    /// How long partial uploads are kept.
    pub part_expiry: Duration,
    /// How long interrupted streams are kept.
    pub stream_expiry: Duration,
    /// The control socket. `None` if it is off.
    pub control_socket: Option<PathBuf>,
    /// The loopback address for Prometheus. `None` if it is off.
    pub metrics: Option<SocketAddr>,
    /// The settings of the log.
    pub log: LogSettings,
    /// Connection limits.
    pub limits: ConnectionLimits,
    /// The digest of the text.
    text: blake3::Hash,
    /// The file as the administrator named it, and the addresses that override those in the file.
    origin: (PathBuf, Vec<SocketAddr>),
    /// The users by name, without installed keys. Their roots do not overlap.
    pub accounts: Vec<Arc<Account>>,
}

/// Loads the configuration of the folder `dir`: `file`, or `etc/users.toml` in the folder.
/// Addresses in `listen_override` replace those in the file, if there are any.
///
/// # Errors
/// If the file cannot be read, or there are mistakes in it: all of them at once.
pub fn load(dir: &Path, file: Option<&Path>, listen_override: &[SocketAddr]) -> Result<Config, ConfigError> {
    let location = ConfigLocation::new(dir, file)?;
    let text = location.read()?;
    let (config, mut mistakes) = parse(&location, &text, listen_override);
    mistakes.extend(modes::mistake(&location));
    if mistakes.is_empty() { Ok(config) } else { Err(ConfigError::mistakes(&location, mistakes)) }
}

impl Config {
    /// Loads the same file again, in the same way.
    ///
    /// # Errors
    /// As [`load`].
    pub fn load_again(&self) -> Result<Config, ConfigError> {
        let (file, listen) = &self.origin;
        load(&self.dir, Some(file), listen)
    }

    /// Reads the same file again. Also returns its mistakes. If there are any, the configuration is incomplete and must not
    /// be used to serve.
    ///
    /// # Errors
    /// If the file cannot be read.
    pub(crate) fn read_again(&self) -> Result<(Config, Vec<Diagnostic>), ConfigError> {
        let (file, listen) = &self.origin;
        let location = ConfigLocation::new(&self.dir, Some(file))?;
        let (config, mut mistakes) = parse(&location, &location.read()?, listen);
        mistakes.extend(modes::mistake(&location));
        Ok((config, mistakes))
    }

    /// The error for mistakes in the file.
    pub(crate) fn mistaken(&self, mistakes: Vec<Diagnostic>) -> ConfigError {
        ConfigError::Invalid { file: self.origin.0.clone(), mistakes }
    }

    /// The directories to watch for changes: that of the file, and those of symbolic links on the way to it.
    pub(crate) fn settings_folders(&self) -> Vec<PathBuf> {
        location::deciding_folders(&self.origin.0)
    }

    /// The digest of the file as it was read.
    #[must_use]
    pub fn text_digest(&self) -> blake3::Hash {
        self.text
    }

    /// The current digest of the file, to detect a change.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn digest(&self) -> Result<blake3::Hash, ConfigError> {
        Ok(blake3::hash(ConfigLocation::new(&self.dir, Some(&self.origin.0))?.read()?.as_bytes()))
    }
}

/// The possible paths of the control socket: the one in the file, and the default. The running server may have started
/// before the file was changed. Empty if the socket is off.
///
/// # Errors
/// If the file cannot be read.
pub fn control_sockets(dir: &Path, file: Option<&Path>) -> Result<Vec<PathBuf>, ConfigError> {
    let usual = dir.join(server::CONTROL_SOCKET);
    let read = ConfigLocation::new(dir, file).and_then(|location| Ok((location.read()?, location)));
    let (text, location) = match read {
        // The user may want to ask the server about the unreadable file. A permission problem with the socket is
        // reported when it is used.
        Err(_) if !matches!(usual.try_exists(), Ok(false)) => return Ok(vec![usual]),
        read => read?,
    };
    let (config, _) = parse(&location, &text, &[]);
    let usual = location.path(server::CONTROL_SOCKET);
    Ok(match config.control_socket {
        None if !usual.exists() => Vec::new(),
        Some(socket) if socket != usual => vec![socket, usual],
        _ => vec![usual],
    })
}

/// Parses a text. If there are mistakes, the configuration is incomplete: use it for messages only, never to serve.
pub(crate) fn parse(
    location: &ConfigLocation,
    text: &str,
    listen_override: &[SocketAddr],
) -> (Config, Vec<Diagnostic>) {
    let mut mistakes = Diagnostics::new(text);
    let (document, errors) = DeTable::parse_recoverable(text);
    // After a syntax error, further mistakes would be misleading.
    let empty = DeTable::new();
    let table = if errors.is_empty() { document.get_ref() } else { &empty };
    for error in errors {
        match error.span().and_then(|span| users::second_table(text, span)) {
            Some((key, message)) => mistakes.add(error.span(), &key, message),
            None => mistakes.add(error.span(), "", error.message().to_owned()),
        }
    }
    mistakes.keep_one_a_line();

    let top = Section::top(table);
    top.only(&["server", "defaults", "users"], &mut mistakes);
    let server = server::read(&top, location, listen_override, &mut mistakes);
    let users = users::read(&top, location, &server.homes, &mut mistakes);
    let own = server.log.file.iter().chain(&server.control_socket);
    let own: Vec<&Path> = server.host_keys.iter().chain(own).map(PathBuf::as_path).collect();
    roots::check(&users, location, &own, &mut mistakes);
    check_demo(&users, &server.listen, &mut mistakes);

    let key_files = users.iter().flat_map(|user| &user.key_files).cloned().collect();
    let config = Config {
        dir: location.dir.clone(),
        file: location.file.clone(),
        listen: server.listen,
        host_keys: server.host_keys,
        homes: server.homes,
        key_files,
        account: server.account,
        confine: server.confine,
        kex: server.kex,
        algorithms: server.algorithms,
        shutdown_grace: server.shutdown_grace,
        part_expiry: server.part_expiry,
        stream_expiry: server.stream_expiry,
        control_socket: server.control_socket,
        metrics: server.metrics,
        log: server.log,
        limits: server.limits,
        text: blake3::hash(text.as_bytes()),
        origin: (location.shown.clone(), listen_override.to_vec()),
        accounts: users.into_iter().map(|user| Arc::new(user.account)).collect(),
    };
    (config, mistakes.into_sorted())
}

/// Refuses demo passwords, which are published, if other machines can reach the server.
fn check_demo(users: &[users::UserSection], listen: &[SocketAddr], mistakes: &mut Diagnostics) {
    let Some(open) = listen.iter().find(|address| !address.ip().to_canonical().is_loopback()) else { return };
    for user in users.iter().filter(|user| user.account.has_demo_password()) {
        let name = &user.account.name;
        mistakes.add(
            user.demo.clone(),
            &format!("users.{name}.demo"),
            format!(
                "{name} has a demo password, which is public, and {open} can be reached from other machines: \
                 set a password with `sshomed user passwd {name}`, which removes the mark, or listen on 127.0.0.1 only"
            ),
        );
    }
}

#[cfg(test)]
mod tests;
