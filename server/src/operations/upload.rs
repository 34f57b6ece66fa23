//! Storing a file: `put`.

use super::error::{Context, errno};
use super::part::{CheckedPart, Draft};
use super::{Error, Placement, Result, User};
use crate::home::{Location, Record, Stamp, replaced_file};
use rustix::fs::{FileType, Mode, Stat, Timespec, Timestamps, UTIME_OMIT};
use sshome_wire::{BLOCK, BlockHasher, Digest, End, Put, RemotePath, Status, Time};
use std::io::{Seek, SeekFrom, Write};

/// From this size on a file is put on the disk by itself, before the group that it is published with.
const LARGE: u64 = 1 << 20;

/// What room is reserved at a time for an upload of unknown length, in bytes.
const STEP: u64 = 1 << 20;

/// A new file's permissions.
const NEW_FILE: u32 = 0o644;

/// A file that is being received. Dropping it leaves nothing behind, but for the part of a large
/// file, which can be gone on with.
#[derive(Debug)]
pub struct Upload {
    path: RemotePath,
    target: Location,
    draft: Draft,
    hasher: BlockHasher,
    announced: Option<u64>,
    mtime: Option<Time>,
    mode: u32,
}

impl Upload {
    /// Begins: looks at what is to be replaced and reserves the room, before any data. `part` is what
    /// was checked for this path before, and is gone on with if the put says so.
    ///
    /// # Errors
    /// If a directory is in the way, the directory is missing, the room is not there, or the part is
    /// not the one that the put goes on with.
    pub fn begin(user: &User, put: &Put, path: RemotePath, part: Option<CheckedPart>) -> Result<Upload> {
        user.require_write()?;
        let target = user.home.locate_target(&path).of_directory(&path)?;
        let replaced = target.stat_if_any().of_file(&path)?;
        if let Some(stat) = &replaced {
            refuse_what_is_no_file(stat, &path)?;
        }
        let needed = put.size.unwrap_or(0);
        let old = replaced.as_ref().map(replaced_file);
        let over = |exceeded| quota(&path, exceeded, needed);
        let (draft, hasher) = if put.resume == 0 {
            // Whatever is there is not of this source.
            part.into_iter().for_each(|part| part.remove(user));
            let room = user.ledger.reserve_file(needed, old).map_err(over)?;
            let record = record(put, &path);
            let staged = user.home.stage(record.as_ref()).of_file(&path)?;
            (Draft::new(user, staged, room, record), BlockHasher::new())
        } else {
            let part = part.and_then(|part| part.go_on(user, put.resume));
            let (staged, mut room, digests) = part.ok_or_else(|| Error::NoPart(path.clone()))?;
            room.count_on(old);
            let (credit, entries) = (room.credit(), u64::from(old.is_none()));
            let raised = room.raise_to(needed.saturating_sub(credit), entries);
            let mut draft = Draft::new(user, staged, room, record(put, &path));
            draft.written = digests.len() as u64 * BLOCK;
            raised.map_err(over)?;
            draft.cut().of_file(&path)?;
            (draft, BlockHasher::after(digests))
        };
        let old_mode = replaced.map_or(NEW_FILE, |stat| stat.st_mode);
        let mode = put.mode.unwrap_or(old_mode) & 0o777;
        Ok(Upload { path, target, draft, hasher, announced: put.size, mtime: put.mtime, mode })
    }

    /// Takes the next bytes.
    ///
    /// # Errors
    /// If they are more than was announced or than the quota allows, or the disk refuses them.
    pub fn write(&mut self, data: &[u8]) -> Result<()> {
        let result = self.store(data);
        if result.is_err() {
            self.draft.spoil();
        }
        result
    }

    fn store(&mut self, data: &[u8]) -> Result<()> {
        let written = self.draft.written + data.len() as u64;
        match self.announced {
            Some(size) if written > size => {
                return Err(Error::Mismatch { path: self.path.clone(), why: "more came than was announced" });
            }
            Some(_) => {}
            None => self.make_room(written)?,
        }
        let Some(staged) = self.draft.staged() else { return Ok(()) };
        staged.file().write_all(data).map_err(|error| errno(&error)).of_file(&self.path)?;
        self.hasher.update(data);
        self.draft.written = written;
        Ok(())
    }

    /// Ends: compares what came with what was sent, and makes the file ready to be placed.
    ///
    /// # Errors
    /// If the sender gave it up, or sizes or digests differ. Then nothing is kept.
    pub fn finish(mut self, end: &End) -> Result<Placement> {
        let result = self.check(end).and_then(|digest| self.seal(digest));
        if result.is_err() {
            self.draft.spoil();
        }
        result
    }

