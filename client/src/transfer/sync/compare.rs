//! Compares a local directory with one on the server.

use super::SyncOptions;
use crate::names;
use crate::transfer::names::is_unfinished;
use crate::transfer::put::unreadable;
use crate::transfer::{Failure, local, path_bytes};
use sshome_wire::{Entry, FileKind, Time};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::ffi::OsString;
use std::fs::{self, Metadata};
use std::io;
use std::path::{Path, PathBuf};

/// A local directory and its counterpart.
#[derive(Clone, Debug)]
pub(super) struct DirectoryPair {
    /// The local directory.
    pub(super) local: PathBuf,
    /// Its path below the top of the tree; the filter sees it.
    pub(super) relative: PathBuf,
    /// The entries on the server. `None` if there is no such directory.
    pub(super) listing: Option<RemoteListing>,
}

/// A directory on the server, listed completely.
#[derive(Clone, Debug, Default)]
pub(super) struct RemoteListing {
    pub(super) entries: Vec<Entry>,
    pub(super) mtime: Time,
}

/// The differences between two directories.
#[derive(Debug, Default)]
pub(super) struct Differences {
    /// Attributes of the local directory.
    pub(super) metadata: Option<Metadata>,
    /// Files and links to send, and whether each exists on the server.
    pub(super) send: Vec<LocalName>,
    /// Files of the same size, which only their digests can tell apart.
    pub(super) undecided: Vec<LocalName>,
    /// Links and special files on the server that have to make room for something of `send`.
    pub(super) in_the_way: Vec<Entry>,
    /// Directories, and whether each exists on the server.
    pub(super) directories: Vec<(OsString, bool)>,
    /// Entries that exist only on the server.
    pub(super) extra: Vec<Entry>,
    /// Files and links that are the same.
    pub(super) unchanged: u64,
    /// Special files, which are skipped.
    pub(super) skipped: Vec<Failure>,
    pub(super) failures: Vec<Failure>,
    /// Whether the directory itself has another time than its counterpart.
    pub(super) has_other_time: bool,
    /// The number of entries on the server.
    pub(super) remote_entries: usize,
}

/// A local file or link.
#[derive(Clone, Debug)]
pub(super) struct LocalName {
    pub(super) name: OsString,
    /// Its length in bytes; 0 for a link.
    pub(super) size: u64,
    /// Whether its counterpart exists.
    pub(super) exists: bool,
}

