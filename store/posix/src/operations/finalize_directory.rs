//! Directories of a tree that is being put: accessible to their owner until they are finalized.

use super::error::Context;
use super::publish::MAX_SINGLE_SYNCS;
use super::{PosixHome, StoreResult};
use crate::home::{self, DescriptorPermit, Location};
use rustix::fd::OwnedFd;
use sshome_store::{EntryChange, EntryRef};
use sshome_wire::{RemotePath, Time};

/// Descriptors that a held directory holds: its own, and that of its parent.
const HELD_DESCRIPTORS: usize = 2;

/// A directory that is complete, and the mtime that it is to get.
struct HeldDirectory {
    path: RemotePath,
    location: Location,
    handle: OwnedFd,
    mtime: Time,
    /// `None` if the user's budget is used up: then it is finalized soon.
    _descriptors: Option<DescriptorPermit>,
}

/// See [`Home::hold_directory`](sshome_store::Home::hold_directory).
pub(crate) fn hold_directory(home: &PosixHome, path: &RemotePath, mtime: Time) -> StoreResult<EntryRef> {
    let location = home.dir.locate(path).of_directory(path)?;
    let handle = location.open_directory().of_directory(path)?;
    if home.ctx.is_guarded() {
        let stat = rustix::fs::fstat(&handle).of_directory(path)?;
        home.check_change(EntryChange::SetAttributes, &stat, &location, path)?;
    }
    let permit = home.dir.descriptors(HELD_DESCRIPTORS).ok();
    let is_over_budget = permit.is_none();
    let held = HeldDirectory { path: path.clone(), location, handle, mtime, _descriptors: permit };
    Ok(EntryRef::new(held, is_over_budget))
}

/// See [`Home::finalize_directories`](sshome_store::Home::finalize_directories).
pub(crate) fn finalize_directories(
    home: &PosixHome,
    directories: Vec<EntryRef>,
) -> Vec<StoreResult<RemotePath>> {
    let writeback_epoch = home.dir.writeback_epoch();
    let at_once = directories.len() > MAX_SINGLE_SYNCS;
    let finish = |directory: &HeldDirectory| -> home::Result<()> {
        home::finalize_directory(&directory.handle, directory.mtime)?;
        if at_once { Ok(()) } else { Ok(rustix::fs::fsync(&directory.handle)?) }
    };
    let held: Vec<HeldDirectory> = directories.into_iter().filter_map(EntryRef::into_held).collect();
    let finished: Vec<home::Result<()>> = held.iter().map(finish).collect();
    let synced = if at_once { home.dir.sync(writeback_epoch) } else { Ok(()) };
    let results = held.into_iter().zip(finished).map(|(directory, finished)| {
        let HeldDirectory { path, location, .. } = directory;
        finished.and(synced).of_directory(&path)?;
        Ok(home.logged(&location, &path))
    });
    results.collect()
}
