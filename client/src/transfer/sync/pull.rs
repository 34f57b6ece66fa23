//! Walks through trees on the server and their local counterparts, and downloads what differs.

mod folds;
mod pair;
mod recent;
mod target;

use super::compare::{Differences, DirectoryComparison, SourceEntry, SyncVerdict, is_same_time};
use super::digests::{self, DigestResult, FilePair, LocalFile};
use super::listing::list;
use super::prune::{self, LocalExtras};
use super::time_steps::TimeSteps;
use super::{Direction, MAX_PIPELINED_LISTINGS, SyncAction, SyncOptions, joined, report_local};
use crate::conversation::ConversationError;
use crate::transfer::get::{
    self, DirectoryAttributes, DownloadWork, LocalBackup, PendingDirectory, Plan, PlannedDirectory,
    PlannedFile, PlannedLink, UnfinishedDirectories, unfinished,
};
use crate::transfer::local::LocalDirectory;
use crate::transfer::retries::Retries;
use crate::transfer::{
    Failure, Transfer, TransferContext, TransferOptions, TransferSummary, blocking, steps,
};
use pair::{ComparedPull, PullPair};
use sshome_wire::{Entry, FileKind, RemotePath};
use std::path::Path;
use std::sync::Arc;
use target::{PullSource, find_sources};

/// Makes local directories like those on the server.
///
/// The content of a single source becomes that of `target`; each of several sources becomes `target/NAME`. A single source
/// that is a file becomes `target`, or a file in it if that is a directory or `into_directory` is set.
///
/// # Errors
/// If it could not begin (`Refused`, `Local`), was cancelled (`Cancelled`; whole files stay), or the connection is lost.
/// Failures of single files are in the summary, and nothing is deleted then.
pub async fn pull(
    mut ctx: TransferContext<'_>,
    sources: &[RemotePath],
    target: &Path,
    into_directory: bool,
    options: &SyncOptions,
) -> Result<TransferSummary, ConversationError> {
    let done = pull_and_delete(&mut ctx, sources, (target, into_directory), options).await;
    ctx.finish(done).await
}

async fn pull_and_delete(
    ctx: &mut TransferContext<'_>,
    sources: &[RemotePath],
    target: (&Path, bool),
    options: &SyncOptions,
) -> Result<TransferSummary, ConversationError> {
    let mut retries = Retries::default();
    let found = find_sources(ctx, &mut retries, sources, target, options).await?;
    let mut pull = PullTransfer::begin(ctx, &mut retries, found, target.0, options).await?;
    let mut summary = steps(ctx, &mut pull, options.jobs).await?;
    if options.delete.is_some() {
        summary.add(prune::run(ctx, pull.extras, (options, pull.backup), &summary.failures).await?);
    }
    Ok(summary)
}

/// The directory for old versions, if one is wanted; in a dry run only if it exists.
async fn find_backup(
    sources: &[PullSource],
    is_alone: bool,
    options: &SyncOptions,
) -> Result<Option<LocalBackup>, ConversationError> {
    let (Some(directory), Some(first)) = (options.local_backup.clone(), sources.first()) else {
        return Ok(None);
    };
    if options.dry_run {
        return Ok(LocalBackup::existing(directory));
    }
    let (base, name) = (first.base.clone(), first.name.clone().filter(|_| is_alone));
    let make = move || LocalBackup::make(directory, &base, name.as_deref());
    blocking(make).await?.map(Some).map_err(ConversationError::Local)
}

struct PullTransfer<'a> {
    options: &'a SyncOptions,
    /// Directories that remain to be compared, the next one last.
    pending: Vec<PendingPull>,
    /// Files that were named and differ, until the first batch.
    named: PullBatch,
    /// Directories without their final modes and times.
    folders: UnfinishedDirectories,
    extras: LocalExtras,
    steps: Arc<TimeSteps>,
    /// Where old versions are kept.
    backup: Option<Arc<LocalBackup>>,
    /// Files that are compared again at the end.
    recent: Vec<(PullPair, Vec<Entry>)>,
    is_first: bool,
}

/// A directory that remains to be compared.
struct PendingPull {
    directory: PendingDirectory,
    /// The number of names below the base that lead to the top of the tree.
    top: usize,
    /// Whether it exists locally.
    exists: bool,
}

/// The downloads of a batch.
#[derive(Default)]
struct PullBatch {
    plan: Plan,
    /// Whether each directory of the plan does not exist yet.
    new: Vec<bool>,
    summary: TransferSummary,
}

