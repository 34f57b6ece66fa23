//! A file that is read and written in place.

use super::super::attributes::{apply_to, set_owner};
use super::super::error::{Context, of_parent, over_quota};
use super::super::{PosixHome, StoreResult, hold};
use super::io::{end_of, read_at, write_all};
use crate::home::{self, DescriptorPermit, HomeRoot, Location, NamespaceLock, StoredDigest, length};
use rustix::fs::{OFlags, Stat};
use rustix::io::Errno;
use sshome_store::quota::{ContentChange, HeldFile, Ledger, UsageChange};
use sshome_store::{FileHandle, FileInfo, NEW_FILE_MODE, OpenMode, PublishItem, SetAttributes, StepLimit};
use sshome_wire::{Digest, RemotePath};
use std::fs::File;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

/// A file that is read and written in place.
#[derive(Debug)]
pub(super) struct InPlaceFile {
    path: RemotePath,
    logged: RemotePath,
    mode: OpenMode,
    root: Arc<HomeRoot>,
    ledger: Arc<Ledger>,
    /// Declared before `file`, so that it is dropped first: see [`HeldFile`].
    held: HeldFile,
    file: File,
    /// Whether its stored digest was removed.
    digest_removed: AtomicBool,
    _descriptor: DescriptorPermit,
}

impl InPlaceFile {
    pub(super) fn open(home: &PosixHome, path: &RemotePath, mode: OpenMode) -> StoreResult<InPlaceFile> {
        let permit = home.dir.descriptors(1).of_file(path)?;
        let access = match (mode.read, mode.writes() || mode.truncate) {
            (true, true) => OFlags::RDWR,
            (false, true) => OFlags::WRONLY,
            (_, false) => OFlags::RDONLY,
        };
        // Looked up, created, opened and recorded under one lock: a removal in between would treat the file as closed.
        let namespace = home.dir.lock_namespace();
        let exclusive = mode.create && mode.exclusive;
        let location = if exclusive {
            home.dir.locate_new_file(path)
        } else {
            home.dir.locate_target(path).map(|(target, _)| target)
        };
        let location =
            if mode.changes() { location.map_err(of_parent(home, path))? } else { location.of_file(path)? };
        let mut created = false;
        let existing = if exclusive { Err(Errno::NOENT.into()) } else { location.open_file(access) };
        let (file, stat) = match existing {
            Err(home::Error::Os(Errno::NOENT)) if mode.create => {
                created = true;
                create(home, path, &location, access, mode, &namespace)?
            }
            opened => opened.of_file(path)?,
        };
        let held = hold(home, &file, &stat).of_file(path)?;
        drop(namespace);
        let open = InPlaceFile {
            path: path.clone(),
            logged: home.logged(&location, path),
            mode,
            root: Arc::clone(home.dir.root()),
            ledger: Arc::clone(home.ledger()),
            held,
            file,
            digest_removed: AtomicBool::new(created),
            _descriptor: permit,
        };
        if mode.truncate {
            open.truncate_to(0)?;
        }
        Ok(open)
    }

    fn truncate_to(&self, length: u64) -> StoreResult<()> {
        let change = self.held.change();
        change.grow_to(length).map_err(over_quota(&self.path))?;
        let set = self.remove_stored_digest().and_then(|()| Ok(rustix::fs::ftruncate(&self.file, length)?));
        self.settle(&change);
        set.of_file(&self.path)
    }

    fn stat(&self) -> rustix::io::Result<Stat> {
        rustix::fs::fstat(&self.file)
    }

    /// Fails if the file was not opened for writing, or the home was replaced.
    fn check_writable(&self) -> StoreResult<()> {
        if !self.mode.writes() {
            return Err(Errno::BADF).of_file(&self.path);
        }
        self.root.check().of_file(&self.path)
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
}

impl FileHandle for InPlaceFile {
    fn logged_path(&self) -> &RemotePath {
        &self.logged
    }

    fn info(&self) -> StoreResult<FileInfo> {
        Ok(home::info(&self.stat().of_file(&self.path)?))
    }

    fn version(&self) -> Option<u64> {
        self.held.version()
    }

    fn stored_digest(&self, info: &FileInfo) -> Option<Digest> {
        StoredDigest::read(&self.file, info)
    }

    fn read_at(&self, offset: u64, buffer: &mut Vec<u8>, max_bytes: usize) -> StoreResult<usize> {
        match self.mode.read {
            true => read_at(&self.file, offset, buffer, max_bytes),
            false => Err(Errno::BADF),
        }
        .of_file(&self.path)
    }

    fn write_at(&self, offset: Option<u64>, data: &[&[u8]]) -> StoreResult<()> {
        self.check_writable()?;
        if data.iter().all(|piece| piece.is_empty()) {
            return Ok(());
        }
        let change = self.held.change();
        let offset = match offset {
            Some(offset) => offset,
            None => length(&self.stat().of_file(&self.path)?),
        };
        let end = end_of(offset, data).of_file(&self.path)?;
        change.grow_to(end).map_err(over_quota(&self.path))?;
        let written = self.remove_stored_digest().and_then(|()| Ok(write_all(&self.file, offset, data)?));
        if written.is_err() {
            self.settle(&change);
        }
        written.of_file(&self.path)
    }

    fn set_length(&self, length: u64) -> StoreResult<()> {
        self.check_writable()?;
        self.truncate_to(length)
    }

    fn set_attributes(&self, wanted: &SetAttributes) -> StoreResult<()> {
        set_owner(wanted, &self.path, &self.stat().of_file(&self.path)?, |group| {
            Ok(rustix::fs::fchown(&self.file, None, Some(group))?)
        })?;
        apply_to(wanted, &self.file).of_file(&self.path)
    }

    fn check_space(&self, end: u64) -> StoreResult<()> {
        let more = end.saturating_sub(length(&self.stat().of_file(&self.path)?));
        self.ledger.reserve(more, 0).map(drop).map_err(over_quota(&self.path))
    }

    fn sync(&self) -> StoreResult<()> {
        rustix::fs::fsync(&self.file).of_file(&self.path)
    }

    fn publishes_at_close(&self) -> bool {
        false
    }

    fn prepare_close(&self, _limit: StepLimit) -> StoreResult<bool> {
        Ok(true)
    }

    fn close(self: Box<Self>) -> StoreResult<Option<PublishItem>> {
        Ok(None)
    }
}

/// Creates the file, and accounts for its entry.
fn create(
    home: &PosixHome,
    path: &RemotePath,
    location: &Location,
    access: OFlags,
    mode: OpenMode,
    namespace: &NamespaceLock<'_>,
) -> StoreResult<(File, Stat)> {
    let entry = home.ledger().reserve(0, 1).map_err(over_quota(path))?;
    let made = location.create_file(access, mode.mode.unwrap_or(NEW_FILE_MODE), namespace).of_file(path)?;
    entry.commit(UsageChange { bytes: 0, entries: 1 });
    Ok(made)
}
