//! The sources that the user named, and their paths on the server.

use super::SyncOptions;
use crate::conversation::ConversationError;
use crate::transfer::retries::Retries;
use crate::transfer::{TransferContext, remote_entry};
use sshome_wire::{Entry, RemotePath};
use std::fs::Metadata;
use std::path::Path;

/// The metadata of a source, which is a file or a directory.
pub(super) fn check_source(source: &Path, options: &SyncOptions) -> Result<Metadata, ConversationError> {
    let shown = || crate::names::shown(source);
    let local = |text: String| ConversationError::Local(text);
    let metadata =
        std::fs::metadata(source).map_err(|error| local(format!("{}: cannot read it: {error}", shown())))?;
    if metadata.is_dir() || metadata.is_file() && options.delete.is_none() {
        return Ok(metadata);
    }
    Err(local(match options.delete {
        Some(_) => format!("{} is not a directory: --delete needs one", shown()),
        None => format!("{}: not a regular file", shown()),
    }))
}

/// The entry at a path on the server, and its canonical path.
pub(super) async fn find(
    ctx: &mut TransferContext<'_>,
    retries: &mut Retries,
    path: &RemotePath,
) -> Result<(RemotePath, Option<Entry>), ConversationError> {
    // Without a final `.`, a path that does not exist yet can be made canonical, too.
    let path = &match path.split() {
        Some((directory, b".")) => directory,
        _ => path.clone(),
    };
    let look = async |ctx: &mut TransferContext<'_>, _: &mut Retries| {
        let found = remote_entry(ctx, path).await?;
        match ctx.conversation.real_path(path, ctx.cancel).await {
            Ok(real) => Ok((real, found)),
            // Its directory does not exist either.
            Err(ConversationError::Refused(_)) => Ok((path.clone(), found)),
            Err(error) => Err(error),
        }
    };
    retries.persist(ctx, look).await
}
