//! `etc/users.toml`: read, checked as a whole, and turned into a [`Config`] that cannot be wrong.
//!
//! Nothing is found out later: whatever the file gets wrong is told at once, each mistake with its
//! line and with what would be right, and the server does not start.

mod diagnostics;
mod encoding;
mod host_keys;
mod limits;
mod location;
mod log;
pub(crate) mod modes;
mod options;
mod roots;
mod section;
mod server;
mod size;
mod users;
mod value;

pub use diagnostics::{ConfigError, Diagnostic};
pub use log::{LogFormat, LogSettings};
pub use options::{Algorithms, Confine, Kex};
pub use size::{SizeError, parse_limit};

pub(crate) use crate::display::shown;
pub(crate) use location::ConfigLocation;
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

/// Everything that the server was told. Paths are absolute.
#[derive(Clone, Debug)]
pub struct Config {
    /// The folder that the server works in: relative paths in the file start here.
    pub dir: PathBuf,
    /// The file that all of this stands in.
    pub file: PathBuf,
    /// Where to listen; port 0 stands for any free one.
    pub listen: Vec<SocketAddr>,
    /// The host keys. They may not exist yet; those that do are of a type that `algorithms` allows, unencrypted and
    /// private, as far as this process may look at them.
    pub host_keys: Vec<PathBuf>,
    /// The folder of the homes whose users say nothing else.
    pub homes: PathBuf,
    /// The files that keys of users are read from.
    pub key_files: Vec<PathBuf>,
    /// The account of this machine that the server is to run as; none if it stays what it was started as.
    pub account: Option<String>,
    /// What the server takes from itself before it serves.
    pub confine: Confine,
    /// Which key exchanges are offered.
    pub kex: Kex,
    /// Whether older clients can connect as well.
    pub algorithms: Algorithms,
    /// How long transfers under way may take once the server is told to end.
    pub shutdown_grace: Duration,
    /// How long what is left of a cut upload is kept.
    pub part_expiry: Duration,
    /// How long what is left of a stream waits for its client to come back.
    pub stream_expiry: Duration,
    /// The socket at which the server is asked what it does; none if it cannot be.
    pub control_socket: Option<PathBuf>,
    /// Where Prometheus asks, on this machine; none if it does not.
    pub metrics: Option<SocketAddr>,
    /// What is written down, and where to.
    pub log: LogSettings,
    /// Who may connect, how often, and for how long nothing may happen.
    pub limits: ConnectionLimits,
    /// The digest of the text that it was read from.
    text: blake3::Hash,
    /// Where it was loaded from, as the administrator would say it, and what stood in place of its addresses.
    origin: (PathBuf, Vec<SocketAddr>),
    /// The users, by name, without the keys that they have installed. Their roots do not overlap.
    pub accounts: Vec<Arc<Account>>,
}

/// Loads the configuration of the folder `dir`: `file`, or `etc/users.toml` in the folder.
/// Addresses in `listen_override`, if any, stand in place of the file's.
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

    /// Reads the same file again. Returns also what is wrong with it: then the configuration is what could be
    /// understood, and not to be served.
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

    /// The directories whose entries decide which file holds the settings: its own, and those of symbolic links
    /// on the way to it, as the administrator named it.
    pub(crate) fn settings_folders(&self) -> Vec<PathBuf> {
        location::deciding_folders(&self.origin.0)
    }

    /// The digest of the file as it was read.
    #[must_use]
    pub fn text_digest(&self) -> blake3::Hash {
        self.text
    }

    /// The digest of the file as it is now, by which a change of it is noticed.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn digest(&self) -> Result<blake3::Hash, ConfigError> {
        Ok(blake3::hash(ConfigLocation::new(&self.dir, Some(&self.origin.0))?.read()?.as_bytes()))
    }
}

/// Where the control socket of the folder's server may be: as the file says, and where it is if it says nothing.
/// The server that is running may have been started before the file was changed, or mistakes were made in it.
/// Empty if it is off.
///
/// # Errors
/// If the file cannot be read.
pub fn control_sockets(dir: &Path, file: Option<&Path>) -> Result<Vec<PathBuf>, ConfigError> {
    let usual = dir.join(server::CONTROL_SOCKET);
    let read = ConfigLocation::new(dir, file).and_then(|location| Ok((location.read()?, location)));
    let (text, location) = match read {
        // What made the file unreadable may be what the server is to be asked about. Who may not look at the socket is
        // told so when it is asked.
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

/// Reads a text as the configuration. Where there are mistakes, the configuration is what could be
/// understood: for messages only, never to be served.
pub(crate) fn parse(
    location: &ConfigLocation,
    text: &str,
    listen_override: &[SocketAddr],
) -> (Config, Vec<Diagnostic>) {
    let mut mistakes = Diagnostics::new(text);
    let (document, errors) = DeTable::parse_recoverable(text);
    // After a fault in the syntax nothing is where it seems to be: more mistakes would mislead.
    let empty = DeTable::new();
    let table = if errors.is_empty() { document.get_ref() } else { &empty };
    for error in errors {
        mistakes.add(error.span(), "", error.message().to_owned());
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

/// A password that stands in our documentation is no password where others can reach the server.
fn check_demo(users: &[users::UserSection], listen: &[SocketAddr], mistakes: &mut Diagnostics) {
    let Some(open) = listen.iter().find(|address| !address.ip().to_canonical().is_loopback()) else { return };
    for user in users.iter().filter(|user| user.account.has_demo_password()) {
        let name = &user.account.name;
        mistakes.add(
            user.demo.clone(),
            &format!("users.{name}.demo"),
            format!(
                "{name} has a demo password, which everybody knows, and {open} can be reached from other machines: \
                 set a password with `sshomed user passwd {name}`, which removes the mark, or listen on 127.0.0.1 only"
            ),
        );
    }
}

#[cfg(test)]
mod tests;
