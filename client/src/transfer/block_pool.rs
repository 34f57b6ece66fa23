//! The blocks of a large file that several connections transfer together.

use sshome_wire::{BLOCK_BYTES, BlockHasher, Digest};
use std::collections::{BTreeMap, VecDeque};
use std::ops::Range;

/// The longest run, in blocks. A connection that is lost or slow holds up no more.
const MAX_RUN_BLOCKS: usize = 8;

/// The longest run of blocks that are only compared.
const MAX_CHECKED_BLOCKS: usize = 64;

/// How often a file is begun that changes each time, or whose upload ends each time.
pub(super) const MAX_STARTS: u32 = 4;

/// The blocks of a file, and which of them no connection has taken.
#[derive(Debug, Default)]
pub(super) struct BlockPool {
    /// Length of the file in bytes.
    size: u64,
    /// The blocks that are not missing: memory is used for what exists, not for the announced length.
    known: BTreeMap<usize, KnownBlock>,
    /// The number of blocks that count, and of those that have to be compared.
    done: usize,
    claimed: usize,
    /// Blocks that no connection has taken: to be transferred, and to be compared.
    to_transfer: VecDeque<Range<usize>>,
    to_check: VecDeque<Range<usize>>,
    /// Bytes that existed before and were found to be right.
    resumed: u64,
    /// Those of them that were not reported yet.
    fresh: u64,
    /// Whether blocks were claimed, and the number of right ones was not reported.
    is_news: bool,
}

/// What is known about a block.
#[derive(Clone, Copy, Debug)]
struct KnownBlock {
    digest: Digest,
    /// Whether it is the same on both sides, and counts. Otherwise one side has it, and it has to be compared.
    is_done: bool,
    /// Its bytes that were reported as transferred, or as resumed.
    counted: u64,
}

impl BlockPool {
    /// Claims that one side has the first blocks with these digests. It has to be begun afterwards.
    pub(super) fn claim(&mut self, digests: impl IntoIterator<Item = Digest>) {
        for (block, digest) in digests.into_iter().enumerate() {
            self.known.entry(block).or_insert(KnownBlock { digest, is_done: false, counted: 0 });
            self.is_news = true;
        }
    }

    /// Begins to transfer a file of this length: what is missing, and what is claimed. Returns how many reported bytes are
    /// beyond its end.
    pub(super) fn begin(&mut self, size: u64) -> u64 {
        let count = usize::try_from(BlockHasher::count(size)).unwrap_or(usize::MAX);
        self.size = size;
        let lost = self.known.split_off(&count).values().map(|block| block.counted).sum();
        (self.done, self.claimed) = (0, 0);
        (self.to_transfer, self.to_check) = <(VecDeque<_>, VecDeque<_>)>::default();
        let mut next = 0;
        for (&block, known) in &self.known {
            push_run(&mut self.to_transfer, next..block);
            next = block + 1;
            if known.is_done {
                self.done += 1;
            } else {
                self.claimed += 1;
                push_run(&mut self.to_check, block..next);
            }
        }
        push_run(&mut self.to_transfer, next..count);
        lost
    }

    /// Every block that counts has to be compared again. It has to be begun afterwards.
    pub(super) fn restart(&mut self) {
        self.known.values_mut().for_each(|block| block.is_done = false);
    }

    /// The other side has its first blocks with these digests, and no other ones: those that count here stay so if they agree,
    /// and the others are claimed. It has to be begun afterwards. Returns how many reported bytes the other side does not
    /// have.
    pub(super) fn reopen(&mut self, theirs: impl IntoIterator<Item = Digest>) -> u64 {
        let mut before = std::mem::take(&mut self.known);
        let mut lost = 0;
        for (block, digest) in theirs.into_iter().enumerate() {
            let known = match before.remove(&block) {
                Some(known) if known.is_done && known.digest == digest => known,
                other => {
                    lost += other.map_or(0, |known| known.counted);
                    KnownBlock { digest, is_done: false, counted: 0 }
                }
            };
            self.known.insert(block, known);
        }
        // Only if nothing is known to be right, it is news that nothing is.
        self.is_news |= !self.known.is_empty() && self.known.values().all(|known| !known.is_done);
        lost + before.values().map(|known| known.counted).sum::<u64>()
    }

