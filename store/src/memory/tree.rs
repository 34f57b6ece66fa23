//! The names of a home in memory: a tree of nodes.

use super::node::{DirectoryBody, FileBody, Node, NodeBody};
use super::resolve::MemoryLocation;
use crate::quota::FileId;
use crate::{Cause, EntryId, FileInfo};
use sshome_wire::{MAX_PATH, RemotePath};
use std::collections::HashMap;
use std::os::unix::fs::MetadataExt;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};

/// The owner and the group of all files: those of this process, as for files on a disk.
pub(super) fn account() -> (u32, u32) {
    static ACCOUNT: OnceLock<(u32, u32)> = OnceLock::new();
    *ACCOUNT.get_or_init(|| {
        std::fs::metadata("/proc/self").map_or((0, 0), |process| (process.uid(), process.gid()))
    })
}

/// All nodes of a home. Its lock gives exclusive access to the home's names.
#[derive(Debug)]
pub(super) struct Tree {
    /// The device in the identities of its files.
    device: u64,
    nodes: HashMap<u64, Node>,
    top: u64,
    /// The number of the next node. No number is used twice on one host.
    next: Arc<AtomicU64>,
}

impl Tree {
    /// An empty home.
    pub(super) fn new(device: u64, next: Arc<AtomicU64>) -> Tree {
        let mut tree = Tree { device, nodes: HashMap::new(), top: 0, next };
        tree.top = tree.add(Node::new(0o755, NodeBody::Directory(DirectoryBody::default())));
        tree
    }

    pub(super) fn top(&self) -> u64 {
        self.top
    }

    /// A number for a new node.
    pub(super) fn next_id(&self) -> u64 {
        self.next.fetch_add(1, Relaxed)
    }

    /// Adds a node that has no name yet.
    pub(super) fn add(&mut self, node: Node) -> u64 {
        let id = self.next_id();
        self.nodes.insert(id, node);
        id
    }

    /// A node, which may be open without a name.
    pub(super) fn node(&self, id: u64) -> Result<&Node, Cause> {
        self.nodes.get(&id).ok_or(Cause::NotFound)
    }

    pub(super) fn node_mut(&mut self, id: u64) -> Result<&mut Node, Cause> {
        self.nodes.get_mut(&id).ok_or(Cause::NotFound)
    }

    pub(super) fn directory(&self, id: u64) -> Result<&DirectoryBody, Cause> {
        match &self.node(id)?.body {
            NodeBody::Directory(directory) => Ok(directory),
            _ => Err(Cause::NotDirectory),
        }
    }

    pub(super) fn directory_mut(&mut self, id: u64) -> Result<&mut DirectoryBody, Cause> {
        match &mut self.node_mut(id)?.body {
            NodeBody::Directory(directory) => Ok(directory),
            _ => Err(Cause::NotDirectory),
        }
    }

    /// A regular file.
    pub(super) fn file(&self, id: u64) -> Result<&FileBody, Cause> {
        match &self.node(id)?.body {
            NodeBody::File(file) => Ok(file),
            NodeBody::Directory(_) => Err(Cause::IsDirectory),
            NodeBody::Symlink(_) => Err(Cause::Special),
        }
    }

    /// The node at a location; `None` if there is none, or the directory was removed.
    pub(super) fn lookup(&self, at: &MemoryLocation) -> Option<u64> {
        self.directory(at.directory).ok()?.entries.get(&at.name).copied()
    }

    /// The node at a location.
    pub(super) fn existing(&self, at: &MemoryLocation) -> Result<u64, Cause> {
        self.lookup(at).ok_or(Cause::NotFound)
    }

    /// Gives a node a name, which must be free.
    pub(super) fn link(&mut self, at: &MemoryLocation, id: u64) -> Result<(), Cause> {
        let directory = self.directory_mut(at.directory)?;
        if directory.entries.contains_key(&at.name) {
            return Err(Cause::Exists);
        }
        directory.entries.insert(at.name.clone(), id);
        self.node_mut(at.directory)?.times.modify();
        let node = self.node_mut(id)?;
        node.links += 1;
        node.times.changed = super::node::now();
        if let NodeBody::Directory(moved) = &mut node.body {
            (moved.parent, moved.name) = (Some(at.directory), at.name.clone());
        }
        Ok(())
    }

