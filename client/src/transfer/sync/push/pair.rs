//! A local directory and its counterpart on the server.

use super::super::compare::{Differences, DirectoryComparison, DirectoryListing, is_same_time};
use super::super::local::{self, unreadable};
use super::super::{Direction, SyncOptions};
use crate::transfer::local::LocalDirectory;
use crate::transfer::put::UploadDirectory;
use crate::transfer::{Failure, path_bytes};
use sshome_wire::RemotePath;
use std::fs::{self, Metadata};
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

/// A directory that remains to be compared.
#[derive(Clone)]
pub(super) struct PendingPair {
    pub(super) local: PathBuf,
    /// Its path below the source.
    pub(super) relative: PathBuf,
    pub(super) remote: RemotePath,
    pub(super) exists: bool,
    /// The directory around it, if something in that changes: it is finished after this one.
    pub(super) within: Option<Arc<UploadDirectory>>,
}

/// A directory that was compared.
pub(super) struct ComparedPair {
    pub(super) pair: PendingPair,
    /// Attributes of the local directory.
    pub(super) metadata: Metadata,
    pub(super) differences: Differences,
    /// Whether it has another time than its counterpart.
    pub(super) has_other_time: bool,
}

/// Compares a local directory with its counterpart.
///
/// # Errors
/// If the local one cannot be read.
pub(super) fn compare(
    pair: PendingPair,
    listing: Option<DirectoryListing>,
    options: &SyncOptions,
) -> Result<ComparedPair, Failure> {
    let is_top = pair.relative.as_os_str().is_empty();
    // A source that is a link is followed.
    let look = if is_top { fs::metadata(&pair.local) } else { fs::symlink_metadata(&pair.local) };
    let list = |metadata: Metadata| -> io::Result<_> {
        Ok((metadata, local::list(&LocalDirectory::open(&pair.local)?, &pair.local)?))
    };
    let (metadata, ours) = look.and_then(list).map_err(|error| unreadable(&pair.local, &error))?;
    let comparison = DirectoryComparison {
        options,
        direction: Direction::Push,
        relative: &pair.relative,
        source: path_bytes(&pair.local),
        is_same_time: &is_same_time,
    };
    let mut differences = comparison.compare(ours.entries, listing.as_ref().map(|theirs| &*theirs.entries));
    differences.failures.extend(ours.failures);
    differences.failures.extend(comparison.conflicts(&differences));
    differences.failures.extend(comparison.check_top(&differences).filter(|_| is_top));
    let mtime = crate::transfer::mtime(&metadata);
    let has_other_time = listing.is_some_and(|theirs| !is_same_time(theirs.mtime, mtime));
    Ok(ComparedPair { pair, metadata, differences, has_other_time })
}
