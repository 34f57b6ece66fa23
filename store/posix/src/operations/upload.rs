//! Storing a file as a whole.

use super::error::{Context, errno, of_parent};
use super::partial_uploads::{PartLease, PendingUpload, ResumedUpload};
use super::publish::PendingPublish;
use super::{PosixHome, StoreError, StoreResult, check_counted, check_mount, reserve_space};
use crate::home::{self, HomeHandle, Location, StoredDigest, StreamLease, UploadRecord};
use rustix::fs::{FileType, Stat, Timespec, Timestamps, UTIME_OMIT};
use rustix::io::Errno;
use sshome_store::{
    BlockSink, CheckedPartial, PublishItem, Takeover, Upload, UploadPermissions, UploadSource, UploadSpec,
};
use sshome_wire::{BLOCK_BYTES, BlockHasher, Digest, RemotePath, StreamId, Time};
use std::io::{Seek, SeekFrom, Write};
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Files of at least this size are synced on their own, before the batch that they are published with.
const SYNC_EARLY_BYTES: u64 = 1 << 20;

/// Bytes that an upload of unknown length reserves at a time.
const RESERVATION_STEP_BYTES: u64 = 1 << 20;

/// A file that is being received.
#[derive(Debug)]
pub(crate) struct PosixUpload {
    home: Arc<HomeHandle>,
    path: RemotePath,
    logged: RemotePath,
    target: Location,
    pending: PendingUpload,
    hasher: BlockHasher,
    announced: Option<u64>,
    mtime: Option<Time>,
    permissions: UploadPermissions,
    /// Whether the target existed when the upload began.
    replaces: bool,
    /// Whether publishing fails if the target exists.
    exclusive: bool,
}

impl PosixUpload {
    /// See [`Home::begin_upload`](sshome_store::Home::begin_upload).
    pub(crate) fn begin(
        home: &PosixHome,
        path: &RemotePath,
        spec: &UploadSpec,
        partial: Option<CheckedPartial>,
        takeover: &Takeover,
    ) -> StoreResult<PosixUpload> {
        check_counted(home, path)?;
        let located = match spec.exclusive {
            true => {
                home.dir.locate_new_file(path).and_then(|target| Ok((target.clone(), target.stat_if_any()?)))
            }
            false => home.dir.locate_target(path),
        };
        let (target, replaced) = match located {
            Err(home::Error::IsDirectory) => return Err(is_directory(path)),
            located => located.map_err(of_parent(home, path))?,
        };
        if spec.exclusive && replaced.is_some() {
            return Err(Errno::EXIST).of_file(path);
        }
        if let Some(stat) = &replaced {
            refuse_what_is_no_file(stat, path)?;
        }
        check_mount(home, &target, path)?;
        let replaces = replaced.is_some();
        // The canonical path: links may change before the upload is resumed.
        let logged = home.logged(&target, path);
        let record = record(spec, &home.dir.path_in_home(&logged));
        let stream = match spec.source {
            Some(UploadSource::Stream(id)) => Some(id),
            _ => None,
        };
        let partial = partial.and_then(CheckedPartial::into_held::<PartLease>);
        let (pending, hasher) = if spec.resume == 0 {
            // The partial upload is not from this source.
            partial.into_iter().for_each(|(_, lease)| lease.remove(home));
            let stream_lease = stream.map(|id| acquire_lease(home, id, path, takeover)).transpose()?;
            let needed = spec.size.unwrap_or(0);
            let reservation = reserve_space::reserve(home, path, &target, needed, replaces)?;
            reserve_space::check_disk(&home.dir, path, &target, needed)?;
            let staged = home.dir.stage(&target, record.as_ref()).of_file(path)?;
            (PendingUpload::new(home, staged, reservation, record, &target, stream_lease), BlockHasher::new())
        } else {
            spec.check_resume(path)?;
            let resumed =
                partial.and_then(|(digests, lease)| lease.resume(home, digests, spec.resume, stream));
            let resumed = resumed.ok_or_else(|| StoreError::NoPart(path.clone()))?;
            resume(home, path, &target, spec, (resumed, record, replaces))?
        };
        Ok(PosixUpload {
            home: Arc::clone(&home.dir),
            path: path.clone(),
            logged,
            target,
            pending,
            hasher,
            announced: spec.size,
            mtime: spec.mtime,
            permissions: spec.permissions,
            replaces,
            exclusive: spec.exclusive,
        })
    }

