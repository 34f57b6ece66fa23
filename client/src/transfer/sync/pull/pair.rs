//! A directory on the server and its local counterpart.

use super::super::compare::{Differences, DirectoryComparison, DirectoryListing, SourceEntry, is_same_time};
use super::super::digests::{self, FilePair, LocalFile};
use super::super::local::{self, LocalListing, unreadable};
use super::super::time_steps::TimeSteps;
use super::super::{Direction, SyncOptions, joined};
use super::folds;
use crate::conversation::ConversationError;
use crate::transfer::get::{DirectoryAttributes, LocalBackup, PlannedDirectory, open_directory};
use crate::transfer::local::LocalDirectory;
use crate::transfer::names::{check_component, is_beside};
use crate::transfer::retries::Retries;
use crate::transfer::{Failure, TransferContext, path_bytes};
use sshome_wire::{Entry, FileKind, PathError, RemotePath, Time};
use std::path::PathBuf;

/// A directory that is about to be compared.
#[derive(Clone, Debug)]
pub(super) struct PullPair {
    pub(super) place: PlannedDirectory,
    /// The number of names below the base that lead to the top of the tree.
    pub(super) top: usize,
    /// Whether it exists locally.
    pub(super) exists: bool,
}

/// A directory that was compared.
pub(super) struct ComparedPull {
    pub(super) pair: PullPair,
    pub(super) differences: Differences,
    /// Whether it has another time than its counterpart.
    pub(super) has_other_time: bool,
}

/// Decides by digests which of the undecided files are downloaded. Returns how many of these the server did not read, because
/// their stored digests still applied.
///
/// # Errors
/// Those of the conversation.
pub(super) async fn decide(
    ctx: &mut TransferContext<'_>,
    retries: &mut Retries,
    compared: &mut [ComparedPull],
) -> Result<u64, ConversationError> {
    let mut pairs = Vec::new();
    for ComparedPull { pair, differences, .. } in &*compared {
        for SourceEntry { entry, .. } in &differences.undecided {
            pairs.push(pair.file(entry)?);
        }
    }
    let decided = digests::compare(ctx, retries, pairs, true, None).await?;
    let mut results = decided.results.into_iter();
    for ComparedPull { differences, .. } in compared {
        differences.decide(&mut results);
    }
    Ok(decided.trusted)
}

impl PullPair {
    /// A file of the directory that exists on both sides.
    ///
    /// # Errors
    /// If its path is too long.
    pub(super) fn file(&self, entry: &Entry) -> Result<FilePair, PathError> {
        let (base, below) = (self.place.base.clone(), self.place.below.clone());
        let local = LocalFile { base, below, name: entry.name.clone(), follow: false };
        Ok(FilePair { local, remote: self.place.remote.join(&entry.name)?, size: entry.size })
    }

    /// The path below the top of the tree, which the filter sees.
    pub(super) fn relative(&self) -> PathBuf {
        self.place.below.iter().skip(self.top).filter_map(|name| crate::names::path(name)).collect()
    }

