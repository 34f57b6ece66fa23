//! A home in memory, opened for a channel.

use super::failure::{AtPath, over_quota};
use super::open_file::MemoryFile;
use super::partial::MemoryPartialCheck;
use super::shared::MemorySharedHome;
use super::staged_file::MemoryStagedFile;
use super::walk::{MemoryReader, MemoryRemoval, MemoryWalk};
use super::{attributes, directories, names, publish, upload};
use crate::quota::FileId;
use crate::{
    BlockSink, Cause, CheckedPartial, Counting, Ctx, DirectoryReader, DiskSpace, EntryId, EntryRef,
    FileHandle, FileInfo, Home, HomeUsage, MadeDirectories, MadeLink, MakeDirectory, OnRemoved, OpenMode,
    PartialCheck, PartialUploadInfo, PublishItem, Published, Renamed, Replace, SetAttributes, StoreError,
    StoreResult, Takeover, TreeRemoval, TreeWalk, Upload, UploadSource, UploadSpec,
};
use sshome_wire::{RemotePath, StreamId, Time};
use std::sync::Arc;

/// The block size that is reported for the disk, in bytes.
const BLOCK_BYTES: u64 = 4096;

/// The size that is reported for the disk, in blocks.
const DISK_BLOCKS: u64 = 1 << 40;

/// A user's home, opened for a channel.
#[derive(Debug)]
pub(super) struct MemoryHome {
    pub(super) shared: Arc<MemorySharedHome>,
    pub(super) ctx: Ctx,
    pub(super) device: u64,
}

impl MemoryHome {
    /// Fails once the channel has ended.
    fn home(&self, path: &RemotePath) -> StoreResult<&Arc<MemorySharedHome>> {
        if self.ctx.is_cancelled() { Err(Cause::Cancelled).of_file(path) } else { Ok(&self.shared) }
    }

    /// For calls that store or rename something: fails while the home is being counted, too.
    fn counted(&self, path: &RemotePath) -> StoreResult<&Arc<MemorySharedHome>> {
        let home = self.home(path)?;
        home.ledger.check_counted().map_err(over_quota(path))?;
        Ok(home)
    }
}

impl Home for MemoryHome {
    fn check_writable(&self) -> StoreResult<()> {
        Ok(())
    }

    fn counting(&self) -> Option<Counting> {
        self.shared.ledger.counting()
    }

    fn enter_directory(&self, path: &RemotePath) -> StoreResult<()> {
        self.home(path)?.tree().resolve_directory(path).map(drop).of_directory(path)
    }

    fn info(&self, path: &RemotePath, follow: bool) -> StoreResult<FileInfo> {
        let tree = self.home(path)?.tree();
        tree.entry(path, follow).and_then(|(id, _)| tree.info(id)).of_file(path)
    }

    fn read_link(&self, path: &RemotePath) -> StoreResult<Vec<u8>> {
        let tree = self.home(path)?.tree();
        let (id, _) = tree.entry(path, false).of_file(path)?;
        let target = tree.node(id).of_file(path)?.target();
        Ok(target.ok_or(Cause::Invalid).of_file(path)?.to_vec())
    }

    fn canonical(&self, path: &RemotePath) -> StoreResult<RemotePath> {
        let tree = self.home(path)?.tree();
        match tree.locate_target(path) {
            Err(Cause::IsDirectory) => tree.resolve_directory(path).and_then(|id| tree.path_of(id)),
            located => located.and_then(|(at, _)| tree.canonical(&at)),
        }
        .of_file(path)
    }

    fn entry_id(&self, path: &RemotePath, follow: bool) -> StoreResult<EntryId> {
        let tree = self.home(path)?.tree();
        let at = if follow { tree.locate_target(path).map(|(at, _)| at) } else { tree.locate(path) };
        at.map(|at| tree.entry_id(&at)).of_file(path)
    }

    fn is_inside(&self, path: &RemotePath, tree: FileId) -> StoreResult<bool> {
        let names = self.home(path)?.tree();
        let at = names.locate(path).of_directory(path)?;
        names.is_inside(at.directory, tree.inode).of_directory(path)
    }

    fn read_directory(&self, path: &RemotePath) -> StoreResult<Box<dyn DirectoryReader>> {
        Ok(Box::new(MemoryReader::open(self.home(path)?, path)?))
    }

    fn walk(&self, path: &RemotePath) -> StoreResult<Box<dyn TreeWalk>> {
        Ok(Box::new(MemoryWalk::begin(self.home(path)?, &self.ctx, path)?))
    }

    fn make_directory(&self, path: &RemotePath, how: MakeDirectory) -> StoreResult<MadeDirectories> {
        directories::make(self.home(path)?, &self.ctx, path, how)
    }

    fn hold_directory(&self, path: &RemotePath, mtime: Time) -> StoreResult<EntryRef> {
        directories::hold(self.home(path)?, &self.ctx, path, mtime)
    }

    fn finalize_directories(&self, directories: Vec<EntryRef>) -> Vec<StoreResult<RemotePath>> {
        directories.into_iter().map(|held| directories::finalize(&self.shared, held)).collect()
    }

    fn make_symlink(&self, path: &RemotePath, target: &[u8]) -> StoreResult<(RemotePath, EntryRef)> {
        let path = names::make_symlink(self.home(path)?, path, target)?;
        Ok((path, EntryRef::new(directories::MemoryNewName, false)))
    }

