//! Our own reading of ssh_config, without OpenSSH.
//!
//! It understands `Host`, `Include`, and `Match` on hosts and users. A section whose condition only OpenSSH can decide,
//! such as `Match exec`, does not apply, and a note says so.

use super::include::matching_files;
use super::words::{keyword, words};
use super::{HostConfig, SshConfigError};
use crate::names::shown;
use crate::ssh::keywords::{Treatment, treatment};
use crate::ssh::tokens;
use sshome_ssh::Glob;
use sshome_wire::display::Escaped;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// The largest depth of files that include others: OpenSSH's limit.
const MAX_DEPTH: usize = 16;

/// What the configuration is read for.
#[derive(Clone, Copy, Debug)]
pub(in crate::ssh) struct HostQuery<'a> {
    /// The host, as it was given.
    pub host: &'a str,
    /// The user that was given.
    pub user: Option<&'a str>,
    /// The local user.
    pub local_user: Option<&'a str>,
    /// The home directory.
    pub home: Option<&'a Path>,
    /// Options of the command line, as `KEYWORD=VALUE` or `KEYWORD VALUE`. They come before all files.
    pub options: &'a [String],
}

/// A file of the configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::ssh) struct ConfigFile {
    /// The file.
    pub path: PathBuf,
    /// Whether the user named it: then it must exist.
    pub is_named: bool,
    /// The folder of relative names of included files.
    pub base: PathBuf,
}

/// Reads the options and the files, in this order. Returns notes about what was skipped, too.
///
/// # Errors
/// If a file cannot be read, or a line that applies is invalid or not supported.
pub(in crate::ssh) fn read(
    files: &[ConfigFile],
    query: HostQuery<'_>,
) -> Result<(HostConfig, Vec<String>), SshConfigError> {
    let mut reader = Reader { query, config: HostConfig::default(), notes: Vec::new(), ignored: Vec::new() };
    for option in query.options {
        let place = Place { base: Path::new(""), origin: "-o", depth: MAX_DEPTH };
        let at = |problem| SshConfigError::Option(format!("-o {option}: {problem}"));
        reader.line(option, &place, &mut SectionState { applies: true, may_apply: true }).map_err(
            |error| match error {
                LineError::Problem(problem) => at(problem),
                LineError::Included(error) => error,
            },
        )?;
    }
    for file in files {
        let read = match !file.is_named && is_exposed(&file.path) {
            true => Err(SshConfigError::Exposed(file.path.clone())),
            false => reader.file(&file.path, &file.base, 0, true),
        };
        match read {
            Err(SshConfigError::Read { error, .. })
                if error.kind() == ErrorKind::NotFound && !file.is_named => {}
            result => result?,
        }
    }
    if reader.config.host_name.is_none() {
        reader.config.host_name = Some(query.host.to_owned());
    }
    Ok((reader.config, reader.notes))
}

struct Reader<'a> {
    query: HostQuery<'a>,
    config: HostConfig,
    notes: Vec<String>,
    /// Patterns of `IgnoreUnknown`.
    ignored: Vec<String>,
}

/// Where a line is.
struct Place<'a> {
    base: &'a Path,
    /// The file and the line, safe to show.
    origin: &'a str,
    depth: usize,
}

/// Whether the lines apply.
struct SectionState {
    applies: bool,
    /// Whether a `Host` or `Match` line can change that: not in a file that is included by a section that does not apply.
    may_apply: bool,
}

enum LineError {
    Problem(String),
    Included(SshConfigError),
}

impl From<String> for LineError {
    fn from(problem: String) -> LineError {
        LineError::Problem(problem)
    }
}

