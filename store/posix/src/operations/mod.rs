//! What can be done in a home, with its accounting: names and the ledger change together.

mod attributes;
mod error;
mod finalize_directory;
mod folders;
mod links;
mod open_file;
mod partial_uploads;
mod publish;
mod remove;
mod rename;
mod reserve_space;
mod tree;
mod upload;

pub(crate) use attributes::set_attributes;
pub(crate) use error::Context;
pub(crate) use finalize_directory::{finalize_directories, hold_directory};
pub(crate) use folders::{make_directory, make_symlink, remove_directory};
pub(crate) use links::hard_link;
pub(crate) use open_file::open_file;
pub(crate) use partial_uploads::{discard, lease, lease_stream, partial_uploads};
pub(crate) use publish::publish;
pub(crate) use remove::{Removal, remove_file};
pub(crate) use rename::rename;
pub(crate) use tree::Walk;
pub(crate) use upload::{PosixBlockSink, PosixUpload};

use crate::home::{self, HomeHandle, Location, NamespaceLock, WritebackEpoch, file_id, length};
use rustix::fs::{FileType, Stat};
use rustix::io::Errno;
use sshome_store::quota::{FreedSpace, HeldFile, Ledger};
use sshome_store::{Ctx, EntryChange, StoreError, StoreResult};
use sshome_wire::RemotePath;
use std::fs::File;
use std::sync::Arc;

/// A home that is opened for one channel.
#[derive(Clone, Debug)]
pub(crate) struct PosixHome {
    pub(crate) dir: Arc<HomeHandle>,
    /// The writeback epoch when the channel was opened.
    pub(crate) since: WritebackEpoch,
    pub(crate) ctx: Ctx,
}

impl PosixHome {
    pub(crate) fn ledger(&self) -> &Arc<Ledger> {
        self.dir.ledger()
    }

    /// The path for the log: the canonical path of a location, or else the one that the client sent.
    fn logged(&self, at: &Location, spelled: &RemotePath) -> RemotePath {
        self.dir.canonical(at).unwrap_or_else(|_| spelled.clone())
    }

    /// Call it before any change.
    ///
    /// # Errors
    /// If the home was replaced.
    pub(crate) fn check_writable(&self) -> StoreResult<()> {
        self.dir.root().check().of_directory(&RemotePath::root())
    }

    /// Asks the guard of the channel whether the entry at a location may be changed. `stat` is that of the entry. Requires
    /// the namespace lock, or a handle to the entry.
    fn check_change(
        &self,
        change: EntryChange,
        stat: &Stat,
        at: &Location,
        path: &RemotePath,
    ) -> StoreResult<()> {
        let canonical = || self.dir.canonical(at).ok();
        let checked = self.ctx.check_change(change, &home::info(stat), &canonical);
        checked.map_err(|cause| StoreError::file(path, cause))
    }
}

/// Fails while the home is being counted. Call it before anything that stores bytes or creates a name.
fn check_counted(home: &PosixHome, path: &RemotePath) -> StoreResult<()> {
    home.ledger().check_counted().map_err(error::over_quota(path))
}

/// Fails while removals wait for the end of a count.
fn check_removal(home: &PosixHome, path: &RemotePath) -> StoreResult<()> {
    home.ledger().check_removal().map_err(error::over_quota(path))
}

/// Fails before any data arrive if a staged file cannot be renamed to the target.
fn check_mount(home: &PosixHome, target: &Location, path: &RemotePath) -> StoreResult<()> {
    match home.dir.shares_mount(target).of_directory(path)? {
        true => Ok(()),
        false => Err(StoreError::OtherMount(path.clone())),
    }
}

/// The error of a rename to another mount: [`StoreError::OtherMount`] if a copy could not be stored there either.
fn other_mount(home: &PosixHome, target: &Location, path: &RemotePath) -> StoreError {
    match check_mount(home, target, path) {
        Ok(()) => StoreError::file(path, home::Error::Os(Errno::XDEV).into()),
        Err(error) => error,
    }
}

/// Records in the ledger that a file is open. The caller holds the namespace lock since before the open: otherwise a
/// removal in between would treat the file as closed.
fn hold(home: &PosixHome, file: &File, stat: &Stat) -> home::Result<HeldFile> {
    home.ledger().hold(file_id(stat), || Ok(length(&rustix::fs::fstat(file)?)))
}

/// The space that removing or replacing a name frees. `stat` is that of the current file.
fn freed(
    home: &HomeHandle,
    at: &Location,
    stat: &Stat,
    _lock: &NamespaceLock<'_>,
) -> home::Result<FreedSpace> {
    if stat.st_nlink > 1 {
        return Ok(FreedSpace::Nothing);
    }
    Ok(match FileType::from_raw_mode(stat.st_mode) {
        FileType::Symlink => FreedSpace::Link(length(stat)),
        // It may have been written to and closed since `stat` was read.
        FileType::RegularFile => {
            let now = || at.stat().map(|stat| length(&stat));
            FreedSpace::File(home.ledger().hold(file_id(stat), now)?)
        }
        _ => FreedSpace::Nothing,
    })
}
