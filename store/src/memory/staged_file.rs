//! Files that are written at offsets and published when they are closed.

use super::attributes::check_owner;
use super::content::Content;
use super::failure::AtPath;
use super::node::now;
use super::open_file::{end_of, locate};
use super::pending::MemoryPendingUpload;
use super::publish::StagedItem;
use super::reserve;
use super::resolve::MemoryLocation;
use super::shared::MemorySharedHome;
use super::staged_content::StagedContent;
use super::tree::account;
use super::upload::permissions;
use crate::quota::{FileId, Reservation};
use crate::{
    Cause, Ctx, FileHandle, FileInfo, FileType, NEW_FILE_MODE, OpenMode, PublishItem, SetAttributes,
    StepLimit, StoreError, StoreResult, UploadPermissions,
};
use sshome_wire::{BlockHasher, Digest, RemotePath, Time};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// An open file whose content is staged. Dropping it discards what was written.
#[derive(Debug)]
pub(super) struct MemoryStagedFile {
    path: RemotePath,
    logged: RemotePath,
    mode: OpenMode,
    id: FileId,
    home: Arc<MemorySharedHome>,
    ctx: Ctx,
    target: MemoryLocation,
    /// Whether the target existed when the file was opened.
    replaces: bool,
    state: Mutex<StagedState>,
}

#[derive(Debug)]
struct StagedState {
    /// The old content, with the new data written over it. Only the new data count as stored.
    staged: StagedContent,
    reservation: Reservation,
    /// The file whose content is kept except where it is overwritten.
    old: Option<OldFile>,
    /// Digests the content as long as it is written in order.
    hasher: Option<BlockHasher>,
    permissions: UploadPermissions,
    times: Option<(Time, Time)>,
    /// Counts the changes.
    version: u64,
}

/// The old file when it was opened.
#[derive(Debug)]
struct OldFile {
    info: FileInfo,
    /// Bytes from the start that are kept unless they are overwritten.
    kept: u64,
    /// Bytes from the start that were overwritten.
    overwritten: u64,
}

impl MemoryStagedFile {
    /// Opens a file to be staged.
    pub(super) fn open(
        home: &Arc<MemorySharedHome>,
        ctx: &Ctx,
        path: &RemotePath,
        mode: OpenMode,
    ) -> StoreResult<MemoryStagedFile> {
        let tree = home.tree();
        let target = locate(&tree, path, mode.create && mode.exclusive)?;
        let found = tree.lookup(&target);
        let (mut content, mut old) = (Content::default(), None);
        match found {
            Some(_) if mode.create && mode.exclusive => return Err(Cause::Exists).of_file(path),
            None if !mode.create => return Err(Cause::NotFound).of_file(path),
            Some(id) => {
                let file = tree.file(id).of_file(path)?;
                if !mode.truncate {
                    let info = tree.info(id).of_file(path)?;
                    content = file.content.clone();
                    old = Some(OldFile { info, kept: info.size, overwritten: 0 });
                }
            }
            None => {}
        }
        let (logged, id) =
            (tree.canonical(&target).unwrap_or_else(|_| path.clone()), tree.file_id(tree.next_id()));
        drop(tree);
        let mut reservation = Reservation::empty(&home.ledger);
        reserve::raise(home, path, &target, &mut reservation, 0)?;
        let state = StagedState {
            staged: StagedContent::new(&home.staged_bytes, content),
            reservation,
            old,
            hasher: Some(BlockHasher::new()),
            permissions: UploadPermissions::Inherited(mode.mode.unwrap_or(NEW_FILE_MODE)),
            times: None,
            version: 0,
        };
        let (path, home, ctx, replaces) = (path.clone(), Arc::clone(home), ctx.clone(), found.is_some());
        Ok(MemoryStagedFile { path, logged, mode, id, home, ctx, target, replaces, state: Mutex::new(state) })
    }

    fn state(&self) -> MutexGuard<'_, StagedState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn reserve_up_to(&self, state: &mut StagedState, length: u64) -> StoreResult<()> {
        reserve::grow(&self.home, &self.path, &self.target, &mut state.reservation, length, 1)
    }

    fn check_open_to_write(&self) -> StoreResult<()> {
        if self.mode.writes() { Ok(()) } else { Err(Cause::NotOpenForThis).of_file(&self.path) }
    }

    /// Counts the old content that is kept as stored.
    fn complete(&self, state: &mut StagedState) -> StoreResult<()> {
        if self.ctx.is_cancelled() {
            return Err(Cause::Cancelled).of_file(&self.path);
        }
        let length = state.staged.content.length();
        self.reserve_up_to(state, length)?;
        if state.old.as_ref().is_some_and(|old| old.overwritten < old.kept && !self.is_unchanged(old)) {
            return Err(StoreError::Changed(self.path.clone()));
        }
        state.staged.count(length);
        Ok(())
    }

    fn is_unchanged(&self, old: &OldFile) -> bool {
        let tree = self.home.tree();
        let now = tree.lookup(&self.target).and_then(|id| tree.info(id).ok());
        let facts = |info: &FileInfo| (info.id, info.size, info.modified);
        now.is_some_and(|now| facts(&now) == facts(&old.info))
    }
}