impl Reader<'_> {
    fn file(&mut self, path: &Path, base: &Path, depth: usize, applies: bool) -> Result<(), SshConfigError> {
        let read = std::fs::read(path);
        let bytes = read.map_err(|error| SshConfigError::Read { file: path.to_owned(), error })?;
        let mut section = SectionState { applies, may_apply: applies };
        for (index, line) in String::from_utf8_lossy(&bytes).lines().enumerate() {
            let origin = format!("{}:{}", shown(path), index + 1);
            let place = Place { base, origin: &origin, depth };
            self.line(line, &place, &mut section).map_err(|error| match error {
                LineError::Problem(problem) => {
                    SshConfigError::Line { file: path.to_owned(), line: index + 1, problem }
                }
                LineError::Included(error) => error,
            })?;
        }
        Ok(())
    }

    fn line(&mut self, line: &str, place: &Place<'_>, section: &mut SectionState) -> Result<(), LineError> {
        let Some((keyword, rest)) = keyword(line) else { return Ok(()) };
        let ignored = |pattern: &String| Glob::host(pattern).matches(keyword.as_bytes());
        match (treatment(&keyword), keyword.as_str()) {
            (_, "host") => {
                let patterns = words(rest)?;
                if patterns.is_empty() {
                    return Err("Host needs a name or a pattern".to_owned().into());
                }
                let given = self.query.host;
                section.applies = section.may_apply && matches(patterns.iter().map(String::as_str), given);
            }
            (_, "match") => {
                section.applies = section.may_apply && self.condition(&words(rest)?, place.origin)?;
            }
            (_, "include") => self.include(&words(rest)?, place, section.applies)?,
            _ if !section.applies => {}
            (_, "ignoreunknown") => {
                self.ignored.extend(words(rest)?.iter().flat_map(|list| list.split(',')).map(str::to_owned));
            }
            // It is a command, with its own quotes.
            (_, "proxycommand") => {
                let command = Some(rest.trim_end().to_owned()).filter(|command| !command.is_empty());
                self.config.set(&keyword, command.as_slice())?;
            }
            (Some(Treatment::Understood), "hostname") => {
                let host = |letter| (letter == 'h').then(|| self.query.host.to_owned());
                // A zone of an address has a % of its own.
                let name = |value: String| tokens::replace(&value, host).unwrap_or(value);
                let values: Vec<_> = words(rest)?.into_iter().map(name).collect();
                self.config.set(&keyword, &values)?;
            }
            (Some(Treatment::Understood), _) => self.config.set(&keyword, &words(rest)?)?,
            (Some(Treatment::Harmless), _) => {}
            (None, _) if self.ignored.iter().any(ignored) => {}
            (None, _) => {
                let keyword = Escaped(keyword.as_bytes());
                self.notes.push(format!("{}: unknown keyword {keyword} ignored", place.origin));
            }
        }
        Ok(())
    }

    /// Reads the files that an `Include` names. Missing ones are ignored, as in OpenSSH.
    fn include(&mut self, names: &[String], place: &Place<'_>, applies: bool) -> Result<(), LineError> {
        if names.is_empty() {
            return Err("Include needs a file".to_owned().into());
        }
        for name in names {
            let path = match (name.strip_prefix("~/"), self.query.home) {
                (Some(rest), Some(home)) => home.join(rest),
                _ => place.base.join(name),
            };
            for file in matching_files(&path) {
                if place.depth >= MAX_DEPTH {
                    return Err(format!("too many files include each other, at {}", shown(&file)).into());
                }
                if is_exposed(&file) {
                    return Err(LineError::Included(SshConfigError::Exposed(file)));
                }
                match self.file(&file, place.base, place.depth + 1, applies) {
                    Err(SshConfigError::Read { file, error }) => {
                        let file = shown(&file);
                        self.notes.push(format!("{}: {file} is not included: {error}", place.origin));
                    }
                    result => result.map_err(LineError::Included)?,
                }
            }
        }
        Ok(())
    }

    /// Whether the conditions of a `Match` line are met.
    fn condition(&mut self, words: &[String], origin: &str) -> Result<bool, String> {
        if words.is_empty() {
            return Err("Match needs a condition".to_owned());
        }
        let mut words = words.iter();
        let (mut applies, mut undecided) = (true, None);
        while let Some(word) = words.next() {
            let (negated, name) = word.strip_prefix('!').map_or((false, word.as_str()), |name| (true, name));
            let (name, inline) =
                name.split_once('=').map_or((name, None), |(name, value)| (name, Some(value)));
            let name = name.to_ascii_lowercase();
            let met = match name.as_str() {
                "all" => Some(true),
                // Names are not made canonical, and the only pass is the final one.
                "canonical" => Some(false),
                "final" => Some(true),
                _ => {
                    let value = inline.or_else(|| words.next().map(String::as_str));
                    self.is_met(&name, value.ok_or_else(|| format!("Match {name} needs a value"))?)
                }
            };
            match met {
                Some(met) => applies &= met != negated,
                None => undecided = Some(name),
            }
        }
        if let Some(name) = undecided.filter(|_| applies) {
            let name = Escaped(name.as_bytes());
            self.notes.push(format!(
                "{origin}: Match {name} skipped: only OpenSSH's ssh, which is not used, can decide it"
            ));
            return Ok(false);
        }
        Ok(applies)
    }

    /// Whether a condition is met; `None` if that is unknown.
    fn is_met(&self, name: &str, patterns: &str) -> Option<bool> {
        let subject = match name {
            "host" => self.config.host_name.as_deref().unwrap_or(self.query.host),
            "originalhost" => self.query.host,
            "user" => {
                let user = self.query.user.or(self.config.user.as_deref());
                user.or(self.query.local_user).unwrap_or_default()
            }
            "localuser" => self.query.local_user.unwrap_or_default(),
            _ => return None,
        };
        Some(matches(patterns.split(','), subject))
    }
}

/// Whether one of the patterns matches, and none that begins with `!` does.
fn matches<'p>(patterns: impl Iterator<Item = &'p str> + Clone, subject: &str) -> bool {
    let subject = subject.to_ascii_lowercase();
    let is = |pattern: &str| Glob::host(pattern).matches(subject.as_bytes());
    let excluded = patterns.clone().any(|pattern| pattern.strip_prefix('!').is_some_and(is));
    !excluded && patterns.into_iter().any(is)
}

/// Whether other users can change a file. A file of the user's first group is fine: that is often a group of their own.
#[cfg(unix)]
fn is_exposed(path: &Path) -> bool {
    use rustix::process::{getegid, geteuid};
    use std::os::unix::fs::MetadataExt;
    let Ok(found) = std::fs::metadata(path) else { return false };
    let is_foreign = ![0, geteuid().as_raw()].contains(&found.uid());
    let has_foreign_group = found.mode() & 0o020 != 0 && found.gid() != getegid().as_raw();
    is_foreign || has_foreign_group || found.mode() & 0o002 != 0
}

#[cfg(not(unix))]
fn is_exposed(_: &Path) -> bool {
    false
}
