//! Refused connections, as the log tells of them: a flood of them is to be no flood of lines.

use std::time::{Duration, Instant};

/// How often they are told of at most.
const EVERY: Duration = Duration::from_secs(60);

/// Refused connections that are not told of yet.
#[derive(Debug, Default)]
pub struct Refusals {
    untold: u64,
    told: Option<Instant>,
}

impl Refusals {
    /// Counts one. Returns how many there were since the last time that they were told of, if that is to
    /// be done now.
    pub fn count(&mut self, now: Instant) -> Option<u64> {
        self.untold += 1;
        if self.told.is_some_and(|told| now.saturating_duration_since(told) < EVERY) {
            return None;
        }
        self.told = Some(now);
        Some(std::mem::take(&mut self.untold))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_is_told_of_at_once_and_the_others_together() {
        let (mut refusals, now) = (Refusals::default(), Instant::now());
        assert_eq!(refusals.count(now), Some(1));
        for second in 0..59 {
            assert_eq!(refusals.count(now + Duration::from_secs(second)), None);
        }
        assert_eq!(refusals.count(now + EVERY), Some(60));
        assert_eq!(refusals.count(now + EVERY), None);
    }
}
