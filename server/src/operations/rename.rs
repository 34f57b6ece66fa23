//! Renaming: `mv`.

use super::error::Context;
use super::{Error, Result, User};
use crate::home::{file_id, freed_bytes};
use crate::quota::Change;
use rustix::fs::{FileType, Stat};
use rustix::io::Errno;
use sshome_wire::RemotePath;

/// Renames `from` to `to`, or into `to` if that is a directory. A file that is in the way is
/// replaced, and what it held is free again.
///
/// # Errors
/// If nothing is at `from`, a directory that is not empty is in the way, or a tree would go into
/// itself.
pub fn rename(user: &User, from: &RemotePath, to: &RemotePath) -> Result<()> {
    let to = into_directory(user, from, to)?;
    let source = user.home.locate(from).of_file(from)?;
    let target = user.home.locate(&to).of_directory(&to)?;
    let names = user.home.lock_names();
    let moved = source.stat().of_file(from)?;
    let replaced = target.stat_if_any().of_file(&to)?;
    source.rename(&target, &names).map_err(|error| match error {
        crate::home::Error::Os(Errno::INVAL) => Error::IntoItself { from: from.clone(), to: to.clone() },
        crate::home::Error::Os(Errno::ISDIR) => Error::IsDirectory { path: to.clone(), hint: "" },
        error => Error::Disk { path: to.clone(), directory: false, error },
    })?;
    let same = |replaced: &&Stat| file_id(replaced) == file_id(&moved);
    if from != &to && replaced.as_ref().filter(same).is_some_and(|file| file.st_nlink > 1) {
        // Two names of one file: rename(2) then does nothing, and leaves both.
        source.unlink(&names).of_file(from)?;
        user.ledger.book(Change { bytes: 0, entries: -1 });
    } else if let Some(replaced) = replaced.filter(|replaced| !same(&replaced)) {
        user.ledger.book(Change { bytes: 0, entries: -1 });
        user.ledger.released(file_id(&replaced), freed_bytes(&replaced));
    }
    Ok(())
}

/// `to`, or the name of `from` in it if it is a directory.
pub(super) fn into_directory(user: &User, from: &RemotePath, to: &RemotePath) -> Result<RemotePath> {
    let directory =
        user.home.stat(to).is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::Directory);
    match from.file_name() {
        Some(name) if directory && from != to => to.join(name).map_err(|_| Errno::NAMETOOLONG).of_file(to),
        _ => Ok(to.clone()),
    }
}
