//! Other names: hard links, where links point, and where a path really leads.

use super::error::{Context, of_parent, over_quota};
use super::{Result, User, reserve_space};
use crate::home::regular;
use crate::quota::UsageChange;
use rustix::fs::FileType;
use sshome_wire::RemotePath;

/// Gives a file another name. It takes an entry, and no bytes. A link at the end of `from` is not followed:
/// it gets the other name itself.
///
/// # Errors
/// If `from` is neither a regular file nor a link, `to` is taken, or an entry more would exceed the quota.
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
    source.hard_link(&target, &namespace).of_file(to)?;
    entry.commit(UsageChange { bytes: 0, entries: 1 });
    user.audit.hard_link_made(&user.logged(&source, from), &user.logged(&target, to));
    Ok(())
}

/// The text of a link.
///
/// # Errors
/// If there is none.
pub fn read_link(user: &User, path: &RemotePath) -> Result<Vec<u8>> {
    user.home.link_target(path).of_file(path)
}

/// The path, in the home, that `path` leads to when all links on it are followed. Its last name may be
/// missing. The kernel resolves a path anew when it is used: this is for showing.
///
/// # Errors
/// If a directory on the way is missing or none, or there are too many links.
pub fn real_path(user: &User, path: &RemotePath) -> Result<RemotePath> {
    user.home.real_path(path).of_file(path)
}
