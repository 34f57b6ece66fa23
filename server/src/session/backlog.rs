//! How much a connection has to send, how much it has sent, and when something moved on it last.

use super::rate::UserRates;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::Instant;

/// What paces a connection: how much of its output the kernel has not taken yet, and its user's rates.
#[derive(Debug)]
pub(super) struct Backlog {
    begun: Instant,
    rates: OnceLock<Arc<UserRates>>,
    queued: AtomicUsize,
    /// Bytes that the kernel has taken, ever.
    written: AtomicU64,
    drained: Notify,
    /// Counts what has moved on channels: data, in or out, and what makes room for them.
    moves: AtomicU64,
    /// When the last of it was, in milliseconds from the beginning.
    moved: AtomicU64,
}

impl Default for Backlog {
    fn default() -> Backlog {
        Backlog {
            begun: Instant::now(),
            rates: OnceLock::new(),
            queued: AtomicUsize::new(0),
            written: AtomicU64::new(0),
            drained: Notify::new(),
            moves: AtomicU64::new(0),
            moved: AtomicU64::new(0),
        }
    }
}

impl Backlog {
    /// Keeps to the rates of the user who has logged in.
    pub(super) fn limit(&self, rates: Arc<UserRates>) {
        // A connection has one user: there is nothing to replace.
        drop(self.rates.set(rates));
    }

    /// The rates to keep to, if there are any.
    pub(super) fn rates(&self) -> Option<&UserRates> {
        self.rates.get().map(Arc::as_ref)
    }

    /// Returns when nothing is queued: what is queued is copied once more.
    pub(super) async fn drained(&self) {
        loop {
            let drained = self.drained.notified();
            if self.queued.load(Ordering::Acquire) == 0 {
                return;
            }
            drained.await;
        }
    }

    /// Notes what the kernel has taken, in bytes.
    pub(super) fn wrote(&self, written: usize) {
        self.written.fetch_add(written as u64, Ordering::AcqRel);
    }

    /// Notes how much is queued now, in bytes.
    pub(super) fn set_queued(&self, queued: usize) {
        if self.queued.swap(queued, Ordering::AcqRel) != 0 && queued == 0 {
            self.drained.notify_waiters();
        }
    }

    /// Notes that something has moved on a channel. Keepalives do not.
    pub(super) fn moved(&self) {
        self.moves.fetch_add(1, Ordering::Relaxed);
        self.moved.store(self.age(), Ordering::Relaxed);
    }

    /// For how long nothing has moved.
    pub(super) fn idle(&self) -> Duration {
        Duration::from_millis(self.age().saturating_sub(self.moved.load(Ordering::Relaxed)))
    }

    fn age(&self) -> u64 {
        u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// How often something has moved: to find a connection that is idle.
    pub(super) fn moves(&self) -> u64 {
        self.moves.load(Ordering::Relaxed)
    }

    /// What is queued, and all that was ever written: to find a queue that does not move.
    pub(super) fn progress(&self) -> (usize, u64) {
        (self.queued.load(Ordering::Acquire), self.written.load(Ordering::Acquire))
    }
}
