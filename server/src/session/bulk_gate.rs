//! Fair scheduling of connections that move much data, so that small requests of others need not queue behind them.
//!
//! Two hundred busy connections are more tasks than the workers can poll within a few milliseconds, and a request passes
//! several times through the queue of such tasks. So only a few *bulk* connections use their sockets at a time. Each may
//! move [`QUANTUM_BYTES`] or until its socket would block; then the next one has its turn: round robin over users, and over
//! the connections of each user. Other connections never wait.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;
use tokio::time::Instant;

/// A connection that has moved more than this within [`BULK_PERIOD`] is bulk, in bytes.
const BULK_BYTES: usize = 64 << 10;

/// The period over which the bytes of a connection are counted.
const BULK_PERIOD: Duration = Duration::from_millis(100);

/// The bytes that a bulk connection moves before the next one has its turn.
pub(super) const QUANTUM_BYTES: usize = 128 << 10;

/// Permits besides one for each core: a connection waits for its client now and then.
const EXTRA_PERMITS: usize = 1;

/// A permit that was not used for this long is taken away while others wait: its connection waits for a disk.
const MAX_UNUSED: Duration = Duration::from_millis(100);

/// The permits of bulk connections, and the connections that wait for one.
#[derive(Debug)]
pub struct BulkGate(Mutex<GateState>);

#[derive(Debug)]
struct GateState {
    free: usize,
    next_id: u64,
    /// The connections that hold a permit, and when each last used it.
    holders: HashMap<u64, Instant>,
    /// The tasks of waiting connections.
    wakers: HashMap<u64, Waker>,
    /// The waiting connections of each user, the longest waiting first. Some may have ended since.
    queues: HashMap<Arc<str>, VecDeque<u64>>,
    /// The users with a queue, in the order of their turns.
    users: VecDeque<Arc<str>>,
    /// Whether a task looks for unused permits.
    is_watched: bool,
    /// When a connection last began to wait.
    last_wait: Option<Instant>,
}

impl BulkGate {
    /// A gate for a machine with this many cores.
    #[must_use]
    pub fn for_cores(cores: usize) -> Arc<BulkGate> {
        let state = GateState {
            free: cores + EXTRA_PERMITS,
            next_id: 0,
            holders: HashMap::new(),
            wakers: HashMap::new(),
            queues: HashMap::new(),
            users: VecDeque::new(),
            is_watched: false,
            last_wait: None,
        };
        Arc::new(BulkGate(Mutex::new(state)))
    }

    /// A gate for this machine.
    #[must_use]
    pub fn for_this_machine() -> Arc<BulkGate> {
        BulkGate::for_cores(std::thread::available_parallelism().map_or(1, usize::from))
    }

    fn state(&self) -> MutexGuard<'_, GateState> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes unused permits away as long as a connection waits.
    async fn watch(self: Arc<BulkGate>) {
        loop {
            tokio::time::sleep(MAX_UNUSED).await;
            let mut state = self.state();
            if state.wakers.is_empty() {
                state.is_watched = false;
                return;
            }
            let now = Instant::now();
            let before = state.holders.len();
            state.holders.retain(|_, used| now.duration_since(*used) < MAX_UNUSED);
            state.free += before - state.holders.len();
            state.hand_out();
        }
    }
}

impl GateState {
    /// Gives free permits to waiting connections.
    fn hand_out(&mut self) {
        while self.free > 0
            && let Some(user) = self.users.pop_front()
        {
            let Entry::Occupied(mut queue) = self.queues.entry(Arc::clone(&user)) else { continue };
            let next = queue.get_mut().pop_front();
            if queue.get().is_empty() {
                queue.remove();
            } else {
                self.users.push_back(user);
            }
            // A connection that has ended has no waker.
            if let Some(id) = next
                && let Some(waker) = self.wakers.remove(&id)
            {
                self.free -= 1;
                self.holders.insert(id, Instant::now());
                waker.wake();
            }
        }
    }

    fn enqueue(&mut self, id: u64, user: &Arc<str>) {
        if !self.queues.contains_key(user) {
            self.users.push_back(Arc::clone(user));
        }
        self.queues.entry(Arc::clone(user)).or_default().push_back(id);
    }

    fn release(&mut self, id: u64) {
        if self.holders.remove(&id).is_some() {
            self.free += 1;
            self.hand_out();
        }
    }
}

