//! Files that are uploaded as a whole.

use super::content::Content;
use super::failure::{AtPath, of_parent};
use super::node::{UMASK, now};
use super::partial::{MemoryUploadRecord, PartialLease};
use super::pending::MemoryPendingUpload;
use super::publish::StagedItem;
use super::reserve;
use super::resolve::MemoryLocation;
use super::shared::MemorySharedHome;
use super::staged_content::StagedContent;
use super::tree::Tree;
use crate::quota::Reservation;
use crate::{
    BlockSink, Cause, CheckedPartial, Ctx, PublishItem, StoreError, StoreResult, StreamLease, Takeover,
    Upload, UploadPermissions, UploadSource, UploadSpec,
};
use sshome_wire::{BLOCK_BYTES, BlockHasher, Digest, RemotePath, StreamId};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Bytes that an upload of unknown length reserves at a time.
const RESERVATION_STEP_BYTES: u64 = 1 << 20;

/// A file that is being received.
#[derive(Debug)]
pub(super) struct MemoryUpload {
    ctx: Ctx,
    path: RemotePath,
    logged: RemotePath,
    target: MemoryLocation,
    pending: MemoryPendingUpload,
    hasher: BlockHasher,
    spec: UploadSpec,
    /// Whether the target existed when the upload began.
    replaces: bool,
}

/// Begins an upload.
pub(super) fn begin(
    home: &Arc<MemorySharedHome>,
    ctx: &Ctx,
    path: &RemotePath,
    spec: &UploadSpec,
    partial: Option<CheckedPartial>,
    takeover: &Takeover,
) -> StoreResult<MemoryUpload> {
    let (target, replaces, logged) = {
        let tree = home.tree();
        let located = match spec.exclusive {
            true => tree.locate_new_file(path).map(|target| {
                let found = tree.lookup(&target);
                (target, found)
            }),
            false => tree.locate_target(path),
        };
        let (target, found) = match located {
            Err(Cause::IsDirectory) => return Err(is_directory(path)),
            located => located.map_err(of_parent(&tree, path))?,
        };
        if spec.exclusive && found.is_some() {
            return Err(Cause::Exists).of_file(path);
        }
        if let Some(id) = found {
            tree.file(id).map_err(|cause| match cause {
                Cause::IsDirectory => is_directory(path),
                cause => StoreError::file(path, cause),
            })?;
        }
        let logged = tree.canonical(&target).unwrap_or_else(|_| path.clone());
        (target, found.is_some(), logged)
    };
    let partial = partial.and_then(CheckedPartial::into_held::<PartialLease>);
    let stream = match spec.source {
        Some(UploadSource::Stream(id)) => Some(id),
        _ => None,
    };
    let record = record(home, spec, &target, &logged);
    let (pending, hasher) = if spec.resume == 0 {
        // The partial upload is not from this source.
        partial.into_iter().for_each(|(_, mut lease)| drop(lease.take()));
        let stream_lease = stream.map(|id| acquire(home, id, takeover, path)).transpose()?;
        let mut reservation = Reservation::empty(&home.ledger);
        reserve::raise(home, path, &target, &mut reservation, spec.size.unwrap_or(0))?;
        let staged = StagedContent::new(&home.staged_bytes, Content::default());
        (MemoryPendingUpload::new(home, staged, reservation, record, stream_lease), BlockHasher::new())
    } else {
        spec.check_resume(path)?;
        let (digests, pending) = resume(home, path, spec, stream, partial, record)?;
        let mut pending = pending;
        let written = digests.len() as u64 * BLOCK_BYTES;
        let needed = spec.size.unwrap_or(written);
        let raised = match pending.held() {
            Some((_, reservation)) => reserve::raise(home, path, &target, reservation, needed),
            None => Ok(()),
        };
        if raised.is_err() && pending.is_stream() {
            pending.discard_on_drop();
        }
        raised?;
        pending.truncate(written);
        (pending, BlockHasher::after(digests))
    };
    let (ctx, path, spec) = (ctx.clone(), path.clone(), *spec);
    Ok(MemoryUpload { ctx, path, logged, target, pending, hasher, spec, replaces })
}

