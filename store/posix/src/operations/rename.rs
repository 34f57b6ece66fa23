//! Renaming.

use super::error::{Context, of_parent};
use super::{PosixHome, StoreError, StoreResult, check_counted, freed, other_mount, reserve_space};
use crate::home::{self, Location, NamespaceLock, file_id};
use rustix::fs::{FileType, Stat};
use rustix::io::Errno;
use sshome_store::quota::FreedSpace;
use sshome_store::{EntryChange, Renamed, Replace};
use sshome_wire::RemotePath;

/// See [`Home::rename`](sshome_store::Home::rename).
pub(crate) fn rename(
    home: &PosixHome,
    from: &RemotePath,
    to: &RemotePath,
    replace: Replace,
) -> StoreResult<Renamed> {
    check_counted(home, to)?;
    let source = home.dir.locate(from).of_file(from)?;
    let target = home.dir.locate(to).map_err(of_parent(home, to))?;
    let change = Renaming { from, to, source, target };
    let namespace = home.dir.lock_namespace();
    let (moved, replaced) = change.stats()?;
    home.check_change(EntryChange::Rename, &moved, &change.source, from)?;
    if replaced.is_some() && replace == Replace::Never {
        return Err(Errno::EXIST).of_file(to);
    }
    let two_names = replaced.is_some_and(|replaced| file_id(&replaced) == file_id(&moved));
    let merges = replace == Replace::AlwaysAndMerge && two_names && moved.st_nlink > 1;
    let replaced = if merges && !change.is_one_place()? {
        // rename(2) would leave both names.
        change.source.unlink(&namespace).of_file(from)?;
        home.ledger().removed(FreedSpace::Nothing);
        true
    } else {
        change.make(home, &moved, replaced, &namespace)?
    };
    // A scan may have missed it, or found it twice.
    home.ledger().moved();
    drop(namespace);
    Ok(Renamed { from: home.logged(&change.source, from), to: home.logged(&change.target, to), replaced })
}

/// A rename from one location to another.
struct Renaming<'a> {
    from: &'a RemotePath,
    to: &'a RemotePath,
    source: Location,
    target: Location,
}

impl Renaming<'_> {
    /// The attributes of the source, and of the target if it exists. Requires the namespace lock.
    fn stats(&self) -> StoreResult<(Stat, Option<Stat>)> {
        let moved = self.source.stat().of_file(self.from)?;
        if FileType::from_raw_mode(moved.st_mode) != FileType::Directory {
            // As in rename(2): a name with a trailing slash must be a directory.
            if self.source.is_of_directory() {
                return Err(Errno::NOTDIR).of_file(self.from);
            }
            if self.target.is_of_directory() {
                let there = self.target.stat().of_directory(self.to)?;
                let is_directory = FileType::from_raw_mode(there.st_mode) == FileType::Directory;
                return Err(Errno::NOTDIR).of_directory(if is_directory { self.from } else { self.to });
            }
        }
        Ok((moved, self.target.stat_if_any().of_file(self.to)?))
    }

    /// Whether both paths lead to the same directory entry.
    fn is_one_place(&self) -> StoreResult<bool> {
        let (source, target) = (self.source.identity(), self.target.identity());
        Ok(source.of_directory(self.from)? == target.of_directory(self.to)?)
    }

    /// Returns whether a file was replaced.
    fn make(
        &self,
        home: &PosixHome,
        moved: &Stat,
        replaced: Option<Stat>,
        namespace: &NamespaceLock<'_>,
    ) -> StoreResult<bool> {
        let replaced = replaced.filter(|replaced| file_id(replaced) != file_id(moved));
        let freed = match &replaced {
            Some(stat) => freed(&home.dir, &self.target, stat, namespace).of_file(self.to)?,
            None => FreedSpace::Nothing,
        };
        if !self.is_one_place()? {
            reserve_space::end_credit(home, self.from, moved)?;
        }
        self.source.rename(&self.target, namespace).map_err(|error| self.failed(home, error))?;
        if replaced.is_some() {
            home.ledger().removed(freed);
        }
        Ok(replaced.is_some())
    }

    fn failed(&self, home: &PosixHome, error: home::Error) -> StoreError {
        let (from, to) = (self.from.clone(), self.to.clone());
        match error {
            home::Error::Os(Errno::XDEV) => other_mount(home, &self.target, &to),
            home::Error::Os(Errno::INVAL) => StoreError::IntoItself { from, to },
            home::Error::Os(Errno::ISDIR) => StoreError::IsDirectory { path: to, hint: "" },
            error => StoreError::file(&to, error.into()),
        }
    }
}
