//! The permits for slices of work, of which each user has a bounded number over all sessions.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use tokio::sync::Semaphore;

/// Slices of work that run at a time for one user, over all sessions.
const MAX_CONCURRENT_SLICES: usize = 16;

/// The permits of all users who have a channel open.
#[derive(Debug, Default)]
pub struct SlicePermits(Mutex<HashMap<String, Weak<Semaphore>>>);

impl SlicePermits {
    /// The permits of a user. They are shared as long as one of the results exists.
    #[must_use]
    pub fn of(&self, user: &str) -> Arc<Semaphore> {
        let mut users = self.users();
        if let Some(permits) = users.get(user).and_then(Weak::upgrade) {
            return permits;
        }
        users.retain(|_, permits| permits.strong_count() > 0);
        let permits = Arc::new(Semaphore::new(MAX_CONCURRENT_SLICES));
        users.insert(user.to_owned(), Arc::downgrade(&permits));
        permits
    }

    /// Whether a slice of a user's work is running.
    #[must_use]
    pub fn is_busy(&self, user: &str) -> bool {
        let permits = self.users().get(user).and_then(Weak::upgrade);
        permits.is_some_and(|permits| permits.available_permits() < MAX_CONCURRENT_SLICES)
    }

    fn users(&self) -> MutexGuard<'_, HashMap<String, Weak<Semaphore>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
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
    fn nothing_is_kept_of_a_user_without_channels() {
        let permits = SlicePermits::default();
        drop(permits.of("ann"));
        let _bob = permits.of("bob");
        assert_eq!(permits.users().len(), 1);
    }
}
