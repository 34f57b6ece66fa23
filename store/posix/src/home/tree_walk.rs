//! Walking a directory tree without following links.

use super::stat::stat_in;
use super::{Error, Location, Result, STAGING_DIRECTORY, file_id};
use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{Dir, FileType, Mode, OFlags, Stat};
use rustix::io::Errno;
use sshome_store::quota::FileId;
use sshome_wire::MAX_PATH;
use std::sync::Arc;

/// Directories above the current one that are held open.
const MAX_OPEN_ABOVE: usize = 16;

/// Subdirectories that one step collects.
const MAX_DIRECTORIES_PER_STEP: usize = 100;

/// Descriptors that a walk holds at most: the top, two for the current directory, and those above it.
pub(crate) const TREE_DESCRIPTORS: usize = MAX_OPEN_ABOVE + 4;

/// A depth-first walk over everything below a directory: of each directory first the other entries, then its
/// subdirectories. Each step is relative to an open handle, so a concurrent rename cannot lead the walk elsewhere.
///
/// The number of handles is bounded. A directory that was closed on the way down is reopened from below by `..`, and must
/// be the same one. Only the names of its remaining subdirectories are kept in memory.
#[derive(Debug)]
pub(crate) struct TreeWalker {
    /// The top first.
    levels: Vec<TreeLevel>,
    /// The last level's entries; `None` once they are all read.
    dir: Option<Dir>,
    /// The name of the entry that the last error is about; empty for the current directory.
    failed: Vec<u8>,
}

#[derive(Debug)]
struct TreeLevel {
    /// `None` while the directory is closed. The first and the last level are always open.
    handle: Option<Arc<OwnedFd>>,
    id: FileId,
    name: Box<[u8]>,
    /// The names of its subdirectories that are still to be walked.
    pending: Vec<Box<[u8]>>,
}

/// One step of a walk.
pub(crate) enum TreeItem {
    /// A directory, before its entries.
    Enter(Location, Stat),
    /// Anything but a directory.
    Leaf(Location, Stat),
    /// A directory, after its entries.
    Leave(Location),
    /// This step collected `MAX_DIRECTORIES_PER_STEP` subdirectories, which are entered later. It ends here, so that
    /// steps are short in wide directories as well.
    MoreDirectories,
}

impl TreeWalker {
    /// A walk over the entries of `top`, without `top` itself.
    ///
    /// # Errors
    /// The kernel's.
    pub(crate) fn below(top: OwnedFd) -> Result<TreeWalker> {
        let mut tree = TreeWalker { levels: Vec::new(), dir: None, failed: Vec::new() };
        tree.push(top, Box::default())?;
        Ok(tree)
    }

    /// The next step; `None` at the end. An error concerns one entry, or one subtree that was moved away; the walk can
    /// continue.
    ///
    /// # Errors
    /// The kernel's; [`Error::Moved`].
    pub(crate) fn next_step(&mut self) -> Result<Option<TreeItem>> {
        self.failed.clear();
        loop {
            if let Some(leaf) = self.read()? {
                return Ok(Some(leaf));
            }
            let Some(level) = self.levels.last_mut() else { return Ok(None) };
            if let Some(name) = level.pending.pop() {
                self.failed = name.to_vec();
                if let Some(entered) = self.enter(name)? {
                    return Ok(Some(entered));
                }
            } else if self.levels.len() > 1 {
                return self.leave().map(Some);
            } else {
                self.levels.clear();
            }
        }
    }

    /// The path, relative to the top, of the directory that the last step was in or entered; `None` if it is longer
    /// than [`MAX_PATH`].
    #[must_use]
    pub(crate) fn relative(&self) -> Option<Vec<u8>> {
        let mut path: Vec<u8> = Vec::new();
        for level in self.levels.iter().skip(1) {
            if !path.is_empty() {
                path.push(b'/');
            }
            path.extend_from_slice(&level.name);
            if path.len() > MAX_PATH {
                return None;
            }
        }
        Some(path)
    }

    /// The path of the entry that the last error is about; the top is `/`. Truncated to [`MAX_PATH`].
    #[must_use]
    pub(crate) fn failed_at(&self) -> Vec<u8> {
        let mut path = Vec::new();
        let names = self.levels.iter().skip(1).map(|level| &level.name[..]);
        for name in names.chain([&self.failed[..]]).filter(|name| !name.is_empty()) {
            path.push(b'/');
            path.extend_from_slice(name);
            if path.len() > MAX_PATH {
                path.truncate(MAX_PATH);
                break;
            }
        }
        if path.is_empty() { b"/".to_vec() } else { path }
    }

