//! What a client asks for.

use crate::{StreamId, Time};
use alloc::string::String;
use alloc::vec::Vec;
use serde::{Deserialize, Serialize};

/// One request. Paths are bytes as typed: absolute, or relative to the conversation's working
/// directory. The server makes a [`RemotePath`](crate::RemotePath) of them.
///
/// New requests go to the end: the position is the number on the wire.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Request {
    /// The working directory. Answered with `Payload::Path`.
    Pwd,
    /// Change the working directory. Answered with `Payload::Path`.
    Cd {
        /// The directory.
        path: Vec<u8>,
    },
    /// List a directory: frames of `Entries`, then a reply with `Payload::Stat` of the path itself.
    /// What is no directory is listed as one entry.
    Ls {
        /// What to list.
        path: Vec<u8>,
        /// Also all directories below. Symbolic links are told of, not followed.
        recursive: bool,
    },
    /// Tell of one path. Answered with `Payload::Stat`.
    Stat {
        /// The path.
        path: Vec<u8>,
        /// Tell of what a symbolic link points at, rather than of the link.
        follow: bool,
    },
    /// Make a directory. 203 where it exists, an error only without `parents`.
    Mkdir {
        /// The directory.
        path: Vec<u8>,
        /// Make what is missing on the way, too.
        parents: bool,
        /// Permission bits of a new directory; the server's default where none are given. Of those that
        /// keep its owner out, the directory gets the rest, and these with `FinishDirectory`.
        mode: Option<u32>,
    },
    /// Send a file: `Header`, data, `End`; or a reply with an error.
    Get {
        /// The file.
        path: Vec<u8>,
        /// How many digests of blocks that the client has already follow, in `Blocks` frames. The
        /// data begin after the last of them that agrees with the file; the digest in `End` covers
        /// the whole file all the same.
        known: u32,
    },
    /// Receive a file; data and `End` follow at once. One reply.
    Put(Put),
    /// Remove a file or symbolic link.
    Rm {
        /// What to remove.
        path: Vec<u8>,
        /// A directory, too, with all that is in it.
        recursive: bool,
    },
    /// Remove an empty directory.
    Rmdir {
        /// The directory.
        path: Vec<u8>,
    },
    /// Rename; into `to` if that is a directory. A file in the way is replaced.
    Mv {
        /// What to rename.
        from: Vec<u8>,
        /// The new name.
        to: Vec<u8>,
    },
    /// Copy on the server; into `to` if that is a directory.
    Cp {
        /// What to copy.
        from: Vec<u8>,
        /// The copy.
        to: Vec<u8>,
        /// A directory, too, with all that is in it.
        recursive: bool,
    },
    /// BLAKE3 of a file's content. Answered with `Payload::Hash`.
    Hash {
        /// The file.
        path: Vec<u8>,
        /// Compare with the digest stored when the file was published; 407 if they differ.
        verify: bool,
    },
    /// Quota and use. Answered with `Payload::Usage`.
    Df,
    /// Answered when everything before it is on the disk.
    Sync,
    /// Whether part of a file is there from an upload that was cut. 205: no; 206: its digests came
    /// before, in `Blocks` frames, and the part is kept for this conversation's next put of the path.
    PartStatus {
        /// Where the file was to go.
        path: Vec<u8>,
        /// Length of the source in bytes.
        size: u64,
        /// When the source's content last changed.
        mtime: Time,
    },
    /// List what is left of uploads that were cut: `Parts` frames, then a reply.
    Parts,
    /// Remove what is left of uploads that were cut.
    Discard {
        /// Of this path; of all where none is given.
        path: Option<Vec<u8>>,
    },
    /// Make a symbolic link.
    Symlink {
        /// The link.
        path: Vec<u8>,
        /// What stands in it.
        target: Vec<u8>,
    },
    /// Receive a file as for `Put`, from a source that cannot be read twice. While the data come,
    /// `Stored` frames say how much of them need not be sent again.
    PutStream {
        /// Which stream.
        id: StreamId,
        /// The file. Its `source` says nothing.
        put: Put,
    },
    /// What is left of a stream whose connection was lost; answered as `PartStatus`. A conversation that
    /// still has the stream is ended first.
    StreamStatus {
        /// Where the file was to go.
        path: Vec<u8>,
        /// Which stream.
        id: StreamId,
    },
    /// List the keys that log in to one's account. Answered with `Payload::Keys`.
    Keys,
    /// Let a key of one's own log in, from the next login on. One that does so already is no error.
    InstallKey {
        /// A line as of `authorized_keys` (sshd(8)) without options: type, key, comment.
        line: String,
    },
    /// Let a key of one's own log in no more.
    RemoveKey {
        /// Its fingerprint, as `SHA256:…`.
        fingerprint: String,
    },
    /// Nothing more goes into a directory: it gets its time, and the mode that its `Mkdir` gave it, if
    /// that has had to wait.
    FinishDirectory {
        /// The directory. A link is not followed.
        path: Vec<u8>,
        /// When its content last changed.
        mtime: Time,
    },
    /// The path without links, `.` and `..` that a path leads to; its last name may be missing. Answered with
    /// `Payload::Path`. Announced by `Features::REAL_PATH`.
    RealPath {
        /// The path.
        path: Vec<u8>,
    },
}

impl Request {
    /// The paths that it names.
    pub fn paths(&self) -> impl Iterator<Item = &[u8]> {
        let (one, other) = match self {
            Request::Pwd
            | Request::Df
            | Request::Sync
            | Request::Parts
            | Request::Keys
            | Request::InstallKey { .. }
            | Request::RemoveKey { .. } => (None, None),
            Request::Cd { path }
            | Request::Ls { path, .. }
            | Request::Stat { path, .. }
            | Request::Mkdir { path, .. }
            | Request::Get { path, .. }
            | Request::Rm { path, .. }
            | Request::Rmdir { path }
            | Request::Hash { path, .. }
            | Request::PartStatus { path, .. }
            | Request::StreamStatus { path, .. }
            | Request::FinishDirectory { path, .. }
            | Request::RealPath { path } => (Some(path), None),
            Request::Put(put) | Request::PutStream { put, .. } => (Some(&put.path), None),
            Request::Mv { from, to } | Request::Cp { from, to, .. } => (Some(from), Some(to)),
            Request::Discard { path } => (path.as_ref(), None),
            Request::Symlink { path, target } => (Some(path), Some(target)),
        };
        one.into_iter().chain(other).map(Vec::as_slice)
    }

    /// How many bytes of what its sender chose it holds.
    #[must_use]
    pub fn weight(&self) -> usize {
        match self {
            Request::InstallKey { line: text } | Request::RemoveKey { fingerprint: text } => text.len(),
            request => request.paths().map(<[u8]>::len).sum(),
        }
    }
}

/// A file that the client wants to store.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Put {
    /// Where to.
    pub path: Vec<u8>,
    /// Length in bytes, if it is known. The space is reserved before any data are accepted.
    pub size: Option<u64>,
    /// When the content last changed, if that is to be kept.
    pub mtime: Option<Time>,
    /// When the source's content last changed: an upload that is cut can be gone on with only if
    /// this is given and still the same.
    pub source: Option<Time>,
    /// Permission bits; without them those of the replaced file stay.
    pub mode: Option<u32>,
    /// How many blocks of the part that `PartStatus` or `StreamStatus` told of are kept. The data go on after them; the
    /// digest in `End` covers the whole file all the same. 0 begins anew.
    pub resume: u32,
}
