//! Links, and renaming and removing files.

use super::failure::{AtPath, of_parent, over_quota};
use super::node::{Node, NodeBody};
use super::reserve::end_credit;
use super::resolve::MemoryLocation;
use super::shared::MemorySharedHome;
use super::tree::Tree;
use crate::quota::{FreedSpace, UsageChange};
use crate::{Cause, Ctx, EntryChange, FileType, Renamed, Replace, StoreError, StoreResult};
use sshome_wire::{MAX_PATH, RemotePath};

/// The path of a location; the spelled one if it is too long.
pub(super) fn logged(tree: &Tree, at: &MemoryLocation, spelled: &RemotePath) -> RemotePath {
    tree.canonical(at).unwrap_or_else(|_| spelled.clone())
}

/// Asks the guard of the channel whether the node at a location may be changed.
pub(super) fn check_change(
    ctx: &Ctx,
    tree: &Tree,
    change: EntryChange,
    id: u64,
    at: &MemoryLocation,
) -> Result<(), Cause> {
    ctx.check_change(change, &tree.info(id)?, &|| tree.canonical(at).ok())
}

/// Creates a symbolic link. Returns its path.
pub(super) fn make_symlink(
    home: &MemorySharedHome,
    path: &RemotePath,
    target: &[u8],
) -> StoreResult<RemotePath> {
    let mut tree = home.tree();
    let at = tree.locate(path).map_err(of_parent(&tree, path))?;
    match target.len() {
        0 => return Err(Cause::NotFound).of_file(path),
        length if length > MAX_PATH => return Err(Cause::NameTooLong).of_file(path),
        _ => {}
    }
    let length = target.len() as u64;
    let reservation = home.ledger.reserve(length, 1).map_err(over_quota(path))?;
    check_free(&tree, &at).of_file(path)?;
    let id = tree.add(Node::new(0o777, NodeBody::Symlink(target.to_vec())));
    tree.link(&at, id).of_file(path)?;
    reservation.commit(UsageChange { bytes: length.cast_signed(), entries: 1 });
    Ok(logged(&tree, &at, path))
}

/// Creates a hard link, which may replace a file. Returns both paths, and whether it did.
pub(super) fn hard_link(
    home: &MemorySharedHome,
    ctx: &Ctx,
    (from, to): (&RemotePath, &RemotePath),
    replaces: bool,
) -> StoreResult<(RemotePath, RemotePath, bool)> {
    if !home.capabilities.hard_links {
        return Err(Cause::Unsupported).of_file(from);
    }
    let mut tree = home.tree();
    let source = tree.locate_entry(from).of_file(from)?;
    let target = tree.locate(to).map_err(of_parent(&tree, to))?;
    let id = tree.existing(&source).of_file(from)?;
    if tree.node(id).of_file(from)?.file_type() == FileType::Directory {
        return Err(Cause::IsDirectory).of_file(from);
    }
    let replaced = tree.lookup(&target).filter(|_| replaces);
    let paths = (logged(&tree, &source, from), logged(&tree, &target, to));
    if replaced == Some(id) {
        return Ok((paths.0, paths.1, false));
    }
    let entries = u64::from(replaced.is_none());
    let entry = home.ledger.reserve(0, entries).map_err(over_quota(to))?;
    end_credit(home, &tree, from, id)?;
    let freed = match replaced {
        Some(old) => {
            check_replaceable(&tree, old, false, to)?;
            if target.slash {
                return Err(Cause::NotDirectory).of_file(to);
            }
            check_change(ctx, &tree, EntryChange::Remove, old, &target).of_file(to)?;
            let freed = home.freed(&tree, old).of_file(to)?;
            tree.unlink(&target).of_file(to)?;
            freed
        }
        None => FreedSpace::Nothing,
    };
    check_free(&tree, &target).of_file(to)?;
    tree.link(&target, id).of_file(to)?;
    entry.commit_replacing(UsageChange { bytes: 0, entries: entries.cast_signed() }, freed);
    Ok((paths.0, paths.1, replaced.is_some()))
}

/// Fails unless a file or a link can be made at a location.
fn check_free(tree: &Tree, at: &MemoryLocation) -> Result<(), Cause> {
    tree.directory(at.directory)?;
    match tree.lookup(at) {
        Some(_) => Err(Cause::Exists),
        None if at.slash => Err(Cause::NotFound),
        None => Ok(()),
    }
}

