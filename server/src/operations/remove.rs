//! Removing: `rm`.

use super::error::Context;
use super::{Error, Result, StepLimit, User, freed};
use crate::home::{self, DescriptorPermit, Location, TREE_DESCRIPTORS, TreeItem, TreeWalk};
use crate::quota::FreedSpace;
use rustix::fs::FileType;
use sshome_wire::RemotePath;

/// Removes a file or a link.
///
/// # Errors
/// If it is a directory, or does not exist.
pub fn remove(user: &User, path: &RemotePath) -> Result<()> {
    user.require_write()?;
    let location = user.home.locate(path).of_file(path)?;
    let stat = location.stat().of_file(path)?;
    if FileType::from_raw_mode(stat.st_mode) == FileType::Directory {
        return Err(Error::IsDirectory { path: path.clone(), hint: "; rmdir or rm -r removes it" });
    }
    unlink(user, &location, &user.logged(&location, path)).of_file(path)
}

/// Removes an entry that is not a directory, and accounts for the freed space. `path` is for the log.
fn unlink(user: &User, location: &Location, path: &RemotePath) -> home::Result<()> {
    let namespace = user.home.lock_namespace();
    let freed = freed(user, location, &location.stat()?, &namespace)?;
    location.unlink(&namespace)?;
    user.ledger.removed(freed);
    user.audit.removed(path);
    Ok(())
}

/// The removal of a whole tree, in steps. Links in it are removed, not followed.
pub struct Removal {
    path: RemotePath,
    /// Its canonical path.
    top: RemotePath,
    /// The path of the walk's current directory.
    at: RemotePath,
    /// The directory and the walk below it; `None` if it is not a directory.
    tree: Option<(Location, TreeWalk)>,
    _descriptors: Option<DescriptorPermit>,
    removed: u64,
    failed: u64,
    first_failure: Option<String>,
}

impl Removal {
    /// Begins. Anything but a directory is removed immediately.
    ///
    /// # Errors
    /// If it does not exist.
    pub fn begin(user: &User, path: &RemotePath) -> Result<Removal> {
        user.require_write()?;
        let location = user.home.locate(path).of_file(path)?;
        let stat = location.stat().of_file(path)?;
        let mut permit = None;
        let top = user.logged(&location, path);
        let tree = if FileType::from_raw_mode(stat.st_mode) == FileType::Directory {
            permit = Some(user.home.descriptors(TREE_DESCRIPTORS).of_directory(path)?);
            home::open_to_owner(&location, &stat).of_directory(path)?;
            let directory = location.open_directory().of_directory(path)?;
            Some((location, TreeWalk::below(directory).of_directory(path)?))
        } else {
            unlink(user, &location, &top).of_file(path)?;
            None
        };
        let (path, at) = (path.clone(), top.clone());
        Ok(Removal { path, top, at, tree, _descriptors: permit, removed: 0, failed: 0, first_failure: None })
    }

    /// Entries removed so far.
    #[must_use]
    pub fn removed(&self) -> u64 {
        self.removed
    }

    /// Executes one step. Returns whether it is done.
    ///
    /// # Errors
    /// At the end, if an entry could not be removed. All others are removed by then.
    pub fn step(&mut self, user: &User, limit: StepLimit) -> Result<bool> {
        let Some((own, tree)) = &mut self.tree else { return Ok(true) };
        let mut entries = 0;
        while !limit.is_reached(entries) {
            entries += 1;
            let removed = match tree.next_step() {
                Ok(Some(TreeItem::Enter(location, stat))) => {
                    self.at = at(&self.top, tree);
                    home::open_to_owner(&location, &stat).of_directory(&self.at)
                }
                Ok(Some(TreeItem::MoreDirectories)) => continue,
                Ok(Some(TreeItem::Leaf(location, _))) => {
                    let path = below(&self.at, &location);
                    unlink(user, &location, &path).of_file(&path)
                }
                Ok(Some(TreeItem::Leave(location))) => {
                    self.at = at(&self.top, tree);
                    let path = below(&self.at, &location);
                    unlink_directory(user, &location, &path).of_directory(&path)
                }
                Ok(None) => {
                    if let Some(first) = self.first_failure.take() {
                        return Err(Error::Partly { count: self.failed, first });
                    }
                    unlink_directory(user, own, &self.top).of_directory(&self.path)?;
                    return Ok(true);
                }
                Err(error) => {
                    self.at = at(&self.top, tree);
                    Err(error).of_file(&self.at)
                }
            };
            self.removed += u64::from(removed.is_ok());
            if let Err(error) = removed {
                self.failed += 1;
                self.first_failure.get_or_insert_with(|| error.reason());
            }
        }
        Ok(false)
    }
}

/// The path of the current directory of a walk below `top`, for the log. `top` if it is too long for a [`RemotePath`].
fn at(top: &RemotePath, tree: &TreeWalk) -> RemotePath {
    let below = tree.relative().filter(|relative| !relative.is_empty());
    let path = below.and_then(|relative| top.join(&relative).ok());
    path.unwrap_or_else(|| top.clone())
}

/// The path of a name in a directory, for the log.
fn below(directory: &RemotePath, location: &Location) -> RemotePath {
    // The directory's, if it is too long for a `RemotePath`.
    directory.join(location.name()).unwrap_or_else(|_| directory.clone())
}

fn unlink_directory(user: &User, location: &Location, path: &RemotePath) -> home::Result<()> {
    let namespace = user.home.lock_namespace();
    location.remove_directory(&namespace)?;
    user.ledger.removed(FreedSpace::Nothing);
    user.audit.directory_removed(path);
    Ok(())
}
