//! Walks through the sources of a put: files and directories, in the order of sending.

use crate::transfer::delta::OldVersion;
use crate::transfer::jobs::Load;
use crate::transfer::{Failure, TransferOptions, local, path_bytes};
use sshome_wire::{RemotePath, Time};
use std::collections::{HashMap, HashSet};
use std::ffi::OsString;
use std::fs::{self, Metadata};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// One item to upload.
#[derive(Clone, Debug)]
pub(in crate::transfer) enum UploadItem {
    /// A directory, before its entries.
    Directory(Arc<UploadDirectory>),
    /// A file, or a link to one if `follow` is set.
    File {
        from: PathBuf,
        to: RemotePath,
        follow: bool,
        size: u64,
        /// What it would replace.
        old: OldVersion,
        within: ParentDirectory,
    },
    /// A symbolic link, and its target.
    Link { from: PathBuf, to: RemotePath, target: Vec<u8>, within: ParentDirectory },
    /// A directory, after its entries.
    Filled(FilledDirectory),
    /// A special file, which is skipped.
    Skipped(Failure),
    /// A source that cannot be read or named.
    Failed(Failure),
}

/// A directory of a tree. Each of its entries holds it until the entry has its answer, on whichever connection.
/// Dropping it therefore means that it is filled, and queues its end.
#[derive(Debug)]
pub(in crate::transfer) struct UploadDirectory {
    pub(super) from: PathBuf,
    pub(super) to: RemotePath,
    pub(super) mode: Option<u32>,
    pub(super) within: ParentDirectory,
    identity: Option<(u64, u64)>,
    /// The canonical path of the tree's top, if links are followed: they may not lead out of it.
    top: Option<Arc<Path>>,
    mtime: Time,
    /// Whether the server has it.
    is_there: AtomicBool,
    /// Whether this put has made it.
    is_new: AtomicBool,
    /// The queue for filled directories; `None` if times are not preserved.
    when_filled: Option<FilledQueue>,
}

impl UploadDirectory {
    /// A directory of which only some entries are uploaded. With a queue, it gets its time once nothing holds it any more.
    ///
    /// `old_mode` is the mode of an existing directory on the server: it is made accessible to its owner until it is finished,
    /// even if its source has another mode.
    pub(in crate::transfer) fn planned(
        from: PathBuf,
        to: RemotePath,
        seen: &Metadata,
        old_mode: Option<u32>,
        within: ParentDirectory,
        filled: Option<&FilledQueue>,
    ) -> Arc<UploadDirectory> {
        let mode = old_mode.or(local::mode(seen));
        let (mtime, when_filled) = (local::mtime(seen), filled.cloned());
        let (identity, top, is_there, is_new) = (None, None, AtomicBool::default(), AtomicBool::default());
        Arc::new(UploadDirectory {
            from,
            to,
            mode,
            within,
            identity,
            top,
            mtime,
            is_there,
            is_new,
            when_filled,
        })
    }

    /// Whether the server has it.
    pub(super) fn is_there(&self) -> bool {
        self.is_there.load(Ordering::Relaxed)
    }

    /// Notes that the server has it.
    pub(super) fn set_there(&self) {
        self.is_there.store(true, Ordering::Relaxed);
    }

    /// Notes that this put has made it.
    pub(super) fn set_new(&self) {
        self.is_new.store(true, Ordering::Relaxed);
    }

    /// Whether this put has made it, so that it had nothing before.
    pub(super) fn is_new(&self) -> bool {
        self.is_new.load(Ordering::Relaxed)
    }
}

impl Drop for UploadDirectory {
    fn drop(&mut self) {
        if let Some(queue) = self.when_filled.take().filter(|_| *self.is_there.get_mut()) {
            let filled = FilledDirectory { to: self.to.clone(), mtime: self.mtime };
            queue.lock().push(filled);
        }
    }
}

/// A directory that is filled.
#[derive(Clone, Debug)]
pub(in crate::transfer) struct FilledDirectory {
    pub(super) to: RemotePath,
    pub(super) mtime: Time,
}

/// Filled directories that no walk has returned yet. Clones share them.
#[derive(Clone, Debug, Default)]
pub(in crate::transfer) struct FilledQueue(Arc<Mutex<Vec<FilledDirectory>>>);

impl FilledQueue {
    /// Whether none waits.
    pub(in crate::transfer) fn is_empty(&self) -> bool {
        self.lock().is_empty()
    }

