//! A file that is read and written in place.

use super::super::error::{Context, of_parent};
use super::super::{Error, NEW_FILE_MODE, Result, SetAttributes, User, hold};
use super::io::{end_of, read_at, write_all};
use crate::home::{self, Location, NamespaceLock, StoredDigest, length};
use crate::quota::{ContentChange, HeldFile, QuotaExceeded, UsageChange};
use rustix::fs::{Gid, OFlags, Stat};
use rustix::io::Errno;
use sshome_store::OpenMode;
use sshome_wire::RemotePath;
use std::fs::File;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

#[derive(Debug)]
pub(super) struct InPlaceFile {
    /// Declared before `file`, so that it is dropped first: see [`HeldFile`].
    held: HeldFile,
    file: File,
    /// Whether its stored digest was removed.
    digest_removed: AtomicBool,
}

impl InPlaceFile {
    /// Opens the file. Returns also its path for the log.
    pub(super) fn open(user: &User, path: &RemotePath, mode: OpenMode) -> Result<(InPlaceFile, RemotePath)> {
        let access = match (mode.read, mode.writes() || mode.truncate) {
            (true, true) => OFlags::RDWR,
            (false, true) => OFlags::WRONLY,
            (_, false) => OFlags::RDONLY,
        };
        // Looked up, created, opened and recorded under one lock.
        let namespace = user.home.lock_namespace();
        let exclusive = mode.create && mode.exclusive;
        let location = if exclusive {
            user.home.locate_new_file(path)
        } else {
            user.home.locate_target(path).map(|(target, _)| target)
        };
        let location = location.map_err(of_parent(user, path))?;
        let mut created = false;
        let existing = if exclusive { Err(Errno::NOENT.into()) } else { location.open_file(access) };
        let (file, stat) = match existing {
            Err(home::Error::Os(Errno::NOENT)) if mode.create => {
                created = true;
                create(user, path, &location, access, mode, &namespace)?
            }
            opened => opened.of_file(path)?,
        };
        let held = hold(user, &file, &stat).of_file(path)?;
        drop(namespace);
        let open = InPlaceFile { held, file, digest_removed: AtomicBool::new(created) };
        if mode.truncate {
            open.set_length(path, 0)?;
        }
        Ok((open, user.logged(&location, path)))
    }

    pub(super) fn read(
        &self,
        offset: u64,
        buffer: &mut Vec<u8>,
        max_bytes: usize,
    ) -> rustix::io::Result<usize> {
        read_at(&self.file, offset, buffer, max_bytes)
    }

    /// Writes at the offset; `None` appends.
    pub(super) fn write(&self, path: &RemotePath, offset: Option<u64>, data: &[&[u8]]) -> Result<()> {
        if data.iter().all(|piece| piece.is_empty()) {
            return Ok(());
        }
        let change = self.held.change();
        let offset = match offset {
            Some(offset) => offset,
            None => length(&self.stat().of_file(path)?),
        };
        let end = end_of(offset, data).of_file(path)?;
        change.grow_to(end).map_err(|exceeded| quota(path, exceeded))?;
        let written = self.remove_stored_digest().and_then(|()| Ok(write_all(&self.file, offset, data)?));
        if written.is_err() {
            self.settle(&change);
        }
        written.of_file(path)
    }

    pub(super) fn set_length(&self, path: &RemotePath, length: u64) -> Result<()> {
        let change = self.held.change();
        change.grow_to(length).map_err(|exceeded| quota(path, exceeded))?;
        let set = self.remove_stored_digest().and_then(|()| Ok(rustix::fs::ftruncate(&self.file, length)?));
        self.settle(&change);
        set.of_file(path)
    }

    /// Sets the file's actual length in the ledger.
    fn settle(&self, change: &ContentChange<'_>) {
        match self.stat() {
            Ok(stat) => change.settle(length(&stat)),
            Err(error) => tracing::error!(%error, "a file's length in the ledger may be too large"),
        }
    }

    /// Removes the stored digest, before the first write.
    fn remove_stored_digest(&self) -> home::Result<()> {
        if !self.digest_removed.load(Relaxed) {
            StoredDigest::remove(&self.file)?;
            self.digest_removed.store(true, Relaxed);
        }
        Ok(())
    }

    pub(super) fn set_mode_and_times(&self, wanted: &SetAttributes) -> home::Result<()> {
        wanted.apply_to(&self.file)
    }

    pub(super) fn set_group(&self, group: Gid) -> home::Result<()> {
        Ok(rustix::fs::fchown(&self.file, None, Some(group))?)
    }

    pub(super) fn stat(&self) -> rustix::io::Result<Stat> {
        rustix::fs::fstat(&self.file)
    }

    pub(super) fn sync(&self) -> rustix::io::Result<()> {
        rustix::fs::fsync(&self.file)
    }
}

/// Creates the file, and accounts for its entry.
fn create(
    user: &User,
    path: &RemotePath,
    location: &Location,
    access: OFlags,
    mode: OpenMode,
    namespace: &NamespaceLock<'_>,
) -> Result<(File, Stat)> {
    let entry = user.ledger.reserve(0, 1).map_err(|exceeded| quota(path, exceeded))?;
    let made = location.create_file(access, mode.mode.unwrap_or(NEW_FILE_MODE), namespace).of_file(path)?;
    entry.commit(UsageChange { bytes: 0, entries: 1 });
    Ok(made)
}

fn quota(path: &RemotePath, exceeded: QuotaExceeded) -> Error {
    Error::Quota { path: path.clone(), exceeded }
}
