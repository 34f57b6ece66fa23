//! Partial uploads: found, checked, resumed, discarded.

use super::error::{Context, errno};
use super::{PosixHome, StoreResult};
use crate::home::{Location, PartialUpload, PartialUploads, StagedFile, StreamLease, UploadRecord};
use sshome_store::quota::Reservation;
use sshome_store::{
    CheckedPartial, EntryId, PartialCheck, PartialUploadInfo, StepLimit, StoreError, Takeover, UploadSource,
};
use sshome_wire::{BLOCK_BYTES, BlockHasher, Digest, RemotePath, StreamId};
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

/// See [`Home::partial_uploads`](sshome_store::Home::partial_uploads).
pub(crate) fn partial_uploads(home: &PosixHome) -> Vec<PartialUploadInfo> {
    let all = home.dir.partial_uploads().list().into_iter();
    let info = all.filter_map(|file| {
        let path = home.dir.path_in_view(&file.path())?;
        Some(PartialUploadInfo { path, length: file.length, source: file.source(), since: file.since })
    });
    info.collect()
}

/// See [`Home::discard_partial_uploads`](sshome_store::Home::discard_partial_uploads).
pub(crate) fn discard(home: &PosixHome, path: Option<&RemotePath>) -> usize {
    let target = path.and_then(|path| target_id(home, path));
    home.dir.discard(|partial| {
        let known = home.dir.path_in_view(&partial.file.path());
        let is_of = |path: &RemotePath| {
            known.as_ref() == Some(path) || target.as_ref().is_some_and(|target| partial.file.is_of(target))
        };
        path.map_or(known.is_some(), is_of)
    })
}

/// The identity of an upload's target; `None` if its directory is missing.
fn target_id(home: &PosixHome, path: &RemotePath) -> Option<EntryId> {
    home.dir.locate_target(path).and_then(|(target, _)| target.identity()).ok()
}

/// The staged file of an upload and its reservation. Dropping it before the upload is complete keeps the whole blocks that
/// have arrived as a partial upload if there is a record, and deletes the file otherwise.
#[derive(Debug)]
pub(super) struct PendingUpload {
    held: Option<(StagedFile, Reservation)>,
    record: Option<UploadRecord>,
    target: Option<EntryId>,
    partial_uploads: Arc<PartialUploads>,
    /// For a stream: released once its partial upload is kept.
    stream_lease: Option<StreamLease>,
    /// Bytes written, from the start of the file.
    pub(super) written: u64,
}

impl PendingUpload {
    pub(super) fn new(
        home: &PosixHome,
        staged: StagedFile,
        reservation: Reservation,
        record: Option<UploadRecord>,
        target: &Location,
        stream_lease: Option<StreamLease>,
    ) -> PendingUpload {
        let partial_uploads = Arc::clone(home.dir.partial_uploads());
        // Without a record it is not kept.
        let target = record.as_ref().and_then(|_| target.identity().ok());
        PendingUpload {
            held: Some((staged, reservation)),
            record,
            target,
            partial_uploads,
            stream_lease,
            written: 0,
        }
    }

    /// Whether the source is a stream.
    pub(super) fn is_stream(&self) -> bool {
        self.stream_lease.is_some()
    }

    /// The staged file, until it is taken.
    pub(super) fn staged(&self) -> Option<&StagedFile> {
        self.held.as_ref().map(|held| &held.0)
    }

    /// The reservation, until it is taken.
    pub(super) fn reservation(&mut self) -> Option<&mut Reservation> {
        self.held.as_mut().map(|held| &mut held.1)
    }

    /// Takes the staged file, the reservation and the lease of a complete upload.
    pub(super) fn take(&mut self) -> Option<(StagedFile, Reservation, Option<StreamLease>)> {
        let (staged, reservation) = self.held.take()?;
        Some((staged, reservation, self.stream_lease.take()))
    }

    /// Moves everything that it holds into the result.
    pub(super) fn take_over(&mut self) -> PendingUpload {
        PendingUpload {
            held: self.held.take(),
            record: self.record.take(),
            target: self.target.take(),
            partial_uploads: Arc::clone(&self.partial_uploads),
            stream_lease: self.stream_lease.take(),
            written: self.written,
        }
    }

    /// Makes dropping delete the file.
    pub(super) fn discard_on_drop(&mut self) {
        self.record = None;
    }
}

impl Drop for PendingUpload {
    fn drop(&mut self) {
        let Some((staged, mut reservation)) = self.held.take() else { return };
        let Some(record) = self.record.take() else { return };
        let length = self.written / BLOCK_BYTES * BLOCK_BYTES;
        if length == 0 {
            return;
        }
        match staged.keep(record, self.target.take(), length) {
            Ok(file) => {
                // Only after the truncation: every stored byte stays reserved.
                reservation.shrink_to(length, 0);
                self.partial_uploads.put(PartialUpload { file, reservation });
            }
            Err(error) => tracing::warn!(%error, "a partial upload could not be kept"),
        }
    }
}

/// A check of a partial upload: it is read from the disk and digested. The partial upload is leased to one channel;
/// dropping the check releases it.
#[derive(Debug)]
struct Check {
    path: RemotePath,
    file: File,
    lease: PartLease,
    hasher: BlockHasher,
    buffer: Vec<u8>,
}

