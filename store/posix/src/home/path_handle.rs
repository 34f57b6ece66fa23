//! Setting mode, group and times of existing files.

use super::deferred_mode;
use super::{HomeHandle, Location, Result, file_id, permissions};
use rustix::fd::{AsFd, AsRawFd, OwnedFd};
use rustix::fs::{AtFlags, CWD, FileType, Gid, Mode, OFlags, Stat, Timestamps};
use rustix::io::Errno;
use sshome_wire::RemotePath;

/// An `O_PATH` handle to a file of any type.
#[derive(Debug)]
pub(crate) struct PathHandle {
    handle: OwnedFd,
    /// `None` if its path has no name of its own: the home itself, or a path that ends in `.` or `..`.
    location: Option<Location>,
    stat: Stat,
    /// Whether it is the home itself.
    is_top: bool,
}

impl HomeHandle {
    /// Opens the file at a path. A link at its end is followed with `follow`, or if the path ends in a slash.
    ///
    /// # Errors
    /// `ENOENT` if it does not exist.
    pub(crate) fn entry(&self, path: &RemotePath, follow: bool) -> Result<PathHandle> {
        let (handle, location) = if follow || path.names_directory() {
            self.open_located(path, OFlags::PATH)?
        } else {
            let location = self.locate(path)?;
            (self.open_at(&location, OFlags::PATH)?, Some(location))
        };
        let stat = rustix::fs::fstat(&handle)?;
        let is_top = file_id(&stat) == file_id(&rustix::fs::fstat(&self.top)?);
        Ok(PathHandle { handle, location, stat, is_top })
    }

    /// The canonical path of the file; see [`HomeHandle::canonical`].
    ///
    /// # Errors
    /// As [`HomeHandle::canonical`].
    pub(crate) fn canonical_entry(&self, entry: &PathHandle) -> Result<RemotePath> {
        match &entry.location {
            Some(location) => self.canonical(location),
            None => self.path_of(entry.handle.as_fd()),
        }
    }
}

impl PathHandle {
    /// Its attributes when it was opened.
    #[must_use]
    pub(crate) fn stat(&self) -> &Stat {
        &self.stat
    }

    /// Sets the permissions, see [`permissions`]. The home itself stays writable for its owner, the server.
    ///
    /// # Errors
    /// `EOPNOTSUPP` for a link, which has no permissions.
    pub(crate) fn set_mode(&self, mode: u32) -> Result<()> {
        if FileType::from_raw_mode(self.stat.st_mode) == FileType::Symlink {
            return Err(Errno::OPNOTSUPP.into());
        }
        // fchmod(2) requires a readable or writable handle, which a file's mode may deny.
        let itself = format!("/proc/self/fd/{}", self.handle.as_raw_fd());
        if FileType::from_raw_mode(self.stat.st_mode) == FileType::Directory {
            deferred_mode::forget(&itself)?;
        }
        let least = if self.is_top { Mode::RWXU } else { Mode::empty() };
        Ok(rustix::fs::chmodat(CWD, itself, permissions(&self.stat, mode) | least, AtFlags::empty())?)
    }

    /// Sets the group.
    ///
    /// # Errors
    /// The kernel's.
    pub(crate) fn set_group(&self, group: Gid) -> Result<()> {
        Ok(rustix::fs::chownat(&self.handle, c"", None, Some(group), AtFlags::EMPTY_PATH)?)
    }

    /// Sets the times.
    ///
    /// # Errors
    /// The kernel's.
    pub(crate) fn set_times(&self, times: &Timestamps) -> Result<()> {
        Ok(rustix::fs::utimensat(&self.handle, c"", times, AtFlags::EMPTY_PATH)?)
    }
}
