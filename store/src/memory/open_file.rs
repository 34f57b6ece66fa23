//! Files that are read and written in place.

use super::attributes::check_owner;
use super::failure::{AtPath, of_parent, over_quota};
use super::node::{FileBody, Node, NodeBody, UMASK};
use super::resolve::MemoryLocation;
use super::shared::{MemorySharedHome, OpenNode};
use super::tree::Tree;
use crate::quota::{ContentChange, HeldFile, QuotaExceeded, UsageChange};
use crate::{
    Cause, FileHandle, FileInfo, NEW_FILE_MODE, OpenMode, PublishItem, SetAttributes, StepLimit, StoreResult,
};
use sshome_wire::{Digest, RemotePath};
use std::sync::Arc;

/// An open file.
#[derive(Debug)]
pub(super) struct MemoryFile {
    path: RemotePath,
    logged: RemotePath,
    mode: OpenMode,
    /// `None` if open files do not count.
    held: Option<HeldFile>,
    node: OpenNode,
}

impl MemoryFile {
    /// Opens a file, or creates it.
    pub(super) fn open(
        home: &Arc<MemorySharedHome>,
        path: &RemotePath,
        mode: OpenMode,
    ) -> StoreResult<MemoryFile> {
        let mut tree = home.tree();
        let exclusive = mode.create && mode.exclusive;
        let location = locate(&tree, path, exclusive)?;
        let id = match tree.lookup(&location) {
            Some(_) if exclusive => return Err(Cause::Exists).of_file(path),
            Some(id) => tree.file(id).map(|_| id).of_file(path)?,
            None if mode.create => create(home, &mut tree, path, &location, mode)?,
            None => return Err(Cause::NotFound).of_file(path),
        };
        let counts = home.capabilities.open_files_count;
        let held = counts.then(|| home.hold(&tree, id)).transpose().of_file(path)?;
        let logged = tree.canonical(&location).unwrap_or_else(|_| path.clone());
        let node = OpenNode::new(home, &mut tree, id);
        drop(tree);
        let file = MemoryFile { path: path.clone(), logged, mode, held, node };
        if mode.truncate {
            file.cut(&mut home.tree(), 0)?;
        }
        Ok(file)
    }

    fn write(&self, offset: Option<u64>, data: &[&[u8]]) -> StoreResult<()> {
        if data.iter().all(|piece| piece.is_empty()) {
            return Ok(());
        }
        let mut tree = self.node.home.tree();
        let length = tree.node(self.node.id).of_file(&self.path)?.length();
        let mut at = offset.unwrap_or(length);
        let end = end_of(at, data).of_file(&self.path)?;
        self.account(&tree, |change| change.grow_to(end))?;
        self.change(&mut tree, |file| {
            for piece in data {
                file.content.write_at(at, piece);
                at += piece.len() as u64;
            }
        })
    }

    fn cut(&self, tree: &mut Tree, length: u64) -> StoreResult<()> {
        i64::try_from(length).map_err(|_| Cause::TooLarge).of_file(&self.path)?;
        self.account(tree, |change| {
            change.grow_to(length)?;
            change.settle(length);
            Ok(())
        })?;
        self.change(tree, |file| file.content.set_length(length))
    }

    /// Accounts for a change, before it is made.
    fn account(
        &self,
        tree: &Tree,
        account: impl FnOnce(&ContentChange<'_>) -> Result<(), QuotaExceeded>,
    ) -> StoreResult<()> {
        let briefly;
        let held = match &self.held {
            Some(held) => held,
            // Its space was freed with its last name.
            None if tree.node(self.node.id).is_ok_and(|node| node.links == 0) => return Ok(()),
            None => {
                briefly = self.node.home.hold(tree, self.node.id).of_file(&self.path)?;
                &briefly
            }
        };
        account(&held.change()).map_err(over_quota(&self.path))
    }

    fn change(&self, tree: &mut Tree, change: impl FnOnce(&mut FileBody)) -> StoreResult<()> {
        let node = tree.node_mut(self.node.id).of_file(&self.path)?;
        if let NodeBody::File(file) = &mut node.body {
            change(file);
            file.digest = None;
            file.version += 1;
            node.times.modify();
        }
        Ok(())
    }
}

impl FileHandle for MemoryFile {
    fn logged_path(&self) -> &RemotePath {
        &self.logged
    }

