//! The possible content of a file after a power cut, in both models: each page that was not synced is old, new or zero,
//! and the length is any that the file had since its last sync.

use rand::RngExt;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use sshome_e2e::recorder::Event;
use std::ops::Range;

/// The unit of writes to the disk.
const PAGE_BYTES: usize = 4096;

/// The fate of the pages of a file that were not synced.
#[derive(Clone, Copy, Debug)]
enum Unsynced {
    /// None was written, nor the new length.
    Lost,
    /// The length was written, and no page.
    Zero,
    /// All were written.
    Whole,
    /// Each page and the length had a different fate.
    Mixed,
}

/// The content. `changes` are the numbers of the file's writes and changes of length; those before `synced` are on the
/// disk.
pub(crate) fn content(events: &[Event], changes: &[usize], synced: usize, random: &mut StdRng) -> Vec<u8> {
    let kinds = [Unsynced::Lost, Unsynced::Zero, Unsynced::Whole, Unsynced::Mixed];
    let unsynced = kinds.choose(random).copied().unwrap_or(Unsynced::Mixed);
    let (before, after) = changes.split_at(changes.partition_point(|at| *at < synced));
    let mut seen = Vec::new();
    for at in before {
        change(&mut seen, &events[*at]);
    }
    if after.is_empty() {
        return seen;
    }
    let mut disk = seen.clone();
    let mut lengths = vec![seen.len()];
    for at in after {
        let changed = change(&mut seen, &events[*at]);
        lengths.push(seen.len());
        for page in changed.start / PAGE_BYTES..changed.end.div_ceil(PAGE_BYTES) {
            let page = page * PAGE_BYTES..seen.len().min((page + 1) * PAGE_BYTES);
            let state = match unsynced {
                Unsynced::Mixed => {
                    [Unsynced::Lost, Unsynced::Zero, Unsynced::Whole][random.random_range(0..3)]
                }
                state => state,
            };
            write_page(&mut disk, page, &seen, state);
        }
    }
    let length = match unsynced {
        Unsynced::Lost => lengths[0],
        Unsynced::Zero | Unsynced::Whole => seen.len(),
        Unsynced::Mixed => lengths.choose(random).copied().unwrap_or(0),
    };
    disk.resize(length, 0);
    disk
}

/// Applies a change as a program sees it. Returns the range of its bytes.
fn change(seen: &mut Vec<u8>, event: &Event) -> Range<usize> {
    match event {
        Event::Write(_, offset, data) => {
            let range = *offset as usize..*offset as usize + data.len();
            if seen.len() < range.end {
                seen.resize(range.end, 0);
            }
            seen[range.clone()].copy_from_slice(data);
            range
        }
        Event::SetLength(_, length) => {
            let old = seen.len();
            seen.resize(*length as usize, 0);
            // The pages beyond the new length may stay as they were.
            old..seen.len().max(old)
        }
        _ => 0..0,
    }
}

fn write_page(disk: &mut Vec<u8>, page: Range<usize>, seen: &[u8], state: Unsynced) {
    if page.is_empty() || matches!(state, Unsynced::Lost) {
        return;
    }
    if disk.len() < page.end {
        disk.resize(page.end, 0);
    }
    match state {
        Unsynced::Zero => disk[page].fill(0),
        _ => disk[page.clone()].copy_from_slice(&seen[page]),
    }
}
