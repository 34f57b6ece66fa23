//! Names that differ on the server and are one on a disk that ignores case or normalises names.

use super::super::alike::alike;
use super::super::joined;
use super::super::local::LocalListing;
use crate::transfer::Failure;
use crate::transfer::local::LocalDirectory;
use crate::transfer::names::unguessable_part;
use sshome_wire::display::Escaped;
use sshome_wire::{Entry, RemotePath};
use std::collections::{HashMap, HashSet};
use std::io;

/// Gives local entries the names that the server has for them, if the disk takes both for the same: then they are compared,
/// and not deleted. `look` tells which file a name means. Of two names that mean one file, the second fails.
pub(super) fn resolve(
    source: &mut Vec<Entry>,
    local: &mut LocalListing,
    directory: &RemotePath,
    look: impl Fn(&[u8]) -> Option<(u64, u64)>,
) -> Vec<Failure> {
    let mut failures = Vec::new();
    if local.entries.is_empty() {
        return failures;
    }
    let listed: HashSet<Vec<u8>> = local.entries.iter().map(|entry| entry.name.clone()).collect();
    let mut meant: HashMap<(u64, u64), Vec<u8>> = HashMap::new();
    for entry in source.iter() {
        if let Some(identity) = local.identities.get(&entry.name) {
            meant.insert(*identity, entry.name.clone());
        }
    }
    source.retain(|entry| {
        let Some(identity) =
            Some(&entry.name).filter(|name| !listed.contains(*name)).and_then(|name| look(name))
        else {
            return true;
        };
        if let Some(other) = meant.get(&identity) {
            let why = format!("this disk takes its name for that of {}; rename one of them", Escaped(other));
            failures.push(Failure::of(&joined(directory.as_bytes(), &entry.name), why));
            return false;
        }
        meant.insert(identity, entry.name.clone());
        rename(local, identity, &entry.name);
        true
    });
    failures
}

/// Of new names of one directory that the disk takes for the same, the second fails before its data is fetched. Only names
/// that look alike are tried, with empty directories in one of their own. Any others are distinguished when they are
/// published.
pub(super) fn distinguish(
    source: &mut Vec<Entry>,
    local: &LocalListing,
    directory: &RemotePath,
    disk: &LocalDirectory,
) -> Vec<Failure> {
    let listed: HashSet<&[u8]> = local.entries.iter().map(|entry| &*entry.name).collect();
    let names = source.iter().map(|entry| &*entry.name).filter(|name| !listed.contains(name));
    let Ok(same) = folded(alike(names), disk) else { return Vec::new() };
    let mut failures = Vec::new();
    source.retain(|entry| match same.get(&entry.name) {
        Some(other) => {
            let why = format!("this disk takes its name for that of {}; rename one of them", Escaped(other));
            failures.push(Failure::of(&joined(directory.as_bytes(), &entry.name), why));
            false
        }
        None => true,
    });
    failures
}

/// The names that the disk takes for earlier ones of their group, with those.
fn folded(groups: Vec<Vec<&[u8]>>, disk: &LocalDirectory) -> io::Result<HashMap<Vec<u8>, Vec<u8>>> {
    let mut same = HashMap::new();
    if groups.is_empty() {
        return Ok(same);
    }
    let (name, before) = (unguessable_part(b"names"), disk.mtime()?);
    disk.make(&name)?;
    let probe = disk.subdirectory(&name)?;
    for group in groups {
        let mut made: Vec<&[u8]> = Vec::new();
        for name in group {
            // A name that cannot be tried is taken for its own.
            match probe.look(name, false) {
                Ok(Some(_)) => drop(same.insert(name.to_vec(), made.first().unwrap_or(&name).to_vec())),
                Ok(None) if probe.make(name).is_ok() => made.push(name),
                _ => {}
            }
        }
        made.into_iter().try_for_each(|name| probe.remove_directory(name))?;
    }
    disk.remove_directory(&name)?;
    disk.finish(None, before)?;
    Ok(same)
}

/// Gives the entry that is this file another name. If a file has several names, the disk does not tell which of them is
/// meant: none of the others is an entry any more.
fn rename(local: &mut LocalListing, identity: (u64, u64), name: &[u8]) {
    let identities = &local.identities;
    let is_meant = |entry: &mut Entry| identities.get(&entry.name) == Some(&identity);
    let meant: Vec<Entry> = local.entries.extract_if(.., is_meant).collect();
    let renamed = meant.into_iter().next().map(|entry| Entry { name: name.to_vec(), ..entry });
    local.entries.extend(renamed);
}

#[cfg(test)]
mod tests {
    use super::*;
    use sshome_wire::{FileKind, Time};

    fn entry(name: &str) -> Entry {
        let (kind, mtime) = (FileKind::File, Time::default());
        Entry { name: name.into(), kind, size: 1, mtime, mode: 0o644, links: 1, target: Vec::new() }
    }

    /// What remains of the source and of a disk that ignores case, and the number of failures.
    fn resolved(source: &[&str], local: &[(&str, u64)]) -> (Vec<String>, Vec<String>, usize) {
        let mut source: Vec<Entry> = source.iter().map(|name| entry(name)).collect();
        let identities = local.iter().map(|(name, inode)| (name.as_bytes().to_vec(), (1, *inode))).collect();
        let entries = local.iter().map(|(name, _)| entry(name)).collect();
        let mut listing = LocalListing { entries, identities, failures: Vec::new() };
        let look = |name: &[u8]| {
            let same = local.iter().find(|(other, _)| other.as_bytes().eq_ignore_ascii_case(name));
            same.map(|(_, inode)| (1, *inode))
        };
        let failures = resolve(&mut source, &mut listing, &RemotePath::root(), look);
        let names = |entries: Vec<Entry>| {
            let mut names: Vec<String> =
                entries.into_iter().map(|entry| String::from_utf8(entry.name).unwrap()).collect();
            names.sort();
            names
        };
        (names(source), names(listing.entries), failures.len())
    }

    #[test]
    fn a_local_entry_gets_the_name_that_the_server_has_for_it() {
        let (source, local, failures) = resolved(&["A", "b"], &[("a", 1), ("b", 2), ("c", 3)]);
        assert_eq!(
            (source, local, failures),
            (vec!["A".into(), "b".into()], vec!["A".into(), "b".into(), "c".into()], 0)
        );
    }

    #[test]
    fn of_two_names_for_one_file_the_second_fails() {
        let (source, _, failures) = resolved(&["A", "a"], &[("a", 1)]);
        assert_eq!((source, failures), (vec!["a".to_owned()], 1));
        let (source, _, failures) = resolved(&["A", "aa", "AA"], &[("a", 1)]);
        assert_eq!((source.len(), failures), (3, 0));
    }

    #[test]
    fn no_name_of_a_file_that_has_several_is_an_extra_one() {
        let (_, local, failures) = resolved(&["A"], &[("a", 1), ("hard link", 1), ("other", 2)]);
        assert_eq!((local, failures), (vec!["A".to_owned(), "other".to_owned()], 0));
    }
}
