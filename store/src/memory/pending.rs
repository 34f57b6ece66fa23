//! Staged content, and uploads until they are published.

use super::partial::{MemoryPartialUpload, MemoryUploadRecord, whole_blocks};
use super::shared::MemorySharedHome;
use super::staged_content::StagedContent;
use crate::StreamLease;
use crate::quota::Reservation;
use std::sync::Arc;

/// A staged file and its reservation. Dropping it before it is taken keeps the whole blocks that have arrived as a
/// partial upload if there is a record, and discards them otherwise.
#[derive(Debug)]
pub(super) struct MemoryPendingUpload {
    home: Arc<MemorySharedHome>,
    held: Option<(StagedContent, Reservation)>,
    record: Option<MemoryUploadRecord>,
    /// For a stream: released once its partial upload is kept.
    stream_lease: Option<StreamLease>,
}

impl MemoryPendingUpload {
    pub(super) fn new(
        home: &Arc<MemorySharedHome>,
        staged: StagedContent,
        reservation: Reservation,
        record: Option<MemoryUploadRecord>,
        stream_lease: Option<StreamLease>,
    ) -> MemoryPendingUpload {
        MemoryPendingUpload {
            home: Arc::clone(home),
            held: Some((staged, reservation)),
            record,
            stream_lease,
        }
    }

    pub(super) fn home(&self) -> &Arc<MemorySharedHome> {
        &self.home
    }

    pub(super) fn is_stream(&self) -> bool {
        self.stream_lease.is_some()
    }

    /// Bytes that have arrived.
    pub(super) fn written(&self) -> u64 {
        self.held.as_ref().map_or(0, |(staged, _)| staged.length())
    }

    /// The staged content and the reservation, until they are taken.
    pub(super) fn held(&mut self) -> Option<&mut (StagedContent, Reservation)> {
        self.held.as_mut()
    }

    /// Takes the content, the reservation and the lease of a complete upload.
    pub(super) fn take(&mut self) -> Option<(StagedContent, Reservation, Option<StreamLease>)> {
        let (staged, reservation) = self.held.take()?;
        Some((staged, reservation, self.stream_lease.take()))
    }

    /// Makes dropping it keep nothing.
    pub(super) fn discard_on_drop(&mut self) {
        self.record = None;
    }

    /// Keeps only the first `length` bytes.
    pub(super) fn truncate(&mut self, length: u64) {
        if let Some((staged, _)) = &mut self.held {
            staged.content.set_length(length);
            staged.count(length);
        }
    }
}

impl Drop for MemoryPendingUpload {
    fn drop(&mut self) {
        self.truncate(whole_blocks(self.written()));
        let Some((staged, mut reservation)) = self.held.take() else { return };
        let length = staged.length();
        let Some(record) = self.record.take().filter(|_| length > 0) else {
            // In this order, so that every stored byte is reserved.
            drop(staged);
            return;
        };
        reservation.shrink_to(length, 0);
        let since = super::node::now();
        self.home.partial_uploads.put(MemoryPartialUpload { staged, reservation, record, since });
    }
}
