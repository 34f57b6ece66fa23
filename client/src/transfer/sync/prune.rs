//! Deletes what exists only locally: last, deepest first, and only if nothing failed. Each entry is looked at again just
//! before, through the handle of its directory: no link is followed.

use super::delete::is_unchanged;
use super::{SyncAction, SyncOptions, joined, limits, report_local};
use crate::conversation::ConversationError;
use crate::transfer::get::{BackupWriter, LocalBackup, PlannedDirectory, open_directory};
use crate::transfer::local::{LocalDirectory, LocalStat};
use crate::transfer::names::{is_beside, is_part};
use crate::transfer::{CappedList, Failure, TransferContext, TransferSummary, blocking, path_bytes};
use sshome_wire::{Entry, FileKind, Time};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

/// Entries that exist only locally.
#[derive(Debug)]
pub(super) struct LocalExtras {
    /// The destination, for messages.
    target: PathBuf,
    /// Directories of the destination that have some.
    directories: Vec<ExtraDirectory>,
    /// The number of entries that were listed locally.
    listed: u64,
}

/// A directory of the destination, and its extra entries.
#[derive(Debug)]
struct ExtraDirectory {
    place: Arc<PlannedDirectory>,
    /// Its path below the top of the tree.
    relative: PathBuf,
    entries: Vec<Entry>,
}

impl LocalExtras {
    pub(super) fn new(target: PathBuf) -> LocalExtras {
        LocalExtras { target, directories: Vec::new(), listed: 0 }
    }

    /// Counts entries of a listing.
    pub(super) fn count(&mut self, entries: usize) {
        self.listed += entries as u64;
    }

    /// Adds the extra entries of a directory. `relative` is its path below the top of the tree.
    pub(super) fn add(&mut self, place: &Arc<PlannedDirectory>, relative: PathBuf, entries: Vec<Entry>) {
        if !entries.is_empty() {
            self.directories.push(ExtraDirectory { place: Arc::clone(place), relative, entries });
        }
    }
}

/// Deletes the extra entries within the limits. With a dry run it only reports them.
///
/// # Errors
/// If a thread failed, or it was cancelled. Entries that cannot be deleted are in the summary.
pub(super) async fn run(
    ctx: &mut TransferContext<'_>,
    extras: LocalExtras,
    (options, backup): (&SyncOptions, Option<Arc<LocalBackup>>),
    failures: &CappedList<Failure>,
) -> Result<TransferSummary, ConversationError> {
    let mut summary = TransferSummary::default();
    let LocalExtras { target, directories, listed } = extras;
    if directories.is_empty() {
        return Ok(summary);
    }
    let refused = |why: &str| limits::refusal(path_bytes(&target), why);
    if failures.count() > 0 {
        summary.skipped.push(refused(limits::FIRST_FIX));
        return Ok(summary);
    }
    let directories = Arc::new(directories);
    let (surveyed, own, old) = (Arc::clone(&directories), options.clone(), backup.clone());
    let survey = match blocking(move || Survey::of(&surveyed, &own, old.as_deref())).await? {
        Ok(survey) => survey,
        Err(failure) => {
            summary.failures.push(failure);
            summary.skipped.push(refused("a directory could not be listed"));
            return Ok(summary);
        }
    };
    let Survey { mut doomed, below, kept } = survey;
    summary.skipped.extend(kept);
    doomed.retain(|one| !one.is_kept);
    if let Err(why) = limits::check(options, doomed.len() as u64, listed + below) {
        summary.failures.push(refused(&why));
        return Ok(summary);
    }
    // A directory comes before its entries, so the reverse order is deepest first.
    doomed.reverse();
    for one in &doomed {
        let DoomedEntry { within, entry, .. } = one;
        let is_directory = entry.kind == FileKind::Directory;
        let remote = joined(&within.remote, &entry.name);
        report_local(ctx, SyncAction::Delete, &remote, &one.path(), is_directory);
    }
    if options.dry_run {
        return Ok(summary);
    }
    let cancel = ctx.cancel.clone();
    let remove = move || remove_all(&directories, &doomed, backup.map(BackupWriter::new), &cancel);
    let removed = blocking(remove).await?;
    summary.deleted = removed.count;
    summary.failures.extend(removed.failures);
    if ctx.cancel.is_cancelled() { Err(ConversationError::Cancelled) } else { Ok(summary) }
}

/// What would be deleted.
#[derive(Default)]
struct Survey {
    /// Each directory before its entries.
    doomed: Vec<DoomedEntry>,
    /// The number of entries below the extra ones.
    below: u64,
    /// Entries that stay, with a warning.
    kept: Vec<Failure>,
}

