//! Directories of a tree that is being put: accessible to their owner until they are finalized.

use super::error::Context;
use super::publish::MAX_SINGLE_SYNCS;
use super::{MadeDirectory, Result, User, make_directory};
use crate::home::{self, DeferredMode, Location};
use rustix::fd::OwnedFd;
use sshome_wire::{RemotePath, Time};

/// Creates a directory as [`make_directory`] does, but defers a mode that denies its owner access until the directory is
/// [finalized](finalize_directories). An existing directory with exactly that mode comes from an earlier put; it is made
/// accessible again.
///
/// # Errors
/// As [`make_directory`].
pub fn make_directory_with_deferred_mode(
    user: &User,
    path: &RemotePath,
    parents: bool,
    mode: Option<u32>,
) -> Result<(MadeDirectory, Vec<Location>)> {
    let (made, locations) = make_directory(user, path, parents, mode)?;
    if let Some(filling) = mode.map(DeferredMode::of) {
        let opened = match made {
            MadeDirectory::New => locations.last().map_or(Ok(()), |new| filling.begin(new)),
            MadeDirectory::Existed => match user.home.locate(path) {
                Err(home::Error::Top | home::Error::Dot) => Ok(()),
                old => old.and_then(|old| filling.reopen(&old)),
            },
        };
        opened.of_directory(path)?;
    }
    Ok((made, locations))
}

/// A directory that is complete, and the mtime that it is to get.
#[derive(Debug)]
pub struct DirectoryToFinalize {
    path: RemotePath,
    location: Location,
    handle: OwnedFd,
    mtime: Time,
}

impl DirectoryToFinalize {
    /// Descriptors that it holds: its own, and that of its parent.
    pub const DESCRIPTORS: usize = 2;

    /// Opens the directory at a path.
    ///
    /// # Errors
    /// If it is not a directory.
    pub fn find(user: &User, path: RemotePath, mtime: Time) -> Result<DirectoryToFinalize> {
        user.require_write()?;
        let location = user.home.locate(&path).of_directory(&path)?;
        let handle = location.open_directory().of_directory(&path)?;
        Ok(DirectoryToFinalize { path, location, handle, mtime })
    }
}

/// Sets the directories' times and deferred modes. Those that are reported as done are on the disk. The results are in the
/// order of the directories.
pub fn finalize_directories(user: &User, directories: Vec<DirectoryToFinalize>) -> Vec<Result<()>> {
    let writeback_epoch = user.home.writeback_epoch();
    let at_once = directories.len() > MAX_SINGLE_SYNCS;
    let finish = |directory: &DirectoryToFinalize| -> home::Result<()> {
        home::finalize_directory(&directory.handle, directory.mtime)?;
        if at_once { Ok(()) } else { Ok(rustix::fs::fsync(&directory.handle)?) }
    };
    let finished: Vec<home::Result<()>> = directories.iter().map(finish).collect();
    let synced = if at_once { user.home.sync(writeback_epoch) } else { Ok(()) };
    let results = directories.into_iter().zip(finished).map(|(directory, finished)| {
        let DirectoryToFinalize { path, location, .. } = directory;
        finished.and(synced).of_directory(&path)?;
        user.audit.attributes_set(&user.logged(&location, &path));
        Ok(())
    });
    results.collect()
}
