//! Errors of the service, and the mapping of errors to statuses.

use crate::accounts::OwnKeysError;
use crate::audit::{self, AuditRefusal, AuditableError};
use sshome_store::{Cause, StoreError, Wait, entries};
use sshome_wire::display::Escaped;
use sshome_wire::{RemotePath, Status};
use std::sync::Arc;

/// The result of a call to the service.
pub type Result<T> = std::result::Result<T, Error>;

/// Why an operation was refused or failed. The message names the file and, if useful, the remedy. Clients show it after
/// the status.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The store refused or failed.
    #[error(transparent)]
    Store(StoreError),
    /// The account may not change anything.
    #[error("this account is read-only")]
    ReadOnly,
    /// The key may only read.
    #[error("this key is read-only")]
    ReadOnlyKey,
    /// The key may only upload.
    #[error("this key may only upload: it can neither read nor list")]
    UploadOnly,
    /// The key may add files, but not change what exists.
    #[error("{0}: this key may not change what exists: use a new name, or a key with full access")]
    Protected(RemotePath),
    /// A range of a file cannot be copied onto itself.
    #[error("{0}: the ranges to copy from and to overlap; copy to another file, or to another offset")]
    Overlap(RemotePath),
    /// The digests do not fit into one reply.
    #[error("{0}: the digests do not fit into one reply; request larger blocks or a shorter range")]
    TooManyDigests(RemotePath),
    /// A delta copies what is not in the described file, or nothing.
    #[error("{0}: the delta copies a range that was not described")]
    BadCopy(RemotePath),
    /// A delta was sent without a description.
    #[error("{0}: no file was described for this delta")]
    NotDescribed(RemotePath),
    /// The user's other gets hold all descriptions that are allowed.
    #[error(
        "your other transfers hold as many descriptions of files as are allowed; get the file as a whole"
    )]
    TooManyDescriptions,
    /// The file has more chunks than a description may have.
    #[error("{0} is too long to be described; put it as a whole")]
    TooLongToDescribe(RemotePath),
    /// An upload over several connections of a file that has one block, or without size or source.
    #[error("{0}: only a file of more than 4 MiB, with its size and time, is sent over several connections")]
    NotDivisible(RemotePath),
    /// The id of an upload is unknown, or another user's or key's, or the upload has ended.
    #[error("there is no such upload, or it has ended; begin it again")]
    NoSuchUpload,
    /// An earlier change of an open file failed with this error, so its content is incomplete.
    #[error(transparent)]
    Earlier(Arc<Error>),
    /// The content differs from the stored digest.
    #[error("{0} is not what was stored: it has changed on the disk; restore it from a copy")]
    Rotten(RemotePath),
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
    /// The store gave no answer in time.
    #[error("{0}; it may or may not have been done: check before you repeat it")]
    Unknown(StoreError),
    /// An error of the account's keys.
    #[error("{}", Escaped(.0.to_string().as_bytes()))]
    Keys(OwnKeysError),
    /// Some entries of a tree failed; the others succeeded.
    #[error("{} failed, the first with: {first}", entries(*.count))]
    Partly {
        /// The number of failed entries.
        count: u64,
        /// The first error, without a status number.
        first: String,
    },
}

impl From<StoreError> for Error {
    /// Failing and full disks are also logged for the administrator.
    fn from(error: StoreError) -> Error {
        if let StoreError::Failed { path, cause, .. } = &error {
            audit::disk_error(path, cause);
        }
        Error::Store(error)
    }
}

impl Error {
    /// An error at the path of a file.
    pub(crate) fn file(path: &RemotePath, cause: Cause) -> Error {
        StoreError::file(path, cause).into()
    }

    /// The same error; for a directory, with the hint to use `get -r`.
    #[must_use]
    pub fn or_get_recursively(self) -> Error {
        match self {
            Error::Store(StoreError::Failed { path, cause: Cause::IsDirectory, .. }) => {
                Error::Store(StoreError::IsDirectory { path, hint: ": use get -r" })
            }
            error => error,
        }
    }

    /// The original error, if this one repeats it.
    #[must_use]
    pub fn original(&self) -> &Error {
        match self {
            Error::Earlier(error) => error.original(),
            error => error,
        }
    }

