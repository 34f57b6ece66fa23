//! The context of a channel's calls.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

/// What a store needs to know about the channel that it works for. A [`Home`](crate::Home) is opened with it, and
/// everything that is opened through that home shares it. Clones belong to the same channel.
#[derive(Clone, Debug, Default)]
pub struct Ctx {
    cancelled: Arc<AtomicBool>,
}

impl Ctx {
    /// Makes calls give up at the next safe point, because the channel has ended. A call that is past its commit point
    /// finishes.
    pub fn cancel(&self) {
        self.cancelled.store(true, Relaxed);
    }

    /// Whether the channel has ended.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.cancelled.load(Relaxed)
    }
}
