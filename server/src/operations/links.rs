//! Other names: hard links, where links point, and where a path really leads.

use super::error::{Context, of_parent, over_quota};
use super::{Result, User};
use crate::home::{self, regular};
use crate::quota::Change;
use rustix::fs::FileType;
use rustix::io::Errno;
use sshome_wire::RemotePath;

/// As many links on a path as the kernel follows.
const MAX_LINKS: usize = 40;

/// Gives a file another name. It takes an entry, and no bytes. A link at the end of `from` is not followed:
/// it gets the other name itself.
///
/// # Errors
/// If `from` is neither a regular file nor a link, `to` is taken, or an entry more would exceed the quota.
pub fn hard_link(user: &User, from: &RemotePath, to: &RemotePath) -> Result<()> {
    user.require_write()?;
    let source = user.home.locate(from).of_file(from)?;
    let target = user.home.locate(to).map_err(of_parent(user, to))?;
    let names = user.home.lock_names();
    let stat = source.stat().of_file(from)?;
    if FileType::from_raw_mode(stat.st_mode) != FileType::Symlink {
        regular(&stat).of_file(from)?;
    }
    let entry = user.ledger.reserve(0, 1).map_err(over_quota(user, to))?;
    source.hard_link(&target, &names).of_file(to)?;
    entry.commit(Change { bytes: 0, entries: 1 });
    user.audit.hard_link_made(from, to);
    Ok(())
}

/// The text of a link.
///
/// # Errors
/// If there is none.
pub fn read_link(user: &User, path: &RemotePath) -> Result<Vec<u8>> {
    user.home.locate(path).and_then(|location| location.read_link()).of_file(path)
}

/// The path, in the home, that `path` leads to when all links on it are followed. Its last name may be
/// missing. The kernel resolves a path anew when it is used: this is for showing.
///
/// # Errors
/// If a directory on the way is missing or none, or there are too many links.
pub fn real_path(user: &User, path: &RemotePath) -> Result<RemotePath> {
    let mut real = RemotePath::root();
    // What is still to be walked, the next name last.
    let mut ahead: Vec<Vec<u8>> = reversed(path.as_bytes());
    let mut links = 0;
    while let Some(name) = ahead.pop() {
        let next = real.join(&name).map_err(|_| Errno::NAMETOOLONG).of_file(path)?;
        if name == b".." {
            real = next;
            continue;
        }
        let stat = match user.home.stat_link(&next) {
            Err(home::Error::Os(Errno::NOENT)) if ahead.is_empty() => return Ok(next),
            stat => stat.of_file(path)?,
        };
        if FileType::from_raw_mode(stat.st_mode) != FileType::Symlink {
            real = next;
            continue;
        }
        links += 1;
        if links > MAX_LINKS {
            return Err(Errno::LOOP).of_file(path);
        }
        let target = user.home.link_target(&next).of_file(path)?;
        if target.first() == Some(&b'/') {
            real = RemotePath::root();
        }
        ahead.extend(reversed(&target));
    }
    Ok(real)
}

fn reversed(path: &[u8]) -> Vec<Vec<u8>> {
    let names = path.split(|byte| *byte == b'/').filter(|name| !name.is_empty() && *name != b".");
    names.rev().map(<[u8]>::to_vec).collect()
}
