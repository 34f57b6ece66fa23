//! The rights of logins that may only add files: keys with `access = "append-only"` or `"upload-only"`.
//!
//! Such a key replaces and changes nothing that exists. For a while it may finish what it has made itself: rename a file
//! to a free name, set times and modes, and remove a file under its temporary name. The check and the change happen under
//! one lock of the user.

use super::{Error, OpenMode, Result, SetAttributes, User};
use crate::recent_files::KeyRecentFiles;
use sshome_store::quota::FileId;
use sshome_store::{
    Cause, EntryRef, FileInfo, MadeDirectories, MakeDirectory, Replace, StoreResult, UploadSource,
};
use sshome_wire::{BlockHasher, RemotePath, Time};
use std::time::Instant;

/// How a file is opened by a login.
pub(super) struct Opening {
    pub(super) mode: OpenMode,
    /// Whether the content is staged although the settings do not say so, and published only if the name is free.
    pub(super) exclusive: bool,
}

impl User {
    /// Whether the login may add files, but not change what exists.
    pub(super) fn is_restricted(&self) -> bool {
        self.access().adds() && !self.access().changes()
    }

    /// The error for a name that exists, if the login may not replace it, which is recorded; otherwise the store's.
    pub(super) fn or_protected(&self, path: &RemotePath, error: Error) -> Error {
        if error.cause() != Some(&Cause::Exists) || !self.is_restricted() {
            return error;
        }
        let error = Error::Protected(path.clone());
        self.audit.refused(&error);
        error
    }

    fn protected<T>(&self, path: &RemotePath) -> Result<T> {
        let error = Error::Protected(path.clone());
        self.audit.refused(&error);
        Err(error)
    }

    /// Calls `with` with the recent files of this login's key, locked.
    fn with_recent<T>(&self, with: impl FnOnce(&mut KeyRecentFiles) -> T) -> T {
        let recent = self.login.recent_files();
        let mut keys = recent.lock();
        with(keys.entry(self.login.key().unwrap_or_default()).or_default())
    }

    /// Notes a file that was published exclusively.
    pub(super) fn note_published(&self, path: &RemotePath, id: Option<FileId>) {
        let Some(id) = id.filter(|_| self.is_restricted()) else { return };
        let temporary = path.file_name().is_some_and(|name| self.login.account().is_temporary(name));
        self.with_recent(|recent| match self.home.info(path, false) {
            Ok(info) if info.id == id => recent.add_file(&info, temporary, Instant::now()),
            // It was already replaced or removed, by a login that may do that.
            _ => {}
        });
    }

    /// Notes that this login's key has begun an upload from a file, so that it may resume it.
    pub(super) fn note_upload(&self, path: &RemotePath, source: Option<UploadSource>) {
        // Small files are never resumed.
        let Some(UploadSource::File { size, mtime }) = source.filter(|_| self.is_restricted()) else {
            return;
        };
        if BlockHasher::knowable(size) > 0 {
            self.with_recent(|recent| recent.add_upload(path.clone(), size, mtime));
        }
    }

    /// Whether the login may resume the partial upload of this file: one that only adds files may not touch another
    /// key's.
    pub(super) fn may_resume(&self, path: &RemotePath, size: u64, mtime: Time) -> bool {
        self.access().changes() || self.with_recent(|recent| recent.has_upload(path, size, mtime))
    }

    /// Whether the settings let restricted keys remove what has this canonical path.
    fn is_deletable(&self, path: &RemotePath) -> bool {
        self.login.account().deletable.iter().any(|pattern| pattern.matches(path))
    }

    /// The canonical path of an entry itself, not of a link's target.
    fn canonical_entry(&self, path: &RemotePath) -> Result<RemotePath> {
        let Some((parent, name)) = path.split() else { return Ok(path.clone()) };
        let parent = self.home.canonical(&parent)?;
        parent.join(name).map_err(|_| Error::file(path, Cause::NameTooLong))
    }

    /// Whether this is a directory that the key has made lately.
    fn is_own_directory(&self, recent: &KeyRecentFiles, path: &RemotePath, info: &FileInfo) -> Result<bool> {
        Ok(info.is_directory() && recent.is_directory(info, &self.home.canonical(path)?, Instant::now()))
    }
}

/// How a login that may only add files opens one: a new file is staged, an existing one is opened for reading only.
pub(super) fn opening(user: &User, path: &RemotePath, mode: OpenMode) -> Result<Opening> {
    if !mode.writes() && !mode.truncate {
        return Ok(Opening { mode: OpenMode { create: false, ..mode }, exclusive: false });
    }
    if !mode.create {
        // The file must exist, and cannot be written to.
        user.home.info(path, true)?;
        return user.protected(path);
    }
    Ok(Opening { mode: OpenMode { exclusive: true, ..mode }, exclusive: true })
}

