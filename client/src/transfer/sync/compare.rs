//! Compares the entries of a directory at the source with those at the destination.

use super::digests::DigestResult;
use super::{Direction, FileComparison, SyncOptions, joined};
use crate::names;
use crate::transfer::Failure;
use crate::transfer::local::distance;
use crate::transfer::names::is_unfinished;
use sshome_wire::{Entry, FileKind, Time};
use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::time::Duration;

/// A file that was changed less than this ago may change again without another time: FAT stores times in steps of 2 s.
const RECENT_AGE: Duration = Duration::from_secs(2);

/// A directory, listed completely.
#[derive(Clone, Debug, Default)]
pub(super) struct DirectoryListing {
    pub(super) entries: Vec<Entry>,
    /// The modification time of the directory itself.
    pub(super) mtime: Time,
    /// Its permission bits.
    pub(super) mode: u32,
}

/// How a directory is compared with its counterpart.
pub(super) struct DirectoryComparison<'a> {
    pub(super) options: &'a SyncOptions,
    pub(super) direction: Direction,
    /// The path of the directory below the top of the tree; the filter sees it.
    pub(super) relative: &'a Path,
    /// The path of the directory at the source, for messages.
    pub(super) source: &'a [u8],
    /// The time at the source; `None` if it does not matter whether its files were changed just now.
    pub(super) now: Option<Time>,
    /// Whether two modification times are the same.
    pub(super) is_same_time: &'a dyn Fn(Time, Time) -> bool,
}

/// The differences between two directories.
#[derive(Debug, Default)]
pub(super) struct Differences {
    /// Files and links to transfer.
    pub(super) transfer: Vec<SourceEntry>,
    /// Files of the same size, which only their digests can tell apart.
    pub(super) undecided: Vec<SourceEntry>,
    /// Links and special files of the destination that have to make room for something of `transfer`.
    pub(super) in_the_way: Vec<Entry>,
    pub(super) directories: Vec<SourceEntry>,
    /// Directories of the source that are none at the destination, and the reverse.
    pub(super) conflicts: Vec<Entry>,
    /// Entries that exist only at the destination.
    pub(super) extra: Vec<Entry>,
    /// Files and links that are the same.
    pub(super) unchanged: u64,
    /// Those of them that may have been changed again without another time, because they were changed just now.
    pub(super) recent: Vec<Entry>,
    /// Entries that take no part, with a warning.
    pub(super) skipped: Vec<Failure>,
    /// The number of entries with the names of unfinished files, on either side.
    pub(super) unfinished: u64,
    pub(super) failures: Vec<Failure>,
    /// The number of entries at the destination.
    pub(super) destination_entries: usize,
}

/// An entry of the source.
#[derive(Clone, Debug)]
pub(super) struct SourceEntry {
    pub(super) entry: Entry,
    /// Whether its counterpart exists.
    pub(super) exists: bool,
}

/// What is done with a file or a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SyncVerdict {
    /// Both sides have the same, or it shall stay.
    Unchanged,
    /// It takes no part.
    Ignored,
    Transferred,
    /// The digests decide.
    Undecided,
}

impl Differences {
    /// Settles the undecided files by their digests, which come in the same order. One that cannot be read is transferred:
    /// that tells why.
    pub(super) fn decide(&mut self, results: &mut impl Iterator<Item = DigestResult>) {
        for one in std::mem::take(&mut self.undecided) {
            match results.next() {
                Some(DigestResult::Same) => self.unchanged += 1,
                _ => self.transfer.push(one),
            }
        }
    }

    /// The differences of files that exist on both sides and were compared again. Their results come in the same order.
    pub(super) fn again(files: Vec<Entry>, results: &mut impl Iterator<Item = DigestResult>) -> Differences {
        let undecided = files.into_iter().map(|entry| SourceEntry { entry, exists: true }).collect();
        let mut differences = Differences { undecided, ..Differences::default() };
        differences.decide(results);
        differences
    }
}