/// An entry that may be deleted.
struct DoomedEntry {
    within: Arc<DoomedDirectory>,
    entry: Entry,
    /// The entry that it is in, unless that is a directory of the destination.
    parent: Option<usize>,
    /// It stays: it is protected, or contains something that is.
    is_kept: bool,
}

/// A directory in which something is deleted.
struct DoomedDirectory {
    base: PathBuf,
    below: Vec<Vec<u8>>,
    /// The path of its counterpart on the server.
    remote: Vec<u8>,
    /// Its path below the top of the tree.
    relative: PathBuf,
}

impl DoomedEntry {
    fn path(&self) -> PathBuf {
        self.within.path().join(crate::names::path(&self.entry.name).unwrap_or_default())
    }
}

impl DoomedDirectory {
    fn of(directory: &ExtraDirectory) -> DoomedDirectory {
        let ExtraDirectory { place, relative, .. } = directory;
        let (base, below) = (place.base.clone(), place.below.clone());
        DoomedDirectory { base, below, remote: place.remote.as_bytes().to_vec(), relative: relative.clone() }
    }

    /// The directory of this name in it.
    fn child(&self, name: &[u8]) -> DoomedDirectory {
        let mut below = self.below.clone();
        below.push(name.to_vec());
        let relative = self.relative.join(crate::names::path(name).unwrap_or_default());
        DoomedDirectory { base: self.base.clone(), below, remote: joined(&self.remote, name), relative }
    }

    fn path(&self) -> PathBuf {
        let mut path = self.base.clone();
        path.extend(self.below.iter().filter_map(|name| crate::names::path(name)));
        path
    }

    fn open(&self) -> io::Result<LocalDirectory> {
        open_directory(&self.base, &self.below)
    }
}

impl Survey {
    /// Lists the extra directories to their ends.
    fn of(
        directories: &[ExtraDirectory],
        options: &SyncOptions,
        backup: Option<&LocalBackup>,
    ) -> Result<Survey, Failure> {
        let mut survey = Survey::default();
        for directory in directories {
            let within = Arc::new(DoomedDirectory::of(directory));
            let first = survey.doomed.len();
            for entry in &directory.entries {
                survey.doom(&within, entry.clone(), None);
            }
            survey.list_below(first, options, backup)?;
        }
        Ok(survey)
    }

    fn doom(&mut self, within: &Arc<DoomedDirectory>, entry: Entry, parent: Option<usize>) {
        self.doomed.push(DoomedEntry { within: Arc::clone(within), entry, parent, is_kept: false });
    }

    /// Adds what is in the directories from this number on.
    fn list_below(
        &mut self,
        first: usize,
        options: &SyncOptions,
        backup: Option<&LocalBackup>,
    ) -> Result<(), Failure> {
        let mut next = first;
        while let Some(one) = self.doomed.get(next) {
            let number = next;
            next += 1;
            if one.is_kept || one.entry.kind != FileKind::Directory {
                continue;
            }
            let (directory, path) = (Arc::new(one.within.child(&one.entry.name)), one.path());
            let unreadable =
                |error: io::Error| Failure::of(path_bytes(&path), format!("cannot read it: {error}"));
            let opened = match directory.open() {
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                opened => opened.map_err(unreadable)?,
            };
            if one.within.open().map_err(unreadable)?.device() != opened.device() {
                self.kept.push(Failure::of(path_bytes(&path), "not deleted: another disk is mounted there"));
                self.keep(number);
                continue;
            }
            for stat in opened.entries().map_err(unreadable)?.into_values() {
                let LocalStat { entry, identity } = stat.map_err(unreadable)?;
                self.below += 1;
                let is_backup = backup.is_some_and(|backup| backup.is_at(identity));
                let is_protected = is_backup || is_protected(&directory.relative, &entry, options);
                self.doom(&directory, entry, Some(number));
                if is_protected {
                    self.keep(self.doomed.len() - 1);
                }
            }
        }
        Ok(())
    }

    /// Keeps an entry, and the directories that it is in.
    fn keep(&mut self, number: usize) {
        let mut next = Some(number);
        while let Some(one) = next.and_then(|number| self.doomed.get_mut(number)) {
            one.is_kept = true;
            next = one.parent;
        }
    }
}

/// Whether an entry below an extra directory stays: the filter excludes it, or a get has left it.
fn is_protected(directory: &Path, entry: &Entry, options: &SyncOptions) -> bool {
    let is_directory = entry.kind == FileKind::Directory;
    let is_left = !is_directory && (is_part(&entry.name) || is_beside(&entry.name));
    let is_excluded = || {
        let name = crate::names::path(&entry.name);
        name.is_none_or(|name| options.filter.excludes(&directory.join(name), is_directory))
    };
    is_left || !options.deletes_excluded() && is_excluded()
}

/// What was removed.
#[derive(Default)]
struct RemovedEntries {
    count: u64,
    failures: Vec<Failure>,
}

