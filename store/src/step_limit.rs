//! The limits of one step of a long operation.

use std::time::{Duration, Instant};

/// The maximum duration of a step.
const MAX_STEP_TIME: Duration = Duration::from_millis(100);

/// The end of one step: after a number of bytes or entries, or after 100 ms. A kick, a cancel and a shutdown take effect
/// between two steps. Each step does at least one read, write or entry.
#[derive(Clone, Copy, Debug)]
pub struct StepLimit {
    max: u64,
    deadline: Instant,
}

impl StepLimit {
    /// The limit of a step of `max` bytes that begins now.
    #[must_use]
    pub fn bytes(max: u64) -> StepLimit {
        StepLimit { max, deadline: Instant::now() + MAX_STEP_TIME }
    }

    /// The limit of a step of `max` entries that begins now.
    #[must_use]
    pub fn entries(max: usize) -> StepLimit {
        StepLimit::bytes(max as u64)
    }

    /// The limit of a step whose time is already up: it does the minimum.
    #[must_use]
    pub fn least() -> StepLimit {
        StepLimit { max: u64::MAX, deadline: Instant::now() }
    }

    /// Whether a step that has done `done` bytes or entries has to end.
    #[must_use]
    pub fn is_reached(&self, done: u64) -> bool {
        done >= self.max || done > 0 && Instant::now() >= self.deadline
    }

    /// The bytes or entries left in a step that has done `done` of them.
    #[must_use]
    pub fn left(&self, done: u64) -> u64 {
        self.max.saturating_sub(done)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_makes_progress_and_ends_at_its_limit_or_when_its_time_is_up() {
        let limit = StepLimit::bytes(10);
        assert_eq!([0, 9, 10].map(|done| limit.is_reached(done)), [false, false, true]);
        let limit = StepLimit::least();
        assert_eq!([0, 1].map(|done| limit.is_reached(done)), [false, true]);
        assert!(StepLimit::entries(0).is_reached(0));
    }
}
