//! Lists directories on the server, several at once.

use super::compare::DirectoryListing;
use crate::conversation::{ConversationError, batch, unexpected};
use crate::transfer::{Failure, TransferContext};
use sshome_wire::{FileKind, Frame, Payload, RemotePath, Request};

/// A directory on the server: `None` if it does not exist, or why it cannot be listed.
pub(super) type RemoteListing = Result<Option<DirectoryListing>, Failure>;

/// Lists directories. Those that do not exist have no listing. Stops after the directory that makes it `max_entries`: the
/// result may be shorter than the list.
///
/// # Errors
/// Those of the conversation.
pub(super) async fn list(
    ctx: &mut TransferContext<'_>,
    directories: &[Option<&RemotePath>],
    max_entries: usize,
) -> Result<Vec<RemoteListing>, ConversationError> {
    let ls = |path: &RemotePath| Request::Ls { path: path.as_bytes().to_vec(), recursive: false };
    let requests = directories.iter().flatten().map(|path| Frame::Request(ls(path)));
    let (bytes, count) = batch(requests)?;
    ctx.conversation.send(bytes, count, ctx.cancel).await?;
    let (mut listed, mut entries) = (Vec::new(), 0);
    for directory in directories {
        if entries >= max_entries {
            break;
        }
        let listing = match directory {
            None => Ok(None),
            Some(path) => receive(ctx, path).await?.map(Some),
        };
        entries += listing.iter().flatten().map(|listing| listing.entries.len()).sum::<usize>();
        listed.push(listing);
    }
    if ctx.conversation.outstanding() > 0 {
        ctx.conversation.abandon(&mut |_| {}).await?;
    }
    Ok(listed)
}

async fn receive(
    ctx: &mut TransferContext<'_>,
    path: &RemotePath,
) -> Result<Result<DirectoryListing, Failure>, ConversationError> {
    let mut listing = DirectoryListing::default();
    let reply = loop {
        match ctx.conversation.receive(ctx.cancel).await? {
            Frame::Entries(entries) => listing.entries.extend(entries.entries),
            Frame::Progress(_) => {}
            Frame::Reply(reply) => break reply,
            frame => return Err(unexpected(&frame)),
        }
    };
    Ok(match &reply.payload {
        _ if reply.status.is_error() => Err(Failure::refused(path.as_bytes(), reply.status, &reply.message)),
        Payload::Stat(entry) if entry.kind == FileKind::Directory => {
            (listing.mtime, listing.mode) = (entry.mtime, entry.mode);
            Ok(listing)
        }
        _ => Err(Failure::of(path.as_bytes(), "it is no longer a directory")),
    })
}
