//! What a get fetches, and where to: made from listings, before anything is written.

use crate::transfer::{Failure, names};
use sshome_wire::{Entries, Entry, FileKind, PathError, RemotePath, Status};
use std::collections::HashMap;
use std::path::PathBuf;

/// Everything that one get is to do.
#[derive(Debug, Default)]
pub(super) struct Plan {
    /// Directories, each after the one that it is in.
    pub(super) places: Vec<Place>,
    /// Files, one directory's after the other's.
    pub(super) files: Vec<Planned>,
    /// Links, to be made as they are.
    pub(super) links: Vec<PlannedLink>,
    /// What is left out: special files.
    pub(super) skipped: Vec<Failure>,
    /// What cannot be done.
    pub(super) failures: Vec<Failure>,
}

/// A directory on the server, and the one that it becomes.
#[derive(Debug)]
pub(super) struct Place {
    /// On the server.
    pub(super) remote: RemotePath,
    /// The local directory that the user named; links in it are the user's own.
    pub(super) base: PathBuf,
    /// The way from there, a checked name each; links on it are not followed.
    pub(super) below: Vec<Vec<u8>>,
    /// The directory's permission bits on the server, if it is one of a tree.
    pub(super) mode: Option<u32>,
}

/// A file to be fetched.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Planned {
    /// Its directory's number in the plan.
    pub(super) place: usize,
    /// Its name on the server.
    pub(super) name: Box<[u8]>,
    /// Its local name, where that is another one.
    pub(super) rename: Option<Box<[u8]>>,
    /// Its length in bytes, where a listing told it.
    pub(super) size: Option<u64>,
}

/// A symbolic link.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct PlannedLink {
    /// Its directory's number in the plan.
    pub(super) place: usize,
    /// Its name, checked.
    pub(super) name: Vec<u8>,
    /// What stands in it.
    pub(super) target: Vec<u8>,
}

impl Planned {
    /// The name under which it is stored.
    pub(super) fn local_name(&self) -> &[u8] {
        self.rename.as_deref().unwrap_or(&self.name)
    }
}

impl Plan {
    /// Adds one file, to be stored as `name` in `base`.
    pub(super) fn add_file(&mut self, source: &RemotePath, base: PathBuf, name: &[u8]) {
        let Some((remote, own)) = source.split() else {
            return self.fail(source.as_bytes(), "it is a directory; -r gets directories");
        };
        if let Err(why) = names::check(name) {
            return self.fail(source.as_bytes(), why);
        }
        let rename = (own != name).then(|| name.into());
        let is_last = |place: &Place| place.mode.is_none() && place.remote == remote && place.base == base;
        if !self.places.last().is_some_and(is_last) {
            self.places.push(Place { remote, base, below: Vec::new(), mode: None });
        }
        self.files.push(Planned { place: self.places.len() - 1, name: own.into(), rename, size: None });
    }

    /// Adds a tree's top, to become the directory `below` in `base`.
    pub(super) fn add_tree(&mut self, source: &RemotePath, base: PathBuf, below: Vec<Vec<u8>>) -> Tree {
        self.places.push(Place { remote: source.clone(), base, below, mode: None });
        let top = self.places.len() - 1;
        Tree { places: HashMap::from([(Vec::new(), top)]), top }
    }

    /// Adds a link that leads to a file of so many bytes, as that file.
    pub(super) fn add_followed(&mut self, link: PlannedLink, size: u64) {
        let PlannedLink { place, name, .. } = link;
        self.files.push(Planned { place, name: name.into_boxed_slice(), rename: None, size: Some(size) });
    }

    /// Adds what one frame of the tree's listing tells.
    pub(super) fn add_entries(&mut self, tree: &mut Tree, entries: Entries) {
        let Some(place) = tree.places.get(&entries.directory).copied() else {
            // Either the server made it up, or its own entry was refused and said so.
            return;
        };
        for entry in entries.entries {
            self.add_entry(tree, place, &entries.directory, entry);
        }
    }

    /// The path of a planned file on the server.
    pub(super) fn remote(&self, file: &Planned) -> Result<RemotePath, PathError> {
        self.places.get(file.place).map_or(Ok(RemotePath::root()), |place| place.remote.join(&file.name))
    }

    /// The same, of the file of a number, as bytes; none where there is no such path.
    pub(super) fn remote_bytes(&self, file: usize) -> Vec<u8> {
        let remote = self.files.get(file).and_then(|file| self.remote(file).ok());
        remote.map(|path| path.as_bytes().to_vec()).unwrap_or_default()
    }

    /// The failure of a file, for a reason on this side.
    pub(super) fn failure(&self, file: usize, why: impl Into<String>) -> Failure {
        Failure::of(&self.remote_bytes(file), why)
    }

    /// The failure of a file, with the server's reason.
    pub(super) fn refused(&self, file: usize, status: Status, message: &str) -> Failure {
        Failure::refused(&self.remote_bytes(file), status, message)
    }

    /// The path under which a planned file is stored if nothing is in the way.
    pub(super) fn local(&self, file: &Planned) -> PathBuf {
        self.places.get(file.place).map(|place| place.path(file.local_name())).unwrap_or_default()
    }

