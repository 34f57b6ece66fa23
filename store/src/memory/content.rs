//! The content of a file in memory.

use std::collections::BTreeMap;
use std::sync::Arc;

const CHUNK_BYTES: u64 = 64 << 10;

/// A chunk without content.
static ZEROS: [u8; CHUNK_BYTES as usize] = [0; CHUNK_BYTES as usize];

/// The bytes of a file. Holes take no memory, and clones share what they have in common.
#[derive(Clone, Debug, Default)]
pub(super) struct Content {
    length: u64,
    /// By number. Missing chunks and missing bytes at the end of a chunk are zero.
    chunks: BTreeMap<u64, Arc<Vec<u8>>>,
}

impl Content {
    /// The length in bytes.
    pub(super) fn length(&self) -> u64 {
        self.length
    }

    /// Appends up to `max_bytes` bytes at `offset` to `buffer`, limited by its capacity. Returns their number.
    pub(super) fn read_at(&self, offset: u64, buffer: &mut Vec<u8>, max_bytes: usize) -> usize {
        let max_bytes = max_bytes.min(buffer.capacity() - buffer.len()) as u64;
        let end = offset.saturating_add(max_bytes).min(self.length);
        let before = buffer.len();
        let mut at = offset;
        while at < end {
            let (number, from) = (at / CHUNK_BYTES, at % CHUNK_BYTES);
            let bytes = (CHUNK_BYTES - from).min(end - at);
            let wanted = buffer.len() + to_usize(bytes);
            if let Some(chunk) = self.chunks.get(&number) {
                let stored = chunk.get(to_usize(from)..).unwrap_or_default();
                buffer.extend_from_slice(stored.get(..to_usize(bytes)).unwrap_or(stored));
            }
            buffer.resize(wanted, 0);
            at += bytes;
        }
        buffer.len() - before
    }

    /// Writes all of `data` at `offset`.
    pub(super) fn write_at(&mut self, offset: u64, data: &[u8]) {
        let (mut at, mut left) = (offset, data);
        while !left.is_empty() {
            let (number, from) = (at / CHUNK_BYTES, to_usize(at % CHUNK_BYTES));
            let bytes = left.len().min(to_usize(CHUNK_BYTES) - from);
            let (now, later) = left.split_at_checked(bytes).unwrap_or((left, &[]));
            self.write_chunk(number, from, now);
            (at, left) = (at + bytes as u64, later);
        }
        self.length = self.length.max(at);
    }

    fn write_chunk(&mut self, number: u64, from: usize, data: &[u8]) {
        if !self.chunks.contains_key(&number) && ZEROS.starts_with(data) {
            return;
        }
        let chunk = Arc::make_mut(self.chunks.entry(number).or_default());
        let end = from + data.len();
        if chunk.len() < end {
            chunk.resize(end, 0);
        }
        if let Some(place) = chunk.get_mut(from..end) {
            place.copy_from_slice(data);
        }
    }

    /// Sets the length in bytes. Added bytes are zero.
    pub(super) fn set_length(&mut self, length: u64) {
        if length < self.length {
            let (number, keep) = (length / CHUNK_BYTES, to_usize(length % CHUNK_BYTES));
            drop(self.chunks.split_off(&(number + 1)));
            if let Some(chunk) = self.chunks.get_mut(&number) {
                Arc::make_mut(chunk).truncate(keep);
            }
        }
        self.length = length;
    }
}

/// Converts a length within a chunk or a buffer, which always fits.
fn to_usize(bytes: u64) -> usize {
    usize::try_from(bytes).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn content_reads_back_as_written(
            steps in prop::collection::vec((0..300_000_u64, 0..100_000_usize, any::<u8>(), any::<bool>()), 1..12),
            (at, max) in (0..300_000_u64, 0..200_000_usize),
        ) {
            let (mut content, mut model) = (Content::default(), Vec::new());
            for (offset, length, byte, cuts) in steps {
                if cuts {
                    content.set_length(offset);
                    model.resize(offset as usize, 0);
                } else if length > 0 {
                    let before = content.clone();
                    content.write_at(offset, &vec![byte; length]);
                    prop_assert_eq!(before.length(), model.len() as u64);
                    let end = offset as usize + length;
                    model.resize(model.len().max(end), 0);
                    model[offset as usize..end].fill(byte);
                }
            }
            prop_assert_eq!(content.length(), model.len() as u64);
            let mut buffer = Vec::with_capacity(max);
            content.read_at(at, &mut buffer, max);
            let wanted = model.get(at as usize..).unwrap_or_default();
            prop_assert_eq!(&buffer[..], &wanted[..wanted.len().min(max)]);
        }
    }
}
