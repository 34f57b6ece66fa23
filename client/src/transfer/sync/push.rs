//! Walks through the local trees and their counterparts, and uploads what differs.

mod backup;
mod batch;
mod candidates;
mod changed;
mod folds;
mod named;
mod pair;
mod permissions;
mod recent;

use super::compare::{Differences, SourceEntry};
use super::delete::{self, Extras, parent};
use super::listing::list;
use super::sources::{check_source, failed_source, find};
use super::watch::WatchedChanges;
use super::{MAX_PIPELINED_LISTINGS, SyncAction, SyncOptions, report};
use crate::conversation::ConversationError;
use crate::names;
use crate::transfer::delta::OldVersion;
use crate::transfer::jobs::Load;
use crate::transfer::put::{self, CopyCandidates, FilledQueue, PlannedUpload, UploadWork};
use crate::transfer::retries::Retries;
use crate::transfer::{Failure, Transfer, TransferContext, TransferSummary, blocking, path_bytes, steps};
pub(super) use backup::RemoteBackup;
use batch::BatchPlan;
use candidates::{ListedFiles, is_worth_copying};
use pair::{ComparedPair, PendingPair, compare};
use recent::RecentDirectory;
use sshome_wire::{FileKind, RemotePath, Request};
use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::Arc;

/// Makes directories on the server like local ones.
///
/// The content of a single source becomes that of `target`; each of several sources becomes `target/NAME`. A single source
/// that is a file becomes `target`, or a file in it if that is a directory or `into_directory` is set.
///
/// # Errors
/// If it could not begin (`Refused`, `Local`), was cancelled (`Cancelled`; answered files stay), or the connection is
/// lost. Failures of single files are in the summary, and nothing is deleted then.
pub async fn push(
    ctx: TransferContext<'_>,
    sources: &[PathBuf],
    target: &RemotePath,
    into_directory: bool,
    options: &SyncOptions,
) -> Result<TransferSummary, ConversationError> {
    push_changes(ctx, sources, (target, into_directory), options, &WatchedChanges::Everything).await
}

/// As [`push`], but only of what has changed.
///
/// # Errors
/// As of [`push`].
pub async fn push_changes(
    mut ctx: TransferContext<'_>,
    sources: &[PathBuf],
    (target, into_directory): (&RemotePath, bool),
    options: &SyncOptions,
    changes: &WatchedChanges,
) -> Result<TransferSummary, ConversationError> {
    let target = PushTarget { path: target, into_directory, changes };
    let done = push_and_delete(&mut ctx, sources, target, options).await;
    ctx.finish(done).await
}

async fn push_and_delete(
    ctx: &mut TransferContext<'_>,
    sources: &[PathBuf],
    target: PushTarget<'_>,
    options: &SyncOptions,
) -> Result<TransferSummary, ConversationError> {
    let mut retries = Retries::default();
    let mut push = PushTransfer::begin(ctx, &mut retries, sources, target, options).await?;
    let mut summary = steps(ctx, &mut push, options.jobs).await?;
    summary.skipped.extend(permissions::kept(push.kept, target.path));
    if options.delete.is_some() {
        let backup = push.backup.as_deref();
        summary.add(delete::run(ctx, &mut retries, push.extras, (options, backup), &summary.failures).await?);
    }
    Ok(summary)
}

/// Makes a directory on the server, and those above it.
async fn make(
    ctx: &mut TransferContext<'_>,
    retries: &mut Retries,
    directory: &RemotePath,
) -> Result<(), ConversationError> {
    let make = async |ctx: &mut TransferContext<'_>, _: &mut Retries| {
        let path = directory.as_bytes().to_vec();
        let request = Request::Mkdir { path, parents: true, mode: None };
        ctx.conversation.request(request, ctx.cancel).await
    };
    retries.persist(ctx, make).await.map(drop)
}

