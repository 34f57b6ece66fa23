//! Uploads whose blocks arrive in any order, over several channels at once.
//!
//! A store provides the file ([`BlockSink`]). [`BlockUpload`] says who may write which block, and computes the digests:
//! the digest of the file follows from those of its blocks.

use crate::{PublishItem, StoreError, StoreResult};
use sshome_wire::{BLOCK_BYTES, BlockHasher, Digest, RemotePath};
use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard};

/// The file that the blocks of an upload are written to. Dropping it keeps nothing, unless
/// [`keep_on_drop`](BlockSink::keep_on_drop) was called.
pub trait BlockSink: fmt::Debug + Send + Sync {
    /// The canonical path of the target when the upload began, for the log.
    fn logged_path(&self) -> &RemotePath;

    /// Writes all of `data` at an offset below the announced size. The data of one block arrive in order.
    ///
    /// # Errors
    /// The disk's.
    fn write_at(&self, offset: u64, data: &[u8]) -> StoreResult<()>;

    /// Makes dropping it keep this many bytes from the start as a partial upload, with gaps: whole blocks. 0 keeps nothing.
    fn keep_on_drop(&self, bytes: u64);

    /// Prepares the file for publishing. All blocks were written; `digest` is that of the file.
    ///
    /// # Errors
    /// The disk's. Nothing is kept then.
    fn finish(self: Box<Self>, digest: Digest) -> StoreResult<PublishItem>;
}

/// An upload whose blocks arrive in any order, over several channels at once. Dropping it keeps a partial upload if a
/// whole block has arrived, and nothing otherwise.
#[derive(Debug)]
pub struct BlockUpload {
    /// The path that it was begun with, for errors.
    path: RemotePath,
    logged: RemotePath,
    size: u64,
    /// `None` once the upload has ended.
    sink: RwLock<Option<Box<dyn BlockSink>>>,
    /// Those that are not missing: memory is used for what has arrived, not for what was announced. The sink is locked after
    /// them.
    blocks: Mutex<BlockMap>,
}

type BlockMap = BTreeMap<u64, BlockState>;

#[derive(Debug)]
enum BlockState {
    /// It was read from a partial upload. It is written anew if it arrives.
    Kept(Digest),
    Writing(Arc<BlockClaim>),
    Arrived(Digest),
}

/// Whether a writer still has its block. It is locked during a write, so that nothing is written late.
#[derive(Debug)]
struct BlockClaim(Mutex<bool>);

impl BlockUpload {
    /// An upload of more than one block. `kept` are the digests of the blocks that the sink has from a partial upload.
    pub fn new(
        sink: Box<dyn BlockSink>,
        path: &RemotePath,
        size: u64,
        kept: Vec<Digest>,
    ) -> Arc<BlockUpload> {
        let count = usize::try_from(BlockHasher::count(size)).unwrap_or(usize::MAX);
        let kept = kept.into_iter().take(count).map(BlockState::Kept);
        let blocks = (0..).zip(kept).collect();
        let (path, logged) = (path.clone(), sink.logged_path().clone());
        let upload =
            BlockUpload { path, logged, size, sink: RwLock::new(Some(sink)), blocks: Mutex::new(blocks) };
        upload.note_kept(&upload.blocks());
        Arc::new(upload)
    }

    /// The canonical path of the target when the upload began, for the log.
    #[must_use]
    pub fn logged_path(&self) -> &RemotePath {
        &self.logged
    }

    /// The number of its blocks.
    #[must_use]
    pub fn block_count(&self) -> u64 {
        BlockHasher::count(self.size)
    }

