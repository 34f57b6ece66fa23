//! The thread pool for work slices that may block. Short slices run inline ([`InlineExecutor`]).
//!
//! Tokio's blocking pool starts a thread whenever none is idle, and a thread that has just finished is not idle before
//! it is scheduled again. Eight clients at full speed on two cores got fifty threads, and the allocator caches memory
//! for each. So this pool has a few threads. Because a disk may hang, a slice that has waited too long for one of
//! them runs in an overflow pool, which has more. Slices of connections that move little go first.

use super::InlineExecutor;
use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::available_parallelism;
use std::time::Duration;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::{Semaphore, oneshot};
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// Threads per core. Slices often wait for the disk.
const THREADS_PER_CORE: usize = 4;

/// A slice that has waited this long for a thread of this pool runs in the overflow pool.
const MAX_QUEUE_WAIT: Duration = Duration::from_millis(10);

/// Threads of the overflow pool. They are started when they are needed, and end when they are idle.
const OVERFLOW_THREADS: usize = 512;

/// The threads that run users' work: slices, entering a home, closing what a channel leaves open. One user gets at most half
/// of them ([`UserPermits`](crate::service::UserPermits)). Password checks, control requests, reloads and the other
/// service tasks run in tokio's pool, and never wait for these threads.
#[derive(Debug)]
pub struct BlockingPool {
    inline: InlineExecutor,
    /// A runtime that is used for its blocking threads only. `None` only while it is dropped.
    runtime: Option<Runtime>,
    /// The same for slices that have waited too long. `None` only while it is dropped.
    overflow: Option<Runtime>,
    queue: Arc<SliceQueue>,
    threads: usize,
}

/// How soon a slice runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SlicePriority {
    /// Before all bulk slices.
    Interactive,
    /// For connections that move much data.
    Bulk,
}

type Slice = Box<dyn FnOnce() + Send>;

/// The slices that wait for a thread of the pool. One that has started in the overflow
/// pool does nothing when it is taken.
#[derive(Default)]
struct SliceQueue(Mutex<[VecDeque<Slice>; 2]>);

impl SliceQueue {
    fn push(&self, priority: SlicePriority, slice: Slice) {
        let [interactive, bulk] = &mut *locked(&self.0);
        match priority {
            SlicePriority::Interactive => interactive.push_back(slice),
            SlicePriority::Bulk => bulk.push_back(slice),
        }
    }

    fn pop(&self) -> Option<Slice> {
        let [interactive, bulk] = &mut *locked(&self.0);
        interactive.pop_front().or_else(|| bulk.pop_front())
    }
}

impl fmt::Debug for SliceQueue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lengths = locked(&self.0).each_ref().map(VecDeque::len);
        f.debug_tuple("SliceQueue").field(&lengths).finish()
    }
}

impl BlockingPool {
    /// The pool of the current runtime.
    ///
    /// # Errors
    /// If the system refuses to start a thread.
    pub fn of_this_runtime() -> io::Result<BlockingPool> {
        let cores = available_parallelism().map_or(1, usize::from);
        BlockingPool::with(cores * THREADS_PER_CORE)
    }

    fn with(threads: usize) -> io::Result<BlockingPool> {
        let pool = |threads, name| {
            Builder::new_current_thread().max_blocking_threads(threads).thread_name(name).build()
        };
        let (runtime, overflow) = (pool(threads, "work-slice")?, pool(OVERFLOW_THREADS, "work-overflow")?);
        Ok(BlockingPool {
            inline: InlineExecutor::of_this_runtime(),
            runtime: Some(runtime),
            overflow: Some(overflow),
            queue: Arc::default(),
            threads,
        })
    }

    /// The number of its threads.
    #[must_use]
    pub fn threads(&self) -> usize {
        self.threads
    }

    /// The executor for short slices.
    pub(super) fn inline(&self) -> &InlineExecutor {
        &self.inline
    }

