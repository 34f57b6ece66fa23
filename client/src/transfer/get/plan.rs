//! What a get fetches, and where to: made from listings, before anything is written.

use crate::transfer::{Failure, IS_DIRECTORY, names};
use sshome_wire::{Entry, PathError, RemotePath, Status, Time};
use std::path::PathBuf;
use std::sync::Arc;

/// Everything that one portion of a get is to do.
#[derive(Debug, Default)]
pub(super) struct Plan {
    /// Directories, each after the one that it is in.
    pub(super) places: Vec<PlannedDirectory>,
    /// Files, one directory's after the other's.
    pub(super) files: Vec<PlannedFile>,
    /// Links, to be made as they are.
    pub(super) links: Vec<PlannedLink>,
    /// What is left out: special files.
    pub(super) skipped: Vec<Failure>,
    /// What cannot be done.
    pub(super) failures: Vec<Failure>,
}

/// A directory on the server, and the one that it becomes.
#[derive(Clone, Debug)]
pub(super) struct PlannedDirectory {
    /// On the server.
    pub(super) remote: RemotePath,
    /// The local directory that the user named; links in it are the user's own.
    pub(super) base: PathBuf,
    /// The way from there, a checked name each; links on it are not followed.
    pub(super) below: Vec<Vec<u8>>,
    /// What the directory has on the server, if it is one of a tree.
    pub(super) attributes: Option<DirectoryAttributes>,
    /// The directories that followed links lie in, on the way to it: to be in one of them again is to go
    /// in a circle.
    pub(super) link_parents: Arc<[RemotePath]>,
}

/// What a directory has on the server.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct DirectoryAttributes {
    /// Its permission bits.
    pub(super) mode: u32,
    /// When its content last changed.
    pub(super) mtime: Time,
}

impl DirectoryAttributes {
    pub(super) fn of(entry: &Entry) -> DirectoryAttributes {
        DirectoryAttributes { mode: entry.mode, mtime: entry.mtime }
    }
}

/// A file to be fetched.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct PlannedFile {
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

impl PlannedFile {
    /// The name under which it is stored.
    pub(super) fn local_name(&self) -> &[u8] {
        self.rename.as_deref().unwrap_or(&self.name)
    }
}

impl Plan {
    /// Adds one file, to be stored as `name` in `base`.
    pub(super) fn add_file(&mut self, source: &RemotePath, base: PathBuf, name: &[u8]) {
        let Some((remote, own)) = source.split() else {
            return self.fail(source.as_bytes(), IS_DIRECTORY);
        };
        // Whether what has a slash behind it is a file is the server's to say.
        let own = if source.names_directory() { [own, b"/"].concat() } else { own.to_vec() };
        if let Err(why) = names::check(name) {
            return self.fail(source.as_bytes(), why);
        }
        let rename = (own != name).then(|| name.into());
        let is_last = |place: &PlannedDirectory| {
            place.attributes.is_none() && place.remote == remote && place.base == base
        };
        if !self.places.last().is_some_and(is_last) {
            self.places.push(PlannedDirectory {
                remote,
                base,
                below: Vec::new(),
                attributes: None,
                link_parents: Arc::default(),
            });
        }
        self.files.push(PlannedFile { place: self.places.len() - 1, name: own.into(), rename, size: None });
    }

    /// Adds a link that leads to a file of so many bytes, as that file.
    pub(super) fn add_followed(&mut self, link: PlannedLink, size: u64) {
        let PlannedLink { place, name, .. } = link;
        self.files.push(PlannedFile { place, name: name.into_boxed_slice(), rename: None, size: Some(size) });
    }

    /// How much has been planned, in entries.
    pub(super) fn len(&self) -> usize {
        self.places.len() + self.files.len() + self.links.len() + self.skipped.len() + self.failures.len()
    }

    /// Where the plan ends now.
    pub(super) fn mark(&self) -> PlanCheckpoint {
        PlanCheckpoint {
            places: self.places.len(),
            files: self.files.len(),
            links: self.links.len(),
            skipped: self.skipped.len(),
            failures: self.failures.len(),
        }
    }

    /// Forgets what was planned since.
    pub(super) fn back_to(&mut self, mark: &PlanCheckpoint) {
        self.places.truncate(mark.places);
        self.files.truncate(mark.files);
        self.links.truncate(mark.links);
        self.skipped.truncate(mark.skipped);
        self.failures.truncate(mark.failures);
    }

    /// The path of a planned file on the server.
    pub(super) fn remote(&self, file: &PlannedFile) -> Result<RemotePath, PathError> {
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
    pub(super) fn local(&self, file: &PlannedFile) -> PathBuf {
        self.places.get(file.place).map(|place| place.path(file.local_name())).unwrap_or_default()
    }

    pub(super) fn fail(&mut self, what: &[u8], why: impl Into<String>) {
        self.failures.push(Failure::of(what, why));
    }
}

/// How far a plan had come.
#[derive(Debug)]
pub(super) struct PlanCheckpoint {
    pub(super) places: usize,
    files: usize,
    pub(super) links: usize,
    skipped: usize,
    failures: usize,
}

impl PlannedDirectory {
    /// Its own local path, for people and to be compared.
    pub(super) fn local(&self) -> PathBuf {
        let mut path = self.base.clone();
        path.extend(self.below.iter().map(|name| as_os_path(name)));
        path
    }

    /// The local path of a name in it, for people.
    pub(super) fn path(&self, name: &[u8]) -> PathBuf {
        self.local().join(as_os_path(name))
    }

    /// A directory in it.
    ///
    /// # Errors
    /// If its path is too long.
    pub(super) fn child(
        &self,
        name: &[u8],
        attributes: DirectoryAttributes,
    ) -> Result<PlannedDirectory, PathError> {
        let (remote, mut below) = (self.remote.join(name)?, self.below.clone());
        below.push(name.to_vec());
        let (base, link_parents) = (self.base.clone(), Arc::clone(&self.link_parents));
        Ok(PlannedDirectory { remote, below, base, attributes: Some(attributes), link_parents })
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
