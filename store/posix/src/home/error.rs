//! Errors of operations on a home.

use super::DescriptorsExhausted;
use rustix::io::Errno;

/// Why an operation on a home failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Error {
    /// The path leads to the staging folder.
    #[error("this name is reserved for the server")]
    Reserved,
    /// The home itself cannot be removed, renamed or replaced.
    #[error("this is the home itself")]
    Top,
    /// The path ends in `.` or `..`: there is no name to remove, rename or replace.
    #[error("a path that ends in . or .. cannot be removed, renamed or replaced; use the directory's name")]
    Dot,
    /// A directory in place of a file.
    #[error("it is a directory")]
    IsDirectory,
    /// A directory was moved while its tree was walked.
    #[error("it was moved while its tree was read; try again")]
    Moved,
    /// A socket, a pipe or a device.
    #[error("it is not a regular file")]
    Special,
    /// The home could not be opened; the server tries again at each login and every minute.
    #[error("your home is unavailable: tell the administrator, the server's log has the reason")]
    Unavailable,
    /// The path of the home leads to a different directory than the one that was opened.
    #[error(
        "your home was replaced or unmounted on the server, so writes are refused; \
         tell the administrator, the server's log has the path"
    )]
    Replaced,
    /// The user's descriptor budget is used up.
    #[error(transparent)]
    Descriptors(#[from] DescriptorsExhausted),
    /// A system call failed.
    #[error("{}", std::io::Error::from(*.0))]
    Os(#[from] Errno),
}

/// The result of operations on a home.
pub(crate) type Result<T> = std::result::Result<T, Error>;
