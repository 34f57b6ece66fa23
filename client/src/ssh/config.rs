//! ~/.ssh/config, as far as it concerns this client.
//!
//! Where OpenSSH is installed, [`openssh`] asks it: it resolves every keyword, `Match` and token. Elsewhere, or if that
//! fails, [`file`] reads the files. A keyword that is unknown, or that does not concern a file transfer, never stops the
//! client. What would change the route or the trust of the connection is obeyed or refused.

mod file;
mod include;
mod openssh;
mod words;

pub(super) use file::{ConfigFile, HostQuery, read};
pub(super) use openssh::{OpensshDefaults, OpensshFailure, OpensshQuery};

use crate::names::shown;
use sshome_wire::display::Escaped;
use std::path::PathBuf;
use std::time::Duration;

/// The configuration of one host. `%` tokens and `~` are not replaced yet, except in the host name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct HostConfig {
    /// Its real name.
    pub host_name: Option<String>,
    /// Its port.
    pub port: Option<u16>,
    /// The user name.
    pub user: Option<String>,
    /// Files of private keys, in order.
    pub identity_files: Vec<String>,
    /// Files of certificates for those keys, in order.
    pub certificate_files: Vec<String>,
    /// Whether only keys in those files are used, not all keys of the agent.
    pub identities_only: Option<bool>,
    /// The agent's socket, or `none`.
    pub identity_agent: Option<String>,
    /// The user's files of known hosts, in order.
    pub known_hosts: Option<Vec<String>>,
    /// The system's files of known hosts, in order.
    pub global_known_hosts: Option<Vec<String>>,
    /// The file of revoked host keys, or `none`.
    pub revoked_host_keys: Option<String>,
    /// The name under which the host's key is known.
    pub host_key_alias: Option<String>,
    /// The policy for unknown host keys.
    pub unknown_host: Option<UnknownHost>,
    /// Whether questions are forbidden.
    pub batch: Option<bool>,
    /// Whether a password may be used.
    pub password: Option<bool>,
    /// Whether keyboard-interactive may be used.
    pub keyboard_interactive: Option<bool>,
    /// Whether keys may be used.
    pub public_key: Option<bool>,
    /// The time limit for connecting; zero for none.
    pub connect_timeout: Option<Duration>,
    /// The silence after which a keepalive is sent; zero is never.
    pub keepalive_interval: Option<Duration>,
    /// The number of unanswered keepalives that are tolerated.
    pub keepalive_count: Option<usize>,
    /// Which addresses are used.
    pub address_family: Option<AddressFamily>,
    /// The local address of the connection.
    pub bind_address: Option<String>,
    /// The route to the host.
    pub proxy: Option<ProxyConfig>,
    /// Whether tokens in the names of known hosts files and of the agent's socket are replaced already.
    pub is_expanded: bool,
}

/// The route to a host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum ProxyConfig {
    /// `ProxyCommand`: a command whose standard input and output are the connection; `none` for a direct connection.
    Command(String),
    /// `ProxyJump`: a list of jump hosts; `none` for a direct connection.
    Jump(String),
}

/// The addresses that may be connected to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AddressFamily {
    /// Any.
    #[default]
    Any,
    /// IPv4 only.
    V4,
    /// IPv6 only.
    V6,
}

/// The policy for a host with an unknown key. A changed key is always refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnknownHost {
    /// Ask.
    Ask,
    /// Accept its key and store it.
    Accept,
    /// Refuse it.
    Refuse,
}

/// Errors in a configuration.
#[derive(Debug, thiserror::Error)]
pub enum SshConfigError {
    /// The file cannot be read.
    #[error("{}: {error}", shown(file))]
    Read {
        /// The file.
        file: PathBuf,
        /// The reason.
        error: std::io::Error,
    },
    /// A line is invalid or not supported.
    #[error("{}:{line}: {}", shown(file), Escaped(problem.as_bytes()))]
    Line {
        /// The file.
        file: PathBuf,
        /// The number of the line, from 1.
        line: usize,
        /// The problem and the remedy.
        problem: String,
    },
    /// An option of the command line, or one that OpenSSH has resolved, is invalid or not supported.
    #[error("{}", Escaped(.0.as_bytes()))]
    Option(String),
    /// Other users could change a file that decides which commands run.
    #[error("{} can be changed by other users, so it is not used: chmod go-w {}", shown(.0), shown(.0))]
    Exposed(PathBuf),
}