    fn lock(&self) -> MutexGuard<'_, Vec<FilledDirectory>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Something to upload that is known beforehand.
#[derive(Debug)]
pub(in crate::transfer) enum PlannedUpload {
    /// A file that the user named.
    File { from: PathBuf, to: RemotePath, old: OldVersion },
    /// A directory, and some of its files and links, with what they would replace.
    Directory { directory: Arc<UploadDirectory>, names: Vec<(OsString, OldVersion)> },
}

impl PlannedUpload {
    /// Leaves out entries of a directory by their paths on the server.
    pub(in crate::transfer) fn retain(&mut self, keeps: impl Fn(&RemotePath) -> bool) {
        if let PlannedUpload::Directory { directory, names } = self {
            names.retain(|(name, _)| {
                directory.to.join(&crate::names::bytes(name)).is_ok_and(|path| keeps(&path))
            });
        }
    }
}

/// The parent in the same tree; `None` for a source that the user named.
pub(in crate::transfer) type ParentDirectory = Option<Arc<UploadDirectory>>;

/// A directory and its parents, up to the top of the tree.
pub(super) fn upwards(from: &ParentDirectory) -> impl Iterator<Item = &Arc<UploadDirectory>> {
    std::iter::successors(from.as_ref(), |directory| directory.within.as_ref())
}

/// Walks through the sources. A directory is read when it is reached, so memory use does not depend on the size of the
/// tree. It may yield more items after `None`: directories that were filled since.
pub(in crate::transfer) struct UploadWalk {
    recursive: bool,
    /// Whether a comparison has found the sources: none of them was a directory then.
    is_planned: bool,
    /// Whether links in trees are followed; those that the user named always are.
    follow: bool,
    /// The remaining sources, the next one last.
    stack: Vec<PendingSource>,
    /// Filled directories; `None` if times are not preserved.
    filled: Option<FilledQueue>,
    /// The items so far by their paths on the server, and whether they are directories; `None` if no two sources share
    /// a path.
    found: Option<HashMap<RemotePath, bool>>,
}

/// A remaining source. Entries of one directory share its path.
enum PendingSource {
    /// A source that the user named.
    Source(PathBuf, RemotePath, OldVersion),
    Entry(OsString, OldVersion, Arc<UploadDirectory>),
    /// A directory whose entries are known.
    Directory(Arc<UploadDirectory>),
}

impl UploadWalk {
    /// A walk through sources, each with its path on the server.
    pub(super) fn new(sources: Vec<(PathBuf, RemotePath)>, options: TransferOptions) -> UploadWalk {
        let mut targets = HashSet::new();
        let overlap = !sources.iter().all(|(_, to)| targets.insert(to.as_bytes()));
        let found = overlap.then(HashMap::new);
        let source = |(from, to)| PendingSource::Source(from, to, OldVersion::Unknown);
        let stack = sources.into_iter().rev().map(source).collect();
        let filled = options.preserve.then(FilledQueue::default);
        let TransferOptions { recursive, follow, .. } = options;
        UploadWalk { recursive, is_planned: false, follow, stack, filled, found }
    }

    /// A walk through uploads that are known beforehand. It also returns directories that were filled before.
    pub(super) fn planned(uploads: Vec<PlannedUpload>, filled: &FilledQueue) -> UploadWalk {
        let mut stack = Vec::new();
        for upload in uploads.into_iter().rev() {
            match upload {
                PlannedUpload::File { from, to, old } => stack.push(PendingSource::Source(from, to, old)),
                PlannedUpload::Directory { directory, names } => {
                    let entry = |(name, old)| PendingSource::Entry(name, old, Arc::clone(&directory));
                    stack.extend(names.into_iter().rev().map(entry));
                    stack.push(PendingSource::Directory(directory));
                }
            }
        }
        let filled = Some(filled.clone());
        UploadWalk { recursive: false, is_planned: true, follow: false, stack, filled, found: None }
    }

    /// Whether an item may have its path on the server. As with cp, only directories may share one: otherwise the last
    /// item would replace the earlier ones.
    fn claim(&mut self, to: &RemotePath, is_directory: bool) -> bool {
        let Some(found) = &mut self.found else { return true };
        found.insert(to.clone(), is_directory).is_none_or(|was_directory| was_directory && is_directory)
    }

