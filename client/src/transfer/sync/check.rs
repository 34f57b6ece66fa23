//! Compares a local tree with one on the server, and transfers nothing.

use super::compare::{DirectoryComparison, SourceEntry, SyncVerdict, is_same_time};
use super::digests::{self, DigestResult, FilePair, LocalFile};
use super::listing::list;
use super::local::{self, unreadable};
use super::sources::find;
use super::{DifferenceKind, Direction, FileComparison, MAX_PIPELINED_LISTINGS, SyncOptions, TreeDifference};
use crate::conversation::ConversationError;
use crate::names;
use crate::transfer::get::open_directory;
use crate::transfer::jobs::Load;
use crate::transfer::retries::Retries;
use crate::transfer::{CappedList, Failure, TransferContext, blocking, local as attributes, path_bytes, put};
use sshome_wire::{Entry, FileKind, RemotePath};
use std::fs;
use std::path::{Path, PathBuf};

/// The result of a comparison.
#[derive(Clone, Debug, Default)]
pub struct CheckSummary {
    /// Files and links that are the same.
    pub same: u64,
    /// Entries that differ. A directory that exists on one side only counts as one.
    pub differences: u64,
    /// Files that were compared by the server's stored digests: it did not read them.
    pub trusted: u64,
    /// Files with the names of unfinished ones, which were not compared.
    pub unfinished: u64,
    /// Entries that were not compared, with a warning.
    pub skipped: CappedList<Failure>,
    /// What could not be read.
    pub failures: CappedList<Failure>,
}

/// Compares a local file or directory with one on the server, and reports each difference. Files of the same size are
/// compared as `options` say.
///
/// If only one of the two is a directory, the file is compared with the one of its name there.
///
/// # Errors
/// If one of the two does not exist, the connection is lost, or it was cancelled. Single entries that cannot be read are in
/// the summary.
pub async fn check(
    mut ctx: TransferContext<'_>,
    local: &Path,
    remote: &RemotePath,
    options: &SyncOptions,
) -> Result<CheckSummary, ConversationError> {
    let done = TreeCheck::run(&mut ctx, local, remote, options).await;
    ctx.finish(done).await
}

struct TreeCheck<'a> {
    options: &'a SyncOptions,
    /// The local directory that the user named.
    base: PathBuf,
    /// Directories that remain to be compared, the next one last.
    pending: Vec<CheckPair>,
    summary: CheckSummary,
    is_first: bool,
}

/// A directory that both sides have.
#[derive(Clone)]
struct CheckPair {
    /// The names below the tops of the trees.
    below: Vec<Vec<u8>>,
    remote: RemotePath,
}

/// A directory that was compared.
struct CheckedPair {
    pair: CheckPair,
    same: u64,
    undecided: Vec<Entry>,
    directories: Vec<Entry>,
    differences: Vec<(DifferenceKind, Entry)>,
    unfinished: u64,
    skipped: Vec<Failure>,
    failures: Vec<Failure>,
}