impl HostConfig {
    /// Sets a value, unless an earlier line did: the first one wins.
    fn set(&mut self, keyword: &str, values: &[String]) -> Result<(), String> {
        let Some(value) = values.first() else { return Err(format!("{keyword} needs a value")) };
        match keyword {
            "identityfile" => self.identity_files.push(value.clone()),
            "certificatefile" => self.certificate_files.push(value.clone()),
            "userknownhostsfile" => first(&mut self.known_hosts, values.to_vec()),
            "globalknownhostsfile" => first(&mut self.global_known_hosts, values.to_vec()),
            _ if values.len() > 1 => {
                return Err(format!("{keyword} takes one value; quote one that has spaces"));
            }
            "hostname" => first(&mut self.host_name, value.clone()),
            "user" => first(&mut self.user, value.clone()),
            "identityagent" => first(&mut self.identity_agent, value.clone()),
            "hostkeyalias" => first(&mut self.host_key_alias, value.clone()),
            "revokedhostkeys" => first(&mut self.revoked_host_keys, value.clone()),
            "bindaddress" => first(&mut self.bind_address, value.clone()),
            "proxycommand" => first(&mut self.proxy, ProxyConfig::Command(value.clone())),
            "proxyjump" => first(&mut self.proxy, ProxyConfig::Jump(value.clone())),
            "addressfamily" => first(&mut self.address_family, address_family(value)?),
            "port" => {
                let port = value.parse().ok().filter(|port| *port > 0);
                first(&mut self.port, port.ok_or_else(|| format!("{value} is not a port (1 to 65535)"))?);
            }
            "connecttimeout" if value.eq_ignore_ascii_case("none") => {
                first(&mut self.connect_timeout, Duration::ZERO)
            }
            "connecttimeout" => first(&mut self.connect_timeout, duration(value)?),
            "serveraliveinterval" => first(&mut self.keepalive_interval, duration(value)?),
            "serveralivecountmax" => {
                let count = value.parse().map_err(|_| format!("{value} is not a number"))?;
                first(&mut self.keepalive_count, count);
            }
            "stricthostkeychecking" => {
                let unknown_host = match value.to_ascii_lowercase().as_str() {
                    "yes" | "true" => UnknownHost::Refuse,
                    "ask" => UnknownHost::Ask,
                    "accept-new" | "no" | "off" | "false" => UnknownHost::Accept,
                    _ => return Err(format!("{value} is not one of yes, no, ask and accept-new")),
                };
                first(&mut self.unknown_host, unknown_host);
            }
            "identitiesonly" => first(&mut self.identities_only, yes_or_no(value)?),
            "batchmode" => first(&mut self.batch, yes_or_no(value)?),
            "passwordauthentication" => first(&mut self.password, yes_or_no(value)?),
            "kbdinteractiveauthentication" | "challengeresponseauthentication" => {
                first(&mut self.keyboard_interactive, yes_or_no(value)?);
            }
            "pubkeyauthentication" => {
                // OpenSSH has two more values that mean yes.
                let bound = ["unbound", "host-bound"].iter().any(|yes| value.eq_ignore_ascii_case(yes));
                first(&mut self.public_key, bound || yes_or_no(value)?);
            }
            // These would change the route of the connection.
            "bindinterface" | "proxyusefdpass" if !is_off(value) => {
                return Err(format!(
                    "{keyword} is not supported, and ignoring it would change the connection. Use a file without it (-F FILE), or no file (-F none)"
                ));
            }
            _ => {}
        }
        Ok(())
    }
}

fn first<T>(slot: &mut Option<T>, value: T) {
    slot.get_or_insert(value);
}

fn yes_or_no(value: &str) -> Result<bool, String> {
    match value.to_ascii_lowercase().as_str() {
        "yes" | "true" => Ok(true),
        "no" | "false" => Ok(false),
        _ => Err(format!("{value} is neither yes nor no")),
    }
}

/// Whether an unsupported keyword is switched off, and so has no effect.
fn is_off(value: &str) -> bool {
    ["no", "none", "false"].iter().any(|off| value.eq_ignore_ascii_case(off))
}

fn address_family(value: &str) -> Result<AddressFamily, String> {
    match value.to_ascii_lowercase().as_str() {
        "any" => Ok(AddressFamily::Any),
        "inet" => Ok(AddressFamily::V4),
        "inet6" => Ok(AddressFamily::V6),
        _ => Err(format!("{value} is not one of any, inet and inet6")),
    }
}

/// A time: numbers with units, such as 90, 90s or 1m30s.
fn duration(value: &str) -> Result<Duration, String> {
    let wrong = || format!("{value} is not a time: 90, 90s or 1m30s");
    let mut total: u64 = 0;
    let mut rest = value;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        let (number, after) = rest.split_at(digits);
        let mut after = after.chars();
        let seconds = match after.next().map(|unit| unit.to_ascii_lowercase()) {
            None | Some('s') => 1,
            Some('m') => 60,
            Some('h') => 3600,
            Some('d') => 86400,
            Some('w') => 604_800,
            Some(_) => return Err(wrong()),
        };
        let number: u64 = number.parse().map_err(|_| wrong())?;
        total = total.saturating_add(number.saturating_mul(seconds));
        rest = after.as_str();
    }
    if value.is_empty() { Err(wrong()) } else { Ok(Duration::from_secs(total)) }
}

#[cfg(test)]
mod tests;
