//! Diagnostics of the settings file.

use super::location::ConfigLocation;
use crate::invocation;
use crate::permission::CannotRead;
use sshome_store::shown;
use sshome_wire::display::Escaped;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};

/// Why the configuration cannot be loaded.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The server's folder cannot be opened.
    #[error("{}: cannot be opened: {}{}", shown(.dir), CannotRead(.dir, .error), dir_hint(.error))]
    Folder {
        /// The folder.
        dir: PathBuf,
        /// The error of the system.
        error: io::Error,
    },
    /// The file cannot be read.
    #[error("{}: cannot be read: {}{}", shown(.file), CannotRead(.file, .error), folder_hint(.error))]
    File {
        /// The file.
        file: PathBuf,
        /// The error of the system.
        error: io::Error,
    },
    /// The file is not UTF-8.
    #[error("{}: {why}", shown(.file))]
    Encoding {
        /// The file.
        file: PathBuf,
        /// Its encoding, with the command that converts it.
        why: String,
    },
    /// The file has mistakes.
    #[error("{}", list(.file, .mistakes))]
    Invalid {
        /// The file, as the administrator would name it.
        file: PathBuf,
        /// All of them, by line.
        mistakes: Vec<Diagnostic>,
    },
}

impl ConfigError {
    pub(crate) fn mistakes(location: &ConfigLocation, mistakes: Vec<Diagnostic>) -> ConfigError {
        ConfigError::Invalid { file: location.shown.clone(), mistakes }
    }
}

/// A mistake in the settings file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// Its line, from 1. `None` if it has no position.
    pub line: Option<usize>,
    /// The full key, such as `users.alex.quota`. Empty if there is none.
    pub key: String,
    /// The problem and the remedy.
    pub message: String,
}

impl Diagnostic {
    /// Whether it is the same mistake, on any line.
    pub(crate) fn is_same(&self, other: &Diagnostic) -> bool {
        self.key == other.key && self.message == other.message
    }
}

/// The remedy if the folder does not exist.
fn dir_hint(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::PermissionDenied => "",
        _ => "; name sshomed's folder with --dir",
    }
}

/// The remedy if the file does not exist.
fn folder_hint(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::NotFound if invocation::is_serving() => "; put the file, or its symbolic link, back",
        io::ErrorKind::NotFound => {
            "; sshomed works in the folder that holds etc/users.toml: name the folder with --dir, or the file with \
             --config"
        }
        _ => "",
    }
}

fn list(file: &Path, mistakes: &[Diagnostic]) -> String {
    let lines = mistakes.iter().map(|mistake| {
        let line = mistake.line.map(|line| format!(":{line}")).unwrap_or_default();
        let key = if mistake.key.is_empty() { String::new() } else { format!("{}: ", mistake.key) };
        // Keys and values are quoted from the file, and may hold anything.
        let text = format!("{key}{}", mistake.message);
        format!("{}{line}: {}", shown(file), Escaped(text.as_bytes()))
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// Collects mistakes while a text is parsed.
pub(super) struct Diagnostics<'a> {
    text: &'a str,
    found: Vec<Diagnostic>,
}

impl<'a> Diagnostics<'a> {
    pub(super) fn new(text: &'a str) -> Diagnostics<'a> {
        Diagnostics { text, found: Vec::new() }
    }

    /// Adds a mistake. `span` is its position in the text, in bytes.
    pub(super) fn add(&mut self, span: Option<Range<usize>>, key: &str, message: String) {
        let line = span.map(|span| line_of(self.text, span.start));
        self.found.push(Diagnostic { line, key: key.to_owned(), message });
    }

    /// The number of mistakes so far.
    pub(super) fn len(&self) -> usize {
        self.found.len()
    }

    /// Keeps the first syntax error of each line: the others follow from it.
    pub(super) fn keep_one_a_line(&mut self) {
        self.found.sort_by_key(|mistake| mistake.line);
        self.found.dedup_by_key(|mistake| mistake.line);
    }

    pub(super) fn into_sorted(mut self) -> Vec<Diagnostic> {
        self.found.sort_by_key(|mistake| mistake.line);
        self.found
    }
}

/// The line of a position in a text, from 1.
pub(super) fn line_of(text: &str, at: usize) -> usize {
    let before = text.as_bytes().get(..at).unwrap_or_default();
    before.iter().filter(|byte| **byte == b'\n').count() + 1
}