/// Continues a partial upload after the blocks that the spec names. Returns their digests.
fn resume(
    home: &Arc<MemorySharedHome>,
    path: &RemotePath,
    spec: &UploadSpec,
    stream: Option<StreamId>,
    partial: Option<(Vec<Digest>, PartialLease)>,
    record: Option<MemoryUploadRecord>,
) -> StoreResult<(Vec<Digest>, MemoryPendingUpload)> {
    let blocks = usize::try_from(spec.resume).unwrap_or(usize::MAX);
    let fits = |(digests, lease): &(Vec<Digest>, PartialLease)| {
        lease.stream_lease.as_ref().map(StreamLease::id) == stream && blocks <= digests.len()
    };
    let no_part = || StoreError::NoPart(path.clone());
    let (mut digests, mut lease) = partial.filter(fits).ok_or_else(no_part)?;
    let partial = lease.take().ok_or_else(no_part)?;
    digests.truncate(blocks);
    let lease = lease.stream_lease.take();
    Ok((digests, MemoryPendingUpload::new(home, partial.staged, partial.reservation, record, lease)))
}

/// The record of an upload that can be resumed from its source.
fn record(
    home: &MemorySharedHome,
    spec: &UploadSpec,
    target: &MemoryLocation,
    logged: &RemotePath,
) -> Option<MemoryUploadRecord> {
    let source = match spec.source? {
        // Its last block is sent in any case.
        UploadSource::File { size, .. } if BlockHasher::knowable(size) == 0 => return None,
        source => source,
    };
    let target = home.tree().entry_id(target);
    Some(MemoryUploadRecord { path: logged.clone(), target, source })
}

fn acquire(
    home: &MemorySharedHome,
    id: StreamId,
    takeover: &Takeover,
    path: &RemotePath,
) -> StoreResult<StreamLease> {
    home.stream_leases.acquire(id, takeover).ok_or_else(|| StoreError::StreamBusy(path.clone()))
}

fn is_directory(path: &RemotePath) -> StoreError {
    StoreError::IsDirectory { path: path.clone(), hint: "; name the file in it" }
}

impl MemoryUpload {
    fn store(&mut self, data: &[u8]) -> StoreResult<()> {
        if self.ctx.is_cancelled() {
            return Err(Cause::Cancelled).of_file(&self.path);
        }
        let before = self.pending.written();
        let written = before + data.len() as u64;
        if self.spec.size.is_some_and(|size| written > size) {
            let why = "more data arrived than was announced";
            return Err(StoreError::Mismatch { path: self.path.clone(), why });
        }
        let home = Arc::clone(self.pending.home());
        let Some((staged, reservation)) = self.pending.held() else { return Ok(()) };
        if self.spec.size.is_none() {
            reserve::grow(&home, &self.path, &self.target, reservation, written, RESERVATION_STEP_BYTES)?;
        }
        staged.content.write_at(before, data);
        staged.count(written);
        self.hasher.update(data);
        Ok(())
    }

    fn check(&self, size: u64, digest: Option<Digest>) -> StoreResult<Digest> {
        let mismatch = |why| Err(StoreError::Mismatch { path: self.path.clone(), why });
        if self.pending.written() != size {
            return mismatch("the file arrived incomplete");
        }
        let found = self.hasher.finish();
        match digest {
            Some(sent) if sent != found => mismatch("the data received differ from the data sent"),
            _ => Ok(found),
        }
    }
}

impl Upload for MemoryUpload {
    fn logged_path(&self) -> &RemotePath {
        &self.logged
    }

    fn written(&self) -> u64 {
        self.pending.written()
    }

    fn surviving(&self) -> u64 {
        BlockHasher::knowable(self.written()) * BLOCK_BYTES
    }

    fn write(&mut self, data: &[u8]) -> StoreResult<()> {
        self.store(data).inspect_err(|error| {
            if error.cause() != Some(&Cause::Cancelled) {
                self.pending.discard_on_drop();
            }
        })
    }

    fn discard_on_drop(&mut self) {
        self.pending.discard_on_drop();
    }