impl FileHandle for MemoryStagedFile {
    fn logged_path(&self) -> &RemotePath {
        &self.logged
    }

    fn info(&self) -> StoreResult<FileInfo> {
        let state = self.state();
        let now = now();
        let (accessed, modified) = state.times.unwrap_or((now, now));
        let (owner, group) = account();
        Ok(FileInfo {
            id: self.id,
            file_type: FileType::Regular,
            mode: permissions(&self.home.tree(), &self.target, self.replaces, state.permissions),
            links: 1,
            owner,
            group,
            size: state.staged.content.length(),
            accessed,
            modified,
            changed: now,
        })
    }

    fn version(&self) -> Option<u64> {
        Some(self.state().version)
    }

    fn stored_digest(&self, _info: &FileInfo) -> Option<Digest> {
        None
    }

    fn read_at(&self, offset: u64, buffer: &mut Vec<u8>, max_bytes: usize) -> StoreResult<usize> {
        if !self.mode.read {
            return Err(Cause::NotOpenForThis).of_file(&self.path);
        }
        Ok(self.state().staged.content.read_at(offset, buffer, max_bytes))
    }

    fn write_at(&self, offset: Option<u64>, data: &[&[u8]]) -> StoreResult<()> {
        self.check_open_to_write()?;
        if data.iter().all(|piece| piece.is_empty()) {
            return Ok(());
        }
        let mut state = self.state();
        let start = offset.unwrap_or(state.staged.content.length());
        let end = end_of(start, data).of_file(&self.path)?;
        self.reserve_up_to(&mut state, end)?;
        state.write(start, data);
        Ok(())
    }

    fn set_length(&self, length: u64) -> StoreResult<()> {
        self.check_open_to_write()?;
        i64::try_from(length).map_err(|_| Cause::TooLarge).of_file(&self.path)?;
        let mut state = self.state();
        self.reserve_up_to(&mut state, length)?;
        state.set_length(length);
        Ok(())
    }

    fn set_attributes(&self, wanted: &SetAttributes) -> StoreResult<()> {
        check_owner(wanted, &self.path)?;
        let mut state = self.state();
        if let Some(mode) = wanted.mode {
            state.permissions = UploadPermissions::Exact(mode);
        }
        state.times = wanted.times.or(state.times);
        Ok(())
    }

    fn check_space(&self, _end: u64) -> StoreResult<()> {
        // The file that it replaces lends its bytes, so only a write can tell whether there is space.
        Ok(())
    }

    fn sync(&self) -> StoreResult<()> {
        Ok(())
    }

    fn publishes_at_close(&self) -> bool {
        true
    }

    fn prepare_close(&self, _limit: StepLimit) -> StoreResult<bool> {
        self.complete(&mut self.state()).map(|()| true)
    }

    fn close(self: Box<Self>) -> StoreResult<Option<PublishItem>> {
        self.complete(&mut self.state())?;
        let MemoryStagedFile { path, home, target, replaces, mode, state, .. } = *self;
        let state = state.into_inner().unwrap_or_else(PoisonError::into_inner);
        let size = state.staged.length();
        let hasher = state.hasher.filter(|hasher| hasher.length() == size);
        let digest = hasher.as_ref().map(BlockHasher::finish);
        let permissions = permissions(&home.tree(), &target, replaces, state.permissions);
        // It was written at any offset, so it cannot be resumed: it has no record.
        let pending = MemoryPendingUpload::new(&home, state.staged, state.reservation, None, None);
        let modified = state.times.map_or_else(now, |(_, modified)| modified);
        let exclusive = mode.create && mode.exclusive;
        let item = StagedItem { target, pending, mode: permissions, modified, digest, exclusive };
        Ok(Some(PublishItem::new(path, size, digest, item)))
    }
}

impl StagedState {
    /// Writes at `start`. The space is reserved.
    fn write(&mut self, start: u64, data: &[&[u8]]) {
        let mut at = start;
        for piece in data {
            self.staged.content.write_at(at, piece);
            at += piece.len() as u64;
        }
        self.staged.count(self.staged.length().max(at));
        if let Some(old) = self.old.as_mut().filter(|old| start <= old.overwritten) {
            old.overwritten = old.overwritten.max(at);
        }
        match &mut self.hasher {
            Some(hasher) if hasher.length() == start => data.iter().for_each(|piece| hasher.update(piece)),
            hasher => *hasher = None,
        }
        self.version += 1;
    }

    /// Sets the length. The space is reserved.
    fn set_length(&mut self, length: u64) {
        self.staged.content.set_length(length);
        self.staged.count(length);
        self.reservation.shrink_to(length, u64::MAX);
        if let Some(old) = &mut self.old {
            old.kept = old.kept.min(length);
        }
        if self.hasher.as_ref().is_some_and(|hasher| hasher.length() != length) {
            self.hasher = None;
        }
        self.version += 1;
    }
}
