//! Describes the old version of a file.

use crate::chunker::Chunker;
use crate::sizes::{ChunkSizes, MAX_DESCRIBED_BYTES};
use crate::{ChunkKey, digest};
use sshome_wire::Chunk;

/// Describes a file, from its bytes in order.
#[derive(Debug)]
pub struct Describer {
    key: ChunkKey,
    chunker: Chunker,
}

impl Describer {
    /// The description of a file of `bytes` bytes; `None` if it is longer than
    /// [`MAX_DESCRIBED_BYTES`].
    #[must_use]
    pub fn new(key: ChunkKey, bytes: u64) -> Option<Describer> {
        (bytes <= MAX_DESCRIBED_BYTES)
            .then(|| Describer { key, chunker: Chunker::new(ChunkSizes::of(bytes)) })
    }

    /// Where to append the next bytes of the file. Call [`Describer::next`] until it returns `None` afterwards.
    pub fn buffer(&mut self) -> &mut Vec<u8> {
        self.chunker.buffer()
    }

    /// The next chunk; `None` until more bytes are read, or after the last.
    pub fn next(&mut self, at_end: bool) -> Option<Chunk> {
        let length = self.chunker.peek(at_end)?;
        let chunk = self.chunker.take(length);
        Some(Chunk { digest: digest(&self.key, chunk), length: u32::try_from(length).unwrap_or(u32::MAX) })
    }
}
