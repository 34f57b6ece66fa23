//! Where turns run: on the runtime's own threads ([`Workers`]) if they are short, else here.
//!
//! The runtime's pool for blocking work makes a thread whenever none is idle. One that has just done its work
//! is not idle before it gets the processor back, which those that it has served take from it: eight clients at
//! full speed on two cores had fifty threads made for them, and the allocator keeps memory for each. So there
//! are few that take one turn after the other. Disks are not always what they should be: a turn
//! that has waited for long enough while they are all at work gets a thread of the runtime's pool.

use super::Workers;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::available_parallelism;
use std::time::Duration;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::{Semaphore, oneshot};
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// So many threads for each core, since most turns have to wait for a disk now and then.
const EACH_CORE: usize = 4;

/// A turn that has waited for this long does not wait for one of the few any more.
const LONG: Duration = Duration::from_millis(10);

/// The threads that turns run on.
#[derive(Debug)]
pub struct Threads {
    workers: Workers,
    /// What has the few: nothing else runs in it. There until the end.
    few: Option<Runtime>,
}

impl Threads {
    /// Those of the runtime that this is called in, and a few more.
    ///
    /// # Errors
    /// If the system gives no more.
    pub fn of_this_runtime() -> io::Result<Threads> {
        let cores = available_parallelism().map_or(1, usize::from);
        Threads::with(cores * EACH_CORE)
    }

    fn with(few: usize) -> io::Result<Threads> {
        let few = Builder::new_current_thread().max_blocking_threads(few).thread_name("turn").build()?;
        Ok(Threads { workers: Workers::of_this_runtime(), few: Some(few) })
    }

    /// Those for turns that are short.
    pub(super) fn workers(&self) -> &Workers {
        &self.workers
    }

    /// Runs `work` where it may block, once there is a share for it, whether or not anybody waits for it.
    /// Comes to nothing if it panics.
    pub(crate) fn run<T: Send + 'static>(
        &self,
        shares: Arc<Semaphore>,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> JoinHandle<Option<T>> {
        let few = self.few.as_ref().map(|few| few.handle().clone());
        tokio::spawn(async move {
            // One user's sessions never hold all the threads that there are for such work.
            let _share = shares.acquire().await;
            let (tell, mut done) = oneshot::channel();
            let waiting = Arc::new(Mutex::new(Some((work, tell))));
            let next = Arc::clone(&waiting);
            let take = move || {
                let next = locked(&next).take();
                if let Some((work, tell)) = next {
                    // Whoever waited for it may be gone.
                    drop(tell.send(work()));
                }
            };
            if let Some(few) = few {
                few.spawn_blocking(take.clone());
                if let Ok(done) = timeout(LONG, &mut done).await {
                    return done.ok();
                }
            }
            let waits = locked(&waiting).is_some();
            if waits {
                tokio::task::spawn_blocking(take);
            }
            done.await.ok()
        })
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Drop for Threads {
    fn drop(&mut self) {
        // A runtime that waits for its threads may not be dropped within another.
        if let Some(few) = self.few.take() {
            few.shutdown_background();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;
    use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
    use std::sync::mpsc;
    use std::thread;

    fn shares() -> Arc<Semaphore> {
        Arc::new(Semaphore::new(Semaphore::MAX_PERMITS))
    }

    #[tokio::test]
    async fn many_turns_have_few_threads() {
        let threads = Threads::with(2).unwrap();
        let mut seen = HashSet::new();
        for _ in 0..50 {
            let here = || (thread::current().name() == Some("turn")).then(|| thread::current().id());
            let turns: Vec<_> = (0..8).map(|_| threads.run(shares(), here)).collect();
            for turn in turns {
                // On a machine that is busy some wait for too long, and run elsewhere.
                seen.extend(turn.await.unwrap().unwrap());
            }
        }
        assert!((1..=2).contains(&seen.len()), "{seen:?}");
    }

    #[tokio::test]
    async fn while_all_are_stuck_others_run_all_the_same() {
        let threads = Threads::with(2).unwrap();
        let stuck: Vec<_> = (0..3)
            .map(|_| {
                let (release, released) = mpsc::channel::<()>();
                (threads.run(shares(), move || released.recv()), release)
            })
            .collect();
        assert_eq!(threads.run(shares(), || 7).await.unwrap(), Some(7));
        for (turn, release) in stuck {
            release.send(()).unwrap();
            assert_eq!(turn.await.unwrap(), Some(Ok(())));
        }
    }

    #[tokio::test]
    async fn with_one_share_one_runs_and_one_that_panics_gives_it_back() {
        let threads = Threads::with(4).unwrap();
        let (share, running) = (Arc::new(Semaphore::new(1)), Arc::new(AtomicUsize::new(0)));
        let turns: Vec<_> = (0..40)
            .map(|turn| {
                let running = Arc::clone(&running);
                threads.run(Arc::clone(&share), move || {
                    let others = running.fetch_add(1, SeqCst);
                    thread::yield_now();
                    running.fetch_sub(1, SeqCst);
                    assert!(turn != 7, "the one that panics");
                    others
                })
            })
            .collect();
        for (number, turn) in turns.into_iter().enumerate() {
            assert_eq!(turn.await.unwrap(), (number != 7).then_some(0));
        }
    }
}
