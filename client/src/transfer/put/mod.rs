//! Files from the local disk to the server.
//!
//! A thread walks through the sources, reads and hashes them, and encodes messages ([`walk`], [`source`], [`reader`],
//! [`message`]). A task sends the messages without waiting for answers, and processes answers as they arrive
//! ([`sending`]). Several connections share the walk ([`upload`]). Items without an answer when a connection is lost
//! are processed again ([`items`]). Large files are sent over several connections ([`split`]). Links that the server refuses may exist already ([`links`]).

mod delta;
mod items;
mod links;
mod message;
mod reader;
mod sending;
mod source;
mod split;
mod upload;
mod walk;

pub(super) use upload::{UploadWork, divided_bytes};
pub(super) use walk::{FilledQueue, PlannedUpload, UploadDirectory, unreadable};

use super::retries::Retries;
use super::{
    Failure, NAMED_TWICE, Transfer, TransferContext, TransferOptions, TransferSummary, path_bytes,
    remote_is_directory,
};
use crate::conversation::ConversationError;
use sending::UploadOutcome;
use sshome_wire::RemotePath;
use std::collections::HashSet;
use std::path::{Path, PathBuf};

/// Stores files, and with `recursive` directories.
///
/// If the target is an existing directory, they are stored in it under their own names; several sources need one. Any
/// other target is the new name. Of several sources with the same name on the server only the first is sent.
///
/// After a lost connection it reconnects if the context allows it. Files that the server has confirmed are not sent
/// again. A large file is resumed after the blocks that have arrived; if only its answer was lost, it is compared and
/// not sent again.
///
/// If the server is busy, because it counts the home or a limit is reached, what it refused is sent again after a pause, as
/// often as a lost connection is opened again.
///
/// # Errors
/// If it could not begin (`Refused`, `Local`), was cancelled (`Cancelled`; answered files stay), or the connection is
/// lost. Failures of single files are in the summary.
pub async fn put(
    ctx: TransferContext<'_>,
    sources: &[PathBuf],
    target: &RemotePath,
    options: TransferOptions,
) -> Result<TransferSummary, ConversationError> {
    super::run(ctx, PutTransfer { sources, target, options, begun: false }, options.jobs).await
}

struct PutTransfer<'a> {
    sources: &'a [PathBuf],
    target: &'a RemotePath,
    options: TransferOptions,
    /// Whether the walk through the sources, which is all the work, has begun.
    begun: bool,
}

impl Transfer for PutTransfer<'_> {
    type Work = UploadWork;

    async fn next(
        &mut self,
        ctx: &mut TransferContext<'_>,
        retries: &mut Retries,
    ) -> Result<Option<UploadWork>, ConversationError> {
        if std::mem::replace(&mut self.begun, true) {
            return Ok(None);
        }
        let target = self.target;
        let is_directory =
            async |ctx: &mut TransferContext<'_>, _: &mut Retries| remote_is_directory(ctx, target).await;
        let into_directory = retries.persist(ctx, is_directory).await?;
        if self.sources.len() > 1 && !into_directory {
            return Err(ConversationError::Local(format!(
                "{target}: several files need a directory that exists"
            )));
        }
        let mut summary = TransferSummary::default();
        let mut named = Vec::new();
        let mut before = HashSet::new();
        for source in self.sources {
            if !before.insert(source) {
                summary.skipped.push(Failure::of(path_bytes(source), NAMED_TWICE));
                continue;
            }
            let to = match into_directory {
                true => {
                    base_name(source).and_then(|name| target.join(&name).map_err(|error| error.to_string()))
                }
                false => Ok(target.clone()),
            };
            match to {
                Ok(to) => named.push((source.clone(), to)),
                Err(why) => summary.failures.push(Failure::of(path_bytes(source), why)),
            }
        }
        let options = TransferOptions { split_bytes: divided_bytes(ctx, self.options), ..self.options };
        let upload = UploadWork::new(named, options, summary);
        upload.show(ctx.progress).await?;
        Ok(Some(upload))
    }

    async fn end(
        &mut self,
        ctx: &mut TransferContext<'_>,
        retries: &mut Retries,
        work: &UploadWork,
        _: Option<&UploadWork>,
        executed: Result<(), ConversationError>,
    ) -> Result<TransferSummary, ConversationError> {
        executed?;
        conclude(ctx, retries, work).await
    }
}

/// The result of an upload that was executed. Links that the server refused may exist already, as after a lost answer.
pub(super) async fn conclude(
    ctx: &mut TransferContext<'_>,
    retries: &mut Retries,
    work: &UploadWork,
) -> Result<TransferSummary, ConversationError> {
    let UploadOutcome { mut summary, refused_links } = work.done();
    if refused_links.is_empty() {
        // The session's own connection may be lost, while others finished the work.
        return Ok(summary);
    }
    let judge =
        async |ctx: &mut TransferContext<'_>, _: &mut Retries| links::judge(ctx, &refused_links).await;
    let (unchanged, failures) = retries.persist(ctx, judge).await?;
    summary.unchanged += unchanged;
    summary.failures.extend(failures);
    Ok(summary)
}

/// The name that a source gets in the target directory: its own, or that of the directory that `.` and the like refer
/// to.
pub(super) fn base_name(source: &Path) -> Result<Vec<u8>, String> {
    if let Some(name) = source.file_name() {
        return Ok(name.as_encoded_bytes().to_vec());
    }
    let whole = source.canonicalize().map_err(|error| format!("cannot read it: {error}"))?;
    let name = whole.file_name().ok_or("it has no name: give the name on the server")?;
    Ok(name.as_encoded_bytes().to_vec())
}
