//! Directories of a tree that is being put: open to their owner until nothing more goes into them.

use super::error::Context;
use super::publish::MAX_SINGLE_SYNCS;
use super::{MadeDirectory, Result, User, make_directory};
use crate::home::{self, DeferredMode, Location};
use rustix::fd::OwnedFd;
use sshome_wire::{RemotePath, Time};

/// Makes a directory as [`make_directory`] does, to be filled: a mode that keeps its owner out is noted, and
/// comes into force when the directory is [finished](finish_directories). One that is there and has just
/// that mode is what such a put has left, and is opened for the next.
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

/// A directory that nothing more goes into, and the time that it is to have.
#[derive(Debug)]
pub struct DirectoryToFinalize {
    path: RemotePath,
    location: Location,
    handle: OwnedFd,
    mtime: Time,
}

impl DirectoryToFinalize {
    /// The descriptors that it holds: of the directory, and of the one that it is in.
    pub const DESCRIPTORS: usize = 2;

    /// Finds it.
    ///
    /// # Errors
    /// If no directory is at the path.
    pub fn find(user: &User, path: RemotePath, mtime: Time) -> Result<DirectoryToFinalize> {
        user.require_write()?;
        let location = user.home.locate(&path).of_directory(&path)?;
        let handle = location.open_directory().of_directory(&path)?;
        Ok(DirectoryToFinalize { path, location, handle, mtime })
    }
}

/// Gives directories their times, and their modes where those have waited. What is reported as done is on
/// the disk; the results are in the order of the directories.
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
