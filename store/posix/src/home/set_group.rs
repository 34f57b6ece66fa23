//! Staged files for directories with the set-group bit.
//!
//! The kernel gives a file that is created in such a directory the directory's group, even if the process is not a member.
//! `chown` to a group requires membership. So the file is created in its directory without a name (`O_TMPFILE`), and then
//! linked into the staging folder. A crash between the two leaves no file behind.

use super::Location;
use super::acl::ACCESS_ACL;
use super::directory::{SET_GROUP, own_group};
use rustix::fd::AsFd;
use rustix::fs::{AtFlags, CWD, Mode, OFlags};
use rustix::io::{Errno, Result};
use std::fs::File;
use std::os::fd::AsRawFd;

/// Creates an empty file with the group of the target's directory, and links it into the staging folder as `name`.
/// `None` if the directory does not pass on another group, or the filesystem cannot do this (NFS and most FUSE
/// filesystems lack `O_TMPFILE`).
pub(super) fn create_for(target: &Location, staging: impl AsFd, name: &str, mode: Mode) -> Option<File> {
    let directory = target.dir_info().ok()?;
    if directory.mode & SET_GROUP == 0 || directory.group == own_group() {
        return None;
    }
    create_and_link(target, staging, name, mode).ok()
}

fn create_and_link(target: &Location, staging: impl AsFd, name: &str, mode: Mode) -> Result<File> {
    let flags = OFlags::RDWR | OFlags::TMPFILE | OFlags::CLOEXEC;
    let file = File::from(rustix::fs::openat(target.dir(), c".", flags, mode)?);
    // Inherited from the directory's default list. The file's own list is set when it is complete.
    match rustix::fs::fremovexattr(&file, ACCESS_ACL) {
        Ok(()) | Err(Errno::NODATA | Errno::OPNOTSUPP) => {}
        Err(error) => return Err(error),
    }
    // Linking by descriptor alone requires CAP_DAC_READ_SEARCH.
    let unnamed = format!("/proc/self/fd/{}", file.as_raw_fd());
    rustix::fs::linkat(CWD, unnamed, staging, name, AtFlags::SYMLINK_FOLLOW)?;
    Ok(file)
}
