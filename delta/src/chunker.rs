//! Finds the chunks of a file (FastCDC, as of its authors' paper of 2020).

use crate::sizes::ChunkSizes;
use fastcdc::v2020::cut;

/// Bytes that are read at a time.
const READ_BYTES: usize = 256 << 10;

/// Divides bytes, which are read in order, into chunks.
#[derive(Debug)]
pub(crate) struct Chunker {
    sizes: ChunkSizes,
    buffer: Vec<u8>,
    /// The first byte of `buffer` that is in no chunk yet.
    start: usize,
}

impl Chunker {
    pub(crate) fn new(sizes: ChunkSizes) -> Chunker {
        Chunker { sizes, buffer: Vec::new(), start: 0 }
    }

    /// A buffer with room for the next bytes, to be appended to.
    pub(crate) fn buffer(&mut self) -> &mut Vec<u8> {
        self.buffer.drain(..self.start);
        self.start = 0;
        self.buffer.reserve(READ_BYTES.max(self.sizes.max));
        &mut self.buffer
    }

    /// The length of the next chunk; `None` if more bytes have to be read before it is known, or at the end.
    pub(crate) fn peek(&self, at_end: bool) -> Option<usize> {
        let rest = self.rest();
        if rest.is_empty() || rest.len() < self.sizes.max && !at_end {
            return None;
        }
        let ChunkSizes { min, average, max, masks: (small, large) } = self.sizes;
        let (_, length) = cut(rest, min, average, max, small, large, small << 1, large << 1);
        // A chunk of no bytes would never end.
        Some(length.clamp(1, rest.len()))
    }

    /// The bytes that were read and are in no chunk yet.
    fn rest(&self) -> &[u8] {
        self.buffer.get(self.start..).unwrap_or_default()
    }

    /// The next `length` bytes, which the next chunk begins after.
    pub(crate) fn take(&mut self, length: usize) -> &[u8] {
        let begin = self.start;
        self.start = (begin + length).min(self.buffer.len());
        self.buffer.get(begin..self.start).unwrap_or_default()
    }

    /// The next `length` bytes, if they were read and a chunk may be so long.
    pub(crate) fn possible_chunk(&self, length: usize) -> Option<&[u8]> {
        self.rest().get(..length).filter(|_| length <= self.sizes.max)
    }

    /// The next `length` bytes.
    pub(crate) fn chunk(&self, length: usize) -> &[u8] {
        self.buffer.get(self.start..self.start + length).unwrap_or_default()
    }
}
