//! A file that is written to a staged file and published on close (`sftp-uploads = "atomic"`).

use super::super::error::{Context, of_parent};
use super::super::partial_uploads::PendingUpload;
use super::super::{
    Error, NEW_FILE_MODE, PendingPublish, Result, SetAttributes, StepLimit, User, check_mount, reserve_space,
};
use super::io::{end_of, read_at, write_all};
use super::old_content::OldContent;
use crate::audit::Transfer;
use crate::home::{self, Home, Location, StagedFile, StagedPermissions, StoredDigest, length};
use crate::quota::Reservation;
use rustix::fs::Stat;
use rustix::io::Errno;
use sshome_store::OpenMode;
use sshome_wire::{BlockHasher, Digest, RemotePath};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// An open file whose content is staged. Dropping it discards what was written.
#[derive(Debug)]
pub(super) struct AtomicUpload {
    exclusive: bool,
    state: Mutex<AtomicState>,
}

#[derive(Debug)]
struct AtomicState {
    home: Arc<Home>,
    target: Location,
    staged: StagedFile,
    reservation: Reservation,
    /// Length of the staged file in bytes.
    length: u64,
    /// The old content that is kept; `None` if the file was truncated.
    old_content: Option<OldContent>,
    /// Digests the content as long as it is written in order.
    hasher: Option<BlockHasher>,
    permissions: StagedPermissions,
    /// Whether the target existed when the file was opened.
    replaces: bool,
}

impl AtomicUpload {
    /// Opens the file. Returns also its path for the log.
    pub(super) fn open(user: &User, path: &RemotePath, mode: OpenMode) -> Result<(AtomicUpload, RemotePath)> {
        let target = match mode.exclusive {
            true => user.home.locate_new_file(path),
            false => user.home.locate_target(path).map(|(target, _)| target),
        };
        let target = target.map_err(of_parent(user, path))?;
        check_mount(user, &target, path)?;
        let old = target.stat_if_any().of_file(path)?;
        match &old {
            Some(_) if mode.exclusive => return Err(Errno::EXIST).of_file(path),
            Some(stat) => home::regular(stat).of_file(path)?,
            None => {}
        }
        let reservation = reserve_space::reserve(user, path, &target, 0, old.is_some())?;
        let staged = user.home.stage(&target, None).of_file(path)?;
        let permissions = StagedPermissions::Inherited(mode.mode.unwrap_or(NEW_FILE_MODE));
        // Set already here: a client may query the attributes of the open file.
        let own = rustix::fs::fstat(staged.file()).of_file(path)?;
        staged.inherit(&user.home, &own, (&target, old.is_some()), permissions).of_file(path)?;
        let replaces = old.is_some();
        let old_content = old.filter(|_| !mode.truncate).map(OldContent::new);
        let (home, hasher) = (Arc::clone(&user.home), Some(BlockHasher::new()));
        let logged = user.logged(&target, path);
        let state = AtomicState {
            home,
            target,
            staged,
            reservation,
            length: 0,
            old_content,
            hasher,
            permissions,
            replaces,
        };
        Ok((AtomicUpload { exclusive: mode.exclusive, state: Mutex::new(state) }, logged))
    }

    /// Reads what was written. Only for files that were truncated when opened.
    pub(super) fn read(
        &self,
        offset: u64,
        buffer: &mut Vec<u8>,
        max_bytes: usize,
    ) -> rustix::io::Result<usize> {
        read_at(self.state().staged.file(), offset, buffer, max_bytes)
    }

    pub(super) fn write(&self, path: &RemotePath, offset: Option<u64>, data: &[&[u8]]) -> Result<()> {
        self.state().write(path, offset, data)
    }

    pub(super) fn set_length(&self, path: &RemotePath, length: u64) -> Result<()> {
        let mut state = self.state();
        state.reserve_up_to(path, length)?;
        let set = rustix::fs::ftruncate(state.staged.file(), length);
        if let Some(old_content) = &mut state.old_content {
            old_content.truncate(length);
        }
        state.settle();
        if state.hasher.as_ref().is_some_and(|hasher| hasher.length() != length) {
            state.hasher = None;
        }
        set.of_file(path)
    }

