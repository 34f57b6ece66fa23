//! Walking a tree of a home.

use super::error::Context;
use super::{PosixHome, StoreResult};
use crate::home::{self, DescriptorPermit, TREE_DESCRIPTORS, TreeItem};
use sshome_store::{TreeStep, TreeWalk};
use sshome_wire::RemotePath;

/// See [`Home::walk`](sshome_store::Home::walk).
#[derive(Debug)]
pub(crate) struct Walk {
    path: RemotePath,
    tree: home::TreeWalker,
    _descriptors: DescriptorPermit,
}

impl Walk {
    pub(crate) fn below(home: &PosixHome, path: &RemotePath) -> StoreResult<Walk> {
        let permit = home.dir.descriptors(TREE_DESCRIPTORS).of_directory(path)?;
        let top = home.dir.open_directory(path).of_directory(path)?;
        let tree = home::TreeWalker::below(top).of_directory(path)?;
        Ok(Walk { path: path.clone(), tree, _descriptors: permit })
    }
}

impl TreeWalk for Walk {
    fn next_step(&mut self) -> StoreResult<Option<TreeStep>> {
        Ok(self.tree.next_step().of_file(&self.path)?.map(|item| match item {
            TreeItem::Enter(_, stat) => TreeStep::Enter(home::info(&stat)),
            TreeItem::Leaf(location, stat) => TreeStep::Leaf(location.name().to_vec(), home::info(&stat)),
            TreeItem::Leave(_) | TreeItem::MoreDirectories => TreeStep::Pause,
        }))
    }

    fn relative(&self) -> Option<Vec<u8>> {
        self.tree.relative()
    }
}

/// The path of the current directory of a walk below `top`, for the log. `top` if it is too long for a [`RemotePath`].
pub(super) fn relative_path(top: &RemotePath, tree: &home::TreeWalker) -> RemotePath {
    let below = tree.relative().filter(|relative| !relative.is_empty());
    let path = below.and_then(|relative| top.join(&relative).ok());
    path.unwrap_or_else(|| top.clone())
}
