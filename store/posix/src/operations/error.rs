//! From errors of the disk to those of the seam.

use super::PosixHome;
use crate::home;
use rustix::io::Errno;
use sshome_store::quota::QuotaExceeded;
use sshome_store::{Cause, StoreError, StoreResult};
use sshome_wire::RemotePath;

/// Parent directories that are checked to find the missing one.
const MAX_PARENTS: usize = 64;

impl From<home::Error> for Cause {
    fn from(error: home::Error) -> Cause {
        match error {
            home::Error::Reserved => Cause::Reserved,
            home::Error::Top => Cause::Top,
            home::Error::Dot => Cause::Dot,
            home::Error::IsDirectory => Cause::IsDirectory,
            home::Error::Moved => Cause::Moved,
            home::Error::Special => Cause::Special,
            home::Error::Unavailable => Cause::Unavailable,
            home::Error::Replaced => Cause::Replaced,
            home::Error::Descriptors(exhausted) => exhausted.into(),
            home::Error::Os(errno) => of_errno(errno),
        }
    }
}

fn of_errno(errno: Errno) -> Cause {
    match errno {
        Errno::NOENT => Cause::NotFound,
        Errno::ACCESS => Cause::Denied,
        Errno::PERM => Cause::NotPermitted,
        Errno::EXIST => Cause::Exists,
        Errno::NOTDIR => Cause::NotDirectory,
        Errno::ISDIR => Cause::IsDirectory,
        Errno::NOTEMPTY => Cause::NotEmpty,
        Errno::NAMETOOLONG => Cause::NameTooLong,
        Errno::LOOP => Cause::TooManyLinks,
        Errno::BADF => Cause::NotOpenForThis,
        Errno::FBIG => Cause::TooLarge,
        Errno::NXIO => Cause::Unopenable,
        Errno::INVAL => Cause::Invalid,
        Errno::OPNOTSUPP => Cause::Unsupported,
        Errno::XDEV => Cause::OtherFilesystem,
        Errno::NOSPC => Cause::DiskFull,
        Errno::DQUOT => Cause::DiskQuota,
        Errno::ROFS => Cause::DiskReadOnly,
        Errno::IO => Cause::DiskFailed,
        Errno::STALE => Cause::DiskStale,
        other => Cause::Other(std::io::Error::from(other).to_string()),
    }
}

/// Adds the path to an error.
pub(crate) trait Context<T> {
    /// The path is that of a file, or of any type.
    fn of_file(self, path: &RemotePath) -> StoreResult<T>;
    /// A directory is required at the path.
    fn of_directory(self, path: &RemotePath) -> StoreResult<T>;
}

impl<T, E: Into<home::Error>> Context<T> for std::result::Result<T, E> {
    fn of_file(self, path: &RemotePath) -> StoreResult<T> {
        self.map_err(|error| StoreError::file(path, error.into().into()))
    }

    fn of_directory(self, path: &RemotePath) -> StoreResult<T> {
        self.map_err(|error| StoreError::directory(path, error.into().into()))
    }
}

/// Adds the path to an error of locating a new name: that of the missing directory, if one is missing.
pub(super) fn of_parent<'a>(
    home: &'a PosixHome,
    path: &'a RemotePath,
) -> impl FnOnce(home::Error) -> StoreError + 'a {
    move |error| {
        let mut missing = path.clone();
        if error == home::Error::Os(Errno::NOENT) {
            // The topmost missing directory has to be created first.
            for _ in 0..MAX_PARENTS {
                match missing.split() {
                    Some((parent, _)) if home.dir.stat(&parent).err() == Some(error) => missing = parent,
                    _ => break,
                }
            }
        }
        StoreError::directory(&missing, error.into())
    }
}

/// Adds the path to a quota error.
pub(super) fn over_quota(path: &RemotePath) -> impl FnOnce(QuotaExceeded) -> StoreError {
    |exceeded| StoreError::quota(path, exceeded)
}

/// The errno of an error of `std::io`.
pub(super) fn errno(error: &std::io::Error) -> Errno {
    Errno::from_io_error(error).unwrap_or(Errno::IO)
}
