//! Content that is staged, and its share of the home's staged bytes.

use super::content::Content;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};

/// Content that has no name in the home yet.
#[derive(Debug)]
pub(super) struct StagedContent {
    pub(super) content: Content,
    /// Bytes that are counted as stored.
    counted: u64,
    sum: Arc<AtomicU64>,
}

impl StagedContent {
    pub(super) fn new(sum: &Arc<AtomicU64>, content: Content) -> StagedContent {
        StagedContent { content, counted: 0, sum: Arc::clone(sum) }
    }

    /// Bytes that are counted as stored.
    pub(super) fn length(&self) -> u64 {
        self.counted
    }

    /// Sets the bytes that are counted as stored.
    pub(super) fn count(&mut self, bytes: u64) {
        self.sum.fetch_add(bytes, SeqCst);
        self.sum.fetch_sub(self.counted, SeqCst);
        self.counted = bytes;
    }

    /// Takes the content out, to be published.
    pub(super) fn into_content(mut self) -> Content {
        std::mem::take(&mut self.content)
    }
}

impl Drop for StagedContent {
    fn drop(&mut self) {
        self.count(0);
    }
}
