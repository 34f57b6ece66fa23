//! Runs of blocks that a connection has taken.

use super::file::{SplitFile, SplitPart};
use super::state::{CompleteFile, SplitPhase};
use crate::transfer::block_pool::{MAX_STARTS, block_bytes};
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
    /// The existing block is not that of the server, and has to be fetched. `counted` bytes of it were reported.
    Differs { counted: u64 },
    /// The block is of a version that is no longer fetched.
    Stale,
}

impl TakenRun {
    /// Takes the next blocks for one of about `connections` connections: fewer near the end, so that all end together.
    pub(super) fn take(file: &Arc<SplitFile>, connections: usize) -> Option<TakenRun> {
        let generation = file.generation();
        let mut state = file.state();
        let version = state.header.as_ref().filter(|_| state.phase == SplitPhase::Open)?.version;
        let (blocks, is_check) = state.blocks.take(connections)?;
        Some(TakenRun { file: Arc::clone(file), generation: *generation, version, blocks, is_check })
    }

    /// The number of data bytes that the server sends.
    pub(super) fn data_bytes(&self) -> u64 {
        if self.is_check {
            0
        } else {
            self.blocks.clone().map(|block| block_bytes(self.version.size, block)).sum()
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
                state.blocks.transferred(block, theirs);
                None
            }
            None => state.blocks.compare(block, theirs),
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
        self.file.state().blocks.take_resumed()
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
        state.blocks.restart();
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
            state.blocks.give_back(self.blocks.clone(), self.is_check);
        }
        drop((generation, state));
        self.file.changed.send_replace(());
    }
}