    /// Ends an upload that nothing was said about at its end: what came is the file. A size that was
    /// announced holds, and a digest if the sender has one.
    ///
    /// # Errors
    /// If the size or the digest differs. Then nothing is kept.
    pub fn finish_as_it_came(self, digest: Option<Digest>) -> Result<Placement> {
        let size = self.announced.unwrap_or(self.draft.written);
        let digest = digest.unwrap_or_else(|| self.hasher.finish());
        self.finish(&End { status: Status::Done, message: String::new(), digest, size })
    }

    fn check(&self, end: &End) -> Result<Digest> {
        if end.status.is_error() {
            let (path, status) = (self.path.clone(), end.status);
            // The sender's words come back to it; a few are enough.
            let why = end.message.chars().take(200).collect();
            return Err(Error::GivenUp { path, status, why });
        }
        let mismatch = |why| Err(Error::Mismatch { path: self.path.clone(), why });
        if self.draft.written != end.size {
            return mismatch("not all of it arrived");
        }
        let digest = self.hasher.finish();
        if digest != end.digest {
            return mismatch("what arrived is not what was sent");
        }
        Ok(digest)
    }

    fn seal(&mut self, digest: Digest) -> Result<Placement> {
        let size = self.draft.written;
        let durable = size >= LARGE;
        let Some((staged, reservation)) = self.draft.take() else {
            return Err(Error::NoPart(self.path.clone()));
        };
        let file = staged.file();
        if let Some(time) = self.mtime {
            rustix::fs::futimens(file, &times(time)).of_file(&self.path)?;
        }
        Stamp::write(file, digest).of_file(&self.path)?;
        // Last: a mode without write permission would keep even the owner from stamping.
        rustix::fs::fchmod(file, Mode::from_raw_mode(self.mode)).of_file(&self.path)?;
        if durable {
            rustix::fs::fsync(file).of_file(&self.path)?;
        }
        let (path, target) = (self.path.clone(), self.target.clone());
        Ok(Placement { path, target, staged, reservation, size, durable, exclusive: false })
    }

    /// Reserves for an upload of unknown length, a step at a time, or exactly where a step is too much.
    fn make_room(&mut self, written: u64) -> Result<()> {
        let Some(room) = self.draft.room() else { return Ok(()) };
        let needed = written.saturating_sub(room.credit());
        if needed <= room.bytes() {
            return Ok(());
        }
        room.raise_to(needed.next_multiple_of(STEP), 0)
            .or_else(|_| room.raise_to(needed, 0))
            .map_err(|exceeded| Error::Quota { path: self.path.clone(), exceeded })
    }
}

impl Draft {
    /// Cuts the file off after what is known to be good, and goes on there.
    fn cut(&self) -> rustix::io::Result<()> {
        let Some(staged) = self.staged() else { return Ok(()) };
        let mut file = staged.file();
        rustix::fs::ftruncate(file, self.written)?;
        file.seek(SeekFrom::Start(self.written)).map(drop).map_err(|error| errno(&error))
    }
}

/// What a put of a large file leaves behind if it is cut: by this it is found again.
fn record(put: &Put, path: &RemotePath) -> Option<Record> {
    let size = put.size.filter(|size| BlockHasher::knowable(*size) > 0)?;
    Some(Record { target: path.as_bytes().to_vec(), size, mtime: put.source? })
}

fn refuse_what_is_no_file(stat: &Stat, path: &RemotePath) -> Result<()> {
    match FileType::from_raw_mode(stat.st_mode) {
        FileType::RegularFile => Ok(()),
        FileType::Directory => Err(Error::IsDirectory { path: path.clone(), hint: "; name the file in it" }),
        _ => Err(crate::home::Error::Special).of_file(path),
    }
}

/// The refusal names the file's whole size, not the difference that was asked for.
fn quota(path: &RemotePath, exceeded: crate::quota::Exceeded, size: u64) -> Error {
    use crate::quota::Exceeded;
    let exceeded = match exceeded {
        Exceeded::Bytes { left, quota, .. } => Exceeded::Bytes { needed: size, left, quota },
        entries => entries,
    };
    Error::Quota { path: path.clone(), exceeded }
}

fn times(time: Time) -> Timestamps {
    let omit = Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT };
    let mtime = Timespec { tv_sec: time.seconds, tv_nsec: time.nanoseconds.into() };
    Timestamps { last_access: omit, last_modification: mtime }
}