    pub(super) fn set_mode_and_times(&self, wanted: &SetAttributes) -> home::Result<()> {
        let mut state = self.state();
        wanted.apply_to(state.staged.file())?;
        if let Some(mode) = wanted.mode {
            state.permissions = StagedPermissions::Exact(mode);
        }
        Ok(())
    }

    pub(super) fn stat(&self) -> rustix::io::Result<Stat> {
        let state = self.state();
        let mut stat = rustix::fs::fstat(state.staged.file())?;
        stat.st_size = i64::try_from(state.whole_length()).unwrap_or(i64::MAX);
        Ok(stat)
    }

    pub(super) fn sync(&self) -> rustix::io::Result<()> {
        rustix::fs::fsync(self.state().staged.file())
    }

    /// Executes one step of copying the old content that is kept. Returns whether it is done.
    pub(super) fn copy_old_content(&self, user: &User, path: &RemotePath, limit: StepLimit) -> Result<bool> {
        self.state().copy_old_content(user, path, limit)
    }

    /// Prepares the file for publishing. The old content must be copied.
    pub(super) fn finish(self, user: &User, path: &RemotePath, transfer: Transfer) -> Result<PendingPublish> {
        let state = self.state.into_inner().unwrap_or_else(PoisonError::into_inner);
        let sealed = state.seal(user);
        let digest = sealed.of_file(path).inspect_err(|error| transfer.refused(error))?;
        // It was written at any offset, so it cannot be resumed: it has no record.
        let pending = PendingUpload::new(user, state.staged, state.reservation, None, &state.target, None);
        Ok(PendingPublish {
            path: path.clone(),
            target: state.target,
            pending,
            size: state.length,
            durable: false,
            exclusive: self.exclusive,
            digest,
            transfer,
        })
    }

    fn state(&self) -> MutexGuard<'_, AtomicState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl AtomicState {
    /// Sets the staged file's attributes. Returns its digest, if known.
    fn seal(&self, user: &User) -> home::Result<Option<Digest>> {
        let file = self.staged.file();
        let own = rustix::fs::fstat(file)?;
        let hasher = self.hasher.as_ref().filter(|hasher| hasher.length() == self.length);
        let digest = hasher.map(BlockHasher::finish);
        if let Some(digest) = digest {
            StoredDigest::write(file, &own, digest)?;
        }
        self.staged.inherit(&user.home, &own, (&self.target, self.replaces), self.permissions)?;
        Ok(digest)
    }

    fn write(&mut self, path: &RemotePath, offset: Option<u64>, data: &[&[u8]]) -> Result<()> {
        if data.iter().all(|piece| piece.is_empty()) {
            return Ok(());
        }
        let offset = offset.unwrap_or(self.whole_length());
        let end = end_of(offset, data).of_file(path)?;
        self.reserve_up_to(path, end)?;
        if let Some(old_content) = &mut self.old_content {
            old_content.cover(offset..end).ok_or_else(|| Error::Scattered(path.clone()))?;
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

    fn copy_old_content(&mut self, user: &User, path: &RemotePath, limit: StepLimit) -> Result<bool> {
        self.reserve_up_to(path, self.whole_length())?;
        let Some(old_content) = &mut self.old_content else { return Ok(true) };
        let filled = old_content.copy_to(user, path, &self.target, self.staged.file(), limit)?;
        if filled {
            self.settle();
        }
        Ok(filled)
    }

    fn reserve_up_to(&mut self, path: &RemotePath, length: u64) -> Result<()> {
        reserve_space::grow(&self.home, path, &self.target, &mut self.reservation, length, 1)
    }

    /// Reduces the reservation to the file's length.
    fn settle(&mut self) {
        if let Ok(stat) = rustix::fs::fstat(self.staged.file()) {
            self.length = length(&stat);
            self.reservation.shrink_to(self.length, u64::MAX);
        }
    }
}
