//! Why the disk did not do what was asked of it.

use super::DescriptorsExhausted;
use rustix::io::Errno;

/// Why the disk did not do what was asked of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The path names the folder that transfers are staged in.
    #[error("this name is kept for the server")]
    Reserved,
    /// The home itself cannot be removed, renamed or replaced.
    #[error("this is the home itself")]
    Top,
    /// A path that ends in `.` or `..` has no name there that could be removed, renamed or replaced.
    #[error("what ends in . or .. is not removed, renamed or replaced; use the directory's name")]
    Dot,
    /// A directory is where a file is needed.
    #[error("it is a directory")]
    IsDirectory,
    /// A directory of a tree was moved elsewhere while the tree was walked.
    #[error("it was moved while its tree was read; try again")]
    Moved,
    /// A socket, a pipe or a device.
    #[error("it is not a regular file")]
    Special,
    /// The home could not be opened; the server tries again at each login and every minute.
    #[error("your home is unavailable: the administrator has to look at it, the server's log says why")]
    Unavailable,
    /// Its path leads to another directory than the one that was opened.
    #[error(
        "your home was replaced or unmounted on the server: nothing more is written; \
         tell the administrator, the server's log says which"
    )]
    Replaced,
    /// The user has no descriptors left.
    #[error(transparent)]
    Descriptors(#[from] DescriptorsExhausted),
    /// The kernel refused.
    #[error("{}", std::io::Error::from(*.0))]
    Os(#[from] Errno),
}

/// What the module's functions return.
pub type Result<T> = std::result::Result<T, Error>;
