//! Storing a file: `put`.

use super::error::{Context, errno, of_parent};
use super::partial_uploads::{CheckedPart, PendingUpload, ResumedUpload};
use super::{Error, NEW_FILE_MODE, PendingPublish, Result, User, check_mount, reserve_space};
use crate::audit::Transfer;
use crate::home::{Home, Location, StagedPermissions, StoredDigest, StreamLease, UploadRecord, UploadSource};
use crate::metrics::TransferDirection;
use rustix::fs::{FileType, Stat, Timespec, Timestamps, UTIME_OMIT};
use sshome_wire::{BLOCK_BYTES, BlockHasher, Digest, End, Put, RemotePath, Status, StreamId, Time};
use std::io::{Seek, SeekFrom, Write};
use std::sync::Arc;

/// Files of at least this size are synced on their own, before the batch that they are published with.
const SYNC_EARLY_BYTES: u64 = 1 << 20;

/// Bytes that an upload of unknown length reserves at a time.
const RESERVATION_STEP_BYTES: u64 = 1 << 20;

/// A file that is being received. Dropping it keeps a partial upload of a large file or of a stream, and deletes anything
/// else.
#[derive(Debug)]
pub struct Upload {
    home: Arc<Home>,
    path: RemotePath,
    target: Location,
    pending: PendingUpload,
    hasher: BlockHasher,
    announced: Option<u64>,
    mtime: Option<Time>,
    permissions: StagedPermissions,
    /// Whether the target existed when the upload began.
    replaces: bool,
    /// Bytes of a stream that were acknowledged to its client.
    reported: u64,
    transfer: Transfer,
}

impl Upload {
    /// Begins an upload: checks the target and reserves space, before any data arrive. `part` is the partial upload that
    /// was checked for this path; the put says whether it is resumed.
    ///
    /// # Errors
    /// If the target is a directory, its parent is missing, the quota is exceeded, or the put does not match the partial
    /// upload.
    pub fn begin(user: &User, put: &Put, path: RemotePath, part: Option<CheckedPart>) -> Result<Upload> {
        let direction = TransferDirection::Upload;
        Upload::prepare(user, put, path, part, None, direction).inspect_err(|error| user.audit.refused(error))
    }

    /// Begins the upload of a copy of a file of the home. The put's mode is that of a new file.
    ///
    /// # Errors
    /// As [`Upload::begin`].
    pub(super) fn begin_copy(user: &User, put: &Put, path: RemotePath) -> Result<Upload> {
        let direction = TransferDirection::Copy;
        let begun = Upload::prepare(user, put, path, None, None, direction);
        begun.map(Upload::with_mode_of_new_file).inspect_err(|error| user.audit.refused(error))
    }

    /// Treats the put's mode as a creation mode: a replaced file keeps its own mode, and the umask or the directory's default
    /// access control list applies.
    #[must_use]
    pub fn with_mode_of_new_file(mut self) -> Upload {
        if let StagedPermissions::Exact(mode) = self.permissions {
            self.permissions = StagedPermissions::Inherited(mode);
        }
        self
    }

    /// Begins the upload of a stream.
    ///
    /// # Errors
    /// As [`Upload::begin`], and if a different conversation receives the stream.
    pub fn begin_stream(
        user: &User,
        put: &Put,
        path: RemotePath,
        part: Option<CheckedPart>,
        id: StreamId,
    ) -> Result<Upload> {
        let direction = TransferDirection::Upload;
        let begun = Upload::prepare(user, put, path, part, Some(id), direction);
        begun.inspect_err(|error| user.audit.refused(error))
    }

