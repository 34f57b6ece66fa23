//! Deferred modes: a directory gets a mode that denies its owner access only after it has been filled.

use super::mode::{MIN_DIRECTORY_MODE, permissions};
use super::{Location, Result};
use rustix::fd::OwnedFd;
use rustix::fs::{Stat, Timespec, Timestamps, UTIME_OMIT, XattrFlags};
use rustix::io::Errno;
use sshome_wire::Time;

/// The extended attribute that holds a directory's final mode, in octal, until it is applied. A resumed transfer finds it
/// there.
const MODE_XATTR: &str = "user.sshome.mode";

/// The permissions that the owner needs to fill a directory.
const OWNER_RWX: u32 = 0o700;

/// The mode that a directory gets once it is filled.
#[derive(Clone, Copy, Debug)]
pub(crate) struct DeferredMode(u32);

impl DeferredMode {
    /// The deferred form of a mode.
    #[must_use]
    pub(crate) fn of(mode: u32) -> DeferredMode {
        DeferredMode(mode & 0o777)
    }

    /// Makes a new directory accessible to its owner and records its final mode. Without extended attributes the
    /// directory keeps the accessible mode.
    ///
    /// # Errors
    /// The kernel's.
    pub(crate) fn begin(self, new: &Location) -> Result<()> {
        let directory = new.open_directory()?;
        // The whole mode: the umask applies only to files without a given mode.
        set_mode(&directory, self.0 | OWNER_RWX)?;
        if self.is_closed() { self.note(&directory).map(drop) } else { Ok(()) }
    }

    /// Makes an existing directory with exactly this mode accessible to its owner, if the mode denies that.
    ///
    /// # Errors
    /// The kernel's.
    pub(crate) fn reopen(self, directory: &OwnedFd, stat: &Stat) -> Result<()> {
        let closed = self.0 | MIN_DIRECTORY_MODE;
        if stat.st_mode & 0o777 != closed {
            return Ok(());
        }
        // Setting the attribute requires write permission.
        set_mode(directory, self.0 | OWNER_RWX)?;
        if !self.note(directory)? {
            set_mode(directory, closed)?;
        }
        Ok(())
    }

    /// Whether the mode denies the owner access.
    pub(crate) fn is_closed(self) -> bool {
        self.0 & OWNER_RWX != OWNER_RWX
    }

    /// Records the mode in the extended attribute. Returns whether that worked.
    fn note(self, directory: &OwnedFd) -> Result<bool> {
        let text = format!("{:o}", self.0);
        match rustix::fs::fsetxattr(directory, MODE_XATTR, text.as_bytes(), XattrFlags::empty()) {
            Ok(()) => Ok(true),
            Err(Errno::OPNOTSUPP | Errno::NOSPC | Errno::DQUOT | Errno::PERM) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }
}

/// Sets a directory's time, and its deferred mode if it has one.
///
/// # Errors
/// The kernel's.
pub(crate) fn finalize_directory(directory: &OwnedFd, mtime: Time) -> Result<()> {
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

/// Drops the deferred mode of the directory at a path, whose mode is being set.
///
/// # Errors
/// The kernel's. It is no error if there is none.
pub(super) fn forget(path: &str) -> Result<()> {
    match rustix::fs::removexattr(path, MODE_XATTR) {
        // Without access for the owner no attribute was set.
        Ok(()) | Err(Errno::NODATA | Errno::OPNOTSUPP | Errno::ACCESS | Errno::PERM) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Makes a directory accessible to its owner, so that its entries can be removed.
///
/// # Errors
/// The kernel's.
pub(crate) fn open_to_owner(location: &Location, stat: &Stat) -> Result<()> {
    if stat.st_mode & OWNER_RWX == OWNER_RWX {
        return Ok(());
    }
    set_mode(&location.open_directory()?, stat.st_mode & 0o777 | OWNER_RWX)
}

/// Sets a directory's permissions. Its set-group and sticky bits are kept.
fn set_mode(directory: &OwnedFd, mode: u32) -> Result<()> {
    let mode = permissions(&rustix::fs::fstat(directory)?, mode);
    Ok(rustix::fs::fchmod(directory, mode)?)
}
