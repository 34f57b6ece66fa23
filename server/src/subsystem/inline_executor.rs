//! Turns so short that they stay on the runtime's own threads.
//!
//! Handing a turn to another thread and back wakes two, which costs more than most requests of SFTP are.
//! So a turn that should be over soon runs where it is ([`InlineExecutor::begin`]). Disks are not always what they
//! should be: no more than all but two workers are ever lent to turns, and a thread looks whether one is
//! stuck. The runtime's events are waited for by whichever worker has nothing to do, and a worker that
//! blocks wakes no other to do that: the look-out does.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Weak};
use std::thread::{self, Thread};
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::sync::{Semaphore, SemaphorePermit};

/// As many workers are kept off: one may wait for events, and one do what they ask for.
const RESERVED_WORKERS: usize = 2;

/// A turn that takes longer than this is stuck, for the look-out.
const STUCK_AFTER: Duration = Duration::from_millis(10);

/// On so many cores, or fewer, files are stored where they arrive. With more, one connection is faster if
/// another core digests and writes what it has decrypted; with these, the other core has a client to serve, and
/// each piece would cost it two switches more.
const MAX_CORES_FOR_INLINE_DATA: usize = 2;

/// The runtime's workers, as far as they may be lent to turns.
#[derive(Clone, Debug)]
pub(super) struct InlineExecutor(Option<Arc<InlineState>>);

/// What is lent, for as long as it is held.
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
    /// Whether the look-out is awake.
    watched: AtomicBool,
    watchdog: Thread,
}

impl InlineExecutor {
    /// Those of the runtime that this is called in. None are lent if it has few.
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
        // It waits for that, and for nothing else.
        drop(give.send(Arc::downgrade(&state)));
        InlineExecutor(Some(state))
    }

    /// Those that may be lent to turns that store what arrives.
    pub(super) fn for_data(&self) -> Option<&InlineExecutor> {
        self.0.as_ref().is_some_and(|state| state.data_inline).then_some(self)
    }

    /// Lends the worker that this is called on, if one is left.
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

/// Wakes a worker as long as a turn is stuck. Sleeps while there are no turns; ends with the workers.
fn watchdog(state: &Weak<InlineState>, runtime: &Handle) {
    let mut before = (0, 0);
    while let Some(state) = state.upgrade() {
        let now = state.counts();
        let (begun, ended) = now;
        let still = std::mem::replace(&mut before, now) == now;
        if still && begun == ended {
            state.watched.store(false, SeqCst);
            // A turn that has begun just before may have taken us for awake.
            let rests = state.counts() == now;
            drop(state);
            if rests {
                thread::park();
            }
            continue;
        }
        if still {
            // While others begin and end, there are workers that wait for events.
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

    /// Both ends of a connection: one outside of every runtime, one in this.
    fn connection(runtime: &Runtime) -> (std::net::TcpStream, tokio::net::TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let client = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        // An answer that never comes is to fail, not to hang.
        client.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        let (server, _) = listener.accept().unwrap();
        server.set_nonblocking(true).unwrap();
        let _guard = runtime.enter();
        (client, tokio::net::TcpStream::from_std(server).unwrap())
    }

    /// Returns when every worker sleeps: one of them waits for events, and will do what they ask for.
    fn all_sleep(runtime: &Runtime) {
        let metrics = runtime.metrics();
        let sleeps = |worker| metrics.worker_park_unpark_count(worker) % 2 == 1;
        while !(0..metrics.num_workers()).all(sleeps) {
            thread::sleep(Duration::from_millis(1));
        }
    }

    #[test]
    fn while_a_turn_is_stuck_the_others_are_served() {
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
    async fn two_workers_are_kept() {
        let executor = InlineExecutor::of_this_runtime();
        let slots = (executor.begin().unwrap(), executor.begin().unwrap());
        assert!(executor.begin().is_none());
        drop(slots);
        assert!(executor.begin().is_some());
    }

    #[tokio::test]
    async fn of_few_workers_none_is_lent() {
        assert!(InlineExecutor::of_this_runtime().begin().is_none());
    }
}
