//! Reading directories, and walking and removing trees.

use super::directories;
use super::failure::AtPath;
use super::names::logged;
use super::resolve::MemoryLocation;
use super::shared::MemorySharedHome;
use super::tree::Tree;
use crate::{
    Cause, Ctx, DirectoryEntry, DirectoryReader, FileInfo, OnRemoved, StepLimit, StoreError, StoreResult,
    TreeRemoval, TreeStep, TreeWalk,
};
use sshome_wire::{MAX_PATH, RemotePath};
use std::ops::Bound::{Excluded, Unbounded};
use std::sync::Arc;

/// Reads one directory.
#[derive(Debug)]
pub(super) struct MemoryReader {
    home: Arc<MemorySharedHome>,
    path: RemotePath,
    directory: u64,
    /// The name that was read last.
    last: Vec<u8>,
}

impl MemoryReader {
    pub(super) fn open(home: &Arc<MemorySharedHome>, path: &RemotePath) -> StoreResult<MemoryReader> {
        let directory = home.tree().resolve_directory(path).of_directory(path)?;
        Ok(MemoryReader { home: Arc::clone(home), path: path.clone(), directory, last: Vec::new() })
    }
}

impl DirectoryReader for MemoryReader {
    fn next_entry(&mut self) -> StoreResult<Option<DirectoryEntry>> {
        let tree = self.home.tree();
        let Some((name, id)) = next(&tree, self.directory, &self.last) else { return Ok(None) };
        let info = tree.info(id).of_directory(&self.path)?;
        let target = tree.node(id).ok().and_then(|node| node.target()).unwrap_or_default().to_vec();
        self.last.clone_from(&name);
        Ok(Some(DirectoryEntry { name, info, target }))
    }

    fn info(&self) -> StoreResult<FileInfo> {
        self.home.tree().info(self.directory).of_directory(&self.path)
    }
}

/// The entry after a name in a directory; `None` at the end, or if the directory was removed.
fn next(tree: &Tree, directory: u64, name: &[u8]) -> Option<(Vec<u8>, u64)> {
    let entries = &tree.directory(directory).ok()?.entries;
    let after = entries.range::<[u8], _>((Excluded(name), Unbounded)).next();
    after.map(|(name, id)| (name.clone(), *id))
}

/// A walk over everything below a directory.
#[derive(Debug)]
struct NodeWalk {
    levels: Vec<WalkLevel>,
}

#[derive(Debug)]
struct WalkLevel {
    directory: u64,
    name: Vec<u8>,
    /// The name that was read last; `None` once all were read.
    last: Option<Vec<u8>>,
    /// Subdirectories that are still to be walked, in reverse order.
    pending: Vec<(Vec<u8>, u64)>,
}

/// One step of a walk.
enum WalkItem {
    Enter(FileInfo),
    Leaf(MemoryLocation, FileInfo),
    /// A directory, after its entries.
    Leave(MemoryLocation),
}

impl NodeWalk {
    fn below(directory: u64) -> NodeWalk {
        let mut walk = NodeWalk { levels: Vec::new() };
        walk.push(Vec::new(), directory);
        walk
    }

    fn push(&mut self, name: Vec<u8>, directory: u64) {
        self.levels.push(WalkLevel { directory, name, last: Some(Vec::new()), pending: Vec::new() });
    }

    fn next_item(&mut self, tree: &Tree) -> Option<WalkItem> {
        loop {
            let level = self.levels.last_mut()?;
            if let Some(leaf) = level.read(tree) {
                return Some(leaf);
            }
            if let Some((name, id)) = level.pending.pop() {
                // It may have been removed or moved meanwhile.
                let is_there = tree.directory(id).is_ok_and(|found| found.parent == Some(level.directory));
                if let Some(info) = tree.info(id).ok().filter(|_| is_there) {
                    self.push(name, id);
                    return Some(WalkItem::Enter(info));
                }
                continue;
            }
            let left = self.levels.pop()?;
            let above = self.levels.last()?;
            return Some(WalkItem::Leave(MemoryLocation {
                directory: above.directory,
                name: left.name,
                slash: false,
            }));
        }
    }