/// A partial upload that was taken out. Dropping it puts it back.
#[derive(Debug)]
pub(super) struct PartLease {
    partial: Option<PartialUpload>,
    partial_uploads: Arc<PartialUploads>,
    /// For a stream: released after the partial upload is back.
    stream_lease: Option<StreamLease>,
}

impl Drop for PartLease {
    fn drop(&mut self) {
        if let Some(mut partial) = self.partial.take() {
            partial.file.renew();
            self.partial_uploads.put(partial);
        }
    }
}

/// See [`Home::lease_partial`](sshome_store::Home::lease_partial).
pub(crate) fn lease(
    home: &PosixHome,
    path: &RemotePath,
    source: UploadSource,
) -> StoreResult<Option<Box<dyn PartialCheck>>> {
    open(home, path, source, None)
}

/// See [`Home::lease_stream`](sshome_store::Home::lease_stream).
pub(crate) fn lease_stream(
    home: &PosixHome,
    path: &RemotePath,
    id: StreamId,
    takeover: &Takeover,
) -> StoreResult<Option<Box<dyn PartialCheck>>> {
    let stream_lease = home.dir.stream_leases().take_over(id, takeover);
    let stream_lease = stream_lease.map_err(|wait| StoreError::stream_held(path, wait))?;
    open(home, path, UploadSource::Stream(id), Some(stream_lease))
}

fn open(
    home: &PosixHome,
    path: &RemotePath,
    source: UploadSource,
    stream_lease: Option<StreamLease>,
) -> StoreResult<Option<Box<dyn PartialCheck>>> {
    let partial = target_id(home, path).and_then(|target| home.dir.partial_uploads().take(&target, source));
    let Some(partial) = partial else { return Ok(None) };
    let file = home.dir.open_partial(&partial.file);
    let partial_uploads = Arc::clone(home.dir.partial_uploads());
    let lease = PartLease { partial: Some(partial), partial_uploads, stream_lease };
    let (hasher, buffer) = (BlockHasher::new(), vec![0; 1 << 20]);
    Ok(Some(Box::new(Check { path: path.clone(), file: file.of_file(path)?, lease, hasher, buffer })))
}

impl Check {
    fn length(&self) -> u64 {
        self.lease.partial.as_ref().map_or(0, |partial| partial.file.length)
    }
}

impl PartialCheck for Check {
    fn progress(&self) -> (u64, u64) {
        (self.hasher.length(), self.length())
    }

    fn step(&mut self, limit: StepLimit) -> StoreResult<Option<CheckedPartial>> {
        let start = self.hasher.length();
        let mut ended = false;
        while self.hasher.length() < self.length() && !ended {
            let at = self.hasher.length();
            if limit.is_reached(at - start) {
                break;
            }
            let wanted = usize::try_from(self.length() - at).unwrap_or(usize::MAX).min(self.buffer.len());
            let buffer = self.buffer.get_mut(..wanted).unwrap_or_default();
            let read = self.file.read_at(buffer, at).map_err(|error| errno(&error)).of_file(&self.path)?;
            ended = read == 0;
            self.hasher.update(buffer.get(..read).unwrap_or_default());
        }
        if self.hasher.length() < self.length() && !ended {
            return Ok(None);
        }
        let mut digests = self.hasher.whole_blocks();
        let file = self.lease.partial.as_ref().map(|partial| &partial.file);
        if let Some(UploadSource::File { size, .. }) = file.and_then(|file| file.source()) {
            digests.truncate(usize::try_from(BlockHasher::knowable(size)).unwrap_or(usize::MAX));
        }
        let target = file.and_then(|file| file.target().cloned());
        let lease = PartLease {
            partial: self.lease.partial.take(),
            partial_uploads: Arc::clone(&self.lease.partial_uploads),
            stream_lease: self.lease.stream_lease.take(),
        };
        Ok(Some(CheckedPartial::new(digests, target, lease)))
    }
}

/// A partial upload that is being resumed.
pub(super) struct ResumedUpload {
    pub(super) staged: StagedFile,
    pub(super) reservation: Reservation,
    pub(super) stream_lease: Option<StreamLease>,
    /// The digests of the blocks that are kept.
    pub(super) digests: Vec<Digest>,
}

impl PartLease {
    /// Resumes the upload after `blocks` of the blocks with these digests. `None` if there are fewer, or if it is of a
    /// different stream.
    pub(super) fn resume(
        mut self,
        home: &PosixHome,
        mut digests: Vec<Digest>,
        blocks: u32,
        stream: Option<StreamId>,
    ) -> Option<ResumedUpload> {
        let blocks = usize::try_from(blocks).ok()?;
        if blocks > digests.len() || self.stream_lease.as_ref().map(StreamLease::id) != stream {
            return None;
        }
        digests.truncate(blocks);
        let staged = home.dir.reopen(&self.partial.as_ref()?.file).ok()?;
        let (reservation, stream_lease) = (self.partial.take()?.reservation, self.stream_lease.take());
        Some(ResumedUpload { staged, reservation, stream_lease, digests })
    }

    /// Deletes the partial upload: its source has changed.
    pub(super) fn remove(mut self, home: &PosixHome) {
        if let Some(partial) = self.partial.take() {
            home.dir.remove_partial_upload(partial);
        }
    }
}