/// The destination of a push.
#[derive(Clone, Copy)]
struct PushTarget<'a> {
    path: &'a RemotePath,
    /// Whether it is a directory even if it does not exist.
    into_directory: bool,
    /// What of the sources is compared.
    changes: &'a WatchedChanges,
}

struct PushTransfer<'a> {
    options: &'a SyncOptions,
    /// Directories that remain to be compared, the next one last.
    pending: Vec<PendingPair>,
    /// Files that were named and differ, with their sizes in bytes.
    files: Vec<(PlannedUpload, u64, OldVersion)>,
    /// The results for files that were named and are the same.
    named: TransferSummary,
    filled: FilledQueue,
    /// What was listed on the server: its content may be sent elsewhere.
    listed: ListedFiles,
    extras: Extras,
    /// Where old versions are kept.
    backup: Option<Arc<RemoteBackup>>,
    /// The number of files and links that differ and stay, because the login may only add some.
    kept: u64,
    /// Local entries that are being changed.
    busy: Arc<HashSet<PathBuf>>,
    /// Files that are compared again at the end.
    recent: Vec<RecentDirectory>,
    is_first: bool,
}

impl<'a> PushTransfer<'a> {
    async fn begin(
        ctx: &mut TransferContext<'_>,
        retries: &mut Retries,
        sources: &[PathBuf],
        PushTarget { path: target, into_directory, changes }: PushTarget<'_>,
        options: &'a SyncOptions,
    ) -> Result<PushTransfer<'a>, ConversationError> {
        let (target, found) = find(ctx, retries, target).await?;
        let is_directory = found.as_ref().is_some_and(|entry| entry.kind == FileKind::Directory);
        let mut push = PushTransfer {
            options,
            pending: Vec::new(),
            files: Vec::new(),
            named: TransferSummary::default(),
            filled: FilledQueue::default(),
            listed: ListedFiles::default(),
            extras: Extras::new(target.clone()),
            backup: None,
            kept: 0,
            busy: Arc::default(),
            recent: Vec::new(),
            is_first: true,
        };
        let (mut above, mut taken) = (parent(&target), HashSet::new());
        for source in sources {
            let metadata = match check_source(source, options) {
                Ok(metadata) => metadata,
                Err(failure) => {
                    push.named.failures.push(failed_source(failure, sources.len())?);
                    continue;
                }
            };
            let is_target = sources.len() == 1 && (metadata.is_dir() || !is_directory && !into_directory);
            if found.is_some() && !is_directory && (metadata.is_dir() || !is_target) {
                return Err(ConversationError::Local(format!("{target} is not a directory")));
            }
            let (remote, entry) = match is_target {
                true => (target.clone(), found.clone()),
                false => {
                    above = Some(target.clone());
                    find(
                        ctx,
                        retries,
                        &target.join(&put::base_name(source).map_err(ConversationError::Local)?)?,
                    )
                    .await?
                }
            };
            if !taken.insert(remote.clone()) {
                let text = format!("several sources would become {remote}: push them to different names");
                return Err(ConversationError::Local(text));
            }
            if metadata.is_file() {
                push.add_file(ctx, retries, source, &metadata, (remote, entry)).await?;
                continue;
            }
            if entry.as_ref().is_some_and(|entry| entry.kind != FileKind::Directory) {
                return Err(ConversationError::Local(format!("{remote} is not a directory")));
            }
            push.pending.push(PendingPair::top(source, remote, entry.is_some()));
        }
        let is_file = !is_directory && push.pending.is_empty() && above.as_ref() != Some(&target);
        push.pending = changed::pairs(ctx, retries, push.pending, changes, options).await?;
        if let WatchedChanges::Directories { busy, .. } = changes {
            push.busy = Arc::clone(busy);
        }
        push.pending.reverse();
        if let Some(wanted) = &options.remote_backup {
            let backup = RemoteBackup::find(ctx, retries, wanted, &target, is_file).await?;
            push.backup = Some(Arc::new(backup));
        }
        if let Some(above) = above.filter(|_| found.is_none() && !options.dry_run) {
            make(ctx, retries, &above).await?;
        }
        Ok(push)
    }

    /// Compares the next directories.
    async fn compare_next(
        &mut self,
        ctx: &mut TransferContext<'_>,
        retries: &mut Retries,
    ) -> Result<(Vec<ComparedPair>, Vec<Failure>), ConversationError> {
        let first = self.pending.len().saturating_sub(MAX_PIPELINED_LISTINGS);
        let mut pairs = self.pending.split_off(first);
        pairs.reverse();
        let list_pairs = async |ctx: &mut TransferContext<'_>, _: &mut Retries| {
            let directories = pairs.iter().map(|pair| pair.exists.then_some(&pair.remote));
            list(ctx, &directories.collect::<Vec<_>>(), self.options.batch_entries).await
        };
        let listed = retries.persist(ctx, list_pairs).await?;
        // What was not listed waits for the next time.
        self.pending.extend(pairs.drain(listed.len().min(pairs.len())..).rev());
        let (mut failures, mut known) = (Vec::new(), Vec::new());
        for (pair, listing) in pairs.into_iter().zip(listed) {
            match listing {
                Ok(listing) => {
                    let entries = listing.as_ref().map(|listing| &*listing.entries);
                    self.listed.add(&pair.remote, entries.unwrap_or_default());
                    known.push((pair, listing));
                }
                Err(failure) => failures.push(failure),
            }
        }
        let (options, backup, busy) = (self.options.clone(), self.backup.clone(), Arc::clone(&self.busy));
        let compare_all = move || {
            let compare_one = |(pair, listing)| compare(pair, listing, &options, (backup.as_deref(), &busy));
            known.into_iter().map(compare_one).collect::<Vec<_>>()
        };
        let mut compared = Vec::new();
        for one in blocking(compare_all).await? {
            match one {
                Ok(one) => compared.push(one),
                Err(failure) => failures.push(failure),
            }
        }
        Ok((compared, failures))
    }

    /// Plans the uploads of a directory, and notes what remains to be compared below it.
    fn plan(&mut self, ctx: &TransferContext<'_>, compared: ComparedPair, plan: &mut BatchPlan) {
        let ComparedPair { pair, metadata, differences, has_other_time, .. } = compared;
        self.extras.count(differences.destination_entries);
        let Differences {
            transfer,
            in_the_way,
            directories,
            extra,
            unchanged,
            skipped,
            failures,
            recent,
            ..
        } = differences;
        // They count when they have been compared again.
        plan.summary.unchanged += unchanged - recent.len() as u64;
        if !recent.is_empty() {
            self.recent.push(RecentDirectory {
                pair: pair.clone(),
                metadata: metadata.clone(),
                files: recent,
            });
        }
        plan.summary.skipped.extend(skipped);
        plan.summary.failures.extend(failures);
        let (transfer, in_the_way) = self.addable(transfer, in_the_way);
        let makes_directories = directories.iter().any(|one| !one.exists) && !self.options.existing;
        let changes = !pair.exists || !transfer.is_empty() || makes_directories;
        // The home itself belongs to the administrator: it keeps its time. So does what exists, if it may not be changed.
        let keeps_time = pair.remote == RemotePath::root() || pair.exists && self.options.adds_only;
        let filled = (!keeps_time).then_some(&self.filled);
        if !pair.exists {
            report(ctx, SyncAction::Create, &pair.remote, true);
        } else if has_other_time && filled.is_some() {
            report(ctx, SyncAction::Update, &pair.remote, true);
        }
        let is_planned = (changes || has_other_time && filled.is_some()) && !self.options.dry_run;
        let directory = is_planned.then(|| pair.upload(&metadata, filled));
        self.listed.add_extra(&pair.remote, &extra);
        let removed: HashSet<Vec<u8>> = in_the_way.iter().map(|entry| entry.name.clone()).collect();
        for entry in in_the_way {
            plan.in_the_way.extend(pair.remote.join(&entry.name).ok().map(|path| (path, entry)));
        }
        let mut uploaded = Vec::new();
        for SourceEntry { entry, exists } in transfer {
            let (Ok(path), Some(name)) = (pair.remote.join(&entry.name), names::path(&entry.name)) else {
                let why = "the server cannot have this name";
                let what = [path_bytes(&pair.local), b"/", &entry.name].concat();
                plan.summary.failures.push(Failure::of(&what, why));
                continue;
            };
            let action = if exists { SyncAction::Update } else { SyncAction::Create };
            report(ctx, action, &path, false);
            let size = if entry.kind == FileKind::File { entry.size } else { 0 };
            plan.sizes.extend(Some(size).filter(|size| is_worth_copying(*size)));
            let old = if exists { OldVersion::Exists } else { OldVersion::Missing };
            plan.load = self.and_file(ctx, plan.load, size, old);
            if exists && !removed.contains(&entry.name) {
                plan.replaced.push(path);
            }
            uploaded.push((name.into_os_string(), old));
        }
        plan.entries += uploaded.len() + 1;
        let mtime = crate::transfer::mtime(&metadata);
        if self.options.delete.is_some() {
            self.extras.add(&pair.remote, &pair.relative, mtime, extra);
        }
        let wanted = |one: &SourceEntry| if one.exists { !pair.is_shallow } else { !self.options.existing };
        for SourceEntry { entry, exists } in directories.into_iter().rev().filter(wanted) {
            match pair.child(&entry, exists, directory.as_ref()) {
                Ok(child) => self.pending.push(child),
                Err(failure) => plan.summary.failures.push(failure),
            }
        }
        plan.uploads
            .extend(directory.map(|directory| PlannedUpload::Directory { directory, names: uploaded }));
    }
}

