//! One `syncfs` for many waiters.

use rustix::fd::AsFd;
use rustix::io::Errno;
use std::sync::{Condvar, Mutex, PoisonError};

/// Puts a disk's data on it, one run at a time. A caller needs a run that began after its own
/// writes; all that wait while one is under way share the next.
#[derive(Debug, Default)]
pub(super) struct Disk {
    runs: Mutex<Runs>,
    ended: Condvar,
}

#[derive(Debug, Default)]
struct Runs {
    begun: u64,
    /// The newest run that ended well.
    good: u64,
    under_way: bool,
}

impl Disk {
    /// Returns when everything that was written before the call is on the disk.
    pub(super) fn sync(&self, fd: impl AsFd) -> Result<(), Errno> {
        self.share(|| rustix::fs::syncfs(&fd))
    }

    fn share(&self, run: impl Fn() -> Result<(), Errno>) -> Result<(), Errno> {
        let mut runs = self.runs.lock().unwrap_or_else(PoisonError::into_inner);
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
            runs = self.runs.lock().unwrap_or_else(PoisonError::into_inner);
            runs.under_way = false;
            if result.is_ok() {
                runs.good = runs.good.max(this);
            }
            self.ended.notify_all();
            // After a failure each waiter runs for itself and so learns of its own.
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
    fn waiters_share_the_run_that_begins_after_them() {
        let disk = Arc::new(Disk::default());
        let runs = Arc::new(AtomicU32::new(0));
        let gate = Arc::new(Barrier::new(2));
        std::thread::scope(|scope| {
            scope.spawn(|| {
                disk.share(|| {
                    gate.wait(); // the first run is under way
                    gate.wait(); // until the others have come
                    runs.fetch_add(1, Ordering::SeqCst);
                    Ok(())
                })
            });
            gate.wait();
            let late: Vec<_> = (0..8)
                .map(|_| {
                    scope.spawn(|| {
                        disk.share(|| {
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
        // The first run serves none of the late ones; those that met in the queue shared.
        assert!((2..=9).contains(&runs.load(Ordering::SeqCst)));
        let runs = disk.runs.lock().unwrap();
        assert_eq!(runs.begun, runs.good);
    }

    #[test]
    fn a_failure_is_not_taken_for_success() {
        let disk = Disk::default();
        assert_eq!(disk.share(|| Err(Errno::IO)), Err(Errno::IO));
        assert_eq!(disk.share(|| Ok(())), Ok(()));
    }
}
