//! Keeping old versions: a file gets a second name before it is replaced, or another name in place of being removed.

use super::{
    ChangeKind, Copy, Error, LongOperation, OperationResult, Result, STEP_BYTES, SetAttributes, StepLimit,
    User, make_directory, publish, remove, rename_exact, set_attributes,
};
use sshome_store::{Cause, EntryRef, FileInfo, MadeLink, MakeDirectory, StoreError, StoreResult};
use sshome_wire::RemotePath;

/// How an old version is kept.
pub enum Backup {
    /// It has its second name. The new names are for [`publish`](super::publish()) to make durable.
    Named(Vec<EntryRef>),
    /// It is copied, because it cannot have a second name.
    Copying(Box<BackupCopy>),
}

/// Gives the file at `from` the second name `to`, or with `removes` only that name. A file with the name `to` is replaced,
/// and missing directories above it are made. Where a file cannot have a second name, it is copied.
///
/// # Errors
/// If the login may not change what exists, one of the two is a directory, `from` does not exist, or the quota is exceeded.
pub fn back_up(user: &User, from: &RemotePath, to: &RemotePath, removes: bool) -> Result<Backup> {
    user.require_change(from)?;
    let info = file(from, user.home.info(from, false))?;
    let (above, _) = to.split().ok_or_else(|| Error::file(to, Cause::Top))?;
    let how = MakeDirectory { parents: true, ..MakeDirectory::default() };
    let mut names = make_directory(user, &above, how)?.names;
    let old = match user.home.info(to, false) {
        Err(error) if error.is_not_found() => None,
        old => Some(file(to, old)?),
    };
    let is_named = old.is_some_and(|old| old.id == info.id);
    match removes {
        // Of one file with both names, rename(2) would keep both.
        true if is_named && user.home.entry_id(from, false)? != user.home.entry_id(to, false)? => {
            remove(user, from)?;
        }
        true => rename_exact(user, from, to, true)?,
        // An earlier backup has named it, and its replacement failed.
        false if is_named => {}
        false => match link(user, from, to) {
            Ok(name) => names.push(name),
            Err(error) if cannot_link(&error) => {
                let copy = BackupCopy::begin(user, from, to, &info, names)?;
                return Ok(Backup::Copying(Box::new(copy)));
            }
            Err(error) => return user.recorded(Err(error)),
        },
    }
    Ok(Backup::Named(names))
}

/// The attributes of a file or a link.
fn file(path: &RemotePath, info: StoreResult<FileInfo>) -> Result<FileInfo> {
    let info = info?;
    match info.is_directory() {
        true => Err(StoreError::IsDirectory { path: path.clone(), hint: "" }.into()),
        false => Ok(info),
    }
}

/// Makes a hard link, which replaces a file of its name.
fn link(user: &User, from: &RemotePath, to: &RemotePath) -> StoreResult<EntryRef> {
    let MadeLink { from, to, replaced, name } = user.home.hard_link(from, to, true)?;
    if replaced {
        user.audit.removed(&to);
    }
    user.audit.hard_link_made(&from, &to);
    Ok(name)
}

/// Whether the store, or the disk below it, cannot give this file a second name. FAT answers EPERM.
fn cannot_link(error: &StoreError) -> bool {
    matches!(error.cause(), Some(Cause::Unsupported | Cause::NotPermitted | Cause::OtherFilesystem))
}

/// The copy of an old version, in steps. It gets its modification time.
pub struct BackupCopy {
    copy: Copy,
    to: RemotePath,
    old: FileInfo,
}

impl BackupCopy {
    fn begin(
        user: &User,
        from: &RemotePath,
        to: &RemotePath,
        old: &FileInfo,
        names: Vec<EntryRef>,
    ) -> Result<BackupCopy> {
        let (_, synced) = publish(user, Vec::new(), names);
        synced?;
        Ok(BackupCopy { copy: Copy::begin(user, from, to, false)?, to: to.clone(), old: *old })
    }

    /// Executes one step. Returns whether it is done.
    ///
    /// # Errors
    /// If the file cannot be read or copied.
    pub fn step(&mut self, user: &User, limit: StepLimit) -> Result<bool> {
        let is_done = self.copy.step(user, limit)?;
        if is_done {
            let times = Some((self.old.accessed, self.old.modified));
            set_attributes(user, &self.to, false, &SetAttributes { times, ..SetAttributes::default() })?;
        }
        Ok(is_done)
    }
}

impl LongOperation for BackupCopy {
    fn advance(&mut self, user: &User) -> Result<Option<OperationResult>> {
        Ok(self.step(user, StepLimit::bytes(STEP_BYTES))?.then_some(OperationResult::Done))
    }

    fn progress(&self) -> (u64, Option<u64>) {
        self.copy.progress()
    }

    fn change(&self) -> Option<ChangeKind> {
        Some(ChangeKind::Stores)
    }
}
