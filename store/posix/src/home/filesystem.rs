//! Syncing a filesystem (`syncfs`, a group fsync): concurrent callers share one call.

use rustix::fd::OwnedFd;
use rustix::io::Errno;
use std::sync::{Condvar, Mutex, MutexGuard, OnceLock, PoisonError};

/// See [`observe_syncfs`].
static SYNCFS_OBSERVER: OnceLock<fn(u64, SyncfsPhase)> = OnceLock::new();

/// A phase of a `syncfs`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SyncfsPhase {
    /// It is about to begin: it covers everything that was written until now.
    Begins,
    /// It has succeeded.
    Succeeded,
}

/// Calls `observer` with the device number of the filesystem (`st_dev`) around each `syncfs` of this process. It is for
/// filesystems that record what reaches the disk: the kernel does not pass `syncfs` on to FUSE. Only the first call
/// takes effect.
pub fn observe_syncfs(observer: fn(u64, SyncfsPhase)) {
    // An observer is already set.
    let _ = SYNCFS_OBSERVER.set(observer);
}

/// A filesystem that homes are on. It runs one `syncfs` at a time. A caller needs a run that began after its writes; all
/// callers that wait during a run share the next.
///
/// The kernel reports a failed write once to each file that was open at the time. So one handle per filesystem is open
/// from the start, and failures are counted: a session whose writes began before a failure treats it as its own.
#[derive(Debug)]
pub(super) struct Filesystem {
    handle: OwnedFd,
    runs: Mutex<SyncRuns>,
    ended: Condvar,
}

#[derive(Debug, Default)]
struct SyncRuns {
    begun: u64,
    /// The newest run that succeeded.
    good: u64,
    under_way: bool,
    failures: u64,
}

/// The number of failed runs before the first write of an upload or a session.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct WritebackEpoch(u64);

impl Filesystem {
    /// The filesystem that `handle` is on.
    pub(super) fn of(handle: OwnedFd) -> Filesystem {
        Filesystem { handle, runs: Mutex::default(), ended: Condvar::new() }
    }

    /// The current epoch. Take it before the first write.
    pub(super) fn writeback_epoch(&self) -> WritebackEpoch {
        WritebackEpoch(self.runs().failures)
    }

    /// Returns once everything that was written between the epoch `since` and the call is on the disk.
    pub(super) fn sync(&self, since: WritebackEpoch) -> Result<(), Errno> {
        self.share(|| self.syncfs())?;
        if self.writeback_epoch() == since { Ok(()) } else { Err(Errno::IO) }
    }

    fn syncfs(&self) -> Result<(), Errno> {
        let report = |phase| {
            if let Some(observer) = SYNCFS_OBSERVER.get() {
                observer(rustix::fs::fstat(&self.handle)?.st_dev, phase);
            }
            Ok(())
        };
        report(SyncfsPhase::Begins)?;
        rustix::fs::syncfs(&self.handle)?;
        report(SyncfsPhase::Succeeded)
    }

    fn runs(&self) -> MutexGuard<'_, SyncRuns> {
        self.runs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn share(&self, run: impl Fn() -> Result<(), Errno>) -> Result<(), Errno> {
        let mut runs = self.runs();
        let needed = runs.begun + 1;
        loop {
            if runs.good >= needed {
                return Ok(());
            }
            if runs.under_way {
                runs = self.ended.wait(runs).unwrap_or_else(PoisonError::into_inner);
                continue;
            }
            runs.begun += 1;
            runs.under_way = true;
            let this = runs.begun;
            drop(runs);
            let result = run();
            runs = self.runs();
            runs.under_way = false;
            match result {
                Ok(()) => runs.good = runs.good.max(this),
                Err(_) => runs.failures += 1,
            }
            self.ended.notify_all();
            // After a failure each waiter runs its own, and gets its own result.
            return result;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU32, Ordering};
    use std::sync::{Arc, Barrier};

    #[test]
    fn waiters_share_the_next_run() {
        let filesystem = Arc::new(Filesystem::of(tempfile::tempfile().unwrap().into()));
        let runs = Arc::new(AtomicU32::new(0));
        let gate = Arc::new(Barrier::new(2));
        std::thread::scope(|scope| {
            scope.spawn(|| {
                filesystem.share(|| {
                    gate.wait(); // the first run is under way
                    gate.wait(); // until the others have arrived
                    runs.fetch_add(1, Ordering::SeqCst);
                    Ok(())
                })
            });
            gate.wait();
            let late: Vec<_> = (0..8)
                .map(|_| {
                    scope.spawn(|| {
                        filesystem.share(|| {
                            runs.fetch_add(1, Ordering::SeqCst);
                            Ok(())
                        })
                    })
                })
                .collect();
            gate.wait();
            for waiter in late {
                assert_eq!(waiter.join().unwrap(), Ok(()));
            }
        });
        // The first run serves no late caller. Callers that were queued together share a run.
        assert!((2..=9).contains(&runs.load(Ordering::SeqCst)));
        let runs = filesystem.runs.lock().unwrap();
        assert_eq!(runs.begun, runs.good);
    }

    #[test]
    fn a_failure_is_reported_to_all_who_wrote_before_it() {
        let filesystem = Filesystem::of(tempfile::tempfile().unwrap().into());
        let before = filesystem.writeback_epoch();
        assert_eq!(filesystem.sync(before), Ok(()));
        assert_eq!(filesystem.share(|| Err(Errno::IO)), Err(Errno::IO));
        // The next run has nothing to report, but what was written before the failure may be lost.
        assert_eq!(filesystem.sync(before), Err(Errno::IO));
        assert_eq!(filesystem.sync(filesystem.writeback_epoch()), Ok(()));
    }
}
