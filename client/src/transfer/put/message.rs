//! Messages from the reader thread to the sending task.

use super::walk::UploadDirectory;
use crate::transfer::Failure;
use bytes::Bytes;
use sshome_delta::Index;
use sshome_wire::{Digest, Part, Payload, RemotePath, Status, StoredFile};
use std::sync::Arc;
use tokio::sync::oneshot;

/// Bytes for the server, or a result for the summary.
#[derive(Debug)]
pub(super) enum UploadMessage {
    /// Whole requests.
    Whole { bytes: Bytes, asked: Vec<SentRequest> },
    /// The request of a file that is sent in pieces: `Piece`s and a `Last` follow.
    First { bytes: Bytes, asked: SentRequest, resumed: Option<ResumeOffset> },
    /// Bytes of that file.
    Piece { bytes: Bytes, length: u64 },
    /// Its end, its digest, the bytes that were copied on the server, and the reason if the server has to discard it.
    Last { bytes: Bytes, digest: Digest, matched: u64, failed: Option<Failure> },
    /// A file that the server has already: its answer was lost with a connection, or it has the same content.
    Stored { asked: SentRequest },
    /// A question whose answer the reader waits for.
    Question { bytes: Bytes, answer: oneshot::Sender<QuestionAnswer> },
    /// An item was skipped.
    Skipped(u64, Failure),
    /// An item could not be sent.
    Failed(u64, Failure),
}

/// An unanswered request.
#[derive(Debug)]
pub(super) struct SentRequest {
    /// The item's number; `None` for a directory that is another connection's item.
    pub(super) number: Option<u64>,
    /// The path on the server.
    pub(super) to: RemotePath,
    pub(super) what: RequestKind,
    /// Why the client aborted it: more useful than the server's answer to the abort.
    pub(super) failed: Option<Failure>,
}

impl SentRequest {
    pub(super) fn new(number: u64, to: RemotePath, what: RequestKind) -> SentRequest {
        SentRequest { number: Some(number), to, what, failed: None }
    }

    /// Sets the digest of a file that was read completely, and the number of its bytes that were copied on the server.
    pub(super) fn set_read(&mut self, read: Digest, copied: u64) {
        if let RequestKind::File { digest, matched, .. } = &mut self.what {
            (*digest, *matched) = (Some(read), copied);
        }
    }

    /// The length of the file in bytes; 0 if it is not a file.
    pub(super) fn length(&self) -> u64 {
        match self.what {
            RequestKind::File { size, .. }
            | RequestKind::Copied { size, .. }
            | RequestKind::Same { size } => size,
            RequestKind::Directory(_) | RequestKind::Filled | RequestKind::Link(_) => 0,
        }
    }
}

impl RequestKind {
    /// A file of `size` bytes that is sent as a whole.
    pub(super) fn file(size: u64, digest: Option<Digest>) -> RequestKind {
        RequestKind::File { size, resumed_at: 0, digest, is_delta: false, matched: 0 }
    }
}

/// The kind of a request.
#[derive(Debug)]
pub(super) enum RequestKind {
    /// A directory. It is held until the answer arrives, so that it does not count as filled before.
    Directory(Arc<UploadDirectory>),
    /// The end of a directory that is filled.
    Filled,
    /// A file.
    File {
        /// Its length in bytes.
        size: u64,
        /// The server has the bytes before this offset.
        resumed_at: u64,
        /// Its digest once it was read.
        digest: Option<Digest>,
        /// Whether it is sent as the difference to an old version.
        is_delta: bool,
        /// Bytes that the server copied from the old version.
        matched: u64,
    },
    /// A file of `size` bytes whose content the server copies from another file.
    Copied { size: u64, digest: Digest },
    /// A file of `size` bytes whose content the server has at the same path. At most its attributes are set.
    Same { size: u64 },
    /// A symbolic link with this target.
    Link(Vec<u8>),
}

/// The server's answer to a question.
#[derive(Debug)]
pub(super) struct QuestionAnswer {
    pub(super) status: Status,
    pub(super) payload: Payload,
    pub(super) digests: Vec<Digest>,
    pub(super) parts: Vec<Part>,
    pub(super) description: Index,
    pub(super) files: Vec<StoredFile>,
}

/// The offset at which a file is resumed, in bytes; 0 if the partial upload differs from the start.
#[derive(Clone, Copy, Debug)]
pub(super) struct ResumeOffset(pub(super) u64);
