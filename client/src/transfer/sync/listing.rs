//! Lists directories on the server, several at once.

use super::compare::RemoteListing;
use crate::conversation::{ConversationError, batch, unexpected};
use crate::transfer::TransferContext;
use sshome_wire::{FileKind, Frame, Payload, RemotePath, Reply, Request};

/// Lists directories. Those that do not exist have no listing.
///
/// # Errors
/// Those of the conversation. A directory that the server refuses has its reply.
pub(super) async fn list(
    ctx: &mut TransferContext<'_>,
    directories: &[Option<&RemotePath>],
) -> Result<Vec<Result<Option<RemoteListing>, Reply>>, ConversationError> {
    let ls = |path: &RemotePath| Request::Ls { path: path.as_bytes().to_vec(), recursive: false };
    let requests = directories.iter().flatten().map(|path| Frame::Request(ls(path)));
    let (bytes, count) = batch(requests)?;
    ctx.conversation.send(bytes, count, ctx.cancel).await?;
    let mut listed = Vec::new();
    for directory in directories {
        listed.push(match directory {
            None => Ok(None),
            Some(path) => receive(ctx, path).await?.map(Some),
        });
    }
    Ok(listed)
}

async fn receive(
    ctx: &mut TransferContext<'_>,
    path: &RemotePath,
) -> Result<Result<RemoteListing, Reply>, ConversationError> {
    let mut listing = RemoteListing::default();
    let reply = loop {
        match ctx.conversation.receive(ctx.cancel).await? {
            Frame::Entries(entries) => listing.entries.extend(entries.entries),
            Frame::Progress(_) => {}
            Frame::Reply(reply) => break reply,
            frame => return Err(unexpected(&frame)),
        }
    };
    match &reply.payload {
        _ if reply.status.is_error() => Ok(Err(reply)),
        Payload::Stat(entry) if entry.kind == FileKind::Directory => {
            listing.mtime = entry.mtime;
            Ok(Ok(listing))
        }
        _ => Err(ConversationError::Local(format!("{path} is no longer a directory"))),
    }
}
