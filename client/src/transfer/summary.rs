//! The result of a transfer: counts, and the files that need a line of their own.

use super::capped_list::CappedList;
use sshome_wire::Status;
use sshome_wire::display::{Escaped, Size};
use std::fmt;
use std::path::PathBuf;

/// The result of a transfer.
#[derive(Clone, Debug, Default)]
pub struct TransferSummary {
    /// Files that were transferred. They are verified and durable.
    pub files: u64,
    /// Their length in bytes.
    pub bytes: u64,
    /// Bytes that were not sent, because the destination had them in an old version of the file.
    pub matched: u64,
    /// Bytes that were not sent, because the server copied them from another file.
    pub copied: u64,
    /// Bytes that were not sent because compression made the data shorter.
    pub saved: u64,
    /// Files that were not transferred because the destination has the same content.
    pub unchanged: u64,
    /// Files that were compared by the server's stored digests: it did not read them.
    pub trusted: u64,
    /// Symbolic links that were made. One that existed counts as unchanged.
    pub links: u64,
    /// Entries of the destination that were deleted.
    pub deleted: u64,
    /// Files that were saved under a different name, because another file has theirs.
    pub saved_as: CappedList<SavedFile>,
    /// Files that were resumed, or whose partial file differed.
    pub resumed: CappedList<ResumedFile>,
    /// Special files, which are skipped.
    pub skipped: CappedList<Failure>,
    /// Files that failed.
    pub failures: CappedList<Failure>,
}

/// A file that was saved under a different name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SavedFile {
    /// The intended path.
    pub wanted: PathBuf,
    /// The actual path.
    pub saved: PathBuf,
}

/// A file with a partial file from an earlier transfer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResumedFile {
    /// Its path, safe to show.
    pub what: String,
    /// Bytes that agreed; 0 if none did, so that the transfer started from the beginning.
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

/// The reason if a file arrived with a digest that differs from the server's.
pub(super) const CONTENT_DIFFERS: &str = "the received data differ from the stored file: `hash --verify` shows whether it has changed on the server's disk; if so, restore it from a copy, otherwise get it again";

/// The reason if a source is named more than once.
pub(super) const NAMED_TWICE: &str = "named more than once: transferred once";

/// The reason if a directory is named without `-r`.
pub(super) const IS_DIRECTORY: &str = "is a directory: use get -r";

/// A file that was not transferred.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// Its path, safe to show.
    pub what: String,
    /// The reason, safe to show.
    pub why: String,
    /// The server's status, if the server refused it.
    pub status: Option<Status>,
}

impl Failure {
    pub(super) fn of(what: &[u8], why: impl Into<String>) -> Failure {
        Failure { what: Escaped(what).to_string(), why: why.into(), status: None }
    }

    /// A refusal of the server.
    pub(super) fn refused(what: &[u8], status: Status, message: &str) -> Failure {
        let why = match message {
            "" => status.words().to_owned(),
            message => Escaped(message.as_bytes()).to_string(),
        };
        Failure { what: Escaped(what).to_string(), why, status: Some(status) }
    }
}

impl TransferSummary {
    /// Whether nothing was transferred or deleted, and there is nothing to report.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        let done = self.files + self.links + self.deleted;
        done == 0 && self.skipped.is_empty() && self.failures.is_empty()
    }

    /// Adds the result of another part of the same transfer.
    pub(super) fn add(&mut self, other: TransferSummary) {
        self.files += other.files;
        self.bytes = self.bytes.saturating_add(other.bytes);
        self.matched = self.matched.saturating_add(other.matched);
        self.copied = self.copied.saturating_add(other.copied);
        self.saved = self.saved.saturating_add(other.saved);
        self.unchanged += other.unchanged;
        self.trusted += other.trusted;
        self.links += other.links;
        self.deleted += other.deleted;
        self.saved_as.add(other.saved_as);
        self.resumed.add(other.resumed);
        self.skipped.add(other.skipped);
        self.failures.add(other.failures);
    }
}
