//! How much one step of a long operation does.

use std::time::{Duration, Instant};

/// A step ends after this time, however slow the disk is.
const MAX_STEP_TIME: Duration = Duration::from_millis(100);

/// The end of one step: after so many bytes or entries, or after a tenth of a second. A kick, a cancel and the end of
/// the server take effect between two steps. Each step does at least one read, write or entry.
#[derive(Clone, Copy, Debug)]
pub struct StepLimit {
    max: u64,
    deadline: Instant,
}

impl StepLimit {
    /// The limit of a step that begins now and goes through `max` bytes.
    #[must_use]
    pub fn bytes(max: u64) -> StepLimit {
        StepLimit { max, deadline: Instant::now() + MAX_STEP_TIME }
    }

    /// The same for entries.
    #[must_use]
    pub fn entries(max: usize) -> StepLimit {
        StepLimit::bytes(max as u64)
    }

    /// The limit of a step whose time is up: it does the least that a step does.
    #[must_use]
    pub fn least() -> StepLimit {
        StepLimit { max: u64::MAX, deadline: Instant::now() }
    }

    /// Whether a step ends that has done so much.
    pub(crate) fn is_reached(&self, done: u64) -> bool {
        done >= self.max || done > 0 && Instant::now() >= self.deadline
    }

    /// What is left of the bytes or entries of a step that has done so much.
    pub(crate) fn left(&self, done: u64) -> u64 {
        self.max.saturating_sub(done)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_ends_with_its_bytes_or_its_time_and_does_something() {
        let limit = StepLimit::bytes(10);
        assert_eq!([0, 9, 10].map(|done| limit.is_reached(done)), [false, false, true]);
        let limit = StepLimit::least();
        assert_eq!([0, 1].map(|done| limit.is_reached(done)), [false, true]);
        assert!(StepLimit::entries(0).is_reached(0));
    }
}
