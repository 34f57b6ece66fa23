//! What is known about the blocks of a divided file.

use super::file::SplitPart;
use sshome_wire::{BLOCK_BYTES, BlockHasher, Digest, FileVersion, RangeHeader, Time};
use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;

/// The longest run, in blocks. A connection that is lost or slow holds up no more.
pub(super) const MAX_RUN_BLOCKS: usize = 8;

/// The longest run of blocks that are only compared.
pub(super) const MAX_CHECKED_BLOCKS: usize = 64;

/// How often a file that changes on the server is opened.
pub(super) const MAX_STARTS: u32 = 4;

/// The state of a divided file.
#[derive(Debug, Default)]
pub(super) struct SplitState {
    pub(super) phase: SplitPhase,
    /// The partial file, once it was opened.
    pub(super) part: Option<Arc<SplitPart>>,
    pub(super) header: Option<RangeHeader>,
    pub(super) blocks: Vec<BlockState>,
    /// The number of blocks that do not count yet.
    pub(super) missing: usize,
    /// Blocks that no connection has taken: to be fetched, and to be compared.
    pub(super) to_fetch: VecDeque<Range<usize>>,
    pub(super) to_check: VecDeque<Range<usize>>,
    /// The number of claimed blocks that were not compared yet.
    pub(super) claimed: usize,
    /// Bytes that existed before the transfer and are right. `None` before all claimed blocks were compared, or if there
    /// were none.
    pub(super) resumed: Option<u64>,
    /// Whether `resumed` is to be reported.
    pub(super) is_news: bool,
    /// How often it was opened.
    pub(super) starts: u32,
}

/// What is done with the file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum SplitPhase {
    /// It has to be opened.
    #[default]
    Waiting,
    Opening,
    Open,
    /// It is complete, or has failed.
    Finished,
}

/// What is known about a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BlockState {
    Missing,
    /// It exists locally, and was not compared with this version. It may have been counted as transferred.
    Claimed {
        digest: Digest,
        counted: bool,
    },
    /// It equals the server's.
    Done {
        digest: Digest,
        /// Whether it existed before the transfer, and was not counted as transferred yet.
        existed: bool,
    },
}

/// A file of which every block is right.
#[derive(Debug)]
pub(super) struct CompleteFile {
    pub(super) digest: Digest,
    /// The digest that the server has stored, if it does.
    pub(super) stored: Option<Digest>,
    pub(super) size: u64,
    pub(super) mode: u32,
    pub(super) mtime: Time,
    /// Bytes that existed before.
    pub(super) resumed: u64,
    pub(super) part: Arc<SplitPart>,
}

impl SplitState {
    /// Begins to fetch a version of this many blocks.
    pub(super) fn begin(&mut self, header: RangeHeader, count: usize) {
        self.blocks.resize(count, BlockState::Missing);
        self.missing = count;
        (self.to_fetch, self.to_check) = <(VecDeque<_>, VecDeque<_>)>::default();
        self.claimed = 0;
        for block in (0..count).rev() {
            let is_claimed = matches!(self.blocks.get(block), Some(BlockState::Claimed { .. }));
            self.claimed += usize::from(is_claimed);
            put_before(if is_claimed { &mut self.to_check } else { &mut self.to_fetch }, block);
        }
        self.header = Some(header);
        self.phase = SplitPhase::Open;
        self.starts += 1;
    }

    /// A block counts.
    pub(super) fn is_right(&mut self, block: usize, digest: Digest, existed: bool) {
        if let Some(state) = self.blocks.get_mut(block) {
            *state = BlockState::Done { digest, existed };
        }
        self.missing = self.missing.saturating_sub(1);
    }

    /// A claimed block was compared. Returns whether it was counted as transferred and is not right; `None` if it is.
    pub(super) fn compare(&mut self, block: usize, version: FileVersion, theirs: Digest) -> Option<bool> {
        let Some(BlockState::Claimed { digest, counted }) = self.blocks.get(block).copied() else {
            return Some(false);
        };
        let is_right = digest == theirs;
        if is_right {
            self.is_right(block, digest, !counted);
        } else if let Some(state) = self.blocks.get_mut(block) {
            *state = BlockState::Missing;
            put_before(&mut self.to_fetch, block);
        }
        self.claimed = self.claimed.saturating_sub(1);
        if self.claimed == 0 && self.resumed.is_none() {
            let existed =
                |(_, state): &(usize, &BlockState)| matches!(state, BlockState::Done { existed: true, .. });
            let blocks = self.blocks.iter().enumerate().filter(existed);
            self.resumed = Some(blocks.map(|(block, _)| block_bytes(version, block)).sum());
            self.is_news = true;
        }
        (!is_right).then_some(counted)
    }

    /// The file, if every block counts.
    pub(super) fn complete(&self) -> Option<CompleteFile> {
        let (Some(header), Some(part), 0) = (&self.header, &self.part, self.missing) else { return None };
        let digest = |block: &BlockState| match block {
            BlockState::Done { digest, .. } => Some(*digest),
            _ => None,
        };
        let digests = self.blocks.iter().filter_map(digest).collect();
        Some(CompleteFile {
            digest: BlockHasher::after(digests).finish(),
            stored: header.stored,
            size: header.version.size,
            mode: header.mode,
            mtime: header.version.mtime,
            resumed: self.resumed.unwrap_or(0),
            part: Arc::clone(part),
        })
    }
}

/// Adds a block to the front of a queue of runs.
pub(super) fn put_before(queue: &mut VecDeque<Range<usize>>, block: usize) {
    match queue.front_mut() {
        Some(first) if first.start == block + 1 => first.start = block,
        _ => queue.push_front(block..block + 1),
    }
}

/// The length of a block of the file in bytes.
pub(super) fn block_bytes(version: FileVersion, block: usize) -> u64 {
    let offset = (block as u64).saturating_mul(BLOCK_BYTES);
    version.size.saturating_sub(offset).min(BLOCK_BYTES)
}