    fn prepare(
        user: &User,
        put: &Put,
        path: RemotePath,
        part: Option<CheckedPart>,
        stream: Option<StreamId>,
        direction: TransferDirection,
    ) -> Result<Upload> {
        if !user.may_write() {
            return Err(Error::ReadOnly);
        }
        let (target, replaced) = match user.home.locate_target(&path) {
            Err(crate::home::Error::IsDirectory) => return Err(is_directory(&path)),
            located => located.map_err(of_parent(user, &path))?,
        };
        if let Some(stat) = &replaced {
            refuse_what_is_no_file(stat, &path)?;
        }
        check_mount(user, &target, &path)?;
        let exists = replaced.is_some();
        let record = record(user, put, &path, &target, stream);
        let (pending, hasher) = if put.resume == 0 {
            // The partial upload is not from this source.
            part.into_iter().for_each(|part| part.remove(user));
            let stream_lease = stream.map(|id| acquire_lease(user, id, &path)).transpose()?;
            let needed = put.size.unwrap_or(0);
            let reservation = reserve_space::reserve(user, &path, &target, needed, exists)?;
            let staged = user.home.stage(&target, record.as_ref()).of_file(&path)?;
            (PendingUpload::new(user, staged, reservation, record, &target, stream_lease), BlockHasher::new())
        } else {
            let part = part.filter(|part| part.stream() == stream);
            let part = part.and_then(|part| part.resume(user, put.resume));
            let ResumedUpload { staged, mut reservation, stream_lease, digests } =
                part.ok_or_else(|| Error::NoPart(path.clone()))?;
            let written = digests.len() as u64 * BLOCK_BYTES;
            let needed = put.size.unwrap_or(written);
            let raised = reserve_space::raise(&user.home, &path, &target, &mut reservation, needed, exists);
            let mut pending = PendingUpload::new(user, staged, reservation, record, &target, stream_lease);
            pending.written = written;
            if raised.is_err() && pending.is_stream() {
                pending.discard_on_drop();
            }
            raised?;
            pending.truncate().of_file(&path)?;
            (pending, BlockHasher::after(digests))
        };
        let permissions =
            put.mode.map_or(StagedPermissions::Inherited(NEW_FILE_MODE), StagedPermissions::Exact);
        let reported = pending.written;
        let transfer = user.audit.transfer(direction, &user.logged(&target, &path), put.size);
        transfer.skip(reported);
        let (home, announced, mtime) = (Arc::clone(&user.home), put.size, put.mtime);
        let replaces = exists;
        Ok(Upload {
            home,
            path,
            target,
            pending,
            hasher,
            announced,
            mtime,
            permissions,
            replaces,
            reported,
            transfer,
        })
    }

    /// Whether the source is a stream.
    #[must_use]
    pub fn is_stream(&self) -> bool {
        self.pending.is_stream()
    }

    /// Bytes of a stream that need not be sent again, if they are more than at the last call.
    pub fn newly_stored(&mut self) -> Option<u64> {
        let stored = BlockHasher::knowable(self.pending.written) * BLOCK_BYTES;
        let more = self.pending.is_stream() && stored > self.reported;
        more.then(|| {
            self.reported = stored;
            stored
        })
    }

    /// Ends an upload that its sender aborted. Nothing of a stream is kept: its client will not resume it.
    pub fn give_up(mut self) {
        if self.pending.is_stream() {
            self.pending.discard_on_drop();
        }
    }

    /// Writes the next bytes.
    ///
    /// # Errors
    /// If they exceed the announced size or the quota, or the disk fails.
    pub fn write(&mut self, data: &[u8]) -> Result<()> {
        let result = self.store(data);
        match &result {
            Ok(()) => self.transfer.moved(data.len() as u64),
            Err(error) => {
                self.transfer.refused(error);
                self.pending.discard_on_drop();
            }
        }
        result
    }

