//! Publishing: staged content gets its name.

use super::failure::{AtPath, over_quota};
use super::node::{FileBody, Node, NodeBody};
use super::pending::MemoryPendingUpload;
use super::resolve::MemoryLocation;
use super::shared::MemorySharedHome;
use super::tree::Tree;
use crate::quota::{FileId, FreedSpace, UsageChange};
use crate::{Cause, Ctx, FileType, PublishItem, PublishResult, Published, StoreError, StoreResult};
use sshome_wire::{Digest, RemotePath, Time};
use std::collections::HashSet;

/// A complete file that is ready to be published.
#[derive(Debug)]
pub(super) struct StagedItem {
    pub(super) target: MemoryLocation,
    /// If this is dropped before it is published, it becomes a partial upload.
    pub(super) pending: MemoryPendingUpload,
    pub(super) mode: u32,
    pub(super) modified: Time,
    /// The digest, if known.
    pub(super) digest: Option<Digest>,
    /// Whether publishing fails if the target exists.
    pub(super) exclusive: bool,
}

/// Publishes a batch.
pub(super) fn publish(home: &MemorySharedHome, ctx: &Ctx, items: Vec<PublishItem>) -> Published {
    let mut targets = HashSet::new();
    let items = items.into_iter().map(|item| {
        let path = item.path.clone();
        if ctx.is_cancelled() {
            return PublishResult::Refused(StoreError::file(&path, Cause::Cancelled));
        }
        let Some(item) = item.into_held::<StagedItem>() else {
            return PublishResult::Refused(StoreError::NoPart(path));
        };
        // One at a time: an item is atomic, the batch is not.
        let mut tree = home.tree();
        let target = tree.entry_id(&item.target);
        match publish_one(home, &mut tree, &path, item) {
            Ok((replaced, id)) => {
                targets.insert(target);
                PublishResult::Done { replaced, id }
            }
            Err(error) => PublishResult::Refused(error),
        }
    });
    let items = items.collect();
    // Those of streams are kept: a client cannot restart them.
    home.partial_uploads.discard(|partial| !partial.is_stream() && targets.contains(&partial.record.target));
    Published { items, names: Ok(()) }
}

/// Gives one file its name and accounts for the change in size. Returns whether it replaced
/// anything, and the new file if it is published exclusively.
fn publish_one(
    home: &MemorySharedHome,
    tree: &mut Tree,
    path: &RemotePath,
    mut item: StagedItem,
) -> StoreResult<(bool, Option<FileId>)> {
    // The lease keeps other channels from resuming a stream before it is published.
    let taken = item.pending.take().ok_or_else(|| StoreError::NoPart(path.clone()))?;
    let (staged, mut reservation, _stream_lease) = taken;
    let target = &item.target;
    tree.directory(target.directory).of_file(path)?;
    let replaced = tree.lookup(target);
    let freed = match replaced {
        Some(id) if tree.node(id).of_file(path)?.file_type() == FileType::Directory => {
            return Err(StoreError::IsDirectory { path: path.clone(), hint: "" });
        }
        Some(_) if item.exclusive => return Err(Cause::Exists).of_file(path),
        // The file that was there when the upload began may have been removed or opened meanwhile.
        Some(id) => home.freed(tree, id).of_file(path)?,
        None => FreedSpace::Nothing,
    };
    let (size, entries) = (staged.length(), u64::from(replaced.is_none()));
    reservation.cover(size, entries, &freed).map_err(over_quota(path))?;
    if replaced.is_some() {
        tree.unlink(target).of_file(path)?;
    }
    let digest = item.digest.map(|digest| (digest, item.modified));
    let content = staged.into_content();
    let mut node = Node::new(item.mode, NodeBody::File(FileBody { content, digest, version: 0 }));
    node.times.modified = item.modified;
    let id = tree.add(node);
    tree.link(target, id).of_file(path)?;
    let bytes = i64::try_from(size).unwrap_or(i64::MAX);
    reservation.commit_replacing(UsageChange { bytes, entries: entries.cast_signed() }, freed);
    Ok((replaced.is_some(), item.exclusive.then(|| tree.file_id(id))))
}
