//! Partial uploads: found, checked, resumed, discarded.

use super::error::{Context, errno};
use super::{Result, StepLimit, User};
use crate::home::{
    EntryId, Location, PartialUpload, PartialUploads, StagedFile, StreamLease, UploadRecord, UploadSource,
};
use crate::quota::Reservation;
use sshome_wire::{BLOCK_BYTES, BlockHasher, Digest, Part, RemotePath, StreamId, Time};
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::time::Duration;

/// The user's partial uploads, the oldest first.
#[must_use]
pub fn parts(user: &User) -> Vec<Part> {
    let mut parts: Vec<Part> = user
        .home
        .partial_uploads()
        .list()
        .into_iter()
        .map(|file| Part {
            path: file.path().as_bytes().to_vec(),
            length: file.length,
            size: match file.source() {
                Some(UploadSource::File { size, .. }) => size,
                Some(UploadSource::Stream(_)) => 0,
                // Unknown: its record cannot be read.
                None => file.length,
            },
            since: file.since,
        })
        .collect();
    parts.sort_by_key(|part| part.since);
    parts
}

/// Deletes the partial uploads to this path, or all if there is no path. Returns their number. A path from [`parts`] always
/// works, even if its directory no longer exists.
pub fn discard(user: &User, path: Option<&RemotePath>) -> usize {
    let target = path.and_then(|path| target_id(user, path));
    user.home.discard(|partial| {
        let is_of = |path: &RemotePath| {
            partial.file.path() == *path || target.as_ref().is_some_and(|target| partial.file.is_of(target))
        };
        path.is_none_or(is_of)
    })
}

/// The identity of an upload's target; `None` if its directory is missing.
#[must_use]
pub fn target_id(user: &User, path: &RemotePath) -> Option<EntryId> {
    user.home.locate_target(path).and_then(|(target, _)| target.identity()).ok()
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
        user: &User,
        staged: StagedFile,
        reservation: Reservation,
        record: Option<UploadRecord>,
        target: &Location,
        stream_lease: Option<StreamLease>,
    ) -> PendingUpload {
        let partial_uploads = Arc::clone(user.home.partial_uploads());
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
                // After the truncation.
                reservation.shrink_to(length, 0);
                self.partial_uploads.put(PartialUpload { file, reservation });
            }
            Err(error) => tracing::warn!(%error, "a partial upload could not be kept"),
        }
    }
}

/// A check of a partial upload: it is read from the disk and digested. The partial upload is leased to one conversation;
/// dropping the check releases it.
#[derive(Debug)]
pub struct PartCheck {
    path: RemotePath,
    file: File,
    lease: PartLease,
    hasher: BlockHasher,
    buffer: Vec<u8>,
}

/// A partial upload that was checked, and is leased to one conversation for its next put. Dropping it releases it.
#[derive(Debug)]
pub struct CheckedPart {
    /// The digests of its blocks.
    pub digests: Vec<Digest>,
    lease: PartLease,
}

/// A partial upload that was taken out. Dropping it puts it back.
#[derive(Debug)]
struct PartLease {
    partial: Option<PartialUpload>,
    partial_uploads: Arc<PartialUploads>,
    /// For a stream: released after the partial upload is back.
    stream_lease: Option<StreamLease>,
}

/// The partial upload of a stream.
#[derive(Debug)]
pub enum PartialStream {
    /// A different conversation still holds it, and was cancelled.
    Busy,
    /// There is none.
    Nothing,
    /// It has to be checked.
    Part(Box<PartCheck>),
}

/// Finds the partial upload of a stream. Waits up to `timeout` for a different conversation to release it.
///
/// # Errors
/// If it cannot be opened.
pub fn find_stream(user: &User, path: &RemotePath, id: StreamId, timeout: Duration) -> Result<PartialStream> {
    let Some(stream_lease) = user.home.stream_leases().take_over(id, &user.takeover(), timeout) else {
        return Ok(PartialStream::Busy);
    };
    let found = PartCheck::open(user, path, UploadSource::Stream(id), Some(stream_lease))?;
    Ok(found.map_or(PartialStream::Nothing, |part| PartialStream::Part(Box::new(part))))
}