    /// Runs `work` on a thread where it may block, after acquiring a permit. It runs to its end even if the handle
    /// is dropped. The result is `None` if it panics.
    pub(crate) fn run<T: Send + 'static>(
        &self,
        permits: Arc<Semaphore>,
        priority: SlicePriority,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> JoinHandle<Option<T>> {
        let handle = |runtime: &Option<Runtime>| runtime.as_ref().map(|runtime| runtime.handle().clone());
        let (runtime, overflow) = (handle(&self.runtime), handle(&self.overflow));
        let queue = Arc::clone(&self.queue);
        tokio::spawn(async move {
            // The permits keep one user from occupying all threads.
            let _permit = permits.acquire().await;
            let (sender, mut done) = oneshot::channel();
            let waiting = Arc::new(Mutex::new(Some((work, sender))));
            let next = Arc::clone(&waiting);
            let take = move || {
                let next = locked(&next).take();
                if let Some((work, sender)) = next {
                    // The receiver may have been dropped.
                    let _ = sender.send(work());
                }
            };
            if let Some(runtime) = runtime {
                queue.push(priority, Box::new(take.clone()));
                // One thread is requested for each slice in the queue.
                runtime.spawn_blocking(move || queue.pop().map(|slice| slice()));
                if let Ok(done) = timeout(MAX_QUEUE_WAIT, &mut done).await {
                    return done.ok();
                }
            }
            let waits = locked(&waiting).is_some();
            if let Some(overflow) = overflow.filter(|_| waits) {
                overflow.spawn_blocking(take);
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
        // Dropping a runtime waits for its threads, which is not allowed within another runtime.
        for runtime in [self.runtime.take(), self.overflow.take()].into_iter().flatten() {
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
    async fn many_slices_share_few_threads() {
        let pool = BlockingPool::with(2).unwrap();
        let mut seen = HashSet::new();
        for _ in 0..50 {
            let here = || (thread::current().name() == Some("work-slice")).then(|| thread::current().id());
            let jobs: Vec<_> =
                (0..8).map(|_| pool.run(permits(), SlicePriority::Interactive, here)).collect();
            for job in jobs {
                // On a busy machine some slices wait too long and run in tokio's pool.
                seen.extend(job.await.unwrap().unwrap());
            }
        }
        assert!((1..=2).contains(&seen.len()), "{seen:?}");
    }

    #[test]
    fn interactive_slices_go_before_bulk_ones() {
        let (queue, (sender, order)) = (SliceQueue::default(), mpsc::channel());
        let (interactive, bulk) = (SlicePriority::Interactive, SlicePriority::Bulk);
        for (number, priority) in [bulk, interactive, bulk, interactive].into_iter().enumerate() {
            let sender = sender.clone();
            queue.push(priority, Box::new(move || sender.send(number).unwrap()));
        }
        while let Some(slice) = queue.pop() {
            slice();
        }
        drop(sender);
        assert_eq!(order.iter().collect::<Vec<_>>(), [1, 3, 0, 2]);
    }

    #[tokio::test]
    async fn slices_run_although_all_threads_are_stuck() {
        let pool = BlockingPool::with(2).unwrap();
        let stuck: Vec<_> = (0..3)
            .map(|_| {
                let (release, released) = mpsc::channel::<()>();
                (pool.run(permits(), SlicePriority::Interactive, move || released.recv()), release)
            })
            .collect();
        assert_eq!(pool.run(permits(), SlicePriority::Interactive, || 7).await.unwrap(), Some(7));
        for (job, release) in stuck {
            release.send(()).unwrap();
            assert_eq!(job.await.unwrap(), Some(Ok(())));
        }
    }

    #[tokio::test]
    async fn one_slice_runs_per_permit_and_a_panic_returns_the_permit() {
        let pool = BlockingPool::with(4).unwrap();
        let (share, running) = (Arc::new(Semaphore::new(1)), Arc::new(AtomicUsize::new(0)));
        let jobs: Vec<_> = (0..40)
            .map(|job| {
                let running = Arc::clone(&running);
                pool.run(Arc::clone(&share), SlicePriority::Bulk, move || {
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
