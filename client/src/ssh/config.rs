//! ~/.ssh/config, as far as it concerns this client.
//!
//! The format has a dozen rules. The crates for it either ignore unknown keywords, or support `Include` and `Match`
//! only partially. Here everything that would change a connection is obeyed or refused.

use super::keywords::{Treatment, treatment};
use crate::names::shown;
use sshome_ssh::Glob;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The configuration of one host. Values are as written: `%h` and `~` are not replaced yet.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct HostConfig {
    /// Its real name.
    pub host_name: Option<String>,
    /// Its port.
    pub port: Option<u16>,
    /// The user name.
    pub user: Option<String>,
    /// Files of private keys, in order.
    pub identity_files: Vec<String>,
    /// Whether only keys in those files are used, not all keys of the agent.
    pub identities_only: Option<bool>,
    /// The agent's socket, or `none`.
    pub identity_agent: Option<String>,
    /// Files of known hosts, in order.
    pub known_hosts: Option<Vec<String>>,
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
    #[error("{}:{line}: {problem}", shown(file))]
    Line {
        /// The file.
        file: PathBuf,
        /// The number of the line, from 1.
        line: usize,
        /// The problem and the remedy.
        problem: String,
    },
}

impl HostConfig {
    /// Reads the configuration of a host from a file.
    ///
    /// # Errors
    /// If the file cannot be read, or has a line that is invalid or not supported.
    pub(super) fn read(file: &Path, host: &str) -> Result<HostConfig, SshConfigError> {
        let bytes =
            std::fs::read(file).map_err(|error| SshConfigError::Read { file: file.to_owned(), error })?;
        HostConfig::parse(&String::from_utf8_lossy(&bytes), host)
            .map_err(|(line, problem)| SshConfigError::Line { file: file.to_owned(), line, problem })
    }

    /// Parses a configuration. An error has the number of its line, from 1.
    fn parse(text: &str, host: &str) -> Result<HostConfig, (usize, String)> {
        let mut config = HostConfig::default();
        let mut applies = true;
        let mut ignored: Vec<String> = Vec::new();
        for (index, line) in text.lines().enumerate() {
            let at = |problem: String| (index + 1, problem);
            let Some((keyword, values)) = split(line).map_err(at)? else { continue };
            let ignore =
                ignored.iter().any(|pattern| Glob::host(pattern).matches(keyword.to_lowercase().as_bytes()));
            match (treatment(&keyword), keyword.to_ascii_lowercase().as_str()) {
                (_, "host") => applies = matches(&values, host).map_err(at)?,
                (_, "match") => {
                    let problem = "Match is not supported: sshome cannot tell whether the section applies. Use a file without it (-F FILE), or no file (-F none)";
                    return Err(at(problem.to_owned()));
                }
                (_, "ignoreunknown") if applies => {
                    ignored.extend(values.iter().flat_map(|value| value.split(',')).map(str::to_owned));
                }
                (None, _) if !ignore => {
                    return Err(at(format!(
                        "unknown keyword {keyword}: IgnoreUnknown {keyword}, above it, allows it"
                    )));
                }
                (Some(Treatment::Refused), _) if applies && !is_off(&values) => {
                    return Err(at(format!(
                        "{keyword} is not supported, and ignoring it would change the connection. Use a file without it (-F FILE), or no file (-F none)"
                    )));
                }
                (Some(Treatment::Understood), keyword) if applies => {
                    config.set(keyword, &values).map_err(at)?
                }
                _ => {}
            }
        }
        Ok(config)
    }

