//! Publishing: staged files are synced and renamed to their targets, atomically and durably.

use super::error::{Context, over_quota};
use super::folders::NewName;
use super::partial_uploads::PendingUpload;
use super::{PosixHome, StoreError, StoreResult, freed};
use crate::home::{self, Location, NamespaceLock, StagedFile, WritebackEpoch};
use rustix::fs::FileType;
use rustix::io::Errno;
use sshome_store::quota::{FileId, FreedSpace, Reservation, UsageChange};
use sshome_store::{EntryRef, PublishItem, PublishResult, Published};
use sshome_wire::RemotePath;
use std::collections::{HashMap, HashSet};

/// Files or directories that are synced one by one; for more, one `syncfs` is cheaper.
pub(super) const MAX_SINGLE_SYNCS: usize = 4;

/// A complete and verified staged file with its attributes set.
#[derive(Debug)]
pub(super) struct PendingPublish {
    pub(super) target: Location,
    /// If this is dropped before it is published, for example after a lost connection, it becomes a partial upload.
    pub(super) pending: PendingUpload,
    /// Whether it was synced already.
    pub(super) durable: bool,
    /// Whether publishing fails if the target exists.
    pub(super) exclusive: bool,
}

/// One file of a batch.
struct BatchItem {
    path: RemotePath,
    size: u64,
    held: PendingPublish,
}

impl BatchItem {
    /// `None` if a different store made it.
    fn of(item: PublishItem) -> Option<BatchItem> {
        let (path, size) = (item.path.clone(), item.size);
        Some(BatchItem { path, size, held: item.into_held()? })
    }
}

/// See [`Home::publish`](sshome_store::Home::publish): syncs the data of the files, renames them to their targets, and syncs
/// the directories.
pub(crate) fn publish(home: &PosixHome, items: Vec<PublishItem>, names: Vec<EntryRef>) -> Published {
    home.dir.end_batch();
    let items: Vec<BatchItem> = items.into_iter().filter_map(BatchItem::of).collect();
    let staged = items.iter().filter_map(|item| item.held.pending.staged());
    let writeback_epoch = staged.map(StagedFile::writeback_epoch).min();
    let writeback_epoch = writeback_epoch.unwrap_or_else(|| home.dir.writeback_epoch());
    let data = sync_data(home, &items, writeback_epoch);
    let (mut directories, mut targets) = (HashMap::new(), HashSet::new());
    let note = |target: Location, directories: &mut HashMap<FileId, Location>| {
        let id = target.identity().ok()?;
        directories.entry(id.directory).or_insert(target);
        Some(id)
    };
    // The descriptors in `names` count until everything is synced.
    let names: Vec<NewName> = names.into_iter().filter_map(EntryRef::into_held).collect();
    for name in &names {
        note(name.location.clone(), &mut directories);
    }
    let mut results = Vec::with_capacity(items.len());
    {
        let namespace = home.dir.lock_namespace();
        for mut item in items {
            let (path, target) = (item.path.clone(), item.held.target.clone());
            let result = match data.of_file(&path) {
                Ok(()) => publish_one(home, item, &namespace),
                Err(error) => {
                    item.held.pending.discard_on_drop();
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
    home.dir.discard(|partial| {
        !partial.file.is_stream() && partial.file.target().is_some_and(|target| targets.contains(target))
    });
    let synced = sync_directories(home, &directories, writeback_epoch);
    let results = results.into_iter().map(|result| match result {
        Ok((path, (replaced, id))) => match synced.of_directory(&path) {
            Ok(()) => PublishResult::Done { replaced, id },
            Err(error) => PublishResult::VisibleNotDurable(error),
        },
        Err(error) => PublishResult::Refused(error),
    });
    Published { items: results.collect(), names: synced.of_directory(&RemotePath::root()) }
}

fn sync_data(home: &PosixHome, items: &[BatchItem], writeback_epoch: WritebackEpoch) -> home::Result<()> {
    let lacking = || items.iter().filter(|item| !item.held.durable);
    if lacking().count() > MAX_SINGLE_SYNCS {
        return home.dir.sync(writeback_epoch);
    }
    // Not fdatasync: mode, times and the digest must survive as well.
    let staged = lacking().filter_map(|item| item.held.pending.staged());
    staged.map(StagedFile::file).try_for_each(|file| Ok(rustix::fs::fsync(file)?))
}

fn sync_directories(
    home: &PosixHome,
    directories: &HashMap<FileId, Location>,
    writeback_epoch: WritebackEpoch,
) -> home::Result<()> {
    if directories.len() > MAX_SINGLE_SYNCS {
        return home.dir.sync(writeback_epoch);
    }
    directories.values().try_for_each(Location::sync_directory)
}

/// Renames one file to its target and accounts for the change in size. Returns whether a file was
/// replaced, and the new file if it was published exclusively.
fn publish_one(
    home: &PosixHome,
    item: BatchItem,
    namespace: &NamespaceLock<'_>,
) -> StoreResult<(bool, Option<FileId>)> {
    let BatchItem { path, size, held } = item;
    let PendingPublish { target, mut pending, exclusive, .. } = held;
    // The lease keeps other conversations from resuming a stream before it is published.
    let (staged, reservation, _stream_lease) =
        pending.take().ok_or_else(|| StoreError::NoPart(path.clone()))?;
    let stat = exclusive.then(|| rustix::fs::fstat(staged.file())).transpose().of_file(&path)?;
    let replaced =
        rename_into_place(home, &path, &target, (reservation, size, exclusive), staged, namespace)?;
    Ok((replaced, stat.map(|stat| home::info(&stat).id)))
}

fn rename_into_place(
    home: &PosixHome,
    path: &RemotePath,
    target: &Location,
    (mut reservation, size, exclusive): (Reservation, u64, bool),
    staged: StagedFile,
    namespace: &NamespaceLock<'_>,
) -> StoreResult<bool> {
    home.dir.root().check().of_file(path)?;
    let replaced = target.stat_if_any().of_file(path)?;
    if let Some(stat) = &replaced
        && FileType::from_raw_mode(stat.st_mode) == FileType::Directory
    {
        return Err(StoreError::IsDirectory { path: path.clone(), hint: "" });
    }
    if exclusive && replaced.is_some() {
        return Err(Errno::EXIST).of_file(path);
    }
    // The file that was there when the upload began may have been removed or opened meanwhile.
    let entries = u64::from(replaced.is_none());
    let old = match &replaced {
        Some(stat) => freed(&home.dir, target, stat, namespace).of_file(path)?,
        None => FreedSpace::Nothing,
    };
    reservation.cover(size, entries, &old).map_err(over_quota(path))?;
    staged.publish(target, namespace).of_file(path)?;
    let change = UsageChange { bytes: i64::try_from(size).unwrap_or(i64::MAX), entries: entries as i64 };
    reservation.commit_replacing(change, old);
    Ok(replaced.is_some())
}
