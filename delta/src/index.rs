//! The description of the receiver's old version, as the sender looks it up.

use crate::sizes::MAX_DESCRIBED_BYTES;
use sshome_wire::{CHUNK_DIGEST_BYTES, Chunk, MAX_CHUNKS};
use std::collections::HashMap;

/// A description, with its chunks by their digests. Building it and looking up are linear, whatever it contains: of equal
/// digests only the first is found by digest, and the hash table is seeded at random.
#[derive(Debug, Default)]
pub struct Index {
    chunks: Vec<DescribedChunk>,
    by_digest: HashMap<[u8; CHUNK_DIGEST_BYTES], u32>,
    bytes: u64,
}

#[derive(Clone, Copy, Debug)]
struct DescribedChunk {
    digest: [u8; CHUNK_DIGEST_BYTES],
    length: u32,
    offset: u64,
}

/// A range of the old version, and the number of its chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FoundChunk {
    pub(crate) number: u32,
    pub(crate) offset: u64,
}

/// A description that cannot be one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DescriptionError {
    /// It has more than [`MAX_CHUNKS`] chunks.
    #[error("a description of more than {MAX_CHUNKS} chunks")]
    TooMany,
    /// A chunk has no bytes, or the file would be longer than can be described.
    #[error("a described chunk of {0} bytes")]
    BadLength(u32),
}

impl Index {
    /// Adds the next chunks of the description.
    ///
    /// # Errors
    /// If there are too many, or their lengths are impossible.
    pub fn extend(&mut self, chunks: &[Chunk]) -> Result<(), DescriptionError> {
        for &Chunk { digest, length } in chunks {
            let number = u32::try_from(self.chunks.len()).unwrap_or(u32::MAX);
            if number >= MAX_CHUNKS {
                return Err(DescriptionError::TooMany);
            }
            let (offset, end) = (self.bytes, self.bytes + u64::from(length));
            if length == 0 || end > MAX_DESCRIBED_BYTES {
                return Err(DescriptionError::BadLength(length));
            }
            self.chunks.push(DescribedChunk { digest, length, offset });
            self.by_digest.entry(digest).or_insert(number);
            self.bytes = end;
        }
        Ok(())
    }

    /// The length of the described file in bytes.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The number of chunks.
    #[must_use]
    pub fn len(&self) -> usize {
        self.chunks.len()
    }

    /// Whether it describes an empty file.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.chunks.is_empty()
    }

    /// The chunk with this digest and length.
    pub(crate) fn find(&self, digest: &[u8; CHUNK_DIGEST_BYTES], length: usize) -> Option<FoundChunk> {
        let number = *self.by_digest.get(digest)?;
        let chunk = self.chunks.get(number as usize)?;
        (chunk.length as usize == length).then_some(FoundChunk { number, offset: chunk.offset })
    }

    /// The chunk with this number: its length, its digest, and where it is.
    pub(crate) fn get(&self, number: u32) -> Option<(usize, &[u8; CHUNK_DIGEST_BYTES], FoundChunk)> {
        let chunk = self.chunks.get(number as usize)?;
        Some((chunk.length as usize, &chunk.digest, FoundChunk { number, offset: chunk.offset }))
    }
}
