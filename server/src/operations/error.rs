//! Errors of operations, and the mapping of errors to statuses.

use super::User;
use crate::accounts::OwnKeysError;
use crate::audit::{self, AuditRefusal, AuditableError};
use crate::home;
use crate::quota::QuotaExceeded;
use rustix::io::Errno;
use sshome_wire::display::Escaped;
use sshome_wire::{RemotePath, Status};
use std::sync::Arc;

/// Parent directories that are checked to find the missing one.
const MAX_PARENTS: usize = 64;

/// The result of operations.
pub type Result<T> = std::result::Result<T, Error>;

/// Why an operation was refused or failed. The text names the file and, if useful, the remedy; clients show it after the
/// status.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A system call failed.
    #[error("{}", disk_text(path, error))]
    Disk {
        /// The path.
        path: RemotePath,
        /// Whether a directory was required.
        directory: bool,
        /// The error.
        error: home::Error,
    },
    /// The quota is exceeded.
    #[error("{} {exceeded}", name(path))]
    Quota {
        /// The path of the file.
        path: RemotePath,
        /// The limit, with the amounts.
        exceeded: QuotaExceeded,
    },
    /// A file cannot get another name while an upload has its credit and does not fit beside it.
    #[error(
        "{path} is being replaced by an upload that does not fit beside it: {exceeded}; wait until it has ended"
    )]
    BeingReplaced {
        /// The file.
        path: RemotePath,
        /// The limit, with the amounts.
        exceeded: QuotaExceeded,
    },
    /// A directory in place of a file. The hint names the command that works.
    #[error("{path} is a directory{hint}")]
    IsDirectory {
        /// The directory.
        path: RemotePath,
        /// The remedy, with its punctuation.
        hint: &'static str,
    },
    /// The account may not change anything.
    #[error("this account is read-only")]
    ReadOnly,
    /// All files belong to the server.
    #[error("{0}: the owner cannot be changed: all files belong to the server")]
    Owner(RemotePath),
    /// A range of a file cannot be copied onto itself.
    #[error("{0}: the ranges to copy from and to overlap; copy to another file, or to another offset")]
    Overlap(RemotePath),
    /// The digests do not fit into one reply.
    #[error("{0}: the digests do not fit into one reply; request larger blocks or a shorter range")]
    TooManyDigests(RemotePath),
    /// A file in place of a directory.
    #[error("{0} exists and is not a directory")]
    NotDirectory(RemotePath),
    /// A staged file cannot be renamed to the target.
    #[error("cannot store {0}: it is on a different mount than the home")]
    OtherMount(RemotePath),
    /// Too many separate ranges of a staged file were written.
    #[error("{0}: too many separate ranges were written for an atomic upload; write the file in order")]
    Scattered(RemotePath),
    /// The partial upload that was to be resumed does not exist.
    #[error("no partial upload of {0} can be resumed; send the whole file")]
    NoPart(RemotePath),
    /// A different connection receives the stream.
    #[error("this stream to {0} is already being received; query its status first")]
    StreamBusy(RemotePath),
    /// The received data differ from the sent data.
    #[error("{path}: {why}; nothing was published")]
    Mismatch {
        /// The path of the file.
        path: RemotePath,
        /// The difference.
        why: &'static str,
    },
    /// An earlier change of an open file failed with this error, so its content is incomplete.
    #[error(transparent)]
    Earlier(Arc<Error>),
    /// The content differs from the stored digest.
    #[error("{0} is not what was stored: it has changed on the disk; restore it from a copy")]
    Rotten(RemotePath),
    /// The file was written to while it was read.
    #[error("{0}; try again")]
    Changed(RemotePath),
    /// The sender aborted the upload.
    #[error("{path}: {}", Escaped(why.as_bytes()))]
    GivenUp {
        /// The path of the file.
        path: RemotePath,
        /// The sender's status.
        status: Status,
        /// The sender's message.
        why: String,
    },
    /// A tree cannot be moved or copied into itself.
    #[error("{to} is inside {from}")]
    IntoItself {
        /// The tree.
        from: RemotePath,
        /// The target.
        to: RemotePath,
    },
    /// An error of the account's keys.
    #[error("{}", Escaped(.0.to_string().as_bytes()))]
    Keys(OwnKeysError),
    /// Some entries of a tree failed; the others succeeded.
    #[error("{count} {} failed, the first with: {first}", if *count == 1 { "entry" } else { "entries" })]
    Partly {
        /// The number of failed entries.
        count: u64,
        /// The first error, without a status number.
        first: String,
    },
}

