//! The sources that the user named, and their paths on the server.

use super::SyncOptions;
use super::local::unreadable;
use crate::conversation::ConversationError;
use crate::transfer::retries::Retries;
use crate::transfer::{Failure, TransferContext, path_bytes, remote_entry};
use sshome_wire::{Entry, RemotePath};
use std::fs::Metadata;
use std::path::Path;

/// Why a file is no source of a command that deletes.
pub(super) const NEEDS_DIRECTORY: &str = "it is not a directory: --delete needs one";

/// The metadata of a source, which is a file or a directory.
pub(super) fn check_source(source: &Path, options: &SyncOptions) -> Result<Metadata, Failure> {
    let metadata = std::fs::metadata(source).map_err(|error| unreadable(source, &error))?;
    match options.delete {
        _ if metadata.is_dir() => Ok(metadata),
        Some(_) => Err(Failure::of(path_bytes(source), NEEDS_DIRECTORY)),
        None if metadata.is_file() => Ok(metadata),
        None => Err(Failure::of(path_bytes(source), "it is not a regular file")),
    }
}

/// The failure of one of several sources, of which the others are transferred. One that is alone ends the command.
pub(super) fn failed_source(failure: Failure, sources: usize) -> Result<Failure, ConversationError> {
    match sources {
        1 => Err(ConversationError::Local(format!("{}: {}", failure.what, failure.why))),
        _ => Ok(failure),
    }
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
