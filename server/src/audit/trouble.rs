//! Disks that fail or are full: told to whoever runs the server, with the user and the path, and not once for
//! each packet of an upload.

use super::{Audit, shown};
use rustix::io::Errno;
use sshome_wire::RemotePath;
use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// The same trouble of one session is told once in so long.
const QUIET: Duration = Duration::from_secs(60);

thread_local! {
    /// Whose work this thread does.
    static AT_WORK: RefCell<Option<Audit>> = const { RefCell::new(None) };
}

/// What is wrong with a disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Trouble {
    Full,
    ReadOnly,
    Fails,
}

impl Trouble {
    fn of(errno: Errno) -> Option<Trouble> {
        match errno {
            Errno::NOSPC | Errno::DQUOT => Some(Trouble::Full),
            Errno::ROFS => Some(Trouble::ReadOnly),
            Errno::IO | Errno::STALE => Some(Trouble::Fails),
            _ => None,
        }
    }

    /// What it is called, and what to do.
    fn words(self) -> (&'static str, &'static str) {
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
    fn count(&self, trouble: Trouble, now: Instant) -> Option<u64> {
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

/// Says whose work this thread does, until it is dropped.
#[derive(Debug)]
#[must_use]
pub struct AtWork(Option<Audit>);

impl Drop for AtWork {
    fn drop(&mut self) {
        AT_WORK.set(self.0.take());
    }
}

impl Audit {
    /// To be held while this thread works for the session: an error of the disk is told as the session's.
    pub fn at_work(&self) -> AtWork {
        AtWork(AT_WORK.replace(Some(self.clone())))
    }
}

/// Tells the log of a disk's error, if whoever runs the server can do something about it.
pub fn disk_error(path: &RemotePath, errno: Errno) {
    let Some(trouble) = Trouble::of(errno) else { return };
    let audit = AT_WORK.with_borrow(Option::clone).unwrap_or_default();
    let Some(left_out) = audit.0.troubles.count(trouble, Instant::now()) else { return };
    let (what, to_do) = trouble.words();
    let (user, session, why) = (audit.user(), audit.number(), std::io::Error::from(errno));
    tracing::error!(user, session, path = shown(path.as_bytes()), %why, to_do, left_out, "{what}");
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

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

    #[test]
    fn a_thread_works_for_one_session_at_a_time() {
        let number = || AT_WORK.with_borrow(|audit| audit.as_ref().map(Audit::number));
        let here = || "192.0.2.1:5".parse().unwrap();
        let session = |number| Audit::new(number, here(), Arc::default(), Arc::default());
        let outer = session(1).at_work();
        let inner = session(2).at_work();
        assert_eq!(number(), Some(2));
        drop(inner);
        assert_eq!(number(), Some(1));
        drop(outer);
        assert_eq!(number(), None);
    }
}
