//! A file that is written beside the one that it will replace.

use super::super::attributes::SetAttributes;
use super::super::error::{Context, over_quota};
use super::super::upload::NEW_FILE;
use super::super::{Error, Placement, Result, User};
use super::{OpenMode, end_of, locate, write_all};
use crate::home::{self, Location, Staged, Stamp, replaced_file};
use crate::quota::Reservation;
use rustix::fs::{Mode, Stat};
use rustix::io::Errno;
use sshome_wire::{BlockHasher, RemotePath};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Dropping it drops all that was written.
#[derive(Debug)]
pub(super) struct Atomic {
    target: Location,
    exclusive: bool,
    draft: Mutex<Draft>,
}

#[derive(Debug)]
struct Draft {
    staged: Staged,
    room: Reservation,
    /// Bytes that the file has.
    length: u64,
    /// Of all that was written, for as long as it comes in order.
    hasher: Option<BlockHasher>,
    /// Whether a write failed. Who sent it may go on all the same.
    spoiled: bool,
}

impl Atomic {
    pub(super) fn open(user: &User, path: &RemotePath, mode: OpenMode) -> Result<Atomic> {
        let target = locate(user, path, mode)?;
        let old = target.stat_if_any().of_file(path)?;
        match &old {
            Some(_) if mode.is_new() => return Err(Errno::EXIST).of_file(path),
            Some(stat) => home::regular(stat).of_file(path)?,
            None => {}
        }
        let room = user.ledger.reserve_file(0, old.as_ref().map(replaced_file));
        let room = room.map_err(over_quota(path))?;
        let staged = user.home.stage(None).of_file(path)?;
        let permissions = old.map_or(mode.mode.unwrap_or(NEW_FILE), |stat| stat.st_mode) & 0o777;
        rustix::fs::fchmod(staged.file(), Mode::from_raw_mode(permissions)).of_file(path)?;
        let draft = Draft { staged, room, length: 0, hasher: Some(BlockHasher::new()), spoiled: false };
        Ok(Atomic { target, exclusive: mode.is_new(), draft: Mutex::new(draft) })
    }

    pub(super) fn write(&self, path: &RemotePath, offset: Option<u64>, data: &[u8]) -> Result<()> {
        let mut draft = self.draft();
        let result = draft.write(path, offset, data);
        draft.spoiled |= result.is_err();
        result
    }

    pub(super) fn set_length(&self, path: &RemotePath, length: u64) -> Result<()> {
        let mut draft = self.draft();
        let result = draft.set_length(path, length);
        draft.spoiled |= result.is_err();
        result
    }

    pub(super) fn set_mode_and_times(&self, wanted: &SetAttributes) -> home::Result<()> {
        wanted.apply_to(self.draft().staged.file())
    }

    pub(super) fn stat(&self) -> rustix::io::Result<Stat> {
        rustix::fs::fstat(self.draft().staged.file())
    }

    pub(super) fn sync(&self) -> rustix::io::Result<()> {
        rustix::fs::fsync(self.draft().staged.file())
    }

    /// Makes it ready to be placed.
    pub(super) fn finish(self, path: &RemotePath) -> Result<Placement> {
        let draft = self.draft.into_inner().unwrap_or_else(PoisonError::into_inner);
        if draft.spoiled {
            return Err(Error::NotWhole(path.clone()));
        }
        if let Some(hasher) = draft.hasher.filter(|hasher| hasher.length() == draft.length) {
            Stamp::write(draft.staged.file(), hasher.finish()).of_file(path)?;
        }
        Ok(Placement {
            path: path.clone(),
            target: self.target,
            staged: draft.staged,
            reservation: draft.room,
            size: draft.length,
            durable: false,
            exclusive: self.exclusive,
        })
    }

    fn draft(&self) -> MutexGuard<'_, Draft> {
        self.draft.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Draft {
    fn write(&mut self, path: &RemotePath, offset: Option<u64>, data: &[u8]) -> Result<()> {
        let offset = offset.unwrap_or(self.length);
        let end = end_of(offset, data).of_file(path)?;
        self.make_room(path, end)?;
        write_all(self.staged.file(), offset, data).of_file(path)?;
        self.length = self.length.max(end);
        match &mut self.hasher {
            Some(hasher) if hasher.length() == offset => hasher.update(data),
            hasher => *hasher = None,
        }
        Ok(())
    }

    fn set_length(&mut self, path: &RemotePath, length: u64) -> Result<()> {
        self.make_room(path, length)?;
        rustix::fs::ftruncate(self.staged.file(), length).of_file(path)?;
        self.length = length;
        self.room.shrink_to(length.saturating_sub(self.room.credit()), u64::MAX);
        if self.hasher.as_ref().is_some_and(|hasher| hasher.length() != length) {
            self.hasher = None;
        }
        Ok(())
    }

    /// Reserves what a file of `length` needs beyond what it replaces.
    fn make_room(&mut self, path: &RemotePath, length: u64) -> Result<()> {
        let needed = length.saturating_sub(self.room.credit());
        self.room.raise_to(needed, 0).map_err(over_quota(path))
    }
}