/// Compares the directories of a pair. Reads the local one; failures are in the result.
pub(super) fn compare(pair: &DirectoryPair, options: &SyncOptions) -> Differences {
    let mut found = Differences::default();
    // A source that is a link is followed.
    let is_top = pair.relative.as_os_str().is_empty();
    let local = match read(&pair.local, is_top) {
        Ok((metadata, names)) => {
            found.metadata = Some(metadata);
            names
        }
        Err(error) => {
            found.failures.push(unreadable(&pair.local, &error));
            return found;
        }
    };
    let listing = pair.listing.as_ref();
    found.remote_entries = listing.map_or(0, |listing| listing.entries.len());
    let mut remote: HashMap<&[u8], &Entry> =
        listing.into_iter().flat_map(|listing| &listing.entries).map(|entry| (&*entry.name, entry)).collect();
    let names: HashSet<Vec<u8>> = local.keys().map(|name| names::bytes(name)).collect();
    let exists = |name: &[u8]| names.contains(name);
    let deletes_excluded = options.delete.is_some_and(|delete| delete.excluded);
    for (name, metadata) in &local {
        let bytes = names::bytes(name);
        let theirs = remote.remove(&*bytes);
        let path = pair.local.join(name);
        match metadata {
            Err(error) => found.failures.push(unreadable(&path, error)),
            Ok(metadata) if options.filter.excludes(&pair.relative.join(name), metadata.is_dir()) => {
                found.extra.extend(theirs.filter(|_| deletes_excluded).cloned());
            }
            // It is neither sent nor deleted.
            Ok(metadata) if !metadata.is_dir() && is_unfinished(&bytes, exists) => {
                let why = "it belongs to an unfinished or unwanted get; rename it to push it";
                found.skipped.push(Failure::of(path_bytes(&path), why));
            }
            Ok(metadata) => found.add(name, &path, metadata, theirs, options),
        }
    }
    let keeps = |entry: &Entry| {
        let name = names::path(&entry.name).map(|name| pair.relative.join(name));
        let is_directory = entry.kind == FileKind::Directory;
        if entry.kind != FileKind::Directory && is_unfinished(&entry.name, exists) {
            return true;
        }
        let is_excluded = name.is_none_or(|name| options.filter.excludes(&name, is_directory));
        is_excluded && !deletes_excluded
    };
    found.extra.extend(remote.into_values().filter(|entry| !keeps(entry)).cloned());
    let has_nothing = found.send.is_empty() && found.undecided.is_empty() && found.directories.is_empty();
    if is_top && has_nothing && found.unchanged == 0 && !found.extra.is_empty() && options.delete.is_some() {
        let why = "it is empty and its counterpart is not: is a disk not mounted?";
        found.failures.push(Failure::of(path_bytes(&pair.local), why));
    }
    found.extra.sort_unstable_by(|a, b| a.name.cmp(&b.name));
    if let (Some(listing), Some(metadata)) = (listing, &found.metadata) {
        found.has_other_time = !is_same_time(listing.mtime, local::mtime(metadata));
    }
    found
}

impl Differences {
    fn add(
        &mut self,
        name: &OsString,
        path: &Path,
        metadata: &Metadata,
        theirs: Option<&Entry>,
        options: &SyncOptions,
    ) {
        let kind = theirs.map(|entry| entry.kind);
        let to_send = |size| LocalName { name: name.clone(), size, exists: theirs.is_some() };
        if metadata.is_dir() {
            match kind {
                None => self.directories.push((name.clone(), false)),
                Some(FileKind::Directory) => self.directories.push((name.clone(), true)),
                Some(_) => {
                    let why = "a file or link on the server has this directory's name; remove that first";
                    self.failures.push(Failure::of(path_bytes(path), why));
                }
            }
            return;
        }
        if !metadata.is_file() && !metadata.is_symlink() {
            self.skipped.push(Failure::of(path_bytes(path), "not a regular file"));
            return;
        }
        if kind == Some(FileKind::Directory) {
            let why = "a directory on the server has this file's name; remove that first";
            self.failures.push(Failure::of(path_bytes(path), why));
            return;
        }
        if metadata.is_symlink() {
            match (fs::read_link(path), theirs) {
                (Err(error), _) => self.failures.push(unreadable(path, &error)),
                (Ok(target), Some(entry))
                    if entry.kind == FileKind::Symlink && path_bytes(&target) == entry.target =>
                {
                    self.unchanged += 1;
                }
                (Ok(_), Some(_)) if options.ignore_existing => self.unchanged += 1,
                (Ok(_), None) if options.existing => {}
                (Ok(_), _) => {
                    self.in_the_way.extend(theirs.cloned());
                    self.send.push(to_send(0));
                }
            }
            return;
        }
        let size = metadata.len();
        if options.min_size.is_some_and(|min| size < min) || options.max_size.is_some_and(|max| size > max) {
            return;
        }
        match theirs {
            None if options.existing => {}
            None => self.send.push(to_send(size)),
            Some(_) if options.ignore_existing => self.unchanged += 1,
            Some(entry) if entry.kind != FileKind::File => {
                self.in_the_way.push(entry.clone());
                self.send.push(to_send(size));
            }
            Some(entry) if options.update && entry.mtime > local::mtime(metadata) => self.unchanged += 1,
            Some(entry) if entry.size == size && options.checksum => self.undecided.push(to_send(size)),
            Some(entry) if entry.size == size && is_same_time(entry.mtime, local::mtime(metadata)) => {
                self.unchanged += 1;
            }
            Some(_) => self.send.push(to_send(size)),
        }
    }
}

