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

/// Attempts that fail take at most this share of the time that bytes wait, so that they cost nothing.
const MAX_ATTEMPTS_SHARE: f64 = 0.005;

/// The share of a sample in the mean cost. A single one says little: the thread may have been interrupted, or lucky on a busy
/// machine.
const SAMPLE_SHARE: f64 = 0.125;

/// The most frames that are sent as they are before compressing is tried again.
const MAX_SKIPPED_FRAMES: f64 = 256.0;

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

    /// The nanoseconds that compressing took, for each byte of the data.
    fn cost(&self) -> f64 {
        self.took.as_nanos() as f64 / self.plain.max(1) as f64
    }

    /// The nanoseconds that it saves, for each byte of the data.
    fn gain(&self, wait_per_byte: f64) -> f64 {
        wait_per_byte * (1.0 - self.compressed as f64 / self.plain.max(1) as f64)
    }
}

/// Decides by the samples so far. Data that does not compress, or not fast enough, is tried again after 1, 2, 4 … frames: over a
/// slow link soon, over a fast one rarely.
#[derive(Debug)]
pub(super) struct CompressionPolicy {
    level: i32,
    /// The mean cost of the samples so far, in nanoseconds for each byte.
    cost: Option<f64>,
    /// Whether the last sample paid off.
    pays: bool,
    /// The frames to skip before the next attempt.
    skip: u32,
    /// The frames that were skipped before the last attempt.
    skipped: u32,
}

impl Default for CompressionPolicy {
    fn default() -> CompressionPolicy {
        CompressionPolicy { level: MIN_LEVEL, cost: None, pays: false, skip: 0, skipped: 0 }
    }
}

impl CompressionPolicy {
    /// Whether the next frame will be compressed and probably shrink, if bytes wait this many nanoseconds.
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
        let gain = sample.gain(wait_per_byte);
        let cost = self.cost.map_or(sample.cost(), |mean| mean + (sample.cost() - mean) * SAMPLE_SHARE);
        self.cost = Some(cost);
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
            let limit = (cost / (wait_per_byte * MAX_ATTEMPTS_SHARE)).clamp(1.0, MAX_SKIPPED_FRAMES);
            self.skipped = (self.skipped * 2).clamp(1, limit as u32);
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
            // After 1, 2, 4 … 64 frames, and then after 100 again: half a percent of 2 nanoseconds for each.
            assert_eq!(compressed(&mut policy, &sample(shrunk, 1), 2.0, 135), 8, "{shrunk}");
            assert_eq!(compressed(&mut policy, &sample(shrunk, 1), 2.0, 101 * 10), 10, "{shrunk}");
            // Once it shrinks, and that saves enough, all is compressed.
            let again = compressed(&mut policy, &sample(899, 1), 20.0, 101 + 100);
            assert!((101..201).contains(&again), "{again}");
        }
    }

    #[test]
    fn over_a_slow_link_it_is_tried_soon() {
        let mut policy = CompressionPolicy::default();
        // After every second one, since two attempts take half a percent.
        assert_eq!(compressed(&mut policy, &sample(1000, 1), 100.0, 4 + 3 * 50), 2 + 50);
        assert_eq!(compressed(&mut policy, &sample(1000, 1), 1e9, 200), 100);
        let mut policy = CompressionPolicy::default();
        assert_eq!(compressed(&mut policy, &sample(900, 0), 1e9, 200), 100);
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
        policy.note(&sample(500, 3), 17.0);
        assert_eq!(policy.next_level(17.0), Some(1));
        let mut policy = CompressionPolicy::default();
        policy.note(&sample(500, 2), 17.0);
        assert_eq!(policy.next_level(17.0), Some(2));
        policy.note(&sample(500, 2), 17.0);
        policy.note(&sample(500, 2), 17.0);
        assert_eq!(policy.next_level(17.0), Some(MAX_LEVEL));
        // It pays off, but not as clearly.
        policy.note(&sample(500, 8), 17.0);
        assert_eq!(policy.next_level(17.0), Some(MAX_LEVEL));
        // The link is faster: the lowest level is tried at once, and then later.
        policy.note(&sample(500, 2), 4.0);
        assert!(!policy.expects_gain(4.0));
        assert_eq!(policy.next_level(4.0), Some(MIN_LEVEL));
        policy.note(&sample(500, 2), 4.0);
        assert_eq!(policy.next_level(4.0), None);
    }

    #[test]
    fn one_interruption_changes_nothing_and_a_busy_machine_does() {
        let mut policy = CompressionPolicy::default();
        policy.note(&sample(500, 2), 20.0);
        policy.note(&sample(500, 50), 20.0);
        assert!(policy.expects_gain(20.0));
        // Every second sample is interrupted: the mean is too much.
        for _ in 0..10 {
            policy.note(&sample(500, 2), 20.0);
            policy.note(&sample(500, 50), 20.0);
        }
        policy.note(&sample(500, 2), 20.0);
        assert!(!policy.expects_gain(20.0));
    }
}
