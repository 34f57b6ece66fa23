//! What one connection has the right to do with a divided file: open it, send or compare some blocks, finish it.

use super::file::{SplitUpload, UploadPhase, UploadState};
use crate::transfer::block_pool::{MAX_STARTS, block_bytes};
use crate::transfer::put::source::LocalSource;
use sshome_wire::{Digest, UploadId};
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// The right to open an upload. Dropping it leaves that to others.
#[derive(Debug)]
pub(super) struct UploadOpening {
    pub(super) file: Arc<SplitUpload>,
    is_done: bool,
}

impl UploadOpening {
    /// Begins to open a file that waits for it.
    pub(super) fn begin(file: &Arc<SplitUpload>) -> Option<UploadOpening> {
        let mut state = file.state();
        (state.phase == UploadPhase::Waiting).then(|| {
            state.phase = UploadPhase::Opening;
            UploadOpening { file: Arc::clone(file), is_done: false }
        })
    }

    /// The upload is open, and the server claims blocks with these digests. Returns how many bytes were reported as
    /// transferred and are not there. `None` if the file has failed meanwhile.
    pub(super) fn finish(
        mut self,
        local: Arc<LocalSource>,
        id: UploadId,
        theirs: Vec<Digest>,
    ) -> Option<u64> {
        let mut state = self.file.state();
        if state.phase != UploadPhase::Opening {
            return None;
        }
        let lost = state.blocks.reopen(theirs) + state.blocks.begin(local.size);
        state.local = Some(local);
        state.phase = UploadPhase::Open(id);
        state.starts += 1;
        state.may_be_stored = false;
        drop(state);
        self.is_done = true;
        self.file.notify();
        Some(lost)
    }

    /// The file is stored, or has failed, or is sent in another way.
    pub(super) fn give_up(mut self) {
        self.is_done = true;
        self.file.finish();
    }
}

impl Drop for UploadOpening {
    fn drop(&mut self) {
        let mut state = self.file.state();
        if !self.is_done && state.phase == UploadPhase::Opening {
            state.phase = UploadPhase::Waiting;
            drop(state);
            self.file.notify();
        }
    }
}

/// The right to finish an upload of which every block was acknowledged. Dropping it leaves that to others; once the request
/// was sent, it means that the answer was lost.
#[derive(Debug)]
pub(super) struct Finishing {
    pub(super) file: Arc<SplitUpload>,
    pub(super) local: Arc<LocalSource>,
    pub(super) id: UploadId,
    /// The digest of the file.
    pub(super) digest: Digest,
    is_sent: bool,
    is_done: bool,
}

impl Finishing {
    /// Begins to finish a file.
    pub(super) fn begin(file: &Arc<SplitUpload>) -> Option<Finishing> {
        let mut state = file.state();
        let UploadPhase::Open(id) = state.phase else { return None };
        let (digest, local) = (state.blocks.digest()?, state.local.clone()?);
        state.phase = UploadPhase::Finishing;
        let (is_sent, is_done) = (false, false);
        Some(Finishing { file: Arc::clone(file), local, id, digest, is_sent, is_done })
    }

    /// From now on, the file may be stored.
    pub(super) fn set_sent(&mut self) {
        self.is_sent = true;
    }

    /// The file is stored, or has failed.
    pub(super) fn finish(mut self) {
        self.is_done = true;
        self.file.finish();
    }

    /// The upload has ended on the server, and is opened again. Returns `false` if that has happened too often.
    pub(super) fn restart(&mut self) -> bool {
        let mut state = self.file.state();
        if state.starts >= MAX_STARTS {
            return false;
        }
        state.phase = UploadPhase::Waiting;
        drop(state);
        self.is_done = true;
        self.file.notify();
        true
    }
}

impl Drop for Finishing {
    fn drop(&mut self) {
        let mut state = self.file.state();
        if self.is_done || state.phase != UploadPhase::Finishing {
            return;
        }
        if self.is_sent {
            (state.phase, state.may_be_stored) = (UploadPhase::Waiting, true);
        } else {
            state.phase = UploadPhase::Open(self.id);
        }
        drop(state);
        self.file.notify();
    }
}

/// Consecutive blocks that one connection sends, or compares. Dropping it returns those that do not count yet.
#[derive(Debug)]
pub(super) struct TakenBlocks {
    pub(super) file: Arc<SplitUpload>,
    pub(super) local: Arc<LocalSource>,
    pub(super) id: UploadId,
    pub(super) blocks: Range<usize>,
    /// Whether the server has the blocks and they are only compared.
    pub(super) is_check: bool,
    /// The server has refused them.
    is_refused: AtomicBool,
}

impl TakenBlocks {
    /// Takes the next blocks of a file.
    pub(super) fn take(file: &Arc<SplitUpload>) -> Option<TakenBlocks> {
        let mut state = file.state();
        let UploadPhase::Open(id) = state.phase else { return None };
        let local = state.local.clone()?;
        let (blocks, is_check) = state.blocks.take(file.connections)?;
        let is_refused = AtomicBool::new(false);
        Some(TakenBlocks { file: Arc::clone(file), local, id, blocks, is_check, is_refused })
    }

    /// The length of one of its blocks in bytes.
    pub(super) fn block_bytes(&self, block: usize) -> u64 {
        block_bytes(self.local.size, block)
    }

    /// The server has refused the blocks: they need not be read further.
    pub(super) fn refuse(&self) {
        self.is_refused.store(true, Ordering::Relaxed);
    }

    /// Whether the blocks were not refused, and the upload that they belong to is still open.
    pub(super) fn is_wanted(&self) -> bool {
        !self.is_refused.load(Ordering::Relaxed) && self.file.state().phase == UploadPhase::Open(self.id)
    }

    /// The server has a block, which has this digest. Returns `false` if the upload is no longer open.
    pub(super) fn stored(&self, block: usize, digest: Digest) -> bool {
        self.note(|state| {
            state.blocks.transferred(block, digest);
            if state.blocks.done() > state.reached {
                (state.reached, state.starts) = (state.blocks.done(), 0);
            }
        })
    }

    /// Compares the server's block with the local one, which has this digest.
    pub(super) fn compare(&self, block: usize, ours: Digest) {
        self.note(|state| {
            // Nothing of a claimed block was reported as transferred.
            let _ = state.blocks.compare(block, ours);
        });
    }

    /// Bytes that existed on the server before, once all claimed blocks were compared. Returned once.
    pub(super) fn take_resumed(&self) -> Option<u64> {
        self.file.state().blocks.take_resumed()
    }

    fn note(&self, change: impl FnOnce(&mut UploadState)) -> bool {
        let mut state = self.file.state();
        let is_open = state.phase == UploadPhase::Open(self.id);
        if is_open {
            change(&mut state);
        }
        let is_complete = state.blocks.is_complete();
        drop(state);
        if is_complete {
            self.file.notify();
        }
        is_open
    }
}

impl Drop for TakenBlocks {
    fn drop(&mut self) {
        let mut state = self.file.state();
        if state.phase == UploadPhase::Open(self.id) {
            state.blocks.give_back(self.blocks.clone(), self.is_check);
        }
        drop(state);
        self.file.notify();
    }
}
