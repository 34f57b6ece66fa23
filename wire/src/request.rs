//! The client's requests.

use crate::{Digest, End, FileVersion, StreamId, Time, UploadId};
use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;
use serde::{Deserialize, Serialize};

/// One request. Paths are bytes as typed: absolute, or relative to the conversation's working directory. The server
/// turns them into a [`RemotePath`](crate::RemotePath).
///
/// Append new requests: the position is the number on the wire.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Request {
    /// The working directory. Answered with `Payload::Path`.
    Pwd,
    /// Change the working directory. Answered with `Payload::Path`.
    Cd {
        /// The directory.
        path: Vec<u8>,
    },
    /// List a directory: frames of `Entries`, then a reply with `Payload::Stat` of the path itself. A path that is not
    /// a directory yields one entry.
    Ls {
        /// The path.
        path: Vec<u8>,
        /// List subdirectories recursively. Symbolic links are listed, not followed.
        recursive: bool,
    },
    /// Get the attributes of one path. Answered with `Payload::Stat`.
    Stat {
        /// The path.
        path: Vec<u8>,
        /// Follow a symbolic link.
        follow: bool,
    },
    /// Create a directory. Answered with 203 if it exists, which is an error only without `parents`.
    Mkdir {
        /// The directory.
        path: Vec<u8>,
        /// Create missing parents, too.
        parents: bool,
        /// Permission bits of a new directory; `None` for the server's default. A mode that excludes the owner is
        /// applied by `FinishDirectory`; until then the owner has access.
        mode: Option<u32>,
    },
    /// Send a file: `Header`, data, `End`; or a reply with an error.
    Get {
        /// The file.
        path: Vec<u8>,
        /// The number of digests that follow in `Blocks` frames, of blocks that the client already has. The data start
        /// after the last block that matches the file; the digest in `End` covers the whole file nevertheless.
        known: u32,
    },
    /// Receive a file; data and `End` follow at once. One reply.
    Put(Put),
    /// Remove a file or symbolic link.
    Rm {
        /// The path.
        path: Vec<u8>,
        /// Include directories with their contents.
        recursive: bool,
    },
    /// Remove an empty directory.
    Rmdir {
        /// The directory.
        path: Vec<u8>,
    },
    /// Rename; into `to` if that is a directory. An existing file is replaced.
    Mv {
        /// The old name.
        from: Vec<u8>,
        /// The new name.
        to: Vec<u8>,
    },
    /// Copy on the server; into `to` if that is a directory.
    Cp {
        /// The source.
        from: Vec<u8>,
        /// The copy.
        to: Vec<u8>,
        /// Include directories with their contents.
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
    /// Flush. Answered when all earlier changes are on the disk.
    Sync,
    /// Look for a partial upload. Answered with 205 if there is none; with 206 after the digests of its blocks in
    /// `Blocks` frames: it is then leased to this conversation for its next put of the path.
    PartStatus {
        /// The target.
        path: Vec<u8>,
        /// Length of the source in bytes.
        size: u64,
        /// When the source's content last changed.
        mtime: Time,
    },
    /// List partial uploads: `Parts` frames, then a reply.
    Parts,
    /// Discard partial uploads.
    Discard {
        /// Their target; `None` for all.
        path: Option<Vec<u8>>,
    },
    /// Make a symbolic link.
    Symlink {
        /// The link.
        path: Vec<u8>,
        /// The target.
        target: Vec<u8>,
    },
    /// Receive a file as for `Put`, from a source that cannot be read twice. `Stored` frames acknowledge data that need
    /// not be sent again.
    PutStream {
        /// Which stream.
        id: StreamId,
        /// The file. Its `source` is ignored.
        put: Put,
    },
    /// Look for the partial upload of a stream whose connection was lost. Answered as `PartStatus`. A conversation that
    /// still holds the stream is ended first.
    StreamStatus {
        /// The target.
        path: Vec<u8>,
        /// Which stream.
        id: StreamId,
    },
    /// List the keys of the user's account. Answered with `Payload::Keys`.
    Keys,
    /// Install a key for the user's account, from the next login on. A key that is installed already is not an error.
    InstallKey {
        /// A line as of `authorized_keys` (sshd(8)) without options: type, key, comment.
        line: String,
    },
    /// Remove an installed key.
    RemoveKey {
        /// Its fingerprint, as `SHA256:…`.
        fingerprint: String,
    },
    /// Finish a directory: set its time, and the deferred mode of its `Mkdir`.
    FinishDirectory {
        /// The directory. A link is not followed.
        path: Vec<u8>,
        /// When its content last changed.
        mtime: Time,
    },
    /// Resolve a path to one without links, `.` and `..`; its last name may be missing. Answered with `Payload::Path`.
    /// Announced by `Features::REAL_PATH`.
    RealPath {
        /// The path.
        path: Vec<u8>,
    },
    /// Describe a file: frames of `Description`, then a reply 204. The next `PutDelta` of this
    /// conversation may copy from it. Announced by `Features::DELTA`, as the next two.
    Describe {
        /// The file.
        path: Vec<u8>,
        /// The key of the chunks' digests.
        key: [u8; 32],
    },
    /// Receive a file as for `Put`. `Copy` frames between the data refer to the file that was described last.
    PutDelta(Put),
    /// Send a file as for `Get`, to a client that has an old version of it: `Copy` frames between the data refer to that.
    /// The description follows the block digests.
    GetDelta {
        /// The file.
        path: Vec<u8>,
        /// The number of block digests that follow, as in `Get`.
        known: u32,
        /// The number of chunks of the description that follow in `Description` frames.
        chunks: u32,
        /// The key of the chunks' digests.
        key: [u8; 32],
    },
    /// Send a range of a file: `RangeHeader`; the data, and after the data of some blocks their digests in `Blocks`
    /// frames; `End`. Announced by `Features::RANGES`.
    GetRange {
        /// The file.
        path: Vec<u8>,
        /// The number of the first block of the range.
        block: u32,
        /// The largest number of blocks to send. The range ends at the end of the file in any case. 0 asks for the
        /// version only.
        blocks: u32,
        /// The version of the file, which an earlier answer had: 410 if it has a different one. `None` takes any.
        expect: Option<FileVersion>,
        /// Whether the data are sent. Without, only the digests are.
        data: bool,
    },
    /// Begin an upload over several connections, of a file of more than one block; `size` and `source` are needed,
    /// `resume` is ignored. Another upload from this source to this target, by the same key, is taken over. Answered with
    /// `Payload::Upload`, after the digests in `Blocks` frames of the blocks that a partial upload has. Announced by
    /// `Features::BLOCK_UPLOADS`, as the next two.
    OpenUpload(Put),
    /// Receive blocks of an upload, from any connection of the same user with the same key; data and `End` follow at once.
    /// `Stored` frames acknowledge complete blocks. One reply.
    PutBlocks {
        /// The upload.
        id: UploadId,
        /// The number of the first block.
        block: u32,
        /// Their number, at least 1.
        blocks: u32,
    },
    /// End an upload. If `end` has no error, all blocks were acknowledged: the file is verified and published.
    FinishUpload {
        /// The upload.
        id: UploadId,
        /// The end of the file, with its digest and size.
        end: End,
    },
    /// Ask for the stored digests of many files: frames of `StoredFiles`, then a reply. No file is read. Announced by
    /// `Features::SAME_CONTENT`, as the next two.
    StoredDigests {
        /// The directory that the paths are relative to.
        directory: Vec<u8>,
        /// The paths, each with a NUL behind it. Links are followed.
        paths: Vec<u8>,
    },
    /// Set attributes of a file or directory, links followed.
    SetAttributes {
        /// The file.
        path: Vec<u8>,
        /// Its permission bits, if they change.
        mode: Option<u32>,
        /// Its modification time, if that changes.
        mtime: Option<Time>,
    },
    /// Store a file with the content of another file, which the server copies and verifies. One reply, as for `Put`.
    PutCopy {
        /// The file, with its size. `source` and `resume` are ignored. A request is moved often, so it is not made longer by
        /// this one.
        put: Box<Put>,
        /// The file that has the content.
        from: Vec<u8>,
        /// The BLAKE3 of the content: 407 if it has a different one.
        digest: Digest,
    },
    /// Keep an old version of a file or of a symbolic link: give it `to` as a second name, so that a put can replace it
    /// under its own. Without hard links it is copied. An existing file `to` is replaced; missing directories above it are
    /// made. A link at the end of either path is not followed. Announced by `Features::BACKUP`.
    BackUp {
        /// The file.
        from: Vec<u8>,
        /// Its exact second name.
        to: Vec<u8>,
        /// Whether it loses its first name.
        remove: bool,
    },
}

