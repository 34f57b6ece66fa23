//! Partial uploads: kept, found, checked, leased.

use super::failure::AtPath;
use super::shared::MemorySharedHome;
use super::staged_content::StagedContent;
use crate::quota::{FileId, Reservation};
use crate::{
    Cause, CheckedPartial, Ctx, EntryId, PartialCheck, PartialUploadInfo, StepLimit, StoreResult,
    StreamLease, UploadSource,
};
use sshome_wire::{BLOCK_BYTES, BlockHasher, RemotePath, Time};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Bytes that are read at a time.
const READ_CHUNK_BYTES: usize = 1 << 20;

/// The partial uploads of a home that no channel works on.
#[derive(Debug, Default)]
pub(super) struct MemoryPartialUploads(Mutex<Vec<MemoryPartialUpload>>);

/// A partial upload and its reservation.
#[derive(Debug)]
pub(super) struct MemoryPartialUpload {
    /// Dropped before the reservation, so that every stored byte is reserved.
    pub(super) staged: StagedContent,
    pub(super) reservation: Reservation,
    pub(super) record: MemoryUploadRecord,
    pub(super) since: Time,
}

/// Identifies the upload that a staged file is a part of.
#[derive(Clone, Debug)]
pub(super) struct MemoryUploadRecord {
    /// The target's path when the upload began.
    pub(super) path: RemotePath,
    pub(super) target: EntryId,
    pub(super) source: UploadSource,
}

impl MemoryPartialUpload {
    /// Whether it belongs to an upload to this target.
    pub(super) fn is_to(&self, target: &EntryId) -> bool {
        self.record.target == *target
    }

    pub(super) fn is_stream(&self) -> bool {
        self.record.source.is_stream()
    }

    /// Whether the file lends to it.
    pub(super) fn borrows_from(&self, file: FileId) -> bool {
        self.reservation.borrows_from(file)
    }

    /// Restarts the time after which a partial stream expires.
    fn renew(&mut self) {
        if self.is_stream() {
            self.since = super::node::now();
        }
    }
}

impl MemoryPartialUploads {
    /// Adds a partial upload.
    pub(super) fn put(&self, mut partial: MemoryPartialUpload) {
        partial.reservation.set_partial(true);
        self.parts().push(partial);
    }

    /// Takes out the longest one from exactly this source to this target.
    fn take(&self, target: &EntryId, source: UploadSource) -> Option<MemoryPartialUpload> {
        let mut parts = self.parts();
        let fits = |partial: &MemoryPartialUpload| partial.is_to(target) && partial.record.source == source;
        let best = parts.iter().enumerate().filter(|(_, partial)| fits(partial));
        let best = best.max_by_key(|(_, partial)| partial.staged.length()).map(|(at, _)| at)?;
        let mut partial = parts.swap_remove(best);
        partial.reservation.set_partial(false);
        Some(partial)
    }

    /// Deletes those that `unwanted` selects. Returns their number.
    pub(super) fn discard(&self, unwanted: impl Fn(&MemoryPartialUpload) -> bool) -> usize {
        let mut parts = self.parts();
        let (out, stay): (Vec<_>, Vec<_>) = std::mem::take(&mut *parts).into_iter().partition(unwanted);
        *parts = stay;
        out.len()
    }

    /// What they are.
    pub(super) fn list(&self) -> Vec<PartialUploadInfo> {
        let info = |partial: &MemoryPartialUpload| PartialUploadInfo {
            path: partial.record.path.clone(),
            length: partial.staged.length(),
            source: Some(partial.record.source),
            since: partial.since,
        };
        self.parts().iter().map(info).collect()
    }

    fn parts(&self) -> MutexGuard<'_, Vec<MemoryPartialUpload>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A partial upload that was taken out. Dropping it puts it back.
#[derive(Debug)]
pub(super) struct PartialLease {
    home: Arc<MemorySharedHome>,
    partial: Option<MemoryPartialUpload>,
    /// For a stream: released after the partial upload is back.
    pub(super) stream_lease: Option<StreamLease>,
}

impl PartialLease {
    /// Takes the partial upload out for good.
    pub(super) fn take(&mut self) -> Option<MemoryPartialUpload> {
        self.partial.take()
    }
}

impl Drop for PartialLease {
    fn drop(&mut self) {
        if let Some(mut partial) = self.partial.take() {
            partial.renew();
            self.home.partial_uploads.put(partial);
        }
    }
}

/// The check of a partial upload.
#[derive(Debug)]
pub(super) struct MemoryPartialCheck {
    path: RemotePath,
    ctx: Ctx,
    /// `None` once it was checked.
    lease: Option<PartialLease>,
    length: u64,
    hasher: BlockHasher,
}

impl MemoryPartialCheck {
    /// Leases the partial upload of this source to this path; `None` if there is none.
    pub(super) fn begin(
        home: &Arc<MemorySharedHome>,
        ctx: &Ctx,
        path: &RemotePath,
        source: UploadSource,
        stream_lease: Option<StreamLease>,
    ) -> Option<MemoryPartialCheck> {
        let target = {
            let tree = home.tree();
            tree.entry_id(&tree.locate_target(path).ok()?.0)
        };
        let partial = home.partial_uploads.take(&target, source)?;
        let length = partial.staged.length();
        let lease = Some(PartialLease { home: Arc::clone(home), partial: Some(partial), stream_lease });
        let (path, ctx, hasher) = (path.clone(), ctx.clone(), BlockHasher::new());
        Some(MemoryPartialCheck { path, ctx, lease, length, hasher })
    }
}

impl PartialCheck for MemoryPartialCheck {
    fn progress(&self) -> (u64, u64) {
        (self.hasher.length(), self.length)
    }

    fn step(&mut self, limit: StepLimit) -> StoreResult<Option<CheckedPartial>> {
        if self.ctx.is_cancelled() {
            return Err(Cause::Cancelled).of_file(&self.path);
        }
        let partial = self.lease.as_ref().and_then(|lease| lease.partial.as_ref());
        let partial = partial.ok_or(Cause::NotFound).of_file(&self.path)?;
        let start = self.hasher.length();
        let mut buffer = Vec::with_capacity(READ_CHUNK_BYTES);
        while self.hasher.length() < self.length && !limit.is_reached(self.hasher.length() - start) {
            buffer.clear();
            partial.staged.content.read_at(self.hasher.length(), &mut buffer, READ_CHUNK_BYTES);
            self.hasher.update(&buffer);
        }
        if self.hasher.length() < self.length {
            return Ok(None);
        }
        let mut digests = self.hasher.whole_blocks();
        if let UploadSource::File { size, .. } = partial.record.source {
            digests.truncate(usize::try_from(BlockHasher::knowable(size)).unwrap_or(usize::MAX));
        }
        let target = Some(partial.record.target.clone());
        Ok(self.lease.take().map(|lease| CheckedPartial::new(digests, target, lease)))
    }
}

/// The length of the whole blocks among these bytes.
pub(super) fn whole_blocks(bytes: u64) -> u64 {
    bytes / BLOCK_BYTES * BLOCK_BYTES
}
