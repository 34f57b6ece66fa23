//! Publishing: from a staged file to a name, whole and durable.

use super::error::{Context, over_quota};
use super::{Error, Result, User, freed};
use crate::audit::Transfer;
use crate::home::{self, Location, StagedFile, StreamLease, WritebackEpoch};
use crate::quota::{FileId, FreedSpace, Reservation, UsageChange};
use rustix::fs::FileType;
use rustix::io::Errno;
use sshome_wire::{Digest, RemotePath};
use std::collections::{HashMap, HashSet};

/// More files than this are cheaper to put on the disk with one `syncfs` than one by one.
pub(super) const MAX_SINGLE_SYNCS: usize = 4;

/// A staged file that is complete and verified, with its mode and times set, and the room it needs.
#[derive(Debug)]
pub struct PendingPublish {
    pub(super) path: RemotePath,
    pub(super) target: Location,
    pub(super) staged: StagedFile,
    pub(super) reservation: Reservation,
    /// Length in bytes.
    pub(super) size: u64,
    /// Whether the data are on the disk already.
    pub(super) durable: bool,
    /// Whether the name must be free.
    pub(super) exclusive: bool,
    /// The digest, where it is known.
    pub(super) digest: Option<Digest>,
    pub(super) transfer: Transfer,
    /// Of a stream: until it has its name, nobody else is to look for what is left of it.
    pub(super) _stream_lease: Option<StreamLease>,
}

/// Gives all of these files their names. When it returns, those that are reported as placed are on
/// the disk, also after a power cut: first the data, then the renames, then the directories. So are
/// names that were made before, in the directories of `made`.
///
/// The results are in the order of `items`; the last is of `made`.
pub fn publish(
    user: &User,
    items: Vec<PendingPublish>,
    made: Vec<Location>,
) -> (Vec<Result<()>>, Result<()>) {
    user.home.end_batch();
    let writeback_epoch = items.iter().map(|item| item.staged.writeback_epoch()).min();
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
        for item in items {
            let (path, target) = (item.path.clone(), item.target.clone());
            let result = match data.of_file(&path) {
                Ok(()) => publish_one(user, item, &namespace),
                Err(error) => {
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
    // A part of what a name held or was to hold is of no more use; but a stream could not begin anew.
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
    // Not fdatasync: mode, times and the digest are to survive as well.
    lacking().try_for_each(|item| Ok(rustix::fs::fsync(item.staged.file())?))
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

/// A file that has its name.
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

/// Renames one file into place and books the difference to what it replaces.
fn publish_one(user: &User, item: PendingPublish, namespace: &home::NamespaceLock<'_>) -> Result<Published> {
    // What is bound last is dropped first: the staged file is gone before its room is free.
    let PendingPublish { path, target, reservation, staged, size, exclusive, digest, transfer, .. } = item;
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
    // What was there when the upload began may have gone meanwhile, or be held open.
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
