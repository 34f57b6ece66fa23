//! Messages from the reader thread to the sending task.

use super::walk::UploadDirectory;
use crate::transfer::Failure;
use bytes::Bytes;
use sshome_wire::{Digest, Part, Payload, RemotePath, Status};
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
    /// Its end, its digest, and the reason if the server has to discard it.
    Last { bytes: Bytes, digest: Digest, failed: Option<Failure> },
    /// A file that the server has already: its answer was lost with a connection.
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

    /// Sets the digest of a file that was read completely.
    pub(super) fn set_digest(&mut self, read: Digest) {
        if let RequestKind::File { digest, .. } = &mut self.what {
            *digest = Some(read);
        }
    }

    /// The length of the file in bytes; 0 if it is not a file.
    pub(super) fn length(&self) -> u64 {
        match self.what {
            RequestKind::File { size, .. } => size,
            RequestKind::Directory(_) | RequestKind::Filled | RequestKind::Link(_) => 0,
        }
    }
}

/// The kind of a request.
#[derive(Debug)]
pub(super) enum RequestKind {
    /// A directory. It is held until the answer arrives, so that it does not count as filled before.
    Directory(Arc<UploadDirectory>),
    /// The end of a directory that is filled.
    Filled,
    /// A file of `size` bytes, of which the server has those before `resumed_at`, and its digest once it was read.
    File { size: u64, resumed_at: u64, digest: Option<Digest> },
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
}

/// The offset at which a file is resumed, in bytes; 0 if the partial upload differs from the start.
#[derive(Clone, Copy, Debug)]
pub(super) struct ResumeOffset(pub(super) u64);
