//! Errors of a store.

use crate::Wait;
use crate::quota::QuotaExceeded;
use sshome_wire::RemotePath;
use sshome_wire::display::{Escaped, apart};

/// The result of a call.
pub type StoreResult<T> = Result<T, StoreError>;

/// Why a call was refused or failed. The message names the file and, if useful, the remedy.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// A file cannot be found, opened, read, written, or changed.
    #[error("{}", text(path, cause))]
    Failed {
        /// The path.
        path: RemotePath,
        /// Whether a directory was required.
        directory: bool,
        /// The reason.
        cause: Cause,
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
    /// A file in place of a directory.
    #[error("{0} exists and is not a directory")]
    NotDirectory(RemotePath),
    /// All files belong to the server.
    #[error("{0}: the owner cannot be changed: all files belong to the server")]
    Owner(RemotePath),
    /// A staged file cannot be renamed to the target.
    #[error("cannot store {0}: it is on a different mount than the home")]
    OtherMount(RemotePath),
    /// Too many separate ranges of a staged file were written.
    #[error("{0}: too many separate ranges were written for an atomic upload; write the file in order")]
    Scattered(RemotePath),
    /// The partial upload that was to be resumed does not exist.
    #[error("no partial upload of {0} can be resumed; send the whole file")]
    NoPart(RemotePath),
    /// An upload over several connections has ended, or a connection has taken a block of it over.
    #[error("the upload of {0} has ended, or was taken over; begin it again")]
    UploadEnded(RemotePath),
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
    /// The file was written to while it was read.
    #[error("{0}; try again")]
    Changed(RemotePath),
    /// A tree cannot be moved or copied into itself.
    #[error("{to} is inside {from}")]
    IntoItself {
        /// The tree.
        from: RemotePath,
        /// The target.
        to: RemotePath,
    },
}

/// What is in the way at a path.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Cause {
    /// It does not exist.
    #[error("it does not exist")]
    NotFound,
    /// Its permissions deny it.
    #[error("permission denied")]
    Denied,
    /// The server may not do this.
    #[error("Operation not permitted (os error 1)")]
    NotPermitted,
    /// The channel may not change it: see [`ChangeGuard`](crate::ChangeGuard).
    #[error("it is protected from changes")]
    Protected,
    /// The name is taken.
    #[error("it exists already")]
    Exists,
    /// It is not a directory.
    #[error("not a directory")]
    NotDirectory,
    /// A directory in place of a file.
    #[error("it is a directory")]
    IsDirectory,
    /// A directory with entries.
    #[error("it is not empty; rm -r removes it and its contents")]
    NotEmpty,
    /// A name or a path is too long.
    #[error("the name is too long")]
    NameTooLong,
    /// The path leads through too many symbolic links.
    #[error("too many symbolic links")]
    TooManyLinks,
    /// The file was not opened for this.
    #[error("the handle was not opened for this")]
    NotOpenForThis,
    /// A file cannot be that long.
    #[error("a file cannot be that long")]
    TooLarge,
    /// A pipe or a socket that nobody has open.
    #[error("it is not a regular file")]
    Unopenable,
    /// A socket, a pipe or a device.
    #[error("it is not a regular file")]
    Special,
    /// An argument that is invalid for this file.
    #[error("Invalid argument (os error 22)")]
    Invalid,
    /// The store, or the filesystem below it, cannot do this.
    #[error("Operation not supported (os error 95)")]
    Unsupported,
    /// Source and target are on different mounts.
    #[error("source and target are on different mounts; copy it, then remove the original")]
    OtherFilesystem,
    /// The disk is full.
    #[error("the server's disk is full")]
    DiskFull,
    /// The free space of the disk is less than an upload has announced.
    #[error("{}", missing_disk_space(*.needed, *.left))]
    DiskSpace {
        /// Bytes that the upload still needs.
        needed: u64,
        /// Bytes that are free.
        left: u64,
    },
    /// The disk's own quota is used up.
    #[error("Disk quota exceeded (os error 122)")]
    DiskQuota,
    /// The disk is mounted read-only.
    #[error("the server's disk is mounted read-only; tell the administrator")]
    DiskReadOnly,
    /// The disk fails.
    #[error("the server's disk failed to read or write; tell the administrator")]
    DiskFailed,
    /// The disk was exchanged, as a network filesystem's may be.
    #[error("Stale file handle (os error 116)")]
    DiskStale,
    /// The path leads to the store's own files.
    #[error("this name is reserved for the server")]
    Reserved,
    /// The home itself cannot be removed, renamed or replaced.
    #[error("this is the home itself")]
    Top,
    /// The path ends in `.` or `..`: there is no name to remove, rename or replace.
    #[error("a path that ends in . or .. cannot be removed, renamed or replaced; use the directory's name")]
    Dot,
    /// A directory was moved while its tree was walked.
    #[error("it was moved while its tree was read; try again")]
    Moved,
    /// The channel has ended: see [`Ctx`](crate::Ctx).
    #[error("cancelled")]
    Cancelled,
    /// The store gave no answer in time: whether the change was made is unknown.
    #[error("the store gave no answer in time; check whether the change was made before you repeat it")]
    Unanswered,
    /// The home could not be opened; the server tries again at each login and every minute.
    #[error("your home is unavailable; tell the administrator: the server's log has the reason")]
    Unavailable,
    /// The folder at which the view of the home begins cannot be opened.
    #[error(
        "the folder {folder} of your key {why}; tell the administrator: it is set in the key's table on the server"
    )]
    Folder {
        /// The folder.
        folder: RemotePath,
        /// The reason.
        why: &'static str,
    },
    /// The home is not the one that was opened.
    #[error(
        "your home was replaced or unmounted on the server, so writes are refused; \
         tell the administrator: the server's log has the path"
    )]
    Replaced,
    /// The home is being counted: see [`Home::counting`](crate::Home::counting).
    #[error(
        "your home is being counted, {} so far; nothing is stored until that is done: try again",
        crate::entries(*.entries)
    )]
    Counting {
        /// Entries that were counted so far.
        entries: u64,
    },
    /// The user's budget of open files is used up.
    #[error(
        "your connections have {held} files and directories open on the server; the limit is {limit}: close some"
    )]
    TooManyOpen {
        /// Files and directories that the user holds open.
        held: usize,
        /// How many may be open.
        limit: usize,
    },
    /// Another session has to finish first. The call can succeed once the wait is over.
    #[error("{reason}; try again")]
    Busy {
        /// What is in the way.
        reason: String,
        /// What to wait for.
        wait: Wait,
    },
    /// Anything else, with the system's message.
    #[error("{0}")]
    Other(String),
}