    fn store(&mut self, data: &[u8]) -> StoreResult<()> {
        let written = self.pending.written + data.len() as u64;
        match self.announced {
            Some(size) if written > size => {
                let why = "more data arrived than was announced";
                return Err(StoreError::Mismatch { path: self.path.clone(), why });
            }
            Some(_) => {}
            None => self.reserve_up_to(written)?,
        }
        let Some(staged) = self.pending.staged() else { return Ok(()) };
        staged.file().write_all(data).map_err(|error| errno(&error)).of_file(&self.path)?;
        self.hasher.update(data);
        self.pending.written = written;
        Ok(())
    }

    fn check(&self, size: u64, expected: Option<Digest>) -> StoreResult<Digest> {
        let mismatch = |why| Err(StoreError::Mismatch { path: self.path.clone(), why });
        if self.pending.written != size {
            return mismatch("the file arrived incomplete");
        }
        let digest = self.hasher.finish();
        if expected.is_some_and(|expected| expected != digest) {
            return mismatch("the data received differ from the data sent");
        }
        Ok(digest)
    }

    /// Sets the staged file's attributes and syncs it if it is large.
    fn seal(&self, digest: Digest) -> StoreResult<()> {
        let staged = self.pending.staged().ok_or_else(|| StoreError::NoPart(self.path.clone()))?;
        let file = staged.file();
        if let Some(time) = self.mtime {
            rustix::fs::futimens(file, &times(time)).of_file(&self.path)?;
        }
        let own = rustix::fs::fstat(file).of_file(&self.path)?;
        StoredDigest::write(file, &own, digest).of_file(&self.path)?;
        // Last: without write permission not even the owner could set the digest.
        staged
            .inherit(&self.home, &own, (&self.target, self.replaces), self.permissions)
            .of_file(&self.path)?;
        if self.pending.written >= SYNC_EARLY_BYTES {
            rustix::fs::fsync(file).of_file(&self.path)?;
        }
        Ok(())
    }

    /// Reserves space for an upload of unknown length, one step at a time, or exactly `written` if a step does not fit.
    fn reserve_up_to(&mut self, written: u64) -> StoreResult<()> {
        let Some(reservation) = self.pending.reservation() else { return Ok(()) };
        reserve_space::grow(
            &self.home,
            &self.path,
            &self.target,
            reservation,
            written,
            RESERVATION_STEP_BYTES,
        )
    }
}

impl Upload for PosixUpload {
    fn logged_path(&self) -> &RemotePath {
        &self.logged
    }

    fn written(&self) -> u64 {
        self.pending.written
    }

    fn surviving(&self) -> u64 {
        BlockHasher::knowable(self.pending.written) * BLOCK_BYTES
    }

    fn write(&mut self, data: &[u8]) -> StoreResult<()> {
        self.store(data).inspect_err(|_| self.pending.discard_on_drop())
    }

    fn discard_on_drop(&mut self) {
        self.pending.discard_on_drop();
    }

    fn finish(mut self: Box<Self>, size: u64, digest: Option<Digest>) -> StoreResult<PublishItem> {
        let sealed = self.check(size, digest).and_then(|digest| self.seal(digest).map(|()| digest));
        let digest = sealed.inspect_err(|_| self.pending.discard_on_drop())?;
        let PosixUpload { path, target, pending, exclusive, .. } = *self;
        let durable = size >= SYNC_EARLY_BYTES;
        let held = PendingPublish { target, pending, durable, exclusive };
        Ok(PublishItem::new(path, size, Some(digest), held))
    }
}

/// A file whose blocks arrive in any order.
#[derive(Debug)]
pub(crate) struct PosixBlockSink {
    upload: PosixUpload,
    size: u64,
    /// What is kept when it is dropped, in bytes.
    kept: AtomicU64,
}

impl PosixBlockSink {
    /// See [`Home::begin_block_upload`](sshome_store::Home::begin_block_upload).
    pub(crate) fn begin(
        home: &PosixHome,
        path: &RemotePath,
        spec: &UploadSpec,
        partial: Option<CheckedPartial>,
    ) -> StoreResult<PosixBlockSink> {
        let blocks = partial.as_ref().map_or(0, |partial| partial.digests.len());
        let spec = UploadSpec { resume: u32::try_from(blocks).unwrap_or(u32::MAX), ..*spec };
        // Only streams are taken over in this way.
        let upload = PosixUpload::begin(home, path, &spec, partial, &Takeover::new(|| {}))?;
        Ok(PosixBlockSink { upload, size: spec.size.unwrap_or(0), kept: AtomicU64::new(0) })
    }
}