impl Transfer for PushTransfer<'_> {
    type Work = UploadWork;

    async fn next(
        &mut self,
        ctx: &mut TransferContext<'_>,
        retries: &mut Retries,
    ) -> Result<Option<UploadWork>, ConversationError> {
        let is_first = std::mem::take(&mut self.is_first);
        let mut plan = BatchPlan::default();
        if !is_first && self.pending.is_empty() && self.filled.is_empty() {
            if self.recent.is_empty() {
                return Ok(None);
            }
            for again in recent::compare(ctx, retries, std::mem::take(&mut self.recent)).await? {
                self.plan(ctx, again, &mut plan);
            }
        }
        self.plan_named(ctx, &mut plan);
        while !self.pending.is_empty() && plan.entries < self.options.batch_entries {
            let (mut compared, failures) = self.compare_next(ctx, retries).await?;
            plan.summary.failures.extend(failures);
            plan.summary.trusted += pair::decide(ctx, retries, &mut compared).await?;
            if !self.options.dry_run {
                folds::distinguish(ctx, retries, &mut compared, self.extras.target()).await?;
            }
            for one in compared.into_iter().rev() {
                self.plan(ctx, one, &mut plan);
            }
        }
        let mut candidates = CopyCandidates::default();
        if !self.options.dry_run {
            candidates = self.listed.find(ctx, retries, &plan.sizes).await?;
            plan.make_room(ctx, retries, self.backup.as_deref()).await?;
        }
        let Load { files, bytes, .. } = plan.load;
        match is_first {
            true => ctx.progress.begin(files, Some(bytes)),
            false => ctx.progress.grow(files, Some(bytes)),
        }
        let options = self.transfer_options(ctx);
        let work = UploadWork::planned(plan.uploads, &self.filled, plan.load, options, plan.summary);
        Ok(Some(work.copying(candidates)))
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
        put::conclude(ctx, retries, work).await
    }
}
