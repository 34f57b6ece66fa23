//! Making and removing directories.

use super::failure::{AtPath, of_parent, over_quota};
use super::names::{check_change, logged};
use super::node::{DirectoryBody, Node, NodeBody, UMASK};
use super::resolve::MemoryLocation;
use super::shared::MemorySharedHome;
use super::tree::Tree;
use crate::quota::{FreedSpace, UsageChange};
use crate::{Cause, Ctx, EntryChange, EntryRef, MadeDirectories, MakeDirectory, StoreError, StoreResult};
use sshome_wire::{RemotePath, Time};

/// The permissions that the owner needs to fill a directory.
const OWNER_RWX: u32 = 0o700;

/// A new name that is held until it is published, which in memory does nothing.
#[derive(Debug)]
pub(super) struct MemoryNewName;

/// A directory that is held until it is finalized.
#[derive(Debug)]
pub(super) struct MemoryHeldDirectory {
    path: RemotePath,
    id: u64,
    mtime: Time,
}

/// Creates a directory, and its missing parents on request.
pub(super) fn make(
    home: &MemorySharedHome,
    ctx: &Ctx,
    path: &RemotePath,
    how: MakeDirectory,
) -> StoreResult<MadeDirectories> {
    let mut tree = home.tree();
    // The directories to make, the innermost first. The last one has a parent, and may exist itself.
    let mut missing = vec![path.clone()];
    while how.parents
        && let Some(at) = missing.last().filter(|at| tree.locate(at).err() == Some(Cause::NotFound))
        && let Some((parent, _)) = at.split()
    {
        missing.push(parent);
    }
    let mut made = MadeDirectories::default();
    while let Some(path) = missing.pop() {
        let mode = if missing.is_empty() { how.mode } else { None };
        match make_one(home, &mut tree, &path, mode)? {
            Some((id, logged)) => {
                made.made.push(logged);
                if let Some(mode) = how.mode.filter(|_| how.deferred && missing.is_empty()) {
                    defer(&mut tree, id, mode).of_directory(&path)?;
                }
            }
            None if missing.is_empty() => reopen(ctx, &mut tree, &path, how),
            None => {}
        }
    }
    if !made.made.is_empty() {
        made.names.push(EntryRef::new(MemoryNewName, false));
    }
    Ok(made)
}

/// Creates one directory; `None` if it existed.
fn make_one(
    home: &MemorySharedHome,
    tree: &mut Tree,
    path: &RemotePath,
    mode: Option<u32>,
) -> StoreResult<Option<(u64, RemotePath)>> {
    let at = match tree.locate(path) {
        Err(Cause::Top | Cause::Dot) => return check_existing(tree, path).map(|()| None),
        located => located.map_err(of_parent(tree, path))?,
    };
    if tree.lookup(&at).is_some() {
        return check_existing(tree, path).map(|()| None);
    }
    let reservation = home.ledger.reserve(0, 1).map_err(over_quota(path))?;
    // Its owner needs access, to fill it.
    let mode = mode.map_or(0o777 & !UMASK, |mode| mode & 0o777 | OWNER_RWX);
    tree.directory(at.directory).of_directory(path)?;
    let id = tree.add(Node::new(mode, NodeBody::Directory(DirectoryBody::default())));
    tree.link(&at, id).of_directory(path)?;
    reservation.commit(UsageChange { bytes: 0, entries: 1 });
    Ok(Some((id, logged(tree, &at, path))))
}

/// Succeeds if the existing name is a directory or a link to one.
fn check_existing(tree: &Tree, path: &RemotePath) -> StoreResult<()> {
    tree.resolve_directory(path).map(drop).map_err(|_| StoreError::NotDirectory(path.clone()))
}

/// Makes a directory accessible to its owner until it is finalized, if its mode denies that.
fn defer(tree: &mut Tree, id: u64, mode: u32) -> Result<(), Cause> {
    tree.node_mut(id)?.set_mode(mode | OWNER_RWX);
    if mode & OWNER_RWX != OWNER_RWX {
        tree.directory_mut(id)?.deferred_mode = Some(mode & 0o777);
    }
    Ok(())
}

/// Makes an existing directory with exactly this mode accessible again, if the channel may change it. It comes from an earlier
/// transfer.
fn reopen(ctx: &Ctx, tree: &mut Tree, path: &RemotePath, how: MakeDirectory) {
    let Some(mode) = how.mode.filter(|mode| how.deferred && mode & OWNER_RWX != OWNER_RWX) else { return };
    let Ok(at) = tree.locate(path) else { return };
    let Ok(id) = tree.existing(&at) else { return };
    if check_change(ctx, tree, EntryChange::SetAttributes, id, &at).is_err() {
        return;
    }
    let closed = mode & 0o777 | 0o500;
    if tree.directory(id).is_ok() && tree.node(id).is_ok_and(|node| node.mode & 0o777 == closed) {
        // Cannot fail: the node exists.
        let _ = defer(tree, id, mode);
    }
}

/// Removes an empty directory. Returns its path.
pub(super) fn remove(home: &MemorySharedHome, ctx: &Ctx, path: &RemotePath) -> StoreResult<RemotePath> {
    let mut tree = home.tree();
    let at = tree.locate(path).of_directory(path)?;
    let id = tree.existing(&at).of_directory(path)?;
    check_change(ctx, &tree, EntryChange::Remove, id, &at).of_directory(path)?;
    let logged = logged(&tree, &at, path);
    remove_at(home, &mut tree, &at).of_directory(path)?;
    Ok(logged)
}

/// Removes the empty directory at a location.
pub(super) fn remove_at(home: &MemorySharedHome, tree: &mut Tree, at: &MemoryLocation) -> Result<(), Cause> {
    let id = tree.existing(at)?;
    if !tree.directory(id)?.entries.is_empty() {
        return Err(Cause::NotEmpty);
    }
    tree.unlink(at)?;
    home.ledger.removed(FreedSpace::Nothing);
    Ok(())
}

/// Holds a directory, to be finalized.
pub(super) fn hold(
    home: &MemorySharedHome,
    ctx: &Ctx,
    path: &RemotePath,
    mtime: Time,
) -> StoreResult<EntryRef> {
    let tree = home.tree();
    let at = tree.locate(path).of_directory(path)?;
    let id = tree.existing(&at).of_directory(path)?;
    tree.directory(id).of_directory(path)?;
    check_change(ctx, &tree, EntryChange::SetAttributes, id, &at).of_directory(path)?;
    Ok(EntryRef::new(MemoryHeldDirectory { path: path.clone(), id, mtime }, false))
}

/// Sets the time of a held directory, and its deferred mode if it has one. Returns its path.
pub(super) fn finalize(home: &MemorySharedHome, held: EntryRef) -> StoreResult<RemotePath> {
    let lost = || StoreError::directory(&RemotePath::root(), Cause::NotFound);
    let MemoryHeldDirectory { path, id, mtime } = held.into_held().ok_or_else(lost)?;
    let mut tree = home.tree();
    let deferred = tree.directory_mut(id).of_directory(&path)?.deferred_mode.take();
    let node = tree.node_mut(id).of_directory(&path)?;
    deferred.into_iter().for_each(|mode| node.set_mode(mode));
    node.set_times((node.times.accessed, mtime));
    Ok(tree.path_of(id).unwrap_or(path))
}
