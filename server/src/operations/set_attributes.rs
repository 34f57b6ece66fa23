//! The attributes that a client wants to set.

use super::{Error, Result};
use crate::home::{self, permissions};
use rustix::fs::{Gid, Stat, Timespec, Timestamps};
use sshome_wire::{RemotePath, Time};
use std::fs::File;

/// Attributes to set; `None` leaves an attribute unchanged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SetAttributes {
    /// Length in bytes; added bytes are zero.
    pub size: Option<u64>,
    /// Permissions. Set-id bits are dropped, and a directory stays readable for its owner.
    pub mode: Option<u32>,
    /// Access time and modification time.
    pub times: Option<(Time, Time)>,
    /// User and group id; [`u32::MAX`] leaves one unchanged. See [`super::set_attributes`].
    pub owner: Option<(u32, u32)>,
}

impl SetAttributes {
    /// Sets the group with `set`, as chown(2) would for an ordinary account. A change that is not allowed fails only if no
    /// other attribute is set.
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

    pub(super) fn timestamps(&self) -> Option<Timestamps> {
        let timespec = |time: Time| Timespec { tv_sec: time.seconds, tv_nsec: time.nanoseconds.into() };
        let (accessed, modified) = self.times?;
        Some(Timestamps { last_access: timespec(accessed), last_modification: timespec(modified) })
    }
}

/// Whether the server is a member of a group.
fn is_own_group(group: Gid) -> bool {
    group == rustix::process::getegid()
        || rustix::process::getgroups().is_ok_and(|groups| groups.contains(&group))
}
