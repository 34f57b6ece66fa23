//! A file's digest, block by block.
//!
//! BLAKE3 is a tree: a block of a power of two of its chunks, at a multiple of its own length, is a subtree with a
//! digest of its own ("chaining value", section 2.1 of the BLAKE3 paper), and the digest of the whole file follows from
//! those of its blocks. So one pass over a file gives both: the digest of the whole, and block digests, with which a
//! partial file can be compared and resumed.

use crate::Digest;
use alloc::vec::Vec;
use blake3::Hasher;
use blake3::hazmat::{HasherExt, Mode, merge_subtrees_non_root, merge_subtrees_root};

/// The length of a block, in bytes.
pub const BLOCK_BYTES: u64 = 4 << 20;

/// A subtree's digest.
type Subtree = [u8; 32];

/// Computes the digests of a file's blocks, from its bytes in order.
#[derive(Clone, Debug)]
pub struct BlockHasher {
    /// The number of the first block.
    first: u64,
    /// The digests of the complete blocks.
    blocks: Vec<Digest>,
    /// The hasher of the current block, which is finished only when more bytes follow: a file of one block is the whole
    /// tree, not a subtree.
    current: Hasher,
    /// Bytes in the current block.
    filled: u64,
}

impl Default for BlockHasher {
    fn default() -> BlockHasher {
        BlockHasher::after(Vec::new())
    }
}

impl BlockHasher {
    /// A hasher at the first byte of a file.
    #[must_use]
    pub fn new() -> BlockHasher {
        BlockHasher::default()
    }

    /// A hasher that resumes after known blocks. At least one byte must follow: the last block of a file is always
    /// hashed.
    #[must_use]
    pub fn after(blocks: Vec<Digest>) -> BlockHasher {
        BlockHasher::resumed(0, blocks)
    }

    /// A hasher of a range of a file that begins with the block of this number. It has no digest of the whole file.
    #[must_use]
    pub fn at(block: u64) -> BlockHasher {
        BlockHasher::resumed(block, Vec::new())
    }

    fn resumed(first: u64, blocks: Vec<Digest>) -> BlockHasher {
        let mut current = Hasher::new();
        current.set_input_offset(first.saturating_add(blocks.len() as u64).saturating_mul(BLOCK_BYTES));
        BlockHasher { first, blocks, current, filled: 0 }
    }

    /// Hashes the next bytes.
    pub fn update(&mut self, mut data: &[u8]) {
        while !data.is_empty() {
            if self.filled == BLOCK_BYTES {
                self.blocks.push(Digest(self.current.finalize_non_root()));
                *self = BlockHasher::resumed(self.first, core::mem::take(&mut self.blocks));
            }
            let room = usize::try_from(BLOCK_BYTES - self.filled).unwrap_or(usize::MAX);
            let (now, later) = data.split_at(room.min(data.len()));
            self.current.update(now);
            self.filled += now.len() as u64;
            data = later;
        }
    }

    /// The number of hashed bytes, including those of the known blocks.
    #[must_use]
    pub fn length(&self) -> u64 {
        self.blocks.len() as u64 * BLOCK_BYTES + self.filled
    }

    /// The digests of the complete blocks that are followed by more bytes.
    #[must_use]
    pub fn blocks(&self) -> &[Digest] {
        &self.blocks
    }

    /// The digests of all complete blocks, including one that no byte has followed yet.
    #[must_use]
    pub fn whole_blocks(&self) -> Vec<Digest> {
        let mut blocks = self.blocks.clone();
        if self.filled == BLOCK_BYTES {
            blocks.push(Digest(self.current.finalize_non_root()));
        }
        blocks
    }

    /// The digests of all blocks, including the last one if it is not complete. In a file of several blocks each is a
    /// subtree, so the digest of the file follows from them: `BlockHasher::after(subtrees).finish()`.
    #[must_use]
    pub fn subtrees(&self) -> Vec<Digest> {
        let mut blocks = self.blocks.clone();
        if self.filled > 0 {
            blocks.push(Digest(self.current.finalize_non_root()));
        }
        blocks
    }

    /// Takes the digests of the complete blocks that were not taken yet. Afterwards it is a hasher of the range that
    /// follows.
    pub fn take_blocks(&mut self) -> Vec<Digest> {
        let blocks = self.whole_blocks();
        self.first = self.first.saturating_add(blocks.len() as u64);
        match self.filled {
            BLOCK_BYTES => *self = BlockHasher::at(self.first),
            _ => self.blocks.clear(),
        }
        blocks
    }

    /// The number of blocks of a file of `size` bytes, including the last one.
    #[must_use]
    pub fn count(size: u64) -> u64 {
        size.div_ceil(BLOCK_BYTES)
    }

    /// The number of blocks of a file of `size` bytes that can be known before it is complete: all but the last.
    #[must_use]
    pub fn knowable(size: u64) -> u64 {
        size.saturating_sub(1) / BLOCK_BYTES
    }

