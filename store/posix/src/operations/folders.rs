//! Making and removing directories and symbolic links.

use super::error::{Context, of_parent, over_quota};
use super::publish::MAX_SINGLE_SYNCS;
use super::remove::unlink_directory;
use super::{PosixHome, StoreError, StoreResult, check_removal};
use crate::home::{self, DeferredMode, DescriptorPermit, Location};
use rustix::fs::FileType;
use rustix::io::Errno;
use sshome_store::quota::UsageChange;
use sshome_store::{Cause, EntryChange, EntryRef, MadeDirectories, MakeDirectory};
use sshome_wire::RemotePath;

/// A new name that is not synced yet.
pub(super) struct NewName {
    pub(super) location: Location,
    /// `None` if the user's budget is used up: then it is synced soon.
    _descriptor: Option<DescriptorPermit>,
}

impl NewName {
    /// Holds a new name until it is synced.
    pub(super) fn hold(home: &PosixHome, location: Location) -> EntryRef {
        let permit = home.dir.descriptors(1).ok();
        let is_over_budget = permit.is_none();
        EntryRef::new(NewName { location, _descriptor: permit }, is_over_budget)
    }
}

/// The directories that one call has made.
#[derive(Default)]
struct Made {
    paths: Vec<RemotePath>,
    /// The innermost last. Each holds a descriptor, so only [`MAX_SINGLE_SYNCS`] + 1 are kept: if there are more, the
    /// whole filesystem is synced.
    locations: Vec<Location>,
}

impl Made {
    fn add(&mut self, home: &PosixHome, location: &Location, path: &RemotePath) {
        self.paths.push(home.logged(location, path));
        if self.locations.len() > MAX_SINGLE_SYNCS {
            self.locations.pop();
        }
        self.locations.push(location.clone());
    }
}

/// See [`Home::make_directory`](sshome_store::Home::make_directory).
pub(crate) fn make_directory(
    home: &PosixHome,
    path: &RemotePath,
    how: MakeDirectory,
) -> StoreResult<MadeDirectories> {
    let mut made = Made::default();
    make_with_parents(home, path, how, &mut made)?;
    if let Some(filling) = how.mode.filter(|_| how.deferred).map(DeferredMode::of) {
        let opened = match made.locations.last() {
            Some(new) => filling.begin(new),
            None if filling.is_closed() => reopen(home, path, filling),
            None => Ok(()),
        };
        opened.of_directory(path)?;
    }
    let names = made.locations.into_iter().map(|location| NewName::hold(home, location)).collect();
    Ok(MadeDirectories { made: made.paths, names })
}

/// Makes an existing directory with exactly this mode accessible, if the channel may change it.
fn reopen(home: &PosixHome, path: &RemotePath, filling: DeferredMode) -> home::Result<()> {
    let old = match home.dir.locate(path) {
        Err(home::Error::Top | home::Error::Dot) => return Ok(()),
        old => old?,
    };
    let directory = match old.open_directory() {
        Err(home::Error::Os(Errno::NOTDIR | Errno::LOOP)) => return Ok(()),
        directory => directory?,
    };
    let stat = rustix::fs::fstat(&directory)?;
    match home.check_change(EntryChange::SetAttributes, &stat, &old, path) {
        Ok(()) => filling.reopen(&directory, &stat),
        Err(_) => Ok(()),
    }
}

fn make_with_parents(
    home: &PosixHome,
    path: &RemotePath,
    how: MakeDirectory,
    made: &mut Made,
) -> StoreResult<()> {
    // The missing directories, the innermost first.
    let mut missing = Vec::new();
    let mut at = path.clone();
    while how.parents && home.dir.locate(&at).err() == Some(home::Error::Os(Errno::NOENT)) {
        if home.ctx.is_cancelled() {
            return Err(StoreError::directory(path, Cause::Cancelled));
        }
        let Some((parent, _)) = at.split() else { break };
        missing.push(std::mem::replace(&mut at, parent));
    }
    let mode_of = |left: usize| if left == 0 { how.mode } else { None };
    let mut above = make_one(home, &at, mode_of(missing.len()), made)?;
    while let Some(path) = missing.pop() {
        // Relative to the previous one: resolving each whole path would take minutes for a deep path.
        let below = above.as_ref().and_then(|above| home.dir.locate_below(above, path.file_name()?).ok());
        // `None` if another session created it meanwhile: then the next one is resolved by its path.
        above = match below {
            Some(location) => make_at(home, location, &path, mode_of(missing.len()), made)?,
            None => make_one(home, &path, mode_of(missing.len()), made)?,
        };
    }
    Ok(())
}

/// Creates one directory; `None` if it existed.
fn make_one(
    home: &PosixHome,
    path: &RemotePath,
    mode: Option<u32>,
    made: &mut Made,
) -> StoreResult<Option<Location>> {
    let location = match home.dir.locate(path) {
        Err(home::Error::Top | home::Error::Dot) => return existing(home, path).map(|()| None),
        result => result.map_err(of_parent(home, path))?,
    };
    make_at(home, location, path, mode, made)
}

/// The same, at a known location.
fn make_at(
    home: &PosixHome,
    location: Location,
    path: &RemotePath,
    mode: Option<u32>,
    made: &mut Made,
) -> StoreResult<Option<Location>> {
    if location.stat_if_any().of_directory(path)?.is_some() {
        return existing(home, path).map(|()| None);
    }
    let reservation = home.ledger().reserve(0, 1).map_err(over_quota(path))?;
    // Created and accounted for under one lock: a rename that replaces it must see both.
    let namespace = home.dir.lock_namespace();
    match location.make_directory(mode, &namespace) {
        Ok(()) => {
            reservation.commit(UsageChange { bytes: 0, entries: 1 });
            drop(namespace);
            made.add(home, &location, path);
            Ok(Some(location))
        }
        Err(home::Error::Os(Errno::EXIST)) => {
            drop(namespace);
            existing(home, path).map(|()| None)
        }
        Err(error) => Err(error).of_directory(path),
    }
}

/// See [`Home::make_symlink`](sshome_store::Home::make_symlink). The link is followed as in a chroot.
pub(crate) fn make_symlink(
    home: &PosixHome,
    path: &RemotePath,
    target: &[u8],
) -> StoreResult<(RemotePath, EntryRef)> {
    let location = home.dir.locate(path).map_err(of_parent(home, path))?;
    let length = target.len() as u64;
    let reservation = home.ledger().reserve(length, 1).map_err(over_quota(path))?;
    let namespace = home.dir.lock_namespace();
    location.make_symlink(target, &namespace).of_file(path)?;
    reservation.commit(UsageChange { bytes: length.cast_signed(), entries: 1 });
    drop(namespace);
    Ok((home.logged(&location, path), NewName::hold(home, location)))
}

/// Succeeds if the existing name is a directory or a link to one.
fn existing(home: &PosixHome, path: &RemotePath) -> StoreResult<()> {
    match home.dir.stat(path) {
        Ok(stat) if FileType::from_raw_mode(stat.st_mode) == FileType::Directory => Ok(()),
        _ => Err(StoreError::NotDirectory(path.clone())),
    }
}

/// See [`Home::remove_directory`](sshome_store::Home::remove_directory).
pub(crate) fn remove_directory(home: &PosixHome, path: &RemotePath) -> StoreResult<RemotePath> {
    check_removal(home, path)?;
    let location = home.dir.locate(path).of_directory(path)?;
    unlink_directory(home, &location, path)?;
    Ok(home.logged(&location, path))
}
