//! Walking a whole tree, without following any link.

use super::resolve::stat_in;
use super::{Error, Location, Result, STAGING};
use rustix::fd::OwnedFd;
use rustix::fs::{Dir, FileType, Mode, OFlags, Stat};
use rustix::io::Errno;
use std::sync::Arc;

/// How deep a tree may be. Each level holds two handles.
const MAX_DEPTH: usize = 1000;

/// What a walk is taken to hold.
pub const TREE_DESCRIPTORS: usize = 20;

/// Goes through everything below a directory, depth first. Every step is relative to a handle, so
/// that nothing that is renamed or replaced meanwhile leads the walk elsewhere.
#[derive(Debug)]
pub struct Tree {
    levels: Vec<Level>,
}

#[derive(Debug)]
struct Level {
    handle: Arc<OwnedFd>,
    dir: Dir,
    /// How to leave this directory: its own location and stat; none for the top.
    own: Option<(Location, Stat)>,
}

/// One step of a walk.
pub enum TreeItem {
    /// A directory, before what is in it.
    Enter(Location, Stat),
    /// Anything but a directory.
    Leaf(Location, Stat),
    /// A directory, after what is in it.
    Leave(Location, Stat),
}

impl Tree {
    /// Walks what is in the directory `top`, not `top` itself.
    ///
    /// # Errors
    /// The kernel's.
    pub fn below(top: OwnedFd) -> Result<Tree> {
        let mut tree = Tree { levels: Vec::new() };
        tree.push(top, None)?;
        Ok(tree)
    }

    /// The next step; none at the end. After an error the walk can go on: it is of one entry.
    ///
    /// # Errors
    /// The kernel's.
    pub fn next_step(&mut self) -> Result<Option<TreeItem>> {
        while let Some(level) = self.levels.last_mut() {
            let Some(item) = level.dir.read() else {
                let own = self.levels.pop().and_then(|level| level.own);
                match own {
                    Some((location, stat)) => return Ok(Some(TreeItem::Leave(location, stat))),
                    None => continue,
                }
            };
            let name = item?.file_name().to_bytes().to_vec();
            if name == b"." || name == b".." || name == STAGING.as_bytes() {
                continue;
            }
            let stat = match stat_in(&level.handle, &name) {
                Err(Error::Os(Errno::NOENT)) => continue,
                result => result?,
            };
            let location = Location::new(Arc::clone(&level.handle), name);
            if FileType::from_raw_mode(stat.st_mode) != FileType::Directory {
                return Ok(Some(TreeItem::Leaf(location, stat)));
            }
            let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let handle = rustix::fs::openat(location.dir(), location.name(), flags, Mode::empty())?;
            self.push(handle, Some((location.clone(), stat)))?;
            return Ok(Some(TreeItem::Enter(location, stat)));
        }
        Ok(None)
    }

    fn push(&mut self, handle: OwnedFd, own: Option<(Location, Stat)>) -> Result<()> {
        if self.levels.len() >= MAX_DEPTH {
            return Err(Errno::NAMETOOLONG.into());
        }
        let dir = Dir::read_from(&handle)?;
        self.levels.push(Level { handle: Arc::new(handle), dir, own });
        Ok(())
    }
}
