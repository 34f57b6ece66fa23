//! `push`: makes a directory on the server like a local one. Only files that differ are sent.
//!
//! The two trees are walked side by side, a batch of directories at a time, so that memory use does not depend on their
//! size ([`push`]). Files with the same size and modification time are the same ([`compare`]). The uploads of a batch are
//! those of `put`. What exists only on the server is deleted last, and only if nothing failed ([`delete`]).

mod change;
mod compare;
mod delete;
mod digests;
mod filter;
mod listing;
mod push;
mod sources;

pub use change::{SyncAction, SyncChange};
pub use filter::{Filter, FilterError, FilterRules};
pub use push::push;

use super::{Delta, Jobs, TransferContext};
use sshome_wire::RemotePath;

/// How two trees are compared, and what may be changed.
#[derive(Clone, Debug, Default)]
pub struct SyncOptions {
    /// Which names take part.
    pub filter: Filter,
    /// Files of the same size are compared by their digests instead of their times.
    pub checksum: bool,
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
    /// How many connections share the transfer.
    pub jobs: Jobs,
    /// Whether new versions are sent as differences.
    pub delta: Delta,
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
        observer.changes(&SyncChange { action, path: path.as_bytes(), is_directory });
    }
}
