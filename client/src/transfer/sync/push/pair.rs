//! A local directory and its counterpart on the server.

use super::super::compare::{Differences, DirectoryComparison, DirectoryListing, is_same_time};
use super::super::digests::{self, FilePair, LocalFile};
use super::super::local::{self, unreadable};
use super::super::{Direction, SyncOptions};
use super::{RemoteBackup, folds};
use crate::conversation::ConversationError;
use crate::transfer::local::{LocalDirectory, since_epoch};
use crate::transfer::put::{FilledQueue, UploadDirectory};
use crate::transfer::retries::Retries;
use crate::transfer::{Failure, TransferContext, path_bytes};
use sshome_wire::{Entry, FileKind, RemotePath};
use std::collections::HashSet;
use std::fs::{self, Metadata};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

/// A directory that remains to be compared.
#[derive(Clone)]
pub(super) struct PendingPair {
    pub(super) local: PathBuf,
    /// Its path below the source.
    pub(super) relative: PathBuf,
    pub(super) remote: RemotePath,
    pub(super) exists: bool,
    /// Permission bits of its counterpart, once that was listed.
    pub(super) old_mode: Option<u32>,
    /// The directory around it, if something in that changes: it is finished after this one.
    pub(super) within: Option<Arc<UploadDirectory>>,
    /// Whether directories in it that exist on both sides are left out.
    pub(super) is_shallow: bool,
}

/// A directory that was compared.
pub(super) struct ComparedPair {
    pub(super) pair: PendingPair,
    /// Attributes of the local directory.
    pub(super) metadata: Metadata,
    pub(super) differences: Differences,
    /// Groups of names that look alike, of which at least one is new.
    pub(super) alike: Vec<Vec<Vec<u8>>>,
    /// Whether it has another time than its counterpart.
    pub(super) has_other_time: bool,
}

/// Decides by digests which of the undecided files are sent. Returns how many of these the server did not read, because
/// their stored digests still applied.
///
/// # Errors
/// Those of the conversation.
pub(super) async fn decide(
    ctx: &mut TransferContext<'_>,
    retries: &mut Retries,
    compared: &mut [ComparedPair],
) -> Result<u64, ConversationError> {
    let mut pairs = Vec::new();
    for ComparedPair { pair, differences, .. } in &*compared {
        pairs.extend(differences.undecided.iter().map(|one| pair.file(&one.entry)));
    }
    let decided = digests::compare(ctx, retries, pairs, true, None).await?;
    let mut results = decided.results.into_iter();
    for ComparedPair { differences, .. } in compared {
        differences.decide(&mut results);
    }
    Ok(decided.trusted)
}

impl PendingPair {
    /// A source that the user named, and its path on the server.
    pub(super) fn top(source: &Path, remote: RemotePath, exists: bool) -> PendingPair {
        let (local, relative) = (source.to_owned(), PathBuf::new());
        PendingPair { local, relative, remote, exists, old_mode: None, within: None, is_shallow: false }
    }

    /// A directory in it. `planned` is this one, if something in it changes.
    ///
    /// # Errors
    /// If its path is too long.
    pub(super) fn child(
        &self,
        entry: &Entry,
        exists: bool,
        planned: Option<&Arc<UploadDirectory>>,
    ) -> Result<PendingPair, Failure> {
        let name = crate::names::path(&entry.name).unwrap_or_default();
        let (local, relative) = (self.local.join(&name), self.relative.join(&name));
        match self.remote.join(&entry.name) {
            Ok(remote) => {
                let within = planned.or(self.within.as_ref()).cloned();
                Ok(PendingPair { local, relative, remote, exists, old_mode: None, within, is_shallow: false })
            }
            Err(error) => Err(Failure::of(path_bytes(&local), error.to_string())),
        }
    }

    /// Its upload. Without a queue for filled directories it keeps its time and, if it exists, its access.
    pub(super) fn upload(&self, metadata: &Metadata, filled: Option<&FilledQueue>) -> Arc<UploadDirectory> {
        let (local, remote, within) = (self.local.clone(), self.remote.clone(), self.within.clone());
        let old_mode = self.old_mode.filter(|_| filled.is_some());
        UploadDirectory::planned(local, remote, metadata, old_mode, within, filled)
    }

    /// A file of the directory that exists on both sides.
    pub(super) fn file(&self, entry: &Entry) -> FilePair {
        let (base, name) = (self.local.clone(), entry.name.clone());
        let local = LocalFile { base, below: Vec::new(), name, follow: false };
        // It exists, so its path is not too long.
        let remote = self.remote.join(&entry.name).unwrap_or_else(|_| self.remote.clone());
        FilePair { local, remote, size: entry.size }
    }
}

/// Compares a local directory with its counterpart.
///
/// What is in the directory of old versions takes no part, nor do local entries that are being changed.
///
/// # Errors
/// If the local one cannot be read.
pub(super) fn compare(
    mut pair: PendingPair,
    mut listing: Option<DirectoryListing>,
    options: &SyncOptions,
    (backup, busy): (Option<&RemoteBackup>, &HashSet<PathBuf>),
) -> Result<ComparedPair, Failure> {
    let is_top = pair.relative.as_os_str().is_empty();
    // A source that is a link is followed.
    let look = if is_top { fs::metadata(&pair.local) } else { fs::symlink_metadata(&pair.local) };
    let list = |metadata: Metadata| -> io::Result<_> {
        Ok((metadata, local::list(&LocalDirectory::open(&pair.local)?, &pair.local)?))
    };
    let (metadata, mut ours) = look.and_then(list).map_err(|error| unreadable(&pair.local, &error))?;
    let is_empty = ours.entries.is_empty() && ours.failures.is_empty();
    pair.old_mode = listing.as_ref().map(|theirs| theirs.mode);
    let is_backup = |entry: &Entry| backup.is_some_and(|backup| backup.is_at(&pair.remote, entry));
    if let Some(theirs) = &mut listing {
        theirs.entries.retain(|entry| !is_backup(entry));
    }
    if !busy.is_empty() {
        let is_busy = |entry: &Entry| {
            crate::names::path(&entry.name).is_some_and(|name| busy.contains(&pair.local.join(name)))
        };
        // A directory is compared by its entries.
        let is_left = |entry: &Entry| entry.kind == FileKind::Directory || !is_busy(entry);
        ours.entries.retain(is_left);
        listing.iter_mut().for_each(|theirs| theirs.entries.retain(is_left));
    }
    let backups = ours.entries.extract_if(.., |entry| is_backup(entry)).collect::<Vec<_>>();
    let comparison = DirectoryComparison {
        options,
        direction: Direction::Push,
        relative: &pair.relative,
        source: path_bytes(&pair.local),
        now: Some(since_epoch(SystemTime::now())),
        is_same_time: &is_same_time,
    };
    let mut differences = comparison.compare(ours.entries, listing.as_ref().map(|theirs| &*theirs.entries));
    let skip = |entry: &Entry| {
        comparison.failure(&entry.name, "not pushed: on the server --backup-dir has its name")
    };
    differences.skipped.extend(backups.iter().map(skip));
    differences.failures.extend(ours.failures);
    differences.failures.extend(comparison.conflicts(&differences));
    differences.failures.extend(comparison.check_top(&differences, is_empty).filter(|_| is_top));
    let alike = folds::groups(&differences, listing.as_ref().map_or(&[], |theirs| &theirs.entries));
    let mtime = crate::transfer::mtime(&metadata);
    let has_other_time = listing.is_some_and(|theirs| !is_same_time(theirs.mtime, mtime));
    Ok(ComparedPair { pair, metadata, differences, alike, has_other_time })
}
