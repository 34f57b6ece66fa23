//! Encodes the new version of a file as copies from the old one and literal bytes.

use crate::chunker::Chunker;
use crate::index::{FoundChunk, Index};
use crate::sizes::ChunkSizes;
use crate::{ChunkKey, digest};
use sshome_wire::{CopyRange, MAX_COPY_BYTES};

/// What the receiver has to do next.
#[derive(Debug, PartialEq, Eq)]
pub enum DeltaStep<'a> {
    /// Copy a range of the old version.
    Copy(CopyRange),
    /// Append these bytes.
    Literal(&'a [u8]),
}

/// Encodes a file, from its bytes in order.
#[derive(Debug)]
pub struct Encoder {
    key: ChunkKey,
    index: Index,
    chunker: Chunker,
    /// A copy that the next chunk may extend.
    copy: Option<CopyRange>,
    /// The chunk of the description that was found last.
    last: Option<u32>,
    /// The length of the next chunk, if it is known to be a literal.
    literal: Option<usize>,
}

impl Encoder {
    /// The encoding of a file against a description that was made with the same key.
    #[must_use]
    pub fn new(key: ChunkKey, index: Index) -> Encoder {
        let chunker = Chunker::new(ChunkSizes::of(index.bytes()));
        Encoder { key, index, chunker, copy: None, last: None, literal: None }
    }

    /// Where to append the next bytes of the file. Call [`Encoder::next`] until it returns `None` afterwards.
    pub fn buffer(&mut self) -> &mut Vec<u8> {
        self.chunker.buffer()
    }

    /// The next step; `None` until more bytes are read, or after the last.
    pub fn next(&mut self, at_end: bool) -> Option<DeltaStep<'_>> {
        let length = loop {
            if let Some(length) = self.literal.take() {
                break length;
            }
            if let Some((length, found)) = self.expected() {
                if let Some(full) = self.found(found, length) {
                    return Some(DeltaStep::Copy(full));
                }
                continue;
            }
            let Some(length) = self.chunker.peek(at_end) else {
                return self.copy.take_if(|_| at_end).map(DeltaStep::Copy);
            };
            let digest = digest(&self.key, self.chunker.chunk(length));
            let Some(found) = self.index.find(&digest, length) else {
                self.last = None;
                if let Some(copy) = self.copy.take() {
                    self.literal = Some(length);
                    return Some(DeltaStep::Copy(copy));
                }
                break length;
            };
            if let Some(full) = self.found(found, length) {
                return Some(DeltaStep::Copy(full));
            }
        };
        Some(DeltaStep::Literal(self.chunker.take(length)))
    }

    /// The chunk after the last one found, if the next bytes are the same, and its length. Where little has changed, this
    /// saves the search for the ends of most chunks, which takes as long as their digests, and makes copies of long
    /// ranges where content repeats. If the bytes are not the same, the next chunk is searched for.
    fn expected(&mut self) -> Option<(usize, FoundChunk)> {
        let (length, expected, found) = self.index.get(self.last?.saturating_add(1))?;
        let bytes = self.chunker.possible_chunk(length)?;
        let is_same = digest(&self.key, bytes) == *expected;
        if !is_same {
            self.last = None;
        }
        is_same.then_some((length, found))
    }

    /// Continues after a chunk that was found. Returns the copy before it if it does not continue that.
    fn found(&mut self, FoundChunk { number, offset }: FoundChunk, length: usize) -> Option<CopyRange> {
        self.last = Some(number);
        self.chunker.take(length);
        self.extend(offset, length as u64)
    }

    /// Adds a range to the current copy. Returns the copy before it if it does not continue that.
    fn extend(&mut self, offset: u64, length: u64) -> Option<CopyRange> {
        match &mut self.copy {
            Some(copy) if copy.offset + copy.length == offset && copy.length + length <= MAX_COPY_BYTES => {
                copy.length += length;
                None
            }
            copy => copy.replace(CopyRange { offset, length }),
        }
    }
}
