//! Errors of disks that are logged, each once a minute for a session.

use rustix::io::Errno;
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// The same trouble of one session is told once in so long.
const QUIET: Duration = Duration::from_secs(60);

/// What is wrong with a disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Trouble {
    Full,
    ReadOnly,
    Fails,
}

impl Trouble {
    pub(super) fn of(errno: Errno) -> Option<Trouble> {
        match errno {
            Errno::NOSPC | Errno::DQUOT => Some(Trouble::Full),
            Errno::ROFS => Some(Trouble::ReadOnly),
            Errno::IO | Errno::STALE => Some(Trouble::Fails),
            _ => None,
        }
    }

    /// What it is called, and what to do.
    pub(super) fn words(self) -> (&'static str, &'static str) {
        match self {
            Trouble::Full => {
                ("the disk is full", "make room, or lower quotas: they promise more than there is")
            }
            Trouble::ReadOnly => {
                ("the disk is mounted read-only", "remount it, or set access = \"read-only\"")
            }
            Trouble::Fails => ("the disk fails", "look at the kernel's log, and restore what is lost"),
        }
    }
}

/// What was told of one session's troubles: when, and how many were not since.
#[derive(Debug, Default)]
pub(super) struct Told(Mutex<HashMap<Trouble, (Instant, u64)>>);

impl Told {
    /// Whether to tell of it now; then also how many were left out before.
    pub(super) fn count(&self, trouble: Trouble, now: Instant) -> Option<u64> {
        let mut told = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match told.get_mut(&trouble) {
            Some((last, more)) if now.saturating_duration_since(*last) < QUIET => {
                *more += 1;
                None
            }
            before => {
                let more = before.map_or(0, |(_, more)| *more);
                told.insert(trouble, (now, 0));
                Some(more)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_trouble_is_told_once_a_minute() {
        let (told, now) = (Told::default(), Instant::now());
        assert_eq!(told.count(Trouble::Full, now), Some(0));
        assert_eq!(told.count(Trouble::Fails, now), Some(0));
        for _ in 0..64 {
            assert_eq!(told.count(Trouble::Full, now + QUIET / 2), None);
        }
        assert_eq!(told.count(Trouble::Full, now + QUIET), Some(64));
        assert_eq!(told.count(Trouble::Full, now + 2 * QUIET), Some(0));
    }
}
