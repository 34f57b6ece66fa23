//! What can go wrong, and the status that it becomes: in one place for all operations.

use super::User;
use crate::accounts::OwnKeysError;
use crate::audit::{self, AuditRefusal, AuditableError};
use crate::home;
use crate::quota::QuotaExceeded;
use rustix::io::Errno;
use sshome_wire::display::Escaped;
use sshome_wire::{RemotePath, Status};
use std::sync::Arc;

/// How many directories are looked at to find the one that is missing.
const MAX_PARENTS: usize = 64;

/// What operations return.
pub type Result<T> = std::result::Result<T, Error>;

/// Why an operation was refused or failed. Its text says to what it happened, and what to do where
/// that helps; the status stands before it.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The disk refused.
    #[error("{}", disk_text(path, error))]
    Disk {
        /// What was asked for.
        path: RemotePath,
        /// Whether a directory was needed there.
        directory: bool,
        /// Why.
        error: home::Error,
    },
    /// It does not fit into the quota.
    #[error("{} {exceeded}", name(path))]
    Quota {
        /// What was to be stored.
        path: RemotePath,
        /// What is lacking.
        exceeded: QuotaExceeded,
    },
    /// A file cannot get another name while an upload counts on replacing it, since both do not fit.
    #[error(
        "{path} is being replaced by an upload that does not fit beside it: {exceeded}; wait until it has ended"
    )]
    BeingReplaced {
        /// The file.
        path: RemotePath,
        /// What is lacking.
        exceeded: QuotaExceeded,
    },
    /// A directory where a file is needed. The hint says what does it.
    #[error("{path} is a directory{hint}")]
    IsDirectory {
        /// The directory.
        path: RemotePath,
        /// What to do instead, with the mark before it.
        hint: &'static str,
    },
    /// The account may not change anything.
    #[error("this account may read and not write")]
    ReadOnly,
    /// Files have no owner but the server.
    #[error("{0}: its owner cannot be changed, all files here belong to the server")]
    Owner(RemotePath),
    /// A range of a file cannot be copied onto itself.
    #[error("{0}: the ranges to copy from and to overlap; copy to another file, or to another offset")]
    Overlap(RemotePath),
    /// More digests than one answer holds.
    #[error(
        "{0}: these would be more digests than one answer holds; ask for larger blocks or a shorter range"
    )]
    TooManyDigests(RemotePath),
    /// A file where a directory is needed.
    #[error("{0} exists and is not a directory")]
    NotDirectory(RemotePath),
    /// What is staged cannot get a name there.
    #[error("cannot store {0}: it is on a different mount than the home")]
    OtherMount(RemotePath),
    /// A file that is staged would have to be put together from too many pieces.
    #[error("{0}: it is written in too many places for an atomic upload; write it in order")]
    Scattered(RemotePath),
    /// The part that was to be gone on with is not there.
    #[error("no part of {0} is there to go on with; send it whole")]
    NoPart(RemotePath),
    /// The stream is being received already.
    #[error("this stream to {0} is being received already; ask for its status first")]
    StreamBusy(RemotePath),
    /// What arrived is not what was sent.
    #[error("{path}: {why}; nothing was published")]
    Mismatch {
        /// What was to be stored.
        path: RemotePath,
        /// What differs.
        why: &'static str,
    },
    /// An earlier change of an open file failed, for this reason, so the file is not what it was to be.
    #[error(transparent)]
    Earlier(Arc<Error>),
    /// What is on the disk is not what was published.
    #[error("{0} is not what was stored: it has changed on the disk; restore it from a copy")]
    Rotten(RemotePath),
    /// The file was written to while it was read.
    #[error("{0}; try again")]
    Changed(RemotePath),
    /// The sender of a file gave it up.
    #[error("{path}: {}", Escaped(why.as_bytes()))]
    GivenUp {
        /// What was to be stored.
        path: RemotePath,
        /// The sender's status.
        status: Status,
        /// The sender's words.
        why: String,
    },
    /// A tree cannot go into itself.
    #[error("{to} is inside {from}")]
    IntoItself {
        /// The tree.
        from: RemotePath,
        /// Where it was to go.
        to: RemotePath,
    },
    /// The keys that log in to the account.
    #[error("{}", Escaped(.0.to_string().as_bytes()))]
    Keys(OwnKeysError),
    /// Part of a tree could not be dealt with; the rest was.
    #[error("{count} {} failed, the first with: {first}", if *count == 1 { "entry" } else { "entries" })]
    Partly {
        /// How many entries.
        count: u64,
        /// The first one's error, without a number: the reply has its own.
        first: String,
    },
}

