//! Locations: a name in an open directory.

use super::Result;
use super::directory::DirectoryInfo;
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use sshome_store::EntryId;
use sshome_store::quota::FileId;
use sshome_wire::RemotePath;
use std::borrow::Cow;
use std::sync::{Arc, OnceLock};

/// A name in an open directory; the entry need not exist.
#[derive(Debug, Clone)]
pub(crate) struct Location {
    pub(super) dir: Arc<OwnedFd>,
    /// The directory's attributes, read on first use.
    pub(super) info: OnceLock<DirectoryInfo>,
    pub(super) name: Vec<u8>,
    /// Whether the path ended in a slash: it means a directory.
    pub(super) slash: bool,
    /// The path, if it led to the directory without links and `..`.
    pub(super) path: Option<RemotePath>,
}

impl Location {
    /// The open directory.
    #[must_use]
    pub(crate) fn dir(&self) -> BorrowedFd<'_> {
        self.dir.as_fd()
    }

    /// The name: one component, not `.` or `..`.
    #[must_use]
    pub(crate) fn name(&self) -> &[u8] {
        &self.name
    }

    /// Whether the path ended in a slash: it can only be that of a directory.
    #[must_use]
    pub(crate) fn is_of_directory(&self) -> bool {
        self.slash
    }

    /// The identity of the directory.
    ///
    /// # Errors
    /// The kernel's.
    pub(crate) fn dir_id(&self) -> Result<FileId> {
        Ok(self.dir_info()?.id)
    }

    /// The directory's attributes when the path was resolved.
    pub(super) fn dir_info(&self) -> Result<DirectoryInfo> {
        if let Some(info) = self.info.get() {
            return Ok(*info);
        }
        let info = DirectoryInfo::of(&self.dir)?;
        Ok(*self.info.get_or_init(|| info))
    }

    /// The identity of the entry.
    ///
    /// # Errors
    /// The kernel's.
    pub(crate) fn identity(&self) -> Result<EntryId> {
        Ok(EntryId { directory: self.dir_id()?, name: self.name.clone() })
    }

    /// The canonical path, if the location was resolved from it.
    pub(super) fn path(&self) -> Option<&RemotePath> {
        self.path.as_ref()
    }

    /// The name for calls that change names and never follow a link. It keeps the path's trailing slash, so that the
    /// kernel can check it.
    pub(super) fn spelled(&self) -> Cow<'_, [u8]> {
        if self.slash { [&self.name[..], b"/"].concat().into() } else { self.name.as_slice().into() }
    }

    pub(super) fn new(dir: Arc<OwnedFd>, name: Vec<u8>) -> Location {
        Location { dir, info: OnceLock::new(), name, slash: false, path: None }
    }
}