    /// Whether it has neither been finished nor ended.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.sink().is_some()
    }

    /// Begins a block at its first byte. If it is being written, that writer can write no more. If it has arrived, the data
    /// are compared and not written.
    ///
    /// # Errors
    /// If the file has no such block, or the upload has ended.
    pub fn begin_block(self: &Arc<BlockUpload>, block: u64) -> StoreResult<BlockWriter> {
        let mut blocks = self.blocks();
        if self.sink().is_none() {
            return Err(StoreError::UploadEnded(self.path.clone()));
        }
        if block >= self.block_count() {
            return Err(self.mismatch("a block beyond the end of the file"));
        }
        let mode = match blocks.get(&block) {
            Some(BlockState::Arrived(digest)) => BlockMode::Compared(*digest),
            state => {
                if let Some(BlockState::Writing(other)) = state {
                    // Waits for the end of a write.
                    *other.is_valid() = false;
                }
                let claim = Arc::new(BlockClaim(Mutex::new(true)));
                blocks.insert(block, BlockState::Writing(Arc::clone(&claim)));
                BlockMode::Written(claim)
            }
        };
        let (upload, hasher) = (Arc::clone(self), BlockHasher::at(block));
        Ok(BlockWriter { upload, block, mode: Some(mode), written: 0, hasher })
    }

    /// Verifies that all blocks have arrived and that the file has this digest, and prepares it for publishing.
    ///
    /// # Errors
    /// If blocks are missing: the upload continues. If the digest differs, or the disk fails: nothing is kept.
    pub fn finish(&self, digest: Digest) -> StoreResult<PublishItem> {
        // Held until nothing can be written any more: the digest is that of what is published.
        let blocks = self.blocks();
        let digests: Option<Vec<Digest>> = blocks.values().map(BlockState::digest).collect();
        let digests = digests.filter(|digests| digests.len() as u64 == self.block_count());
        let digests = digests.ok_or_else(|| self.mismatch("blocks of the file are missing"))?;
        let sink = self.take_sink().ok_or_else(|| StoreError::UploadEnded(self.path.clone()))?;
        drop(blocks);
        if BlockHasher::after(digests).finish() != digest {
            sink.keep_on_drop(0);
            return Err(self.mismatch("the data received differ from the data sent"));
        }
        sink.finish(digest)
    }

    /// Ends it. What has arrived is kept as a partial upload.
    pub fn end(&self) {
        drop(self.take_sink());
    }

    /// Ends it, and keeps nothing.
    pub fn discard(&self) {
        if let Some(sink) = self.take_sink() {
            sink.keep_on_drop(0);
        }
    }

    /// Takes the sink. Waits for the end of all writes.
    fn take_sink(&self) -> Option<Box<dyn BlockSink>> {
        self.sink.write().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Tells the sink what to keep: everything up to the last whole block that is known.
    fn note_kept(&self, blocks: &BlockMap) {
        let mut whole = blocks.range(..self.size / BLOCK_BYTES);
        let last = whole.rfind(|(_, state)| state.digest().is_some());
        let kept = last.map_or(0, |(last, _)| last + 1);
        if let Some(sink) = &*self.sink() {
            sink.keep_on_drop(kept.saturating_mul(BLOCK_BYTES));
        }
    }

    /// Sets the state of a block, unless another writer has it. Without a state it is missing.
    fn set(&self, block: u64, claim: &Arc<BlockClaim>, state: Option<BlockState>) {
        let mut blocks = self.blocks();
        let is_owner =
            matches!(blocks.get(&block), Some(BlockState::Writing(owner)) if Arc::ptr_eq(owner, claim));
        if is_owner {
            match state {
                Some(state) => blocks.insert(block, state),
                None => blocks.remove(&block),
            };
            self.note_kept(&blocks);
        }
    }

    fn mismatch(&self, why: &'static str) -> StoreError {
        StoreError::Mismatch { path: self.path.clone(), why }
    }

    fn blocks(&self) -> MutexGuard<'_, BlockMap> {
        self.blocks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn sink(&self) -> RwLockReadGuard<'_, Option<Box<dyn BlockSink>>> {
        self.sink.read().unwrap_or_else(PoisonError::into_inner)
    }
}

impl BlockState {
    /// The digest of a block that is complete.
    fn digest(&self) -> Option<Digest> {
        match self {
            BlockState::Kept(digest) | BlockState::Arrived(digest) => Some(*digest),
            BlockState::Writing(_) => None,
        }
    }
}

impl BlockClaim {
    fn is_valid(&self) -> MutexGuard<'_, bool> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Writes one block, in order. Dropping it before the block is complete leaves the block missing.
#[derive(Debug)]
pub struct BlockWriter {
    upload: Arc<BlockUpload>,
    block: u64,
    /// `None` once it is complete.
    mode: Option<BlockMode>,
    written: u64,
    hasher: BlockHasher,
}

#[derive(Debug)]
enum BlockMode {
    Written(Arc<BlockClaim>),
    /// It has arrived before, with this digest.
    Compared(Digest),
}

impl BlockWriter {
    /// Bytes of the block that are missing.
    #[must_use]
    pub fn left(&self) -> u64 {
        let offset = self.block.saturating_mul(BLOCK_BYTES);
        self.upload.size.saturating_sub(offset).min(BLOCK_BYTES).saturating_sub(self.written)
    }

    /// Writes the next bytes of the block. Returns whether it is complete.
    ///
    /// # Errors
    /// If they are more than the block has, differ from what has arrived before, the upload has ended, another writer has
    /// taken the block over, or the disk fails.
    pub fn write(&mut self, data: &[u8]) -> StoreResult<bool> {
        if data.len() as u64 > self.left() {
            return Err(self.upload.mismatch("more data arrived than the block has"));
        }
        if let Some(BlockMode::Written(claim)) = &self.mode {
            let ended = || StoreError::UploadEnded(self.upload.path.clone());
            let is_valid = claim.is_valid();
            let sink = self.upload.sink();
            let sink = sink.as_ref().filter(|_| *is_valid).ok_or_else(ended)?;
            sink.write_at(self.block.saturating_mul(BLOCK_BYTES).saturating_add(self.written), data)?;
        }
        self.hasher.update(data);
        self.written += data.len() as u64;
        if self.left() > 0 {
            return Ok(false);
        }
        let digest = self.hasher.subtrees().first().copied();
        match (self.mode.take(), digest) {
            (Some(BlockMode::Written(claim)), Some(digest)) => {
                self.upload.set(self.block, &claim, Some(BlockState::Arrived(digest)));
            }
            (Some(BlockMode::Compared(arrived)), Some(digest)) if arrived != digest => {
                return Err(self.upload.mismatch("a block arrived twice, with different data"));
            }
            _ => {}
        }
        Ok(true)
    }
}

impl Drop for BlockWriter {
    fn drop(&mut self) {
        if let Some(BlockMode::Written(claim)) = self.mode.take() {
            self.upload.set(self.block, &claim, None);
        }
    }
}

#[cfg(test)]
mod tests;
