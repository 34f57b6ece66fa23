//! A file that is written beside the one that it will replace.

use super::super::error::{Context, of_parent};
use super::super::{Error, NEW_FILE, Placement, Result, SetAttributes, StepLimit, User, check_mount, reserve_space};
use super::old_content::Base;
use super::io::{end_of, read_at, write_all};
use super::mode::OpenMode;
use crate::audit::Transfer;
use crate::home::{self, Home, Location, Permissions, Staged, Stamp, length};
use crate::quota::Reservation;
use rustix::fs::Stat;
use rustix::io::Errno;
use sshome_wire::{BlockHasher, Digest, RemotePath};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Dropping it drops all that was written.
#[derive(Debug)]
pub(super) struct Atomic {
    exclusive: bool,
    draft: Mutex<Draft>,
}

#[derive(Debug)]
struct Draft {
    home: Arc<Home>,
    target: Location,
    staged: Staged,
    room: Reservation,
    /// Bytes that the staged file has.
    length: u64,
    /// The old content, as far as it stays.
    base: Option<Base>,
    /// Of all that was written, for as long as it comes in order.
    hasher: Option<BlockHasher>,
    permissions: Permissions,
    /// Whether there was a file of this name when it was opened.
    replaces: bool,
}

impl Atomic {
    /// Begins it. Returns also its path for the log.
    pub(super) fn open(user: &User, path: &RemotePath, mode: OpenMode) -> Result<(Atomic, RemotePath)> {
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
        let room = reserve_space::reserve(user, path, &target, 0, old.is_some())?;
        let staged = user.home.stage(&target, None).of_file(path)?;
        let permissions = Permissions::Inherited(mode.mode.unwrap_or(NEW_FILE));
        // Now as well: a client may ask what it has opened.
        let own = rustix::fs::fstat(staged.file()).of_file(path)?;
        staged.inherit(&user.home, &own, (&target, old.is_some()), permissions).of_file(path)?;
        let replaces = old.is_some();
        let base = old.filter(|_| !mode.truncate).map(Base::new);
        let (home, hasher) = (Arc::clone(&user.home), Some(BlockHasher::new()));
        let logged = user.logged(&target, path);
        let draft = Draft { home, target, staged, room, length: 0, base, hasher, permissions, replaces };
        Ok((Atomic { exclusive: mode.exclusive, draft: Mutex::new(draft) }, logged))
    }

    /// Reads what was written; only of a file that was opened to be emptied.
    pub(super) fn read(&self, offset: u64, buffer: &mut Vec<u8>, most: usize) -> rustix::io::Result<usize> {
        read_at(self.draft().staged.file(), offset, buffer, most)
    }

    pub(super) fn write(&self, path: &RemotePath, offset: Option<u64>, data: &[&[u8]]) -> Result<()> {
        self.draft().write(path, offset, data)
    }

    pub(super) fn set_length(&self, path: &RemotePath, length: u64) -> Result<()> {
        let mut draft = self.draft();
        draft.make_room(path, length)?;
        let set = rustix::fs::ftruncate(draft.staged.file(), length);
        if let Some(base) = &mut draft.base {
            base.cut(length);
        }
        draft.settle();
        if draft.hasher.as_ref().is_some_and(|hasher| hasher.length() != length) {
            draft.hasher = None;
        }
        set.of_file(path)
    }

    pub(super) fn set_mode_and_times(&self, wanted: &SetAttributes) -> home::Result<()> {
        let mut draft = self.draft();
        wanted.apply_to(draft.staged.file())?;
        if let Some(mode) = wanted.mode {
            draft.permissions = Permissions::Exact(mode);
        }
        Ok(())
    }

    pub(super) fn stat(&self) -> rustix::io::Result<Stat> {
        let draft = self.draft();
        let mut stat = rustix::fs::fstat(draft.staged.file())?;
        stat.st_size = i64::try_from(draft.whole_length()).unwrap_or(i64::MAX);
        Ok(stat)
    }

    pub(super) fn sync(&self) -> rustix::io::Result<()> {
        rustix::fs::fsync(self.draft().staged.file())
    }

    /// Copies, for one step, the old content that stays; returns whether that was all.
    pub(super) fn fill(&self, user: &User, path: &RemotePath, limit: StepLimit) -> Result<bool> {
        self.draft().fill(user, path, limit)
    }

    /// Makes it ready to be placed. It must be filled.
    pub(super) fn finish(self, user: &User, path: &RemotePath, transfer: Transfer) -> Result<Placement> {
        let draft = self.draft.into_inner().unwrap_or_else(PoisonError::into_inner);
        let sealed = draft.seal(user);
        let digest = sealed.of_file(path).inspect_err(|error| transfer.refused(error))?;
        Ok(Placement {
            path: path.clone(),
            target: draft.target,
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
    /// Sets the staged file's attributes. Returns its digest, if that is known.
    fn seal(&self, user: &User) -> home::Result<Option<Digest>> {
        let file = self.staged.file();
        let own = rustix::fs::fstat(file)?;
        let hasher = self.hasher.as_ref().filter(|hasher| hasher.length() == self.length);
        let digest = hasher.map(BlockHasher::finish);
        if let Some(digest) = digest {
            Stamp::write(file, &own, digest)?;
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
        self.make_room(path, end)?;
        if let Some(base) = &mut self.base {
            base.cover(offset..end).ok_or_else(|| Error::Scattered(path.clone()))?;
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

    /// Bytes that the file will have: those that are staged, or those of the old file that stay.
    fn whole_length(&self) -> u64 {
        self.length.max(self.base.as_ref().map_or(0, Base::length))
    }

    fn fill(&mut self, user: &User, path: &RemotePath, limit: StepLimit) -> Result<bool> {
        self.make_room(path, self.whole_length())?;
        let Some(base) = &mut self.base else { return Ok(true) };
        let filled = base.copy_to(user, path, &self.target, self.staged.file(), limit)?;
        if filled {
            self.settle();
        }
        Ok(filled)
    }

    fn make_room(&mut self, path: &RemotePath, length: u64) -> Result<()> {
        reserve_space::grow(&self.home, path, &self.target, &mut self.room, length, 1)
    }

    /// Holds no more than what the file's length needs.
    fn settle(&mut self) {
        if let Ok(stat) = rustix::fs::fstat(self.staged.file()) {
            self.length = length(&stat);
            self.room.shrink_to(self.length, u64::MAX);
        }
    }
}