    /// Reads the last level up to the next entry that is not a directory.
    fn read(&mut self) -> Result<Option<TreeItem>> {
        let (Some(dir), Some(level)) = (&mut self.dir, self.levels.last_mut()) else { return Ok(None) };
        let Some(handle) = &level.handle else { return Ok(None) };
        let mut directories = 0;
        while let Some(item) = dir.read() {
            let item = item?;
            let name = item.file_name().to_bytes();
            if name == b"." || name == b".." || name == STAGING_DIRECTORY.as_bytes() {
                continue;
            }
            let stat = match stat_in(handle, name) {
                Err(Error::Os(Errno::NOENT)) => continue,
                result => result.inspect_err(|_| self.failed = name.to_vec())?,
            };
            if FileType::from_raw_mode(stat.st_mode) == FileType::Directory {
                level.pending.push(name.into());
                directories += 1;
                if directories == MAX_DIRECTORIES_PER_STEP {
                    return Ok(Some(TreeItem::MoreDirectories));
                }
                continue;
            }
            return Ok(Some(TreeItem::Leaf(Location::new(Arc::clone(handle), name.to_vec()), stat)));
        }
        self.dir = None;
        Ok(None)
    }

    /// Enters a directory; `None` if it no longer exists.
    fn enter(&mut self, name: Box<[u8]>) -> Result<Option<TreeItem>> {
        let Some(above) = self.levels.last().and_then(|level| level.handle.clone()) else { return Ok(None) };
        let handle = match open(&above, &name) {
            Err(Error::Os(Errno::NOENT)) => return Ok(None),
            result => result?,
        };
        let location = Location::new(above, name.to_vec());
        let stat = self.push(handle, name)?;
        self.failed.clear();
        if let Some(far) = self.levels.len().checked_sub(MAX_OPEN_ABOVE + 2).filter(|far| *far > 0)
            && let Some(level) = self.levels.get_mut(far)
        {
            level.handle = None;
        }
        Ok(Some(TreeItem::Enter(location, stat)))
    }

    fn push(&mut self, handle: OwnedFd, name: Box<[u8]>) -> Result<Stat> {
        let stat = rustix::fs::fstat(&handle)?;
        self.dir = Some(Dir::read_from(&handle)?);
        let handle = Some(Arc::new(handle));
        self.levels.push(TreeLevel { handle, id: file_id(&stat), name, pending: Vec::new() });
        Ok(stat)
    }

    /// Leaves the last level.
    fn leave(&mut self) -> Result<TreeItem> {
        let Some(left) = self.levels.pop() else { return Err(Error::Moved) };
        let above = match (self.levels.last(), &left.handle) {
            (Some(TreeLevel { handle: Some(handle), .. }), _) => Arc::clone(handle),
            (Some(level), Some(below)) => match open(below, b"..") {
                Ok(handle) if file_id(&rustix::fs::fstat(&handle)?) == level.id => Arc::new(handle),
                _ => return Err(self.give_up()),
            },
            _ => return Err(self.give_up()),
        };
        if let Some(level) = self.levels.last_mut() {
            level.handle = Some(Arc::clone(&above));
        }
        Ok(TreeItem::Leave(Location::new(above, left.name.into_vec())))
    }

    /// Skips the levels that can no longer be reached, up to one that is still open.
    fn give_up(&mut self) -> Error {
        while self.levels.last().is_some_and(|level| level.handle.is_none()) {
            self.failed = self.levels.pop().map(|level| level.name.into_vec()).unwrap_or_default();
        }
        Error::Moved
    }
}

