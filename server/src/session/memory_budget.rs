//! The memory budget of each user over all connections: received bytes that are not processed, and output that is not
//! sent.
//!
//! Nothing waits for this budget while it holds something that another waiter needs. Above the budget, data stays in
//! the socket ([`super::socket`]), receive windows close ([`UserMemoryBudget::window`]), and channels produce less
//! output at a time and none ahead. A small amount is always available, so that a user whose connections are stuck
//! can still log in.

use std::collections::HashMap;
use std::sync::atomic::{AtomicIsize, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError, Weak};

/// The memory budget of all users together, in bytes.
const SERVER_BYTES: usize = 256 << 20;

/// One user may hold a third of the remaining budget: a quarter of all if nobody else holds anything. So something is
/// always left for another user.
const USER_SHARE_DIVISOR: usize = 3;

/// The most that one user may hold, in bytes.
const USER_BYTES: usize = SERVER_BYTES / (USER_SHARE_DIVISOR + 1);

/// The amount that every user may always hold, in bytes.
const MIN_USER_BYTES: usize = 1 << 20;

/// The smallest receive window of a user with many channels, in bytes.
const MIN_WINDOW_BYTES: usize = 1 << 20;

/// The channels that one user may have open over all connections, for each allowed session. A client that shares one
/// connection between commands needs some, and each costs a reply or two when memory is scarce.
const CHANNELS_PER_SESSION: usize = 2;

/// The number of channels that every user may have.
const MIN_CHANNELS: usize = 256;

/// The memory budgets of all users.
#[derive(Debug, Default)]
pub struct MemoryBudgets {
    users: Mutex<HashMap<String, Weak<UserMemoryBudget>>>,
    /// The memory that all users hold, in bytes.
    total: Arc<AtomicIsize>,
}

impl MemoryBudgets {
    /// The budget of a user, shared by all connections.
    pub(super) fn of(&self, user: &str) -> Arc<UserMemoryBudget> {
        let mut users = self.users.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(memory) = users.get(user).and_then(Weak::upgrade) {
            return memory;
        }
        users.retain(|_, memory| memory.strong_count() > 0);
        let memory = Arc::new(UserMemoryBudget {
            held: AtomicIsize::new(0),
            channels: AtomicUsize::new(0),
            total: Arc::clone(&self.total),
        });
        users.insert(user.to_owned(), Arc::downgrade(&memory));
        memory
    }

    /// The memory that all users hold now, in bytes.
    #[must_use]
    pub fn held(&self) -> usize {
        unsigned(&self.total)
    }
}

/// The memory budget of one user.
#[derive(Debug)]
pub(super) struct UserMemoryBudget {
    held: AtomicIsize,
    channels: AtomicUsize,
    total: Arc<AtomicIsize>,
}

impl UserMemoryBudget {
    /// Changes the held memory by `bytes`.
    pub(super) fn change(&self, bytes: isize) {
        self.held.fetch_add(bytes, Relaxed);
        self.total.fetch_add(bytes, Relaxed);
    }

    /// Whether the user holds more than the budget allows.
    pub(super) fn is_scarce(&self) -> bool {
        let held = unsigned(&self.held);
        held > MIN_USER_BYTES
            && held > SERVER_BYTES.saturating_sub(unsigned(&self.total)) / USER_SHARE_DIVISOR
    }

    /// The receive window of one of the user's channels, in bytes: `usual`, or less, so that the windows of all
    /// channels together do not exceed the budget.
    pub(super) fn window(&self, usual: u32) -> u32 {
        let channels = self.channels.load(Relaxed).max(1);
        u32::try_from((USER_BYTES / channels).max(MIN_WINDOW_BYTES)).unwrap_or(usual).min(usual)
    }

    /// A permit for one more channel of a user who may have `sessions` sessions. `None` if the limit is reached.
    pub(super) fn open_channel(self: &Arc<UserMemoryBudget>, sessions: usize) -> Option<ChannelPermit> {
        let most = sessions.saturating_mul(CHANNELS_PER_SESSION).max(MIN_CHANNELS);
        let one_more = |open| (open < most).then_some(open + 1);
        self.channels.fetch_update(Relaxed, Relaxed, one_more).ok()?;
        Some(ChannelPermit(Arc::clone(self)))
    }
}

impl Drop for UserMemoryBudget {
    fn drop(&mut self) {
        self.total.fetch_sub(self.held.load(Relaxed), Relaxed);
    }
}

/// The permit of one channel. Dropping it returns it.
#[derive(Debug)]
pub(super) struct ChannelPermit(Arc<UserMemoryBudget>);

impl Drop for ChannelPermit {
    fn drop(&mut self) {
        self.0.channels.fetch_sub(1, Relaxed);
    }
}

/// Two threads may count the begin and the end of one item in either order, so a count may be negative for a moment.
fn unsigned(count: &AtomicIsize) -> usize {
    usize::try_from(count.load(Relaxed)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_at_the_budget_leaves_enough_for_the_next() {
        let memory = MemoryBudgets::default();
        let greedy: Vec<_> = (0..20).map(|number| memory.of(&number.to_string())).collect();
        for round in 1.. {
            let takes = |user: &&Arc<UserMemoryBudget>| !user.is_scarce();
            let takers: Vec<_> = greedy.iter().filter(takes).collect();
            takers.iter().for_each(|user| user.change(100_000));
            if takers.is_empty() {
                break;
            }
            assert!(round < 10_000);
        }
        assert!(memory.held() < SERVER_BYTES);
        assert!(greedy.iter().all(|user| unsigned(&user.held) > SERVER_BYTES / 30));
        let modest = memory.of("modest");
        modest.change(5 << 20);
        assert!(!modest.is_scarce());
        drop((greedy, modest));
        assert_eq!(memory.held(), 0);
        let alone = memory.of("alone");
        alone.change(USER_BYTES as isize);
        assert!(!alone.is_scarce());
        alone.change(100);
        assert!(alone.is_scarce());
    }

    #[test]
    fn windows_and_channels_are_shared() {
        let memory = MemoryBudgets::default();
        let user = memory.of("ann");
        assert!(Arc::ptr_eq(&user, &memory.of("ann")));
        let mut open: Vec<_> = (0..2).map(|_| user.open_channel(1).unwrap()).collect();
        assert_eq!(user.window(32 << 20), 32 << 20);
        open.extend((2..MIN_CHANNELS).map(|_| user.open_channel(1).unwrap()));
        assert!(user.open_channel(1).is_none() && user.open_channel(200).is_some());
        assert_eq!(user.window(32 << 20), MIN_WINDOW_BYTES as u32);
        open.pop();
        assert!(user.open_channel(1).is_some());
    }
}
