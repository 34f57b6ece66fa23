//! Directories: `mkdir`, `rmdir`.

use super::error::{Context, of_parent, over_quota};
use super::publish::MAX_SINGLE_SYNCS;
use super::{Error, Result, User};
use crate::home::{self, Location};
use crate::quota::{FreedSpace, UsageChange};
use rustix::fs::FileType;
use rustix::io::Errno;
use sshome_wire::RemotePath;

/// The result of `mkdir`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MadeDirectory {
    /// The directory is new.
    New,
    /// The directory existed, and is unchanged.
    Existed,
}

/// Creates a directory, with `parents` also its missing parents. Returns also the locations of new names, the innermost
/// last, for [`publish`](super::publish) to sync. Each location holds a descriptor, so only
/// `MAX_SINGLE_SYNCS` + 1 are returned: for more than that many, `publish` syncs the whole filesystem.
///
/// # Errors
/// If the name exists and is not a directory, or a new entry would exceed the quota.
pub fn make_directory(
    user: &User,
    path: &RemotePath,
    parents: bool,
    mode: Option<u32>,
) -> Result<(MadeDirectory, Vec<Location>)> {
    user.require_write()?;
    // The missing directories, the innermost first.
    let mut missing = Vec::new();
    let mut at = path.clone();
    while parents && user.home.locate(&at).err() == Some(home::Error::Os(Errno::NOENT)) {
        let Some((parent, _)) = at.split() else { break };
        missing.push(std::mem::replace(&mut at, parent));
    }
    let mode_of = |left: usize| if left == 0 { mode } else { None };
    let mut above = make_one(user, &at, mode_of(missing.len()))?;
    let mut made: Vec<Location> = above.iter().cloned().collect();
    while let Some(path) = missing.pop() {
        // Relative to the previous one: resolving each whole path would take minutes for a deep path.
        let below = above.as_ref().and_then(|above| user.home.locate_below(above, path.file_name()?).ok());
        // `None` if another session created it meanwhile: then the next one is resolved by its path.
        above = match below {
            Some(location) => make_at(user, location, &path, mode_of(missing.len()))?,
            None => make_one(user, &path, mode_of(missing.len()))?,
        };
        if made.len() > MAX_SINGLE_SYNCS {
            made.pop();
        }
        made.extend(above.clone());
    }
    let new = if made.is_empty() { MadeDirectory::Existed } else { MadeDirectory::New };
    Ok((new, made))
}

/// Creates a directory that must not exist.
///
/// # Errors
/// As [`make_directory`], and if it exists.
pub fn make_new_directory(user: &User, path: &RemotePath, mode: Option<u32>) -> Result<()> {
    match make_directory(user, path, false, mode)? {
        (MadeDirectory::New, _) => Ok(()),
        (MadeDirectory::Existed, _) => Err(Errno::EXIST).of_directory(path),
    }
}

/// Creates one directory; `None` if it existed.
fn make_one(user: &User, path: &RemotePath, mode: Option<u32>) -> Result<Option<Location>> {
    let location = match user.home.locate(path) {
        Err(home::Error::Top | home::Error::Dot) => return existing(user, path).map(|()| None),
        result => result.map_err(of_parent(user, path))?,
    };
    make_at(user, location, path, mode)
}

/// The same, at a known location.
fn make_at(
    user: &User,
    location: Location,
    path: &RemotePath,
    mode: Option<u32>,
) -> Result<Option<Location>> {
    if location.stat_if_any().of_directory(path)?.is_some() {
        return existing(user, path).map(|()| None);
    }
    let reservation = user.ledger.reserve(0, 1).map_err(over_quota(user, path))?;
    // Created and accounted for under one lock: a rename that replaces it must see both.
    let namespace = user.home.lock_namespace();
    match location.make_directory(mode, &namespace) {
        Ok(()) => {
            reservation.commit(UsageChange { bytes: 0, entries: 1 });
            user.audit.directory_made(&user.logged(&location, path));
            Ok(Some(location))
        }
        Err(home::Error::Os(Errno::EXIST)) => {
            drop(namespace);
            existing(user, path).map(|()| None)
        }
        Err(error) => Err(error).of_directory(path),
    }
}

/// Creates a symbolic link. It is followed as in a chroot. Returns its location.
///
/// # Errors
/// If the name exists, or the link would exceed the quota.
pub fn make_symlink(user: &User, path: &RemotePath, target: &[u8]) -> Result<Location> {
    user.require_write()?;
    let location = user.home.locate(path).map_err(of_parent(user, path))?;
    let length = target.len() as u64;
    let reservation = user.ledger.reserve(length, 1).map_err(over_quota(user, path))?;
    let namespace = user.home.lock_namespace();
    location.make_symlink(target, &namespace).of_file(path)?;
    reservation.commit(UsageChange { bytes: length.cast_signed(), entries: 1 });
    user.audit.link_made(&user.logged(&location, path), target);
    Ok(location)
}

/// Succeeds if the existing name is a directory or a link to one.
fn existing(user: &User, path: &RemotePath) -> Result<()> {
    match user.home.stat(path) {
        Ok(stat) if FileType::from_raw_mode(stat.st_mode) == FileType::Directory => Ok(()),
        _ => Err(Error::NotDirectory(path.clone())),
    }
}

/// Removes an empty directory.
///
/// # Errors
/// If it is not empty, or not a directory.
pub fn remove_directory(user: &User, path: &RemotePath) -> Result<()> {
    user.require_write()?;
    let location = user.home.locate(path).of_directory(path)?;
    let namespace = user.home.lock_namespace();
    location.remove_directory(&namespace).of_directory(path)?;
    user.ledger.removed(FreedSpace::Nothing);
    user.audit.directory_removed(&user.logged(&location, path));
    Ok(())
}
