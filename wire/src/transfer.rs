//! Frames around file data: header, block digests, end.

use crate::{Status, Time};
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use serde::{Deserialize, Serialize};

/// A BLAKE3 digest of 32 bytes.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Digest(pub [u8; 32]);

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Digest({self})")
    }
}

/// The server's first answer to a get that it can serve; the data follow.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header {
    /// Length of the whole file in bytes, when it was opened.
    pub size: u64,
    /// Where the data begin, in bytes: after the last block that the client has already.
    pub offset: u64,
    /// When the file's content last changed.
    pub mtime: Time,
    /// Permission bits, `0o7777` at most.
    pub mode: u32,
}

/// Digests of a file's blocks, in order; as many frames as it takes. A block of 4 MiB is told of only
/// if at least a byte of the file comes after it. See [`BlockHasher`](crate::BlockHasher).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Blocks {
    /// The digests.
    pub digests: Vec<Digest>,
}

impl Blocks {
    /// Limit on digests per frame.
    pub const MAX_PER_FRAME: usize = 4096;
}

/// Names one stream: a random number of the client's, so that nobody else means the same one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct StreamId(pub [u8; 16]);

/// How much of a stream the server has, so that the client need not keep it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stored {
    /// Bytes, from the first on: whole blocks, each with at least a byte after it.
    pub bytes: u64,
}

/// A partial upload.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    /// Where the file was to go: an absolute path in the home.
    pub path: Vec<u8>,
    /// Bytes that have arrived.
    pub length: u64,
    /// Length of the source in bytes; 0 if it is a stream, of which nobody knows.
    pub size: u64,
    /// When the last of it arrived.
    pub since: Time,
}

/// The last frame of a file's bytes, sent by whoever sent them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct End {
    /// 204, or why the data are not to be used: the source changed, failed, or the get was cancelled.
    pub status: Status,
    /// Words for people; empty when all is well.
    pub message: String,
    /// BLAKE3 of the whole file, from its first byte on, wherever the data began.
    pub digest: Digest,
    /// Length of the whole file in bytes.
    pub size: u64,
}
