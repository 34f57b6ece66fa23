//! Blocks that one connection sends, until they are answered.

use super::file::SplitUpload;
use super::rights::TakenBlocks;
use sshome_wire::Digest;
use std::collections::VecDeque;
use std::sync::Arc;

/// Consecutive blocks that are being sent, or were sent and have no answer.
pub(super) struct SentBlocks {
    pub(super) taken: Arc<TakenBlocks>,
    /// The digests of blocks that were sent and not acknowledged.
    digests: VecDeque<Digest>,
    /// The next block to be acknowledged.
    next: usize,
    /// Bytes that were sent, those of acknowledged blocks, and those of blocks that count.
    sent: u64,
    acknowledged: u64,
    counted: u64,
    /// Whether their end is an abort.
    pub(super) is_aborted: bool,
}

impl SentBlocks {
    pub(super) fn new(taken: Arc<TakenBlocks>) -> SentBlocks {
        let next = taken.blocks.start;
        SentBlocks {
            taken,
            digests: VecDeque::new(),
            next,
            sent: 0,
            acknowledged: 0,
            counted: 0,
            is_aborted: false,
        }
    }

    /// The file that they belong to.
    pub(super) fn file(&self) -> Arc<SplitUpload> {
        Arc::clone(&self.taken.file)
    }

    /// Bytes were sent, which end with the block that has this digest.
    pub(super) fn note_sent(&mut self, bytes: u64, digest: Option<Digest>) {
        self.sent += bytes;
        self.digests.extend(digest);
    }

    /// The server has the first `bytes` bytes. `None` if these are not whole blocks that were sent.
    pub(super) fn acknowledge(&mut self, bytes: u64) -> Option<()> {
        while self.acknowledged < bytes {
            let (digest, length) = (self.digests.pop_front()?, self.taken.block_bytes(self.next));
            if self.taken.stored(self.next, digest) {
                self.counted += length;
            }
            self.acknowledged += length;
            self.next += 1;
        }
        (self.acknowledged == bytes).then_some(())
    }

    /// Whether all blocks were acknowledged.
    pub(super) fn is_acknowledged(&self) -> bool {
        self.next == self.taken.blocks.end
    }

    /// Bytes that were sent and do not count.
    pub(super) fn uncounted(&self) -> u64 {
        self.sent - self.counted
    }
}