impl BlockSink for PosixBlockSink {
    fn logged_path(&self) -> &RemotePath {
        &self.upload.logged
    }

    fn write_at(&self, offset: u64, data: &[u8]) -> StoreResult<()> {
        let Some(staged) = self.upload.pending.staged() else { return Ok(()) };
        let written = staged.file().write_all_at(data, offset);
        written.map_err(|error| errno(&error)).of_file(&self.upload.path)
    }

    fn keep_on_drop(&self, bytes: u64) {
        self.kept.store(bytes, Relaxed);
    }

    fn finish(mut self: Box<Self>, digest: Digest) -> StoreResult<PublishItem> {
        self.kept.store(0, Relaxed);
        self.upload.pending.written = self.size;
        self.upload.seal(digest)?;
        let PosixUpload { path, target, exclusive, .. } = &self.upload;
        let (path, target, exclusive) = (path.clone(), target.clone(), *exclusive);
        let pending = self.upload.pending.take_over();
        let held = PendingPublish { target, pending, durable: self.size >= SYNC_EARLY_BYTES, exclusive };
        Ok(PublishItem::new(path, self.size, Some(digest), held))
    }
}

impl Drop for PosixBlockSink {
    fn drop(&mut self) {
        self.upload.pending.written = self.kept.load(Relaxed);
    }
}

/// Continues a partial upload.
fn resume(
    home: &PosixHome,
    path: &RemotePath,
    target: &Location,
    spec: &UploadSpec,
    (resumed, record, replaces): (ResumedUpload, Option<UploadRecord>, bool),
) -> StoreResult<(PendingUpload, BlockHasher)> {
    let ResumedUpload { staged, mut reservation, stream_lease, digests } = resumed;
    let written = digests.len() as u64 * BLOCK_BYTES;
    let needed = spec.size.unwrap_or(written);
    let raised = reserve_space::raise(&home.dir, path, target, &mut reservation, needed, replaces)
        // What has arrived is on the disk already.
        .and_then(|()| reserve_space::check_disk(&home.dir, path, target, needed.saturating_sub(written)));
    let mut pending = PendingUpload::new(home, staged, reservation, record, target, stream_lease);
    pending.written = written;
    if raised.is_err() && pending.is_stream() {
        pending.discard_on_drop();
    }
    raised?;
    pending.truncate().of_file(path)?;
    Ok((pending, BlockHasher::after(digests)))
}

impl PendingUpload {
    /// Truncates the file after the verified blocks, and continues there.
    fn truncate(&self) -> rustix::io::Result<()> {
        let Some(staged) = self.staged() else { return Ok(()) };
        let mut file = staged.file();
        rustix::fs::ftruncate(file, self.written)?;
        file.seek(SeekFrom::Start(self.written)).map(drop).map_err(|error| errno(&error))
    }
}

/// The record that identifies the partial upload of a large file or of a stream.
fn record(spec: &UploadSpec, target: &RemotePath) -> Option<UploadRecord> {
    let source = spec.source.filter(|source| match source {
        UploadSource::File { size, .. } => BlockHasher::knowable(*size) > 0,
        UploadSource::Stream(_) => true,
    })?;
    Some(UploadRecord { target: target.as_bytes().to_vec(), source })
}

fn acquire_lease(
    home: &PosixHome,
    id: StreamId,
    path: &RemotePath,
    takeover: &Takeover,
) -> StoreResult<StreamLease> {
    let stream_lease = home.dir.stream_leases().acquire(id, takeover);
    stream_lease.ok_or_else(|| StoreError::StreamBusy(path.clone()))
}

fn refuse_what_is_no_file(stat: &Stat, path: &RemotePath) -> StoreResult<()> {
    match FileType::from_raw_mode(stat.st_mode) {
        FileType::RegularFile => Ok(()),
        FileType::Directory => Err(is_directory(path)),
        _ => Err(home::Error::Special).of_file(path),
    }
}

fn is_directory(path: &RemotePath) -> StoreError {
    StoreError::IsDirectory { path: path.clone(), hint: "; name the file in it" }
}

fn times(time: Time) -> Timestamps {
    let omit = Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT };
    let mtime = Timespec { tv_sec: time.seconds, tv_nsec: time.nanoseconds.into() };
    Timestamps { last_access: omit, last_modification: mtime }
}