    /// The BLAKE3 of all bytes.
    #[must_use]
    pub fn finish(&self) -> Digest {
        if self.blocks.is_empty() {
            return Digest(*self.current.finalize().as_bytes());
        }
        let mut subtrees: Vec<Subtree> = self.blocks.iter().map(|block| block.0).collect();
        if self.filled > 0 {
            subtrees.push(self.current.finalize_non_root());
        }
        match halves(&subtrees) {
            Some((left, right)) => {
                let root = merge_subtrees_root(&merged(left), &merged(right), Mode::Hash);
                Digest(*root.as_bytes())
            }
            // One known block and no byte after it, although `after` requires one. No file has this digest.
            None => Digest([0; 32]),
        }
    }
}

/// The digest of a subtree of these blocks.
fn merged(subtrees: &[Subtree]) -> Subtree {
    match halves(subtrees) {
        Some((left, right)) => merge_subtrees_non_root(&merged(left), &merged(right), Mode::Hash),
        None => subtrees.first().copied().unwrap_or_default(),
    }
}

/// Left: the largest power of two that leaves at least one block for the right.
fn halves(subtrees: &[Subtree]) -> Option<(&[Subtree], &[Subtree])> {
    let last = subtrees.len().checked_sub(1).filter(|last| *last > 0)?;
    subtrees.split_at_checked(1 << last.ilog2())
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;

    fn noise(length: usize) -> Vec<u8> {
        let mut bytes = vec![0; length];
        Hasher::new().finalize_xof().fill(&mut bytes);
        bytes
    }

    #[test]
    fn the_digest_is_that_of_the_whole_content_at_every_boundary() {
        let block = BLOCK_BYTES as usize;
        let bytes = noise(7 * block + 5);
        let lengths = [0, 1, 1024, 1025, block - 1, block, block + 1, 2 * block, 3 * block, 3 * block + 1];
        for length in lengths.into_iter().chain([4 * block, 5 * block, 7 * block, 7 * block + 5]) {
            let mut hasher = BlockHasher::new();
            for piece in bytes[..length].chunks(1_000_003) {
                hasher.update(piece);
            }
            assert_eq!(hasher.finish().0, *blake3::hash(&bytes[..length]).as_bytes(), "{length} bytes");
            assert_eq!(hasher.length(), length as u64);
        }
    }

    #[test]
    fn known_blocks_need_not_be_read_again() {
        let block = BLOCK_BYTES as usize;
        let bytes = noise(5 * block + 77);
        let mut first = BlockHasher::new();
        first.update(&bytes);
        assert_eq!(first.blocks().len(), 5);
        for known in 0..=5 {
            let mut second = BlockHasher::after(first.blocks()[..known].to_vec());
            second.update(&bytes[known * block..]);
            assert_eq!(second.finish(), first.finish(), "after {known} blocks");
            assert_eq!(second.blocks(), first.blocks());
        }
    }

    #[test]
    fn the_digest_follows_from_the_blocks_of_ranges_that_were_hashed_separately() {
        let block = BLOCK_BYTES as usize;
        let bytes = noise(5 * block + 77);
        for length in [block + 1, 2 * block, 3 * block - 1, 4 * block, 5 * block + 77] {
            let mut whole = Vec::new();
            for (range, at) in bytes[..length].chunks(2 * block).zip((0..).step_by(2)) {
                let mut hasher = BlockHasher::at(at);
                for piece in range.chunks(1_000_003) {
                    hasher.update(piece);
                    whole.extend(hasher.take_blocks());
                }
                whole.extend(hasher.subtrees());
            }
            assert_eq!(whole.len() as u64, BlockHasher::count(length as u64));
            let digest = BlockHasher::after(whole).finish();
            assert_eq!(digest.0, *blake3::hash(&bytes[..length]).as_bytes(), "{length} bytes");
        }
    }

    #[test]
    fn block_digests_show_where_two_files_differ() {
        let mut bytes = noise(3 * BLOCK_BYTES as usize + 1);
        let mut one = BlockHasher::new();
        one.update(&bytes);
        bytes[BLOCK_BYTES as usize + 9] ^= 1;
        let mut other = BlockHasher::new();
        other.update(&bytes);
        let same: Vec<bool> = one.blocks().iter().zip(other.blocks()).map(|(a, b)| a == b).collect();
        assert_eq!(same, [true, false, true]);
        assert_ne!(one.finish(), other.finish());
    }

    #[test]
    fn a_lone_known_block_is_not_a_file() {
        let mut hasher = BlockHasher::new();
        hasher.update(&noise(BLOCK_BYTES as usize + 1));
        let lone = BlockHasher::after(hasher.blocks().to_vec());
        assert_eq!(lone.finish(), Digest([0; 32]));
    }
}
