//! Publishing: from a staged file to a name, whole and durable.

use super::error::{Context, over_quota};
use super::{Error, Result, User, freed};
use crate::audit::Transfer;
use crate::home::{self, Claim, Location, Mark, Staged};
use crate::quota::{Change, FileId, Freed, Reservation};
use rustix::fs::FileType;
use rustix::io::Errno;
use sshome_wire::{Digest, RemotePath};
use std::collections::{HashMap, HashSet};

/// More files than this are cheaper to put on the disk with one `syncfs` than one by one.
pub(super) const FEW: usize = 4;

/// A staged file that is complete and verified, with its mode and times set, and the room it needs.
#[derive(Debug)]
pub struct Placement {
    pub(super) path: RemotePath,
    pub(super) target: Location,
    pub(super) staged: Staged,
    pub(super) reservation: Reservation,
    /// Length in bytes.
    pub(super) size: u64,
    /// Whether the data are on the disk already.
    pub(super) durable: bool,
    /// Whether the name must be free.
    pub(super) exclusive: bool,
    /// The digest, where it is known.
    pub(super) digest: Option<Digest>,
    pub(super) transfer: Transfer,
    /// Of a stream: until it has its name, nobody else is to look for what is left of it.
    pub(super) _claim: Option<Claim>,
}

/// Gives all of these files their names. When it returns, those that are reported as placed are on
/// the disk, also after a power cut: first the data, then the renames, then the directories. So are
/// names that were made before, in the directories of `made`.
///
/// The results are in the order of `placements`; the last is of `made`.
pub fn place(user: &User, placements: Vec<Placement>, made: Vec<Location>) -> (Vec<Result<()>>, Result<()>) {
    user.home.end_batch();
    let mark = placements.iter().map(|placement| placement.staged.mark()).min();
    let mark = mark.unwrap_or_else(|| user.home.mark());
    let data = sync_data(user, &placements, mark);
    let (mut directories, mut targets) = (HashMap::new(), HashSet::new());
    let note = |target: Location, directories: &mut HashMap<FileId, Location>| {
        let id = target.identity().ok()?;
        directories.entry(id.directory).or_insert(target);
        Some(id)
    };
    for location in made {
        note(location, &mut directories);
    }
    let mut results = Vec::with_capacity(placements.len());
    {
        let names = user.home.lock_names();
        for placement in placements {
            let (path, target) = (placement.path.clone(), placement.target.clone());
            let result = match data.of_file(&path) {
                Ok(()) => publish(user, placement, &names),
                Err(error) => {
                    placement.transfer.failed(&error);
                    Err(error)
                }
            };
            if result.is_ok() {
                targets.extend(note(target, &mut directories));
            }
            results.push(result.map(|published| (path, published)));
        }
    }
    // A part of what a name held or was to hold is of no more use; but a stream could not begin anew.
    user.home.discard(|kept| {
        !kept.left.is_stream() && kept.left.target().is_some_and(|target| targets.contains(target))
    });
    let synced = sync_directories(user, &directories, mark);
    let results = results.into_iter().map(|result| {
        let (path, published) = result?;
        match synced.of_directory(&path) {
            Ok(()) => published.tell(),
            Err(error) => {
                published.transfer.failed(&error);
                return Err(error);
            }
        }
        Ok(())
    });
    (results.collect(), synced.of_directory(&RemotePath::root()))
}

fn sync_data(user: &User, placements: &[Placement], mark: Mark) -> home::Result<()> {
    let lacking = || placements.iter().filter(|placement| !placement.durable);
    if lacking().count() > FEW {
        return user.home.sync(mark);
    }
    // Not fdatasync: mode, times and the digest are to survive as well.
    lacking().try_for_each(|placement| Ok(rustix::fs::fsync(placement.staged.file())?))
}

fn sync_directories(user: &User, directories: &HashMap<FileId, Location>, mark: Mark) -> home::Result<()> {
    if directories.len() > FEW {
        return user.home.sync(mark);
    }
    directories.values().try_for_each(Location::sync_directory)
}

/// A file that has its name.
struct Published {
    transfer: Transfer,
    size: u64,
    digest: Option<Digest>,
    replaced: bool,
}

impl Published {
    fn tell(self) {
        self.transfer.published(self.size, self.digest, self.replaced);
    }
}

/// Renames one file into place and books the difference to what it replaces.
fn publish(user: &User, placement: Placement, names: &home::Names<'_>) -> Result<Published> {
    // What is bound last is dropped first: the staged file is gone before its room is free.
    let Placement { path, target, reservation, staged, size, exclusive, digest, transfer, .. } = placement;
    match rename_into_place(user, path, &target, (reservation, size, exclusive), staged, names) {
        Ok(replaced) => Ok(Published { transfer, size, digest, replaced }),
        Err(error) => {
            transfer.failed(&error);
            Err(error)
        }
    }
}

/// Returns whether a file was replaced.
fn rename_into_place(
    user: &User,
    path: RemotePath,
    target: &Location,
    (mut reservation, size, exclusive): (Reservation, u64, bool),
    staged: Staged,
    names: &home::Names<'_>,
) -> Result<bool> {
    user.home.root().check().of_file(&path)?;
    let replaced = target.stat_if_any().of_file(&path)?;
    if let Some(stat) = &replaced
        && FileType::from_raw_mode(stat.st_mode) == FileType::Directory
    {
        return Err(Error::IsDirectory { path, hint: "" });
    }
    if exclusive && replaced.is_some() {
        return Err(Errno::EXIST).of_file(&path);
    }
    // What was there when the upload began may have gone meanwhile, or be held open.
    let entries = u64::from(replaced.is_none());
    let old = match &replaced {
        Some(stat) => freed(user, target, stat, names).of_file(&path)?,
        None => Freed::Nothing,
    };
    reservation.cover(size, entries, &old).map_err(over_quota(user, &path))?;
    staged.publish(target, names).of_file(&path)?;
    let change = Change { bytes: i64::try_from(size).unwrap_or(i64::MAX), entries: entries as i64 };
    reservation.commit_replacing(change, old);
    Ok(replaced.is_some())
}
