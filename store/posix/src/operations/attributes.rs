//! Setting mode, times and group.

use super::error::Context;
use super::{PosixHome, StoreResult};
use crate::home::{self, permissions};
use rustix::fs::{FileType, Gid, Stat, Timespec, Timestamps};
use sshome_store::{EntryChange, SetAttributes, StoreError};
use sshome_wire::{RemotePath, Time};
use std::fs::File;

/// See [`Home::set_attributes`](sshome_store::Home::set_attributes).
pub(crate) fn set_attributes(
    home: &PosixHome,
    path: &RemotePath,
    follow: bool,
    wanted: &SetAttributes,
) -> StoreResult<RemotePath> {
    let entry = home.dir.entry(path, follow).of_file(path)?;
    let canonical = || home.dir.canonical_entry(&entry).ok();
    let permitted = home.ctx.check_change(EntryChange::SetAttributes, &home::info(entry.stat()), &canonical);
    permitted.map_err(|cause| StoreError::file(path, cause))?;
    let is_link = FileType::from_raw_mode(entry.stat().st_mode) == FileType::Symlink;
    set_owner(wanted, path, entry.stat(), |group| entry.set_group(group))?;
    // A link has no mode: ignored if times are set as well.
    if let Some(mode) = wanted.mode.filter(|_| !is_link || wanted.times.is_none()) {
        entry.set_mode(mode).of_file(path)?;
    }
    if let Some(times) = timestamps(wanted) {
        entry.set_times(&times).of_file(path)?;
    }
    Ok(canonical().unwrap_or_else(|| path.clone()))
}

/// Sets the group with `set`, as chown(2) would for an ordinary account. A change that is not allowed fails only if no
/// other attribute is set.
pub(super) fn set_owner(
    wanted: &SetAttributes,
    path: &RemotePath,
    stat: &Stat,
    set: impl FnOnce(Gid) -> home::Result<()>,
) -> StoreResult<()> {
    let Some((owner, group)) = wanted.owner else { return Ok(()) };
    let other = |wanted: u32, is: u32| wanted != is && wanted != u32::MAX;
    let group = other(group, stat.st_gid).then(|| Gid::from_raw(group));
    let done =
        !other(owner, stat.st_uid) && group.is_none_or(|group| is_own_group(group) && set(group).is_ok());
    if done || !wanted.is_owner_only() { Ok(()) } else { Err(StoreError::Owner(path.clone())) }
}

/// Sets mode and times of an open regular file.
pub(super) fn apply_to(wanted: &SetAttributes, file: &File) -> home::Result<()> {
    if let Some(mode) = wanted.mode {
        rustix::fs::fchmod(file, permissions(&rustix::fs::fstat(file)?, mode))?;
    }
    if let Some(times) = timestamps(wanted) {
        rustix::fs::futimens(file, &times)?;
    }
    Ok(())
}

fn timestamps(wanted: &SetAttributes) -> Option<Timestamps> {
    let timespec = |time: Time| Timespec { tv_sec: time.seconds, tv_nsec: time.nanoseconds.into() };
    let (accessed, modified) = wanted.times?;
    Some(Timestamps { last_access: timespec(accessed), last_modification: timespec(modified) })
}

/// Whether the server is a member of a group.
fn is_own_group(group: Gid) -> bool {
    group == rustix::process::getegid()
        || rustix::process::getgroups().is_ok_and(|groups| groups.contains(&group))
}
