//! The settings of a connection: from the command line, then ~/.ssh/config, then defaults.

use super::config::{AddressFamily, SshConfigError, UnknownHost};
use super::liveness::Keepalive;
use super::resolve::{HostRole, Resolver};
use crate::cli::ClientCli;
use crate::conversation::RESPONSE_TIMEOUT;
use crate::throttle::Throttle;
use sshome_ssh::CompressionMode;
use sshome_wire::display::Escaped;
use std::path::PathBuf;
use std::time::Duration;

/// The default port.
pub const DEFAULT_PORT: u16 = 2222;

/// The settings of a connection.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The host: a name or an address.
    pub host: String,
    /// The port.
    pub port: u16,
    /// The user name.
    pub user: String,
    /// Files of private keys, in the order in which they are tried.
    pub identities: Vec<Identity>,
    /// Whether only those keys are tried, not the others of the agent.
    pub identities_only: bool,
    /// The agent's socket.
    pub agent: Option<PathBuf>,
    /// Files of certificates for those keys.
    pub certificates: Vec<PathBuf>,
    /// The user's files of known hosts. New ones are added to the first.
    pub known_hosts: Vec<PathBuf>,
    /// The system's files of known hosts.
    pub global_known_hosts: Vec<PathBuf>,
    /// The file of revoked host keys.
    pub revoked_host_keys: Option<PathBuf>,
    /// The name under which the host's key is known, if that is not its address.
    pub host_key_alias: Option<String>,
    /// The policy for unknown hosts.
    pub unknown_host: UnknownHost,
    /// Whether questions are forbidden.
    pub batch: bool,
    /// Whether keys may be used.
    pub public_key: bool,
    /// Whether a password may be used.
    pub password: bool,
    /// Whether keyboard-interactive may be used.
    pub keyboard_interactive: bool,
    /// The time limit for connecting.
    pub connect_timeout: Duration,
    /// When a server counts as dead.
    pub keepalive: Keepalive,
    /// Which addresses are used.
    pub address_family: AddressFamily,
    /// The local address of the connection.
    pub bind_address: Option<String>,
    /// The route to the host.
    pub proxy: Proxy,
    /// The largest number of consecutive reconnects.
    pub retries: u32,
    /// The idle timeout; `None` for no limit.
    pub timeout: Option<Duration>,
    /// The traffic counter and rate limits.
    pub throttle: Throttle,
    /// Which data is compressed.
    pub compression: CompressionMode,
    /// Whether steps are logged.
    pub verbose: bool,
    /// Whether the server's banner is hidden.
    pub quiet: bool,
}

/// The route to a host.
#[derive(Clone, Debug)]
pub enum Proxy {
    /// A connection over TCP.
    Direct,
    /// A command whose standard input and output are the connection.
    Command(String),
    /// A channel of a connection to this jump host.
    Jump(Box<Settings>),
}

/// A file with a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The file.
    pub file: PathBuf,
    /// Its origin.
    pub source: IdentitySource,
}

/// The origin of the name of a key file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IdentitySource {
    /// The command line, `-i`.
    CommandLine,
    /// The configuration, `IdentityFile`: as with ssh, it may name files that do not exist on every machine.
    Configuration,
    /// The usual names, which may be missing.
    Usual,
}

/// The environment of the process.
#[derive(Debug, Default)]
pub struct Environment {
    /// The home directory.
    pub home: Option<PathBuf>,
    /// The local user.
    pub user: Option<String>,
    /// The agent's socket.
    pub agent: Option<PathBuf>,
    /// OpenSSH's client, which resolves the configuration.
    pub ssh: Option<PathBuf>,
    /// The configuration of the system.
    pub system_config: Option<PathBuf>,
    /// The known hosts of the system.
    pub known_hosts: Option<PathBuf>,
}

/// Why the settings are invalid.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// An error of the configuration.
    #[error(transparent)]
    Config(#[from] SshConfigError),
    /// A value has an unknown `%` token.
    #[error("{}: unknown %{}: %%, %d, %h, %i, %k, %L, %l, %n, %p, %r and %u are known", Escaped(.0.as_bytes()), .1.escape_default())]
    Token(String, char),
    /// A value has an environment variable that is not set.
    #[error("{}: the environment has no such variable", Escaped(.0.as_bytes()))]
    Variable(String),
    /// A name would be more than a name to the shell that runs `ProxyCommand`.
    #[error("{} has characters that are special to a shell, so ProxyCommand is not run with it", Escaped(.0.as_bytes()))]
    Unsafe(String),
    /// The name of a jump host is invalid.
    #[error("jump host {}: {}", Escaped(.jump.as_bytes()), Escaped(.why.as_bytes()))]
    Jump {
        /// The jump host, as it was given.
        jump: String,
        /// The problem.
        why: String,
    },
    /// There are too many jump hosts.
    #[error("more than {0} jump hosts in a row: do ProxyJump lines of ssh_config lead in a circle?")]
    Jumps(usize),
    /// Two different ports are given.
    #[error("-P {option} and the address, with port {address}, name different ports: leave one of them out")]
    Ports {
        /// The port of `-P`.
        option: u16,
        /// The port of the address.
        address: u16,
    },
    /// A required setting is missing.
    #[error("{0}")]
    Missing(&'static str),
}

impl Environment {
    /// The environment of this process.
    #[must_use]
    pub fn current() -> Environment {
        let variable = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
        Environment {
            home: std::env::home_dir(),
            user: ["USER", "LOGNAME", "USERNAME"]
                .iter()
                .find_map(|name| variable(name)?.into_string().ok())
                .or_else(account_name),
            agent: variable("SSH_AUTH_SOCK").map(PathBuf::from),
            ssh: cfg!(unix).then(|| PathBuf::from("ssh")),
            system_config: cfg!(unix).then(|| PathBuf::from("/etc/ssh/ssh_config")),
            known_hosts: cfg!(unix).then(|| PathBuf::from("/etc/ssh/ssh_known_hosts")),
        }
    }
}

/// The name of this process's account, which cron and containers may not have in the environment.
#[cfg(unix)]
fn account_name() -> Option<String> {
    let output = std::process::Command::new("id").arg("-un").output().ok()?;
    let name = String::from_utf8(output.stdout).ok()?.trim().to_owned();
    (output.status.success() && !name.is_empty()).then_some(name)
}

#[cfg(not(unix))]
fn account_name() -> Option<String> {
    None
}

impl Settings {
    /// Host and port, safe to show.
    #[must_use]
    pub fn place(&self) -> String {
        format!("{} port {}", Escaped(self.host.as_bytes()), self.port)
    }

    /// The time limit for a step of the login.
    #[must_use]
    pub fn response_timeout(&self) -> Duration {
        self.timeout.unwrap_or(RESPONSE_TIMEOUT)
    }

    /// Combines the command line, the configuration and the environment.
    ///
    /// # Errors
    /// If the configuration is invalid, or a required setting is missing.
    pub fn resolve(cli: &ClientCli, environment: &Environment) -> Result<Settings, SettingsError> {
        let destination = &cli.destination;
        if let (Some(option), Some(address)) = (cli.port, destination.port)
            && option != address
        {
            return Err(SettingsError::Ports { option, address });
        }
        Resolver { cli, environment }.settings(destination, HostRole::Target)
    }
}

#[cfg(test)]
mod tests;