    fn info(&self) -> StoreResult<FileInfo> {
        self.node.home.tree().info(self.node.id).of_file(&self.path)
    }

    fn version(&self) -> Option<u64> {
        self.node.home.tree().file(self.node.id).ok().map(|file| file.version)
    }

    fn stored_digest(&self, info: &FileInfo) -> Option<Digest> {
        let tree = self.node.home.tree();
        let file = tree.file(self.node.id).ok().filter(|file| file.content.length() == info.size)?;
        file.digest_at(info.modified)
    }

    fn read_at(&self, offset: u64, buffer: &mut Vec<u8>, max_bytes: usize) -> StoreResult<usize> {
        if !self.mode.read {
            return Err(Cause::NotOpenForThis).of_file(&self.path);
        }
        let tree = self.node.home.tree();
        Ok(tree.file(self.node.id).of_file(&self.path)?.content.read_at(offset, buffer, max_bytes))
    }

    fn write_at(&self, offset: Option<u64>, data: &[&[u8]]) -> StoreResult<()> {
        if !self.mode.writes() {
            return Err(Cause::NotOpenForThis).of_file(&self.path);
        }
        self.write(offset, data)
    }

    fn set_length(&self, length: u64) -> StoreResult<()> {
        if !self.mode.writes() {
            return Err(Cause::NotOpenForThis).of_file(&self.path);
        }
        self.cut(&mut self.node.home.tree(), length)
    }

    fn set_attributes(&self, wanted: &SetAttributes) -> StoreResult<()> {
        check_owner(wanted, &self.path)?;
        let mut tree = self.node.home.tree();
        let node = tree.node_mut(self.node.id).of_file(&self.path)?;
        wanted.mode.into_iter().for_each(|mode| node.set_mode(mode));
        wanted.times.into_iter().for_each(|times| node.set_times(times));
        Ok(())
    }

    fn check_space(&self, end: u64) -> StoreResult<()> {
        let more = end.saturating_sub(self.info()?.size);
        self.node.home.ledger.reserve(more, 0).map(drop).map_err(over_quota(&self.path))
    }

    fn sync(&self) -> StoreResult<()> {
        Ok(())
    }

    fn publishes_at_close(&self) -> bool {
        false
    }

    fn prepare_close(&self, _limit: StepLimit) -> StoreResult<bool> {
        Ok(true)
    }

    fn close(self: Box<Self>) -> StoreResult<Option<PublishItem>> {
        Ok(None)
    }
}

/// The location of a file that is to be opened.
pub(super) fn locate(tree: &Tree, path: &RemotePath, exclusive: bool) -> StoreResult<MemoryLocation> {
    let located = match exclusive {
        true => tree.locate_new_file(path),
        false => tree.locate_target(path).map(|(location, _)| location),
    };
    located.map_err(of_parent(tree, path))
}

/// Creates an empty file, and accounts for its entry.
fn create(
    home: &Arc<MemorySharedHome>,
    tree: &mut Tree,
    path: &RemotePath,
    at: &MemoryLocation,
    mode: OpenMode,
) -> StoreResult<u64> {
    let entry = home.ledger.reserve(0, 1).map_err(over_quota(path))?;
    let mode = mode.mode.unwrap_or(NEW_FILE_MODE) & 0o777 & !UMASK;
    tree.directory(at.directory).of_file(path)?;
    let id = tree.add(Node::new(mode, NodeBody::File(FileBody::default())));
    tree.link(at, id).of_file(path)?;
    entry.commit(UsageChange { bytes: 0, entries: 1 });
    Ok(id)
}

/// The offset at which a write ends.
pub(super) fn end_of(offset: u64, data: &[&[u8]]) -> Result<u64, Cause> {
    let length = data.iter().map(|piece| piece.len() as u64).sum();
    let end = offset.checked_add(length).filter(|end| i64::try_from(*end).is_ok());
    end.ok_or(Cause::TooLarge)
}
