//! The settings of a connection: from the command line, then ~/.ssh/config, then defaults.

use super::config::{HostConfig, SshConfigError, UnknownHost};
use super::liveness::Keepalive;
use crate::cli::ClientCli;
use crate::conversation::RESPONSE_TIMEOUT;
use crate::throttle::Throttle;
use sshome_ssh::CompressionMode;
use sshome_wire::display::Escaped;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The default port.
pub const DEFAULT_PORT: u16 = 2222;

/// The default time limit for connecting.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(15);

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
    /// Files of known hosts. New ones are added to the first.
    pub known_hosts: Vec<PathBuf>,
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
}

/// Why the settings are invalid.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// An error of the configuration.
    #[error(transparent)]
    Config(#[from] SshConfigError),
    /// A value has an unknown `%` token.
    #[error("{0}: unknown %{1}: %%, %d, %h, %n, %p, %r and %u are known")]
    Token(String, char),
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
            user: ["USER", "LOGNAME", "USERNAME"].iter().find_map(|name| variable(name)?.into_string().ok()),
            agent: variable("SSH_AUTH_SOCK").map(PathBuf::from),
        }
    }
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
        let config = read_config(cli.config.as_deref(), environment, &destination.host)?;
        let user = destination.user.clone().or(config.user).or(environment.user.clone());
        let mut tokens = Tokens {
            home: environment.home.as_deref(),
            name: &destination.host,
            host: destination.host.clone(),
            port: cli.port.or(destination.port).or(config.port).unwrap_or(DEFAULT_PORT),
            user: user.ok_or(SettingsError::Missing("no user name: use USER@HOST"))?,
            local_user: environment.user.as_deref().unwrap_or_default(),
        };
        if let Some(host) = &config.host_name {
            tokens.host = tokens.replace(host)?;
        }
        let known_hosts = match (&cli.known_hosts, &config.known_hosts) {
            (Some(file), _) => vec![file.clone()],
            (None, Some(files)) if files.iter().any(|file| file == "none") => Vec::new(),
            (None, Some(files)) => files.iter().map(|file| tokens.path(file)).collect::<Result<_, _>>()?,
            (None, None) => tokens.usual(&["known_hosts"]),
        };
        let agent = match config.identity_agent.as_deref() {
            None | Some("SSH_AUTH_SOCK") => environment.agent.clone(),
            Some("none") => None,
            Some(socket) => Some(tokens.path(socket)?),
        };
        Ok(Settings {
            identities: identities(cli, &config.identity_files, &tokens)?,
            identities_only: config.identities_only.unwrap_or(false),
            agent,
            known_hosts,
            unknown_host: match config.unknown_host {
                _ if cli.accept_new => UnknownHost::Accept,
                unknown_host => unknown_host.unwrap_or(UnknownHost::Ask),
            },
            // As with sftp, the configuration can allow questions in batch mode.
            batch: config.batch.unwrap_or(cli.batch.is_some()),
            public_key: config.public_key.unwrap_or(true),
            password: config.password.unwrap_or(true),
            keyboard_interactive: config.keyboard_interactive.unwrap_or(true),
            timeout: cli.timeout.map(Duration::from_secs),
            throttle: Throttle::new(cli.limit),
            connect_timeout: match cli.timeout.map(Duration::from_secs).or(config.connect_timeout) {
                Some(Duration::ZERO) => Duration::MAX,
                timeout => timeout.unwrap_or(CONNECT_TIMEOUT),
            },
            keepalive: Keepalive {
                interval: match config.keepalive_interval {
                    Some(interval) => Some(interval).filter(|interval| !interval.is_zero()),
                    None => Keepalive::default().interval,
                },
                count: config.keepalive_count.unwrap_or(Keepalive::default().count),
            },
            retries: cli.retries,
            compression: cli.compress,
            verbose: cli.verbose,
            quiet: cli.quiet,
            host: tokens.host,
            port: tokens.port,
            user: tokens.user,
        })
    }
}

/// A named file must exist; the default one need not.
fn read_config(
    named: Option<&Path>,
    environment: &Environment,
    host: &str,
) -> Result<HostConfig, SshConfigError> {
    let usual = environment.home.as_ref().map(|home| home.join(".ssh/config"));
    match (named, usual) {
        (Some(file), _) if file.as_os_str() == "none" => Ok(HostConfig::default()),
        (Some(file), _) => HostConfig::read(file, host),
        (None, Some(file)) if file.exists() => HostConfig::read(&file, host),
        (None, _) => Ok(HostConfig::default()),
    }
}

fn identities(
    cli: &ClientCli,
    configured: &[String],
    tokens: &Tokens<'_>,
) -> Result<Vec<Identity>, SettingsError> {
    let from = |source| move |file| Identity { file, source };
    let mut found: Vec<_> = cli.identities.iter().cloned().map(from(IdentitySource::CommandLine)).collect();
    for file in configured.iter().filter(|file| *file != "none") {
        found.push(from(IdentitySource::Configuration)(tokens.path(file)?));
    }
    if found.is_empty() && configured.is_empty() {
        let usual = tokens.usual(&["id_ed25519", "id_ecdsa", "id_rsa"]);
        found.extend(usual.into_iter().map(from(IdentitySource::Usual)));
    }
    Ok(found)
}

/// The values of `%` tokens and `~` in the configuration.
struct Tokens<'a> {
    home: Option<&'a Path>,
    name: &'a str,
    host: String,
    port: u16,
    user: String,
    local_user: &'a str,
}