/// Removes a file or a link. Returns its path.
pub(super) fn remove_file(home: &MemorySharedHome, ctx: &Ctx, path: &RemotePath) -> StoreResult<RemotePath> {
    let mut tree = home.tree();
    let at = tree.locate(path).of_file(path)?;
    let id = tree.existing(&at).of_file(path)?;
    if tree.node(id).of_file(path)?.file_type() == FileType::Directory {
        return Err(StoreError::IsDirectory { path: path.clone(), hint: "; rmdir or rm -r removes it" });
    }
    if at.slash {
        return Err(Cause::NotDirectory).of_file(path);
    }
    check_change(ctx, &tree, EntryChange::Remove, id, &at).of_file(path)?;
    let logged = logged(&tree, &at, path);
    home.remove(&mut tree, &at).of_file(path)?;
    Ok(logged)
}

/// Renames `from` to exactly `to`.
pub(super) fn rename(
    home: &MemorySharedHome,
    ctx: &Ctx,
    from: &RemotePath,
    to: &RemotePath,
    replace: Replace,
) -> StoreResult<Renamed> {
    let mut tree = home.tree();
    let source = tree.locate(from).of_file(from)?;
    let target = tree.locate(to).map_err(of_parent(&tree, to))?;
    let moved = tree.existing(&source).of_file(from)?;
    let is_directory = tree.directory(moved).is_ok();
    if !is_directory {
        check_slashes(&tree, (from, &source), (to, &target))?;
    }
    check_change(ctx, &tree, EntryChange::Rename, moved, &source).of_file(from)?;
    let replaced = tree.lookup(&target);
    if replaced.is_some() && replace == Replace::Never {
        return Err(Cause::Exists).of_file(to);
    }
    let is_one_entry = (source.directory, &source.name) == (target.directory, &target.name);
    let done = |tree: &Tree, paths: (RemotePath, RemotePath), replaced| {
        let to = logged(tree, &target, &paths.1);
        Ok(Renamed { from: paths.0, to, replaced })
    };
    let paths = (logged(&tree, &source, from), to.clone());
    if replaced == Some(moved) && replace == Replace::AlwaysAndMerge && !is_one_entry {
        home.remove(&mut tree, &source).of_file(from)?;
        return done(&tree, paths, true);
    }
    if !is_one_entry {
        end_credit(home, &tree, from, moved)?;
    }
    if replaced == Some(moved) {
        // As in rename(2), both names are kept.
        return done(&tree, paths, false);
    }
    if is_directory && tree.is_inside(target.directory, moved).of_directory(to)? {
        return Err(StoreError::IntoItself { from: from.clone(), to: to.clone() });
    }
    tree.directory(target.directory).of_file(to)?;
    if let Some(id) = replaced {
        check_replaceable(&tree, id, is_directory, to)?;
    }
    let freed = match replaced {
        Some(id) => Some(home.freed(&tree, id).of_file(to)?),
        None => None,
    };
    if freed.is_some() {
        tree.unlink(&target).of_file(to)?;
    }
    tree.rename(&source, &target).of_file(to)?;
    if let Some(freed) = freed {
        home.ledger.removed(freed);
    }
    done(&tree, paths, replaced.is_some())
}

/// As in rename(2): a name with a trailing slash must be a directory.
fn check_slashes(
    tree: &Tree,
    (from, source): (&RemotePath, &MemoryLocation),
    (to, target): (&RemotePath, &MemoryLocation),
) -> StoreResult<()> {
    if source.slash {
        return Err(Cause::NotDirectory).of_file(from);
    }
    if target.slash {
        let there = tree.existing(target).of_directory(to)?;
        let wrong = if tree.directory(there).is_ok() { from } else { to };
        return Err(Cause::NotDirectory).of_directory(wrong);
    }
    Ok(())
}

fn check_replaceable(tree: &Tree, replaced: u64, by_directory: bool, to: &RemotePath) -> StoreResult<()> {
    match tree.directory(replaced) {
        Ok(directory) if by_directory && directory.entries.is_empty() => Ok(()),
        Ok(_) if by_directory => Err(Cause::NotEmpty).of_file(to),
        Ok(_) => Err(StoreError::IsDirectory { path: to.clone(), hint: "" }),
        Err(_) if by_directory => Err(Cause::NotDirectory).of_file(to),
        Err(_) => Ok(()),
    }
}
