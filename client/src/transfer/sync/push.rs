//! Walks through the local trees and their counterparts, and uploads what differs.

mod candidates;
mod named;
mod pair;

use super::compare::{Differences, SourceEntry};
use super::delete::{self, Extras, parent};
use super::digests::{self, FilePair, LocalFile};
use super::listing::list;
use super::sources::{check_source, find};
use super::{MAX_PIPELINED_LISTINGS, SyncAction, SyncOptions, report};
use crate::conversation::ConversationError;
use crate::names;
use crate::transfer::delta::{self, OldVersion};
use crate::transfer::jobs::Load;
use crate::transfer::put::{self, CopyCandidates, FilledQueue, PlannedUpload, UploadDirectory, UploadWork};
use crate::transfer::retries::Retries;
use crate::transfer::{
    Failure, Transfer, TransferContext, TransferOptions, TransferSummary, blocking, path_bytes, steps,
};
use candidates::{ListedFiles, is_worth_copying};
use pair::{ComparedPair, PendingPair, compare};
use sshome_wire::{Entry, FileKind, RemotePath, Request};
use std::collections::HashSet;
use std::path::PathBuf;

/// Makes directories on the server like local ones.
///
/// The content of a single source becomes that of `target`; each of several sources becomes `target/NAME`. A single source
/// that is a file becomes `target`, or a file in it if that is a directory or `into_directory` is set.
///
/// # Errors
/// If it could not begin (`Refused`, `Local`), was cancelled (`Cancelled`; answered files stay), or the connection is
/// lost. Failures of single files are in the summary, and nothing is deleted then.
pub async fn push(
    mut ctx: TransferContext<'_>,
    sources: &[PathBuf],
    target: &RemotePath,
    into_directory: bool,
    options: &SyncOptions,
) -> Result<TransferSummary, ConversationError> {
    let target = PushTarget { path: target, into_directory };
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
    if options.delete.is_some() {
        summary.add(delete::run(ctx, &mut retries, push.extras, options, &summary.failures).await?);
    }
    Ok(summary)
}

/// The destination of a push.
#[derive(Clone, Copy)]
struct PushTarget<'a> {
    path: &'a RemotePath,
    /// Whether it is a directory even if it does not exist.
    into_directory: bool,
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
    is_first: bool,
}

