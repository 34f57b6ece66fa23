//! Storing a file over several connections.
//!
//! One conversation opens the upload, and all conversations of the same user and key that know its id send blocks. It
//! ends when it is finished, when the last conversation leaves it, or when another upload from its source takes it over:
//! a client whose connections were lost comes back before the server has noticed. What has arrived is then a partial
//! upload.

use super::{Error, PartCheck, PutUpload, Result, StepLimit, User, VerifiedUpload};
use crate::audit::Transfer;
use crate::metrics::TransferDirection;
use sshome_store::{BlockUpload, BlockWriter, CheckedPartial, EntryId, StoreError, UploadSource, UploadSpec};
use sshome_wire::{BlockHasher, Digest, End, Put, RemotePath, Time, UploadId};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

/// The uploads over several connections of one user.
#[derive(Debug, Default)]
pub struct SharedUploads(Mutex<HashMap<UploadId, Weak<SharedUpload>>>);

/// An upload over several connections. Dropping it keeps a partial upload.
#[derive(Debug)]
pub struct SharedUpload {
    id: UploadId,
    /// The key of the login that has opened it; `None` for a password.
    key: Option<String>,
    path: RemotePath,
    source: SharedSource,
    blocks: Arc<BlockUpload>,
    /// `None` once it has ended.
    transfer: Mutex<Option<Transfer>>,
}

/// What two uploads have in common of which the later takes the other over.
#[derive(Clone, Debug, PartialEq, Eq)]
struct SharedSource {
    /// `None` if its directory is missing.
    target: Option<EntryId>,
    size: u64,
    mtime: Time,
}

impl SharedUploads {
    fn add(&self, upload: &Arc<SharedUpload>) {
        let mut uploads = self.uploads();
        uploads.retain(|_, upload| upload.strong_count() > 0);
        uploads.insert(upload.id, Arc::downgrade(upload));
    }

    fn find(&self, id: UploadId) -> Option<Arc<SharedUpload>> {
        self.uploads().get(&id).and_then(Weak::upgrade)
    }

    /// Ends the uploads of this key from this source to this target.
    fn take_over(&self, key: Option<&str>, source: &SharedSource) {
        if source.target.is_none() {
            return;
        }
        let all: Vec<Arc<SharedUpload>> = self.uploads().values().filter_map(Weak::upgrade).collect();
        for upload in all {
            if upload.key.as_deref() == key && upload.source == *source {
                upload.blocks.end();
            }
        }
    }

    fn uploads(&self) -> MutexGuard<'_, HashMap<UploadId, Weak<SharedUpload>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Finds an upload of the login.
///
/// # Errors
/// If there is none: also if it is another key's. If the login may not add files.
pub fn find_upload(user: &User, id: UploadId) -> Result<Arc<SharedUpload>> {
    user.require_add()?;
    let key = user.login.key();
    let found = user.permits().uploads().find(id).filter(|upload| upload.key == key);
    found.ok_or(Error::NoSuchUpload)
}

impl SharedUpload {
    /// Its id.
    #[must_use]
    pub fn id(&self) -> UploadId {
        self.id
    }

    /// Whether blocks can still arrive.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.blocks.is_open()
    }

    /// Ends the upload: verifies the file, and prepares it for publishing.
    ///
    /// # Errors
    /// If the sender gave it up, or the digest differs: nothing is kept then. If blocks are missing: it continues.
    pub fn finish(&self, end: &End) -> Result<VerifiedUpload> {
        if end.status.is_error() {
            let (path, status) = (self.path.clone(), end.status);
            // The sender's own words are sent back to it, truncated.
            let error = Error::GivenUp { path, status, why: end.message.chars().take(200).collect() };
            self.blocks.discard();
            self.refused(&error);
            return Err(error);
        }
        if end.size != self.source.size {
            let why = "the file has another size than was announced";
            return Err(StoreError::Mismatch { path: self.path.clone(), why }.into());
        }
        let item = self.blocks.finish(end.digest).map_err(Error::from);
        let item = item.inspect_err(|error| self.refused(error))?;
        let transfer = self.transfer().take().ok_or(Error::NoSuchUpload)?;
        Ok(VerifiedUpload { item, transfer })
    }

    fn refused(&self, error: &Error) {
        if let Some(transfer) = &*self.transfer() {
            transfer.refused(error);
        }
    }

    fn moved(&self, bytes: u64) {
        if let Some(transfer) = &*self.transfer() {
            transfer.moved(bytes);
        }
    }

    fn transfer(&self) -> MutexGuard<'_, Option<Transfer>> {
        self.transfer.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for SharedUpload {
    fn drop(&mut self) {
        self.blocks.end();
    }
}

/// The opening of an upload: what a partial upload has is read and digested.
#[derive(Debug)]
pub struct OpeningUpload {
    path: RemotePath,
    put: Put,
    source: SharedSource,
    /// `None` if there is no partial upload, and once it was read.
    check: Option<PartCheck>,
}

/// An upload that was opened.
pub struct OpenedUpload {
    /// The upload.
    pub upload: Arc<SharedUpload>,
    /// The digests of the blocks that it has from a partial upload.
    pub kept: Vec<Digest>,
}

impl OpeningUpload {
    /// Begins to open an upload. An open one from the same source is ended.
    ///
    /// # Errors
    /// If the login may not add files, or size or source are missing or the file has one block only.
    pub fn begin(user: &User, put: Put, path: RemotePath) -> Result<OpeningUpload> {
        user.require_add()?;
        let (Some(size), Some(mtime)) = (put.size, put.source) else { return Err(Error::NotDivisible(path)) };
        if BlockHasher::knowable(size) == 0 {
            return Err(Error::NotDivisible(path));
        }
        let source = SharedSource { target: super::target_id(user, &path), size, mtime };
        user.permits().uploads().take_over(user.login.key().as_deref(), &source);
        let check = PartCheck::begin(user, &path, size, mtime)?;
        Ok(OpeningUpload { path, put, source, check })
    }

