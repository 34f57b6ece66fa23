//! Hard links, the targets of symbolic links, and canonical paths.

use super::error::{Context, of_parent, over_quota};
use super::{Error, Result, User, other_mount, reserve_space};
use crate::home::{self, regular};
use crate::quota::UsageChange;
use rustix::fs::FileType;
use rustix::io::Errno;
use sshome_wire::RemotePath;

/// Creates a hard link. It needs one entry and no bytes. A symbolic link at the end of `from` is not followed: it gets the
/// second name itself.
///
/// # Errors
/// If `from` is neither a regular file nor a link, `to` exists, or a new entry would exceed the quota.
pub fn hard_link(user: &User, from: &RemotePath, to: &RemotePath) -> Result<()> {
    user.require_write()?;
    let source = user.home.locate_entry(from).of_file(from)?;
    let target = user.home.locate(to).map_err(of_parent(user, to))?;
    let namespace = user.home.lock_namespace();
    let stat = source.stat().of_file(from)?;
    if FileType::from_raw_mode(stat.st_mode) != FileType::Symlink {
        regular(&stat).of_file(from)?;
    }
    let entry = user.ledger.reserve(0, 1).map_err(over_quota(user, to))?;
    reserve_space::end_credit(user, from, &stat)?;
    source.hard_link(&target, &namespace).map_err(|error| match error {
        home::Error::Os(Errno::XDEV) => other_mount(user, &target, to),
        error => Error::disk(to, false, error),
    })?;
    entry.commit(UsageChange { bytes: 0, entries: 1 });
    user.audit.hard_link_made(&user.logged(&source, from), &user.logged(&target, to));
    Ok(())
}

/// The target of a symbolic link.
///
/// # Errors
/// If it is not a symbolic link.
pub fn read_link(user: &User, path: &RemotePath) -> Result<Vec<u8>> {
    user.home.link_target(path).of_file(path)
}

/// The canonical form of `path`. Its last name need not exist. For display: the kernel resolves a path again when it is
/// used.
///
/// # Errors
/// If a parent is missing or not a directory, or there are too many links.
pub fn real_path(user: &User, path: &RemotePath) -> Result<RemotePath> {
    user.home.real_path(path).of_file(path)
}
