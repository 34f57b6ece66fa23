//! Removing files and trees.

use super::error::Context;
use super::tree::relative_path;
use super::{PosixHome, StoreError, StoreResult, check_removal, freed};
use crate::home::{self, DescriptorPermit, Location, TREE_DESCRIPTORS, TreeItem, TreeWalker};
use rustix::fs::FileType;
use sshome_store::quota::FreedSpace;
use sshome_store::{EntryChange, OnRemoved, StepLimit, TreeRemoval};
use sshome_wire::RemotePath;

/// See [`Home::remove_file`](sshome_store::Home::remove_file).
pub(crate) fn remove_file(home: &PosixHome, path: &RemotePath) -> StoreResult<RemotePath> {
    check_removal(home, path)?;
    let location = home.dir.locate(path).of_file(path)?;
    let stat = location.stat().of_file(path)?;
    if FileType::from_raw_mode(stat.st_mode) == FileType::Directory {
        return Err(StoreError::IsDirectory { path: path.clone(), hint: "; rmdir or rm -r removes it" });
    }
    let logged = home.logged(&location, path);
    unlink(home, &location, path)?;
    Ok(logged)
}

/// Removes an entry that is not a directory, and accounts for the freed space.
fn unlink(home: &PosixHome, location: &Location, path: &RemotePath) -> StoreResult<()> {
    let namespace = home.dir.lock_namespace();
    let stat = location.stat().of_file(path)?;
    home.check_change(EntryChange::Remove, &stat, location, path)?;
    let freed = freed(&home.dir, location, &stat, &namespace).of_file(path)?;
    location.unlink(&namespace).of_file(path)?;
    home.ledger().removed(freed);
    Ok(())
}

/// The removal of a whole tree, in steps.
#[derive(Debug)]
pub(crate) struct Removal {
    home: PosixHome,
    path: RemotePath,
    /// Its canonical path.
    top: RemotePath,
    /// The path of the walk's current directory.
    at: RemotePath,
    /// The directory and the walk below it; `None` if it is not a directory.
    tree: Option<(Location, TreeWalker)>,
    /// Whether an entry could not be removed.
    has_failed: bool,
    _descriptors: Option<DescriptorPermit>,
}

impl Removal {
    /// See [`Home::remove_tree`](sshome_store::Home::remove_tree).
    pub(crate) fn begin(
        home: &PosixHome,
        path: &RemotePath,
        removed: &mut OnRemoved<'_>,
    ) -> StoreResult<Removal> {
        check_removal(home, path)?;
        let location = home.dir.locate(path).of_file(path)?;
        let stat = location.stat().of_file(path)?;
        let mut permit = None;
        let top = home.logged(&location, path);
        let tree = if FileType::from_raw_mode(stat.st_mode) == FileType::Directory {
            permit = Some(home.dir.descriptors(TREE_DESCRIPTORS).of_directory(path)?);
            home::open_to_owner(&location, &stat).of_directory(path)?;
            let directory = location.open_directory().of_directory(path)?;
            Some((location, TreeWalker::below(directory).of_directory(path)?))
        } else {
            unlink(home, &location, path)?;
            removed(&top, false);
            None
        };
        Ok(Removal {
            home: home.clone(),
            path: path.clone(),
            at: top.clone(),
            top,
            tree,
            has_failed: false,
            _descriptors: permit,
        })
    }
}

impl TreeRemoval for Removal {
    fn step(
        &mut self,
        limit: StepLimit,
        removed: &mut OnRemoved<'_>,
        failed: &mut dyn FnMut(StoreError),
    ) -> StoreResult<bool> {
        let Removal { home, path, top, at, tree, has_failed, .. } = self;
        let Some((own, tree)) = tree else { return Ok(true) };
        check_removal(home, path)?;
        let mut entries = 0;
        while !limit.is_reached(entries) && !home.ctx.is_cancelled() {
            // The removal pauses if a count has to be completed first; the next step waits for the count.
            if check_removal(home, path).is_err() {
                return Ok(false);
            }
            entries += 1;
            let result = match tree.next_step() {
                Ok(Some(TreeItem::Enter(location, stat))) => {
                    *at = relative_path(top, tree);
                    home::open_to_owner(&location, &stat).of_directory(at)
                }
                Ok(Some(TreeItem::MoreDirectories)) => continue,
                Ok(Some(TreeItem::Leaf(location, _))) => {
                    let path = below(at, &location);
                    unlink(home, &location, &path).map(|()| removed(&path, false))
                }
                Ok(Some(TreeItem::Leave(location))) => {
                    *at = relative_path(top, tree);
                    let path = below(at, &location);
                    unlink_directory(home, &location, &path).map(|()| removed(&path, true))
                }
                Ok(None) if *has_failed => return Ok(true),
                Ok(None) => {
                    unlink_directory(home, own, path)?;
                    removed(top, true);
                    return Ok(true);
                }
                Err(error) => {
                    *at = relative_path(top, tree);
                    Err(error).of_file(at)
                }
            };
            if let Err(error) = result {
                *has_failed = true;
                failed(error);
            }
        }
        Ok(false)
    }
}

/// The path of a name in a directory, for the log.
fn below(directory: &RemotePath, location: &Location) -> RemotePath {
    // The directory's, if it is too long for a `RemotePath`.
    directory.join(location.name()).unwrap_or_else(|_| directory.clone())
}

/// Removes an empty directory, and accounts for its entry.
pub(super) fn unlink_directory(home: &PosixHome, location: &Location, path: &RemotePath) -> StoreResult<()> {
    let namespace = home.dir.lock_namespace();
    if home.ctx.is_guarded() {
        home.check_change(EntryChange::Remove, &location.stat().of_directory(path)?, location, path)?;
    }
    location.remove_directory(&namespace).of_directory(path)?;
    home.ledger().removed(FreedSpace::Nothing);
    Ok(())
}
