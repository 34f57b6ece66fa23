//! What a client asks for.

use crate::Time;
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
        /// Permission bits of a new directory; the server's default where none are given.
        mode: Option<u32>,
    },
    /// Send a file: `Header`, data, `End`; or a reply with an error.
    Get {
        /// The file.
        path: Vec<u8>,
        /// The first byte to send. The digest in `End` covers the whole file all the same.
        offset: u64,
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
    /// Permission bits; without them those of the replaced file stay.
    pub mode: Option<u32>,
}