/// Whether two modification times are the same, to the coarser granularity of the two: a filesystem that stores whole
/// seconds has no nanoseconds.
pub(super) fn is_same_time(one: Time, other: Time) -> bool {
    let is_coarse = one.nanoseconds == 0 || other.nanoseconds == 0;
    one.seconds == other.seconds && (is_coarse || one.nanoseconds == other.nanoseconds)
}

type LocalNames = BTreeMap<OsString, io::Result<Metadata>>;

fn read(directory: &Path, follow: bool) -> io::Result<(Metadata, LocalNames)> {
    let metadata = if follow { fs::metadata(directory)? } else { fs::symlink_metadata(directory)? };
    let mut names = LocalNames::new();
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        names.insert(entry.file_name(), fs::symlink_metadata(entry.path()));
    }
    Ok((metadata, names))
}

#[cfg(test)]
#[cfg(unix)]
mod tests {
    use super::super::{DeleteOptions, FilterRules};
    use super::*;
    use std::os::unix::fs::symlink;
    use tempfile::TempDir;

    /// A local directory with a file, a link, a directory and a special file.
    fn local() -> TempDir {
        let place = TempDir::new().unwrap();
        fs::write(place.path().join("file"), "123").unwrap();
        fs::create_dir(place.path().join("folder")).unwrap();
        symlink("target", place.path().join("link")).unwrap();
        std::os::unix::net::UnixListener::bind(place.path().join("socket")).unwrap();
        place
    }

    fn entry(name: &str, kind: FileKind, size: u64, mtime: Time) -> Entry {
        let target = if kind == FileKind::Symlink { b"target".to_vec() } else { Vec::new() };
        Entry { name: name.into(), kind, size, mtime, mode: 0o644, links: 1, target }
    }

    /// The same entries as on the server.
    fn mirrored(place: &TempDir) -> Vec<Entry> {
        let time = |name: &str| local::mtime(&fs::symlink_metadata(place.path().join(name)).unwrap());
        vec![
            entry("file", FileKind::File, 3, time("file")),
            entry("folder", FileKind::Directory, 0, time("folder")),
            entry("link", FileKind::Symlink, 6, time("link")),
        ]
    }

    fn differences(place: &TempDir, entries: Option<Vec<Entry>>, options: &SyncOptions) -> Differences {
        let listing = entries.map(|entries| RemoteListing { entries, mtime: Time::default() });
        let pair = DirectoryPair { local: place.path().to_owned(), relative: PathBuf::new(), listing };
        compare(&pair, options)
    }

    fn sent(found: &Differences) -> Vec<(&str, bool)> {
        found.send.iter().map(|one| (one.name.to_str().unwrap(), one.exists)).collect()
    }

    #[test]
    fn everything_is_sent_to_a_new_directory_and_nothing_to_an_identical_one() {
        let (place, options) = (local(), SyncOptions::default());
        let new = differences(&place, None, &options);
        assert_eq!(sent(&new), [("file", false), ("link", false)]);
        assert_eq!(new.directories, [("folder".into(), false)]);
        assert_eq!((new.skipped.len(), new.unchanged), (1, 0));
        let same = differences(&place, Some(mirrored(&place)), &options);
        assert!(sent(&same).is_empty() && same.extra.is_empty() && same.failures.is_empty());
        assert_eq!((same.directories, same.unchanged), (vec![("folder".into(), true)], 2));
    }

