//! A file that is written to a staged file and published on close (`sftp-uploads = "atomic"`).

use super::super::attributes::{apply_to, set_owner};
use super::super::error::{Context, of_parent};
use super::super::partial_uploads::PendingUpload;
use super::super::publish::PendingPublish;
use super::super::{PosixHome, StoreError, StoreResult, check_mount, reserve_space};
use super::io::{end_of, read_at, write_all};
use super::old_content::OldContent;
use crate::home::{self, Location, StagedFile, StoredDigest, length};
use rustix::fs::Stat;
use rustix::io::Errno;
use sshome_store::quota::Reservation;
use sshome_store::{
    FileHandle, FileInfo, NEW_FILE_MODE, OpenMode, PublishItem, SetAttributes, StepLimit, UploadPermissions,
};
use sshome_wire::{BlockHasher, Digest, RemotePath};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// An open file whose content is staged. Dropping it discards what was written.
#[derive(Debug)]
pub(super) struct AtomicUpload {
    path: RemotePath,
    logged: RemotePath,
    mode: OpenMode,
    state: Mutex<AtomicState>,
}

#[derive(Debug)]
struct AtomicState {
    home: PosixHome,
    target: Location,
    staged: StagedFile,
    reservation: Reservation,
    /// Length of the staged file in bytes.
    length: u64,
    /// The old content that is kept; `None` if the file was truncated.
    old_content: Option<OldContent>,
    /// Digests the content as long as it is written in order.
    hasher: Option<BlockHasher>,
    permissions: UploadPermissions,
    /// Whether the target existed when the file was opened.
    replaces: bool,
}

impl AtomicUpload {
    pub(super) fn open(home: &PosixHome, path: &RemotePath, mode: OpenMode) -> StoreResult<AtomicUpload> {
        let target = match mode.exclusive {
            true => home.dir.locate_new_file(path),
            false => home.dir.locate_target(path).map(|(target, _)| target),
        };
        let target = target.map_err(of_parent(home, path))?;
        check_mount(home, &target, path)?;
        let old = target.stat_if_any().of_file(path)?;
        match &old {
            Some(_) if mode.exclusive => return Err(Errno::EXIST).of_file(path),
            Some(stat) => home::regular(stat).of_file(path)?,
            None => {}
        }
        let reservation = reserve_space::reserve(home, path, &target, 0, old.is_some())?;
        let staged = home.dir.stage(&target, None).of_file(path)?;
        let permissions = UploadPermissions::Inherited(mode.mode.unwrap_or(NEW_FILE_MODE));
        // Set now, since a client may query the attributes of the open file.
        let own = rustix::fs::fstat(staged.file()).of_file(path)?;
        staged.inherit(&home.dir, &own, (&target, old.is_some()), permissions).of_file(path)?;
        let replaces = old.is_some();
        let logged = home.logged(&target, path);
        let state = AtomicState {
            home: home.clone(),
            target,
            staged,
            reservation,
            length: 0,
            old_content: old.filter(|_| !mode.truncate).map(OldContent::new),
            hasher: Some(BlockHasher::new()),
            permissions,
            replaces,
        };
        Ok(AtomicUpload { path: path.clone(), logged, mode, state: Mutex::new(state) })
    }

    fn stat(&self) -> StoreResult<Stat> {
        let state = self.state();
        let mut stat = rustix::fs::fstat(state.staged.file()).of_file(&self.path)?;
        stat.st_size = i64::try_from(state.whole_length()).unwrap_or(i64::MAX);
        Ok(stat)
    }

    /// Fails if the file was not opened for writing, or the home was replaced.
    fn check_writable(&self) -> StoreResult<()> {
        if !self.mode.writes() {
            return Err(Errno::BADF).of_file(&self.path);
        }
        self.state().home.dir.root().check().of_file(&self.path)
    }

    fn state(&self) -> MutexGuard<'_, AtomicState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl FileHandle for AtomicUpload {
    fn logged_path(&self) -> &RemotePath {
        &self.logged
    }

    fn info(&self) -> StoreResult<FileInfo> {
        Ok(home::info(&self.stat()?))
    }

    /// Nobody else sees the content before it is published.
    fn version(&self) -> Option<u64> {
        None
    }

    fn stored_digest(&self, _info: &FileInfo) -> Option<Digest> {
        None
    }

    /// Reads what was written. Only for files that were truncated when opened.
    fn read_at(&self, offset: u64, buffer: &mut Vec<u8>, max_bytes: usize) -> StoreResult<usize> {
        match self.mode.read {
            true => read_at(self.state().staged.file(), offset, buffer, max_bytes),
            false => Err(Errno::BADF),
        }
        .of_file(&self.path)
    }

    fn write_at(&self, offset: Option<u64>, data: &[&[u8]]) -> StoreResult<()> {
        self.check_writable()?;
        self.state().write(&self.path, offset, data)
    }

    fn set_length(&self, length: u64) -> StoreResult<()> {
        self.check_writable()?;
        self.state().set_length(&self.path, length)
    }