impl Request {
    /// The paths in the request.
    pub fn paths(&self) -> impl Iterator<Item = &[u8]> {
        let (one, other) = match self {
            Request::Pwd
            | Request::Df
            | Request::Sync
            | Request::Parts
            | Request::Keys
            | Request::InstallKey { .. }
            | Request::RemoveKey { .. }
            | Request::PutBlocks { .. }
            | Request::FinishUpload { .. } => (None, None),
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
            | Request::RealPath { path }
            | Request::Describe { path, .. }
            | Request::GetDelta { path, .. }
            | Request::GetRange { path, .. }
            | Request::SetAttributes { path, .. }
            | Request::StoredDigests { directory: path, .. } => (Some(path), None),
            Request::PutCopy { put, from, .. } => (Some(from), Some(&put.path)),
            Request::Put(put)
            | Request::PutDelta(put)
            | Request::PutStream { put, .. }
            | Request::OpenUpload(put) => (Some(&put.path), None),
            Request::Mv { from, to } | Request::Cp { from, to, .. } | Request::BackUp { from, to, .. } => {
                (Some(from), Some(to))
            }
            Request::Discard { path } => (path.as_ref(), None),
            Request::Symlink { path, target } => (Some(path), Some(target)),
        };
        one.into_iter().chain(other).map(Vec::as_slice)
    }

    /// The number of variable-length bytes that it holds.
    #[must_use]
    pub fn weight(&self) -> usize {
        match self {
            Request::StoredDigests { directory, paths } => directory.len() + paths.len(),
            Request::InstallKey { line: text } | Request::RemoveKey { fingerprint: text } => text.len(),
            Request::FinishUpload { end, .. } => end.message.len(),
            request => request.paths().map(<[u8]>::len).sum(),
        }
    }
}

/// A file that the client wants to store.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Put {
    /// The target.
    pub path: Vec<u8>,
    /// Length in bytes, if known. The space is reserved before any data is accepted.
    pub size: Option<u64>,
    /// The modification time to set, if any.
    pub mtime: Option<Time>,
    /// The modification time of the source: an interrupted upload can be resumed only if this is given and unchanged.
    pub source: Option<Time>,
    /// Permission bits; `None` keeps those of the replaced file.
    pub mode: Option<u32>,
    /// The number of blocks to keep of the partial upload that `PartStatus` or `StreamStatus` reported. The data
    /// continues after them; the digest in `End` covers the whole file nevertheless. 0 starts over.
    pub resume: u32,
}
