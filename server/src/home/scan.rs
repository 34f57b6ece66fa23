//! What a home holds, counted on the disk.

use super::{Result, Tree, TreeItem, file_id, length};
use crate::quota::Use;
use rustix::fd::OwnedFd;
use rustix::fs::{FileType, Stat};
use std::collections::HashSet;

/// Adds up everything below `top`, each file once however many names it has. The staging folder is
/// left out. Returns also whether all of it could be read; what could not is said in the log.
pub(super) fn scan(top: OwnedFd) -> Result<(Use, bool)> {
    let mut tree = Tree::below(top)?;
    let (mut found, mut whole) = (Use::default(), true);
    let mut several_names = HashSet::new();
    loop {
        match tree.next_step() {
            Ok(None) => return Ok((found, whole)),
            Ok(Some(TreeItem::Leave(..))) => {}
            Ok(Some(TreeItem::Enter(..))) => found.entries += 1,
            Ok(Some(TreeItem::Leaf(_, stat))) => {
                found.entries += 1;
                let first = stat.st_nlink <= 1 || several_names.insert(file_id(&stat));
                if first && is_file(&stat) {
                    found.bytes += length(&stat);
                }
            }
            Err(error) => {
                whole = false;
                tracing::error!(%error, "part of a home cannot be counted: nothing more is taken into it");
            }
        }
    }
}

fn is_file(stat: &Stat) -> bool {
    FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile
}