    fn set_attributes(&self, wanted: &SetAttributes) -> StoreResult<()> {
        // It inherits the group of the file that it replaces, or of its directory.
        set_owner(wanted, &self.path, &self.stat()?, |_| Err(Errno::PERM.into()))?;
        let mut state = self.state();
        apply_to(wanted, state.staged.file()).of_file(&self.path)?;
        if let Some(mode) = wanted.mode {
            state.permissions = UploadPermissions::Exact(mode);
        }
        Ok(())
    }

    /// The file that it replaces lends its bytes, so only a write can tell whether there is space.
    fn check_space(&self, _end: u64) -> StoreResult<()> {
        Ok(())
    }

    fn sync(&self) -> StoreResult<()> {
        rustix::fs::fsync(self.state().staged.file()).of_file(&self.path)
    }

    fn publishes_at_close(&self) -> bool {
        true
    }

    fn prepare_close(&self, limit: StepLimit) -> StoreResult<bool> {
        self.state().copy_old_content(&self.path, limit)
    }

    fn close(self: Box<Self>) -> StoreResult<Option<PublishItem>> {
        while !self.prepare_close(StepLimit::bytes(u64::MAX))? {}
        let AtomicUpload { path, mode, state, .. } = *self;
        let state = state.into_inner().unwrap_or_else(PoisonError::into_inner);
        let digest = state.seal().of_file(&path)?;
        let AtomicState { home, target, staged, reservation, length, .. } = state;
        // It was written at any offset, so it cannot be resumed: it has no record.
        let pending = PendingUpload::new(&home, staged, reservation, None, &target, None);
        let held = PendingPublish { target, pending, durable: false, exclusive: mode.exclusive };
        Ok(Some(PublishItem::new(path, length, digest, held)))
    }
}

impl AtomicState {
    /// Sets the staged file's attributes. Returns its digest, if known.
    fn seal(&self) -> home::Result<Option<Digest>> {
        let file = self.staged.file();
        let own = rustix::fs::fstat(file)?;
        let hasher = self.hasher.as_ref().filter(|hasher| hasher.length() == self.length);
        let digest = hasher.map(BlockHasher::finish);
        if let Some(digest) = digest {
            StoredDigest::write(file, &own, digest)?;
        }
        self.staged.inherit(&self.home.dir, &own, (&self.target, self.replaces), self.permissions)?;
        Ok(digest)
    }

    fn set_length(&mut self, path: &RemotePath, length: u64) -> StoreResult<()> {
        self.reserve_up_to(path, length)?;
        let set = rustix::fs::ftruncate(self.staged.file(), length);
        if let Some(old_content) = &mut self.old_content {
            old_content.truncate(length);
        }
        self.settle();
        if self.hasher.as_ref().is_some_and(|hasher| hasher.length() != length) {
            self.hasher = None;
        }
        set.of_file(path)
    }

    fn write(&mut self, path: &RemotePath, offset: Option<u64>, data: &[&[u8]]) -> StoreResult<()> {
        if data.iter().all(|piece| piece.is_empty()) {
            return Ok(());
        }
        let offset = offset.unwrap_or(self.whole_length());
        let end = end_of(offset, data).of_file(path)?;
        self.reserve_up_to(path, end)?;
        if let Some(old_content) = &mut self.old_content {
            old_content.cover(offset..end).ok_or_else(|| StoreError::Scattered(path.clone()))?;
        }
        let written = write_all(self.staged.file(), offset, data);
        self.length = self.length.max(end);
        if written.is_err() {
            self.settle();
        }
        match &mut self.hasher {
            Some(hasher) if written.is_ok() && hasher.length() == offset => {
                data.iter().for_each(|piece| hasher.update(piece));
            }
            hasher => *hasher = None,
        }
        written.of_file(path)
    }

    /// The length that the file will have, in bytes: of the staged file, or of the old content that is kept.
    fn whole_length(&self) -> u64 {
        self.length.max(self.old_content.as_ref().map_or(0, OldContent::length))
    }

    fn copy_old_content(&mut self, path: &RemotePath, limit: StepLimit) -> StoreResult<bool> {
        self.reserve_up_to(path, self.whole_length())?;
        let Some(old_content) = &mut self.old_content else { return Ok(true) };
        let filled = old_content.copy_to(&self.home, path, &self.target, self.staged.file(), limit)?;
        if filled {
            self.settle();
        }
        Ok(filled)
    }

    fn reserve_up_to(&mut self, path: &RemotePath, length: u64) -> StoreResult<()> {
        reserve_space::grow(&self.home.dir, path, &self.target, &mut self.reservation, length, 1)
    }

    /// Reduces the reservation to the file's length.
    fn settle(&mut self) {
        if let Ok(stat) = rustix::fs::fstat(self.staged.file()) {
            self.length = length(&stat);
            self.reservation.shrink_to(self.length, u64::MAX);
        }
    }
}
