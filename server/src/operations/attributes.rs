//! Setting size, mode and times.

use super::error::Context;
use super::{Error, OpenFile, OpenMode, Result, User};
use crate::home::{self, permissions};
use rustix::fs::{FileType, Gid, Stat, Timespec, Timestamps};
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
    /// User and group; [`u32::MAX`] leaves one as it is. See [`set_attributes`].
    pub owner: Option<(u32, u32)>,
}

/// Sets attributes of what is at a path. `follow` says whether a link at its end is followed. The owner stays,
/// and the group can only become another one of the server's own: what else is asked for is passed over if it
/// comes along with something else, since clients send it as a matter of course.
///
/// # Errors
/// If only another owner, or a group that is not the server's, was asked for, a size is given for what is no regular file or exceeds the quota, or
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
        let file = OpenFile::open(user, path, mode)?;
        file.set_attributes(user, wanted)?;
        return file.finish(user);
    }
    wanted.set_owner(path, entry.stat(), |group| entry.set_group(group))?;
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
    /// Sets the group with `set`, as chown(2) would for an account that is not root. What is not allowed is
    /// refused, if that is all that is wanted.
    pub(super) fn set_owner(
        &self,
        path: &RemotePath,
        stat: &Stat,
        set: impl FnOnce(Gid) -> home::Result<()>,
    ) -> Result<()> {
        let Some((owner, group)) = self.owner else { return Ok(()) };
        let other = |wanted: u32, is: u32| wanted != is && wanted != u32::MAX;
        let group = other(group, stat.st_gid).then(|| Gid::from_raw(group));
        let done =
            !other(owner, stat.st_uid) && group.is_none_or(|group| is_own_group(group) && set(group).is_ok());
        let alone = self.size.is_none() && self.mode.is_none() && self.times.is_none();
        if done || !alone { Ok(()) } else { Err(Error::Owner(path.clone())) }
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

/// Whether the server is in a group.
fn is_own_group(group: Gid) -> bool {
    group == rustix::process::getegid()
        || rustix::process::getgroups().is_ok_and(|groups| groups.contains(&group))
}
