//! Where turns run: on the runtime's own threads ([`InlineExecutor`]) if they are short, else here.
//!
//! The runtime's pool for blocking work makes a thread whenever none is idle. One that has just done its work
//! is not idle before it gets the processor back, which those that it has served take from it: eight clients at
//! full speed on two cores had fifty threads made for them, and the allocator keeps memory for each. So there
//! are few that take one turn after the other. Disks are not always what they should be: a turn
//! that has waited for long enough while they are all at work gets a thread of the runtime's pool.

use super::InlineExecutor;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::available_parallelism;
use std::time::Duration;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::{Semaphore, oneshot};
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// So many threads for each core, since most turns have to wait for a disk now and then.
const THREADS_PER_CORE: usize = 4;

/// A turn that has waited for this long does not wait for one of the few any more.
const MAX_QUEUE_WAIT: Duration = Duration::from_millis(10);

/// The threads that turns run on.
#[derive(Debug)]
pub struct BlockingPool {
    inline: InlineExecutor,
    /// What has the few: nothing else runs in it. There until the end.
    runtime: Option<Runtime>,
}

impl BlockingPool {
    /// Those of the runtime that this is called in, and a few more.
    ///
    /// # Errors
    /// If the system gives no more.
    pub fn of_this_runtime() -> io::Result<BlockingPool> {
        let cores = available_parallelism().map_or(1, usize::from);
        BlockingPool::with(cores * THREADS_PER_CORE)
    }

    fn with(runtime: usize) -> io::Result<BlockingPool> {
        let runtime =
            Builder::new_current_thread().max_blocking_threads(runtime).thread_name("work-slice").build()?;
        Ok(BlockingPool { inline: InlineExecutor::of_this_runtime(), runtime: Some(runtime) })
    }

    /// Those for turns that are short.
    pub(super) fn inline(&self) -> &InlineExecutor {
        &self.inline
    }

    /// Runs `work` where it may block, once there is a share for it, whether or not anybody waits for it.
    /// Comes to nothing if it panics.
    pub(crate) fn run<T: Send + 'static>(
        &self,
        permits: Arc<Semaphore>,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> JoinHandle<Option<T>> {
        let runtime = self.runtime.as_ref().map(|runtime| runtime.handle().clone());
        tokio::spawn(async move {
            // One user's sessions never hold all the threads that there are for such work.
            let _permit = permits.acquire().await;
            let (sender, mut done) = oneshot::channel();
            let waiting = Arc::new(Mutex::new(Some((work, sender))));
            let next = Arc::clone(&waiting);
            let take = move || {
                let next = locked(&next).take();
                if let Some((work, sender)) = next {
                    // Whoever waited for it may be gone.
                    drop(sender.send(work()));
                }
            };
            if let Some(runtime) = runtime {
                runtime.spawn_blocking(take.clone());
                if let Ok(done) = timeout(MAX_QUEUE_WAIT, &mut done).await {
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

impl Drop for BlockingPool {
    fn drop(&mut self) {
        // A runtime that waits for its threads may not be dropped within another.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
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

    fn permits() -> Arc<Semaphore> {
        Arc::new(Semaphore::new(Semaphore::MAX_PERMITS))
    }

    #[tokio::test]
    async fn many_turns_have_few_threads() {
        let pool = BlockingPool::with(2).unwrap();
        let mut seen = HashSet::new();
        for _ in 0..50 {
            let here = || (thread::current().name() == Some("work-slice")).then(|| thread::current().id());
            let jobs: Vec<_> = (0..8).map(|_| pool.run(permits(), here)).collect();
            for job in jobs {
                // On a machine that is busy some wait for too long, and run elsewhere.
                seen.extend(job.await.unwrap().unwrap());
            }
        }
        assert!((1..=2).contains(&seen.len()), "{seen:?}");
    }

    #[tokio::test]
    async fn while_all_are_stuck_others_run_all_the_same() {
        let pool = BlockingPool::with(2).unwrap();
        let stuck: Vec<_> = (0..3)
            .map(|_| {
                let (release, released) = mpsc::channel::<()>();
                (pool.run(permits(), move || released.recv()), release)
            })
            .collect();
        assert_eq!(pool.run(permits(), || 7).await.unwrap(), Some(7));
        for (job, release) in stuck {
            release.send(()).unwrap();
            assert_eq!(job.await.unwrap(), Some(Ok(())));
        }
    }

    #[tokio::test]
    async fn with_one_share_one_runs_and_one_that_panics_gives_it_back() {
        let pool = BlockingPool::with(4).unwrap();
        let (share, running) = (Arc::new(Semaphore::new(1)), Arc::new(AtomicUsize::new(0)));
        let jobs: Vec<_> = (0..40)
            .map(|job| {
                let running = Arc::clone(&running);
                pool.run(Arc::clone(&share), move || {
                    let others = running.fetch_add(1, SeqCst);
                    thread::yield_now();
                    running.fetch_sub(1, SeqCst);
                    assert!(job != 7, "the one that panics");
                    others
                })
            })
            .collect();
        for (number, job) in jobs.into_iter().enumerate() {
            assert_eq!(job.await.unwrap(), (number != 7).then_some(0));
        }
    }
}
