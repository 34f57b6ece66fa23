//! Errors of disks that are logged, each once a minute for a session.

use rustix::io::Errno;
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// The same trouble of one session is told once in so long.
const LOG_INTERVAL: Duration = Duration::from_secs(60);

/// What is wrong with a disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum DiskTrouble {
    Full,
    ReadOnly,
    Fails,
}

impl DiskTrouble {
    pub(super) fn of(errno: Errno) -> Option<DiskTrouble> {
        match errno {
            Errno::NOSPC | Errno::DQUOT => Some(DiskTrouble::Full),
            Errno::ROFS => Some(DiskTrouble::ReadOnly),
            Errno::IO | Errno::STALE => Some(DiskTrouble::Fails),
            _ => None,
        }
    }

    /// What it is called, and what to do.
    pub(super) fn words(self) -> (&'static str, &'static str) {
        match self {
            DiskTrouble::Full => {
                ("the disk is full", "make room, or lower quotas: they promise more than there is")
            }
            DiskTrouble::ReadOnly => {
                ("the disk is mounted read-only", "remount it, or set access = \"read-only\"")
            }
            DiskTrouble::Fails => ("the disk fails", "look at the kernel's log, and restore what is lost"),
        }
    }
}

/// What was told of one session's troubles: when, and how many were not since.
#[derive(Debug, Default)]
pub(super) struct DiskErrorLog(Mutex<HashMap<DiskTrouble, (Instant, u64)>>);

impl DiskErrorLog {
    /// Whether to tell of it now; then also how many were left out before.
    pub(super) fn count(&self, trouble: DiskTrouble, now: Instant) -> Option<u64> {
        let mut logged = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match logged.get_mut(&trouble) {
            Some((last, more)) if now.saturating_duration_since(*last) < LOG_INTERVAL => {
                *more += 1;
                None
            }
            before => {
                let more = before.map_or(0, |(_, more)| *more);
                logged.insert(trouble, (now, 0));
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
        let (logged, now) = (DiskErrorLog::default(), Instant::now());
        assert_eq!(logged.count(DiskTrouble::Full, now), Some(0));
        assert_eq!(logged.count(DiskTrouble::Fails, now), Some(0));
        for _ in 0..64 {
            assert_eq!(logged.count(DiskTrouble::Full, now + LOG_INTERVAL / 2), None);
        }
        assert_eq!(logged.count(DiskTrouble::Full, now + LOG_INTERVAL), Some(64));
        assert_eq!(logged.count(DiskTrouble::Full, now + 2 * LOG_INTERVAL), Some(0));
    }
}