impl<'a> PullTransfer<'a> {
    async fn begin(
        ctx: &mut TransferContext<'_>,
        retries: &mut Retries,
        (sources, failures): (Vec<PullSource>, Vec<Failure>),
        target: &Path,
        options: &'a SyncOptions,
    ) -> Result<PullTransfer<'a>, ConversationError> {
        let is_alone = sources.len() == 1 && failures.is_empty();
        let backup = find_backup(&sources, is_alone, options).await?.map(Arc::new);
        let (pending, mut named, folders) =
            (Vec::new(), PullBatch::default(), UnfinishedDirectories::default());
        named.summary.failures.extend(failures);
        let (extras, steps) = (LocalExtras::new(target.to_owned()), Arc::default());
        let (recent, is_first) = (Vec::new(), true);
        let mut pull =
            PullTransfer { options, pending, named, folders, extras, steps, backup, recent, is_first };
        for source in sources {
            if source.entry.kind != FileKind::Directory {
                pull.add_file(ctx, retries, source).await?;
                continue;
            }
            let PullSource { remote, entry, base, name, exists } = source;
            let below: Vec<Vec<u8>> = name.into_iter().collect();
            let (top, attributes) = (below.len(), Some(DirectoryAttributes::of(&entry)));
            let place = PlannedDirectory { remote, base, below, attributes, link_parents: Arc::default() };
            pull.pending.push(PendingPull { directory: PendingDirectory::top(place), top, exists });
        }
        pull.pending.reverse();
        Ok(pull)
    }

    /// Adds a file that was named, unless the same exists.
    async fn add_file(
        &mut self,
        ctx: &mut TransferContext<'_>,
        retries: &mut Retries,
        PullSource { remote, entry, base, name, exists }: PullSource,
    ) -> Result<(), ConversationError> {
        let name = name.unwrap_or_default();
        let unreadable = |error| ConversationError::Local(format!("{}: {error}", crate::names::shown(&base)));
        let directory = exists.then(|| LocalDirectory::open(&base)).transpose().map_err(unreadable)?;
        let ours =
            directory.as_ref().map(|directory| directory.stat(&name)).transpose().map_err(unreadable)?;
        let ours = ours.flatten().map(|stat| stat.entry);
        if ours.as_ref().is_some_and(|ours| ours.kind == FileKind::Directory) {
            let failure = Failure::of(remote.as_bytes(), Direction::Pull.conflict(false));
            self.named.summary.failures.push(failure);
            return Ok(());
        }
        let steps = &self.steps;
        let is_same_time = |ours, theirs| match &directory {
            Some(directory) => steps.is_same(directory, ours, theirs),
            None => is_same_time(ours, theirs),
        };
        let comparison = DirectoryComparison {
            options: self.options,
            direction: Direction::Pull,
            relative: Path::new(""),
            source: remote.as_bytes(),
            now: None,
            is_same_time: &is_same_time,
        };
        let is_same = match comparison.judge(&entry, ours.as_ref()) {
            SyncVerdict::Ignored => return Ok(()),
            SyncVerdict::Unchanged => true,
            SyncVerdict::Transferred => false,
            SyncVerdict::Undecided => {
                let local =
                    LocalFile { base: base.clone(), below: Vec::new(), name: name.clone(), follow: false };
                let pair = vec![FilePair { local, remote: remote.clone(), size: entry.size }];
                let compared = digests::compare(ctx, retries, pair, true, None).await?;
                self.named.summary.trusted += compared.trusted;
                matches!(compared.results.as_slice(), [DigestResult::Same])
            }
        };
        if is_same {
            self.named.summary.unchanged += 1;
            return Ok(());
        }
        let action = if ours.is_some() { SyncAction::Update } else { SyncAction::Create };
        let path = base.join(crate::names::path(&name).unwrap_or_default());
        report_local(ctx, action, remote.as_bytes(), &path, false);
        if !self.options.dry_run {
            let PullBatch { plan, new, .. } = &mut self.named;
            plan.add_file(&remote, base, &name);
            new.resize(plan.places.len(), false);
            if let Some(file) = plan.files.last_mut() {
                (file.size, file.is_new) = (Some(entry.size), ours.is_none());
            }
        }
        Ok(())
    }

    /// Compares the next directories. Failures go to the batch.
    async fn compare_next(
        &mut self,
        ctx: &mut TransferContext<'_>,
        retries: &mut Retries,
        batch: &mut PullBatch,
    ) -> Result<Vec<ComparedPull>, ConversationError> {
        let first = self.pending.len().saturating_sub(MAX_PIPELINED_LISTINGS);
        let mut pending = self.pending.split_off(first);
        pending.reverse();
        let mut pairs = Vec::new();
        for PendingPull { directory, top, exists } in &pending {
            pairs.push(PullPair { place: directory.place()?, top: *top, exists: *exists });
        }
        let list_pairs = async |ctx: &mut TransferContext<'_>, _: &mut Retries| {
            let directories = pairs.iter().map(|pair| Some(&pair.place.remote));
            list(ctx, &directories.collect::<Vec<_>>(), self.options.batch_entries).await
        };
        let listed = retries.persist(ctx, list_pairs).await?;
        // What was not listed waits for the next time.
        self.pending.extend(pending.drain(listed.len().min(pending.len())..).rev());
        let mut known = Vec::new();
        for (pair, listing) in pairs.into_iter().zip(listed) {
            match listing {
                Ok(listing) => known.push((pair, listing.unwrap_or_default())),
                Err(failure) => batch.summary.failures.push(failure),
            }
        }
        let (options, steps, backup) = (self.options.clone(), Arc::clone(&self.steps), self.backup.clone());
        let now = ctx.conversation.server_time();
        let compare_all = move || {
            let compare = |(pair, listing): (PullPair, _)| {
                pair.compare(listing, &options, &steps, backup.as_deref(), now)
            };
            known.into_iter().map(compare).collect::<Vec<_>>()
        };
        let mut compared = Vec::new();
        for one in blocking(compare_all).await? {
            match one {
                Ok(one) => compared.push(one),
                Err(failure) => batch.summary.failures.push(failure),
            }
        }
        Ok(compared)
    }

    /// Plans the downloads of a directory, and notes what remains to be compared below it.
    fn plan(&mut self, ctx: &TransferContext<'_>, compared: ComparedPull, batch: &mut PullBatch) {
        let ComparedPull { pair, differences, has_other_time } = compared;
        let Differences { transfer, directories, extra, recent, .. } = differences;
        // They count when they have been compared again.
        batch.summary.unchanged += differences.unchanged - recent.len() as u64;
        if !recent.is_empty() {
            self.recent.push((pair.clone(), recent));
        }
        self.extras.count(differences.destination_entries);
        batch.summary.skipped.extend(differences.skipped);
        batch.summary.failures.extend(differences.failures);
        let PullPair { place, top, exists } = &pair;
        let makes_directories = directories.iter().any(|one| !one.exists) && !self.options.existing;
        if !exists {
            report_local(ctx, SyncAction::Create, place.remote.as_bytes(), &place.local(), true);
        } else if has_other_time {
            report_local(ctx, SyncAction::Update, place.remote.as_bytes(), &place.local(), true);
        }
        let number = batch.plan.places.len();
        if (!exists || has_other_time || !transfer.is_empty() || makes_directories) && !self.options.dry_run {
            batch.plan.places.push(place.clone());
            batch.new.push(!exists);
        }
        for SourceEntry { entry, exists } in transfer {
            let action = if exists { SyncAction::Update } else { SyncAction::Create };
            let remote = joined(place.remote.as_bytes(), &entry.name);
            report_local(ctx, action, &remote, &place.path(&entry.name), false);
            if self.options.dry_run {
                continue;
            }
            match entry.kind {
                FileKind::Symlink => batch.plan.links.push(PlannedLink {
                    place: number,
                    name: entry.name,
                    target: entry.target,
                    is_new: !exists,
                }),
                _ => batch.plan.files.push(PlannedFile {
                    place: number,
                    name: entry.name.into_boxed_slice(),
                    rename: None,
                    size: Some(entry.size),
                    is_new: !exists,
                }),
            }
        }
        let place = Arc::new(pair.place.clone());
        if self.options.delete.is_some() {
            self.extras.add(&place, pair.relative(), extra);
        }
        let wanted = |one: &SourceEntry| one.exists || !self.options.existing;
        for SourceEntry { entry, exists } in directories.into_iter().rev().filter(wanted) {
            let attributes = DirectoryAttributes::of(&entry);
            let directory =
                PendingDirectory::child(Arc::clone(&place), entry.name.into_boxed_slice(), attributes);
            self.pending.push(PendingPull { directory, top: *top, exists });
        }
    }
}