    fn hard_link(&self, from: &RemotePath, to: &RemotePath, replaces: bool) -> StoreResult<MadeLink> {
        let (from, to, replaced) = names::hard_link(self.counted(from)?, &self.ctx, (from, to), replaces)?;
        Ok(MadeLink { from, to, replaced, name: EntryRef::new(directories::MemoryNewName, false) })
    }

    fn rename(&self, from: &RemotePath, to: &RemotePath, replace: Replace) -> StoreResult<Renamed> {
        names::rename(self.counted(from)?, &self.ctx, from, to, replace)
    }

    fn remove_file(&self, path: &RemotePath) -> StoreResult<RemotePath> {
        names::remove_file(self.home(path)?, &self.ctx, path)
    }

    fn remove_directory(&self, path: &RemotePath) -> StoreResult<RemotePath> {
        directories::remove(self.home(path)?, &self.ctx, path)
    }

    fn remove_tree(
        &self,
        path: &RemotePath,
        removed: &mut OnRemoved<'_>,
    ) -> StoreResult<Box<dyn TreeRemoval>> {
        Ok(Box::new(MemoryRemoval::begin(self.home(path)?, &self.ctx, path, removed)?))
    }

    fn set_attributes(
        &self,
        path: &RemotePath,
        follow: bool,
        wanted: &SetAttributes,
    ) -> StoreResult<RemotePath> {
        attributes::set(&mut self.home(path)?.tree(), &self.ctx, path, follow, wanted)
    }

    fn open_file(&self, path: &RemotePath, mode: OpenMode, staged: bool) -> StoreResult<Box<dyn FileHandle>> {
        let home = if mode.changes() { self.counted(path)? } else { self.home(path)? };
        if mode.append && !home.capabilities.append {
            return Err(Cause::Unsupported).of_file(path);
        }
        let changes_content = mode.writes() || mode.truncate;
        if staged || changes_content && !home.capabilities.in_place_write {
            return Ok(Box::new(MemoryStagedFile::open(home, &self.ctx, path, mode)?));
        }
        Ok(Box::new(MemoryFile::open(home, path, mode)?))
    }

    fn begin_upload(
        &self,
        path: &RemotePath,
        spec: &UploadSpec,
        partial: Option<CheckedPartial>,
        takeover: &Takeover,
    ) -> StoreResult<Box<dyn Upload>> {
        Ok(Box::new(upload::begin(self.counted(path)?, &self.ctx, path, spec, partial, takeover)?))
    }

    fn begin_block_upload(
        &self,
        path: &RemotePath,
        spec: &UploadSpec,
        partial: Option<CheckedPartial>,
    ) -> StoreResult<Box<dyn BlockSink>> {
        Ok(Box::new(upload::begin_blocks(self.counted(path)?, path, spec, partial)?))
    }

    fn publish(&self, items: Vec<PublishItem>, _names: Vec<EntryRef>) -> Published {
        publish::publish(&self.shared, &self.ctx, items)
    }

    fn wants_publish(&self) -> bool {
        false
    }

    fn partial_uploads(&self) -> Vec<PartialUploadInfo> {
        self.shared.partial_uploads.list()
    }

    fn lease_partial(
        &self,
        path: &RemotePath,
        size: u64,
        mtime: Time,
    ) -> StoreResult<Option<Box<dyn PartialCheck>>> {
        let source = UploadSource::File { size, mtime };
        let check = MemoryPartialCheck::begin(self.home(path)?, &self.ctx, path, source, None);
        Ok(check.map(|check| Box::new(check) as Box<dyn PartialCheck>))
    }

    fn lease_stream(
        &self,
        path: &RemotePath,
        id: StreamId,
        takeover: &Takeover,
    ) -> StoreResult<Option<Box<dyn PartialCheck>>> {
        let home = self.home(path)?;
        let lease = home.stream_leases.take_over(id, takeover);
        let lease = lease.map_err(|wait| StoreError::stream_held(path, wait))?;
        let source = UploadSource::Stream(id);
        let check = MemoryPartialCheck::begin(home, &self.ctx, path, source, Some(lease));
        Ok(check.map(|check| Box::new(check) as Box<dyn PartialCheck>))
    }

    fn discard_partial_uploads(&self, path: Option<&RemotePath>) -> usize {
        let target = path.and_then(|path| {
            let tree = self.shared.tree();
            tree.locate_target(path).map(|(at, _)| tree.entry_id(&at)).ok()
        });
        self.shared.partial_uploads.discard(|partial| {
            let is_to = |path: &RemotePath| {
                partial.record.path == *path || target.as_ref().is_some_and(|id| partial.is_to(id))
            };
            path.is_none_or(is_to)
        })
    }

    fn sync(&self) -> StoreResult<()> {
        Ok(())
    }

    fn usage(&self) -> HomeUsage {
        HomeUsage::of(&self.shared.ledger)
    }

    fn disk_space(&self) -> Result<DiskSpace, StoreError> {
        Ok(disk_space(self.device))
    }
}

/// The size that is reported for the disk.
pub(super) fn disk_space(device: u64) -> DiskSpace {
    DiskSpace {
        block: BLOCK_BYTES,
        blocks: DISK_BLOCKS,
        blocks_free: DISK_BLOCKS,
        entries: 0,
        entries_free: 0,
        longest_name: super::resolve::MAX_NAME as u64,
        id: device,
    }
}
