//! A name in a directory that is held open.

use super::Result;
use super::directory::DirectoryInfo;
use crate::quota::FileId;
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use sshome_wire::RemotePath;
use std::borrow::Cow;
use std::sync::{Arc, OnceLock};

/// A name in a directory that is held open: where something is, or could be.
#[derive(Debug, Clone)]
pub struct Location {
    pub(super) dir: Arc<OwnedFd>,
    /// Of the directory, from when it was opened; empty until somebody asks.
    pub(super) info: OnceLock<DirectoryInfo>,
    pub(super) name: Vec<u8>,
    /// The path ended in a slash: only a directory is meant.
    pub(super) slash: bool,
    /// The path, if neither links nor `..` were on the way to the directory.
    pub(super) path: Option<RemotePath>,
}

/// Which name in which directory, however it was spelled: what one path names and what another one does are the
/// same if these are equal. It is of the directory itself, and stays the same when that is renamed.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct EntryId {
    /// The directory.
    pub directory: FileId,
    /// The name in it.
    pub name: Vec<u8>,
}

impl Location {
    /// The directory.
    #[must_use]
    pub fn dir(&self) -> BorrowedFd<'_> {
        self.dir.as_fd()
    }

    /// The name in it: one component, not `.` or `..`.
    #[must_use]
    pub fn name(&self) -> &[u8] {
        &self.name
    }

    /// Whether the path ended in a slash: then only a directory may be there, or be made there.
    #[must_use]
    pub fn is_of_directory(&self) -> bool {
        self.slash
    }

    /// Which directory it is in.
    ///
    /// # Errors
    /// If the kernel does not tell.
    pub fn dir_id(&self) -> Result<FileId> {
        Ok(self.dir_info()?.id)
    }

    /// Attributes of the directory as they were when the path was resolved.
    pub(super) fn dir_info(&self) -> Result<DirectoryInfo> {
        if let Some(info) = self.info.get() {
            return Ok(*info);
        }
        let info = DirectoryInfo::of(&self.dir)?;
        Ok(*self.info.get_or_init(|| info))
    }

    /// Which name in which directory it is.
    ///
    /// # Errors
    /// If the kernel does not tell.
    pub fn identity(&self) -> Result<EntryId> {
        Ok(EntryId { directory: self.dir_id()?, name: self.name.clone() })
    }

    /// Its path, if that is known from the way that led there.
    pub(super) fn path(&self) -> Option<&RemotePath> {
        self.path.as_ref()
    }

    /// The name for calls that change names, which never follow a link there: with the slash that the path had,
    /// so that the kernel judges what that means.
    pub(super) fn spelled(&self) -> Cow<'_, [u8]> {
        if self.slash { [&self.name[..], b"/"].concat().into() } else { self.name.as_slice().into() }
    }

    pub(super) fn new(dir: Arc<OwnedFd>, name: Vec<u8>) -> Location {
        Location { dir, info: OnceLock::new(), name, slash: false, path: None }
    }
}
