//! What the reader hands to whoever sends it.

use super::walk::UploadDirectory;
use crate::transfer::Failure;
use bytes::Bytes;
use sshome_wire::{Digest, Part, Payload, RemotePath, Status};
use std::sync::Arc;
use tokio::sync::oneshot;

/// A message for the server, or a word for the user.
#[derive(Debug)]
pub(super) enum UploadMessage {
    /// Whole requests.
    Whole { bytes: Bytes, asked: Vec<SentRequest> },
    /// The request of a file that comes in pieces: `Piece`s, then a `Last`.
    First { bytes: Bytes, asked: SentRequest, resumed: Option<ResumeOffset> },
    /// Some of that file's bytes.
    Piece { bytes: Bytes, length: u64 },
    /// The end of it, its digest, and why it is to be thrown away, if it is.
    Last { bytes: Bytes, digest: Digest, failed: Option<Failure> },
    /// A file that the server has already: its answer was lost with a connection.
    Stored { asked: SentRequest },
    /// What has to be known before more can be sent.
    Question { bytes: Bytes, answer: oneshot::Sender<QuestionAnswer> },
    /// An item was left out.
    Skipped(u64, Failure),
    /// An item could not be sent.
    Failed(u64, Failure),
}

/// What a request is about, until its answer comes.
#[derive(Debug)]
pub(super) struct SentRequest {
    /// The item's number; none for a directory that is another connection's item.
    pub(super) number: Option<u64>,
    /// The path on the server.
    pub(super) to: RemotePath,
    pub(super) what: RequestKind,
    /// Why we have ended it ourselves; it says more than the server's answer to that.
    pub(super) failed: Option<Failure>,
}

impl SentRequest {
    pub(super) fn new(number: u64, to: RemotePath, what: RequestKind) -> SentRequest {
        SentRequest { number: Some(number), to, what, failed: None }
    }

    /// A file has been read to its end.
    pub(super) fn set_digest(&mut self, read: Digest) {
        if let RequestKind::File { digest, .. } = &mut self.what {
            *digest = Some(read);
        }
    }

    /// The length of the file in bytes; 0 if it is none.
    pub(super) fn length(&self) -> u64 {
        match self.what {
            RequestKind::File { size, .. } => size,
            RequestKind::Directory(_) | RequestKind::Filled | RequestKind::Link(_) => 0,
        }
    }
}

/// What something becomes on the server.
#[derive(Debug)]
pub(super) enum RequestKind {
    /// It is held until it is there: it is not filled before.
    Directory(Arc<UploadDirectory>),
    /// A directory that nothing more goes into.
    Filled,
    /// A file of `size` bytes, of which the server has those before `resumed_at`; and its digest, once it
    /// has been read.
    File { size: u64, resumed_at: u64, digest: Option<Digest> },
    /// A symbolic link of this text.
    Link(Vec<u8>),
}

/// What the server said to a question.
#[derive(Debug)]
pub(super) struct QuestionAnswer {
    pub(super) status: Status,
    pub(super) payload: Payload,
    pub(super) digests: Vec<Digest>,
    pub(super) parts: Vec<Part>,
}

/// Where a file is gone on with; 0 where the server's part of it differs from the beginning.
#[derive(Clone, Copy, Debug)]
pub(super) struct ResumeOffset(pub(super) u64);
