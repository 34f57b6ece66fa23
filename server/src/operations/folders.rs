//! Directories: `mkdir`, `rmdir`.

use super::error::{Context, of_parent, over_quota};
use super::place::FEW;
use super::{Error, Result, User};
use crate::home::{self, Location};
use crate::quota::{Change, Freed};
use rustix::fs::FileType;
use rustix::io::Errno;
use sshome_wire::RemotePath;

/// What `mkdir` has found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Made {
    /// The directory is new.
    New,
    /// It was there already, and was left as it is.
    Existed,
}

/// Makes a directory, with `parents` also those on the way. Returns also where names are new, for
/// [`place`](super::place) to put on the disk, the innermost last. Each location holds a descriptor, so if there are
/// many, some are left out: for more than a few, `place` syncs the whole disk.
///
/// # Errors
/// If the name is taken by something else, or one entry more would exceed the quota.
pub fn make_directory(
    user: &User,
    path: &RemotePath,
    parents: bool,
    mode: Option<u32>,
) -> Result<(Made, Vec<Location>)> {
    user.require_write()?;
    // What is missing, the innermost first.
    let mut missing = Vec::new();
    let mut at = path.clone();
    let first = loop {
        let mode = if missing.is_empty() { mode } else { None };
        match make_one(user, &at, mode) {
            Err(Error::Disk { error: home::Error::Os(Errno::NOENT), .. }) if parents => {
                let Some((parent, _)) = at.split() else { break None };
                missing.push(std::mem::replace(&mut at, parent));
            }
            result => break result?,
        }
    };
    let mut made: Vec<Location> = first.into_iter().collect();
    let inner = missing.len();
    for (left, path) in missing.into_iter().rev().enumerate() {
        let mode = if left + 1 == inner { mode } else { None };
        let new = make_one(user, &path, mode)?;
        if made.len() > FEW {
            made.pop();
        }
        made.extend(new);
    }
    let new = if made.is_empty() { Made::Existed } else { Made::New };
    Ok((new, made))
}

/// Makes a directory that must not be there.
///
/// # Errors
/// As [`make_directory`], and if it is there.
pub fn make_new_directory(user: &User, path: &RemotePath, mode: Option<u32>) -> Result<()> {
    match make_directory(user, path, false, mode)? {
        (Made::New, _) => Ok(()),
        (Made::Existed, _) => Err(Errno::EXIST).of_directory(path),
    }
}

/// Makes one directory; none if it was there.
fn make_one(user: &User, path: &RemotePath, mode: Option<u32>) -> Result<Option<Location>> {
    let location = match user.home.locate(path) {
        Err(home::Error::Top | home::Error::Dot) => return existing(user, path).map(|()| None),
        result => result.map_err(of_parent(user, path))?,
    };
    if location.stat_if_any().of_directory(path)?.is_some() {
        return existing(user, path).map(|()| None);
    }
    let reservation = user.ledger.reserve(0, 1).map_err(over_quota(user, path))?;
    // Made and booked as one: a rename that replaces it must find both.
    let names = user.home.lock_names();
    match location.make_directory(mode, &names) {
        Ok(()) => {
            reservation.commit(Change { bytes: 0, entries: 1 });
            user.audit.directory_made(&user.logged(&location, path));
            Ok(Some(location))
        }
        Err(home::Error::Os(Errno::EXIST)) => {
            drop(names);
            existing(user, path).map(|()| None)
        }
        Err(error) => Err(error).of_directory(path),
    }
}

/// Makes a symbolic link of this text. It is followed, if at all, as in a chroot. Returns where the
/// name is new.
///
/// # Errors
/// If the name is taken, or the text or one entry more would exceed the quota.
pub fn make_symlink(user: &User, path: &RemotePath, target: &[u8]) -> Result<Location> {
    user.require_write()?;
    let location = user.home.locate(path).map_err(of_parent(user, path))?;
    let length = target.len() as u64;
    let reservation = user.ledger.reserve(length, 1).map_err(over_quota(user, path))?;
    let names = user.home.lock_names();
    location.make_symlink(target, &names).of_file(path)?;
    reservation.commit(Change { bytes: length.cast_signed(), entries: 1 });
    user.audit.link_made(&user.logged(&location, path), target);
    Ok(location)
}

/// The name is taken: by a directory, or a link to one, it counts as made.
fn existing(user: &User, path: &RemotePath) -> Result<()> {
    match user.home.stat(path) {
        Ok(stat) if FileType::from_raw_mode(stat.st_mode) == FileType::Directory => Ok(()),
        _ => Err(Error::NotDirectory(path.clone())),
    }
}

/// Removes an empty directory.
///
/// # Errors
/// If it is not empty, or none.
pub fn remove_directory(user: &User, path: &RemotePath) -> Result<()> {
    user.require_write()?;
    let location = user.home.locate(path).of_directory(path)?;
    let names = user.home.lock_names();
    location.remove_directory(&names).of_directory(path)?;
    user.ledger.removed(Freed::Nothing);
    user.audit.directory_removed(&user.logged(&location, path));
    Ok(())
}
