//! `push` makes a directory on the server like a local one, `pull` the reverse. Only files that differ are transferred.
//!
//! The two trees are walked side by side, a batch of directories at a time, so that memory use does not depend on their
//! size ([`push`], [`pull`]). Files with the same size and modification time are the same ([`compare`]). The transfers of a
//! batch are those of `put` and `get`. `check` only reports the differences ([`check`]). What exists only at the destination is deleted last, and only if nothing failed
//! ([`delete`], [`prune`]).

mod alike;
mod change;
mod check;
mod compare;
mod delete;
mod digests;
mod filter;
mod limits;
mod listing;
mod local;
mod prune;
mod pull;
mod push;
mod sources;
mod time_steps;
mod watch;

pub use change::{DifferenceKind, SyncAction, SyncChange, TreeDifference};
pub use check::{CheckSummary, check};
pub use filter::{Filter, FilterError, FilterRules};
pub use pull::pull;
pub use push::{push, push_changes};
pub use watch::{TreeWatcher, WatchedChanges};

use super::{Delta, Jobs, TransferContext, TransferOptions};
use sshome_wire::{Entry, FileKind, RemotePath};
use std::path::{Path, PathBuf};

/// The largest number of directories that are listed at once.
const MAX_PIPELINED_LISTINGS: usize = 64;

/// How files of the same size are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileComparison {
    /// By their modification times.
    Times,
    /// By their digests. The server does not read a file whose stored digest still applies.
    StoredDigests,
    /// By their digests. Both sides read all files.
    Contents,
}

/// How two trees are compared, and what may be changed.
#[derive(Clone, Debug)]
pub struct SyncOptions {
    /// Which names take part.
    pub filter: Filter,
    /// How files of the same size are compared.
    pub comparison: FileComparison,
    /// Nothing is changed; the changes are only reported.
    pub dry_run: bool,
    /// Files that do not exist at the destination are not sent.
    pub existing: bool,
    /// Files that exist at the destination are not replaced.
    pub ignore_existing: bool,
    /// Files that are newer at the destination are not replaced.
    pub update: bool,
    /// Smaller files are not sent, in bytes.
    pub min_size: Option<u64>,
    /// Larger files are not sent, in bytes.
    pub max_size: Option<u64>,
    /// What exists only at the destination is deleted.
    pub delete: Option<DeleteOptions>,
    /// For a push: nothing that exists is changed, not even the time of a directory.
    pub adds_only: bool,
    /// For a push: where old versions of files are kept that are replaced or deleted.
    pub remote_backup: Option<RemotePath>,
    /// The same for a pull.
    pub local_backup: Option<PathBuf>,
    /// How many connections share the transfer.
    pub jobs: Jobs,
    /// Whether new versions are sent as differences.
    pub delta: Delta,
    /// The approximate number of entries in a batch; a directory is never divided.
    pub batch_entries: usize,
    /// A file of at least this many bytes is divided between several connections.
    pub split_bytes: u64,
}

impl Default for SyncOptions {
    fn default() -> SyncOptions {
        SyncOptions {
            filter: Filter::default(),
            comparison: FileComparison::Times,
            dry_run: false,
            existing: false,
            ignore_existing: false,
            update: false,
            min_size: None,
            max_size: None,
            delete: None,
            adds_only: false,
            remote_backup: None,
            local_backup: None,
            jobs: Jobs::default(),
            delta: Delta::default(),
            batch_entries: TransferOptions::DEFAULT_BATCH_ENTRIES,
            split_bytes: TransferOptions::DEFAULT_SPLIT_BYTES,
        }
    }
}

impl SyncOptions {
    /// Whether a file takes part, by its length. Other entries have none.
    fn allows_size(&self, entry: &Entry) -> bool {
        let is_small = self.min_size.is_some_and(|min| entry.size < min);
        let is_large = self.max_size.is_some_and(|max| entry.size > max);
        entry.kind != FileKind::File || !is_small && !is_large
    }

    /// Whether names that the filter excludes are deleted.
    fn deletes_excluded(&self) -> bool {
        self.delete.is_some_and(|delete| delete.excluded)
    }
}

/// Which side is made like the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Direction {
    /// The server.
    Push,
    /// This machine.
    Pull,
    /// None.
    Check,
}

impl Direction {
    /// Why an entry fails that has a counterpart of another kind: a directory, or something else.
    fn conflict(self, is_directory: bool) -> &'static str {
        match (self, is_directory) {
            (Direction::Push | Direction::Check, true) => {
                "a file or link on the server has this directory's name; remove that first"
            }
            (Direction::Push | Direction::Check, false) => {
                "a directory on the server has this file's name; remove that first"
            }
            (Direction::Pull, true) => "a local file or link has this directory's name; remove that first",
            (Direction::Pull, false) => "a local directory has this file's name; remove that first",
        }
    }

    /// Why an entry with the name of an unfinished file is skipped.
    fn unfinished(self) -> &'static str {
        match self {
            Direction::Push => "it belongs to an unfinished or unwanted get; rename it to push it",
            Direction::Pull => "its name is one of an unfinished or unwanted get; rename it to pull it",
            Direction::Check => "its name is one of an unfinished or unwanted get; it was not compared",
        }
    }

    /// Why an entry with the name of an unfinished file is skipped that exists only at the destination; `None` if that is no
    /// surprise.
    fn unfinished_counterpart(self) -> Option<&'static str> {
        match self {
            Direction::Push | Direction::Pull => None,
            Direction::Check => Some(
                "only the server has it; its name is one of an unfinished or unwanted get; it was not compared",
            ),
        }
    }
}

/// Limits on deletion.
#[derive(Clone, Copy, Debug, Default)]
pub struct DeleteOptions {
    /// Names that the filter excludes are deleted as well.
    pub excluded: bool,
    /// The largest number of entries to delete. `None`: half of the destination's entries, at least 100.
    pub max: Option<u64>,
}

/// Reports a planned change.
fn report(ctx: &TransferContext<'_>, action: SyncAction, path: &RemotePath, is_directory: bool) {
    if let Some(observer) = ctx.progress.observer() {
        observer.changes(&SyncChange { action, path: path.as_bytes(), local: None, is_directory });
    }
}

/// Reports a planned change of a local entry, with the path of its counterpart on the server.
fn report_local(
    ctx: &TransferContext<'_>,
    action: SyncAction,
    path: &[u8],
    local: &Path,
    is_directory: bool,
) {
    if let Some(observer) = ctx.progress.observer() {
        observer.changes(&SyncChange { action, path, local: Some(local), is_directory });
    }
}

/// The path of a name in a directory on the server, whatever the name is.
fn joined(directory: &[u8], name: &[u8]) -> Vec<u8> {
    let slash: &[u8] = if directory.ends_with(b"/") { b"" } else { b"/" };
    [directory, slash, name].concat()
}
