//! When compressing pays off: while it takes less time than it saves.

use std::time::Duration;

/// The highest level of zstd that is used. Higher ones cost several times as much for a few percent.
pub(super) const MAX_LEVEL: i32 = 3;

/// The lowest level.
const MIN_LEVEL: i32 = 1;

/// If bytes wait less than this for the link, in nanoseconds, nothing is tried: compressing takes longer. It is a gigabyte a
/// second.
const MIN_WAIT_PER_BYTE: f64 = 1.0;

/// A higher level is used if compressing takes less than one part in this many of the time that it saves.
const LEVEL_UP_FACTOR: f64 = 4.0;

/// The most frames that are sent as they are before compressing is tried again.
const MAX_SKIPPED_FRAMES: u32 = 64;

/// A frame that was compressed.
#[derive(Debug)]
pub(super) struct CompressionSample {
    /// The length of the data in bytes.
    pub(super) plain: usize,
    /// Its length when it is compressed.
    pub(super) compressed: usize,
    pub(super) took: Duration,
}

impl CompressionSample {
    /// Whether the data became shorter by more than a tenth.
    pub(super) fn shrank(&self) -> bool {
        (self.compressed as u64) * 10 < (self.plain as u64) * 9
    }

    /// The nanoseconds that compressing took and those that it saves, for each byte of the data.
    fn cost_and_gain(&self, wait_per_byte: f64) -> (f64, f64) {
        let plain = self.plain.max(1) as f64;
        (self.took.as_nanos() as f64 / plain, wait_per_byte * (1.0 - self.compressed as f64 / plain))
    }
}

/// Decides by the samples so far. Data that does not compress, or not fast enough, is tried again after 1, 2, 4 … frames.
#[derive(Debug)]
pub(super) struct CompressionPolicy {
    level: i32,
    /// Whether the last sample paid off.
    pays: bool,
    /// The frames to skip before the next attempt.
    skip: u32,
    /// The frames that were skipped before the last attempt.
    skipped: u32,
}

impl Default for CompressionPolicy {
    fn default() -> CompressionPolicy {
        CompressionPolicy { level: MIN_LEVEL, pays: false, skip: 0, skipped: 0 }
    }
}

impl CompressionPolicy {
    /// Whether the next frame will be compressed and probably shrink, if bytes wait so many nanoseconds.
    pub(super) fn expects_gain(&self, wait_per_byte: f64) -> bool {
        self.pays && wait_per_byte >= MIN_WAIT_PER_BYTE
    }

    /// Whether the next frame will be compressed.
    pub(super) fn is_due(&self, wait_per_byte: f64) -> bool {
        wait_per_byte >= MIN_WAIT_PER_BYTE && self.skip == 0
    }

    /// The level for the next frame. `None` if it is sent as it is.
    pub(super) fn next_level(&mut self, wait_per_byte: f64) -> Option<i32> {
        if self.is_due(wait_per_byte) {
            return Some(self.level);
        }
        self.skip = self.skip.saturating_sub(1);
        None
    }

    /// Notes how a frame compressed.
    pub(super) fn note(&mut self, sample: &CompressionSample, wait_per_byte: f64) {
        let (cost, gain) = sample.cost_and_gain(wait_per_byte);
        self.pays = sample.shrank() && cost < gain;
        if self.pays {
            self.skipped = 0;
            let is_cheap = cost * LEVEL_UP_FACTOR < gain;
            self.level = (self.level + i32::from(is_cheap)).min(MAX_LEVEL);
        } else if sample.shrank() && self.level > MIN_LEVEL {
            // The lowest level may pay off.
            self.level = MIN_LEVEL;
        } else {
            self.level = MIN_LEVEL;
            self.skipped = (self.skipped * 2).clamp(1, MAX_SKIPPED_FRAMES);
            self.skip = self.skipped;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A frame of 1000 bytes that shrinks to `compressed`, at a cost of `cost` nanoseconds a byte.
    fn sample(compressed: usize, cost: u64) -> CompressionSample {
        CompressionSample { plain: 1000, compressed, took: Duration::from_nanos(cost * 1000) }
    }

    /// How many of `frames` frames are compressed, if each is as this sample.
    fn compressed(policy: &mut CompressionPolicy, sample: &CompressionSample, wait: f64, frames: u32) -> u32 {
        (0..frames)
            .map(|_| u32::from(policy.next_level(wait).map(|_| policy.note(sample, wait)).is_some()))
            .sum()
    }

    #[test]
    fn compressing_pays_off_while_it_takes_less_than_it_saves() {
        // It saves 70 % of 10 nanoseconds.
        for (cost, pays) in [(6, true), (7, false), (8, false)] {
            let mut policy = CompressionPolicy::default();
            let count = compressed(&mut policy, &sample(300, cost), 10.0, 100);
            assert_eq!((policy.expects_gain(10.0), count == 100), (pays, pays), "{cost}");
        }
    }

    #[test]
    fn data_that_shrinks_by_a_tenth_or_less_is_tried_ever_more_rarely() {
        for shrunk in [900, 1000, 1010] {
            let mut policy = CompressionPolicy::default();
            // After 1, 2, 4 … 64 frames, and then after 64 again.
            assert_eq!(compressed(&mut policy, &sample(shrunk, 1), 1000.0, 135), 8, "{shrunk}");
            assert_eq!(compressed(&mut policy, &sample(shrunk, 1), 1000.0, 65 * 10), 10, "{shrunk}");
            let again = compressed(&mut policy, &sample(899, 1), 1000.0, 65 + 100);
            assert!((100..165).contains(&again), "{again}");
        }
    }

    #[test]
    fn without_a_wait_nothing_is_tried() {
        let mut policy = CompressionPolicy::default();
        assert_eq!(compressed(&mut policy, &sample(10, 0), 0.9, 1000), 0);
        assert_eq!(compressed(&mut policy, &sample(10, 0), 1.0, 1000), 1000);
        assert!(!policy.expects_gain(0.9) && policy.expects_gain(1.0));
    }

    #[test]
    fn the_level_is_as_high_as_the_link_allows() {
        let mut policy = CompressionPolicy::default();
        policy.note(&sample(500, 2), 17.0);
        assert_eq!(policy.next_level(17.0), Some(2));
        policy.note(&sample(500, 2), 17.0);
        policy.note(&sample(500, 2), 17.0);
        assert_eq!(policy.next_level(17.0), Some(MAX_LEVEL));
        // It pays off, but not as clearly.
        policy.note(&sample(500, 8), 17.0);
        assert_eq!(policy.next_level(17.0), Some(MAX_LEVEL));
        // Too expensive: the lowest is tried at once.
        policy.note(&sample(500, 9), 17.0);
        assert!(!policy.expects_gain(17.0));
        assert_eq!(policy.next_level(17.0), Some(MIN_LEVEL));
        policy.note(&sample(500, 9), 17.0);
        assert_eq!(policy.next_level(17.0), None);
    }
}