impl StoreError {
    /// An error at the path of a file, or of anything.
    #[must_use]
    pub fn file(path: &RemotePath, cause: Cause) -> StoreError {
        StoreError::Failed { path: path.clone(), directory: false, cause }
    }

    /// An error at a path where a directory is required.
    #[must_use]
    pub fn directory(path: &RemotePath, cause: Cause) -> StoreError {
        StoreError::Failed { path: path.clone(), directory: true, cause }
    }

    /// The error of a stream that another conversation receives until the wait is over.
    #[must_use]
    pub fn stream_held(path: &RemotePath, wait: Wait) -> StoreError {
        let reason = "another connection is receiving this stream".to_owned();
        StoreError::file(path, Cause::Busy { reason, wait })
    }

    /// The refusal of the quota for a file.
    #[must_use]
    pub fn quota(path: &RemotePath, exceeded: QuotaExceeded) -> StoreError {
        match exceeded {
            QuotaExceeded::Counting { entries } => StoreError::file(path, Cause::Counting { entries }),
            exceeded => StoreError::Quota { path: path.clone(), exceeded },
        }
    }

    /// The cause; `None` if there is no specific one.
    #[must_use]
    pub fn cause(&self) -> Option<&Cause> {
        match self {
            StoreError::Failed { cause, .. } => Some(cause),
            _ => None,
        }
    }

    /// What to wait for before the call is repeated; `None` if waiting does not help.
    #[must_use]
    pub fn wait(&self) -> Option<&Wait> {
        match self.cause() {
            Some(Cause::Busy { wait, .. }) => Some(wait),
            _ => None,
        }
    }

    /// Whether the file does not exist.
    #[must_use]
    pub fn is_not_found(&self) -> bool {
        self.cause() == Some(&Cause::NotFound)
    }
}

fn text(path: &RemotePath, cause: &Cause) -> String {
    match cause {
        // The status already says it.
        Cause::NotFound | Cause::Denied => path.to_string(),
        // It concerns the whole home.
        Cause::Unavailable | Cause::Replaced | Cause::Counting { .. } => cause.to_string(),
        Cause::Exists => format!("{path} exists already"),
        Cause::NotEmpty => format!("{path} is not empty; rm -r removes it and its contents"),
        Cause::DiskSpace { .. } => format!("{} {cause}", name(path)),
        other => format!("{path}: {other}"),
    }
}

fn missing_disk_space(needed: u64, left: u64) -> String {
    let (needed, left) = apart(needed, left);
    format!("needs {needed}, {left} are left on the server's disk")
}

fn name(path: &RemotePath) -> String {
    path.file_name().map_or_else(|| path.to_string(), |name| Escaped(name).to_string())
}