/// One connection's way through the gate. Dropping it releases its permit.
#[derive(Debug)]
pub(super) struct GatePass {
    gate: Arc<BulkGate>,
    id: u64,
    traffic: Traffic,
    /// The bytes that were moved with the current permit. `None` without a permit.
    moved: Option<usize>,
    /// When the connection began to wait for a permit.
    waiting_since: Option<Instant>,
    /// Whether it takes turns with others: it is bulk, and connections had to wait shortly before it was last polled.
    pub(super) is_contended: bool,
}

impl GatePass {
    pub(super) fn new(gate: Arc<BulkGate>) -> GatePass {
        let id = {
            let mut state = gate.state();
            state.next_id += 1;
            state.next_id
        };
        let traffic = Traffic::new(Instant::now());
        GatePass { gate, id, traffic, moved: None, waiting_since: None, is_contended: false }
    }

    /// Whether the connection has moved much recently.
    pub(super) fn is_bulk(&self) -> bool {
        self.waiting_since.is_some() || self.traffic.is_bulk(Instant::now())
    }

    /// Ready if the connection may use its socket. `user` has logged in; empty before the login.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>, user: impl FnOnce() -> Arc<str>) -> Poll<()> {
        if !self.is_bulk() {
            self.release();
            self.is_contended = false;
            return Poll::Ready(());
        }
        let now = Instant::now();
        let mut state = self.gate.state();
        if let Some(since) = self.waiting_since {
            if let Some(waker) = state.wakers.get_mut(&self.id) {
                waker.clone_from(cx.waker());
                return Poll::Pending;
            }
            // It has its permit, unless it did not come in time to use it.
            self.waiting_since = None;
            self.traffic.waited(now.duration_since(since));
            self.moved = Some(0);
        }
        self.is_contended = state.last_wait.is_some_and(|wait| now.duration_since(wait) < BULK_PERIOD);
        if let (Some(moved), Some(used)) = (self.moved, state.holders.get_mut(&self.id)) {
            *used = now;
            if moved < QUANTUM_BYTES || state.wakers.is_empty() {
                self.moved = Some(if moved < QUANTUM_BYTES { moved } else { 0 });
                return Poll::Ready(());
            }
        }
        // Behind those that wait already.
        state.release(self.id);
        self.moved = None;
        if state.free > 0 {
            state.free -= 1;
            state.holders.insert(self.id, now);
            self.moved = Some(0);
            return Poll::Ready(());
        }
        state.wakers.insert(self.id, cx.waker().clone());
        state.enqueue(self.id, &user());
        self.waiting_since = Some(now);
        state.last_wait = Some(now);
        self.is_contended = true;
        if !std::mem::replace(&mut state.is_watched, true) {
            tokio::spawn(Arc::clone(&self.gate).watch());
        }
        Poll::Pending
    }

    /// Counts bytes that were read or written.
    pub(super) fn moved(&mut self, bytes: usize) {
        self.traffic.add(bytes, Instant::now());
        if let Some(moved) = &mut self.moved {
            *moved += bytes;
        }
    }

    /// Gives the permit back: the connection has nothing to read or to write at the moment.
    pub(super) fn release(&mut self) {
        if self.moved.take().is_some() {
            self.gate.state().release(self.id);
        }
    }
}

impl Drop for GatePass {
    fn drop(&mut self) {
        let mut state = self.gate.state();
        state.wakers.remove(&self.id);
        state.release(self.id);
    }
}

/// The bytes that a connection has moved in this period and in the one before.
#[derive(Debug)]
struct Traffic {
    period_began: Instant,
    bytes: usize,
    before: usize,
}

impl Traffic {
    fn new(now: Instant) -> Traffic {
        Traffic { period_began: now, bytes: 0, before: 0 }
    }

    fn add(&mut self, bytes: usize, now: Instant) {
        let elapsed = now.duration_since(self.period_began);
        if elapsed >= BULK_PERIOD {
            self.before = if elapsed < 2 * BULK_PERIOD { self.bytes } else { 0 };
            (self.bytes, self.period_began) = (0, now);
        }
        self.bytes += bytes;
    }

    /// The time in which a connection waited for its permit does not count.
    fn waited(&mut self, time: Duration) {
        self.period_began += time;
    }

