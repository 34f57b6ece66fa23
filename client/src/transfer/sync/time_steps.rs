//! Whether two modification times are the same on a disk that does not store them exactly.

use super::compare::is_same_time;
use crate::transfer::local::{LocalDirectory, distance, time_step};
use sshome_wire::Time;
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// The coarsest times of a common filesystem: those of FAT.
const MAX_STEP: Duration = Duration::from_secs(2);

/// The steps in which local filesystems store times. Each is found out when two times differ by less than the largest.
#[derive(Debug, Default)]
pub(super) struct TimeSteps(Mutex<HashMap<u64, Duration>>);

impl TimeSteps {
    /// Whether a file of this directory has the time `ours` because the disk cannot store `theirs`, or both are the same.
    pub(super) fn is_same(&self, directory: &LocalDirectory, ours: Time, theirs: Time) -> bool {
        let apart = distance(ours, theirs);
        is_same_time(ours, theirs) || apart < MAX_STEP.as_nanos() && apart < self.of(directory).as_nanos()
    }

    fn of(&self, directory: &LocalDirectory) -> Duration {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // Where nothing can be written, nothing is pulled: the times are taken as exact.
        *known.entry(directory.device()).or_insert_with(|| time_step(directory).unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_within_a_step_of_the_disk_are_the_same() {
        let place = tempfile::tempdir().unwrap();
        let directory = LocalDirectory::open(place.path()).unwrap();
        let time = |seconds, nanoseconds| Time { seconds, nanoseconds };
        let stored = time(1_000_000, 0);
        for (step, same, other) in [
            (Duration::from_secs(2), time(1_000_001, 999_999_999), time(1_000_002, 0)),
            (Duration::from_secs(1), time(1_000_000, 999_999_999), time(1_000_001, 1)),
        ] {
            let steps = TimeSteps(Mutex::new(HashMap::from([(directory.device(), step)])));
            assert!(steps.is_same(&directory, stored, same) && !steps.is_same(&directory, stored, other));
        }
        let steps = TimeSteps(Mutex::new(HashMap::from([(directory.device(), Duration::from_nanos(100))])));
        assert!(steps.is_same(&directory, time(5, 123_456_700), time(5, 123_456_789)));
        assert!(!steps.is_same(&directory, time(5, 123_456_600), time(5, 123_456_789)));
    }

    #[test]
    fn the_step_of_a_disk_is_found_out_and_leaves_nothing() {
        let place = tempfile::tempdir().unwrap();
        let directory = LocalDirectory::open(place.path()).unwrap();
        let before = directory.mtime().unwrap();
        assert!(time_step(&directory).unwrap() <= MAX_STEP);
        assert_eq!(std::fs::read_dir(place.path()).unwrap().count(), 0);
        assert_eq!(directory.mtime().unwrap(), before);
    }
}
