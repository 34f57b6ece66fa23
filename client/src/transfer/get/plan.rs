//! The plan of a get: what it downloads, and where to. It is made from listings, before anything is written.

use super::backup::LocalBackup;
use crate::transfer::{Failure, IS_DIRECTORY, names};
use sshome_wire::{Entry, PathError, RemotePath, Status, Time};
use std::path::PathBuf;
use std::sync::Arc;

/// The plan of one batch of a get.
#[derive(Debug, Default)]
pub(in crate::transfer) struct Plan {
    /// Directories, each after its parent.
    pub(in crate::transfer) places: Vec<PlannedDirectory>,
    /// Files, grouped by directory.
    pub(in crate::transfer) files: Vec<PlannedFile>,
    /// Links that are made as links.
    pub(in crate::transfer) links: Vec<PlannedLink>,
    /// Where the old versions of replaced files are kept.
    pub(in crate::transfer) backup: Option<Arc<LocalBackup>>,
    /// Special files, which are skipped.
    pub(super) skipped: Vec<Failure>,
    /// Failures.
    pub(super) failures: Vec<Failure>,
}

/// A directory on the server, and its local counterpart.
#[derive(Clone, Debug)]
pub(in crate::transfer) struct PlannedDirectory {
    /// Its path on the server.
    pub(in crate::transfer) remote: RemotePath,
    /// The local directory that the user named. Links in its path are followed.
    pub(in crate::transfer) base: PathBuf,
    /// The checked names below it. Links there are not followed.
    pub(in crate::transfer) below: Vec<Vec<u8>>,
    /// The attributes of the directory on the server, if it is part of a tree.
    pub(in crate::transfer) attributes: Option<DirectoryAttributes>,
    /// The directories of the links that were followed on the way to it. Entering one of them again would be a cycle.
    pub(in crate::transfer) link_parents: Arc<[RemotePath]>,
}

/// The attributes of a directory on the server.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::transfer) struct DirectoryAttributes {
    /// Its permission bits.
    pub(in crate::transfer) mode: u32,
    /// Its modification time.
    pub(in crate::transfer) mtime: Time,
}

impl DirectoryAttributes {
    pub(in crate::transfer) fn of(entry: &Entry) -> DirectoryAttributes {
        DirectoryAttributes { mode: entry.mode, mtime: entry.mtime }
    }
}

/// A file to download.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::transfer) struct PlannedFile {
    /// Its directory's number in the plan.
    pub(in crate::transfer) place: usize,
    /// Its name on the server.
    pub(in crate::transfer) name: Box<[u8]>,
    /// Its local name, if different.
    pub(in crate::transfer) rename: Option<Box<[u8]>>,
    /// Its length in bytes, if a listing had it.
    pub(in crate::transfer) size: Option<u64>,
    /// Whether a comparison found nothing of its name here: then nothing is replaced.
    pub(in crate::transfer) is_new: bool,
}

/// A symbolic link.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::transfer) struct PlannedLink {
    /// Its directory's number in the plan.
    pub(in crate::transfer) place: usize,
    /// Its name, checked.
    pub(in crate::transfer) name: Vec<u8>,
    /// Its target.
    pub(in crate::transfer) target: Vec<u8>,
    /// Whether a comparison found nothing of its name here: then nothing is replaced.
    pub(in crate::transfer) is_new: bool,
}

impl PlannedFile {
    /// Its local name.
    pub(super) fn local_name(&self) -> &[u8] {
        self.rename.as_deref().unwrap_or(&self.name)
    }
}

impl Plan {
    /// Adds a file, to be stored as `name` in `base`.
    pub(in crate::transfer) fn add_file(&mut self, source: &RemotePath, base: PathBuf, name: &[u8]) {
        let Some((remote, own)) = source.split() else {
            return self.fail(source.as_bytes(), IS_DIRECTORY);
        };
        // The server decides whether a name with a trailing slash is a file.
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
        let (place, name) = (self.places.len() - 1, own.into());
        self.files.push(PlannedFile { place, name, rename, size: None, is_new: false });
    }

    /// Adds a link to a file, as that file. `size` is its length in bytes.
    pub(super) fn add_followed(&mut self, link: PlannedLink, size: u64) {
        let PlannedLink { place, name, .. } = link;
        let name = name.into_boxed_slice();
        self.files.push(PlannedFile { place, name, rename: None, size: Some(size), is_new: false });
    }

    /// The number of planned entries.
    pub(in crate::transfer) fn len(&self) -> usize {
        self.places.len() + self.files.len() + self.links.len() + self.skipped.len() + self.failures.len()
    }

    /// The current end of the plan.
    pub(super) fn mark(&self) -> PlanCheckpoint {
        PlanCheckpoint {
            places: self.places.len(),
            files: self.files.len(),
            links: self.links.len(),
            skipped: self.skipped.len(),
            failures: self.failures.len(),
        }
    }

    /// Removes everything that was planned since.
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

    /// The same as bytes, for the file of this number. Empty if there is no such path.
    pub(super) fn remote_bytes(&self, file: usize) -> Vec<u8> {
        let remote = self.files.get(file).and_then(|file| self.remote(file).ok());
        remote.map(|path| path.as_bytes().to_vec()).unwrap_or_default()
    }

    /// The failure of a file, for a local reason.
    pub(super) fn failure(&self, file: usize, why: impl Into<String>) -> Failure {
        Failure::of(&self.remote_bytes(file), why)
    }

    /// The failure of a file, with the server's reason.
    pub(super) fn refused(&self, file: usize, status: Status, message: &str) -> Failure {
        Failure::refused(&self.remote_bytes(file), status, message)
    }

    /// The local path of a planned file, unless it is taken.
    pub(super) fn local(&self, file: &PlannedFile) -> PathBuf {
        self.places.get(file.place).map(|place| place.path(file.local_name())).unwrap_or_default()
    }

    pub(super) fn fail(&mut self, what: &[u8], why: impl Into<String>) {
        self.failures.push(Failure::of(what, why));
    }
}

/// A position in a plan.
#[derive(Debug)]
pub(super) struct PlanCheckpoint {
    pub(super) places: usize,
    files: usize,
    pub(super) links: usize,
    skipped: usize,
    failures: usize,
}

impl PlannedDirectory {
    /// Its local path, for messages and comparisons.
    pub(in crate::transfer) fn local(&self) -> PathBuf {
        let mut path = self.base.clone();
        path.extend(self.below.iter().map(|name| as_os_path(name)));
        path
    }

    /// The local path of a name in it, for messages.
    pub(in crate::transfer) fn path(&self, name: &[u8]) -> PathBuf {
        self.local().join(as_os_path(name))
    }

    /// A directory in it.
    ///
    /// # Errors
    /// If its path is too long.
    pub(in crate::transfer) fn child(
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

/// A name as a local path. Bytes that the system does not support are escaped.
#[cfg(unix)]
pub(super) fn as_os_path(name: &[u8]) -> PathBuf {
    PathBuf::from(<std::ffi::OsStr as std::os::unix::ffi::OsStrExt>::from_bytes(name))
}

/// A name as a local path. Bytes that the system does not support are escaped.
#[cfg(not(unix))]
pub(super) fn as_os_path(name: &[u8]) -> PathBuf {
    PathBuf::from(String::from_utf8_lossy(name).into_owned())
}
