//! What is wrong with a configuration.

use super::ConfigLocation;
use crate::display::shown;
use crate::invocation;
use crate::permission::CannotRead;
use sshome_wire::display::Escaped;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};

/// Why there is no configuration.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The folder that the server is to work in is not there.
    #[error("{}: cannot be opened: {}{}", shown(.dir), CannotRead(.dir, .error), dir_hint(.error))]
    Folder {
        /// The folder.
        dir: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// The file cannot be read.
    #[error("{}: cannot be read: {}{}", shown(.file), CannotRead(.file, .error), folder_hint(.error))]
    File {
        /// The file.
        file: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// The file is no text that can be read.
    #[error("{}: {why}", shown(.file))]
    Encoding {
        /// The file.
        file: PathBuf,
        /// Its encoding, with the command that converts it.
        why: String,
    },
    /// There are mistakes in the file.
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

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// The line that it stands in, from 1 on; none if it stands nowhere.
    pub line: Option<usize>,
    /// The key with its tables: `users.alex.quota`; empty where there is none.
    pub key: String,
    /// What is wrong with it, and what would be right.
    pub message: String,
}

impl Diagnostic {
    /// Whether it is the same mistake, wherever it stands.
    pub(crate) fn is_same(&self, other: &Diagnostic) -> bool {
        self.key == other.key && self.message == other.message
    }
}

/// What to do if there is no such folder.
fn dir_hint(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::PermissionDenied => "",
        _ => "; name sshomed's folder with --dir",
    }
}

/// What to do if there is no such file.
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
        let told = format!("{key}{}", mistake.message);
        format!("{}{line}: {}", shown(file), Escaped(told.as_bytes()))
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// Collects mistakes while a text is read.
pub(super) struct Diagnostics<'a> {
    text: &'a str,
    found: Vec<Diagnostic>,
}

impl<'a> Diagnostics<'a> {
    pub(super) fn new(text: &'a str) -> Diagnostics<'a> {
        Diagnostics { text, found: Vec::new() }
    }

    /// Notes a mistake; `span` is where it stands in the text, in bytes.
    pub(super) fn add(&mut self, span: Option<Range<usize>>, key: &str, message: String) {
        let line = span.map(|span| {
            let before = self.text.as_bytes().get(..span.start).unwrap_or_default();
            before.iter().filter(|byte| **byte == b'\n').count() + 1
        });
        self.found.push(Diagnostic { line, key: key.to_owned(), message });
    }

    /// For faults in the syntax: the first on a line is one, those after it follow from it.
    pub(super) fn keep_one_a_line(&mut self) {
        self.found.sort_by_key(|mistake| mistake.line);
        self.found.dedup_by_key(|mistake| mistake.line);
    }

    pub(super) fn into_sorted(mut self) -> Vec<Diagnostic> {
        self.found.sort_by_key(|mistake| mistake.line);
        self.found
    }
}
