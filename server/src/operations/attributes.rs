//! Setting size, mode and times.

use super::error::Context;
use super::{OpenFile, OpenMode, Result, SetAttributes, User};
use rustix::fs::FileType;
use rustix::io::Errno;
use sshome_wire::RemotePath;

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
