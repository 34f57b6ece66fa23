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

/// The server's first answer to a successful get; the data follows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header {
    /// Length of the whole file in bytes, when it was opened.
    pub size: u64,
    /// The offset of the data, in bytes: after the last block that the client already has.
    pub offset: u64,
    /// When the file's content last changed.
    pub mtime: Time,
    /// Permission bits, `0o7777` at most.
    pub mode: u32,
}

/// Identifies one version of a file, so that ranges of different versions are not mixed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileVersion {
    /// Length in bytes.
    pub size: u64,
    /// When the content last changed.
    pub mtime: Time,
    /// Differs if the name is another file, or the file was changed. Only the server that made it knows its meaning.
    pub id: [u8; 16],
}

/// The server's first answer to a get of a range.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RangeHeader {
    /// The version of the file.
    pub version: FileVersion,
    /// Permission bits, `0o7777` at most.
    pub mode: u32,
    /// The digest that was stored when the file was published, if it still applies.
    pub stored: Option<Digest>,
}

/// Digests of a file's blocks, in order, in any number of frames. Only blocks of 4 MiB that at least one byte of the
/// file follows have one; in a range also the last block. See [`BlockHasher`](crate::BlockHasher).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Blocks {
    /// The digests.
    pub digests: Vec<Digest>,
}

impl Blocks {
    /// Limit on digests per frame.
    pub const MAX_PER_FRAME: usize = 4096;
}

/// Identifies a stream: a random number chosen by the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct StreamId(pub [u8; 16]);

/// Identifies an upload over several connections: a random number chosen by the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct UploadId(pub [u8; 16]);

/// How much of a stream the server has stored, so that the client can drop it; or how many of the blocks of a `PutBlocks`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stored {
    /// Bytes from the start of the stream: complete blocks that at least one byte follows. Or bytes of the complete blocks
    /// of this request.
    pub bytes: u64,
}

/// A partial upload.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    /// The target: an absolute path in the home.
    pub path: Vec<u8>,
    /// Bytes that have arrived.
    pub length: u64,
    /// Length of the source in bytes; 0 for a stream, whose length is unknown.
    pub size: u64,
    /// When its last byte arrived.
    pub since: Time,
}

/// A file of a `StoredDigests` request that exists. The others are not listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredFile {
    /// The number of its path in the request, from 0.
    pub number: u32,
    /// Its length in bytes.
    pub size: u64,
    /// When its content last changed.
    pub mtime: Time,
    /// Permission bits, `0o7777` at most.
    pub mode: u32,
    /// The digest that was stored when the file was published, if it still applies.
    pub digest: Option<Digest>,
}

impl StoredFile {
    /// Limit on files per frame.
    pub const MAX_PER_FRAME: usize = 1000;
}

/// The last frame of a file's data, from the sender of the data.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct End {
    /// 204, or why the data must not be used: the source changed, failed, or the get was cancelled.
    pub status: Status,
    /// A message for users; empty on success.
    pub message: String,
    /// The BLAKE3 of the whole file from its first byte, independent of the offset of the data.
    pub digest: Digest,
    /// Length of the whole file in bytes.
    pub size: u64,
}

/// The length of a chunk's digest in bytes: short, because the digest of the whole file decides.
pub const CHUNK_DIGEST_BYTES: usize = 10;

/// The largest number of chunks in a description.
pub const MAX_CHUNKS: u32 = 1 << 19;

/// The longest range of one `Copy` frame, in bytes, so that a cancel is noticed between two.
pub const MAX_COPY_BYTES: u64 = 1 << 20;

/// A chunk of a file whose borders depend on its content.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Chunk {
    /// The first bytes of its BLAKE3, keyed for the transfer.
    pub digest: [u8; CHUNK_DIGEST_BYTES],
    /// Its length in bytes.
    pub length: u32,
}

/// The chunks of a file, in order, in any number of frames, from the side that has an old version of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Description {
    /// The chunks.
    pub chunks: Vec<Chunk>,
}

impl Description {
    /// Limit on chunks per frame.
    pub const MAX_PER_FRAME: usize = 4096;
}

/// A range of the described file that takes the place of data.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CopyRange {
    /// Its first byte.
    pub offset: u64,
    /// Its length in bytes, [`MAX_COPY_BYTES`] at most.
    pub length: u64,
}
