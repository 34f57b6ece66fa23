//! Work of ended sessions that has not returned from the store: a disk or a service hangs.

use std::sync::{Mutex, PoisonError};
use tokio_util::task::TaskTracker;

/// The channels of ended sessions whose work hangs. Their results are dropped when they return.
#[derive(Debug, Default)]
pub struct AbandonedWork(Mutex<Vec<TaskTracker>>);

impl AbandonedWork {
    /// Adds the channels of a session that has ended.
    pub(super) fn add(&self, channels: TaskTracker) {
        self.sessions(|sessions| sessions.push(channels));
    }

    /// The number of channels whose work has not returned. Each holds at most one thread.
    #[must_use]
    pub fn count(&self) -> usize {
        self.sessions(|sessions| {
            sessions.retain(|channels| !channels.is_empty());
            sessions.iter().map(TaskTracker::len).sum()
        })
    }

    fn sessions<T>(&self, act: impl FnOnce(&mut Vec<TaskTracker>) -> T) -> T {
        act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
