//! Changes of names and attributes: `mkdir`, `rmdir`, `mv`, links.

use super::{Error, OpenFile, OpenMode, Result, User, restricted};
use sshome_store::{Cause, EntryRef, MadeDirectories, MadeLink, MakeDirectory, Replace, SetAttributes};
use sshome_wire::{RemotePath, Time};

/// Creates a directory. The new names, if any, are for [`publish`](super::publish()) to make durable.
///
/// # Errors
/// If the name exists and is not a directory, or a new entry would exceed the quota.
pub fn make_directory(user: &User, path: &RemotePath, how: MakeDirectory) -> Result<MadeDirectories> {
    let made = user.add(|home| match user.is_restricted() {
        true => restricted::make_directory(user, path, how),
        false => home.make_directory(path, how),
    })?;
    made.made.iter().for_each(|path| user.audit.directory_made(path));
    Ok(made)
}

/// Creates a directory that must not exist.
///
/// # Errors
/// As [`make_directory`], and if it exists.
pub fn make_new_directory(user: &User, path: &RemotePath, mode: Option<u32>) -> Result<()> {
    let how = MakeDirectory { mode, ..MakeDirectory::default() };
    match make_directory(user, path, how)?.made.is_empty() {
        false => Ok(()),
        true => Err(Error::file(path, Cause::Exists)),
    }
}

/// Holds a directory of a tree that is being put, to be finalized with this mtime.
///
/// # Errors
/// If it is not a directory.
pub fn hold_directory(user: &User, path: &RemotePath, mtime: Time) -> Result<EntryRef> {
    user.require_add()?;
    match user.is_restricted() {
        true => restricted::hold_directory(user, path, mtime),
        false => user.recorded(user.home.hold_directory(path, mtime)),
    }
}

/// Sets the directories' times and deferred modes. Those that are reported as done are on the disk. The results are in the
/// order of the directories.
pub fn finalize_directories(user: &User, directories: Vec<EntryRef>) -> Vec<Result<()>> {
    let finalized = user.home.finalize_directories(directories).into_iter();
    finalized.map(|result| user.recorded(result).map(|path| user.audit.attributes_set(&path))).collect()
}

/// Creates a symbolic link. Returns the new name, for [`publish`](super::publish()) to make durable.
///
/// # Errors
/// If the name exists, or the link would exceed the quota.
pub fn make_symlink(user: &User, path: &RemotePath, target: &[u8]) -> Result<EntryRef> {
    user.require_add()?;
    let (path, name) = match user.is_restricted() {
        true => restricted::make_symlink(user, path, target)?,
        false => user.recorded(user.home.make_symlink(path, target))?,
    };
    user.audit.link_made(&path, target);
    Ok(name)
}

/// Creates a hard link. It needs one entry and no bytes. A symbolic link at the end of `from` is not followed: the
/// second name is that of the link itself.
///
/// # Errors
/// If `from` is neither a regular file nor a link, `to` exists, or a new entry would exceed the quota.
pub fn hard_link(user: &User, from: &RemotePath, to: &RemotePath) -> Result<()> {
    let MadeLink { from, to, .. } = user.change(from, |home| home.hard_link(from, to, false))?;
    user.audit.hard_link_made(&from, &to);
    Ok(())
}

/// The target of a symbolic link.
///
/// # Errors
/// If it is not a symbolic link.
pub fn read_link(user: &User, path: &RemotePath) -> Result<Vec<u8>> {
    user.require_read()?;
    Ok(user.home.read_link(path)?)
}

/// The canonical form of `path`. Its last name need not exist. For display: a path is resolved again when it is used.
///
/// # Errors
/// If a parent is missing or not a directory, or there are too many links.
pub fn real_path(user: &User, path: &RemotePath) -> Result<RemotePath> {
    Ok(user.home.canonical(path)?)
}

/// Removes an empty directory.
///
/// # Errors
/// If it is not empty, or not a directory.
pub fn remove_directory(user: &User, path: &RemotePath) -> Result<()> {
    user.require_add()?;
    if user.is_restricted() {
        return restricted::remove_directory(user, path);
    }
    let path = user.recorded(user.home.remove_directory(path))?;
    user.audit.directory_removed(&path);
    Ok(())
}

/// Renames `from` to `to`, or into `to` if that is a directory. An existing file is replaced and its space freed.
///
/// # Errors
/// If `from` does not exist, `to` is a non-empty directory, or `to` is inside `from`.
pub fn rename(user: &User, from: &RemotePath, to: &RemotePath) -> Result<()> {
    user.require_add()?;
    let to = into_directory(user, from, to)?;
    rename_to(user, from, &to, Replace::AlwaysAndMerge)
}

/// Renames `from` to exactly `to`, which may be an empty directory. With `replace`, an existing file is replaced; two names
/// of one file are both kept, as by rename(2).
///
/// # Errors
/// If `from` does not exist, or `to` exists and may not be replaced.
pub fn rename_exact(user: &User, from: &RemotePath, to: &RemotePath, replace: bool) -> Result<()> {
    rename_to(user, from, to, if replace { Replace::Always } else { Replace::Never })
}

fn rename_to(user: &User, from: &RemotePath, to: &RemotePath, replace: Replace) -> Result<()> {
    user.require_add()?;
    if user.is_restricted() {
        return restricted::rename(user, from, to);
    }
    let renamed = user.recorded(user.home.rename(from, to, replace))?;
    user.audit.renamed(&renamed.from, &renamed.to, renamed.replaced);
    Ok(())
}

/// `to`, or the name of `from` in it if it is a directory.
pub(super) fn into_directory(user: &User, from: &RemotePath, to: &RemotePath) -> Result<RemotePath> {
    let directory = user.home.info(to, true).is_ok_and(|info| info.is_directory());
    match from.file_name() {
        Some(name) if directory && !is_one_entry(user, from, to) => {
            to.join(name).map_err(|_| Error::file(to, Cause::NameTooLong))
        }
        _ => Ok(to.clone()),
    }
}

/// Whether both paths lead to the same directory entry.
fn is_one_entry(user: &User, from: &RemotePath, to: &RemotePath) -> bool {
    let id = |path| user.home.entry_id(path, false).ok();
    id(from).is_some_and(|from| Some(from) == id(to))
}

/// Sets attributes of the file at a path. `follow` says whether a link at its end is followed. The owner cannot change, and
/// the group only to one of the server's own groups. Other owners and groups are ignored if further attributes are set,
/// since many clients always send them.
///
/// # Errors
/// If the file does not exist, only a forbidden owner or group is given, or a size is given for anything but a regular file
/// or exceeds the quota.
pub fn set_attributes(user: &User, path: &RemotePath, follow: bool, wanted: &SetAttributes) -> Result<()> {
    user.require_add()?;
    if user.is_restricted() {
        return restricted::set_attributes(user, path, follow, wanted);
    }
    if wanted.size.is_some() {
        if user.home.info(path, follow)?.is_symlink() {
            return Err(Error::file(path, Cause::Invalid));
        }
        let mode = OpenMode { write: true, ..OpenMode::default() };
        let file = OpenFile::open(user, path, mode)?;
        file.set_attributes(user, wanted)?;
        return file.finish(user);
    }
    let path = user.recorded(user.home.set_attributes(path, follow, wanted))?;
    user.audit.attributes_set(&path);
    Ok(())
}