impl Error {
    /// An error of a system call. Failing and full disks are also logged for the administrator.
    pub(super) fn disk(path: &RemotePath, directory: bool, error: home::Error) -> Error {
        if let home::Error::Os(errno) = error {
            audit::disk_error(path, errno);
        }
        Error::Disk { path: path.clone(), directory, error }
    }

    /// The same error; for a directory, with the hint to use `get -r`.
    #[must_use]
    pub fn or_get_recursively(self) -> Error {
        match self {
            Error::Disk { path, error: home::Error::IsDirectory, .. } => {
                Error::IsDirectory { path, hint: ": use get -r" }
            }
            error => error,
        }
    }

    /// The original error, if this one repeats it.
    #[must_use]
    pub fn cause(&self) -> &Error {
        match self {
            Error::Earlier(error) => error.cause(),
            error => error,
        }
    }

    /// The status for the reply.
    #[must_use]
    pub fn status(&self) -> Status {
        match self {
            Error::Disk { directory, error, .. } => disk_status(*error, *directory),
            Error::Quota { .. } | Error::BeingReplaced { .. } => Status::QuotaExceeded,
            Error::IsDirectory { .. } | Error::NotDirectory(_) => Status::WrongType,
            Error::Mismatch { .. } | Error::Rotten(_) => Status::DigestMismatch,
            Error::ReadOnly | Error::Owner(_) => Status::PermissionDenied,
            Error::Changed(_) => Status::Changed,
            Error::StreamBusy(_) => Status::Busy,
            Error::GivenUp { status, .. } => *status,
            Error::Keys(error) => keys_status(error),
            Error::Earlier(error) => error.status(),
            Error::IntoItself { .. }
            | Error::Partly { .. }
            | Error::NoPart(_)
            | Error::OtherMount(_)
            | Error::Scattered(_)
            | Error::Overlap(_)
            | Error::TooManyDigests(_) => Status::Failed,
        }
    }

    /// The status in words and the text, for protocols without our statuses: `quota exceeded: big.iso needs …`.
    #[must_use]
    pub fn message(&self) -> String {
        self.status().describe(&self.to_string())
    }

    /// The same, for use in another error's text: the general status is omitted.
    #[must_use]
    pub fn reason(&self) -> String {
        match self.status() {
            Status::Failed => self.to_string(),
            _ => self.message(),
        }
    }
}

impl AuditableError for Error {
    fn refusal(&self) -> Option<AuditRefusal<'_>> {
        match self {
            Error::Quota { path, exceeded } | Error::BeingReplaced { path, exceeded } => {
                Some(AuditRefusal::Quota { path, exceeded })
            }
            Error::ReadOnly => Some(AuditRefusal::ReadOnly),
            _ => None,
        }
    }
}

fn keys_status(error: &OwnKeysError) -> Status {
    match error {
        OwnKeysError::NotAllowed | OwnKeysError::Administrators(_) => Status::PermissionDenied,
        OwnKeysError::TooMany => Status::Busy,
        _ => Status::Failed,
    }
}

fn disk_status(error: home::Error, directory: bool) -> Status {
    match error {
        home::Error::Reserved => Status::PermissionDenied,
        home::Error::Unavailable | home::Error::Replaced => Status::Failed,
        home::Error::Top => Status::PermissionDenied,
        home::Error::Dot => Status::Failed,
        home::Error::IsDirectory | home::Error::Special => Status::WrongType,
        home::Error::Descriptors(_) => Status::Busy,
        home::Error::Moved => Status::Changed,
        home::Error::Os(errno) => match errno {
            Errno::NOENT if directory => Status::NoSuchDirectory,
            Errno::NOENT => Status::NoSuchFile,
            Errno::NOTDIR | Errno::ISDIR => Status::WrongType,
            Errno::ACCESS | Errno::PERM | Errno::ROFS => Status::PermissionDenied,
            Errno::DQUOT => Status::QuotaExceeded,
            _ => Status::Failed,
        },
    }
}