    #[test]
    fn files_are_compared_by_size_and_time_in_whole_seconds_if_need_be() {
        let (place, options) = (local(), SyncOptions::default());
        let with = |change: &dyn Fn(&mut Entry)| {
            let mut entries = mirrored(&place);
            change(&mut entries[0]);
            differences(&place, Some(entries), &options).send.len()
        };
        assert_eq!(with(&|entry| entry.size = 4), 1);
        assert_eq!(with(&|entry| entry.mtime.seconds -= 1), 1);
        assert_eq!(with(&|entry| entry.mtime.nanoseconds ^= 1), 1);
        assert_eq!(with(&|entry| entry.mtime.nanoseconds = 0), 0);
        assert_eq!(with(&|entry| entry.mode = 0), 0);
    }

    #[test]
    fn options_limit_what_is_sent() {
        let place = local();
        let older = |options: SyncOptions| {
            let mut entries = mirrored(&place);
            entries[0].mtime.seconds += 5;
            let found = differences(&place, Some(entries), &options);
            (found.send.len(), found.undecided.len())
        };
        let plain = SyncOptions::default;
        assert_eq!(older(plain()), (1, 0));
        assert_eq!(older(SyncOptions { update: true, ..plain() }), (0, 0));
        assert_eq!(older(SyncOptions { ignore_existing: true, ..plain() }), (0, 0));
        assert_eq!(older(SyncOptions { checksum: true, ..plain() }), (0, 1));
        assert_eq!(older(SyncOptions { min_size: Some(4), ..plain() }), (0, 0));
        assert_eq!(older(SyncOptions { max_size: Some(2), ..plain() }), (0, 0));
        let existing = SyncOptions { existing: true, ..plain() };
        assert!(differences(&place, None, &existing).send.is_empty());
    }

    #[test]
    fn only_extra_entries_are_deleted_and_no_excluded_or_unfinished_ones() {
        let place = local();
        fs::write(place.path().join(".file.sshome-part"), "").unwrap();
        fs::write(place.path().join("file.new"), "").unwrap();
        fs::write(place.path().join("other.new"), "").unwrap();
        let mut entries = mirrored(&place);
        for name in ["gone", "kept.o", "file.new"] {
            entries.push(entry(name, FileKind::File, 1, Time::default()));
        }
        let mut rules = FilterRules::default();
        rules.exclude("*.o");
        let filter = rules.build().unwrap();
        let options = |excluded| {
            let delete = Some(DeleteOptions { excluded, max: None });
            SyncOptions { filter: filter.clone(), delete, ..SyncOptions::default() }
        };
        let extra = |found: &Differences| {
            found.extra.iter().map(|entry| String::from_utf8(entry.name.clone()).unwrap()).collect::<Vec<_>>()
        };
        let found = differences(&place, Some(entries.clone()), &options(false));
        assert_eq!((extra(&found), sent(&found)), (vec!["gone".to_owned()], vec![("other.new", false)]));
        assert_eq!(found.skipped.len(), 3, "the socket, and two that belong to a get: {:?}", found.skipped);
        assert_eq!(extra(&differences(&place, Some(entries), &options(true))), ["gone", "kept.o"]);
    }

    #[test]
    fn an_entry_of_another_type_is_replaced_or_is_a_failure() {
        let (place, options) = (local(), SyncOptions::default());
        let with = |kinds: [FileKind; 3]| {
            let mut entries = mirrored(&place);
            entries.iter_mut().zip(kinds).for_each(|(entry, kind)| entry.kind = kind);
            let found = differences(&place, Some(entries), &options);
            (found.send.len(), found.in_the_way.len(), found.failures.len())
        };
        assert_eq!(with([FileKind::Symlink, FileKind::Directory, FileKind::File]), (2, 2, 0));
        assert_eq!(with([FileKind::Directory, FileKind::File, FileKind::Directory]), (0, 0, 3));
    }

    #[test]
    fn a_directory_that_cannot_be_read_is_a_failure() {
        let place = local();
        let pair = DirectoryPair { local: place.path().join("missing"), relative: "".into(), listing: None };
        let found = compare(&pair, &SyncOptions::default());
        assert_eq!((found.failures.len(), found.send.len(), found.extra.len()), (1, 0, 0));
    }
}