/// Removes entries that are still as they were listed; with a backup, files and links are moved there. A missing one counts as
/// removed.
fn remove_all(
    directories: &[ExtraDirectory],
    doomed: &[DoomedEntry],
    mut backup: Option<BackupWriter>,
    cancel: &CancellationToken,
) -> RemovedEntries {
    let mut removed = RemovedEntries::default();
    // A directory may be closed to its owner.
    let modes: Vec<Option<u32>> = directories.iter().map(open_to_change).collect();
    let mut opened = Vec::new();
    let mut open: Option<(&Arc<DoomedDirectory>, io::Result<LocalDirectory>)> = None;
    for one in doomed {
        if cancel.is_cancelled() {
            break;
        }
        if !open.as_ref().is_some_and(|(within, _)| Arc::ptr_eq(within, &one.within)) {
            let directory = one.within.open();
            if one.parent.is_some()
                && let Ok(directory) = &directory
            {
                opened.extend(OpenedDirectory::of(&one.within, directory));
            }
            open = Some((&one.within, directory));
        }
        let Some((_, directory)) = &open else { continue };
        let done = match directory {
            Ok(directory) => remove(directory, one, backup.as_mut()),
            Err(error) => Err(format!("not deleted: {error}")),
        };
        match done {
            Ok(()) => removed.count += 1,
            Err(why) => removed.failures.push(Failure::of(path_bytes(&one.path()), why)),
        }
    }
    drop(open);
    if let Some(Err(why)) = backup.as_mut().map(BackupWriter::sync) {
        removed.failures.push(Failure::of(b"--backup-dir", why));
    }
    removed.failures.extend(opened.into_iter().filter_map(|one| one.finish().err()));
    for (directory, mode) in directories.iter().zip(modes) {
        removed.failures.extend(finish(directory, mode).err());
    }
    removed
}

fn remove(
    directory: &LocalDirectory,
    DoomedEntry { within, entry: listed, .. }: &DoomedEntry,
    backup: Option<&mut BackupWriter>,
) -> Result<(), String> {
    let failed = |error: io::Error| format!("not deleted: {error}");
    match directory.stat(&listed.name).map_err(failed)? {
        None => return Ok(()),
        Some(now) if !is_unchanged(listed, &now.entry) => return Err(limits::CHANGED_SINCE_LISTED.to_owned()),
        Some(_) => {}
    }
    match (listed.kind, backup) {
        (FileKind::Directory, _) => {
            directory.remove_directory(&listed.name).map_err(|error| match error.kind() {
                io::ErrorKind::DirectoryNotEmpty => limits::NOT_EMPTY.to_owned(),
                _ => failed(error),
            })
        }
        (_, Some(backup)) => backup.move_away(directory, &within.below, &listed.name).map_err(failed),
        (_, None) => directory.remove(&listed.name).map_err(failed),
    }
}

/// An extra directory that was made accessible to its owner.
struct OpenedDirectory {
    directory: Arc<DoomedDirectory>,
    mode: u32,
    mtime: Time,
}

impl OpenedDirectory {
    /// Makes a directory accessible if it is not. What cannot be removed then is reported.
    fn of(within: &Arc<DoomedDirectory>, directory: &LocalDirectory) -> Option<OpenedDirectory> {
        let (mtime, mode) = (directory.mtime().ok()?, directory.open_to_change().ok()??);
        Some(OpenedDirectory { directory: Arc::clone(within), mode, mtime })
    }

    /// Gives it back its mode and time, if it still exists.
    fn finish(&self) -> Result<(), Failure> {
        let finish = || self.directory.open()?.finish(Some(self.mode), self.mtime);
        match finish() {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(unfinished(&self.directory.path(), &error))
            }
            _ => Ok(()),
        }
    }
}

/// Makes a directory of the destination accessible to its owner. Returns the mode that it has to get afterwards.
fn open_to_change(ExtraDirectory { place, .. }: &ExtraDirectory) -> Option<u32> {
    // What cannot be removed then is reported.
    open_directory(&place.base, &place.below).and_then(|one| one.open_to_change()).unwrap_or_default()
}

/// Gives a directory back the mode and the time that the deletion has changed, and syncs its names.
fn finish(ExtraDirectory { place, .. }: &ExtraDirectory, mode: Option<u32>) -> Result<(), Failure> {
    let finish = || -> io::Result<()> {
        let directory = open_directory(&place.base, &place.below)?;
        if let Some(attributes) = place.attributes {
            directory.finish(mode, attributes.mtime)?;
        }
        directory.sync()
    };
    finish().map_err(|error| unfinished(&place.local(), &error))
}

fn unfinished(directory: &Path, error: &io::Error) -> Failure {
    Failure::of(path_bytes(directory), format!("cannot set the directory's mode and time here: {error}"))
}
