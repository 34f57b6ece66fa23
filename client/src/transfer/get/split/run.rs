//! Runs of blocks that a connection has taken.

use super::file::{SplitFile, SplitPart};
use super::state::{
    BlockState, CompleteFile, MAX_CHECKED_BLOCKS, MAX_RUN_BLOCKS, MAX_STARTS, SplitPhase, block_bytes,
    put_before,
};
use crate::transfer::local::write_at;
use sshome_wire::{Digest, FileVersion};
use std::io;
use std::ops::Range;
use std::sync::Arc;

/// Consecutive blocks that one connection fetches, or compares. Dropping it returns those that do not count yet.
#[derive(Debug)]
pub(super) struct TakenRun {
    pub(super) file: Arc<SplitFile>,
    generation: u64,
    pub(super) version: FileVersion,
    pub(super) blocks: Range<usize>,
    /// Whether the blocks exist locally and are only compared.
    pub(super) is_check: bool,
}

/// What the server's digest of a block means.
pub(super) enum BlockVerdict {
    /// The block counts.
    Right,
    /// It counts, and it was the last one.
    Complete(Box<CompleteFile>),
    /// The data differ from what the server has read.
    Wrong,
    /// The existing block is not that of the server, and has to be fetched. `counted` says whether it was counted as
    /// transferred.
    Differs { counted: bool },
    /// The block is of a version that is no longer fetched.
    Stale,
}

impl TakenRun {
    /// Takes the next blocks, for one of about so many connections: fewer near the end, so that all end together.
    pub(super) fn take(file: &Arc<SplitFile>, connections: usize) -> Option<TakenRun> {
        let generation = file.generation();
        let mut state = file.state();
        let version = state.header.as_ref().filter(|_| state.phase == SplitPhase::Open)?.version;
        let is_check = !state.to_check.is_empty();
        let left: usize = state.to_fetch.iter().map(ExactSizeIterator::len).sum();
        let (queue, most) = match is_check {
            true => (&mut state.to_check, MAX_CHECKED_BLOCKS),
            false => (&mut state.to_fetch, (left / (2 * connections).max(1)).clamp(1, MAX_RUN_BLOCKS)),
        };
        let first = queue.front_mut()?;
        let blocks = first.start..first.end.min(first.start + most);
        first.start = blocks.end;
        if first.start >= first.end {
            queue.pop_front();
        }
        Some(TakenRun { file: Arc::clone(file), generation: *generation, version, blocks, is_check })
    }

    /// The number of data bytes that the server sends.
    pub(super) fn data_bytes(&self) -> u64 {
        if self.is_check {
            0
        } else {
            self.blocks.clone().map(|block| block_bytes(self.version, block)).sum()
        }
    }

    /// Writes data at an offset of the file, unless another version is fetched meanwhile.
    pub(super) fn write(&self, part: &SplitPart, offset: u64, data: &[u8]) -> io::Result<()> {
        let generation = self.file.generation();
        if *generation == self.generation { write_at(&part.handle, offset, data) } else { Ok(()) }
    }

    /// Notes the server's digest of a block, and of the data that arrived if it was fetched.
    pub(super) fn verify(&self, block: usize, theirs: Digest, ours: Option<Digest>) -> BlockVerdict {
        let generation = self.file.generation();
        let mut state = self.file.state();
        if *generation != self.generation || state.phase != SplitPhase::Open {
            return BlockVerdict::Stale;
        }
        let verdict = match ours {
            Some(ours) if ours != theirs => return BlockVerdict::Wrong,
            Some(_) => {
                state.is_right(block, theirs, false);
                None
            }
            None => state.compare(block, self.version, theirs),
        };
        let complete = state.complete();
        if complete.is_some() {
            state.phase = SplitPhase::Finished;
        }
        drop(state);
        if verdict.is_some() || complete.is_some() {
            self.file.changed.send_replace(());
        }
        match (complete, verdict) {
            (Some(complete), _) => BlockVerdict::Complete(Box::new(complete)),
            (None, Some(counted)) => BlockVerdict::Differs { counted },
            (None, None) => BlockVerdict::Right,
        }
    }

    /// Bytes that existed before the transfer, once all claimed blocks were compared. Returned once.
    pub(super) fn take_resumed(&self) -> Option<u64> {
        let mut state = self.file.state();
        std::mem::take(&mut state.is_news).then_some(state.resumed).flatten()
    }

    /// The server has another version: the file is opened again, and the blocks that exist are compared. Returns `false`
    /// if that has happened too often.
    pub(super) fn restart(&self) -> bool {
        let mut generation = self.file.change_generation();
        let mut state = self.file.state();
        if *generation != self.generation || state.phase != SplitPhase::Open {
            return true;
        }
        if state.starts >= MAX_STARTS {
            return false;
        }
        *generation += 1;
        state.phase = SplitPhase::Waiting;
        let is_reported = state.resumed.is_some();
        for block in &mut state.blocks {
            if let BlockState::Done { digest, existed } = *block {
                *block = BlockState::Claimed { digest, counted: is_reported || !existed };
            }
        }
        drop((generation, state));
        self.file.changed.send_replace(());
        true
    }
}

impl Drop for TakenRun {
    fn drop(&mut self) {
        let generation = self.file.generation();
        let mut state = self.file.state();
        if *generation == self.generation && state.phase == SplitPhase::Open {
            for block in self.blocks.clone().rev() {
                match (state.blocks.get(block), self.is_check) {
                    (Some(BlockState::Missing), false) => put_before(&mut state.to_fetch, block),
                    (Some(BlockState::Claimed { .. }), true) => put_before(&mut state.to_check, block),
                    _ => {}
                }
            }
        }
        drop((generation, state));
        self.file.changed.send_replace(());
    }
}