    /// The path, relative to the top, of the current directory; `None` if it is too long.
    fn relative(&self) -> Option<Vec<u8>> {
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
}

impl WalkLevel {
    /// Reads up to the next entry that is not a directory.
    fn read(&mut self, tree: &Tree) -> Option<WalkItem> {
        while let Some((name, id)) = self.last.as_ref().and_then(|last| next(tree, self.directory, last)) {
            self.last = Some(name.clone());
            if tree.directory(id).is_ok() {
                self.pending.push((name, id));
            } else if let Ok(info) = tree.info(id) {
                return Some(WalkItem::Leaf(
                    MemoryLocation { directory: self.directory, name, slash: false },
                    info,
                ));
            }
        }
        if self.last.take().is_some() {
            self.pending.reverse();
        }
        None
    }
}

/// The walk of a caller.
#[derive(Debug)]
pub(super) struct MemoryWalk {
    home: Arc<MemorySharedHome>,
    ctx: Ctx,
    path: RemotePath,
    walk: NodeWalk,
}

impl MemoryWalk {
    pub(super) fn begin(
        home: &Arc<MemorySharedHome>,
        ctx: &Ctx,
        path: &RemotePath,
    ) -> StoreResult<MemoryWalk> {
        let walk = NodeWalk::below(home.tree().resolve_directory(path).of_directory(path)?);
        Ok(MemoryWalk { home: Arc::clone(home), ctx: ctx.clone(), path: path.clone(), walk })
    }
}

impl TreeWalk for MemoryWalk {
    fn next_step(&mut self) -> StoreResult<Option<TreeStep>> {
        if self.ctx.is_cancelled() {
            return Err(Cause::Cancelled).of_directory(&self.path);
        }
        let item = self.walk.next_item(&self.home.tree());
        Ok(item.map(|item| match item {
            WalkItem::Enter(info) => TreeStep::Enter(info),
            WalkItem::Leaf(location, info) => TreeStep::Leaf(location.name, info),
            WalkItem::Leave(_) => TreeStep::Pause,
        }))
    }

    fn relative(&self) -> Option<Vec<u8>> {
        self.walk.relative()
    }
}

/// The removal of a tree.
#[derive(Debug)]
pub(super) struct MemoryRemoval {
    home: Arc<MemorySharedHome>,
    ctx: Ctx,
    path: RemotePath,
    /// Its canonical path.
    top: RemotePath,
    /// The directory and the walk below it; `None` if it was not a directory.
    tree: Option<(MemoryLocation, NodeWalk)>,
    /// Whether an entry could not be removed.
    has_failed: bool,
}

impl MemoryRemoval {
    pub(super) fn begin(
        home: &Arc<MemorySharedHome>,
        ctx: &Ctx,
        path: &RemotePath,
        removed: &mut OnRemoved<'_>,
    ) -> StoreResult<MemoryRemoval> {
        let mut tree = home.tree();
        let at = tree.locate(path).of_file(path)?;
        let id = tree.existing(&at).of_file(path)?;
        let top = logged(&tree, &at, path);
        let below = if tree.directory(id).is_ok() {
            Some((at, NodeWalk::below(id)))
        } else {
            if at.slash {
                return Err(Cause::NotDirectory).of_file(path);
            }
            home.remove(&mut tree, &at).of_file(path)?;
            removed(&top, false);
            None
        };
        drop(tree);
        Ok(MemoryRemoval {
            home: Arc::clone(home),
            ctx: ctx.clone(),
            path: path.clone(),
            top,
            tree: below,
            has_failed: false,
        })
    }
}

impl TreeRemoval for MemoryRemoval {
    fn step(
        &mut self,
        limit: StepLimit,
        removed: &mut OnRemoved<'_>,
        failed: &mut dyn FnMut(StoreError),
    ) -> StoreResult<bool> {
        let Some((own, walk)) = &mut self.tree else { return Ok(true) };
        let mut entries = 0;
        while !limit.is_reached(entries) {
            if self.ctx.is_cancelled() {
                return Err(Cause::Cancelled).of_directory(&self.path);
            }
            entries += 1;
            let mut tree = self.home.tree();
            let (location, is_directory) = match walk.next_item(&tree) {
                Some(WalkItem::Enter(_)) => continue,
                Some(WalkItem::Leaf(location, _)) => (location, false),
                Some(WalkItem::Leave(location)) => (location, true),
                None if self.has_failed => return Ok(true),
                None => {
                    directories::remove_at(&self.home, &mut tree, own).of_directory(&self.path)?;
                    removed(&self.top, true);
                    return Ok(true);
                }
            };
            let path = below(&self.top, walk, &location.name);
            let done = match is_directory {
                true => directories::remove_at(&self.home, &mut tree, &location).of_directory(&path),
                false => self.home.remove(&mut tree, &location).of_file(&path),
            };
            drop(tree);
            match done {
                Ok(()) => removed(&path, is_directory),
                Err(error) => {
                    self.has_failed = true;
                    failed(error);
                }
            }
        }
        Ok(false)
    }
}

/// The path of a name in the walk's current directory; that of the directory above if it is too long.
fn below(top: &RemotePath, walk: &NodeWalk, name: &[u8]) -> RemotePath {
    let relative = walk.relative().filter(|relative| !relative.is_empty());
    let directory = relative.and_then(|relative| top.join(&relative).ok()).unwrap_or_else(|| top.clone());
    directory.join(name).unwrap_or(directory)
}
