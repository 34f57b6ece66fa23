//! Setting size, mode and times.

use super::error::Context;
use super::{OpenFile, OpenMode, Result, SetAttributes, User};
use rustix::fs::FileType;
use rustix::io::Errno;
use sshome_wire::RemotePath;

/// Sets attributes of the file at a path. `follow` says whether a link at its end is followed. The owner cannot change, and
/// the group only to one of the server's own groups. Other owners and groups are ignored if further attributes are set,
/// since many clients always send them.
///
/// # Errors
/// If the file does not exist, only a forbidden owner or group is given, or a size is given for anything but a regular file
/// or exceeds the quota.
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
    // A link has no mode: ignored if times are set as well.
    if let Some(mode) = wanted.mode.filter(|_| !is_link || wanted.times.is_none()) {
        entry.set_mode(mode).of_file(path)?;
    }
    if let Some(times) = wanted.timestamps() {
        entry.set_times(&times).of_file(path)?;
    }
    user.audit.attributes_set(&user.home.canonical_entry(&entry).unwrap_or_else(|_| path.clone()));
    Ok(())
}
