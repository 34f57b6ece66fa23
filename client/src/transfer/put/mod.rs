//! Files from the local disk to the server.
//!
//! A thread walks over the sources, reads and hashes them and makes messages of frames
//! ([`walk`], [`source`], [`reader`], [`message`]); another task sends them without waiting for answers, which are
//! heard as they come ([`sending`]). Several connections share the walk ([`upload`]). What has no answer when
//! a connection is lost is done again ([`items`]). Links that the server refuses may be there already
//! ([`links`]).

mod items;
mod links;
mod message;
mod reader;
mod sending;
mod source;
mod upload;
mod walk;

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
use upload::UploadWork;

/// Stores files, and with `recursive` directories.
///
/// An existing directory as target takes them under their own names; several sources need one.
/// Any other target is the new name. Of several files with one name on the server only the first is sent.
///
/// A lost connection is taken up again if the context says how: what the server has confirmed is not
/// sent again, and a large file goes on after the blocks that have arrived.
///
/// # Errors
/// If nothing could be begun (`Refused`, `Local`), the transfer was interrupted (`Cancelled`; what was
/// answered by then stays) or the connection is gone. One file's failure is in the summary.
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
    /// The walk over the sources, which is all the work, is under way.
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
        let upload = UploadWork::new(named, self.options, summary);
        upload.show(ctx.progress).await?;
        Ok(Some(upload))
    }

    async fn end(
        &mut self,
        ctx: &mut TransferContext<'_>,
        retries: &mut Retries,
        work: &UploadWork,
        executed: Result<(), ConversationError>,
    ) -> Result<TransferSummary, ConversationError> {
        executed?;
        let UploadOutcome { mut summary, refused_links } = work.done();
        if refused_links.is_empty() {
            // The session's own connection may be lost, and others have done the rest.
            return Ok(summary);
        }
        let judge =
            async |ctx: &mut TransferContext<'_>, _: &mut Retries| links::judge(ctx, &refused_links).await;
        let (unchanged, failures) = retries.persist(ctx, judge).await?;
        summary.unchanged += unchanged;
        summary.failures.extend(failures);
        Ok(summary)
    }
}

/// The name that a source has in the directory that it is put into: its own, or that of the
/// directory that `.` and the like stand for.
fn base_name(source: &Path) -> Result<Vec<u8>, String> {
    if let Some(name) = source.file_name() {
        return Ok(name.as_encoded_bytes().to_vec());
    }
    let whole = source.canonicalize().map_err(|error| format!("cannot read it: {error}"))?;
    let name = whole.file_name().ok_or("it has no name: give the name on the server")?;
    Ok(name.as_encoded_bytes().to_vec())
}
