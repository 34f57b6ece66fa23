//! What a home holds, counted on the disk.

use super::{Result, Tree, TreeItem, file_id, length};
use crate::quota::{FileId, Found, Unreadable};
use rustix::fd::OwnedFd;
use rustix::fs::{FileType, Stat};
use sshome_wire::display::Escaped;
use std::collections::HashSet;

/// Adds up everything below `top`, each file and link once however many names it has. The staging folder is
/// left out. What cannot be read is in the result, and the first of it in the log. `wants` picks files whose
/// lengths are to be found.
pub(super) fn scan(user: &str, top: OwnedFd, wants: impl Fn(FileId) -> bool) -> Result<Found> {
    let mut tree = Tree::below(top)?;
    let mut found = Found::default();
    let mut several_names = HashSet::new();
    loop {
        match tree.next_step() {
            Ok(None) => break,
            Ok(Some(TreeItem::Leave(..))) => {}
            Ok(Some(TreeItem::Enter(..))) => found.used.entries += 1,
            Ok(Some(TreeItem::Leaf(_, stat))) => {
                found.used.entries += 1;
                let first = stat.st_nlink <= 1 || several_names.insert(file_id(&stat));
                if first && has_bytes(&stat) {
                    found.used.bytes += length(&stat);
                }
                if stat.st_nlink <= 1 && wants(file_id(&stat)) {
                    found.lenders.insert(file_id(&stat), length(&stat));
                }
            }
            Err(error) => found.unreadable.add(|| (tree.failed_at(), error.to_string())),
        }
    }
    tell(user, &found.unreadable);
    Ok(found)
}

/// Logs what could not be read.
fn tell(user: &str, unreadable: &Unreadable) {
    for entry in &unreadable.first {
        let path = Escaped(&entry.path);
        let why = &entry.why;
        tracing::error!(user, %path, why, "part of a home cannot be read: until it can be, and a scan has counted it, nothing more is stored in it");
    }
    let rest = unreadable.count.saturating_sub(unreadable.first.len() as u64);
    if rest > 0 {
        tracing::error!(user, rest, "more of a home cannot be read");
    }
}

fn has_bytes(stat: &Stat) -> bool {
    matches!(FileType::from_raw_mode(stat.st_mode), FileType::RegularFile | FileType::Symlink)
}
