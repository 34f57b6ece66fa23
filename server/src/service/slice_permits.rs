//! The permits for slices of work, of which each user has a bounded number over all sessions.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use tokio::sync::Semaphore;

/// The most slices of work that run at a time for one user, over all sessions, however many threads there are.
const MAX_CONCURRENT_SLICES: usize = 16;

/// The permits of all users who have a channel open.
#[derive(Debug)]
pub struct SlicePermits {
    users: Mutex<HashMap<String, Weak<Semaphore>>>,
    /// Permits of one user.
    count: usize,
}

impl Default for SlicePermits {
    fn default() -> SlicePermits {
        SlicePermits { users: Mutex::default(), count: MAX_CONCURRENT_SLICES }
    }
}

impl SlicePermits {
    /// Permits for a pool with this many threads: one user gets at most half of them.
    #[must_use]
    pub fn for_pool(threads: usize) -> SlicePermits {
        SlicePermits { count: (threads / 2).clamp(1, MAX_CONCURRENT_SLICES), ..SlicePermits::default() }
    }

    /// The permits of a user. They are shared as long as one of the results exists.
    #[must_use]
    pub fn of(&self, user: &str) -> Arc<Semaphore> {
        let mut users = self.users();
        if let Some(permits) = users.get(user).and_then(Weak::upgrade) {
            return permits;
        }
        users.retain(|_, permits| permits.strong_count() > 0);
        let permits = Arc::new(Semaphore::new(self.count));
        users.insert(user.to_owned(), Arc::downgrade(&permits));
        permits
    }

    /// Whether a slice of a user's work is running.
    #[must_use]
    pub fn is_busy(&self, user: &str) -> bool {
        let permits = self.users().get(user).and_then(Weak::upgrade);
        permits.is_some_and(|permits| permits.available_permits() < self.count)
    }

    fn users(&self) -> MutexGuard<'_, HashMap<String, Weak<Semaphore>>> {
        self.users.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_channels_of_a_user_share_their_permits() {
        let permits = SlicePermits::default();
        let (first, second, other) = (permits.of("ann"), permits.of("ann"), permits.of("bob"));
        let _running = first.try_acquire_many(16).unwrap();
        assert!(second.try_acquire().is_err() && other.try_acquire().is_ok());
        assert!(permits.is_busy("ann") && !permits.is_busy("bob") && !permits.is_busy("eve"));
    }

    #[test]
    fn one_user_gets_half_of_the_threads() {
        for (threads, count) in [(1, 1), (8, 4), (64, 16)] {
            assert_eq!(SlicePermits::for_pool(threads).of("ann").available_permits(), count);
        }
    }

    #[test]
    fn nothing_is_kept_of_a_user_without_channels() {
        let permits = SlicePermits::default();
        drop(permits.of("ann"));
        let _bob = permits.of("bob");
        assert_eq!(permits.users().len(), 1);
    }
}