/// Creates a directory, and notes it.
pub(super) fn make_directory(
    user: &User,
    path: &RemotePath,
    how: MakeDirectory,
) -> StoreResult<MadeDirectories> {
    user.with_recent(|recent| {
        // An existing directory keeps its mode.
        let deferred = how.deferred && user.home.info(path, true).is_err();
        let made = user.home.make_directory(path, MakeDirectory { deferred, ..how })?;
        for path in &made.made {
            if let Ok(info) = user.home.info(path, false) {
                recent.add_directory(info.id, path.clone(), Instant::now());
            }
        }
        Ok(made)
    })
}

/// Creates a symbolic link.
pub(super) fn make_symlink(user: &User, path: &RemotePath, target: &[u8]) -> Result<(RemotePath, EntryRef)> {
    user.with_recent(|_| user.recorded(user.home.make_symlink(path, target)))
        .map_err(|error| user.or_protected(path, error))
}

/// Holds a directory of the key's own, to set its time.
pub(super) fn hold_directory(user: &User, path: &RemotePath, mtime: Time) -> Result<EntryRef> {
    user.with_recent(|recent| {
        let info = user.home.info(path, true)?;
        if info.is_directory() && !user.is_own_directory(recent, path, &info)? {
            return user.protected(path);
        }
        user.recorded(user.home.hold_directory(path, mtime))
    })
}

/// Renames a file of the key's own to a free name.
pub(super) fn rename(user: &User, from: &RemotePath, to: &RemotePath) -> Result<()> {
    user.with_recent(|recent| {
        let info = user.home.info(from, false)?;
        if !recent.file(&info, Instant::now()).is_some_and(|rights| rights.rename) {
            return user.protected(from);
        }
        let renamed = match user.home.rename(from, to, Replace::Never) {
            Err(error) if error.cause() == Some(&Cause::Exists) => return user.protected(to),
            renamed => user.recorded(renamed)?,
        };
        if let Ok(info) = user.home.info(to, false) {
            recent.changed(&info, true);
        }
        user.audit.renamed(&renamed.from, &renamed.to, renamed.replaced);
        Ok(())
    })
}

/// Removes a file with a temporary name of the key's own, or one that the settings call deletable.
pub(super) fn remove(user: &User, path: &RemotePath) -> Result<()> {
    user.with_recent(|recent| {
        let info = user.home.info(path, false)?;
        let entry = user.canonical_entry(path)?;
        let is_own = recent.file(&info, Instant::now()).is_some_and(|rights| rights.remove);
        if info.is_directory() || !(is_own || user.is_deletable(&entry)) {
            return user.protected(path);
        }
        let path = user.recorded(user.home.remove_file(path))?;
        user.audit.removed(&path);
        Ok(())
    })
}

/// Removes an empty directory that the key has made, or one that the settings call deletable.
pub(super) fn remove_directory(user: &User, path: &RemotePath) -> Result<()> {
    user.with_recent(|recent| {
        let info = user.home.info(path, false)?;
        let entry = user.canonical_entry(path)?;
        if !(user.is_own_directory(recent, path, &info)? || user.is_deletable(&entry)) {
            return user.protected(path);
        }
        let path = user.recorded(user.home.remove_directory(path))?;
        user.audit.directory_removed(&path);
        Ok(())
    })
}

/// Sets times and mode of a file or directory of the key's own.
pub(super) fn set_attributes(
    user: &User,
    path: &RemotePath,
    follow: bool,
    wanted: &SetAttributes,
) -> Result<()> {
    user.with_recent(|recent| {
        let info = user.home.info(path, follow)?;
        let is_own = match info.is_directory() {
            true => user.is_own_directory(recent, path, &info)?,
            false => recent.file(&info, Instant::now()).is_some(),
        };
        if !is_own || wanted.size.is_some() {
            return user.protected(path);
        }
        let set = user.home.set_attributes(path, follow, &SetAttributes { owner: None, ..*wanted });
        // A part may be set even if it failed.
        if let Ok(info) = user.home.info(path, follow) {
            recent.changed(&info, false);
        }
        let path = user.recorded(set)?;
        user.audit.attributes_set(&path);
        Ok(())
    })
}

/// Whether attributes may be set through a handle that was not opened to write a new file; calls `set` if so.
pub(super) fn set_attributes_of(
    user: &User,
    path: &RemotePath,
    info: impl Fn() -> Result<FileInfo>,
    set: impl FnOnce() -> Result<()>,
) -> Result<()> {
    user.with_recent(|recent| {
        if recent.file(&info()?, Instant::now()).is_none() {
            return user.protected(path);
        }
        let set = set();
        if let Ok(info) = info() {
            recent.changed(&info, false);
        }
        set
    })
}
