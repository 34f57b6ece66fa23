//! Publishing: from a staged file to a name, whole and durable.

use super::error::Context;
use super::{Error, Result, User};
use crate::home::{self, Location, Staged, file_id, freed_bytes};
use crate::quota::{Change, FileId, Reservation};
use rustix::fs::FileType;
use sshome_wire::RemotePath;
use std::collections::HashMap;

/// More files than this are cheaper to put on the disk with one `syncfs` than one by one.
const FEW: usize = 4;

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
}

/// Gives all of these files their names. When it returns, those that are reported as placed are on
/// the disk, also after a power cut: first the data, then the renames, then the directories.
///
/// The results are in the order of `placements`.
pub fn place(user: &User, placements: Vec<Placement>) -> Vec<Result<()>> {
    let data = sync_data(user, &placements);
    let mut directories = HashMap::new();
    let mut results = Vec::with_capacity(placements.len());
    {
        let names = user.home.lock_names();
        for placement in placements {
            let (path, target) = (placement.path.clone(), placement.target.clone());
            let result = data.of_file(&path).and_then(|()| publish(placement, &names));
            if result.is_ok()
                && let Ok(id) = target.dir_id()
            {
                directories.entry(id).or_insert(target);
            }
            results.push(result.map(|()| path));
        }
    }
    // A part of what this name held or was to hold is of no more use.
    for path in results.iter().flatten() {
        user.home.discard(|left| left.record.target == path.as_bytes());
    }
    let synced = sync_directories(user, &directories);
    results.into_iter().map(|result| result.and_then(|path| synced.of_directory(&path))).collect()
}

fn sync_data(user: &User, placements: &[Placement]) -> home::Result<()> {
    let lacking = || placements.iter().filter(|placement| !placement.durable);
    if lacking().count() > FEW {
        return user.home.sync();
    }
    // Not fdatasync: mode, times and the digest are to survive as well.
    lacking().try_for_each(|placement| Ok(rustix::fs::fsync(placement.staged.file())?))
}

fn sync_directories(user: &User, directories: &HashMap<FileId, Location>) -> home::Result<()> {
    if directories.len() > FEW {
        return user.home.sync();
    }
    directories.values().try_for_each(Location::sync_directory)
}

/// Renames one file into place and books the difference to what it replaces.
fn publish(placement: Placement, names: &home::Names<'_>) -> Result<()> {
    let Placement { path, target, staged, mut reservation, size, .. } = placement;
    let replaced = target.stat_if_any().of_file(&path)?;
    let freed = replaced.as_ref().map_or(0, freed_bytes);
    if let Some(stat) = &replaced
        && FileType::from_raw_mode(stat.st_mode) == FileType::Directory
    {
        return Err(Error::IsDirectory { path, hint: "" });
    }
    // What was there when the upload began may have gone meanwhile, and its credit with it.
    let entries = u64::from(replaced.is_none());
    reservation
        .raise_to(size.saturating_sub(freed), entries)
        .map_err(|exceeded| Error::Quota { path: path.clone(), exceeded })?;
    staged.publish(&target, names).of_file(&path)?;
    let change = Change { bytes: i64::try_from(size).unwrap_or(i64::MAX), entries: entries as i64 };
    reservation.commit_replacing(change, replaced.map(|stat| (file_id(&stat), freed)));
    Ok(())
}