impl DirectoryComparison<'_> {
    /// Compares a directory with its counterpart, if that exists.
    pub(super) fn compare(&self, source: Vec<Entry>, destination: Option<&[Entry]>) -> Differences {
        let destination = destination.unwrap_or_default();
        let mut found = Differences { destination_entries: destination.len(), ..Differences::default() };
        let all = source.iter().chain(destination).map(|entry| entry.name.clone());
        let names: HashSet<Vec<u8>> = all.collect();
        let mut theirs: HashMap<&[u8], &Entry> =
            destination.iter().map(|entry| (&*entry.name, entry)).collect();
        let mut seen = HashSet::new();
        for entry in source {
            let counterpart = theirs.remove(&*entry.name);
            if !seen.insert(entry.name.clone()) {
                found.failures.push(self.failure(&entry.name, "it was listed twice"));
            } else if self.excludes(&entry) {
                found.extra.extend(counterpart.filter(|_| self.options.deletes_excluded()).cloned());
            } else if is_unfinished_entry(&entry, &names) {
                found.unfinished += 1;
                found.skipped.push(self.failure(&entry.name, self.direction.unfinished()));
            } else {
                self.add(&mut found, entry, counterpart);
            }
        }
        for entry in theirs.into_values() {
            let is_excluded = self.excludes(entry);
            if is_unfinished_entry(entry, &names) {
                found.unfinished += u64::from(!is_excluded);
                let why = self.direction.unfinished_counterpart().filter(|_| !is_excluded);
                found.skipped.extend(why.map(|why| self.failure(&entry.name, why)));
            } else if !is_excluded || self.options.deletes_excluded() {
                found.extra.push(entry.clone());
            }
        }
        found.extra.sort_unstable_by(|a, b| a.name.cmp(&b.name));
        found
    }

    /// What is done with a file or a link. Its counterpart is none of a directory.
    pub(super) fn judge(&self, entry: &Entry, theirs: Option<&Entry>) -> SyncVerdict {
        let options = self.options;
        let is_file = entry.kind == FileKind::File;
        if !options.allows_size(entry) {
            return SyncVerdict::Ignored;
        }
        let is_as_long = |theirs: &Entry| theirs.kind == FileKind::File && theirs.size == entry.size;
        match theirs {
            None if options.existing => SyncVerdict::Ignored,
            None => SyncVerdict::Transferred,
            Some(_) if options.ignore_existing => SyncVerdict::Unchanged,
            Some(theirs) if !is_file => match theirs.kind == entry.kind && theirs.target == entry.target {
                true => SyncVerdict::Unchanged,
                false => SyncVerdict::Transferred,
            },
            Some(theirs) if options.update && theirs.kind == FileKind::File && theirs.mtime > entry.mtime => {
                SyncVerdict::Unchanged
            }
            Some(theirs) if !is_as_long(theirs) => SyncVerdict::Transferred,
            Some(_) if options.comparison != FileComparison::Times => SyncVerdict::Undecided,
            Some(theirs) if (self.is_same_time)(theirs.mtime, entry.mtime) => SyncVerdict::Unchanged,
            Some(_) => SyncVerdict::Transferred,
        }
    }

    fn add(&self, found: &mut Differences, entry: Entry, theirs: Option<&Entry>) {
        let is_directory = |entry: &Entry| entry.kind == FileKind::Directory;
        let exists = theirs.is_some();
        if entry.kind == FileKind::Special {
            return found.skipped.push(self.failure(&entry.name, "it is not a regular file"));
        }
        if theirs.is_some_and(|theirs| is_directory(theirs) != is_directory(&entry)) {
            return found.conflicts.push(entry);
        }
        if is_directory(&entry) {
            return found.directories.push(SourceEntry { entry, exists });
        }
        match self.judge(&entry, theirs) {
            SyncVerdict::Ignored => {}
            SyncVerdict::Unchanged => {
                found.unchanged += 1;
                found.recent.extend(theirs.filter(|theirs| self.is_recent(&entry, theirs)).map(|_| entry));
            }
            SyncVerdict::Undecided => found.undecided.push(SourceEntry { entry, exists }),
            SyncVerdict::Transferred => {
                let makes_room = |theirs: &&Entry| [theirs.kind, entry.kind] != [FileKind::File; 2];
                found.in_the_way.extend(theirs.filter(makes_room).cloned());
                found.transfer.push(SourceEntry { entry, exists });
            }
        }
    }

    /// Whether a file is the same by its time, and was changed so recently that a further change might have the same time.
    fn is_recent(&self, entry: &Entry, theirs: &Entry) -> bool {
        let is_same = theirs.size == entry.size && (self.is_same_time)(theirs.mtime, entry.mtime);
        let by_time = self.options.comparison == FileComparison::Times && !self.options.ignore_existing;
        let is_new = |now| distance(now, entry.mtime) < RECENT_AGE.as_nanos();
        entry.kind == FileKind::File && is_same && by_time && self.now.is_some_and(is_new)
    }

    /// The failures of entries whose counterparts are of another kind.
    pub(super) fn conflicts(&self, found: &Differences) -> Vec<Failure> {
        let conflict = |entry: &Entry| {
            self.failure(&entry.name, self.direction.conflict(entry.kind == FileKind::Directory))
        };
        found.conflicts.iter().map(conflict).collect()
    }

    /// If the source has nothing to transfer, and its counterpart has entries that would be deleted. A source that is empty seems
    /// to have lost its disk.
    pub(super) fn check_top(&self, found: &Differences, is_empty: bool) -> Option<Failure> {
        let has_nothing = found.transfer.is_empty()
            && found.undecided.is_empty()
            && found.directories.is_empty()
            && found.unchanged == 0;
        let why = match is_empty {
            true => "it is empty and its counterpart is not: is a disk not mounted?",
            false => "nothing in it is to be transferred, so nothing is deleted",
        };
        let is_refused = has_nothing && !found.extra.is_empty() && self.options.delete.is_some();
        is_refused.then(|| Failure::of(self.source, why))
    }

    fn excludes(&self, entry: &Entry) -> bool {
        let is_directory = entry.kind == FileKind::Directory;
        // A name that this system cannot have stays where it is.
        names::path(&entry.name).map_or(self.direction != Direction::Check, |name| {
            self.options.filter.excludes(&self.relative.join(name), is_directory)
        })
    }

    /// The failure of an entry of the source.
    pub(super) fn failure(&self, name: &[u8], why: &str) -> Failure {
        Failure::of(&joined(self.source, name), why)
    }
}

/// Whether an entry is an unfinished file, or a file that a get has saved beside another. A directory is neither.
fn is_unfinished_entry(entry: &Entry, names: &HashSet<Vec<u8>>) -> bool {
    entry.kind != FileKind::Directory && is_unfinished(&entry.name, |name| names.contains(name))
}

/// Whether two modification times are the same, to the coarser granularity of the two: a filesystem that stores whole
/// seconds has no nanoseconds.
pub(super) fn is_same_time(one: Time, other: Time) -> bool {
    let is_coarse = one.nanoseconds == 0 || other.nanoseconds == 0;
    one.seconds == other.seconds && (is_coarse || one.nanoseconds == other.nanoseconds)
}

#[cfg(test)]
mod tests;
