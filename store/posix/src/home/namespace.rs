//! Operations on a name in an open directory. Those that change names require the namespace lock.

use super::Error;
use super::{Location, Result, regular};
use rustix::fd::OwnedFd;
use rustix::fs::{AtFlags, Mode, OFlags, Stat};
use rustix::io::Errno;
use std::fs::File;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// A new directory's permissions, before the umask or its parent's default access control list applies.
const NEW_DIRECTORY_MODE: Mode = Mode::from_raw_mode(0o777);

/// Keeps other sessions from changing names in this home; see [`HomeHandle::lock_namespace`](super::HomeHandle::lock_namespace).
#[derive(Debug)]
pub(crate) struct NamespaceLock<'a>(#[allow(dead_code)] MutexGuard<'a, ()>);

impl NamespaceLock<'_> {
    pub(super) fn lock(namespace: &Mutex<()>) -> NamespaceLock<'_> {
        NamespaceLock(namespace.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Location {
    /// The attributes of the entry; a link is not followed.
    ///
    /// # Errors
    /// `ENOENT` if it does not exist.
    pub(crate) fn stat(&self) -> Result<Stat> {
        Ok(rustix::fs::statat(self.dir(), self.name(), AtFlags::SYMLINK_NOFOLLOW)?)
    }

    /// The attributes of the entry; `None` if it does not exist.
    ///
    /// # Errors
    /// Any but `ENOENT`.
    pub(crate) fn stat_if_any(&self) -> Result<Option<Stat>> {
        match self.stat() {
            Ok(stat) => Ok(Some(stat)),
            Err(Error::Os(Errno::NOENT)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Creates a directory with this name.
    ///
    /// # Errors
    /// `EEXIST` if the name is taken.
    pub(crate) fn make_directory(&self, mode: Option<u32>, _lock: &NamespaceLock<'_>) -> Result<()> {
        // Its owner needs access, to count and fill it.
        let mode = mode.map_or(NEW_DIRECTORY_MODE, |mode| Mode::from_raw_mode((mode & 0o777) | 0o700));
        Ok(rustix::fs::mkdirat(self.dir(), &*self.spelled(), mode)?)
    }

    /// Creates a symbolic link with this name.
    ///
    /// # Errors
    /// `EEXIST` if the name is taken.
    pub(crate) fn make_symlink(&self, target: &[u8], _lock: &NamespaceLock<'_>) -> Result<()> {
        Ok(rustix::fs::symlinkat(target, self.dir(), &*self.spelled())?)
    }

    /// The target of the symbolic link.
    ///
    /// # Errors
    /// `EINVAL` if it is not a symbolic link.
    pub(crate) fn read_link(&self) -> Result<Vec<u8>> {
        Ok(rustix::fs::readlinkat(self.dir(), self.name(), Vec::new())?.into_bytes())
    }

    /// Removes the name of anything but a directory.
    ///
    /// # Errors
    /// `EISDIR` for a directory.
    pub(crate) fn unlink(&self, _lock: &NamespaceLock<'_>) -> Result<()> {
        Ok(rustix::fs::unlinkat(self.dir(), &*self.spelled(), AtFlags::empty())?)
    }

    /// Removes an empty directory.
    ///
    /// # Errors
    /// `ENOTEMPTY` or `ENOTDIR`.
    pub(crate) fn remove_directory(&self, _lock: &NamespaceLock<'_>) -> Result<()> {
        Ok(rustix::fs::unlinkat(self.dir(), &*self.spelled(), AtFlags::REMOVEDIR)?)
    }

    /// Renames the entry to `to`, replacing a file or an empty directory.
    ///
    /// # Errors
    /// The kernel's, `rename(2)`.
    pub(crate) fn rename(&self, to: &Location, _lock: &NamespaceLock<'_>) -> Result<()> {
        Ok(rustix::fs::renameat(self.dir(), &*self.spelled(), to.dir(), &*to.spelled())?)
    }

    /// Opens a regular file; a link is not followed.
    ///
    /// # Errors
    /// [`Error::IsDirectory`], [`Error::Special`]; `ENOENT` if it does not exist.
    pub(crate) fn open_file(&self, access: OFlags) -> Result<(File, Stat)> {
        // Without NONBLOCK, opening a pipe would wait for its other end.
        let flags = access | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let handle = rustix::fs::openat(self.dir(), self.name(), flags, Mode::empty())?;
        let stat = rustix::fs::fstat(&handle)?;
        regular(&stat)?;
        Ok((File::from(handle), stat))
    }

    /// Creates an empty file with this name and opens it. Set-id bits of the mode are dropped.
    ///
    /// # Errors
    /// `EEXIST` if the name is taken.
    pub(crate) fn create_file(
        &self,
        access: OFlags,
        mode: u32,
        _lock: &NamespaceLock<'_>,
    ) -> Result<(File, Stat)> {
        let flags = access | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mode = Mode::from_raw_mode(mode & 0o777);
        let handle = rustix::fs::openat(self.dir(), self.name(), flags, mode)?;
        let stat = rustix::fs::fstat(&handle)?;
        Ok((File::from(handle), stat))
    }

    /// Gives the file another name. A link is not followed.
    ///
    /// # Errors
    /// `EEXIST` if the name is taken.
    pub(crate) fn hard_link(&self, to: &Location, _lock: &NamespaceLock<'_>) -> Result<()> {
        Ok(rustix::fs::linkat(self.dir(), self.name(), to.dir(), &*to.spelled(), AtFlags::empty())?)
    }

    /// Opens a directory; a link is not followed.
    ///
    /// # Errors
    /// `ENOTDIR` if it is not a directory.
    pub(crate) fn open_directory(&self) -> Result<OwnedFd> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        Ok(rustix::fs::openat(self.dir(), self.name(), flags, Mode::empty())?)
    }

    /// Syncs the directory that this location is in.
    ///
    /// # Errors
    /// The disk's.
    pub(crate) fn sync_directory(&self) -> Result<()> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let directory = rustix::fs::openat(self.dir(), c".", flags, Mode::empty())?;
        Ok(rustix::fs::fsync(&directory)?)
    }
}