impl TreeCheck<'_> {
    async fn run(
        ctx: &mut TransferContext<'_>,
        local: &Path,
        remote: &RemotePath,
        options: &SyncOptions,
    ) -> Result<CheckSummary, ConversationError> {
        let mut retries = Retries::default();
        let (base, summary) = (local.to_owned(), CheckSummary::default());
        let mut check = TreeCheck { options, base, pending: Vec::new(), summary, is_first: true };
        let failed = ConversationError::Local;
        let ours = fs::metadata(local)
            .map_err(|error| failed(format!("{}: cannot read it: {error}", names::shown(local))))?;
        let (remote, theirs) = find(ctx, &mut retries, remote).await?;
        let theirs = theirs.ok_or_else(|| failed(format!("{remote} does not exist on the server")))?;
        match (ours.is_dir(), theirs.kind == FileKind::Directory) {
            (true, true) => check.pending.push(CheckPair { below: Vec::new(), remote }),
            (true, false) => {
                let name = remote.file_name().unwrap_or_default().to_vec();
                let path = local.join(names::path(&name).unwrap_or_default());
                check.check_file(ctx, &mut retries, &path, (remote, theirs)).await?;
            }
            (false, true) => {
                let name = put::base_name(local).map_err(failed)?;
                let (remote, theirs) = find(ctx, &mut retries, &remote.join(&name)?).await?;
                let theirs =
                    theirs.ok_or_else(|| failed(format!("{remote} does not exist on the server")))?;
                check.check_file(ctx, &mut retries, local, (remote, theirs)).await?;
            }
            (false, false) => check.check_file(ctx, &mut retries, local, (remote, theirs)).await?,
        }
        while !check.pending.is_empty() {
            let mut compared = check.compare_next(ctx, &mut retries).await?;
            check.decide(ctx, &mut retries, &mut compared).await?;
            for one in compared.into_iter().rev() {
                check.conclude(ctx, one);
            }
        }
        Ok(check.summary)
    }

    /// Compares two files.
    async fn check_file(
        &mut self,
        ctx: &mut TransferContext<'_>,
        retries: &mut Retries,
        local: &Path,
        (remote, theirs): (RemotePath, Entry),
    ) -> Result<(), ConversationError> {
        let ours = fs::metadata(local).map_err(|error| {
            ConversationError::Local(format!("{}: cannot read it: {error}", names::shown(local)))
        })?;
        let name = put::base_name(local).map_err(ConversationError::Local)?;
        let ours = attributes::entry(name.clone(), &ours, Vec::new());
        let comparison = DirectoryComparison {
            options: self.options,
            direction: Direction::Check,
            relative: Path::new(""),
            source: path_bytes(local),
            now: None,
            is_same_time: &is_same_time,
        };
        let verdict = match ours.kind == FileKind::File && theirs.kind == FileKind::File {
            true => comparison.judge(&ours, Some(&theirs)),
            false => SyncVerdict::Transferred,
        };
        let result = match verdict {
            SyncVerdict::Ignored => return Ok(()),
            SyncVerdict::Unchanged => DigestResult::Same,
            SyncVerdict::Transferred => DigestResult::Different,
            SyncVerdict::Undecided => {
                let base = local.parent().map(Path::to_owned).unwrap_or_default();
                let local = LocalFile { base, below: Vec::new(), name, follow: true };
                let pairs = vec![FilePair { local, remote, size: ours.size }];
                self.digest(ctx, retries, pairs).await?.pop().unwrap_or(DigestResult::Different)
            }
        };
        match result {
            DigestResult::Same => self.summary.same += 1,
            DigestResult::Different => self.report(ctx, DifferenceKind::Differs, &ours.name, false),
            DigestResult::Unreadable(failure) => self.summary.failures.push(failure),
        }
        Ok(())
    }

    /// Compares the next directories.
    async fn compare_next(
        &mut self,
        ctx: &mut TransferContext<'_>,
        retries: &mut Retries,
    ) -> Result<Vec<CheckedPair>, ConversationError> {
        let first = self.pending.len().saturating_sub(MAX_PIPELINED_LISTINGS);
        let mut pairs = self.pending.split_off(first);
        pairs.reverse();
        let list_pairs = async |ctx: &mut TransferContext<'_>, _: &mut Retries| {
            let directories = pairs.iter().map(|pair| Some(&pair.remote));
            list(ctx, &directories.collect::<Vec<_>>(), self.options.batch_entries).await
        };
        let listed = retries.persist(ctx, list_pairs).await?;
        // What was not listed waits for the next time.
        self.pending.extend(pairs.drain(listed.len().min(pairs.len())..).rev());
        let mut known = Vec::new();
        for (pair, listing) in pairs.into_iter().zip(listed) {
            match listing {
                Ok(listing) => known.push((pair, listing.unwrap_or_default().entries)),
                Err(failure) => self.summary.failures.push(failure),
            }
        }
        let (base, options) = (self.base.clone(), self.options.clone());
        let compare_all = move || {
            let compare = |(pair, theirs): (CheckPair, Vec<Entry>)| pair.compare(&base, &theirs, &options);
            known.into_iter().map(compare).collect::<Vec<_>>()
        };
        let mut compared = Vec::new();
        for one in blocking(compare_all).await? {
            match one {
                Ok(one) => compared.push(one),
                Err(failure) => self.summary.failures.push(failure),
            }
        }
        Ok(compared)
    }

    /// Decides by digests which of the undecided files differ.
    async fn decide(
        &mut self,
        ctx: &mut TransferContext<'_>,
        retries: &mut Retries,
        compared: &mut [CheckedPair],
    ) -> Result<(), ConversationError> {
        let mut pairs = Vec::new();
        for CheckedPair { pair: CheckPair { below, remote }, undecided, .. } in &*compared {
            for entry in undecided {
                let (base, below, name) = (self.base.clone(), below.clone(), entry.name.clone());
                let local = LocalFile { base, below, name, follow: false };
                pairs.push(FilePair { local, remote: remote.join(&entry.name)?, size: entry.size });
            }
        }
        let mut results = self.digest(ctx, retries, pairs).await?.into_iter();
        for one in compared {
            for entry in std::mem::take(&mut one.undecided) {
                match results.next() {
                    Some(DigestResult::Same) => one.same += 1,
                    Some(DigestResult::Unreadable(failure)) => one.failures.push(failure),
                    Some(DigestResult::Different) | None => {
                        one.differences.push((DifferenceKind::Differs, entry));
                    }
                }
            }
        }
        Ok(())
    }

    /// Compares files by digests.
    async fn digest(
        &mut self,
        ctx: &mut TransferContext<'_>,
        retries: &mut Retries,
        pairs: Vec<FilePair>,
    ) -> Result<Vec<DigestResult>, ConversationError> {
        let Load { files, bytes, .. } = pairs.iter().map(|pair| pair.size).fold(Load::default(), Load::and);
        match std::mem::take(&mut self.is_first) {
            true => ctx.progress.begin(files, Some(bytes)),
            false => ctx.progress.grow(files, Some(bytes)),
        }
        let progress = ctx.progress.clone();
        let trust = self.options.comparison == FileComparison::StoredDigests;
        let compared = digests::compare(ctx, retries, pairs, trust, Some(&progress)).await?;
        self.summary.trusted += compared.trusted;
        Ok(compared.results)
    }

    /// Reports the differences of a directory in the order of their names, and notes what remains to be compared below it.
    fn conclude(&mut self, ctx: &TransferContext<'_>, checked: CheckedPair) {
        let CheckedPair { pair, same, directories, mut differences, unfinished, skipped, failures, .. } =
            checked;
        self.summary.same += same;
        self.summary.unfinished += unfinished;
        self.summary.skipped.extend(skipped);
        self.summary.failures.extend(failures);
        differences.sort_by(|(_, a), (_, b)| a.name.cmp(&b.name));
        for (kind, entry) in differences {
            let path = [&*pair.below, std::slice::from_ref(&entry.name)].concat().join(&b'/');
            self.report(ctx, kind, &path, entry.kind == FileKind::Directory);
        }
        for entry in directories.into_iter().rev() {
            let mut below = pair.below.clone();
            match pair.remote.join(&entry.name) {
                Ok(remote) => {
                    below.push(entry.name);
                    self.pending.push(CheckPair { below, remote });
                }
                Err(error) => self.summary.failures.push(Failure::of(&entry.name, error.to_string())),
            }
        }
    }

    fn report(&mut self, ctx: &TransferContext<'_>, kind: DifferenceKind, path: &[u8], is_directory: bool) {
        self.summary.differences += 1;
        ctx.progress.with_observer(|observer| observer.differs(&TreeDifference { kind, path, is_directory }));
    }
}