impl Drop for PartLease {
    fn drop(&mut self) {
        if let Some(mut partial) = self.partial.take() {
            partial.file.renew();
            self.partial_uploads.put(partial);
        }
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

impl CheckedPart {
    /// Resumes the upload after `blocks` blocks. `None` if there are fewer.
    pub(super) fn resume(mut self, user: &User, blocks: u32) -> Option<ResumedUpload> {
        let blocks = usize::try_from(blocks).ok()?;
        if blocks > self.digests.len() {
            return None;
        }
        self.digests.truncate(blocks);
        let staged = user.home.reopen(&self.lease.partial.as_ref()?.file).ok()?;
        let (reservation, stream_lease) =
            (self.lease.partial.take()?.reservation, self.lease.stream_lease.take());
        Some(ResumedUpload { staged, reservation, stream_lease, digests: self.digests })
    }

    /// The target.
    #[must_use]
    pub fn target(&self) -> Option<&EntryId> {
        self.lease.partial.as_ref()?.file.target()
    }

    /// The stream; `None` if the source is a file.
    pub(super) fn stream(&self) -> Option<StreamId> {
        self.lease.stream_lease.as_ref().map(StreamLease::id)
    }

    /// Deletes the partial upload: its source has changed.
    pub(super) fn remove(mut self, user: &User) {
        if let Some(partial) = self.lease.partial.take() {
            user.home.remove_partial_upload(partial);
        }
    }
}

impl PartCheck {
    /// Takes out the partial upload of exactly this file; `None` if there is none, or another session works on it.
    ///
    /// # Errors
    /// If it cannot be opened.
    pub fn begin(user: &User, path: &RemotePath, size: u64, mtime: Time) -> Result<Option<PartCheck>> {
        PartCheck::open(user, path, UploadSource::File { size, mtime }, None)
    }

    fn open(
        user: &User,
        path: &RemotePath,
        source: UploadSource,
        stream_lease: Option<StreamLease>,
    ) -> Result<Option<PartCheck>> {
        let partial =
            target_id(user, path).and_then(|target| user.home.partial_uploads().take(&target, source));
        let Some(partial) = partial else { return Ok(None) };
        let file = user.home.open_partial(&partial.file);
        let lease = PartLease {
            partial: Some(partial),
            partial_uploads: Arc::clone(user.home.partial_uploads()),
            stream_lease,
        };
        let (hasher, buffer) = (BlockHasher::new(), vec![0; 1 << 20]);
        Ok(Some(PartCheck { path: path.clone(), file: file.of_file(path)?, lease, hasher, buffer }))
    }

    /// Bytes done, and bytes in total.
    #[must_use]
    pub fn progress(&self) -> (u64, u64) {
        (self.hasher.length(), self.length())
    }

    fn length(&self) -> u64 {
        self.lease.partial.as_ref().map_or(0, |partial| partial.file.length)
    }

    /// Executes one step. Returns the checked partial upload at the end.
    ///
    /// # Errors
    /// The disk's.
    pub fn step(&mut self, limit: StepLimit) -> Result<Option<CheckedPart>> {
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
        if let Some(UploadSource::File { size, .. }) =
            self.lease.partial.as_ref().and_then(|partial| partial.file.source())
        {
            digests.truncate(usize::try_from(BlockHasher::knowable(size)).unwrap_or(usize::MAX));
        }
        let partial_uploads = Arc::clone(&self.lease.partial_uploads);
        let lease = PartLease {
            partial: self.lease.partial.take(),
            partial_uploads,
            stream_lease: self.lease.stream_lease.take(),
        };
        Ok(Some(CheckedPart { digests, lease }))
    }
}
