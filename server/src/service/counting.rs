//! Waiting until a home is counted. The channel loop waits, so that no thread does.

use super::User;
use sshome_store::{Counting, Wait};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

/// How long a request waits until the home is counted. Then it is refused, and the client may repeat it.
const MAX_COUNT_WAIT: Duration = Duration::from_secs(30);

/// What a request changes that waits while the home is being counted. Reading waits for nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ChangeKind {
    /// It stores bytes, makes an entry, or renames one: it waits for every count.
    Stores,
    /// It only removes: it waits for a count that could not be completed because of removals.
    Removes,
}

/// What a channel knows about the count of its home.
#[derive(Debug, Default)]
pub(super) struct CountProgress {
    /// The home was counted: it stays so.
    is_counted: AtomicBool,
    /// The channel has waited long enough: the store refuses the requests that have arrived.
    waited_in_vain: AtomicBool,
}

impl User {
    /// The end of the count that a request has to wait for, and for how long. `None` if it need not wait.
    pub(crate) fn must_wait(&self, change: ChangeKind) -> Option<(Wait, Duration)> {
        let count = &self.count;
        if count.is_counted.load(Relaxed) || count.waited_in_vain.load(Relaxed) || !self.access().adds() {
            return None;
        }
        let Some(Counting { removals_wait, end, .. }) = self.home.counting() else {
            count.is_counted.store(true, Relaxed);
            return None;
        };
        let waits = match change {
            ChangeKind::Stores => true,
            ChangeKind::Removes => removals_wait,
        };
        waits.then_some((end, MAX_COUNT_WAIT))
    }

    /// The channel has waited as long as it may. If that was for the count, the requests that have arrived do not wait any
    /// more.
    pub(crate) fn end_wait(&self, wait: &Wait) {
        let is_for_count = self.home.counting().is_some_and(|counting| counting.end == *wait);
        self.count.waited_in_vain.fetch_or(is_for_count, Relaxed);
    }

    /// Everything that had arrived is answered: later requests wait again.
    pub(crate) fn may_wait_again(&self) {
        self.count.waited_in_vain.store(false, Relaxed);
    }
}
