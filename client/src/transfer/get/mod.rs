//! Files from the server to the local disk.
//!
//! A plan is made from the server's listings ([`plan`]), for a large tree in batches ([`walk`], [`tree`], [`sources`],
//! [`resolve_links`]). The local directories are made, and files with the same content locally are skipped
//! ([`prepare`], [`unchanged`]). The rest is requested ahead and received in order ([`fetch`]) by connections that share the list
//! ([`download`]). Another thread writes ([`writer`], [`sink`]), verifies and publishes the files ([`publish`],
//! [`store`]). `pull` compares before, and plans only what differs ([`planned`]). An interrupted large file leaves a partial download, which the next get resumes ([`local_part`]). The
//! links of a batch are made last ([`links`]), and directories get their modes and times when they are filled
//! ([`folders`]).

mod backup;
mod download;
mod fetch;
mod folders;
mod links;
mod local_part;
mod local_version;
mod name_reservations;
mod pending;
mod plan;
mod planned;
mod prepare;
mod publish;
mod resolve_links;
mod sink;
mod sources;
mod split;
mod store;
mod tree;
mod unchanged;
mod walk;
mod write_error;
mod write_queue;
mod writer;

pub(super) use backup::{BackupWriter, LocalBackup};
pub(super) use download::DownloadWork;
pub(super) use folders::UnfinishedDirectories;
pub(super) use pending::{PendingDirectory, unfinished};
pub(super) use plan::{DirectoryAttributes, Plan, PlannedDirectory, PlannedFile, PlannedLink};
pub(super) use store::open as open_directory;

use super::retries::Retries;
use super::{Transfer, TransferContext, TransferOptions, TransferSummary, blocking, path_bytes};
use crate::conversation::ConversationError;
use sshome_wire::RemotePath;
use sshome_wire::display::Escaped;
use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use unchanged::UnchangedFiles;
use walk::DownloadWalk;

/// Downloads files, and with `recursive` directories.
///
/// If the target is an existing directory, they are stored in it under their own names; several sources need one. Any
/// other target is the new name. An existing file with the same content stays, unless `all` is set; only its attributes
/// change, if they are preserved. A different one is kept, and
/// the new file becomes `NAME.new`, or `NAME.new.1` and so on if that is taken, unless `force` replaces it. Of several
/// sources with the same local name only the first is downloaded.
///
/// After a lost connection it reconnects if the context allows it. A large file that was interrupted, now or in an
/// earlier get, is resumed after the blocks that agree with the server's.
///
/// # Errors
/// If it could not begin (`Refused`, `Local`), was cancelled (`Cancelled`; whole files stay), or the connection is
/// lost. Failures of single files are in the summary.
pub async fn get(
    ctx: TransferContext<'_>,
    sources: &[RemotePath],
    target: &Path,
    options: TransferOptions,
) -> Result<TransferSummary, ConversationError> {
    super::run(
        ctx,
        GetTransfer { sources, target, options, walk: None, folders: UnfinishedDirectories::default() },
        options.jobs,
    )
    .await
}

struct GetTransfer<'a> {
    sources: &'a [RemotePath],
    target: &'a Path,
    options: TransferOptions,
    /// What remains to be planned, once it has begun.
    walk: Option<DownloadWalk>,
    /// Directories without their final modes and times.
    folders: UnfinishedDirectories,
}

impl Transfer for GetTransfer<'_> {
    type Work = DownloadWork;

    fn has_more(&self) -> bool {
        self.walk.as_ref().is_some_and(DownloadWalk::has_more)
    }

    async fn next(
        &mut self,
        ctx: &mut TransferContext<'_>,
        retries: &mut Retries,
    ) -> Result<Option<DownloadWork>, ConversationError> {
        self.next_batch(ctx, retries).await
    }

    async fn end(
        &mut self,
        ctx: &mut TransferContext<'_>,
        _: &mut Retries,
        work: &DownloadWork,
        coming: Option<&DownloadWork>,
        executed: Result<(), ConversationError>,
    ) -> Result<TransferSummary, ConversationError> {
        let unfinished = self.walk.as_ref().map(DownloadWalk::unfinished).unwrap_or_default();
        conclude(ctx, (work, coming), &mut self.folders, unfinished, executed).await
    }

    async fn give_up(&mut self) -> Result<(), ConversationError> {
        // Nothing more is written: all directories get their modes and times.
        self.folders.finish(|_| true).await.map(|_| ())
    }
}