    fn visit(&mut self, pending: PendingSource) -> UploadItem {
        let (from, to, old, follow, within) = match pending {
            PendingSource::Source(from, to, old) => (from, to, old, true, None),
            PendingSource::Directory(directory) => return UploadItem::Directory(directory),
            PendingSource::Entry(name, old, within) => {
                let from = within.from.join(&name);
                match within.to.join(name.as_encoded_bytes()) {
                    Ok(to) => (from, to, old, self.follow, Some(within)),
                    Err(error) => {
                        return UploadItem::Failed(Failure::of(path_bytes(&from), error.to_string()));
                    }
                }
            }
        };
        match leads_out(&from, within.as_deref()) {
            Ok(false) => {}
            Ok(true) => {
                let why = "the link points outside the tree; put its target by its own name";
                return UploadItem::Failed(Failure::of(path_bytes(&from), why));
            }
            Err(error) => return UploadItem::Failed(unreadable(&from, &error)),
        }
        let seen = match if follow { fs::metadata(&from) } else { fs::symlink_metadata(&from) } {
            Ok(seen) => seen,
            Err(error) => return UploadItem::Failed(unreadable(&from, &error)),
        };
        let is_sent = seen.is_file() || seen.is_symlink() || seen.is_dir() && self.recursive;
        if is_sent && !self.claim(&to, seen.is_dir()) {
            return UploadItem::Failed(Failure::of(
                path_bytes(&from),
                format!("will not overwrite just-created {to}"),
            ));
        }
        match seen {
            seen if seen.is_file() => UploadItem::File { from, to, follow, size: seen.len(), old, within },
            seen if seen.is_dir() && self.recursive => self.directory(from, to, &seen, within),
            seen if seen.is_dir() => {
                let why = match self.is_planned {
                    true => "it has become a directory; repeat the command",
                    false => "is a directory: use put -r",
                };
                UploadItem::Failed(Failure::of(path_bytes(&from), why))
            }
            seen if seen.is_symlink() => match fs::read_link(&from) {
                Ok(target) => UploadItem::Link { from, to, target: path_bytes(&target).to_vec(), within },
                Err(error) => UploadItem::Failed(unreadable(&from, &error)),
            },
            _ if within.is_none() => {
                let why = "not a regular file; put - NAME sends standard input";
                UploadItem::Failed(Failure::of(path_bytes(&from), why))
            }
            _ => UploadItem::Skipped(Failure::of(path_bytes(&from), "it is not a regular file")),
        }
    }

    fn directory(
        &mut self,
        from: PathBuf,
        to: RemotePath,
        seen: &Metadata,
        within: ParentDirectory,
    ) -> UploadItem {
        let identity = local::identity(seen);
        if self.follow && identity.is_some() && upwards(&within).any(|above| above.identity == identity) {
            let why = "the link points to a directory that contains it";
            return UploadItem::Failed(Failure::of(path_bytes(&from), why));
        }
        let names = fs::read_dir(&from).and_then(|entries| {
            entries.map(|entry| entry.map(|entry| entry.file_name())).collect::<io::Result<Vec<_>>>()
        });
        let mut names = match names {
            Ok(names) => names,
            Err(error) => return UploadItem::Failed(unreadable(&from, &error)),
        };
        // Sorted, so that the order is always the same; the stack reverses it.
        names.sort_unstable_by(|a, b| b.cmp(a));
        let top = match &within {
            Some(within) => within.top.clone(),
            None if !self.follow => None,
            None => match fs::canonicalize(&from) {
                Ok(top) => Some(top.into()),
                Err(error) => return UploadItem::Failed(unreadable(&from, &error)),
            },
        };
        let (mode, mtime, when_filled) = (local::mode(seen), local::mtime(seen), self.filled.clone());
        let (is_there, is_new) = (AtomicBool::default(), AtomicBool::default());
        let directory =
            UploadDirectory { from, to, mode, within, identity, top, mtime, is_there, is_new, when_filled };
        let directory = Arc::new(directory);
        let entry = |name| PendingSource::Entry(name, OldVersion::Unknown, Arc::clone(&directory));
        self.stack.extend(names.into_iter().map(entry));
        UploadItem::Directory(directory)
    }
}

impl Iterator for UploadWalk {
    type Item = UploadItem;

    fn next(&mut self) -> Option<UploadItem> {
        let filled = self.filled.as_ref();
        let filled = filled.and_then(|queue| queue.lock().pop());
        if let Some(filled) = filled {
            return Some(UploadItem::Filled(filled));
        }
        let pending = self.stack.pop()?;
        Some(self.visit(pending))
    }
}

/// The number of files and bytes in the sources, from their metadata.
pub(super) fn measure(sources: Vec<(PathBuf, RemotePath)>, options: TransferOptions) -> Load {
    let sizes = UploadWalk::new(sources, options).filter_map(|item| match item {
        UploadItem::File { size, .. } => Some(size),
        _ => None,
    });
    sizes.fold(Load::default(), |load, bytes| load.and_divided(bytes, options.split_bytes))
}

/// Whether an entry of a tree whose links are followed is a link that leads out of the tree. Its author may want a file
/// to be uploaded that the user does not.
fn leads_out(from: &Path, within: Option<&UploadDirectory>) -> io::Result<bool> {
    let Some(top) = within.and_then(|within| within.top.as_ref()) else { return Ok(false) };
    Ok(fs::symlink_metadata(from)?.is_symlink() && !fs::canonicalize(from)?.starts_with(top))
}

/// A source that cannot be read.
pub(in crate::transfer) fn unreadable(path: &Path, error: &io::Error) -> Failure {
    Failure::of(path_bytes(path), format!("cannot read it: {error}"))
}

#[cfg(unix)]
#[cfg(test)]
mod tests;