impl Transfer for PullTransfer<'_> {
    type Work = DownloadWork;

    fn has_more(&self) -> bool {
        !self.pending.is_empty()
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
        let unfinished = unfinished(self.pending.iter().map(|pair| &pair.directory));
        get::conclude(ctx, (work, coming), &mut self.folders, unfinished, executed).await
    }

    async fn give_up(&mut self) -> Result<(), ConversationError> {
        // Nothing more is written: all directories get their modes and times.
        self.folders.finish(|_| true).await.map(|_| ())
    }
}

impl PullTransfer<'_> {
    async fn next_batch(
        &mut self,
        ctx: &mut TransferContext<'_>,
        retries: &mut Retries,
    ) -> Result<Option<DownloadWork>, ConversationError> {
        let is_first = std::mem::take(&mut self.is_first);
        let mut batch = std::mem::take(&mut self.named);
        if !is_first && self.pending.is_empty() {
            if self.recent.is_empty() {
                return Ok(None);
            }
            for again in recent::compare(ctx, retries, std::mem::take(&mut self.recent)).await? {
                self.plan(ctx, again, &mut batch);
            }
        }
        while !self.pending.is_empty() && batch.plan.len() < self.options.batch_entries {
            let mut compared = self.compare_next(ctx, retries, &mut batch).await?;
            batch.summary.trusted += pair::decide(ctx, retries, &mut compared).await?;
            for one in compared.into_iter().rev() {
                self.plan(ctx, one, &mut batch);
            }
        }
        let options = TransferOptions {
            recursive: true,
            preserve: true,
            force: true,
            jobs: self.options.jobs,
            delta: self.options.delta,
            split_bytes: self.options.split_bytes,
            ..TransferOptions::default()
        };
        let PullBatch { mut plan, new, summary } = batch;
        plan.backup = self.backup.clone();
        let download = DownloadWork::planned(ctx, plan, new, options, summary).await?;
        match is_first {
            true => ctx.progress.begin(download.load.files, download.bytes),
            false => ctx.progress.grow(download.load.files, download.bytes),
        }
        Ok(Some(download))
    }
}