    /// Removes a name. A node without names is forgotten once nobody has it open.
    pub(super) fn unlink(&mut self, at: &MemoryLocation) -> Result<(), Cause> {
        let id = self.remove_entry(at)?;
        self.forget_if_unused(id);
        Ok(())
    }

    /// Moves a name to another, which must be free.
    pub(super) fn rename(&mut self, from: &MemoryLocation, to: &MemoryLocation) -> Result<(), Cause> {
        self.directory(to.directory)?;
        let id = self.remove_entry(from)?;
        self.link(to, id)
    }

    fn remove_entry(&mut self, at: &MemoryLocation) -> Result<u64, Cause> {
        let removed = self.directory_mut(at.directory)?.entries.remove(&at.name);
        let id = removed.ok_or(Cause::NotFound)?;
        self.node_mut(at.directory)?.times.modify();
        let node = self.node_mut(id)?;
        node.links -= 1;
        node.times.changed = super::node::now();
        Ok(id)
    }

    /// Counts a handle of a node.
    pub(super) fn open(&mut self, id: u64) {
        if let Some(node) = self.nodes.get_mut(&id) {
            node.open += 1;
        }
    }

    /// Counts the close of a handle.
    pub(super) fn close(&mut self, id: u64) {
        if let Some(node) = self.nodes.get_mut(&id) {
            node.open -= 1;
        }
        self.forget_if_unused(id);
    }

    fn forget_if_unused(&mut self, id: u64) {
        if self.nodes.get(&id).is_some_and(|node| node.links == 0 && node.open == 0) {
            self.nodes.remove(&id);
        }
    }

    /// The identity of a node.
    pub(super) fn file_id(&self, id: u64) -> FileId {
        FileId { device: self.device, inode: id }
    }

    /// The identity of an entry.
    pub(super) fn entry_id(&self, at: &MemoryLocation) -> EntryId {
        EntryId { directory: self.file_id(at.directory), name: at.name.clone() }
    }

    /// The attributes of a node.
    pub(super) fn info(&self, id: u64) -> Result<FileInfo, Cause> {
        let node = self.node(id)?;
        // The top has no name, but exists.
        let links = if id == self.top { 1 } else { node.links };
        Ok(FileInfo {
            id: self.file_id(id),
            file_type: node.file_type(),
            mode: node.mode,
            links,
            owner: account().0,
            group: account().1,
            size: node.length(),
            accessed: node.times.accessed,
            modified: node.times.modified,
            changed: node.times.changed,
        })
    }

    /// The path of a directory.
    pub(super) fn path_of(&self, mut id: u64) -> Result<RemotePath, Cause> {
        let mut names = Vec::new();
        let mut length = 0;
        while id != self.top {
            let directory = self.directory(id)?;
            length += directory.name.len() + 1;
            if length > MAX_PATH {
                return Err(Cause::NameTooLong);
            }
            names.push(&directory.name[..]);
            id = directory.parent.ok_or(Cause::NotFound)?;
        }
        names.reverse();
        let path = RemotePath::root().join(&[b"/", &names.join(&b'/')[..]].concat());
        path.map_err(|_| Cause::NameTooLong)
    }

    /// The canonical path of an entry.
    pub(super) fn canonical(&self, at: &MemoryLocation) -> Result<RemotePath, Cause> {
        self.path_of(at.directory)?.join(&at.name).map_err(|_| Cause::NameTooLong)
    }

    /// Whether a directory is `tree`, or below it.
    pub(super) fn is_inside(&self, mut directory: u64, tree: u64) -> Result<bool, Cause> {
        loop {
            if directory == tree || directory == self.top {
                return Ok(directory == tree);
            }
            directory = self.directory(directory)?.parent.ok_or(Cause::NotFound)?;
        }
    }

    /// All nodes that have a name, without the top.
    pub(super) fn named(&self) -> impl Iterator<Item = (u64, &Node)> {
        self.nodes.iter().filter(|(_, node)| node.links > 0).map(|(id, node)| (*id, node))
    }
}
