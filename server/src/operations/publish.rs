//! Publishing: staged files are synced and renamed to their targets, atomically and durably.

use super::error::{Context, over_quota};
use super::partial_uploads::PendingUpload;
use super::{Error, Result, User, freed};
use crate::audit::Transfer;
use crate::home::{self, Location, StagedFile, WritebackEpoch};
use crate::quota::{FileId, FreedSpace, Reservation, UsageChange};
use rustix::fs::FileType;
use rustix::io::Errno;
use sshome_wire::{Digest, RemotePath};
use std::collections::{HashMap, HashSet};

/// Files or directories that are synced one by one; for more, one `syncfs` is cheaper.
pub(super) const MAX_SINGLE_SYNCS: usize = 4;

/// A complete and verified staged file with its attributes set, ready to be published.
#[derive(Debug)]
pub struct PendingPublish {
    pub(super) path: RemotePath,
    pub(super) target: Location,
    /// Dropped before it is published, as when the connection is lost, it becomes a partial upload.
    pub(super) pending: PendingUpload,
    /// Length in bytes.
    pub(super) size: u64,
    /// Whether it was synced already.
    pub(super) durable: bool,
    /// Whether publishing fails if the target exists.
    pub(super) exclusive: bool,
    /// The digest, if known.
    pub(super) digest: Option<Digest>,
    pub(super) transfer: Transfer,
}

/// Publishes a batch of files: syncs their data, renames them to their targets, and syncs the directories. The files that
/// are reported as published survive a power cut, and so do earlier new names in the directories of `made`.
///
/// The results are in the order of `items`; the second value is the result for `made`.
pub fn publish(
    user: &User,
    items: Vec<PendingPublish>,
    made: Vec<Location>,
) -> (Vec<Result<()>>, Result<()>) {
    user.home.end_batch();
    let staged = items.iter().filter_map(|item| item.pending.staged());
    let writeback_epoch = staged.map(StagedFile::writeback_epoch).min();
    let writeback_epoch = writeback_epoch.unwrap_or_else(|| user.home.writeback_epoch());
    let data = sync_data(user, &items, writeback_epoch);
    let (mut directories, mut targets) = (HashMap::new(), HashSet::new());
    let note = |target: Location, directories: &mut HashMap<FileId, Location>| {
        let id = target.identity().ok()?;
        directories.entry(id.directory).or_insert(target);
        Some(id)
    };
    for location in made {
        note(location, &mut directories);
    }
    let mut results = Vec::with_capacity(items.len());
    {
        let namespace = user.home.lock_namespace();
        for mut item in items {
            let (path, target) = (item.path.clone(), item.target.clone());
            let result = match data.of_file(&path) {
                Ok(()) => publish_one(user, item, &namespace),
                Err(error) => {
                    item.pending.discard_on_drop();
                    item.transfer.failed(&error);
                    Err(error)
                }
            };
            if result.is_ok() {
                targets.extend(note(target, &mut directories));
            }
            results.push(result.map(|published| (path, published)));
        }
    }
    // Partial uploads of files to these targets are obsolete. Those of streams are kept: a client cannot restart them.
    user.home.discard(|partial| {
        !partial.file.is_stream() && partial.file.target().is_some_and(|target| targets.contains(target))
    });
    let synced = sync_directories(user, &directories, writeback_epoch);
    let results = results.into_iter().map(|result| {
        let (path, published) = result?;
        match synced.of_directory(&path) {
            Ok(()) => published.log(),
            Err(error) => {
                published.transfer.failed(&error);
                return Err(error);
            }
        }
        Ok(())
    });
    (results.collect(), synced.of_directory(&RemotePath::root()))
}

fn sync_data(user: &User, items: &[PendingPublish], writeback_epoch: WritebackEpoch) -> home::Result<()> {
    let lacking = || items.iter().filter(|item| !item.durable);
    if lacking().count() > MAX_SINGLE_SYNCS {
        return user.home.sync(writeback_epoch);
    }
    // Not fdatasync: mode, times and the digest must survive as well.
    let staged = lacking().filter_map(|item| item.pending.staged());
    staged.map(StagedFile::file).try_for_each(|file| Ok(rustix::fs::fsync(file)?))
}

fn sync_directories(
    user: &User,
    directories: &HashMap<FileId, Location>,
    writeback_epoch: WritebackEpoch,
) -> home::Result<()> {
    if directories.len() > MAX_SINGLE_SYNCS {
        return user.home.sync(writeback_epoch);
    }
    directories.values().try_for_each(Location::sync_directory)
}

/// A file that was renamed to its target.
struct Published {
    transfer: Transfer,
    size: u64,
    digest: Option<Digest>,
    replaced: bool,
}

impl Published {
    fn log(self) {
        self.transfer.published(self.size, self.digest, self.replaced);
    }
}

/// Renames one file to its target and accounts for the difference to what it replaces.
fn publish_one(user: &User, item: PendingPublish, namespace: &home::NamespaceLock<'_>) -> Result<Published> {
    let PendingPublish { path, target, mut pending, size, exclusive, digest, transfer, .. } = item;
    // The lease keeps other conversations from resuming a stream before it is published.
    let (staged, reservation, _stream_lease) = pending.take().ok_or_else(|| Error::NoPart(path.clone()))?;
    match rename_into_place(user, path, &target, (reservation, size, exclusive), staged, namespace) {
        Ok(replaced) => Ok(Published { transfer, size, digest, replaced }),
        Err(error) => {
            transfer.failed(&error);
            Err(error)
        }
    }
}

/// Returns whether a file was replaced.
fn rename_into_place(
    user: &User,
    path: RemotePath,
    target: &Location,
    (mut reservation, size, exclusive): (Reservation, u64, bool),
    staged: StagedFile,
    namespace: &home::NamespaceLock<'_>,
) -> Result<bool> {
    user.home.root().check().of_file(&path)?;
    let replaced = target.stat_if_any().of_file(&path)?;
    if let Some(stat) = &replaced
        && FileType::from_raw_mode(stat.st_mode) == FileType::Directory
    {
        return Err(Error::IsDirectory { path, hint: "" });
    }
    if exclusive && replaced.is_some() {
        return Err(Errno::EXIST).of_file(&path);
    }
    // The file that was there when the upload began may have been removed or opened meanwhile.
    let entries = u64::from(replaced.is_none());
    let old = match &replaced {
        Some(stat) => freed(user, target, stat, namespace).of_file(&path)?,
        None => FreedSpace::Nothing,
    };
    reservation.cover(size, entries, &old).map_err(over_quota(user, &path))?;
    staged.publish(target, namespace).of_file(&path)?;
    let change = UsageChange { bytes: i64::try_from(size).unwrap_or(i64::MAX), entries: entries as i64 };
    reservation.commit_replacing(change, old);
    Ok(replaced.is_some())
}