impl GetTransfer<'_> {
    async fn next_batch(
        &mut self,
        ctx: &mut TransferContext<'_>,
        retries: &mut Retries,
    ) -> Result<Option<DownloadWork>, ConversationError> {
        let is_first = self.walk.is_none();
        let walk = match &mut self.walk {
            Some(walk) => walk,
            None => self.walk.insert(begin(ctx, retries, self.sources, self.target, self.options).await?),
        };
        let Some(mut plan) = walk.next(ctx, retries).await? else { return Ok(None) };
        name_reservations::refuse_duplicates(&mut plan);
        let mut summary = TransferSummary::default();
        summary.skipped.extend(plan.skipped.drain(..));
        summary.failures.extend(plan.failures.drain(..));
        let mut plan = Arc::new(plan);
        let (preparing, preserve) = (Arc::clone(&plan), self.options.preserve);
        let mut prepared = blocking(move || prepare::prepare(&preparing, preserve)).await?;
        summary.failures.extend(prepared.failures.drain(..));
        if let Some(plan) = Arc::get_mut(&mut plan) {
            plan.links.retain(|link| !prepared.unusable.contains(&link.place));
        }
        let in_the_way = async |ctx: &mut TransferContext<'_>, _: &mut Retries| {
            prepare::in_the_way(ctx, &plan, &prepared).await
        };
        summary.failures.extend(retries.persist(ctx, in_the_way).await?);
        let find = async |ctx: &mut TransferContext<'_>, _: &mut Retries| {
            unchanged::find(ctx, &plan, &prepared, preserve).await
        };
        let UnchangedFiles { same, failures } = match self.options.all {
            true => UnchangedFiles::default(),
            false => retries.persist(ctx, find).await?,
        };
        summary.unchanged += same.len() as u64;
        summary.failures.extend(failures);
        let left: Vec<usize> = prepared.files.into_iter().filter(|number| !same.contains(number)).collect();
        let download =
            DownloadWork::prepare(ctx, plan, self.options, left, prepared.folders, summary).await?;
        match is_first {
            true => ctx.progress.begin(download.load.files, download.bytes),
            false => ctx.progress.grow(download.load.files, download.bytes),
        }
        Ok(Some(download))
    }
}

/// Completes an executed download: makes the links, and finishes the directories that are filled. `unfinished` are those
/// that are not, besides those of the download that follows. After an error nothing follows, and all are finished.
pub(super) async fn conclude(
    ctx: &TransferContext<'_>,
    (work, coming): (&DownloadWork, Option<&DownloadWork>),
    folders: &mut UnfinishedDirectories,
    mut unfinished: HashSet<PathBuf>,
    executed: Result<(), ConversationError>,
) -> Result<TransferSummary, ConversationError> {
    let (plan, options, mut summary) = (Arc::clone(&work.plan), work.options, work.summary());
    work.clear_parts().await?;
    if executed.is_ok() && !plan.links.is_empty() {
        let (plan, reservations, observer) =
            (Arc::clone(&plan), Arc::clone(&work.reservations), ctx.progress.observer());
        summary.add(blocking(move || links::make(&plan, options, reservations, observer)).await?);
    }
    if options.preserve {
        work.add_folders(folders);
        match (coming, &executed) {
            (Some(coming), Ok(())) => pending::add_unfinished(&mut unfinished, &coming.plan.places),
            (Some(coming), Err(_)) => coming.add_folders(folders),
            (None, _) => {}
        }
        let is_filled = |local: &Path| executed.is_err() || !unfinished.contains(local);
        summary.failures.extend(folders.finish(is_filled).await?);
    }
    executed.map(|()| summary)
}

async fn begin(
    ctx: &mut TransferContext<'_>,
    retries: &mut Retries,
    sources: &[RemotePath],
    target: &Path,
    options: TransferOptions,
) -> Result<DownloadWalk, ConversationError> {
    if sources.len() > 1 && !target.is_dir() {
        let target = Escaped(path_bytes(target));
        return Err(ConversationError::Local(format!(
            "{target}: several files need a directory that exists"
        )));
    }
    let walk = async |ctx: &mut TransferContext<'_>, _: &mut Retries| {
        sources::walk(ctx, sources, target, options).await
    };
    retries.persist(ctx, walk).await
}
