//! Partial downloads: found, locked and hashed before the rest is requested.

use super::plan::Plan;
use super::store::Store;
use crate::transfer::{ProgressDisplay, names};
use sshome_wire::{BLOCK_BYTES, BlockHasher, Digest};
use std::collections::HashMap;
use std::fs::File;
use std::io::Read;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

/// Cap on partial files held open at a time, each until its file arrives.
const MAX_OPEN_PARTS: usize = 256;

/// Digests of blocks that a get may announce.
const MAX_ANNOUNCED_BLOCKS: usize = 1 << 20;

/// Read in pieces of this many bytes.
const READ_BYTES: usize = 256 << 10;

/// A locked partial download.
#[derive(Debug)]
pub(super) struct LocalPart {
    /// Its name.
    pub(super) part: Vec<u8>,
    pub(super) handle: File,
    /// The digests of its blocks.
    pub(super) digests: Vec<Digest>,
}

/// Whether an interrupted get of this file may have left a partial download. Small files are not resumed.
pub(super) fn may_have(plan: &Plan, file: usize) -> bool {
    let size = plan.files.get(file).map(|file| file.size);
    size.is_some_and(|size| size.is_none_or(|size| BlockHasher::knowable(size) > 0))
}

/// The partial downloads of these files of the plan that can be resumed, by the files' numbers. Stops early if
/// cancelled.
pub(super) fn find(
    plan: &Arc<Plan>,
    files: impl Iterator<Item = usize>,
    cancel: &CancellationToken,
    progress: &ProgressDisplay,
) -> HashMap<usize, LocalPart> {
    let mut store = Store::new(Arc::clone(plan));
    let mut found = HashMap::new();
    for number in files {
        if found.len() >= MAX_OPEN_PARTS || cancel.is_cancelled() {
            break;
        }
        let Some(file) = plan.files.get(number) else { continue };
        let Ok(directory) = store.directory(file.place) else { continue };
        let opened = names::parts(file.local_name())
            .find_map(|part| directory.reopen(&part).ok().flatten().map(|handle| (part, handle)));
        if let Some((part, mut handle)) = opened {
            let name = file.local_name();
            if let Some(digests) = digests(&mut handle, cancel, |done, total| {
                progress.check(name, done, total);
            }) {
                found.insert(number, LocalPart { part, handle, digests });
            }
            progress.end_check();
        }
    }
    found
}

/// The digests of the blocks of a partial download; `None` if it is shorter than a block or unreadable.
fn digests(
    handle: &mut File,
    cancel: &CancellationToken,
    mut each: impl FnMut(u64, u64),
) -> Option<Vec<Digest>> {
    let length = handle.metadata().ok()?.len();
    let blocks = usize::try_from(length / BLOCK_BYTES).unwrap_or(usize::MAX).min(MAX_ANNOUNCED_BLOCKS);
    let total = blocks as u64 * BLOCK_BYTES;
    let mut hasher = BlockHasher::new();
    let mut buffer = vec![0; READ_BYTES];
    let mut reader = handle.take(total);
    while hasher.length() < total && !cancel.is_cancelled() {
        each(hasher.length(), total);
        match reader.read(&mut buffer) {
            Ok(0) | Err(_) => break,
            Ok(read) => hasher.update(buffer.get(..read).unwrap_or_default()),
        }
    }
    Some(hasher.whole_blocks()).filter(|digests| !digests.is_empty())
}
