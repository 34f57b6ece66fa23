//! The rights of logins that may only add files: keys with `access = "append-only"` or `"upload-only"`.
//!
//! Such a key replaces and changes nothing that exists. For a while it may finish what it has made itself: rename a file
//! to a free name, set times and modes, and remove a file under its temporary name. The store asks [`AddedOnly`] when it makes
//! the change, so that nothing is exchanged in between.

use super::{Error, OpenMode, Result, SetAttributes, User};
use crate::auth::Login;
use sshome_store::quota::FileId;
use sshome_store::{
    Cause, ChangeGuard, EntryChange, EntryRef, FileInfo, MadeDirectories, MakeDirectory, Replace, StoreError,
    StoreResult, UploadSource,
};
use sshome_wire::{BlockHasher, RemotePath, Time};
use std::fmt;
use std::time::Instant;

/// Lets a login that may only add files change those that its key has made lately, and what the settings call deletable.
pub(super) struct AddedOnly(pub(super) Login);

impl ChangeGuard for AddedOnly {
    fn applies(&self) -> bool {
        !self.0.access().changes()
    }

    fn permits(&self, change: EntryChange, info: &FileInfo, path: &dyn Fn() -> Option<RemotePath>) -> bool {
        let (login, now, is_directory) = (&self.0, Instant::now(), info.is_directory());
        let rights = || login.with_recent_files(|recent| recent.file(info, now));
        let is_own = || match is_directory {
            true => path()
                .is_some_and(|path| login.with_recent_files(|recent| recent.is_directory(info, &path, now))),
            false => rights().is_some(),
        };
        let is_deletable =
            || path().is_some_and(|path| login.account().deletable.iter().any(|name| name.matches(&path)));
        match change {
            EntryChange::Rename => rights().is_some_and(|rights| rights.rename),
            EntryChange::Remove if is_directory => is_own() || is_deletable(),
            EntryChange::Remove => rights().is_some_and(|rights| rights.remove) || is_deletable(),
            EntryChange::SetAttributes => is_own(),
        }
    }
}

impl fmt::Debug for AddedOnly {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("AddedOnly").field(&self.0.name()).finish()
    }
}

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

    /// The result of a change that the store refuses if the entry at `path` is protected. A refusal is recorded.
    fn guarded<T>(&self, path: &RemotePath, result: StoreResult<T>) -> Result<T> {
        match result {
            Err(error) if error.cause() == Some(&Cause::Protected) => self.protected(path),
            result => self.recorded(result),
        }
    }

    /// Notes the attributes of a file that the key has changed, if it is still at `path`.
    fn note_changed(&self, path: &RemotePath, follow: bool, id: FileId, renamed: bool) {
        if let Ok(info) = self.home.info(path, follow)
            && info.id == id
        {
            self.login.with_recent_files(|recent| recent.changed(&info, renamed));
        }
    }

    /// Notes a file that was published exclusively.
    pub(super) fn note_published(&self, path: &RemotePath, id: Option<FileId>) {
        let Some(id) = id.filter(|_| self.is_restricted()) else { return };
        let temporary = path.file_name().is_some_and(|name| self.login.account().is_temporary(name));
        match self.home.info(path, false) {
            Ok(info) if info.id == id => {
                self.login.with_recent_files(|recent| recent.add_file(&info, temporary, Instant::now()));
            }
            // It was already replaced or removed, by a login that may do that.
            _ => {}
        }
    }

    /// Notes that this login's key has begun an upload from a file, so that it may resume it.
    pub(super) fn note_upload(&self, path: &RemotePath, source: Option<UploadSource>) {
        // Small files are never resumed.
        let Some(UploadSource::File { size, mtime }) = source.filter(|_| self.is_restricted()) else {
            return;
        };
        if BlockHasher::knowable(size) > 0 {
            self.login.with_recent_files(|recent| recent.add_upload(path.clone(), size, mtime));
        }
    }

    /// Whether the login may resume the partial upload of this file: one that only adds files may not touch another
    /// key's.
    pub(super) fn may_resume(&self, path: &RemotePath, size: u64, mtime: Time) -> bool {
        self.access().changes() || self.login.with_recent_files(|recent| recent.has_upload(path, size, mtime))
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
    let made = user.home.make_directory(path, how)?;
    for path in &made.made {
        if let Ok(info) = user.home.info(path, false) {
            let (id, now) = (info.id, Instant::now());
            user.login.with_recent_files(|recent| recent.add_directory(id, path.clone(), now));
        }
    }
    Ok(made)
}

/// Creates a symbolic link.
pub(super) fn make_symlink(user: &User, path: &RemotePath, target: &[u8]) -> Result<(RemotePath, EntryRef)> {
    let made = user.recorded(user.home.make_symlink(path, target));
    made.map_err(|error| user.or_protected(path, error))
}

/// Holds a directory of the key's own, to set its time.
pub(super) fn hold_directory(user: &User, path: &RemotePath, mtime: Time) -> Result<EntryRef> {
    user.guarded(path, user.home.hold_directory(path, mtime))
}

/// Renames a file of the key's own to a free name.
pub(super) fn rename(user: &User, from: &RemotePath, to: &RemotePath) -> Result<()> {
    let id = user.home.info(from, false)?.id;
    let renamed = match user.home.rename(from, to, Replace::Never) {
        Err(error) if error.cause() == Some(&Cause::Exists) => return user.protected(to),
        renamed => user.guarded(from, renamed)?,
    };
    user.note_changed(to, false, id, true);
    user.audit.renamed(&renamed.from, &renamed.to, renamed.replaced);
    Ok(())
}

/// Removes a file with a temporary name of the key's own, or one that the settings call deletable.
pub(super) fn remove(user: &User, path: &RemotePath) -> Result<()> {
    let path = match user.home.remove_file(path) {
        Err(StoreError::IsDirectory { .. }) => return user.protected(path),
        removed => user.guarded(path, removed)?,
    };
    user.audit.removed(&path);
    Ok(())
}

/// Removes an empty directory that the key has made, or one that the settings call deletable.
pub(super) fn remove_directory(user: &User, path: &RemotePath) -> Result<()> {
    let path = user.guarded(path, user.home.remove_directory(path))?;
    user.audit.directory_removed(&path);
    Ok(())
}

/// Sets times and mode of a file or directory of the key's own.
pub(super) fn set_attributes(
    user: &User,
    path: &RemotePath,
    follow: bool,
    wanted: &SetAttributes,
) -> Result<()> {
    let before = user.home.info(path, follow)?;
    if wanted.size.is_some() {
        return user.protected(path);
    }
    let is_own = user.login.with_recent_files(|recent| recent.file(&before, Instant::now())).is_some();
    let set = user.home.set_attributes(path, follow, &SetAttributes { owner: None, ..*wanted });
    let set = user.guarded(path, set);
    // A part may be set even if it failed.
    if is_own && !matches!(set, Err(Error::Protected(_))) {
        user.note_changed(path, follow, before.id, false);
    }
    let path = set?;
    user.audit.attributes_set(&path);
    Ok(())
}

/// Whether attributes may be set through a handle that was not opened to write a new file; calls `set` if so.
pub(super) fn set_attributes_of(
    user: &User,
    path: &RemotePath,
    info: impl Fn() -> Result<FileInfo>,
    set: impl FnOnce() -> Result<()>,
) -> Result<()> {
    let before = info()?;
    if user.login.with_recent_files(|recent| recent.file(&before, Instant::now())).is_none() {
        return user.protected(path);
    }
    let set = set();
    if let Ok(info) = info() {
        user.login.with_recent_files(|recent| recent.changed(&info, false));
    }
    set
}
