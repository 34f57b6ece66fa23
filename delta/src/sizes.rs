//! The lengths of chunks.

use fastcdc::v2020::{Normalization, select_masks};

/// The shortest file that is worth a delta, in bytes.
pub const MIN_DELTA_BYTES: u64 = 1 << 20;

/// The longest file that can be described, in bytes: 1 TiB.
pub const MAX_DESCRIBED_BYTES: u64 = 1 << 40;

/// The longest file with chunks of the smallest average length, in bytes.
const FINEST_BYTES: u64 = 4 << 30;

/// The smallest average length of chunks, in bytes. Smaller ones find more but describe longer: with 16 KiB, a description
/// of 1 GiB takes about 800 KiB.
const FINEST_AVERAGE: usize = 16 << 10;

/// The lengths of a file's chunks, in bytes, and the masks that find their borders.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ChunkSizes {
    pub(crate) min: usize,
    pub(crate) average: usize,
    pub(crate) max: usize,
    pub(crate) masks: (u64, u64),
}

impl ChunkSizes {
    /// Those of a described file of at most [`MAX_DESCRIBED_BYTES`], which the other side's chunks must have as well. They
    /// double with its size above 4 GiB, so that the description stays short.
    pub(crate) fn of(described_bytes: u64) -> ChunkSizes {
        let parts = described_bytes.min(MAX_DESCRIBED_BYTES).div_ceil(FINEST_BYTES).max(1);
        let average = FINEST_AVERAGE << parts.next_power_of_two().ilog2();
        let masks = select_masks(average, Normalization::Level1);
        ChunkSizes { min: average / 4, average, max: average * 4, masks }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_grow_with_the_file_so_that_a_description_stays_short() {
        let average = |bytes| ChunkSizes::of(bytes).average >> 10;
        assert_eq!([0, 1 << 20, 4 << 30].map(average), [16; 3]);
        assert_eq!([(4 << 30) + 1, 8 << 30, 9 << 30, MAX_DESCRIBED_BYTES].map(average), [32, 32, 64, 4096]);
    }
}