    fn add_entry(&mut self, tree: &mut Tree, place: usize, directory: &[u8], entry: Entry) {
        let Some(parent) = self.places.get(place) else { return };
        let shown = [parent.remote.as_bytes(), b"/", &entry.name].concat();
        if let Err(why) = names::check(&entry.name) {
            return self.fail(&shown, why);
        }
        match entry.kind {
            FileKind::File => {
                let name = entry.name.into_boxed_slice();
                self.files.push(Planned { place, name, rename: None, size: Some(entry.size) });
            }
            FileKind::Directory => {
                let remote = match parent.remote.join(&entry.name) {
                    Ok(remote) => remote,
                    Err(error) => return self.fail(&shown, error.to_string()),
                };
                let relative = match directory {
                    [] => entry.name.clone(),
                    directory => [directory, b"/", &entry.name].concat(),
                };
                let mut below = parent.below.clone();
                below.push(entry.name);
                self.places.push(Place { remote, base: parent.base.clone(), below, mode: Some(entry.mode) });
                tree.places.insert(relative, self.places.len() - 1);
            }
            FileKind::Symlink => {
                self.links.push(PlannedLink { place, name: entry.name, target: entry.target });
            }
            FileKind::Special => self.skipped.push(Failure::of(&shown, "it is no regular file")),
        }
    }

    pub(super) fn fail(&mut self, what: &[u8], why: impl Into<String>) {
        self.failures.push(Failure::of(what, why));
    }
}

/// The directories of one tree: their numbers by their paths below its top.
#[derive(Debug)]
pub(super) struct Tree {
    places: HashMap<Vec<u8>, usize>,
    /// The top's number.
    pub(super) top: usize,
}

impl Place {
    /// The local path of a name in it, for people.
    pub(super) fn path(&self, name: &[u8]) -> PathBuf {
        let mut path = self.base.clone();
        path.extend(self.below.iter().map(Vec::as_slice).chain([name]).map(as_os_path));
        path
    }
}

/// A name as the system's paths have it; what it cannot have is shown in its place.
#[cfg(unix)]
pub(super) fn as_os_path(name: &[u8]) -> PathBuf {
    PathBuf::from(<std::ffi::OsStr as std::os::unix::ffi::OsStrExt>::from_bytes(name))
}

/// A name as the system's paths have it; what it cannot have is shown in its place.
#[cfg(not(unix))]
pub(super) fn as_os_path(name: &[u8]) -> PathBuf {
    PathBuf::from(String::from_utf8_lossy(name).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use sshome_wire::Time;

    fn entry(name: &[u8], kind: FileKind) -> Entry {
        let mtime = Time::default();
        Entry { name: name.to_vec(), kind, size: 3, mtime, mode: 0o755, links: 1, target: Vec::new() }
    }

    fn entries(directory: &[u8], entries: Vec<Entry>) -> Entries {
        Entries { directory: directory.to_vec(), entries }
    }

    #[test]
    fn a_tree_becomes_places_and_files() {
        let mut plan = Plan::default();
        let source = RemotePath::root().join(b"/www").unwrap();
        let mut tree = plan.add_tree(&source, "/tmp".into(), vec![b"site".to_vec()]);
        let top = vec![entry(b"a", FileKind::File), entry(b"d", FileKind::Directory)];
        plan.add_entries(&mut tree, entries(b"", top));
        let below = vec![entry(b"\xff", FileKind::File), entry(b"l", FileKind::Symlink)];
        plan.add_entries(&mut tree, entries(b"d", below));
        assert_eq!(plan.places.len(), 2);
        assert_eq!(plan.places[1].below, [b"site".to_vec(), b"d".to_vec()]);
        let remote = plan.files.iter().map(|file| plan.remote(file).unwrap()).collect::<Vec<_>>();
        assert_eq!(remote[0].as_bytes(), b"/www/a");
        assert_eq!(remote[1].as_bytes(), b"/www/d/\xff");
        assert_eq!((plan.links.len(), plan.failures.len()), (1, 0));
        assert_eq!((plan.links[0].place, plan.links[0].name.as_slice()), (1, &b"l"[..]));
    }

    #[test]
    fn names_that_lead_out_are_refused_and_their_directories_have_no_place() {
        let mut plan = Plan::default();
        let mut tree = plan.add_tree(&RemotePath::root(), "/tmp".into(), vec![]);
        let bad: [&[u8]; 7] = [b"..", b"../x", b"/etc", b"", b".", b"a\0", b".x.sshome-part"];
        let hostile = |kind| bad.iter().map(|name| entry(name, kind)).collect::<Vec<_>>();
        plan.add_entries(&mut tree, entries(b"", hostile(FileKind::File)));
        plan.add_entries(&mut tree, entries(b"", hostile(FileKind::Directory)));
        plan.add_entries(&mut tree, entries(b"..", vec![entry(b"passwd", FileKind::File)]));
        plan.add_entries(&mut tree, entries(b"/etc", vec![entry(b"passwd", FileKind::File)]));
        assert_eq!((plan.places.len(), plan.files.len(), plan.failures.len()), (1, 0, 14));
    }
}
