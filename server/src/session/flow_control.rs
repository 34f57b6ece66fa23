//! Flow control of a connection: its send queue, the memory it holds, its rate limits and its idle time.

use super::bulk_gate::QUANTUM_BYTES;
use super::memory_budget::UserMemoryBudget;
use super::throttle::UserRateLimits;
use sshome_ssh::LinkMeter;
use std::sync::atomic::{AtomicBool, AtomicIsize, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::Instant;

/// The number of first bytes that are remembered for the log, in case the client does not speak SSH.
const MAX_OPENING_BYTES: usize = 64;

/// A connection that holds at most this many bytes is always read from, so that a user whose other connections hold all
/// the memory can still log in.
const MIN_HELD_BYTES: usize = 256 << 10;

/// The receive window of a connection closes when it holds more than this, in bytes. Channels without waiting output
/// hold less.
const MAX_HELD_BYTES: usize = 8 << 20;

/// The size of a closed receive window, in bytes. It is not zero, because russh reopens a window only when something
/// arrives.
const MIN_WINDOW_BYTES: u32 = 64;

/// The output limit of a slice while memory is scarce, in bytes.
const SCARCE_OUTPUT_BYTES: usize = 32 << 10;

/// The memory cost of a waiting packet besides its content, in bytes.
const PACKET_OVERHEAD_BYTES: usize = 256;

/// Flow control of one connection. Dropping it releases the memory that it still holds.
#[derive(Debug)]
pub(super) struct FlowControl {
    begun: Instant,
    /// The first bytes that were read.
    opening: OnceLock<Box<[u8]>>,
    user: OnceLock<Arc<str>>,
    rates: OnceLock<Arc<UserRateLimits>>,
    memory: OnceLock<Arc<UserMemoryBudget>>,
    /// The memory that this connection holds, in bytes.
    held: AtomicIsize,
    /// Counts reads of the socket, and reads that were held back because the user holds too much memory.
    reads: AtomicU64,
    held_back: AtomicU64,
    queued: AtomicUsize,
    /// Bytes that the kernel has accepted since the start.
    written: AtomicU64,
    drained: Notify,
    /// How long output waits for the socket or a rate limit.
    link: LinkMeter,
    /// Whether the connection has moved much recently.
    is_bulk: AtomicBool,
    /// Whether it takes turns with others at the bulk gate.
    is_contended: AtomicBool,
    /// Counts activity on channels: data in both directions, and window adjustments.
    moves: AtomicU64,
    /// The time of the last activity, in milliseconds since the start.
    moved: AtomicU64,
}

impl Default for FlowControl {
    fn default() -> FlowControl {
        FlowControl {
            begun: Instant::now(),
            opening: OnceLock::new(),
            user: OnceLock::new(),
            rates: OnceLock::new(),
            memory: OnceLock::new(),
            held: AtomicIsize::new(0),
            reads: AtomicU64::new(0),
            held_back: AtomicU64::new(0),
            queued: AtomicUsize::new(0),
            written: AtomicU64::new(0),
            drained: Notify::new(),
            link: LinkMeter::default(),
            is_bulk: AtomicBool::new(false),
            is_contended: AtomicBool::new(false),
            moves: AtomicU64::new(0),
            moved: AtomicU64::new(0),
        }
    }
}

impl FlowControl {
    /// Stores the first bytes that were read. Later calls do nothing.
    pub(super) fn opened_with(&self, bytes: &[u8]) {
        self.opening.get_or_init(|| bytes.get(..MAX_OPENING_BYTES).unwrap_or(bytes).into());
    }

    /// The first bytes that were read.
    pub(super) fn opening(&self) -> &[u8] {
        self.opening.get().map(AsRef::as_ref).unwrap_or_default()
    }

    /// Applies the rate limits and the memory budget of the user who has logged in.
    pub(super) fn limit(&self, user: &str, rates: Arc<UserRateLimits>, memory: Arc<UserMemoryBudget>) {
        // A connection has one user, so the cells are empty.
        let _ = self.user.set(user.into());
        let _ = self.rates.set(rates);
        memory.change(self.held.load(Ordering::Relaxed));
        let _ = self.memory.set(memory);
    }

    /// The user who has logged in; empty before the login.
    pub(super) fn user(&self) -> Arc<str> {
        self.user.get().cloned().unwrap_or_default()
    }

    /// Sets whether the connection has moved much recently.
    pub(super) fn set_bulk(&self, is_bulk: bool) {
        self.is_bulk.store(is_bulk, Ordering::Relaxed);
    }

    /// Whether the connection has moved much recently.
    pub(super) fn is_bulk(&self) -> bool {
        self.is_bulk.load(Ordering::Relaxed)
    }

    /// Sets whether the connection takes turns with others at the bulk gate.
    pub(super) fn set_contended(&self, is_contended: bool) {
        self.is_contended.store(is_contended, Ordering::Relaxed);
    }

    /// Changes the memory that this connection holds, in bytes.
    pub(super) fn hold(&self, bytes: isize) {
        if bytes != 0 {
            self.held.fetch_add(bytes, Ordering::Relaxed);
            if let Some(memory) = self.memory.get() {
                memory.change(bytes);
            }
        }
    }

    fn held(&self) -> usize {
        usize::try_from(self.held.load(Ordering::Relaxed)).unwrap_or(0)
    }

    fn is_scarce(&self) -> bool {
        self.memory.get().is_some_and(|memory| memory.is_scarce())
    }

    /// Whether more may be read from the socket.
    pub(super) fn may_read(&self) -> bool {
        let may = self.held() <= MIN_HELD_BYTES || !self.is_scarce();
        let count = if may { &self.reads } else { &self.held_back };
        count.fetch_add(1, Ordering::Relaxed);
        may
    }

    /// The number of reads of the socket, and of reads that were held back.
    pub(super) fn reads(&self) -> (u64, u64) {
        (self.reads.load(Ordering::Relaxed), self.held_back.load(Ordering::Relaxed))
    }

    /// The output limit of a slice, in bytes: little while memory is scarce, and one turn's while the connection takes turns
    /// at the bulk gate, since more would wait in the send queue. `None` otherwise.
    pub(super) fn output_limit(&self) -> Option<usize> {
        match self.is_contended.load(Ordering::Relaxed) {
            _ if self.is_scarce() => Some(SCARCE_OUTPUT_BYTES),
            true => Some(QUANTUM_BYTES),
            false => None,
        }
    }

    /// The receive window of each channel, in bytes.
    pub(super) fn window(&self, usual: u32) -> u32 {
        let held = self.held();
        if held > MAX_HELD_BYTES || (held > MIN_HELD_BYTES && self.is_scarce()) {
            return MIN_WINDOW_BYTES;
        }
        let usual = self.memory.get().map_or(usual, |memory| memory.window(usual));
        self.rates().map_or(usual, |rates| rates.window(usual))
    }

    /// The rate limits, after the login.
    pub(super) fn rates(&self) -> Option<&UserRateLimits> {
        self.rates.get().map(Arc::as_ref)
    }

    /// Returns when the send queue is empty. Queued bytes cost an extra copy.
    pub(super) async fn drained(&self) {
        loop {
            let drained = self.drained.notified();
            if self.queued.load(Ordering::Acquire) == 0 {
                return;
            }
            drained.await;
        }
    }

    /// How long output waits for the socket or a rate limit.
    pub(super) fn link(&self) -> &LinkMeter {
        &self.link
    }

    /// Notes bytes that the kernel has accepted.
    pub(super) fn wrote(&self, written: usize) {
        self.written.fetch_add(written as u64, Ordering::AcqRel);
        self.link.wrote(written);
    }

    /// Sets the length of the send queue, in bytes.
    pub(super) fn set_queued(&self, queued: usize) {
        let before = self.queued.swap(queued, Ordering::AcqRel);
        self.hold(difference(before, queued));
        if before != 0 && queued == 0 {
            self.drained.notify_waiters();
        }
    }

    /// Notes activity on a channel. Keepalives are no activity.
    pub(super) fn moved(&self) {
        self.moves.fetch_add(1, Ordering::Relaxed);
        self.moved.store(self.age(), Ordering::Relaxed);
    }

    /// The time since the last activity.
    pub(super) fn idle(&self) -> Duration {
        Duration::from_millis(self.age().saturating_sub(self.moved.load(Ordering::Relaxed)))
    }

    fn age(&self) -> u64 {
        u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// The activity counter, for the idle timeout.
    pub(super) fn moves(&self) -> u64 {
        self.moves.load(Ordering::Relaxed)
    }

    /// The length of the send queue and the total of written bytes, to detect a stuck queue.
    pub(super) fn progress(&self) -> (usize, u64) {
        (self.queued.load(Ordering::Acquire), self.written.load(Ordering::Acquire))
    }
}

impl Drop for FlowControl {
    fn drop(&mut self) {
        let held = self.held.load(Ordering::Relaxed);
        self.hold(-held);
    }
}

/// Memory that one component of a connection holds, in bytes. Dropping it releases the memory.
#[derive(Debug)]
pub(super) struct HeldBytes {
    flow: Arc<FlowControl>,
    bytes: AtomicUsize,
}

impl HeldBytes {
    pub(super) fn new(flow: Arc<FlowControl>) -> HeldBytes {
        HeldBytes { flow, bytes: AtomicUsize::new(0) }
    }

    /// Sets the amount.
    pub(super) fn set(&self, bytes: usize) {
        let before = self.bytes.swap(bytes, Ordering::Relaxed);
        self.flow.hold(difference(before, bytes));
    }
}

impl Drop for HeldBytes {
    fn drop(&mut self) {
        self.set(0);
    }
}

/// The packets that wait in russh's queue of a channel, in bytes. `None` after the channel's reader is gone. Arrivals are
/// counted after they were queued, so the number may be negative for a moment.
#[derive(Debug)]
pub(super) struct UntakenPackets {
    flow: Arc<FlowControl>,
    bytes: Mutex<Option<isize>>,
}

impl UntakenPackets {
    pub(super) fn new(flow: Arc<FlowControl>) -> Arc<UntakenPackets> {
        Arc::new(UntakenPackets { flow, bytes: Mutex::new(Some(0)) })
    }

    /// Counts a packet of `bytes` that has arrived.
    pub(super) fn arrived(&self, bytes: usize) {
        self.change(cost(bytes));
    }

    /// Counts a packet of `bytes` that was taken.
    pub(super) fn taken(&self, bytes: usize) {
        self.change(-cost(bytes));
    }

    fn change(&self, by: isize) {
        if let Some(bytes) = &mut *self.bytes.lock().unwrap_or_else(PoisonError::into_inner) {
            *bytes += by;
            self.flow.hold(by);
        }
    }

    /// Releases all waiting packets, and ignores later ones: the reader is gone.
    pub(super) fn close(&self) {
        let rest = self.bytes.lock().unwrap_or_else(PoisonError::into_inner).take();
        self.flow.hold(-rest.unwrap_or(0));
    }
}

fn cost(bytes: usize) -> isize {
    isize::try_from(bytes + PACKET_OVERHEAD_BYTES).unwrap_or(isize::MAX)
}

fn difference(before: usize, now: usize) -> isize {
    now.cast_signed().wrapping_sub(before.cast_signed())
}

#[cfg(test)]
mod tests {
    use super::super::memory_budget::MemoryBudgets;
    use super::*;

    fn connection(memory: &MemoryBudgets) -> Arc<FlowControl> {
        let flow = Arc::new(FlowControl::default());
        flow.limit("ann", Arc::default(), memory.of("ann"));
        flow
    }

    #[test]
    fn all_connections_of_a_user_share_the_memory_and_each_keeps_a_little() {
        const WINDOW: u32 = 32 << 20;
        let memory = MemoryBudgets::default();
        let (greedy, other) = (connection(&memory), connection(&memory));
        assert_eq!((greedy.window(WINDOW), greedy.output_limit()), (WINDOW, None));
        let held = HeldBytes::new(Arc::clone(&greedy));
        held.set(MAX_HELD_BYTES + 1);
        // Its window closes, but data in flight are still read.
        assert_eq!((greedy.window(WINDOW), greedy.may_read()), (MIN_WINDOW_BYTES, true));
        held.set(100 << 20);
        assert!(!greedy.may_read() && other.may_read());
        assert_eq!((other.window(WINDOW), other.output_limit()), (WINDOW, Some(SCARCE_OUTPUT_BYTES)));
        assert_eq!((greedy.reads(), other.reads()), ((1, 1), (1, 0)));
        drop(held);
        assert!(greedy.may_read());
        assert_eq!(memory.held(), 0);
    }

    #[test]
    fn a_connection_returns_its_budget_however_it_ends() {
        let memory = MemoryBudgets::default();
        let flow = Arc::new(FlowControl::default());
        // Before the login the user holds nothing, and afterwards everything.
        flow.set_queued(4000);
        flow.limit("ann", Arc::default(), memory.of("ann"));
        assert_eq!(memory.held(), 4000);
        flow.set_queued(0);
        let untaken = UntakenPackets::new(Arc::clone(&flow));
        untaken.taken(1000);
        untaken.arrived(1000);
        untaken.arrived(500);
        flow.set_queued(10_000);
        assert_eq!(memory.held(), 10_000 + 500 + PACKET_OVERHEAD_BYTES);
        untaken.close();
        untaken.arrived(7);
        assert_eq!(memory.held(), 10_000);
        drop((untaken, flow));
        assert_eq!(memory.held(), 0);
    }
}