fn open(above: impl AsFd, name: &[u8]) -> Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    Ok(rustix::fs::openat(above, name, flags, Mode::empty())?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;
    use std::path::Path;

    /// A chain of `depth` directories, with a file in each.
    fn chain(top: &Path, depth: usize) {
        let mut at = OwnedFd::from(std::fs::File::open(top).unwrap());
        for _ in 0..depth {
            rustix::fs::mkdirat(&at, "d", Mode::RWXU).unwrap();
            at = open(&at, b"d").unwrap();
            let flags = OFlags::CREATE | OFlags::WRONLY;
            rustix::fs::openat(&at, "f", flags, Mode::RUSR).unwrap();
        }
    }

    fn walk(top: &Path) -> TreeWalker {
        TreeWalker::below(std::fs::File::open(top).unwrap().into()).unwrap()
    }

    fn remove(top: &Path) -> (usize, usize) {
        let (mut tree, mut leaves, mut left) = (walk(top), 0, 0);
        while let Some(item) = tree.next_step().unwrap() {
            let flags = match item {
                TreeItem::Enter(..) | TreeItem::MoreDirectories => continue,
                TreeItem::Leaf(..) => rustix::fs::AtFlags::empty(),
                TreeItem::Leave(..) => rustix::fs::AtFlags::REMOVEDIR,
            };
            if let TreeItem::Leaf(at, _) | TreeItem::Leave(at) = item {
                rustix::fs::unlinkat(at.dir(), at.name(), flags).unwrap();
            }
            if flags.is_empty() { leaves += 1 } else { left += 1 }
        }
        (leaves, left)
    }

    #[test]
    fn a_tree_of_any_depth_is_walked_and_removed_with_few_handles() {
        const DEPTH: usize = 3000;
        let dir = tempfile::tempdir().unwrap();
        chain(dir.path(), DEPTH);
        let mut tree = walk(dir.path());
        let mut entered = 0;
        while entered < DEPTH {
            entered += usize::from(matches!(tree.next_step().unwrap(), Some(TreeItem::Enter(..))));
        }
        let open = tree.levels.iter().filter(|level| level.handle.is_some()).count();
        assert_eq!(open, MAX_OPEN_ABOVE + 2, "the top, the last, and those above it");
        assert_eq!(tree.relative(), None);
        drop(tree);
        assert_eq!(remove(dir.path()), (DEPTH, DEPTH));
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
    }

    #[test]
    fn every_entry_is_visited_once_with_its_path() {
        let dir = tempfile::tempdir().unwrap();
        let mut want = BTreeSet::new();
        for a in ["a", "b"] {
            for b in ["c", "d", "e"] {
                std::fs::create_dir_all(dir.path().join(a).join(b)).unwrap();
                std::fs::write(dir.path().join(a).join(b).join("f"), "").unwrap();
                want.extend([a.to_owned(), format!("{a}/{b}"), format!("{a}/{b}/f")]);
            }
        }
        let (mut tree, mut found, mut left) = (walk(dir.path()), BTreeSet::new(), BTreeSet::new());
        while let Some(item) = tree.next_step().unwrap() {
            let relative = String::from_utf8(tree.relative().unwrap()).unwrap();
            match item {
                TreeItem::Enter(..) => assert!(found.insert(relative)),
                TreeItem::MoreDirectories => {}
                TreeItem::Leaf(at, _) => {
                    assert!(found.insert(format!("{relative}/{}", str::from_utf8(at.name()).unwrap())));
                }
                TreeItem::Leave(at) => {
                    let name = str::from_utf8(at.name()).unwrap();
                    assert!(left.insert(format!("{relative}/{name}").trim_start_matches('/').to_owned()));
                }
            }
        }
        assert_eq!(found, want);
        assert_eq!(left, want.into_iter().filter(|path| !path.ends_with('f')).collect());
    }

    #[test]
    fn a_step_in_a_wide_directory_is_short() {
        const WIDTH: usize = 3 * MAX_DIRECTORIES_PER_STEP + 1;
        let dir = tempfile::tempdir().unwrap();
        for number in 0..WIDTH {
            std::fs::create_dir(dir.path().join(number.to_string())).unwrap();
        }
        let (mut tree, mut pending, mut entered) = (walk(dir.path()), 0, 0);
        while let Some(item) = tree.next_step().unwrap() {
            pending += usize::from(matches!(item, TreeItem::MoreDirectories));
            entered += usize::from(matches!(item, TreeItem::Enter(..)));
        }
        assert_eq!((pending, entered), (3, WIDTH));
        assert_eq!(remove(dir.path()), (0, WIDTH));
    }

    #[test]
    fn moving_a_directory_away_ends_only_its_part_of_the_walk() {
        let dir = tempfile::tempdir().unwrap();
        chain(dir.path(), 60);
        std::fs::write(dir.path().join("last"), "").unwrap();
        std::fs::create_dir(dir.path().join("elsewhere")).unwrap();
        let mut tree = walk(dir.path());
        let mut depth = 0;
        while depth < 60 {
            match tree.next_step().unwrap() {
                Some(TreeItem::Enter(at, _)) if at.name() == b"d" => depth += 1,
                Some(_) => {}
                None => panic!("the chain was not found"),
            }
        }
        // Its parent is closed by now, and `..` leads elsewhere.
        std::fs::rename(dir.path().join("d/d/d/d"), dir.path().join("elsewhere/d")).unwrap();
        let (mut errors, mut steps) = (Vec::new(), 0);
        loop {
            match tree.next_step() {
                Ok(None) => break,
                Ok(Some(_)) => steps += 1,
                Err(error) => errors.push((error, tree.failed_at())),
            }
            assert!(steps < 1000);
        }
        assert_eq!(errors, [(Error::Moved, b"/d".to_vec())]);
    }

    #[test]
    fn a_directory_removed_meanwhile_is_skipped() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(dir.path().join("a/b")).unwrap();
        let mut tree = walk(dir.path());
        assert!(matches!(tree.next_step(), Ok(Some(TreeItem::Enter(..)))));
        std::fs::remove_dir(dir.path().join("a/b")).unwrap();
        assert!(matches!(tree.next_step(), Ok(Some(TreeItem::Leave(..)))));
        assert!(matches!(tree.next_step(), Ok(None)));
        assert!(matches!(tree.next_step(), Ok(None)));
    }
}
