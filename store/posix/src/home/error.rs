//! Errors of operations on a home.

use super::DescriptorsExhausted;
use rustix::io::Errno;
use sshome_store::Cause;

/// Why an operation on a home failed. The log gets the same messages as the clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Error {
    /// The path leads to the staging folder.
    #[error("{}", Cause::Reserved)]
    Reserved,
    /// The home itself cannot be removed, renamed or replaced.
    #[error("{}", Cause::Top)]
    Top,
    /// The path ends in `.` or `..`: there is no name to remove, rename or replace.
    #[error("{}", Cause::Dot)]
    Dot,
    /// A directory in place of a file.
    #[error("{}", Cause::IsDirectory)]
    IsDirectory,
    /// A directory was moved while its tree was walked.
    #[error("{}", Cause::Moved)]
    Moved,
    /// A socket, a pipe or a device.
    #[error("{}", Cause::Special)]
    Special,
    /// The home could not be opened; the server tries again at each login and every minute.
    #[error("{}", Cause::Unavailable)]
    Unavailable,
    /// The path of the home leads to a different directory than the one that was opened.
    #[error("{}", Cause::Replaced)]
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