    fn store(&mut self, data: &[u8]) -> Result<()> {
        let written = self.pending.written + data.len() as u64;
        match self.announced {
            Some(size) if written > size => {
                return Err(Error::Mismatch {
                    path: self.path.clone(),
                    why: "more data arrived than was announced",
                });
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

    /// Ends the upload: verifies size and digest, and prepares the file for publishing.
    ///
    /// # Errors
    /// If the sender aborted it, or size or digest differ. Nothing is kept then.
    pub fn finish(mut self, user: &User, end: &End) -> Result<PendingPublish> {
        let sealed = self.check(end).and_then(|digest| self.seal(user, digest).map(|()| digest));
        let digest = sealed.inspect_err(|error| {
            self.transfer.refused(error);
            self.pending.discard_on_drop();
        })?;
        let Upload { path, target, transfer, pending, .. } = self;
        let size = pending.written;
        Ok(PendingPublish {
            path,
            target,
            pending,
            size,
            durable: size >= SYNC_EARLY_BYTES,
            exclusive: false,
            digest: Some(digest),
            transfer,
        })
    }

    /// Ends an upload at the end of its data, without an End from the client. Verifies the announced size, and the digest
    /// if there is one.
    ///
    /// # Errors
    /// If size or digest differ. Nothing is kept then.
    pub fn finish_at_eof(self, user: &User, digest: Option<Digest>) -> Result<PendingPublish> {
        let size = self.announced.unwrap_or(self.pending.written);
        let digest = digest.unwrap_or_else(|| self.hasher.finish());
        self.finish(user, &End { status: Status::Done, message: String::new(), digest, size })
    }

    fn check(&self, end: &End) -> Result<Digest> {
        if end.status.is_error() {
            let (path, status) = (self.path.clone(), end.status);
            // The sender's own words are sent back to it, truncated.
            let why = end.message.chars().take(200).collect();
            return Err(Error::GivenUp { path, status, why });
        }
        let mismatch = |why| Err(Error::Mismatch { path: self.path.clone(), why });
        if self.pending.written != end.size {
            return mismatch("the file arrived incomplete");
        }
        let digest = self.hasher.finish();
        if digest != end.digest {
            return mismatch("the data received differ from the data sent");
        }
        Ok(digest)
    }

    /// Sets the staged file's attributes and syncs it if it is large.
    fn seal(&self, user: &User, digest: Digest) -> Result<()> {
        let staged = self.pending.staged().ok_or_else(|| Error::NoPart(self.path.clone()))?;
        let file = staged.file();
        if let Some(time) = self.mtime {
            rustix::fs::futimens(file, &times(time)).of_file(&self.path)?;
        }
        let own = rustix::fs::fstat(file).of_file(&self.path)?;
        StoredDigest::write(file, &own, digest).of_file(&self.path)?;
        // Last: without write permission not even the owner could set the digest.
        staged
            .inherit(&user.home, &own, (&self.target, self.replaces), self.permissions)
            .of_file(&self.path)?;
        if self.pending.written >= SYNC_EARLY_BYTES {
            rustix::fs::fsync(file).of_file(&self.path)?;
        }
        Ok(())
    }

    /// Reserves space for an upload of unknown length, one step at a time, or exactly `written` if a step does not fit.
    fn reserve_up_to(&mut self, written: u64) -> Result<()> {
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
fn record(
    user: &User,
    put: &Put,
    path: &RemotePath,
    target: &Location,
    stream: Option<StreamId>,
) -> Option<UploadRecord> {
    let source = match stream {
        Some(id) => UploadSource::Stream(id),
        None => {
            let size = put.size.filter(|size| BlockHasher::knowable(*size) > 0)?;
            UploadSource::File { size, mtime: put.source? }
        }
    };
    // The canonical path: links may change before the upload is resumed.
    Some(UploadRecord { target: user.logged(target, path).as_bytes().to_vec(), source })
}

fn acquire_lease(user: &User, id: StreamId, path: &RemotePath) -> Result<StreamLease> {
    let stream_lease = user.home.stream_leases().acquire(id, &user.takeover());
    stream_lease.ok_or_else(|| Error::StreamBusy(path.clone()))
}

fn refuse_what_is_no_file(stat: &Stat, path: &RemotePath) -> Result<()> {
    match FileType::from_raw_mode(stat.st_mode) {
        FileType::RegularFile => Ok(()),
        FileType::Directory => Err(is_directory(path)),
        _ => Err(crate::home::Error::Special).of_file(path),
    }
}

fn is_directory(path: &RemotePath) -> Error {
    Error::IsDirectory { path: path.clone(), hint: "; name the file in it" }
}

fn times(time: Time) -> Timestamps {
    let omit = Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT };
    let mtime = Timespec { tv_sec: time.seconds, tv_nsec: time.nanoseconds.into() };
    Timestamps { last_access: omit, last_modification: mtime }
}
