//! Counting what a home holds on the disk.

use super::inspection::below;
use super::{Error, Result, TreeItem, TreeWalker, file_id, length};
use crate::permission::{READ_FOLDER, explained};
use rustix::fd::OwnedFd;
use rustix::fs::{FileType, Stat};
use sshome_store::quota::{Amount, FileId, ScanResult, UnreadableEntries};
use sshome_store::shown;
use std::collections::HashSet;
use std::path::Path;

/// Entries after which a scan reports its progress.
const ENTRIES_PER_REPORT: u64 = 256;

/// The home that a scan reads, and the files whose lengths it records.
pub(super) struct ScanTarget<'a, W> {
    /// The user of the home.
    pub(super) user: &'a str,
    /// Its path.
    pub(super) root: &'a Path,
    /// Selects files whose lengths are recorded.
    pub(super) wants: W,
}

/// Adds up everything below the home's `top`, each file and link once however many names it has. The staging folder is
/// left out. Unreadable entries are in the result, and the first of them in the log. `continues` is called from time to
/// time with the amount so far. `None` if it returned false.
pub(super) fn scan(
    target: &ScanTarget<'_, impl Fn(FileId) -> bool>,
    top: OwnedFd,
    mut continues: impl FnMut(Amount) -> bool,
) -> Result<Option<ScanResult>> {
    let ScanTarget { user, root, wants } = target;
    let mut tree = TreeWalker::below(top)?;
    let mut found = ScanResult::default();
    let mut several_names = HashSet::new();
    for step in 0_u64.. {
        if step.is_multiple_of(ENTRIES_PER_REPORT) && !continues(found.used) {
            return Ok(None);
        }
        match tree.next_step() {
            Ok(None) => break,
            Ok(Some(TreeItem::Leave(..) | TreeItem::MoreDirectories)) => {}
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
            Err(error) => found.unreadable.add(|| {
                let path = tree.failed_at();
                let why = why(&below(root, &path), error);
                (path, why)
            }),
        }
    }
    log_unreadable(user, root, &found.unreadable);
    Ok(Some(found))
}

/// Logs what could not be read.
fn log_unreadable(user: &str, root: &Path, unreadable: &UnreadableEntries) {
    for entry in &unreadable.first {
        let path = below(root, &entry.path);
        let path = shown(&path);
        let why = &entry.why;
        tracing::error!(user, %path, why, "part of a home cannot be read: until it can be, and a scan has counted it, nothing more is stored in it");
    }
    let rest = unreadable.count.saturating_sub(unreadable.first.len() as u64);
    if rest > 0 {
        tracing::error!(user, rest, "more of a home cannot be read");
    }
}

/// Why an entry could not be read, with the remedy.
fn why(path: &Path, error: Error) -> String {
    match error {
        Error::Os(errno) => explained(path, READ_FOLDER, errno),
        error => error.to_string(),
    }
}

fn has_bytes(stat: &Stat) -> bool {
    matches!(FileType::from_raw_mode(stat.st_mode), FileType::RegularFile | FileType::Symlink)
}
