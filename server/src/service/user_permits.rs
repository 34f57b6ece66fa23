//! What the sessions of one user share: permits to run slices of work and to keep descriptions of files in memory, and
//! uploads over several connections.

use super::SharedUploads;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The most slices of work that run at a time for one user, over all sessions, however many threads there are.
const MAX_CONCURRENT_SLICES: usize = 16;

/// The descriptions of one user's files that are in memory at a time. Each takes 30 MiB or less.
const MAX_DESCRIPTIONS: usize = 4;

/// The permits of all users who have a channel open.
#[derive(Debug)]
pub struct UserPermits {
    users: Mutex<HashMap<String, Weak<Permits>>>,
    /// Slices of one user.
    slices: usize,
}

/// The permits of one user.
#[derive(Debug)]
pub struct Permits {
    slices: Arc<Semaphore>,
    descriptions: Arc<Semaphore>,
    uploads: SharedUploads,
}

impl Permits {
    /// The uploads over several connections.
    pub(super) fn uploads(&self) -> &SharedUploads {
        &self.uploads
    }

    /// The permits for slices of work.
    #[must_use]
    pub fn slices(&self) -> Arc<Semaphore> {
        Arc::clone(&self.slices)
    }

    /// A permit to keep the description of a file in memory; `None` if the user has them all.
    #[must_use]
    pub fn description(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.descriptions).try_acquire_owned().ok()
    }
}

impl Default for UserPermits {
    fn default() -> UserPermits {
        UserPermits { users: Mutex::default(), slices: MAX_CONCURRENT_SLICES }
    }
}

impl UserPermits {
    /// Permits for a pool with this many threads: one user's slices get at most half of them.
    #[must_use]
    pub fn for_pool(threads: usize) -> UserPermits {
        UserPermits { slices: (threads / 2).clamp(1, MAX_CONCURRENT_SLICES), ..UserPermits::default() }
    }

    /// The permits of a user. They are shared as long as one of the results exists.
    #[must_use]
    pub fn of(&self, user: &str) -> Arc<Permits> {
        let mut users = self.users();
        if let Some(permits) = users.get(user).and_then(Weak::upgrade) {
            return permits;
        }
        users.retain(|_, permits| permits.strong_count() > 0);
        let semaphore = |permits| Arc::new(Semaphore::new(permits));
        let (slices, descriptions) = (semaphore(self.slices), semaphore(MAX_DESCRIPTIONS));
        let permits = Arc::new(Permits { slices, descriptions, uploads: SharedUploads::default() });
        users.insert(user.to_owned(), Arc::downgrade(&permits));
        permits
    }

    /// Whether a slice of a user's work is running.
    #[must_use]
    pub fn is_busy(&self, user: &str) -> bool {
        let permits = self.users().get(user).and_then(Weak::upgrade);
        permits.is_some_and(|permits| permits.slices.available_permits() < self.slices)
    }

    fn users(&self) -> MutexGuard<'_, HashMap<String, Weak<Permits>>> {
        self.users.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_channels_of_a_user_share_their_permits() {
        let permits = UserPermits::default();
        let (first, second, other) = (permits.of("ann"), permits.of("ann"), permits.of("bob"));
        let _running = first.slices.try_acquire_many(16).unwrap();
        assert!(second.slices.try_acquire().is_err() && other.slices.try_acquire().is_ok());
        assert!(permits.is_busy("ann") && !permits.is_busy("bob") && !permits.is_busy("eve"));
        let _held: Vec<_> = (0..4).map(|_| second.description().unwrap()).collect();
        assert!(first.description().is_none() && other.description().is_some());
    }

    #[test]
    fn one_user_gets_half_of_the_threads() {
        for (threads, count) in [(1, 1), (8, 4), (64, 16)] {
            assert_eq!(UserPermits::for_pool(threads).of("ann").slices.available_permits(), count);
        }
    }

    #[test]
    fn permits_of_a_user_without_channels_are_dropped() {
        let permits = UserPermits::default();
        drop(permits.of("ann"));
        let _bob = permits.of("bob");
        assert_eq!(permits.users().len(), 1);
    }
}
