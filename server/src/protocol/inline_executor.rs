//! Inline execution of short work slices on the runtime's worker threads.
//!
//! Handing a slice to another thread costs two wake-ups, which is more than most SFTP requests take. So a slice that
//! is expected to be short runs on the current worker ([`InlineExecutor::begin`]). Because a disk may hang, two workers
//! never run slices, and a watchdog thread detects slices that are stuck. Tokio polls for I/O events on an idle
//! worker, and a worker that blocks wakes no other to take over: the watchdog does.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Weak};
use std::thread::{self, Thread};
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::sync::{Semaphore, SemaphorePermit};

/// Workers that never run slices: one polls for events, one handles them.
const RESERVED_WORKERS: usize = 2;

/// The watchdog considers a slice stuck if it runs longer than this.
const STUCK_AFTER: Duration = Duration::from_millis(10);

/// With at most this many cores, uploads are written inline. With more, one connection is faster if another core hashes
/// and writes. With fewer, the other core is busy with the clients, and each chunk would cost two context switches.
const MAX_CORES_FOR_INLINE_DATA: usize = 2;

/// Runs slices on the runtime's workers, as many at a time as its permits allow.
#[derive(Clone, Debug)]
pub(super) struct InlineExecutor(Option<Arc<InlineState>>);

/// Permission to run a slice on the current worker. Dropping it gives the permission back.
pub(super) struct InlineSlot<'a> {
    state: &'a InlineState,
    _slot: SemaphorePermit<'a>,
}

#[derive(Debug)]
struct InlineState {
    slots: Semaphore,
    data_inline: bool,
    begun: AtomicUsize,
    ended: AtomicUsize,
    /// Whether the watchdog is awake.
    watched: AtomicBool,
    watchdog: Thread,
}

impl InlineExecutor {
    /// The executor of the current runtime. Runs nothing inline if the runtime has few workers.
    #[must_use]
    pub(super) fn of_this_runtime() -> InlineExecutor {
        let runtime = Handle::current();
        let slots = runtime.metrics().num_workers().saturating_sub(RESERVED_WORKERS);
        if slots == 0 {
            return InlineExecutor(None);
        }
        let (give, take) = std::sync::mpsc::channel::<Weak<InlineState>>();
        let watchdog = thread::Builder::new().name("watchdog".to_owned()).spawn(move || {
            if let Ok(state) = take.recv() {
                watchdog(&state, &runtime);
            }
        });
        let Ok(watchdog) = watchdog else { return InlineExecutor(None) };
        let state = Arc::new(InlineState {
            slots: Semaphore::new(slots),
            data_inline: thread::available_parallelism()
                .is_ok_and(|cores| cores.get() <= MAX_CORES_FOR_INLINE_DATA),
            begun: AtomicUsize::new(0),
            ended: AtomicUsize::new(0),
            watched: AtomicBool::new(false),
            watchdog: watchdog.thread().clone(),
        });
        // The thread waits for this message. If it has died, nothing is watched.
        let _ = give.send(Arc::downgrade(&state));
        InlineExecutor(Some(state))
    }

    /// The executor for slices that write uploads, if these run inline on this machine.
    pub(super) fn for_data(&self) -> Option<&InlineExecutor> {
        self.0.as_ref().is_some_and(|state| state.data_inline).then_some(self)
    }

    /// Allows a slice to run on the current worker, unless too many workers run slices already.
    pub(super) fn begin(&self) -> Option<InlineSlot<'_>> {
        let state = self.0.as_deref()?;
        let slot = state.slots.try_acquire().ok()?;
        state.begun.fetch_add(1, SeqCst);
        if !state.watched.swap(true, SeqCst) {
            state.watchdog.unpark();
        }
        Some(InlineSlot { state, _slot: slot })
    }
}

impl Drop for InlineSlot<'_> {
    fn drop(&mut self) {
        self.state.ended.fetch_add(1, SeqCst);
    }
}

impl InlineState {
    fn counts(&self) -> (usize, usize) {
        (self.begun.load(SeqCst), self.ended.load(SeqCst))
    }
}

impl Drop for InlineState {
    fn drop(&mut self) {
        self.watchdog.unpark();
    }
}

/// The watchdog thread: wakes a worker as long as a slice is stuck. Sleeps while no slice runs, and ends with the
/// executor.
fn watchdog(state: &Weak<InlineState>, runtime: &Handle) {
    let mut before = (0, 0);
    while let Some(state) = state.upgrade() {
        let now = state.counts();
        let (begun, ended) = now;
        let still = std::mem::replace(&mut before, now) == now;
        if still && begun == ended {
            state.watched.store(false, SeqCst);
            // A slice that began just before may have seen the watchdog awake.
            let rests = state.counts() == now;
            drop(state);
            if rests {
                thread::park();
            }
            continue;
        }
        if still {
            // If other slices had begun or ended, a worker would be polling for events.
            drop(runtime.spawn(async {}));
        }
        drop(state);
        thread::sleep(STUCK_AFTER);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};
    use std::net::TcpListener;
    use std::sync::mpsc;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::runtime::{Builder, Runtime};

    /// Both ends of a connection: the client's outside of every runtime, the server's in this one.
    fn connection(runtime: &Runtime) -> (std::net::TcpStream, tokio::net::TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let client = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        // A missing answer makes the test fail, not hang.
        client.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        let (server, _) = listener.accept().unwrap();
        server.set_nonblocking(true).unwrap();
        let _guard = runtime.enter();
        (client, tokio::net::TcpStream::from_std(server).unwrap())
    }

    /// Returns when every worker is parked: one of them polls for events.
    fn all_sleep(runtime: &Runtime) {
        let metrics = runtime.metrics();
        let sleeps = |worker| metrics.worker_park_unpark_count(worker) % 2 == 1;
        while !(0..metrics.num_workers()).all(sleeps) {
            thread::sleep(Duration::from_millis(1));
        }
    }

    #[test]
    fn a_stuck_slice_does_not_block_the_others() {
        let runtime = Builder::new_multi_thread().worker_threads(4).enable_all().build().unwrap();
        let executor = runtime.block_on(async { InlineExecutor::of_this_runtime() });
        for _ in 0..5 {
            let (mut slow, mut server) = connection(&runtime);
            let (release, stuck) = mpsc::channel::<()>();
            let (say, begun) = mpsc::channel();
            let state = executor.clone();
            let task = runtime.spawn(async move {
                server.read_u8().await.unwrap();
                let _turn = state.begin().unwrap();
                say.send(()).unwrap();
                stuck.recv().unwrap();
            });
            let (mut other, mut server) = connection(&runtime);
            runtime.spawn(async move {
                let asked = server.read_u8().await.unwrap();
                server.write_u8(asked).await.unwrap();
            });
            all_sleep(&runtime);
            slow.write_all(&[1]).unwrap();
            begun.recv().unwrap();
            // The worker that waited for events is the one that is stuck.
            other.write_all(&[7]).unwrap();
            let mut answer = [0];
            other.read_exact(&mut answer).unwrap();
            assert_eq!(answer, [7]);
            release.send(()).unwrap();
            runtime.block_on(task).unwrap();
        }
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn two_workers_are_kept_free_of_slices() {
        let executor = InlineExecutor::of_this_runtime();
        let slots = (executor.begin().unwrap(), executor.begin().unwrap());
        assert!(executor.begin().is_none());
        drop(slots);
        assert!(executor.begin().is_some());
    }

    #[tokio::test]
    async fn a_runtime_with_few_workers_runs_no_slice_inline() {
        assert!(InlineExecutor::of_this_runtime().begin().is_none());
    }
}
