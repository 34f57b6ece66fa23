//! Disk errors, each logged at most once a minute for a session.

use sshome_store::Cause;
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// The interval between two log lines about the same problem of one session.
const LOG_INTERVAL: Duration = Duration::from_secs(60);

/// A problem of a disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum DiskTrouble {
    Full,
    ReadOnly,
    Fails,
}

impl DiskTrouble {
    pub(super) fn of(cause: &Cause) -> Option<DiskTrouble> {
        match cause {
            Cause::DiskFull | Cause::DiskSpace { .. } | Cause::DiskQuota => Some(DiskTrouble::Full),
            Cause::DiskReadOnly => Some(DiskTrouble::ReadOnly),
            Cause::DiskFailed | Cause::DiskStale => Some(DiskTrouble::Fails),
            _ => None,
        }
    }

    /// Its description, and the remedy.
    pub(super) fn words(self) -> (&'static str, &'static str) {
        match self {
            DiskTrouble::Full => {
                ("the disk is full", "make room, or lower quotas: they promise more than the disk has")
            }
            DiskTrouble::ReadOnly => {
                ("the disk is mounted read-only", "remount it, or set access = \"read-only\"")
            }
            DiskTrouble::Fails => ("the disk fails", "check the kernel's log, and restore lost files"),
        }
    }
}

/// The disk errors of one session: the time of the last line of each, and the number of suppressed ones since.
#[derive(Debug, Default)]
pub(super) struct DiskErrorLog(Mutex<HashMap<DiskTrouble, (Instant, u64)>>);

impl DiskErrorLog {
    /// Counts an error. Returns the number of suppressed errors if this one is to be logged.
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
    fn a_repeated_disk_error_is_logged_once_a_minute() {
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
