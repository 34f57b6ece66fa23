//! Directories that are filled although their mode forbids it.

use super::mode::{MIN_DIRECTORY_MODE, permissions};
use super::{Location, Result};
use rustix::fd::OwnedFd;
use rustix::fs::{Stat, Timespec, Timestamps, UTIME_OMIT, XattrFlags};
use rustix::io::Errno;
use sshome_wire::Time;

/// The extended attribute that holds a directory's mode, in octal, while it is open to be filled. A transfer
/// that is cut and goes on later finds it there.
const MODE_XATTR: &str = "user.sshome.mode";

/// What its owner needs to fill a directory.
const OWNER_RWX: u32 = 0o700;

/// The mode that a directory is to have once it is filled.
#[derive(Clone, Copy, Debug)]
pub struct DeferredMode(u32);

impl DeferredMode {
    /// Of this mode.
    #[must_use]
    pub fn of(mode: u32) -> DeferredMode {
        DeferredMode(mode & 0o777)
    }

    /// Opens a new directory to its owner. A mode that is not yet the right one is noted; where the filesystem
    /// has no extended attributes, the directory stays as it is then.
    ///
    /// # Errors
    /// The kernel's.
    pub fn begin(self, new: &Location) -> Result<()> {
        let directory = new.open_directory()?;
        // All of it: the server's own mask is for what nobody has given a mode.
        set_mode(&directory, self.0 | OWNER_RWX)?;
        if self.is_closed() { self.note(&directory).map(drop) } else { Ok(()) }
    }

    /// Opens a directory that has just this mode, if that is needed, or else leaves it as it is.
    ///
    /// # Errors
    /// The kernel's. That it is a link to a directory is none.
    pub fn reopen(self, old: &Location) -> Result<()> {
        if !self.is_closed() {
            return Ok(());
        }
        let directory = match old.open_directory() {
            Err(super::Error::Os(Errno::NOTDIR | Errno::LOOP)) => return Ok(()),
            directory => directory?,
        };
        let closed = self.0 | MIN_DIRECTORY_MODE;
        if rustix::fs::fstat(&directory)?.st_mode & 0o777 != closed {
            return Ok(());
        }
        // The attribute takes the right to write.
        set_mode(&directory, self.0 | OWNER_RWX)?;
        if !self.note(&directory)? {
            set_mode(&directory, closed)?;
        }
        Ok(())
    }

    /// Whether it would keep the owner from filling the directory.
    fn is_closed(self) -> bool {
        self.0 & OWNER_RWX != OWNER_RWX
    }

    /// Whether it could be written down.
    fn note(self, directory: &OwnedFd) -> Result<bool> {
        let text = format!("{:o}", self.0);
        match rustix::fs::fsetxattr(directory, MODE_XATTR, text.as_bytes(), XattrFlags::empty()) {
            Ok(()) => Ok(true),
            Err(Errno::OPNOTSUPP | Errno::NOSPC | Errno::DQUOT | Errno::PERM) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }
}

/// Gives a directory its time, and the mode that was noted for it.
///
/// # Errors
/// The kernel's.
pub fn finalize_directory(directory: &OwnedFd, mtime: Time) -> Result<()> {
    if let Some(mode) = noted(directory) {
        rustix::fs::fremovexattr(directory, MODE_XATTR)?;
        set_mode(directory, mode | MIN_DIRECTORY_MODE)?;
    }
    let last_modification = Timespec { tv_sec: mtime.seconds, tv_nsec: mtime.nanoseconds.into() };
    let last_access = Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT };
    Ok(rustix::fs::futimens(directory, &Timestamps { last_access, last_modification })?)
}

fn noted(directory: &OwnedFd) -> Option<u32> {
    let mut value = [0; 4];
    let length = rustix::fs::fgetxattr(directory, MODE_XATTR, &mut value[..]).ok()?;
    let text = std::str::from_utf8(value.get(..length)?).ok()?;
    u32::from_str_radix(text, 8).ok().filter(|mode| *mode <= 0o777)
}

/// Forgets what was noted of the directory at a path: it gets another mode.
///
/// # Errors
/// The kernel's. That there is nothing to forget is none.
pub(super) fn forget(path: &str) -> Result<()> {
    match rustix::fs::removexattr(path, MODE_XATTR) {
        // One that is closed to its owner has no note that we could have written.
        Ok(()) | Err(Errno::NODATA | Errno::OPNOTSUPP | Errno::ACCESS | Errno::PERM) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Opens a directory to its owner, so that what is in it can be removed.
///
/// # Errors
/// The kernel's.
pub fn open_to_owner(location: &Location, stat: &Stat) -> Result<()> {
    if stat.st_mode & OWNER_RWX == OWNER_RWX {
        return Ok(());
    }
    set_mode(&location.open_directory()?, stat.st_mode & 0o777 | OWNER_RWX)
}

/// Sets a directory's permissions. The bit that gives its group to new files, and the sticky bit, stay.
fn set_mode(directory: &OwnedFd, mode: u32) -> Result<()> {
    let mode = permissions(&rustix::fs::fstat(directory)?, mode);
    Ok(rustix::fs::fchmod(directory, mode)?)
}