    /// The cause of the store's error; `None` if there is no specific one.
    #[must_use]
    pub fn cause(&self) -> Option<&Cause> {
        match self.original() {
            Error::Store(error) => error.cause(),
            _ => None,
        }
    }

    /// What to wait for before the operation is repeated; `None` if waiting does not help.
    #[must_use]
    pub fn wait(&self) -> Option<&Wait> {
        match self {
            Error::Store(error) => error.wait(),
            _ => None,
        }
    }

    /// The status for the reply.
    #[must_use]
    pub fn status(&self) -> Status {
        match self {
            Error::Store(error) => store_status(error),
            Error::Rotten(_) => Status::DigestMismatch,
            Error::ReadOnly | Error::ReadOnlyKey | Error::UploadOnly => Status::PermissionDenied,
            Error::Protected(_) => Status::Protected,
            Error::GivenUp { status, .. } => *status,
            Error::Unknown(_) => Status::OutcomeUnknown,
            Error::Keys(error) => keys_status(error),
            Error::Earlier(error) => error.status(),
            Error::BadCopy(_) | Error::NotDescribed(_) | Error::NotDivisible(_) => Status::BadCommand,
            Error::Partly { .. }
            | Error::Overlap(_)
            | Error::TooManyDigests(_)
            | Error::TooManyDescriptions
            | Error::TooLongToDescribe(_)
            | Error::NoSuchUpload => Status::Failed,
        }
    }

    /// The status as text and the message, for protocols without our statuses: `quota exceeded: big.iso needs …`.
    #[must_use]
    pub fn message(&self) -> String {
        self.status().describe(&self.to_string())
    }

    /// As [`Error::message`], for use in the message of another error: a general status is omitted.
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
            Error::Store(
                StoreError::Quota { path, exceeded } | StoreError::BeingReplaced { path, exceeded },
            ) => Some(AuditRefusal::Quota { path, exceeded }),
            Error::ReadOnly | Error::ReadOnlyKey | Error::UploadOnly | Error::Protected(_) => {
                Some(AuditRefusal::Permission)
            }
            _ => None,
        }
    }
}

fn keys_status(error: &OwnKeysError) -> Status {
    match error {
        OwnKeysError::NotAllowed | OwnKeysError::RestrictedLogin | OwnKeysError::Administrators(_) => {
            Status::PermissionDenied
        }
        OwnKeysError::TooMany => Status::Busy,
        _ => Status::Failed,
    }
}

fn store_status(error: &StoreError) -> Status {
    match error {
        StoreError::Failed { directory, cause, .. } => cause_status(cause, *directory),
        StoreError::Quota { .. } | StoreError::BeingReplaced { .. } => Status::QuotaExceeded,
        StoreError::IsDirectory { .. } | StoreError::NotDirectory(_) => Status::WrongType,
        StoreError::Mismatch { .. } => Status::DigestMismatch,
        StoreError::Owner(_) => Status::PermissionDenied,
        StoreError::Changed(_) => Status::Changed,
        StoreError::StreamBusy(_) => Status::Busy,
        StoreError::IntoItself { .. }
        | StoreError::NoPart(_)
        | StoreError::UploadEnded(_)
        | StoreError::OtherMount(_)
        | StoreError::Scattered(_) => Status::Failed,
    }
}

fn cause_status(cause: &Cause, directory: bool) -> Status {
    match cause {
        Cause::NotFound if directory => Status::NoSuchDirectory,
        Cause::NotFound => Status::NoSuchFile,
        Cause::NotDirectory | Cause::IsDirectory | Cause::Special => Status::WrongType,
        Cause::Denied | Cause::NotPermitted | Cause::DiskReadOnly | Cause::Reserved | Cause::Top => {
            Status::PermissionDenied
        }
        Cause::DiskQuota => Status::QuotaExceeded,
        Cause::TooManyOpen { .. } | Cause::Busy { .. } | Cause::Counting { .. } => Status::Busy,
        Cause::Moved => Status::Changed,
        Cause::Cancelled => Status::Cancelled,
        _ => Status::Failed,
    }
}