    /// Does one step. Returns the upload at the end.
    ///
    /// # Errors
    /// If the target cannot be uploaded to, or the quota is exceeded; the disk's.
    pub fn step(&mut self, user: &User, limit: StepLimit) -> Result<Option<OpenedUpload>> {
        let partial = match &mut self.check {
            None => None,
            Some(check) => match check.step(limit)? {
                None => return Ok(None),
                partial => partial,
            },
        };
        self.check = None;
        self.open(user, partial).map(Some)
    }

    /// The number of bytes of the partial upload that were read, and of all.
    pub(crate) fn progress(&self) -> (u64, u64) {
        self.check.as_ref().map_or((0, 0), PartCheck::bytes)
    }

    fn open(&self, user: &User, partial: Option<CheckedPartial>) -> Result<OpenedUpload> {
        let SharedSource { size, mtime, .. } = self.source;
        let (source, exclusive) = (Some(UploadSource::File { size, mtime }), user.is_restricted());
        let spec = UploadSpec { source, exclusive, ..PutUpload::spec(&self.put) };
        let kept = partial.as_ref().map(|partial| partial.digests.clone()).unwrap_or_default();
        let begun = user.recorded(user.home.begin_block_upload(&self.path, &spec, partial));
        let sink = begun.map_err(|error| user.or_protected(&self.path, error))?;
        user.note_upload(&self.path, source);
        let transfer = user.audit.transfer(TransferDirection::Upload, sink.logged_path(), Some(size));
        let upload = Arc::new(SharedUpload {
            id: UploadId(rand::random()),
            key: user.login.key(),
            path: self.path.clone(),
            source: self.source.clone(),
            blocks: BlockUpload::new(sink, &self.path, size, kept.clone()),
            transfer: Mutex::new(Some(transfer)),
        });
        user.permits().uploads().add(&upload);
        Ok(OpenedUpload { upload, kept })
    }
}

/// Consecutive blocks of an upload that one conversation receives. Dropping it leaves a block that is not complete missing.
#[derive(Debug)]
pub struct BlockRun {
    upload: Arc<SharedUpload>,
    next: u64,
    end: u64,
    writer: Option<BlockWriter>,
    /// Bytes that were written, those of them in complete blocks, and those that were acknowledged.
    written: u64,
    complete: u64,
    acknowledged: u64,
}

impl BlockRun {
    /// Begins to receive blocks.
    ///
    /// # Errors
    /// If there are none, or the file does not have them.
    pub fn begin(upload: Arc<SharedUpload>, block: u32, blocks: u32) -> Result<BlockRun> {
        let (next, end) = (u64::from(block), u64::from(block) + u64::from(blocks));
        if blocks == 0 || end > upload.blocks.block_count() {
            let why = "blocks beyond the end of the file";
            return Err(StoreError::Mismatch { path: upload.path.clone(), why }.into());
        }
        Ok(BlockRun { upload, next, end, writer: None, written: 0, complete: 0, acknowledged: 0 })
    }

    /// Writes the next bytes.
    ///
    /// # Errors
    /// If they are more than the blocks have, the upload has ended, or the disk fails.
    pub fn write(&mut self, mut data: &[u8]) -> Result<()> {
        while !data.is_empty() {
            let writer = match &mut self.writer {
                Some(writer) => writer,
                None if self.next < self.end => {
                    self.writer.insert(self.upload.blocks.begin_block(self.next)?)
                }
                None => return Err(self.mismatch("more data arrived than the blocks have")),
            };
            let room = usize::try_from(writer.left()).unwrap_or(usize::MAX).min(data.len());
            let (now, later) = data.split_at(room);
            let is_complete = writer.write(now)?;
            self.written += now.len() as u64;
            self.upload.moved(now.len() as u64);
            if is_complete {
                (self.writer, self.complete) = (None, self.written);
                self.next += 1;
            }
            data = later;
        }
        Ok(())
    }

    /// Bytes of this request in complete blocks, if they are more than at the last call.
    pub fn newly_stored(&mut self) -> Option<u64> {
        let is_more = self.complete > self.acknowledged;
        self.acknowledged = self.complete;
        is_more.then_some(self.complete)
    }

    /// Ends the request.
    ///
    /// # Errors
    /// If the sender gave it up, or not all blocks are complete. Those that are complete stay.
    pub fn finish(self, end: &End) -> Result<()> {
        if end.status.is_error() {
            let why = end.message.chars().take(200).collect();
            return Err(Error::GivenUp { path: self.upload.path.clone(), status: end.status, why });
        }
        if self.writer.is_some() || self.next < self.end {
            return Err(self.mismatch("the blocks arrived incomplete"));
        }
        Ok(())
    }

    fn mismatch(&self, why: &'static str) -> Error {
        StoreError::Mismatch { path: self.upload.path.clone(), why }.into()
    }
}
