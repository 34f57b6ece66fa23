//! A file that is written beside the one that it will replace.

use super::super::attributes::SetAttributes;
use super::super::error::{Context, of_parent};
use super::super::{Error, Placement, Result, User, room};
use super::{NEW_FILE, OpenMode, end_of, write_all};
use crate::audit::Transfer;
use crate::home::{self, Location, Staged, Stamp, length};
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
    /// Whether nothing that was to be written is missing. Clients close a file also after a refusal.
    whole: bool,
}

impl Atomic {
    /// Begins it. Returns also its path for the log.
    pub(super) fn open(user: &User, path: &RemotePath, mode: OpenMode) -> Result<(Atomic, RemotePath)> {
        let target = match mode.exclusive {
            true => user.home.locate_new_file(path),
            false => user.home.locate_target(path).map(|(target, _)| target),
        };
        let target = target.map_err(of_parent(user, path))?;
        let old = target.stat_if_any().of_file(path)?;
        match &old {
            Some(_) if mode.exclusive => return Err(Errno::EXIST).of_file(path),
            Some(stat) => home::regular(stat).of_file(path)?,
            None => {}
        }
        let room = room::reserve(user, path, &target, 0, old.is_some())?;
        let staged = user.home.stage(None).of_file(path)?;
        let permissions = old.map_or(mode.mode.unwrap_or(NEW_FILE), |stat| stat.st_mode) & 0o777;
        rustix::fs::fchmod(staged.file(), Mode::from_raw_mode(permissions)).of_file(path)?;
        let draft = Draft { staged, room, length: 0, hasher: Some(BlockHasher::new()), whole: true };
        let logged = user.logged(&target, path);
        Ok((Atomic { target, exclusive: mode.exclusive, draft: Mutex::new(draft) }, logged))
    }

    pub(super) fn write(&self, path: &RemotePath, offset: Option<u64>, data: &[&[u8]]) -> Result<()> {
        let mut draft = self.draft();
        let written = draft.write(path, offset, data);
        draft.whole &= written.is_ok();
        written
    }

    pub(super) fn set_length(&self, path: &RemotePath, length: u64) -> Result<()> {
        let mut draft = self.draft();
        let whole = std::mem::replace(&mut draft.whole, false);
        draft.make_room(path, length)?;
        let set = rustix::fs::ftruncate(draft.staged.file(), length);
        draft.settle();
        if draft.hasher.as_ref().is_some_and(|hasher| hasher.length() != length) {
            draft.hasher = None;
        }
        draft.whole = whole && set.is_ok();
        set.of_file(path)
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

    /// Makes it ready to be placed. What was refused in part is not.
    pub(super) fn finish(self, path: &RemotePath, transfer: Transfer) -> Result<Placement> {
        let draft = self.draft.into_inner().unwrap_or_else(PoisonError::into_inner);
        if !draft.whole {
            let error = Error::NotWhole(path.clone());
            transfer.failed(&error);
            return Err(error);
        }
        let hasher = draft.hasher.filter(|hasher| hasher.length() == draft.length);
        let digest = hasher.map(|hasher| hasher.finish());
        if let Some(digest) = digest {
            Stamp::write(draft.staged.file(), digest).of_file(path)?;
        }
        Ok(Placement {
            path: path.clone(),
            target: self.target,
            staged: draft.staged,
            reservation: draft.room,
            size: draft.length,
            durable: false,
            exclusive: self.exclusive,
            digest,
            transfer,
            _claim: None,
        })
    }

    fn draft(&self) -> MutexGuard<'_, Draft> {
        self.draft.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Draft {
    fn write(&mut self, path: &RemotePath, offset: Option<u64>, data: &[&[u8]]) -> Result<()> {
        if data.iter().all(|piece| piece.is_empty()) {
            return Ok(());
        }
        let offset = offset.unwrap_or(self.length);
        let end = end_of(offset, data).of_file(path)?;
        self.make_room(path, end)?;
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

    fn make_room(&mut self, path: &RemotePath, length: u64) -> Result<()> {
        self.room.raise_to(length, 0).map_err(|exceeded| Error::Quota { path: path.clone(), exceeded })
    }

    /// Holds no more than what the file's length needs.
    fn settle(&mut self) {
        if let Ok(stat) = rustix::fs::fstat(self.staged.file()) {
            self.length = length(&stat);
            self.room.shrink_to(self.length, u64::MAX);
        }
    }
}
