//! Combines the command line, the configuration and the environment into the settings of a connection and of its jump
//! hosts.

use super::config::{
    ConfigFile, HostConfig, HostQuery, OpensshDefaults, OpensshFailure, OpensshQuery, ProxyConfig,
    UnknownHost, read,
};
use super::liveness::Keepalive;
use super::settings::{DEFAULT_PORT, Environment, Identity, IdentitySource, Proxy, Settings, SettingsError};
use super::tokens::Tokens;
use crate::cli::{ClientCli, Destination};
use crate::messages::warn;
use crate::throttle::Throttle;
use std::path::PathBuf;
use std::time::Duration;

/// The default time limit for connecting.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(15);

/// The default port of a jump host, which runs an ordinary SSH server.
const JUMP_PORT: u16 = 22;

/// The largest number of jump hosts.
const MAX_JUMPS: usize = 8;

/// Resolves settings.
pub(super) struct Resolver<'a> {
    pub cli: &'a ClientCli,
    pub environment: &'a Environment,
}

/// What a host is for.
#[derive(Clone, Copy)]
pub(super) enum HostRole<'a> {
    /// The server.
    Target,
    /// A jump host. As with ssh, the command line's user, port, key and options are not for it.
    Jump {
        /// The jump hosts before it; `None` if its own configuration names them.
        earlier: Option<&'a str>,
        /// How many jump hosts follow it, with itself.
        depth: usize,
    },
}

