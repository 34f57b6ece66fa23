//! What can be done with a name in a directory that is held open. Changes want the lock on names.

use super::Error;
use super::{Location, Result, regular};
use rustix::fd::OwnedFd;
use rustix::fs::{AtFlags, Mode, OFlags, Stat};
use rustix::io::Errno;
use std::fs::File;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// A new directory's permissions, less what the umask or its parent's default access control list denies.
const NEW_DIRECTORY_MODE: Mode = Mode::from_raw_mode(0o777);

/// Holds every other change of names in this home off; see [`Home::lock_namespace`].
#[derive(Debug)]
pub struct NamespaceLock<'a>(#[allow(dead_code)] MutexGuard<'a, ()>);

impl NamespaceLock<'_> {
    pub(super) fn lock(namespace: &Mutex<()>) -> NamespaceLock<'_> {
        NamespaceLock(namespace.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Location {
    /// What is there; a link is told of as itself.
    ///
    /// # Errors
    /// `ENOENT` if nothing is.
    pub fn stat(&self) -> Result<Stat> {
        Ok(rustix::fs::statat(self.dir(), self.name(), AtFlags::SYMLINK_NOFOLLOW)?)
    }

    /// What is there, or that nothing is.
    ///
    /// # Errors
    /// Any but `ENOENT`.
    pub fn stat_if_any(&self) -> Result<Option<Stat>> {
        match self.stat() {
            Ok(stat) => Ok(Some(stat)),
            Err(Error::Os(Errno::NOENT)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Makes a directory of this name.
    ///
    /// # Errors
    /// `EEXIST` if the name is taken.
    pub fn make_directory(&self, mode: Option<u32>, _lock: &NamespaceLock<'_>) -> Result<()> {
        // One that its owner cannot look into could not be counted, and is to be put into.
        let mode = mode.map_or(NEW_DIRECTORY_MODE, |mode| Mode::from_raw_mode((mode & 0o777) | 0o700));
        Ok(rustix::fs::mkdirat(self.dir(), &*self.spelled(), mode)?)
    }

    /// Makes a link of this name with this text.
    ///
    /// # Errors
    /// `EEXIST` if the name is taken.
    pub fn make_symlink(&self, target: &[u8], _lock: &NamespaceLock<'_>) -> Result<()> {
        Ok(rustix::fs::symlinkat(target, self.dir(), &*self.spelled())?)
    }

    /// Where the link of this name points.
    ///
    /// # Errors
    /// `EINVAL` if it is none.
    pub fn read_link(&self) -> Result<Vec<u8>> {
        Ok(rustix::fs::readlinkat(self.dir(), self.name(), Vec::new())?.into_bytes())
    }

    /// Removes the name of anything but a directory.
    ///
    /// # Errors
    /// `EISDIR` for a directory.
    pub fn unlink(&self, _lock: &NamespaceLock<'_>) -> Result<()> {
        Ok(rustix::fs::unlinkat(self.dir(), &*self.spelled(), AtFlags::empty())?)
    }

    /// Removes an empty directory.
    ///
    /// # Errors
    /// `ENOTEMPTY` or `ENOTDIR`.
    pub fn remove_directory(&self, _lock: &NamespaceLock<'_>) -> Result<()> {
        Ok(rustix::fs::unlinkat(self.dir(), &*self.spelled(), AtFlags::REMOVEDIR)?)
    }

    /// Renames what is here to `to`, replacing a file or an empty directory there.
    ///
    /// # Errors
    /// The kernel's, `rename(2)`.
    pub fn rename(&self, to: &Location, _lock: &NamespaceLock<'_>) -> Result<()> {
        Ok(rustix::fs::renameat(self.dir(), &*self.spelled(), to.dir(), &*to.spelled())?)
    }

    /// Opens the regular file that is here, and not one that a link here points at.
    ///
    /// # Errors
    /// [`Error::IsDirectory`] and [`Error::Special`] for what is none; `ENOENT` if nothing is here.
    pub fn open_file(&self, access: OFlags) -> Result<(File, Stat)> {
        // Without NONBLOCK the open of a pipe would wait for its other end.
        let flags = access | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let handle = rustix::fs::openat(self.dir(), self.name(), flags, Mode::empty())?;
        let stat = rustix::fs::fstat(&handle)?;
        regular(&stat)?;
        Ok((File::from(handle), stat))
    }

    /// Makes an empty file of this name, and opens it. Set-id bits are dropped from the mode.
    ///
    /// # Errors
    /// `EEXIST` if the name is taken.
    pub fn create_file(&self, access: OFlags, mode: u32, _lock: &NamespaceLock<'_>) -> Result<(File, Stat)> {
        let flags = access | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mode = Mode::from_raw_mode(mode & 0o777);
        let handle = rustix::fs::openat(self.dir(), self.name(), flags, mode)?;
        let stat = rustix::fs::fstat(&handle)?;
        Ok((File::from(handle), stat))
    }

    /// Gives the file that is here another name. A link here is not followed.
    ///
    /// # Errors
    /// `EEXIST` if the name is taken.
    pub fn hard_link(&self, to: &Location, _lock: &NamespaceLock<'_>) -> Result<()> {
        Ok(rustix::fs::linkat(self.dir(), self.name(), to.dir(), &*to.spelled(), AtFlags::empty())?)
    }

    /// Opens the directory that is here, and not one that a link here points at.
    ///
    /// # Errors
    /// `ENOTDIR` if none is.
    pub fn open_directory(&self) -> Result<OwnedFd> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        Ok(rustix::fs::openat(self.dir(), self.name(), flags, Mode::empty())?)
    }

    /// Puts the names in this location's directory on the disk.
    ///
    /// # Errors
    /// If the disk reports one.
    pub fn sync_directory(&self) -> Result<()> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let directory = rustix::fs::openat(self.dir(), c".", flags, Mode::empty())?;
        Ok(rustix::fs::fsync(&directory)?)
    }
}
