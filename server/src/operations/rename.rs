//! Renaming: `mv`, and SFTP's rename requests.

use super::error::{Context, of_parent};
use super::{Error, Result, User, freed, other_mount, reserve_space};
use crate::home::{Location, NamespaceLock, file_id};
use crate::quota::FreedSpace;
use rustix::fs::{FileType, Stat};
use rustix::io::Errno;
use sshome_wire::RemotePath;

/// Renames `from` to `to`, or into `to` if that is a directory. An existing file is replaced and its space freed.
///
/// # Errors
/// If `from` does not exist, `to` is a non-empty directory, or `to` is inside `from`.
pub fn rename(user: &User, from: &RemotePath, to: &RemotePath) -> Result<()> {
    user.require_write()?;
    let to = into_directory(user, from, to)?;
    let change = Renaming::look(user, from, &to)?;
    let namespace = user.home.lock_namespace();
    let (moved, replaced) = change.stats()?;
    let two_names = replaced.is_some_and(|replaced| file_id(&replaced) == file_id(&moved));
    if two_names && moved.st_nlink > 1 && !change.is_one_place()? {
        // rename(2) would leave both names.
        change.source.unlink(&namespace).of_file(from)?;
        user.ledger.removed(FreedSpace::Nothing);
        change.log(user, true);
        return Ok(());
    }
    change.make(user, &moved, replaced, &namespace)
}

/// Renames `from` to exactly `to`, which may be an empty directory. With `replace`, an existing file is replaced; two names
/// of one file are both kept, as by rename(2).
///
/// # Errors
/// If `from` does not exist, or `to` exists and may not be replaced.
pub fn rename_exact(user: &User, from: &RemotePath, to: &RemotePath, replace: bool) -> Result<()> {
    user.require_write()?;
    let change = Renaming::look(user, from, to)?;
    let namespace = user.home.lock_namespace();
    let (moved, replaced) = change.stats()?;
    if replaced.is_some() && !replace {
        return Err(Errno::EXIST).of_file(to);
    }
    change.make(user, &moved, replaced, &namespace)
}

/// `to`, or the name of `from` in it if it is a directory.
pub(super) fn into_directory(user: &User, from: &RemotePath, to: &RemotePath) -> Result<RemotePath> {
    let directory =
        user.home.stat(to).is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::Directory);
    match from.file_name() {
        Some(name) if directory && !is_one_entry(user, from, to) => {
            to.join(name).map_err(|_| Errno::NAMETOOLONG).of_file(to)
        }
        _ => Ok(to.clone()),
    }
}

/// Whether both paths lead to the same directory entry.
fn is_one_entry(user: &User, from: &RemotePath, to: &RemotePath) -> bool {
    let identity = |path| user.home.locate(path).and_then(|location| location.identity()).ok();
    identity(from).is_some_and(|from| Some(from) == identity(to))
}

/// A rename from one location to another.
struct Renaming<'a> {
    from: &'a RemotePath,
    to: &'a RemotePath,
    source: Location,
    target: Location,
}

impl<'a> Renaming<'a> {
    fn look(user: &User, from: &'a RemotePath, to: &'a RemotePath) -> Result<Renaming<'a>> {
        let source = user.home.locate(from).of_file(from)?;
        let target = user.home.locate(to).map_err(of_parent(user, to))?;
        Ok(Renaming { from, to, source, target })
    }

    /// The attributes of the source, and of the target if it exists. Requires the namespace lock.
    fn stats(&self) -> Result<(Stat, Option<Stat>)> {
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
    fn is_one_place(&self) -> Result<bool> {
        let (source, target) = (self.source.identity(), self.target.identity());
        Ok(source.of_directory(self.from)? == target.of_directory(self.to)?)
    }

    fn make(
        &self,
        user: &User,
        moved: &Stat,
        replaced: Option<Stat>,
        namespace: &NamespaceLock<'_>,
    ) -> Result<()> {
        let replaced = replaced.filter(|replaced| file_id(replaced) != file_id(moved));
        let freed = match &replaced {
            Some(stat) => freed(user, &self.target, stat, namespace).of_file(self.to)?,
            None => FreedSpace::Nothing,
        };
        if !self.is_one_place()? {
            reserve_space::end_credit(user, self.from, moved)?;
        }
        self.source.rename(&self.target, namespace).map_err(|error| self.failed(user, error))?;
        if replaced.is_some() {
            user.ledger.removed(freed);
        }
        self.log(user, replaced.is_some());
        Ok(())
    }

    fn log(&self, user: &User, replaced: bool) {
        let (from, to) = (user.logged(&self.source, self.from), user.logged(&self.target, self.to));
        user.audit.renamed(&from, &to, replaced);
    }

    fn failed(&self, user: &User, error: crate::home::Error) -> Error {
        let (from, to) = (self.from.clone(), self.to.clone());
        match error {
            crate::home::Error::Os(Errno::XDEV) => other_mount(user, &self.target, &to),
            crate::home::Error::Os(Errno::INVAL) => Error::IntoItself { from, to },
            crate::home::Error::Os(Errno::ISDIR) => Error::IsDirectory { path: to, hint: "" },
            error => Error::disk(&to, false, error),
        }
    }
}