fn disk_text(path: &RemotePath, error: &home::Error) -> String {
    match error {
        // The status says the rest.
        home::Error::Os(Errno::NOENT | Errno::ACCESS) => path.to_string(),
        // It concerns the whole home.
        home::Error::Unavailable | home::Error::Replaced => error.to_string(),
        home::Error::Os(Errno::EXIST) => format!("{path} exists already"),
        home::Error::Os(Errno::BADF) => format!("{path}: the handle was not opened for this"),
        home::Error::Os(Errno::FBIG) => format!("{path}: a file cannot be that long"),
        home::Error::Os(Errno::NOTDIR) => format!("{path}: not a directory"),
        home::Error::Os(Errno::ISDIR) => format!("{path}: it is a directory"),
        home::Error::Os(Errno::NAMETOOLONG) => format!("{path}: the name is too long"),
        home::Error::Os(Errno::NOTEMPTY) => {
            format!("{path} is not empty; rm -r removes it with all that is in it")
        }
        home::Error::Os(Errno::NOSPC) => format!("{path}: the server's disk is full"),
        home::Error::Os(Errno::ROFS) => {
            format!("{path}: the server's disk is mounted read-only; tell the administrator")
        }
        home::Error::Os(Errno::IO) => {
            format!("{path}: the server's disk failed to read or write; tell the administrator")
        }
        home::Error::Os(Errno::XDEV) => {
            format!("{path}: source and target are on different mounts; copy it, then remove the original")
        }
        home::Error::Os(Errno::LOOP) => format!("{path}: too many symbolic links"),
        home::Error::Os(Errno::NXIO) => format!("{path}: it is not a regular file"),
        other => format!("{path}: {other}"),
    }
}

fn name(path: &RemotePath) -> String {
    path.file_name().map_or_else(|| path.to_string(), |name| Escaped(name).to_string())
}

/// Adds the path to an error.
pub(super) trait Context<T> {
    /// The path is that of a file, or of any type.
    fn of_file(self, path: &RemotePath) -> Result<T>;
    /// A directory is required at the path.
    fn of_directory(self, path: &RemotePath) -> Result<T>;
}

impl<T, E: Into<home::Error>> Context<T> for std::result::Result<T, E> {
    fn of_file(self, path: &RemotePath) -> Result<T> {
        self.map_err(|error| Error::disk(path, false, error.into()))
    }

    fn of_directory(self, path: &RemotePath) -> Result<T> {
        self.map_err(|error| Error::disk(path, true, error.into()))
    }
}

/// Adds the path to an error of locating a new name: that of the missing directory, if one is missing.
pub(super) fn of_parent<'a>(user: &'a User, path: &'a RemotePath) -> impl FnOnce(home::Error) -> Error + 'a {
    move |error| {
        let mut missing = path.clone();
        if error == home::Error::Os(Errno::NOENT) {
            // The topmost missing directory has to be created first.
            for _ in 0..MAX_PARENTS {
                match missing.split() {
                    Some((parent, _)) if user.home.stat(&parent).err() == Some(error) => missing = parent,
                    _ => break,
                }
            }
        }
        Error::disk(&missing, true, error)
    }
}

/// Adds the path to a quota error.
pub(super) fn over_quota<'a>(
    user: &'a User,
    path: &'a RemotePath,
) -> impl FnOnce(QuotaExceeded) -> Error + 'a {
    |exceeded| {
        let error = Error::Quota { path: path.clone(), exceeded };
        user.audit.refused(&error);
        error
    }
}

/// The errno of an error of `std::io`.
pub(super) fn errno(error: &std::io::Error) -> Errno {
    Errno::from_io_error(error).unwrap_or(Errno::IO)
}
