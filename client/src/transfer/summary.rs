//! The result of a transfer: counts, and the files that need a line of their own.

use super::capped_list::CappedList;
use sshome_wire::Status;
use sshome_wire::display::{Escaped, Size};
use std::fmt;
use std::path::PathBuf;

/// What became of a transfer.
#[derive(Clone, Debug, Default)]
pub struct TransferSummary {
    /// Files that were transferred, are verified and durable.
    pub files: u64,
    /// Their length in bytes.
    pub bytes: u64,
    /// Files that were not transferred, because the same content is there already.
    pub unchanged: u64,
    /// Symbolic links that were made. One that was there already counts as unchanged.
    pub links: u64,
    /// Files that were saved under another name, because a different one has theirs.
    pub saved_as: CappedList<SavedFile>,
    /// Files that were gone on with, or that might have been.
    pub resumed: CappedList<ResumedFile>,
    /// Special files, which were left out.
    pub skipped: CappedList<Failure>,
    /// Files that did not arrive. The others did.
    pub failures: CappedList<Failure>,
}

/// A file that was saved under another name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SavedFile {
    /// Where it would have gone.
    pub wanted: PathBuf,
    /// Where it is.
    pub saved: PathBuf,
}

/// A file of which a part was there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResumedFile {
    /// Its path, safe to show.
    pub what: String,
    /// Bytes that were there and agree; 0 where none do, so that it began anew.
    pub offset: u64,
}

impl ResumedFile {
    pub(super) fn of(what: &[u8], offset: u64) -> ResumedFile {
        ResumedFile { what: Escaped(what).to_string(), offset }
    }
}

impl fmt::Display for ResumedFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.offset {
            0 => write!(f, "{}: the partial file differs: starting over", self.what),
            offset => write!(f, "{}: resumed at {}", self.what, Size(offset)),
        }
    }
}

/// What is said of a file that came to its end with another digest than the server has of it.
pub(super) const DIFFERS: &str = "what arrived is not what was stored: `hash --verify` tells whether it has changed on the \
                       server's disk; then restore it from a copy, else get it again";

/// What is said of a source that is named more than once.
pub(super) const NAMED_TWICE: &str = "named more than once: transferred once";

/// What is said of a directory that is to be fetched as a file.
pub(super) const IS_DIRECTORY: &str = "is a directory: use get -r";

/// One thing that was not transferred.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// Its path, safe to show.
    pub what: String,
    /// The reason, safe to show.
    pub why: String,
    /// The server's status, where it was the server that said so.
    pub status: Option<Status>,
}

impl Failure {
    pub(super) fn of(what: &[u8], why: impl Into<String>) -> Failure {
        Failure { what: Escaped(what).to_string(), why: why.into(), status: None }
    }

    /// What the server said about `what`.
    pub(super) fn refused(what: &[u8], status: Status, message: &str) -> Failure {
        let why = match message {
            "" => status.words().to_owned(),
            message => Escaped(message.as_bytes()).to_string(),
        };
        Failure { what: Escaped(what).to_string(), why, status: Some(status) }
    }
}

impl TransferSummary {
    /// Adds what another part of the same transfer did.
    pub(super) fn add(&mut self, other: TransferSummary) {
        self.files += other.files;
        self.bytes = self.bytes.saturating_add(other.bytes);
        self.unchanged += other.unchanged;
        self.links += other.links;
        self.saved_as.add(other.saved_as);
        self.resumed.add(other.resumed);
        self.skipped.add(other.skipped);
        self.failures.add(other.failures);
    }
}
