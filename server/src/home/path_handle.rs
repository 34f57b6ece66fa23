//! Mode and times of what has a name already.

use super::deferred_mode;
use super::{Home, Location, Result, file_id, permissions};
use rustix::fd::{AsFd, AsRawFd, OwnedFd};
use rustix::fs::{AtFlags, CWD, FileType, Gid, Mode, OFlags, Stat, Timestamps};
use rustix::io::Errno;
use sshome_wire::RemotePath;

/// Whatever a path stands for, found and held, but not opened to be read.
#[derive(Debug)]
pub struct PathHandle {
    handle: OwnedFd,
    /// None if its path has no name of its own: it is the home itself, or ends in `.` or `..`.
    location: Option<Location>,
    stat: Stat,
    /// It is the home itself.
    is_top: bool,
}

impl Home {
    /// Finds what a path stands for. `follow` says whether a link at its end is followed; one with a slash
    /// behind it is.
    ///
    /// # Errors
    /// `ENOENT` if nothing is there.
    pub fn entry(&self, path: &RemotePath, follow: bool) -> Result<PathHandle> {
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

    /// Where an entry is; see [`Home::canonical`].
    ///
    /// # Errors
    /// As [`Home::canonical`].
    pub fn canonical_entry(&self, entry: &PathHandle) -> Result<RemotePath> {
        match &entry.location {
            Some(location) => self.canonical(location),
            None => self.path_of(entry.handle.as_fd()),
        }
    }
}

impl PathHandle {
    /// What it was when it was found.
    #[must_use]
    pub fn stat(&self) -> &Stat {
        &self.stat
    }

    /// Sets the permissions, see [`permissions`]. The home itself stays one that its owner can write to, since
    /// the server does.
    ///
    /// # Errors
    /// `EOPNOTSUPP` for a link, which has none.
    pub fn set_mode(&self, mode: u32) -> Result<()> {
        if FileType::from_raw_mode(self.stat.st_mode) == FileType::Symlink {
            return Err(Errno::OPNOTSUPP.into());
        }
        // fchmod(2) wants a handle that can be read or written, which a file may forbid even its owner.
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
    pub fn set_group(&self, group: Gid) -> Result<()> {
        Ok(rustix::fs::chownat(&self.handle, c"", None, Some(group), AtFlags::EMPTY_PATH)?)
    }

    /// Sets the times.
    ///
    /// # Errors
    /// The kernel's.
    pub fn set_times(&self, times: &Timestamps) -> Result<()> {
        Ok(rustix::fs::utimensat(&self.handle, c"", times, AtFlags::EMPTY_PATH)?)
    }
}
