//! Waiting for another session without a thread or a runtime.
//!
//! A store never blocks a call until another session has done something. It refuses the call with
//! [`Cause::Busy`](crate::Cause::Busy), which has a [`Wait`]. The caller waits in its own way, and repeats the call.

use std::collections::HashMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::Thread;

/// An event: the end of some work, or the release of a resource. Dropping it wakes all waiters.
#[derive(Debug, Default)]
#[must_use]
pub struct Signal {
    event: Arc<SharedSignal>,
}

/// A reference to a [`Signal`]. Clones refer to the same signal, and so compare as equal.
#[derive(Clone, Debug)]
pub struct Wait {
    event: Arc<SharedSignal>,
}

/// Resolves when the [`Signal`] is dropped, on any runtime. Dropping it stops waiting.
#[derive(Debug)]
#[must_use = "futures do nothing unless they are polled"]
pub struct Waiting {
    event: Arc<SharedSignal>,
    /// The key of its waker in the event, once it was polled.
    key: Option<u64>,
}

#[derive(Debug, Default)]
struct SharedSignal(Mutex<SignalWakers>);

#[derive(Debug, Default)]
struct SignalWakers {
    has_happened: bool,
    wakers: HashMap<u64, Waker>,
    next_key: u64,
}

impl Signal {
    /// A reference to the event, for waiters.
    #[must_use]
    pub fn wait(&self) -> Wait {
        Wait { event: Arc::clone(&self.event) }
    }
}

impl Drop for Signal {
    fn drop(&mut self) {
        let mut state = self.event.state();
        state.has_happened = true;
        let wakers = std::mem::take(&mut state.wakers);
        // Unlocked first: a waker may run code of its runtime.
        drop(state);
        wakers.into_values().for_each(Waker::wake);
    }
}

impl Wait {
    /// Whether the event has happened.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.event.state().has_happened
    }

    /// Blocks the thread until the event has happened.
    pub fn block(&self) {
        let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
        let mut waiting = self.over();
        while Pin::new(&mut waiting).poll(&mut Context::from_waker(&waker)).is_pending() {
            std::thread::park();
        }
    }

    /// Resolves when the event has happened.
    pub fn over(&self) -> Waiting {
        Waiting { event: Arc::clone(&self.event), key: None }
    }
}

/// Wakes a thread.
struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

impl PartialEq for Wait {
    fn eq(&self, other: &Wait) -> bool {
        Arc::ptr_eq(&self.event, &other.event)
    }
}

impl Eq for Wait {}

impl Future for Waiting {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let event = Arc::clone(&self.event);
        let mut state = event.state();
        if state.has_happened {
            return Poll::Ready(());
        }
        let key = *self.key.get_or_insert_with(|| {
            state.next_key += 1;
            state.next_key
        });
        state.wakers.insert(key, context.waker().clone());
        Poll::Pending
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        if let Some(key) = self.key {
            self.event.state().wakers.remove(&key);
        }
    }
}

impl SharedSignal {
    fn state(&self) -> MutexGuard<'_, SignalWakers> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

    /// Counts how often it was woken.
    #[derive(Default)]
    struct Wakes(AtomicUsize);

    impl Wake for Wakes {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, SeqCst);
        }
    }

    fn poll(waiting: &mut Waiting, wakes: &Arc<Wakes>) -> Poll<()> {
        let waker = Waker::from(Arc::clone(wakes));
        Pin::new(waiting).poll(&mut Context::from_waker(&waker))
    }

    #[test]
    fn each_waiter_is_woken_once_unless_it_has_stopped_waiting() {
        let completion = Signal::default();
        let wait = completion.wait();
        let wakes: [Arc<Wakes>; 3] = Default::default();
        let mut waiting = [wait.over(), wait.clone().over(), wait.over()];
        for _ in 0..2 {
            for (waiting, wakes) in waiting.iter_mut().zip(&wakes) {
                assert_eq!(poll(waiting, wakes), Poll::Pending);
            }
        }
        let [mut first, second, stopped] = waiting;
        drop(stopped);
        assert_eq!(wait.event.state().wakers.len(), 2);
        assert!(!wait.is_over());
        drop(completion);
        assert!(wait.is_over());
        assert_eq!(wakes.each_ref().map(|wakes| wakes.0.load(SeqCst)), [1, 1, 0]);
        assert_eq!(poll(&mut first, &wakes[0]), Poll::Ready(()));
        drop(second);
        // A later wait is over at once.
        assert_eq!(poll(&mut wait.over(), &wakes[2]), Poll::Ready(()));
        assert!(wait == wait.clone() && wait != Signal::default().wait());
    }

    #[test]
    fn a_thread_blocks_until_the_event() {
        let completion = Signal::default();
        let wait = completion.wait();
        std::thread::scope(|scope| {
            let waits = scope.spawn(|| wait.block());
            drop(completion);
            waits.join().unwrap();
        });
    }
}
