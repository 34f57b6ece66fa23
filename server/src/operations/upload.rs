//! Storing a file: `put`.

use super::error::{Context, errno};
use super::{Error, Placement, Result, User};
use crate::home::{Location, Staged, Stamp, freed_bytes};
use crate::quota::Reservation;
use rustix::fs::{FileType, Mode, Stat, Timespec, Timestamps, UTIME_OMIT};
use sshome_wire::{BlockHasher, Digest, End, Put, RemotePath, Time};
use std::io::Write;

/// From this size on a file is put on the disk by itself, before the group that it is published with.
const LARGE: u64 = 1 << 20;

/// What room is reserved at a time for an upload of unknown length, in bytes.
const STEP: u64 = 1 << 20;

/// A new file's permissions.
const NEW_FILE: u32 = 0o644;

/// A file that is being received. Dropping it leaves nothing behind.
#[derive(Debug)]
pub struct Upload {
    path: RemotePath,
    target: Location,
    staged: Staged,
    reservation: Reservation,
    hasher: BlockHasher,
    announced: Option<u64>,
    written: u64,
    /// Bytes that the replaced file will give back.
    credit: u64,
    mtime: Option<Time>,
    mode: u32,
}

impl Upload {
    /// Begins: looks at what is to be replaced and reserves the room, before any data.
    ///
    /// # Errors
    /// If a directory is in the way, the directory is missing, or the room is not there.
    pub fn begin(user: &User, put: &Put, path: RemotePath) -> Result<Upload> {
        let target = user.home.locate_target(&path).of_directory(&path)?;
        let replaced = target.stat_if_any().of_file(&path)?;
        if let Some(stat) = &replaced {
            refuse_what_is_no_file(stat, &path)?;
        }
        let credit = replaced.as_ref().map_or(0, freed_bytes);
        let needed = put.size.unwrap_or(0);
        let entries = u64::from(replaced.is_none());
        let reservation = user.ledger.reserve(needed.saturating_sub(credit), entries);
        let reservation = reservation.map_err(|exceeded| quota(&path, exceeded, needed))?;
        let old_mode = replaced.map_or(NEW_FILE, |stat| stat.st_mode);
        Ok(Upload {
            target,
            staged: user.home.stage().of_file(&path)?,
            reservation,
            hasher: BlockHasher::new(),
            announced: put.size,
            written: 0,
            credit,
            mtime: put.mtime,
            mode: put.mode.unwrap_or(old_mode) & 0o777,
            path,
        })
    }

    /// Takes the next bytes.
    ///
    /// # Errors
    /// If they are more than was announced or than the quota allows, or the disk refuses them.
    pub fn write(&mut self, data: &[u8]) -> Result<()> {
        let written = self.written + data.len() as u64;
        match self.announced {
            Some(size) if written > size => {
                return Err(Error::Mismatch { path: self.path.clone(), why: "more came than was announced" });
            }
            Some(_) => {}
            None => self.make_room(written)?,
        }
        self.hasher.update(data);
        self.staged.file().write_all(data).map_err(|error| errno(&error)).of_file(&self.path)?;
        self.written = written;
        Ok(())
    }

    /// Ends: compares what came with what was sent, and makes the file ready to be placed.
    ///
    /// # Errors
    /// If the sender gave it up, or sizes or digests differ.
    pub fn finish(self, end: &End) -> Result<Placement> {
        if end.status.is_error() {
            let (path, status, why) = (self.path.clone(), end.status, end.message.clone());
            return Err(Error::GivenUp { path, status, why });
        }
        let digest = self.hasher.finish();
        if self.written != end.size {
            return Err(Error::Mismatch { path: self.path, why: "not all of it arrived" });
        }
        if digest != end.digest {
            return Err(Error::Mismatch { path: self.path, why: "what arrived is not what was sent" });
        }
        self.seal(digest)
    }

    fn seal(self, digest: Digest) -> Result<Placement> {
        let file = self.staged.file();
        rustix::fs::fchmod(file, Mode::from_raw_mode(self.mode)).of_file(&self.path)?;
        if let Some(time) = self.mtime {
            rustix::fs::futimens(file, &times(time)).of_file(&self.path)?;
        }
        Stamp::write(file, digest).of_file(&self.path)?;
        let durable = self.written >= LARGE;
        if durable {
            rustix::fs::fsync(file).of_file(&self.path)?;
        }
        Ok(Placement {
            path: self.path,
            target: self.target,
            staged: self.staged,
            reservation: self.reservation,
            size: self.written,
            durable,
        })
    }

    /// Reserves for an upload of unknown length, a step at a time, or exactly where a step is too much.
    fn make_room(&mut self, written: u64) -> Result<()> {
        let needed = written.saturating_sub(self.credit);
        if needed <= self.reservation.bytes() {
            return Ok(());
        }
        self.reservation
            .raise_to(needed.next_multiple_of(STEP), 0)
            .or_else(|_| self.reservation.raise_to(needed, 0))
            .map_err(|exceeded| Error::Quota { path: self.path.clone(), exceeded })
    }
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
    let nanoseconds = time.nanoseconds.min(999_999_999);
    let mtime = Timespec { tv_sec: time.seconds, tv_nsec: nanoseconds.into() };
    Timestamps { last_access: omit, last_modification: mtime }
}