    /// Sets a value, unless an earlier line did: the first one wins.
    fn set(&mut self, keyword: &str, values: &[String]) -> Result<(), String> {
        let Some(value) = values.first() else { return Err(format!("{keyword} needs a value")) };
        match keyword {
            "identityfile" => self.identity_files.push(value.clone()),
            "userknownhostsfile" => first(&mut self.known_hosts, values.to_vec()),
            _ if values.len() > 1 => {
                return Err(format!("{keyword} takes one value; quote one that has spaces"));
            }
            "hostname" => first(&mut self.host_name, value.clone()),
            "user" => first(&mut self.user, value.clone()),
            "identityagent" => first(&mut self.identity_agent, value.clone()),
            "port" => {
                let port = value.parse().ok().filter(|port| *port > 0);
                first(&mut self.port, port.ok_or_else(|| format!("{value} is not a port (1 to 65535)"))?);
            }
            "connecttimeout" if value.eq_ignore_ascii_case("none") => {
                first(&mut self.connect_timeout, Duration::ZERO)
            }
            "connecttimeout" => {
                let seconds = value.parse().map_err(|_| format!("{value} is not a number of seconds"))?;
                first(&mut self.connect_timeout, Duration::from_secs(seconds));
            }
            "serveraliveinterval" => {
                let seconds = value.parse().map_err(|_| format!("{value} is not a number of seconds"))?;
                first(&mut self.keepalive_interval, Duration::from_secs(seconds));
            }
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
fn is_off(values: &[String]) -> bool {
    matches!(values, [value] if ["no", "none", "any"].iter().any(|off| value.eq_ignore_ascii_case(off)))
}

/// Whether one of the patterns matches the host, and none that begins with `!` does.
fn matches(patterns: &[String], host: &str) -> Result<bool, String> {
    if patterns.is_empty() {
        return Err("Host needs a name or a pattern".to_owned());
    }
    let host = host.to_ascii_lowercase();
    let is = |pattern: &str| Glob::host(pattern).matches(host.as_bytes());
    let excluded = patterns.iter().any(|pattern| pattern.strip_prefix('!').is_some_and(is));
    Ok(!excluded && patterns.iter().any(|pattern| is(pattern)))
}

/// The keyword and the values of a line; `None` if it is empty or a comment.
fn split(line: &str) -> Result<Option<(String, Vec<String>)>, String> {
    let line = line.trim();
    if line.is_empty() || line.starts_with('#') {
        return Ok(None);
    }
    let end = line.find(|c: char| c.is_whitespace() || c == '=').unwrap_or(line.len());
    let (keyword, rest) = line.split_at(end);
    let rest = rest.trim_start();
    let mut rest = rest.strip_prefix('=').unwrap_or(rest).trim_start();
    let mut values = Vec::new();
    while !rest.is_empty() && !rest.starts_with('#') {
        let (value, after) = match rest.strip_prefix('"') {
            Some(quoted) => quoted.split_once('"').ok_or("a quote is not closed")?,
            None => rest.split_once(char::is_whitespace).unwrap_or((rest, "")),
        };
        values.push(value.to_owned());
        rest = after.trim_start();
    }
    Ok(Some((keyword.to_owned(), values)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONFIG: &str = "\
# before any Host: for all
IgnoreUnknown Strange*,Odd
StrangeThing yes
Compression yes

Host nas nas.*
    HostName nas.example.org
    port=2200
    User \"alex b\"   # a comment
    IdentityFile ~/.ssh/nas
    StrictHostKeyChecking accept-new

Host other
    ProxyJump bastion
    Include other.conf

Host * !*.example.org
    User zcl
    IdentityFile = %d/.ssh/%r
    IdentitiesOnly yes
    UserKnownHostsFile ~/a \"~/b c\"
    ProxyJump none
";

    #[test]
    fn the_first_value_wins_and_identity_files_accumulate() {
        let config = HostConfig::parse(CONFIG, "NAS").unwrap();
        assert_eq!(config.host_name.as_deref(), Some("nas.example.org"));
        assert_eq!((config.port, config.user.as_deref()), (Some(2200), Some("alex b")));
        assert_eq!(config.identity_files, ["~/.ssh/nas", "%d/.ssh/%r"]);
        assert_eq!(config.identities_only, Some(true));
        assert_eq!(config.known_hosts, Some(vec!["~/a".to_owned(), "~/b c".to_owned()]));
        assert_eq!(config.unknown_host, Some(UnknownHost::Accept));
    }

    #[test]
    fn a_negated_pattern_does_not_match() {
        assert_eq!(HostConfig::parse(CONFIG, "x.example.org").unwrap(), HostConfig::default());
        assert_eq!(HostConfig::parse(CONFIG, "elsewhere").unwrap().user.as_deref(), Some("zcl"));
    }

    #[test]
    fn an_unsupported_option_is_refused_where_it_applies() {
        let (line, problem) = HostConfig::parse(CONFIG, "other").unwrap_err();
        assert!(line == 14 && problem.starts_with("ProxyJump is not supported"), "{line} {problem}");
        for text in ["Include x", "Host nas\nHostKeyAlias x", "Match all", "Host nowhere\nMatch host nas"] {
            let (line, problem) = HostConfig::parse(text, "nas").unwrap_err();
            assert_eq!(line, text.lines().count(), "{problem}");
            assert!(problem.contains("not supported") && problem.contains("-F"), "{problem}");
        }
    }

    #[test]
    fn errors_name_their_line() {
        for text in [
            "Hostnam x",
            "Port 0",
            "Port many",
            "User",
            "User a b",
            "Host",
            "IdentityFile \"open",
            "StrictHostKeyChecking perhaps",
            "IdentitiesOnly maybe",
            "Host elsewhere\nHostnam x",
        ] {
            let (line, _) = HostConfig::parse(text, "nas").unwrap_err();
            assert_eq!(line, text.lines().count(), "{text}");
        }
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("config");
        std::fs::write(&file, "\nPort x\n").unwrap();
        let said = HostConfig::read(&file, "nas").unwrap_err().to_string();
        assert!(said.ends_with("config:2: x is not a port (1 to 65535)"), "{said}");
    }
}