impl Tokens<'_> {
    fn replace(&self, value: &str) -> Result<String, SettingsError> {
        let mut out = String::new();
        let mut rest = value.chars();
        while let Some(c) = rest.next() {
            match if c == '%' { rest.next() } else { None } {
                None => out.push(c),
                Some('%') => out.push('%'),
                Some('d') => out.push_str(&self.home()?.to_string_lossy()),
                Some('h') => out.push_str(&self.host),
                Some('n') => out.push_str(self.name),
                Some('p') => out.push_str(&self.port.to_string()),
                Some('r') => out.push_str(&self.user),
                Some('u') => out.push_str(self.local_user),
                Some(other) => return Err(SettingsError::Token(value.to_owned(), other)),
            }
        }
        Ok(out)
    }

    fn path(&self, value: &str) -> Result<PathBuf, SettingsError> {
        let replaced = self.replace(value)?;
        match replaced.strip_prefix("~/") {
            Some(rest) => Ok(self.home()?.join(rest)),
            None => Ok(PathBuf::from(replaced)),
        }
    }

    fn home(&self) -> Result<&Path, SettingsError> {
        self.home.ok_or(SettingsError::Missing("there is no home directory: set HOME"))
    }

    /// Files in ~/.ssh; empty without a home directory.
    fn usual(&self, names: &[&str]) -> Vec<PathBuf> {
        self.home
            .map_or_else(Vec::new, |home| names.iter().map(|name| home.join(".ssh").join(name)).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    fn resolve(config: &str, arguments: &[&str]) -> Result<Settings, SettingsError> {
        let home = tempfile::tempdir().unwrap();
        std::fs::create_dir(home.path().join(".ssh")).unwrap();
        std::fs::write(home.path().join(".ssh/config"), config).unwrap();
        let cli = ClientCli::try_parse_from([&["sshome"], arguments].concat()).unwrap();
        let environment = Environment {
            home: Some(home.path().to_owned()),
            user: Some("me".to_owned()),
            agent: Some(PathBuf::from("/run/agent")),
        };
        let mut settings = Settings::resolve(&cli, &environment)?;
        // The home's name differs from run to run.
        for file in
            settings.identities.iter_mut().map(|identity| &mut identity.file).chain(&mut settings.known_hosts)
        {
            if let Ok(rest) = file.strip_prefix(home.path()) {
                *file = Path::new("~").join(rest);
            }
        }
        Ok(settings)
    }

    fn files(settings: &Settings) -> Vec<&str> {
        settings.identities.iter().map(|identity| identity.file.to_str().unwrap()).collect()
    }

    #[test]
    fn default_settings() {
        let settings = resolve("", &["host"]).unwrap();
        assert_eq!((settings.host.as_str(), settings.port, settings.user.as_str()), ("host", 2222, "me"));
        assert_eq!(files(&settings), ["~/.ssh/id_ed25519", "~/.ssh/id_ecdsa", "~/.ssh/id_rsa"]);
        assert_eq!(settings.known_hosts, [Path::new("~/.ssh/known_hosts")]);
        assert_eq!(settings.unknown_host, UnknownHost::Ask);
        assert_eq!(settings.connect_timeout, Duration::from_secs(15));
    }

    #[test]
    fn keepalives_are_those_of_ssh_config() {
        let keepalive = |config: &str| resolve(config, &["host"]).unwrap().keepalive;
        assert_eq!(keepalive(""), Keepalive::default());
        let seconds = Some(Duration::from_secs(7));
        let config = "ServerAliveInterval 7\nServerAliveCountMax 2\nServerAliveInterval 9\n";
        assert_eq!(keepalive(config), Keepalive { interval: seconds, count: 2 });
        assert_eq!(keepalive("ServerAliveInterval 0\n").interval, None);
        assert!(resolve("ServerAliveCountMax x\n", &["host"]).is_err());
    }

    #[test]
    fn the_command_line_overrides_the_configuration() {
        let config = "Host nas\nHostName %h.example.org\nPort 22\nUser alex\nIdentityFile %d/.ssh/%r-%h\n\
                      UserKnownHostsFile ~/x\nIdentityAgent none\nConnectTimeout 3\n";
        let settings = resolve(config, &["nas"]).unwrap();
        assert_eq!(
            (settings.host.as_str(), settings.port, settings.user.as_str()),
            ("nas.example.org", 22, "alex")
        );
        assert_eq!(files(&settings), ["~/.ssh/alex-nas.example.org"]);
        assert_eq!((settings.agent, settings.connect_timeout), (None, Duration::from_secs(3)));
        let settings =
            resolve(config, &["-i", "key", "-P", "9", "--known-hosts", "k", "--accept-new", "zcl@nas:9"])
                .unwrap();
        assert_eq!((settings.port, settings.user.as_str()), (9, "zcl"));
        assert_eq!(files(&settings), ["key", "~/.ssh/zcl-nas.example.org"]);
        assert_eq!(settings.known_hosts, [Path::new("k")]);
        assert_eq!(settings.unknown_host, UnknownHost::Accept);
    }

    #[test]
    fn a_missing_configuration_is_fine_and_an_invalid_one_is_an_error() {
        assert_eq!(resolve("Port 9\n", &["-F", "none", "host"]).unwrap().port, 2222);
        assert!(resolve("", &["-F", "/nonexistent/config", "host"]).is_err());
        let said = resolve("", &["-P", "9", "nas:7"]).unwrap_err().to_string();
        assert!(said.contains("different ports"), "{said}");
        let said = resolve("IdentityFile ~/%z\n", &["host"]).unwrap_err().to_string();
        assert!(said.starts_with("~/%z: unknown %z"), "{said}");
    }
}