    /// Compares a directory, whose listing has arrived, with its counterpart. The directory of old versions takes no part.
    ///
    /// # Errors
    /// If that cannot be read.
    pub(super) fn compare(
        mut self,
        listing: DirectoryListing,
        options: &SyncOptions,
        steps: &TimeSteps,
        backup: Option<&LocalBackup>,
        now: Option<Time>,
    ) -> Result<ComparedPull, Failure> {
        let path = self.place.local();
        let open = || {
            let directory = open_directory(&self.place.base, &self.place.below)?;
            let (listing, mtime) = (local::list(&directory, &path)?, directory.mtime()?);
            Ok((directory, listing, mtime))
        };
        let ours = self.exists.then(open).transpose().map_err(|error| unreadable(&path, &error))?;
        let is_empty = listing.entries.is_empty();
        let (mut source, mut failures) = usable(listing.entries, &self.place.remote);
        let mut backups = Vec::new();
        let (directory, ours, our_mtime) = match ours {
            Some((directory, mut ours, mtime)) => {
                failures.extend(folds::resolve(&mut source, &mut ours, &self.place.remote, |name| {
                    directory.stat(name).ok().flatten().and_then(|stat| stat.identity)
                }));
                backups = without_backup(&mut source, &mut ours, backup);
                (Some(directory), ours, Some(mtime))
            }
            None => (None, LocalListing::default(), None),
        };
        if !options.dry_run {
            // A new directory is on the disk of the base.
            let base = LocalDirectory::open(&self.place.base).ok().filter(|_| directory.is_none());
            if let Some(disk) = directory.as_ref().or(base.as_ref()) {
                failures.extend(folds::distinguish(&mut source, &ours, &self.place.remote, disk));
            }
        }
        let is_same_time = |ours: Time, theirs: Time| match &directory {
            Some(directory) => steps.is_same(directory, ours, theirs),
            None => is_same_time(ours, theirs),
        };
        let comparison = DirectoryComparison {
            options,
            direction: Direction::Pull,
            relative: &self.relative(),
            source: self.place.remote.as_bytes(),
            now,
            is_same_time: &is_same_time,
        };
        let mut differences = comparison.compare(source, directory.as_ref().map(|_| &*ours.entries));
        let skip =
            |entry: &Entry| comparison.failure(&entry.name, "not pulled: locally --backup-dir has its name");
        differences.skipped.extend(backups.iter().map(skip));
        failures.extend(ours.failures);
        failures.extend(comparison.conflicts(&differences));
        let is_top = self.place.below.len() == self.top;
        failures.extend(comparison.check_top(&differences, is_empty).filter(|_| is_top));
        differences.failures.extend(failures);
        if options.delete.is_some() {
            keep_saved(&mut differences, &path);
        }
        // Not every system can set the time of a directory.
        let has_other_time = cfg!(unix) && our_mtime.is_some_and(|ours| !is_same_time(ours, listing.mtime));
        if let Some(DirectoryAttributes { mtime, .. }) = &mut self.place.attributes {
            *mtime = listing.mtime;
        }
        Ok(ComparedPull { pair: self, differences, has_other_time })
    }
}

/// Leaves out the directory of old versions, and the entry of its name on the server, which is returned.
fn without_backup(
    source: &mut Vec<Entry>,
    local: &mut LocalListing,
    backup: Option<&LocalBackup>,
) -> Vec<Entry> {
    let identities = &local.identities;
    let is_backup =
        |entry: &Entry| backup.is_some_and(|backup| backup.is_at(identities.get(&entry.name).copied()));
    let names: Vec<_> =
        local.entries.extract_if(.., |entry| is_backup(entry)).map(|entry| entry.name).collect();
    source.extract_if(.., |entry| names.contains(&entry.name)).collect()
}

/// The entries that can have a local counterpart, and the failures of the others.
fn usable(entries: Vec<Entry>, directory: &RemotePath) -> (Vec<Entry>, Vec<Failure>) {
    let mut failures = Vec::new();
    let is_usable = |entry: &Entry| {
        let why = match check_component(&entry.name) {
            Err(why) => why.to_owned(),
            Ok(()) if crate::names::path(&entry.name).is_none() => {
                "this system cannot have a file of this name".to_owned()
            }
            Ok(()) => match directory.join(&entry.name) {
                Ok(_) => return true,
                Err(error) => error.to_string(),
            },
        };
        failures.push(Failure::of(&joined(directory.as_bytes(), &entry.name), why));
        false
    };
    let usable = entries.into_iter().filter(is_usable).collect();
    (usable, failures)
}

/// What a get may have saved beside another file is not deleted.
fn keep_saved(differences: &mut Differences, path: &std::path::Path) {
    let is_saved = |entry: &Entry| entry.kind != FileKind::Directory && is_beside(&entry.name);
    for entry in differences.extra.extract_if(.., |entry| is_saved(entry)) {
        let path = path.join(crate::names::path(&entry.name).unwrap_or_default());
        let why = "not deleted: a get may have saved it";
        differences.skipped.push(Failure::of(path_bytes(&path), why));
    }
}