impl CheckPair {
    /// Compares a directory with its counterpart, which has these entries.
    fn compare(self, base: &Path, theirs: &[Entry], options: &SyncOptions) -> Result<CheckedPair, Failure> {
        let relative: PathBuf = self.below.iter().filter_map(|name| names::path(name)).collect();
        let path = base.join(&relative);
        let listed = open_directory(base, &self.below).and_then(|directory| local::list(&directory, &path));
        let ours = listed.map_err(|error| unreadable(&path, &error))?;
        let comparison = DirectoryComparison {
            options,
            direction: Direction::Check,
            relative: &relative,
            source: path_bytes(&path),
            now: None,
            is_same_time: &is_same_time,
        };
        let mut found = comparison.compare(ours.entries, Some(theirs));
        found.failures.extend(ours.failures);
        let (both, only_local): (Vec<SourceEntry>, Vec<SourceEntry>) =
            found.transfer.into_iter().partition(|one| one.exists);
        let (directories, only_local_directories): (Vec<SourceEntry>, Vec<SourceEntry>) =
            found.directories.into_iter().partition(|one| one.exists);
        let entries = |some: Vec<SourceEntry>| some.into_iter().map(|one| one.entry);
        let of_kind = |kind: DifferenceKind| move |entry: Entry| (kind, entry);
        let only_local = entries(only_local).chain(entries(only_local_directories));
        let only_remote = found.extra.into_iter().filter(|entry| options.allows_size(entry));
        let differences = only_local
            .map(of_kind(DifferenceKind::OnlyLocal))
            .chain(only_remote.map(of_kind(DifferenceKind::OnlyRemote)))
            .chain(entries(both).chain(found.conflicts).map(of_kind(DifferenceKind::Differs)))
            .collect();
        Ok(CheckedPair {
            pair: self,
            same: found.unchanged,
            undecided: entries(found.undecided).collect(),
            directories: entries(directories).collect(),
            differences,
            unfinished: found.unfinished,
            skipped: found.skipped,
            failures: found.failures,
        })
    }
}
