//! Files from the local disk to the server.
//!
//! A thread walks through the sources, reads and hashes them, and encodes messages ([`walk`], [`source`], [`reader`],
//! [`message`]). A task sends the messages without waiting for answers, and processes answers as they arrive
//! ([`sending`]). Several connections share the walk ([`upload`]). Items without an answer when a connection is lost
//! are processed again ([`items`]). Files whose content the server has are not sent ([`stored`], [`copies`]). Large files
//! are sent over several connections ([`split`]). Links that the server refuses may exist already ([`links`]).

mod copies;
mod delta;
mod items;
mod links;
mod message;
mod reader;
mod resume;
mod sending;
mod source;
mod split;
mod stored;
mod upload;
mod walk;

pub(super) use copies::CopyCandidates;
pub(super) use upload::{UploadWork, divided_bytes};
pub(super) use walk::{FilledQueue, PlannedUpload, UploadDirectory, unreadable};

use super::retries::Retries;
use super::{Failure, NAMED_TWICE, Transfer, TransferContext, TransferOptions, TransferSummary, path_bytes};
use crate::conversation::ConversationError;
use sending::UploadOutcome;
use sshome_wire::{FileKind, Payload, RemotePath, Reply, Request, Status};
use std::collections::HashSet;
use std::path::{Path, PathBuf};
use stored::SkipRules;

/// Stores files, and with `recursive` directories.
///
/// If the target is an existing directory, they are stored in it under their own names; several sources need one. Any
/// other target is the new name. Of several sources with the same name on the server only the first is sent.
///
/// After a lost connection it reconnects if the context allows it. Files that the server has confirmed are not sent
/// again. With `recursive`, files whose content the server has already are not sent, unless `all` is set: only their attributes are,
/// if these are preserved. A large file is resumed after the blocks that have arrived; if only its answer was lost, it is compared and
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
        // Sources that go into a directory are looked up with it, so that nothing that is new is asked for later.
        let inside: Vec<RemotePath> = match self.options.recursive && !self.options.all {
            true => {
                self.sources.iter().filter_map(|source| target.join(&base_name(source).ok()?).ok()).collect()
            }
            false => Vec::new(),
        };
        let look = async |ctx: &mut TransferContext<'_>, _: &mut Retries| find(ctx, target, &inside).await;
        let FoundTargets { into_directory, missing } = retries.persist(ctx, look).await?;
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
        let skip = (self.options.recursive && !self.options.all).then_some(SkipRules { missing });
        let options = TransferOptions { split_bytes: divided_bytes(ctx, self.options), ..self.options };
        let upload = UploadWork::new(named, options, summary).skipping(skip);
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

/// What the server has at the targets.
struct FoundTargets {
    /// Whether the target is a directory.
    into_directory: bool,
    /// The paths at which there is nothing.
    missing: HashSet<RemotePath>,
}

/// Looks at a target, and at paths in it, with one round trip.
///
/// # Errors
/// If the target cannot be looked at.
async fn find(
    ctx: &mut TransferContext<'_>,
    target: &RemotePath,
    inside: &[RemotePath],
) -> Result<FoundTargets, ConversationError> {
    let (mut into_directory, mut missing, mut refused) = (false, HashSet::new(), None);
    let stat = |path: &RemotePath| Request::Stat { path: path.as_bytes().to_vec(), follow: true };
    let mut each = |index: usize, reply: Reply| {
        let path = if index == 0 { Some(target) } else { inside.get(index - 1) };
        let is_missing = matches!(reply.status, Status::NoSuchFile | Status::NoSuchDirectory);
        match &reply.payload {
            Payload::Stat(entry) if index == 0 => into_directory = entry.kind == FileKind::Directory,
            _ if is_missing => missing.extend(path.cloned()),
            _ if index == 0 => refused = Some(reply),
            _ => {}
        }
    };
    let paths: Vec<&RemotePath> = std::iter::once(target).chain(inside).collect();
    ctx.conversation.ask_all(paths.into_iter().map(stat), ctx.cancel, &mut each).await?;
    match refused {
        Some(reply) => Err(ConversationError::Refused(reply)),
        None => Ok(FoundTargets { into_directory, missing }),
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