impl Error {
    /// The disk's refusal. Whoever asked can do nothing about a disk that fails or is full, so the log has it for
    /// whoever runs the server.
    pub(super) fn disk(path: &RemotePath, directory: bool, error: home::Error) -> Error {
        if let home::Error::Os(errno) = error {
            audit::disk_error(path, errno);
        }
        Error::Disk { path: path.clone(), directory, error }
    }

    /// The same error; of a directory that was to be fetched, it says what fetches it with our client.
    #[must_use]
    pub fn or_get_recursively(self) -> Error {
        match self {
            Error::Disk { path, error: home::Error::IsDirectory, .. } => {
                Error::IsDirectory { path, hint: ": use get -r" }
            }
            error => error,
        }
    }

    /// The error itself, or the earlier one that it repeats.
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

    /// The status in words and the text, for ways in that have no statuses of ours:
    /// `quota exceeded: big.iso needs …`.
    #[must_use]
    pub fn message(&self) -> String {
        self.status().describe(&self.to_string())
    }

    /// The same as part of another error's text: a failure without a status of its own is only its text.
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
        // The status says it all.
        home::Error::Os(Errno::NOENT | Errno::ACCESS) => path.to_string(),
        // It is about the whole home, whatever was asked for.
        home::Error::Unavailable | home::Error::Replaced => error.to_string(),
        home::Error::Os(Errno::EXIST) => format!("{path} exists already"),
        home::Error::Os(Errno::BADF) => format!("{path}: the handle was not opened for this"),
        home::Error::Os(Errno::FBIG) => format!("{path}: no file can be so long"),
        home::Error::Os(Errno::NOTDIR) => format!("{path}: not a directory"),
        home::Error::Os(Errno::ISDIR) => format!("{path}: it is a directory"),
        home::Error::Os(Errno::NAMETOOLONG) => format!("{path}: the name is too long"),
        home::Error::Os(Errno::NOTEMPTY) => {
            format!("{path} is not empty; rm -r removes it with all that is in it")
        }
        home::Error::Os(Errno::NOSPC) => format!("{path}: the server's disk is full"),
        home::Error::Os(Errno::ROFS) => {
            format!("{path}: the server's disk is mounted read-only; tell who runs the server")
        }
        home::Error::Os(Errno::IO) => {
            format!("{path}: the server's disk has failed to read or write; tell who runs the server")
        }
        home::Error::Os(Errno::XDEV) => {
            format!("{path} is on a different mount; copy it there and remove it here")
        }
        home::Error::Os(Errno::LOOP) => format!("{path}: too many symbolic links"),
        home::Error::Os(Errno::NXIO) => format!("{path}: it is not a regular file"),
        other => format!("{path}: {other}"),
    }
}

fn name(path: &RemotePath) -> String {
    path.file_name().map_or_else(|| path.to_string(), |name| Escaped(name).to_string())
}

/// Says what an error of the disk happened to.
pub(super) trait Context<T> {
    /// It happened to a file, or to whatever is there.
    fn of_file(self, path: &RemotePath) -> Result<T>;
    /// It happened where a directory is needed.
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

/// Says what a new name could not be looked up for: its directory, if that is missing.
pub(super) fn of_parent<'a>(user: &'a User, path: &'a RemotePath) -> impl FnOnce(home::Error) -> Error + 'a {
    move |error| {
        let mut missing = path.clone();
        if error == home::Error::Os(Errno::NOENT) {
            // Only the uppermost one that is missing has to be made first.
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

/// Says what it is that does not fit.
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

/// Says that an error of `std::io` is the kernel's.
pub(super) fn errno(error: &std::io::Error) -> Errno {
    Errno::from_io_error(error).unwrap_or(Errno::IO)
}