impl<'a> PushTransfer<'a> {
    async fn begin(
        ctx: &mut TransferContext<'_>,
        retries: &mut Retries,
        sources: &[PathBuf],
        PushTarget { path: target, into_directory }: PushTarget<'_>,
        options: &'a SyncOptions,
    ) -> Result<PushTransfer<'a>, ConversationError> {
        let (target, found) = find(ctx, retries, target).await?;
        let is_directory = found.as_ref().is_some_and(|entry| entry.kind == FileKind::Directory);
        let (pending, files, filled, listed) =
            (Vec::new(), Vec::new(), FilledQueue::default(), ListedFiles::default());
        let (extras, named) = (Extras::new(target.clone()), TransferSummary::default());
        let mut push =
            PushTransfer { options, pending, files, named, filled, listed, extras, is_first: true };
        let (mut above, mut taken) = (parent(&target), HashSet::new());
        for source in sources {
            let metadata = check_source(source, options)?;
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
            let (local, relative, exists) = (source.clone(), PathBuf::new(), entry.is_some());
            push.pending.push(PendingPair { local, relative, remote, exists, within: None });
        }
        push.pending.reverse();
        if let Some(above) = above.filter(|_| found.is_none() && !options.dry_run) {
            let make = async |ctx: &mut TransferContext<'_>, _: &mut Retries| {
                let path = above.as_bytes().to_vec();
                let request = Request::Mkdir { path, parents: true, mode: None };
                ctx.conversation.request(request, ctx.cancel).await
            };
            retries.persist(ctx, make).await?;
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
        let options = self.options.clone();
        let compare_all = move || {
            let compare_one = |(pair, listing)| compare(pair, listing, &options);
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

    /// Decides by digests which of the undecided files are sent.
    async fn decide(
        &self,
        ctx: &mut TransferContext<'_>,
        retries: &mut Retries,
        compared: &mut [ComparedPair],
        summary: &mut TransferSummary,
    ) -> Result<(), ConversationError> {
        let mut pairs = Vec::new();
        for ComparedPair { pair, differences, .. } in &*compared {
            for SourceEntry { entry, .. } in &differences.undecided {
                let (base, name) = (pair.local.clone(), entry.name.clone());
                let local = LocalFile { base, below: Vec::new(), name, follow: false };
                // It exists, so its path is not too long.
                let remote = pair.remote.join(&entry.name).unwrap_or_else(|_| pair.remote.clone());
                pairs.push(FilePair { local, remote, size: entry.size });
            }
        }
        let compared_digests = digests::compare(ctx, retries, pairs, true, None).await?;
        summary.trusted += compared_digests.trusted;
        let mut results = compared_digests.results.into_iter();
        for ComparedPair { differences, .. } in compared {
            differences.decide(&mut results);
        }
        Ok(())
    }

    fn transfer_options(&self, ctx: &TransferContext<'_>) -> TransferOptions {
        let SyncOptions { jobs, delta, split_bytes, .. } = *self.options;
        let options =
            TransferOptions { preserve: true, jobs, delta, split_bytes, ..TransferOptions::default() };
        TransferOptions { split_bytes: put::divided_bytes(ctx, options), ..options }
    }

    /// A load with one more file.
    fn and_file(&self, ctx: &TransferContext<'_>, load: Load, size: u64, old: OldVersion) -> Load {
        let options = self.transfer_options(ctx);
        match delta::is_preferred(options.delta.limits(ctx.conversation), size, old) {
            true => load.and(size),
            false => load.and_divided(size, options.split_bytes),
        }
    }

    /// Plans the uploads of a directory, and notes what remains to be compared below it.
    fn plan(&mut self, ctx: &TransferContext<'_>, compared: ComparedPair, plan: &mut BatchPlan) {
        let ComparedPair { pair, metadata, differences, has_other_time } = compared;
        self.extras.count(differences.destination_entries);
        let Differences { transfer, in_the_way, directories, extra, unchanged, skipped, failures, .. } =
            differences;
        plan.summary.unchanged += unchanged;
        plan.summary.skipped.extend(skipped);
        plan.summary.failures.extend(failures);
        let makes_directories = directories.iter().any(|one| !one.exists) && !self.options.existing;
        let changes = !pair.exists || !transfer.is_empty() || makes_directories;
        // The home itself belongs to the administrator: it keeps its time.
        let filled = (pair.remote != RemotePath::root()).then_some(&self.filled);
        if !pair.exists {
            report(ctx, SyncAction::Create, &pair.remote, true);
        } else if has_other_time && filled.is_some() {
            report(ctx, SyncAction::Update, &pair.remote, true);
        }
        let is_planned = (changes || has_other_time && filled.is_some()) && !self.options.dry_run;
        let directory = is_planned.then(|| {
            let (local, remote) = (pair.local.clone(), pair.remote.clone());
            UploadDirectory::planned(local, remote, &metadata, pair.within.clone(), filled)
        });
        for entry in extra.iter().filter(|entry| entry.kind == FileKind::Directory) {
            if let Ok(path) = pair.remote.join(&entry.name) {
                self.listed.add_extra(path);
            }
        }
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
            uploaded.push((name.into_os_string(), old));
        }
        plan.entries += uploaded.len() + 1;
        let mtime = crate::transfer::mtime(&metadata);
        if self.options.delete.is_some() {
            self.extras.add(&pair.remote, &pair.relative, mtime, extra);
        }
        let wanted = |one: &SourceEntry| one.exists || !self.options.existing;
        for SourceEntry { entry, exists } in directories.into_iter().rev().filter(wanted) {
            let name = names::path(&entry.name).unwrap_or_default();
            match pair.remote.join(&entry.name) {
                Ok(remote) => self.pending.push(PendingPair {
                    local: pair.local.join(&name),
                    relative: pair.relative.join(&name),
                    remote,
                    exists,
                    within: directory.clone().or_else(|| pair.within.clone()),
                }),
                Err(error) => {
                    let what = pair.local.join(&name);
                    plan.summary.failures.push(Failure::of(path_bytes(&what), error.to_string()));
                }
            }
        }
        plan.uploads
            .extend(directory.map(|directory| PlannedUpload::Directory { directory, names: uploaded }));
    }
}

/// The uploads of a batch.
#[derive(Default)]
struct BatchPlan {
    uploads: Vec<PlannedUpload>,
    /// Links and special files that have to make room.
    in_the_way: Vec<(RemotePath, Entry)>,
    load: Load,
    /// The lengths of files that are worth looking for on the server, in bytes.
    sizes: HashSet<u64>,
    entries: usize,
    summary: TransferSummary,
}

impl Transfer for PushTransfer<'_> {
    type Work = UploadWork;

    async fn next(
        &mut self,
        ctx: &mut TransferContext<'_>,
        retries: &mut Retries,
    ) -> Result<Option<UploadWork>, ConversationError> {
        let is_first = std::mem::take(&mut self.is_first);
        if !is_first && self.pending.is_empty() && self.filled.is_empty() {
            return Ok(None);
        }
        let mut plan = BatchPlan::default();
        plan.summary.add(std::mem::take(&mut self.named));
        let files = std::mem::take(&mut self.files);
        for (file, size, old) in files.into_iter().filter(|_| !self.options.dry_run) {
            plan.load = self.and_file(ctx, plan.load, size, old);
            plan.sizes.extend(Some(size).filter(|size| is_worth_copying(*size)));
            plan.uploads.push(file);
        }
        while !self.pending.is_empty() && plan.entries < self.options.batch_entries {
            let (mut compared, failures) = self.compare_next(ctx, retries).await?;
            plan.summary.failures.extend(failures);
            self.decide(ctx, retries, &mut compared, &mut plan.summary).await?;
            for one in compared.into_iter().rev() {
                self.plan(ctx, one, &mut plan);
            }
        }
        let mut candidates = CopyCandidates::default();
        if !self.options.dry_run {
            candidates = self.listed.find(ctx, retries, &plan.sizes).await?;
            let (_, failures) = delete::remove(ctx, retries, &plan.in_the_way).await?;
            plan.summary.failures.extend(failures);
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
