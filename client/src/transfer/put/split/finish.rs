//! Finishing an upload of which the server has every block.

use super::file::SplitUpload;
use super::rights::Finishing;
use crate::conversation::ConversationError;
use crate::transfer::{Failure, TransferContext, blocking};
use sshome_wire::{Digest, End, RemotePath, Reply, Request, Status, UploadId};
use std::sync::Arc;

/// A file that the server has stored.
pub(super) struct StoredUpload {
    pub(super) to: RemotePath,
    pub(super) size: u64,
    pub(super) digest: Digest,
    /// Bytes that existed on the server before.
    pub(super) resumed: u64,
}

/// How an upload was finished.
pub(super) enum FinishOutcome {
    Stored(StoredUpload),
    /// It has ended on the server, and is opened again.
    Again,
    Failed(Failure),
}

impl StoredUpload {
    pub(super) fn new(file: &SplitUpload, size: u64, digest: Digest) -> StoredUpload {
        StoredUpload { to: file.to.clone(), size, digest, resumed: file.state().blocks.resumed() }
    }
}

/// Finishes an upload, unless its source has changed. Nothing may be requested on the connection.
///
/// # Errors
/// If the conversation is over, or `Cancelled`. Then others look whether the file is stored.
pub(super) async fn finish(
    ctx: &mut TransferContext<'_>,
    mut finishing: Finishing,
) -> Result<FinishOutcome, ConversationError> {
    let (file, local) = (Arc::clone(&finishing.file), Arc::clone(&finishing.local));
    let (digest, size, cancel) = (finishing.digest, local.size, ctx.cancel.clone());
    let from = file.from.clone();
    let checked = blocking(move || local.check_unchanged(&from, digest, || !cancel.is_cancelled())).await?;
    if ctx.cancel.is_cancelled() {
        return Err(ConversationError::Cancelled);
    }
    let end = match &checked {
        Ok(()) => {
            finishing.set_sent();
            End { status: Status::Done, message: String::new(), digest, size }
        }
        Err(failure) => given_up(failure.status.unwrap_or(Status::Failed)),
    };
    let id = finishing.id;
    let answer = send_end(ctx, id, end).await?;
    let failure = match (checked, answer) {
        (Ok(()), Ok(())) => {
            let stored = StoredUpload::new(&file, size, digest);
            finishing.finish();
            return Ok(FinishOutcome::Stored(stored));
        }
        (Ok(()), Err(reply)) if reply.status == Status::Failed && finishing.restart() => {
            return Ok(FinishOutcome::Again);
        }
        (Ok(()), Err(reply)) => {
            let failure = Failure::refused(file.to.as_bytes(), reply.status, &reply.message);
            // It may still be open, and would keep its space reserved.
            let _ = send_end(ctx, id, given_up(reply.status)).await?;
            failure
        }
        (Err(failure), _) => failure,
    };
    finishing.finish();
    Ok(FinishOutcome::Failed(failure))
}

/// Sends the end of an upload. Returns the refusal, if it is refused.
pub(super) async fn send_end(
    ctx: &mut TransferContext<'_>,
    id: UploadId,
    end: End,
) -> Result<Result<(), Reply>, ConversationError> {
    match ctx.conversation.request(Request::FinishUpload { id, end }, ctx.cancel).await {
        Ok(_) => Ok(Ok(())),
        Err(ConversationError::Refused(reply)) => Ok(Err(reply)),
        Err(error) => Err(error),
    }
}

/// The end of an upload that is given up because of this error: the server keeps nothing.
pub(super) fn given_up(status: Status) -> End {
    End { status, message: "the upload was given up".into(), digest: Digest([0; 32]), size: 0 }
}