impl Resolver<'_> {
    /// The settings for a host.
    ///
    /// # Errors
    /// If the configuration is invalid, or a required setting is missing.
    pub(super) fn settings(
        &self,
        destination: &Destination,
        role: HostRole<'_>,
    ) -> Result<Settings, SettingsError> {
        let (cli, environment) = (self.cli, self.environment);
        let target = matches!(role, HostRole::Target).then_some(cli);
        let config = self.config(destination, role)?;
        let user = destination.user.clone().or(config.user.clone()).or(environment.user.clone());
        let default_port = target.map_or(JUMP_PORT, |_| DEFAULT_PORT);
        let port = target.and_then(|cli| cli.port).or(destination.port).or(config.port);
        let tokens = Tokens {
            home: environment.home.as_deref(),
            name: &destination.host,
            host: config.host_name.clone().unwrap_or_else(|| destination.host.clone()),
            alias: config.host_key_alias.clone(),
            port: port.unwrap_or(default_port),
            user: user.ok_or(SettingsError::Missing("no user name: use USER@HOST"))?,
            local_user: environment.user.as_deref().unwrap_or_default(),
        };
        Ok(Settings {
            identities: identities(target, &config.identity_files, &tokens)?,
            certificates: paths(&config.certificate_files, false, &tokens)?,
            identities_only: config.identities_only.unwrap_or(false),
            agent: self.agent(&config, &tokens)?,
            known_hosts: match (&cli.known_hosts, &config.known_hosts) {
                (Some(file), _) => vec![file.clone()],
                (None, Some(files)) => paths(files, config.is_expanded, &tokens)?,
                (None, None) => tokens.usual(&["known_hosts"]),
            },
            global_known_hosts: match (&cli.known_hosts, &config.global_known_hosts) {
                (Some(_), _) => Vec::new(),
                (None, Some(files)) => paths(files, config.is_expanded, &tokens)?,
                (None, None) => environment.known_hosts.iter().cloned().collect(),
            },
            revoked_host_keys: paths(config.revoked_host_keys.as_slice(), false, &tokens)?.into_iter().next(),
            host_key_alias: config.host_key_alias.clone(),
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
            // A jump host forwards what is counted and limited already.
            throttle: Throttle::new(target.and_then(|cli| cli.limit)),
            connect_timeout: match cli.timeout.map(Duration::from_secs).or(config.connect_timeout) {
                Some(Duration::ZERO) => Duration::MAX,
                timeout => timeout.unwrap_or(CONNECT_TIMEOUT),
            },
            keepalive: keepalive(&config),
            address_family: cli.address_family().or(config.address_family).unwrap_or_default(),
            bind_address: config.bind_address.clone(),
            proxy: self.proxy(&config, &tokens, role)?,
            retries: cli.retries,
            compression: cli.compress,
            verbose: cli.verbose,
            quiet: cli.quiet,
            host: tokens.host,
            port: tokens.port,
            user: tokens.user,
        })
    }

    /// The configuration of a host: as OpenSSH resolves it, or as we read it.
    fn config(&self, destination: &Destination, role: HostRole<'_>) -> Result<HostConfig, SettingsError> {
        let (cli, environment, files) = (self.cli, self.environment, self.files());
        let is_target = matches!(role, HostRole::Target);
        let query = HostQuery {
            host: &destination.host,
            user: destination.user.as_deref(),
            local_user: environment.user.as_deref(),
            home: environment.home.as_deref(),
            options: if is_target { &cli.options } else { &[] },
        };
        let mut failure = None;
        if let Some(program) = environment.ssh.as_deref().filter(|_| !files.is_empty()) {
            let defaults = OpensshDefaults {
                port: if is_target { DEFAULT_PORT } else { JUMP_PORT },
                user: environment.user.as_deref(),
                keepalive_interval: Keepalive::default().interval.map_or(0, |interval| interval.as_secs()),
                batch: cli.batch.is_some(),
            };
            let port = if is_target { cli.port } else { None }.or(destination.port);
            let has_jumps = self.given_jumps(role).is_some();
            let question = OpensshQuery { program, files: &files, query, port, has_jumps, defaults };
            match question.resolve() {
                Ok((config, notes)) => {
                    self.note(notes.iter().map(|note| format!("ssh_config, ignored: {note}")));
                    return Ok(config);
                }
                Err(OpensshFailure::Unsupported(error)) => return Err(error.into()),
                Err(OpensshFailure::Missing) if cli.verbose => {
                    warn("there is no ssh here, so sshome reads ssh_config itself");
                }
                Err(OpensshFailure::Missing) => {}
                Err(OpensshFailure::Failed(why)) => failure = Some(why),
            }
        }
        let (config, notes) = read(&files, query)?;
        self.note(failure.map(|why| format!("ssh -G fails, so sshome reads ssh_config itself: {why}")));
        self.note(notes);
        Ok(config)
    }

    fn note(&self, notes: impl IntoIterator<Item = String>) {
        if !self.cli.quiet {
            notes.into_iter().for_each(warn);
        }
    }

    /// The files of the configuration. As with ssh, a named file replaces all others.
    fn files(&self) -> Vec<ConfigFile> {
        let home = self.environment.home.as_ref().map(|home| home.join(".ssh"));
        let base = home.clone().unwrap_or_default();
        match &self.cli.config {
            Some(file) if file.as_os_str() == "none" => Vec::new(),
            Some(file) => vec![ConfigFile { path: file.clone(), is_named: true, base }],
            None => {
                let user = home.map(|base| ConfigFile { path: base.join("config"), is_named: false, base });
                let system = self.environment.system_config.as_ref().map(|path| ConfigFile {
                    path: path.clone(),
                    is_named: false,
                    base: path.parent().map(PathBuf::from).unwrap_or_default(),
                });
                user.into_iter().chain(system).filter(|file| file.path.exists()).collect()
            }
        }
    }

    fn agent(&self, config: &HostConfig, tokens: &Tokens<'_>) -> Result<Option<PathBuf>, SettingsError> {
        match config.identity_agent.as_deref() {
            None | Some("SSH_AUTH_SOCK") => Ok(self.environment.agent.clone()),
            Some("none") => Ok(None),
            Some(value) => match value.strip_prefix('$') {
                Some(name) if !name.starts_with('{') => Ok(std::env::var_os(name).map(PathBuf::from)),
                _ => Ok(paths(&[value.to_owned()], config.is_expanded, tokens)?.into_iter().next()),
            },
        }
    }

    /// The jump hosts that the configuration of the host does not change.
    fn given_jumps<'r>(&'r self, role: HostRole<'r>) -> Option<&'r str> {
        match role {
            HostRole::Target => self.cli.jump.as_deref(),
            HostRole::Jump { earlier, .. } => earlier,
        }
    }

    fn proxy(
        &self,
        config: &HostConfig,
        tokens: &Tokens<'_>,
        role: HostRole<'_>,
    ) -> Result<Proxy, SettingsError> {
        let given = self.given_jumps(role);
        let is_none = |value: &str| value.eq_ignore_ascii_case("none");
        let list = match (given, &config.proxy) {
            (Some(list), _) if is_none(list) => return Ok(Proxy::Direct),
            (Some(list), _) => list.to_owned(),
            (None, None) => return Ok(Proxy::Direct),
            (None, Some(ProxyConfig::Command(value) | ProxyConfig::Jump(value))) if is_none(value) => {
                return Ok(Proxy::Direct);
            }
            (None, Some(ProxyConfig::Command(command))) => {
                return Ok(Proxy::Command(tokens.command(command)?));
            }
            (None, Some(ProxyConfig::Jump(list))) => before(&tokens.replace(list)?, tokens.name),
        };
        let (earlier, last) = match list.rsplit_once(',') {
            Some((earlier, last)) => (Some(earlier), last),
            None => (None, list.as_str()),
        };
        if last.is_empty() {
            return Ok(Proxy::Direct);
        }
        let depth = 1 + if let HostRole::Jump { depth, .. } = role { depth } else { 0 };
        if depth > MAX_JUMPS {
            return Err(SettingsError::Jumps(MAX_JUMPS));
        }
        let destination = last.trim().parse();
        let destination = destination.map_err(|why| SettingsError::Jump { jump: last.to_owned(), why })?;
        self.settings(&destination, HostRole::Jump { earlier, depth }).map(|jump| Proxy::Jump(Box::new(jump)))
    }
}

