//! The state of a divided file.

use super::file::SplitPart;
use crate::transfer::block_pool::BlockPool;
use sshome_wire::{Digest, RangeHeader, Time};
use std::sync::Arc;

/// The state of a divided file.
#[derive(Debug, Default)]
pub(super) struct SplitState {
    pub(super) phase: SplitPhase,
    /// The partial file, once it was opened.
    pub(super) part: Option<Arc<SplitPart>>,
    pub(super) header: Option<RangeHeader>,
    /// Claimed blocks exist locally.
    pub(super) blocks: BlockPool,
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
    /// The file, if every block counts.
    pub(super) fn complete(&self) -> Option<CompleteFile> {
        let (Some(header), Some(part), true) = (&self.header, &self.part, self.blocks.is_complete()) else {
            return None;
        };
        Some(CompleteFile {
            digest: self.blocks.digest()?,
            stored: header.stored,
            size: header.version.size,
            mode: header.mode,
            mtime: header.version.mtime,
            resumed: self.blocks.resumed(),
            part: Arc::clone(part),
        })
    }
}