    fn finish(mut self: Box<Self>, size: u64, digest: Option<Digest>) -> StoreResult<PublishItem> {
        let digest = self.check(size, digest).inspect_err(|_| self.pending.discard_on_drop())?;
        Ok(self.into_item(size, digest))
    }
}

impl MemoryUpload {
    /// The item to be published, of a complete upload.
    fn into_item(self, size: u64, digest: Digest) -> PublishItem {
        let MemoryUpload { path, target, pending, spec, replaces, .. } = self;
        let mode = {
            let tree = pending.home().tree();
            permissions(&tree, &target, replaces, spec.permissions)
        };
        let modified = spec.mtime.unwrap_or_else(now);
        let item =
            StagedItem { target, pending, mode, modified, digest: Some(digest), exclusive: spec.exclusive };
        PublishItem::new(path, size, Some(digest), item)
    }
}

/// A file whose blocks arrive in any order.
#[derive(Debug)]
pub(super) struct MemoryBlockSink {
    logged: RemotePath,
    /// `None` once it is finished.
    upload: Mutex<Option<MemoryUpload>>,
    /// What is kept when it is dropped, in bytes.
    kept: AtomicU64,
}

/// Begins an upload whose blocks arrive in any order.
pub(super) fn begin_blocks(
    home: &Arc<MemorySharedHome>,
    path: &RemotePath,
    spec: &UploadSpec,
    partial: Option<CheckedPartial>,
) -> StoreResult<MemoryBlockSink> {
    let blocks = partial.as_ref().map_or(0, |partial| partial.digests.len());
    let spec = UploadSpec { resume: u32::try_from(blocks).unwrap_or(u32::MAX), ..*spec };
    // The upload does not end with the channel that begins it, and only streams are taken over in this way.
    let upload = begin(home, &Ctx::default(), path, &spec, partial, &Takeover::new(|| {}))?;
    let logged = upload.logged.clone();
    Ok(MemoryBlockSink { logged, upload: Mutex::new(Some(upload)), kept: AtomicU64::new(0) })
}

impl MemoryBlockSink {
    fn upload(&self) -> MutexGuard<'_, Option<MemoryUpload>> {
        self.upload.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl BlockSink for MemoryBlockSink {
    fn logged_path(&self) -> &RemotePath {
        &self.logged
    }

    fn write_at(&self, offset: u64, data: &[u8]) -> StoreResult<()> {
        if let Some(upload) = &mut *self.upload()
            && let Some((staged, _)) = upload.pending.held()
        {
            staged.content.write_at(offset, data);
            let length = staged.length().max(offset + data.len() as u64);
            staged.count(length);
        }
        Ok(())
    }

    fn keep_on_drop(&self, bytes: u64) {
        self.kept.store(bytes, Relaxed);
    }

    fn finish(self: Box<Self>, digest: Digest) -> StoreResult<PublishItem> {
        let upload = self.upload().take().ok_or_else(|| StoreError::UploadEnded(self.logged.clone()))?;
        let size = upload.pending.written();
        Ok(upload.into_item(size, digest))
    }
}

impl Drop for MemoryBlockSink {
    fn drop(&mut self) {
        let kept = self.kept.load(Relaxed);
        if let Some(upload) = &mut *self.upload() {
            upload.pending.truncate(kept);
        }
    }
}

/// The mode of a file that is published at `target`. `replaces` says whether that existed when the upload began; a file
/// that appeared later does not count.
pub(super) fn permissions(
    tree: &Tree,
    target: &MemoryLocation,
    replaces: bool,
    wanted: UploadPermissions,
) -> u32 {
    let replaced = if replaces { tree.lookup(target) } else { None };
    let replaced = replaced.and_then(|id| tree.file(id).and(tree.node(id)).ok());
    match (wanted, replaced) {
        (UploadPermissions::Exact(mode), _) => mode & 0o777,
        (UploadPermissions::Inherited(_), Some(node)) => node.mode & 0o777,
        (UploadPermissions::Inherited(mode), None) => mode & 0o777 & !UMASK,
    }
}