/// The jump hosts of a list before a host itself: `Host *` with `ProxyJump bastion` applies to the bastion, too.
fn before(list: &str, name: &str) -> String {
    let is_itself = |jump: &&str| {
        jump.trim().parse::<Destination>().is_ok_and(|jump| jump.host.eq_ignore_ascii_case(name))
    };
    list.split(',').take_while(|jump| !is_itself(jump)).collect::<Vec<_>>().join(",")
}

/// The files of these names; empty if one is `none`.
fn paths(names: &[String], is_expanded: bool, tokens: &Tokens<'_>) -> Result<Vec<PathBuf>, SettingsError> {
    if names.iter().any(|name| name == "none") {
        return Ok(Vec::new());
    }
    let path = |name: &String| match is_expanded {
        true => Ok(PathBuf::from(name)),
        false => tokens.path(name),
    };
    names.iter().map(path).collect()
}

fn keepalive(config: &HostConfig) -> Keepalive {
    Keepalive {
        interval: match config.keepalive_interval {
            Some(interval) => Some(interval).filter(|interval| !interval.is_zero()),
            None => Keepalive::default().interval,
        },
        count: config.keepalive_count.unwrap_or(Keepalive::default().count),
    }
}

fn identities(
    target: Option<&ClientCli>,
    configured: &[String],
    tokens: &Tokens<'_>,
) -> Result<Vec<Identity>, SettingsError> {
    let from = |source| move |file| Identity { file, source };
    let named = target.into_iter().flat_map(|cli| cli.identities.iter().cloned());
    let mut found: Vec<_> = named.map(from(IdentitySource::CommandLine)).collect();
    for file in configured.iter().filter(|file| *file != "none") {
        found.push(from(IdentitySource::Configuration)(tokens.path(file)?));
    }
    if found.is_empty() && configured.is_empty() {
        let usual = tokens.usual(&["id_ed25519", "id_ecdsa", "id_rsa"]);
        found.extend(usual.into_iter().map(from(IdentitySource::Usual)));
    }
    Ok(found)
}

#[cfg(test)]
mod tests;