    /// Takes the next blocks for one of about `connections` connections: fewer near the end, so that all end together. The second
    /// value says whether they are only compared.
    pub(super) fn take(&mut self, connections: usize) -> Option<(Range<usize>, bool)> {
        let is_check = !self.to_check.is_empty();
        let left: usize = self.to_transfer.iter().map(ExactSizeIterator::len).sum();
        let (queue, most) = match is_check {
            true => (&mut self.to_check, MAX_CHECKED_BLOCKS),
            false => (&mut self.to_transfer, (left / (2 * connections).max(1)).clamp(1, MAX_RUN_BLOCKS)),
        };
        let first = queue.front_mut()?;
        let blocks = first.start..first.end.min(first.start + most);
        first.start = blocks.end;
        if first.start >= first.end {
            queue.pop_front();
        }
        Some((blocks, is_check))
    }

    /// Returns blocks that were taken. Those that count stay so.
    pub(super) fn give_back(&mut self, blocks: Range<usize>, is_check: bool) {
        for block in blocks.rev() {
            match (self.known.get(&block), is_check) {
                (None, false) => put_before(&mut self.to_transfer, block),
                (Some(known), true) if !known.is_done => put_before(&mut self.to_check, block),
                _ => {}
            }
        }
    }

    /// A block was transferred, and has this digest.
    pub(super) fn transferred(&mut self, block: usize, digest: Digest) {
        let counted = self.block_bytes(block);
        if !self.known.get(&block).is_some_and(|known| known.is_done) {
            self.known.insert(block, KnownBlock { digest, is_done: true, counted });
            self.done += 1;
        }
    }

    /// A claimed block was compared with the other side's digest. If it differs, it has to be transferred: returns how many
    /// of its bytes were reported.
    pub(super) fn compare(&mut self, block: usize, theirs: Digest) -> Option<u64> {
        let known = self.known.get_mut(&block).filter(|known| !known.is_done)?;
        let differs = (known.digest != theirs).then_some(known.counted);
        if differs.is_none() {
            known.is_done = true;
            self.done += 1;
        } else {
            self.known.remove(&block);
            put_before(&mut self.to_transfer, block);
        }
        self.claimed = self.claimed.saturating_sub(1);
        if self.claimed == 0 {
            self.note_resumed();
        }
        differs
    }

    fn note_resumed(&mut self) {
        let (size, mut bytes) = (self.size, 0);
        for (block, known) in self.known.iter_mut().filter(|(_, known)| known.counted == 0) {
            known.counted = block_bytes(size, *block);
            bytes += known.counted;
        }
        self.resumed += bytes;
        self.fresh += bytes;
    }

    /// Bytes that existed before the transfer.
    pub(super) fn resumed(&self) -> u64 {
        self.resumed
    }

    /// The same, once all claimed blocks were compared, without those that were returned before. `None` if there is no news.
    pub(super) fn take_resumed(&mut self) -> Option<u64> {
        if self.claimed > 0 {
            return None;
        }
        let (bytes, is_news) = (std::mem::take(&mut self.fresh), std::mem::take(&mut self.is_news));
        (is_news || bytes > 0).then_some(bytes)
    }

    /// The number of blocks that count.
    pub(super) fn done(&self) -> usize {
        self.done
    }

    /// Whether not a single block is there.
    pub(super) fn is_empty(&self) -> bool {
        self.known.is_empty()
    }

    /// Whether every block counts.
    pub(super) fn is_complete(&self) -> bool {
        self.done > 0 && self.done as u64 == BlockHasher::count(self.size)
    }

    /// The digest of the file, if every block counts. It has more than one.
    pub(super) fn digest(&self) -> Option<Digest> {
        let digests = || self.known.values().map(|block| block.digest).collect();
        self.is_complete().then(|| BlockHasher::after(digests()).finish())
    }