    fn is_bulk(&self, now: Instant) -> bool {
        let elapsed = now.duration_since(self.period_began);
        let recent = if elapsed < BULK_PERIOD { self.bytes.max(self.before) } else { self.bytes };
        elapsed < 2 * BULK_PERIOD && recent > BULK_BYTES
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::task::Wake;

    struct Nobody;

    impl Wake for Nobody {
        fn wake(self: Arc<Self>) {}
    }

    /// A connection of a user.
    struct Connection(GatePass, Arc<str>);

    impl Connection {
        fn new(gate: &Arc<BulkGate>, user: &str) -> Connection {
            Connection(GatePass::new(Arc::clone(gate)), user.into())
        }

        /// One that has just moved much.
        fn bulk(gate: &Arc<BulkGate>, user: &str) -> Connection {
            let mut connection = Connection::new(gate, user);
            connection.0.moved(BULK_BYTES + 1);
            connection
        }

        fn may_move(&mut self) -> bool {
            let waker = Arc::new(Nobody).into();
            let user = Arc::clone(&self.1);
            self.0.poll(&mut Context::from_waker(&waker), || user).is_ready()
        }
    }

    /// A gate with two permits, and two connections that hold them.
    fn full() -> (Arc<BulkGate>, [Connection; 2]) {
        let gate = BulkGate::for_cores(1);
        let mut holders = [Connection::bulk(&gate, "eve"), Connection::bulk(&gate, "eve")];
        assert!(holders.iter_mut().all(Connection::may_move));
        (gate, holders)
    }

    #[tokio::test(start_paused = true)]
    async fn small_requests_never_wait() {
        let (gate, _holders) = full();
        let mut small = Connection::new(&gate, "ann");
        small.0.moved(BULK_BYTES);
        assert!(small.may_move());
        small.0.moved(1);
        assert!(!small.may_move());
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_is_bulk_until_it_has_moved_little_for_some_time() {
        let (gate, _holders) = full();
        let mut connection = Connection::bulk(&gate, "ann");
        tokio::time::advance(BULK_PERIOD).await;
        connection.0.moved(1);
        assert!(connection.0.is_bulk());
        tokio::time::advance(BULK_PERIOD).await;
        connection.0.moved(1);
        assert!(!connection.0.is_bulk() && connection.may_move());
        // The time in which it waits for a permit does not make it small.
        let mut waiting = Connection::bulk(&gate, "ann");
        assert!(!waiting.may_move());
        tokio::time::advance(10 * BULK_PERIOD).await;
        assert!(waiting.0.is_bulk() && !waiting.may_move());
    }

    #[tokio::test(start_paused = true)]
    async fn turns_go_round_the_users_and_then_their_connections() {
        let (gate, holders) = full();
        let users = ["ann", "ann", "ann", "bob", "zoe", "bob"];
        let mut waiting: Vec<_> = users.iter().map(|user| Connection::bulk(&gate, user)).collect();
        assert!(!waiting.iter_mut().any(Connection::may_move));
        let (mut order, [mut holder, _other]) = (Vec::new(), holders);
        while !waiting.is_empty() {
            // Others wait, so the holder has to as well.
            holder.0.moved(QUANTUM_BYTES);
            assert!(!holder.may_move());
            let next = waiting.iter_mut().position(Connection::may_move).unwrap();
            // The old holder ends.
            holder = waiting.remove(next);
            order.push(Arc::clone(&holder.1));
        }
        let order: Vec<_> = order.iter().map(AsRef::as_ref).collect();
        assert_eq!(order, ["ann", "bob", "zoe", "ann", "bob", "ann"]);
    }

    #[tokio::test(start_paused = true)]
    async fn without_others_nobody_waits() {
        let (_gate, mut holders) = full();
        for _ in 0..5 {
            holders[0].0.moved(QUANTUM_BYTES);
            assert!(holders[0].may_move());
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_permit_that_is_not_used_is_taken_away() {
        let (gate, mut holders) = full();
        let mut waiting = Connection::bulk(&gate, "ann");
        assert!(!waiting.may_move());
        // One uses it, and one does not.
        for _ in 0..3 {
            tokio::time::sleep(MAX_UNUSED / 2).await;
            holders[0].0.moved(1);
            assert!(holders[0].may_move());
        }
        assert!(waiting.may_move() && holders[0].may_move());
        assert!(!holders[1].may_move());
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_that_ends_leaves_nothing_behind() {
        let (gate, holders) = full();
        let [mut first, mut second, mut third] =
            ["ann", "ann", "bob"].map(|user| Connection::bulk(&gate, user));
        assert!(!first.may_move() && !second.may_move() && !third.may_move());
        drop(first);
        drop(holders);
        assert!(second.may_move() && third.may_move());
        drop((second, third));
        let state = gate.state();
        assert_eq!(state.free, 2);
        assert!(state.holders.is_empty() && state.wakers.is_empty());
        assert!(state.queues.is_empty() && state.users.is_empty());
    }
}
