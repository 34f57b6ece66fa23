//! Opening an upload on the server.

use super::SplitOptions;
use super::file::SplitUpload;
use super::finish::{StoredUpload, given_up, send_end};
use super::rights::UploadOpening;
use crate::conversation::ConversationError;
use crate::transfer::delta::OldVersion;
use crate::transfer::put::source::LocalSource;
use crate::transfer::put::walk::{UploadItem, upwards};
use crate::transfer::{Failure, TransferContext, blocking, remote_entry};
use sshome_wire::{Digest, FileKind, Payload, Request, Status};
use std::sync::Arc;

/// How a file was opened.
pub(super) enum OpenOutcome {
    /// Its blocks can be sent.
    Done,
    /// It is sent over one connection: it is short, or likely to differ little from what the server has.
    Whole(UploadItem),
    /// The server has stored it, and only the answer was lost.
    Stored(StoredUpload),
    Failed(Failure),
}

/// Opens an upload. Nothing may be requested on the connection.
///
/// # Errors
/// If the conversation is over, `Cancelled`, or `Refused` if the server is busy. Then others open it.
pub(super) async fn open(
    ctx: &mut TransferContext<'_>,
    opening: UploadOpening,
    options: SplitOptions,
) -> Result<OpenOutcome, ConversationError> {
    let file = Arc::clone(&opening.file);
    let local = match find_local(&file).await? {
        Ok(local) => local,
        Err(failure) => {
            opening.give_up();
            return Ok(OpenOutcome::Failed(failure));
        }
    };
    if let Some(digest) = file.may_be_stored()
        && is_stored(ctx, &file, &local, (digest, options)).await?
    {
        let stored = StoredUpload::new(&file, local.size, digest);
        opening.give_up();
        return Ok(OpenOutcome::Stored(stored));
    }
    if let Some(old) = sent_as_whole(ctx, &file, &local, options).await? {
        let item = file.as_whole(local.size, old);
        opening.give_up();
        return Ok(OpenOutcome::Whole(item));
    }
    make_parents(ctx, &file, options).await?;
    match ctx.conversation.open_upload(local.put(&file.to, options.preserve, 0), ctx.cancel).await {
        Ok((id, theirs)) => {
            match opening.finish(local, id, theirs) {
                Some(lost) => ctx.progress.rewind_shared(lost),
                // The failure was reported.
                None => drop(send_end(ctx, id, given_up(Status::Failed)).await?),
            }
            Ok(OpenOutcome::Done)
        }
        Err(ConversationError::Refused(reply)) if reply.status != Status::Busy || !options.is_patient => {
            opening.give_up();
            let failure = Failure::refused(file.to.as_bytes(), reply.status, &reply.message);
            Ok(OpenOutcome::Failed(failure))
        }
        Err(error) => Err(error),
    }
}

/// The open file.
async fn find_local(file: &SplitUpload) -> Result<Result<Arc<LocalSource>, Failure>, ConversationError> {
    if let Some(local) = file.local() {
        return Ok(Ok(local));
    }
    let (from, follow) = (file.from.clone(), file.follow);
    Ok(blocking(move || LocalSource::open(&from, follow)).await?.map(Arc::new))
}

/// What the file would replace, if it is sent over one connection.
async fn sent_as_whole(
    ctx: &mut TransferContext<'_>,
    file: &SplitUpload,
    local: &LocalSource,
    options: SplitOptions,
) -> Result<Option<OldVersion>, ConversationError> {
    if !local.is_resumable() {
        return Ok(Some(file.old));
    }
    let is_new = file.local().is_none();
    if is_new && options.delta.is_some_and(|limits| limits.allow(local.size, file.old)) {
        // The difference to an old version is likely to be less than a share of the file.
        let old = remote_entry(ctx, &file.to).await;
        let is_file = |entry: sshome_wire::Entry| entry.kind == FileKind::File && entry.size > 0;
        return match old {
            Ok(old) => Ok(old.is_some_and(is_file).then_some(OldVersion::Exists)),
            // What is wrong is reported by the answer to the upload.
            Err(ConversationError::Refused(_)) => Ok(None),
            Err(error) => Err(error),
        };
    }
    Ok(None)
}

/// Whether the server has stored the file with this digest.
async fn is_stored(
    ctx: &mut TransferContext<'_>,
    file: &SplitUpload,
    local: &Arc<LocalSource>,
    (digest, options): (Digest, SplitOptions),
) -> Result<bool, ConversationError> {
    let path = file.to.as_bytes().to_vec();
    let stored = match remote_entry(ctx, &file.to).await {
        Ok(Some(entry)) if local.is_like(&entry, options.preserve) => {
            ctx.conversation.request(Request::Hash { path, verify: false }, ctx.cancel).await
        }
        Ok(_) => return Ok(false),
        Err(error) => Err(error),
    };
    match stored {
        Ok(reply) => {
            let is_same = matches!(reply.payload, Payload::Hash(hashed) if hashed.digest == digest);
            let (local, from, cancel) = (Arc::clone(local), file.from.clone(), ctx.cancel.clone());
            let check = move || local.check_unchanged(&from, digest, || !cancel.is_cancelled()).is_ok();
            Ok(is_same && blocking(check).await?)
        }
        Err(ConversationError::Refused(_)) => Ok(false),
        Err(error) => Err(error),
    }
}

/// Makes the parents in the tree that the server may not have yet: another connection has only begun to.
async fn make_parents(
    ctx: &mut TransferContext<'_>,
    file: &SplitUpload,
    options: SplitOptions,
) -> Result<(), ConversationError> {
    let within = file.within();
    let missing: Vec<_> = upwards(&within).take_while(|directory| !directory.is_there()).collect();
    for directory in missing.into_iter().rev() {
        let (path, mode) = (directory.to.as_bytes().to_vec(), directory.mode.filter(|_| options.preserve));
        match ctx.conversation.request(Request::Mkdir { path, parents: false, mode }, ctx.cancel).await {
            Ok(_) => directory.set_there(),
            // What is wrong is reported by the answer to the upload, and by that of the directory.
            Err(ConversationError::Refused(_)) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