    /// The length of a block in bytes.
    fn block_bytes(&self, block: usize) -> u64 {
        block_bytes(self.size, block)
    }
}

/// The length of a block of a file of `size` bytes.
pub(super) fn block_bytes(size: u64, block: usize) -> u64 {
    size.saturating_sub((block as u64).saturating_mul(BLOCK_BYTES)).min(BLOCK_BYTES)
}

/// Adds a run to the end of a queue of runs, unless it is empty.
fn push_run(queue: &mut VecDeque<Range<usize>>, run: Range<usize>) {
    match queue.back_mut() {
        _ if run.is_empty() => {}
        Some(last) if last.end == run.start => last.end = run.end,
        _ => queue.push_back(run),
    }
}

/// Adds a block to the front of a queue of runs.
fn put_before(queue: &mut VecDeque<Range<usize>>, block: usize) {
    match queue.front_mut() {
        Some(first) if first.start == block + 1 => first.start = block,
        Some(first) if first.end == block => first.end = block + 1,
        _ => queue.push_front(block..block + 1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIZE: u64 = 20 * BLOCK_BYTES + 5;

    fn digest(byte: u8) -> Digest {
        Digest([byte; 32])
    }

    fn taken(pool: &mut BlockPool, connections: usize) -> Vec<(Range<usize>, bool)> {
        std::iter::from_fn(|| pool.take(connections)).collect()
    }

    #[test]
    fn runs_are_disjoint_and_get_shorter_near_the_end() {
        let mut pool = BlockPool::default();
        pool.begin(SIZE);
        let runs = taken(&mut pool, 2);
        let blocks: Vec<usize> = runs.iter().flat_map(|(run, _)| run.clone()).collect();
        assert_eq!(blocks, (0..21).collect::<Vec<_>>());
        let lengths: Vec<usize> = runs.iter().map(|(run, _)| run.len()).collect();
        assert_eq!(lengths, [5, 4, 3, 2, 1, 1, 1, 1, 1, 1, 1]);
        assert_eq!(blocks.iter().map(|block| pool.block_bytes(*block)).sum::<u64>(), SIZE);
        pool.begin(SIZE);
        assert_eq!(pool.take(1), Some((0..MAX_RUN_BLOCKS, false)));
    }

    #[test]
    fn blocks_that_are_returned_are_taken_again_unless_they_count() {
        let mut pool = BlockPool::default();
        pool.begin(SIZE);
        let (run, is_check) = pool.take(2).unwrap();
        assert_eq!((&run, is_check), (&(0..5), false));
        for block in [0, 1, 3] {
            pool.transferred(block, digest(0));
        }
        pool.give_back(run, is_check);
        assert_eq!((pool.take(2).unwrap().0, pool.take(2).unwrap().0), (2..3, 4..8));
    }

    #[test]
    fn claimed_blocks_are_compared_first_and_transferred_if_they_differ() {
        let mut pool = BlockPool::default();
        pool.claim([0, 99, 2].map(digest));
        pool.begin(SIZE);
        assert_eq!(pool.take(2), Some((0..3, true)));
        assert_eq!((pool.compare(0, digest(0)), pool.compare(1, digest(1))), (None, Some(0)));
        assert_eq!((pool.take_resumed(), pool.compare(2, digest(2))), (None, None));
        assert_eq!((pool.take_resumed(), pool.take_resumed()), (Some(2 * BLOCK_BYTES), None));
        let order: Vec<usize> = taken(&mut pool, 2).into_iter().flat_map(|(run, _)| run).collect();
        assert_eq!(order, [1].into_iter().chain(3..21).collect::<Vec<_>>());
        for block in order {
            assert!(!pool.is_complete() && pool.digest().is_none());
            pool.transferred(block, digest(block as u8));
            // Again, over another connection.
            pool.transferred(block, digest(block as u8));
        }
        let digests = (0..21).map(digest).collect();
        assert_eq!(pool.digest(), Some(BlockHasher::after(digests).finish()));
        assert!(pool.is_complete() && pool.resumed() == 2 * BLOCK_BYTES);
    }

    #[test]
    fn after_a_restart_all_blocks_are_compared_and_those_that_differ_are_transferred_again() {
        let mut pool = BlockPool::default();
        pool.begin(2 * BLOCK_BYTES + 7);
        for block in 0..3 {
            pool.transferred(block, digest(block as u8));
        }
        pool.restart();
        // What was reported of the last block is not what it has now.
        assert_eq!(pool.begin(3 * BLOCK_BYTES), 0);
        assert_eq!(taken(&mut pool, 1), [(0..3, true)]);
        let compared = [(0, 0), (1, 7), (2, 7)].map(|(block, theirs)| pool.compare(block, digest(theirs)));
        assert_eq!(compared, [None, Some(BLOCK_BYTES), Some(7)]);
        // None of them existed before.
        assert_eq!((pool.take_resumed(), taken(&mut pool, 1)), (None, vec![(1..2, false), (2..3, false)]));
        pool.transferred(1, digest(1));
        pool.restart();
        assert_eq!(pool.begin(BLOCK_BYTES), BLOCK_BYTES, "it is shorter now");
    }

    #[test]
    fn blocks_that_existed_are_reported_once_even_if_they_are_compared_twice() {
        let mut pool = BlockPool::default();
        pool.claim([0, 1, 2].map(digest));
        pool.begin(SIZE);
        pool.compare(0, digest(0));
        pool.restart();
        pool.begin(SIZE);
        assert_eq!(pool.compare(0, digest(5)), Some(0));
        pool.compare(1, digest(1));
        pool.compare(2, digest(2));
        assert_eq!(pool.take_resumed(), Some(2 * BLOCK_BYTES));
        pool.restart();
        pool.begin(SIZE);
        assert_eq!((pool.compare(1, digest(1)), pool.compare(2, digest(5))), (None, Some(BLOCK_BYTES)));
        assert_eq!(pool.take_resumed(), None);
    }

    #[test]
    fn after_the_other_side_has_begun_again_what_it_has_counts_only_if_it_was_compared() {
        let mut pool = BlockPool::default();
        // The other side claims blocks 0 to 3; 0 is right, 1 is not, 2 and 3 were not compared yet.
        assert_eq!(pool.reopen([0, 99, 2, 99].map(digest)), 0);
        pool.begin(SIZE);
        assert_eq!((pool.compare(0, digest(0)), pool.compare(1, digest(1))), (None, Some(0)));
        for block in [1, 5, 6] {
            pool.transferred(block, digest(block as u8));
        }
        // It has lost 5 and 6, and what it claims of 3 is as wrong as before.
        assert_eq!(pool.reopen([0, 1, 2, 99].map(digest)), 2 * BLOCK_BYTES);
        pool.begin(SIZE);
        assert_eq!(taken(&mut pool, 99)[..2], [(2..4, true), (4..5, false)]);
        assert_eq!((pool.compare(2, digest(2)), pool.compare(3, digest(3))), (None, Some(0)));
        assert_eq!(pool.take_resumed(), Some(2 * BLOCK_BYTES));
        let left: Vec<usize> = taken(&mut pool, 1).into_iter().flat_map(|(run, _)| run).collect();
        assert_eq!(left, [3]);
        // A claim that is wrong is no news beside blocks that are right.
        pool.reopen([0, 1, 2, 99].map(digest));
        pool.begin(SIZE);
        assert_eq!((pool.compare(3, digest(3)), pool.take_resumed()), (Some(0), None));
    }

    #[test]
    fn memory_is_used_for_blocks_that_exist_and_not_for_what_was_announced() {
        let mut pool = BlockPool::default();
        pool.begin(u64::MAX);
        assert_eq!((pool.take(1), pool.is_complete()), (Some((0..8, false)), false));
    }
}
