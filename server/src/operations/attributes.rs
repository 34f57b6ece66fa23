//! Setting size, mode and times.

use super::error::Context;
use super::{Error, OpenFile, OpenMode, Result, User};
use crate::home::{self, permissions};
use rustix::fs::{FileType, Stat, Timespec, Timestamps};
use rustix::io::Errno;
use sshome_wire::{RemotePath, Time};
use std::fs::File;

/// What is to be set; what is none stays.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SetAttributes {
    /// Length in bytes; what is added reads as zeros.
    pub size: Option<u64>,
    /// Permissions. Set-id bits are dropped, and a directory stays open to its owner.
    pub mode: Option<u32>,
    /// When it was last read, and when its content last changed.
    pub times: Option<(Time, Time)>,
    /// User and group. Nothing can change them: see [`set_attributes`].
    pub owner: Option<(u32, u32)>,
}

/// Sets attributes of what is at a path. `follow` says whether a link at its end is followed. An owner is
/// passed over if it is the owner already, or comes along with something else: clients send it as a matter
/// of course.
///
/// # Errors
/// If only another owner was asked for, a size is given for what is no regular file or exceeds the quota, or
/// nothing is there.
pub fn set_attributes(user: &User, path: &RemotePath, follow: bool, wanted: &SetAttributes) -> Result<()> {
    user.require_write()?;
    let entry = user.home.entry(path, follow).of_file(path)?;
    let is_link = FileType::from_raw_mode(entry.stat().st_mode) == FileType::Symlink;
    if wanted.size.is_some() {
        if is_link {
            return Err(Errno::INVAL).of_file(path);
        }
        let mode = OpenMode { write: true, ..OpenMode::default() };
        // It tells of itself when it is closed.
        return OpenFile::open(user, path, mode)?.set_attributes(user, wanted);
    }
    wanted.check_owner(path, entry.stat())?;
    // A link has no mode; who asks for its times as well wants those.
    if let Some(mode) = wanted.mode.filter(|_| !is_link || wanted.times.is_none()) {
        entry.set_mode(mode).of_file(path)?;
    }
    if let Some(times) = wanted.timestamps() {
        entry.set_times(&times).of_file(path)?;
    }
    user.audit.attributes_set(&user.home.canonical_entry(&entry).unwrap_or_else(|_| path.clone()));
    Ok(())
}

impl SetAttributes {
    /// Refuses another owner, if that is all that is wanted.
    pub(super) fn check_owner(&self, path: &RemotePath, stat: &Stat) -> Result<()> {
        let alone = self.size.is_none() && self.mode.is_none() && self.times.is_none();
        match self.owner {
            Some(owner) if alone && owner != (stat.st_uid, stat.st_gid) => Err(Error::Owner(path.clone())),
            _ => Ok(()),
        }
    }

    /// Sets mode and times of an open regular file.
    pub(super) fn apply_to(&self, file: &File) -> home::Result<()> {
        if let Some(mode) = self.mode {
            rustix::fs::fchmod(file, permissions(&rustix::fs::fstat(file)?, mode))?;
        }
        if let Some(times) = self.timestamps() {
            rustix::fs::futimens(file, &times)?;
        }
        Ok(())
    }

    fn timestamps(&self) -> Option<Timestamps> {
        let timespec = |time: Time| Timespec { tv_sec: time.seconds, tv_nsec: time.nanoseconds.into() };
        let (accessed, modified) = self.times?;
        Some(Timestamps { last_access: timespec(accessed), last_modification: timespec(modified) })
    }
}
