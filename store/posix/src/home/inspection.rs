//! Directories of a served home that the server cannot read any more: somebody changed their owner or mode.

use super::shared::SharedHome;
use crate::permission::{READ_FOLDER, explained};
use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;
use sshome_store::quota::UnreadableEntries;
use sshome_store::shown;
use std::collections::VecDeque;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::{MutexGuard, PoisonError};

/// Entries that one inspection of a home reads, those nearest to the top first. A scan reads all.
const MAX_INSPECTED_ENTRIES: usize = 16 << 10;

/// Bytes of paths that one inspection queues.
const MAX_QUEUED_BYTES: usize = 1 << 20;

impl SharedHome {
    /// Finds directories that cannot be read, and logs what changed. Call it only if the top can be read.
    pub(super) fn inspect(&self) {
        let found = unreadable_directories(&self.top, self.root.path(), MAX_INSPECTED_ENTRIES);
        let mut before = self.unreadable();
        let (user, root) = (self.root.user(), shown(self.root.path()));
        for entry in found.first.iter().filter(|entry| !before.first.contains(entry)) {
            let path = shown(&below(self.root.path(), &entry.path)).to_string();
            let why = &entry.why;
            tracing::error!(user, path, why, "a directory of a home cannot be read any more");
        }
        if found.is_empty() && !before.is_empty() {
            tracing::info!(user, %root, "all directories of the home can be read again");
        }
        *before = found;
    }

    /// The result of the last inspection.
    pub(super) fn unreadable(&self) -> MutexGuard<'_, UnreadableEntries> {
        self.unreadable.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Walks the directories level by level, with one of them open at a time.
fn unreadable_directories(top: &OwnedFd, root: &Path, max_entries: usize) -> UnreadableEntries {
    let mut found = UnreadableEntries::default();
    let mut queue = VecDeque::from([Vec::new()]);
    let (mut entries, mut queued) = (0, 0);
    while let Some(path) = queue.pop_front() {
        queued -= path.len();
        let result = subdirectories(top, &path, |name| {
            let child = [&path[..], b"/", name].concat();
            if queued + child.len() <= MAX_QUEUED_BYTES {
                queued += child.len();
                queue.push_back(child);
            }
        });
        match result {
            Ok(read) => entries += read,
            // It changed meanwhile, or its path is too long for one open.
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP | Errno::AGAIN | Errno::NAMETOOLONG) => {}
            Err(error) => {
                found.add(|| (path.clone(), explained(&below(root, &path), READ_FOLDER, error)));
            }
        }
        if entries >= max_entries {
            break;
        }
    }
    found
}

/// Calls `each` with the names of the directories in the directory at `path`, which begins with `/` or is empty.
/// Returns the number of its entries.
fn subdirectories(top: &OwnedFd, path: &[u8], mut each: impl FnMut(&[u8])) -> rustix::io::Result<usize> {
    let directory = open_below(top, path)?;
    // Without execute permission its entries can be listed but not examined.
    rustix::fs::accessat(&directory, c".", READ_FOLDER, AtFlags::EACCESS)?;
    let mut entries = 0;
    for item in Dir::read_from(&directory)? {
        let item = item?;
        let name = item.file_name();
        entries += 1;
        let is_own = name.to_bytes() == b"." || name.to_bytes() == b"..";
        if !is_own && kind(&directory, &item)? == FileType::Directory {
            each(name.to_bytes());
        }
    }
    Ok(entries)
}

fn kind(directory: &OwnedFd, item: &rustix::fs::DirEntry) -> rustix::io::Result<FileType> {
    if item.file_type() != FileType::Unknown {
        return Ok(item.file_type());
    }
    match rustix::fs::statat(directory, item.file_name(), AtFlags::SYMLINK_NOFOLLOW) {
        Ok(stat) => Ok(FileType::from_raw_mode(stat.st_mode)),
        Err(Errno::NOENT) => Ok(FileType::Unknown),
        Err(error) => Err(error),
    }
}

fn open_below(top: impl AsFd, path: &[u8]) -> rustix::io::Result<OwnedFd> {
    let relative = match path.strip_prefix(b"/") {
        Some(relative) => relative,
        None => b".",
    };
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let how = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
    rustix::fs::openat2(top, relative, flags, Mode::empty(), how)
}

/// The host's path of a path in the home.
pub(super) fn below(root: &Path, path: &[u8]) -> std::path::PathBuf {
    root.join(OsStr::from_bytes(path.strip_prefix(b"/").unwrap_or(path)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    fn found(root: &Path, max_entries: usize) -> UnreadableEntries {
        let top = OwnedFd::from(fs::File::open(root).unwrap());
        unreadable_directories(&top, root, max_entries)
    }

    #[test]
    fn unreadable_directories_are_reported_with_the_remedy() {
        if rustix::process::geteuid().is_root() {
            eprintln!("skipped: unreadable_directories_are_reported_with_the_remedy: root reads everything");
            return;
        }
        let dir = tempfile::tempdir().unwrap();
        for path in ["a/b/c", "a/listed/f", "d"] {
            fs::create_dir_all(dir.path().join(path)).unwrap();
        }
        assert!(found(dir.path(), MAX_INSPECTED_ENTRIES).is_empty());
        let set_mode = |path: &str, mode| {
            fs::set_permissions(dir.path().join(path), fs::Permissions::from_mode(mode)).unwrap();
        };
        set_mode("a/b", 0);
        set_mode("a/listed", 0o600);
        let unreadable = found(dir.path(), MAX_INSPECTED_ENTRIES);
        let mut paths: Vec<_> = unreadable.first.iter().map(|entry| entry.path.as_slice()).collect();
        paths.sort_unstable();
        assert_eq!(paths, [b"/a/b".as_slice(), b"/a/listed"]);
        for entry in &unreadable.first {
            let path = below(dir.path(), &entry.path);
            let remedy = format!("chmod -R u+rwX {}", shown(&path));
            assert!(entry.why.contains(&remedy), "{}", entry.why);
        }
        // The entries at the top use up the limit, so those below are found only by a scan.
        assert!(found(dir.path(), 4).is_empty());
        set_mode("a/b", 0o700);
        set_mode("a/listed", 0o700);
        assert!(found(dir.path(), MAX_INSPECTED_ENTRIES).is_empty());
    }

    #[test]
    fn a_deep_tree_is_inspected_within_bounds() {
        let dir = tempfile::tempdir().unwrap();
        let mut at = OwnedFd::from(fs::File::open(dir.path()).unwrap());
        for _ in 0..300 {
            let name = "d".repeat(200);
            rustix::fs::mkdirat(&at, &name, Mode::RWXU).unwrap();
            at = open_below(&at, format!("/{name}").as_bytes()).unwrap();
        }
        assert!(found(dir.path(), MAX_INSPECTED_ENTRIES).is_empty());
    }
}
