//! One user's home, opened for a channel: the trait [`Home`] over [`operations`].

use crate::home::{self, DirectoryStream as Reader};
use crate::operations::{self, Context, PosixBlockSink, PosixHome, PosixUpload, Removal, Walk};
use sshome_store::quota::FileId;
use sshome_store::{
    BlockSink, CheckedPartial, Counting, DirectoryEntry, DirectoryReader, DiskSpace, EntryId, EntryRef,
    FileHandle, FileInfo, Home, HomeUsage, MadeDirectories, MadeLink, MakeDirectory, OnRemoved, OpenMode,
    PartialCheck, PartialUploadInfo, PublishItem, Published, Renamed, Replace, SetAttributes, StoreResult,
    Takeover, TreeRemoval, TreeWalk, Upload, UploadSource, UploadSpec,
};
use sshome_wire::{RemotePath, StreamId, Time};

impl Home for PosixHome {
    fn check_writable(&self) -> StoreResult<()> {
        PosixHome::check_writable(self)
    }

    fn counting(&self) -> Option<Counting> {
        self.ledger().counting()
    }

    fn enter_directory(&self, path: &RemotePath) -> StoreResult<()> {
        self.dir.open_directory(path).of_directory(path).map(drop)
    }

    fn info(&self, path: &RemotePath, follow: bool) -> StoreResult<FileInfo> {
        let stat = if follow { self.dir.stat(path) } else { self.dir.stat_link(path) };
        Ok(home::info(&stat.of_file(path)?))
    }

    fn read_link(&self, path: &RemotePath) -> StoreResult<Vec<u8>> {
        self.dir.link_target(path).of_file(path)
    }

    fn canonical(&self, path: &RemotePath) -> StoreResult<RemotePath> {
        self.dir.real_path(path).of_file(path)
    }

    fn entry_id(&self, path: &RemotePath, follow: bool) -> StoreResult<EntryId> {
        let location = match follow {
            true => self.dir.locate_target(path).map(|(target, _)| target),
            false => self.dir.locate(path),
        };
        location.and_then(|location| location.identity()).of_file(path)
    }

    fn is_inside(&self, path: &RemotePath, tree: FileId) -> StoreResult<bool> {
        let location = self.dir.locate(path).of_directory(path)?;
        self.dir.is_inside(&location, tree).of_directory(path)
    }

    fn read_directory(&self, path: &RemotePath) -> StoreResult<Box<dyn DirectoryReader>> {
        let reader = self.dir.read_directory(path).of_directory(path)?;
        Ok(Box::new(PosixDirectoryReader { path: path.clone(), reader }))
    }

    fn walk(&self, path: &RemotePath) -> StoreResult<Box<dyn TreeWalk>> {
        Ok(Box::new(Walk::below(self, path)?))
    }

    fn make_directory(&self, path: &RemotePath, how: MakeDirectory) -> StoreResult<MadeDirectories> {
        operations::make_directory(self, path, how)
    }

    fn hold_directory(&self, path: &RemotePath, mtime: Time) -> StoreResult<EntryRef> {
        operations::hold_directory(self, path, mtime)
    }

    fn finalize_directories(&self, directories: Vec<EntryRef>) -> Vec<StoreResult<RemotePath>> {
        operations::finalize_directories(self, directories)
    }

    fn make_symlink(&self, path: &RemotePath, target: &[u8]) -> StoreResult<(RemotePath, EntryRef)> {
        operations::make_symlink(self, path, target)
    }

    fn hard_link(&self, from: &RemotePath, to: &RemotePath, replaces: bool) -> StoreResult<MadeLink> {
        operations::hard_link(self, from, to, replaces)
    }

    fn rename(&self, from: &RemotePath, to: &RemotePath, replace: Replace) -> StoreResult<Renamed> {
        operations::rename(self, from, to, replace)
    }

    fn remove_file(&self, path: &RemotePath) -> StoreResult<RemotePath> {
        operations::remove_file(self, path)
    }

    fn remove_directory(&self, path: &RemotePath) -> StoreResult<RemotePath> {
        operations::remove_directory(self, path)
    }

    fn remove_tree(
        &self,
        path: &RemotePath,
        removed: &mut OnRemoved<'_>,
    ) -> StoreResult<Box<dyn TreeRemoval>> {
        Ok(Box::new(Removal::begin(self, path, removed)?))
    }

    fn set_attributes(
        &self,
        path: &RemotePath,
        follow: bool,
        wanted: &SetAttributes,
    ) -> StoreResult<RemotePath> {
        operations::set_attributes(self, path, follow, wanted)
    }

    fn open_file(&self, path: &RemotePath, mode: OpenMode, staged: bool) -> StoreResult<Box<dyn FileHandle>> {
        operations::open_file(self, path, mode, staged)
    }

    fn begin_upload(
        &self,
        path: &RemotePath,
        spec: &UploadSpec,
        partial: Option<CheckedPartial>,
        takeover: &Takeover,
    ) -> StoreResult<Box<dyn Upload>> {
        Ok(Box::new(PosixUpload::begin(self, path, spec, partial, takeover)?))
    }

    fn begin_block_upload(
        &self,
        path: &RemotePath,
        spec: &UploadSpec,
        partial: Option<CheckedPartial>,
    ) -> StoreResult<Box<dyn BlockSink>> {
        Ok(Box::new(PosixBlockSink::begin(self, path, spec, partial)?))
    }

    fn publish(&self, items: Vec<PublishItem>, names: Vec<EntryRef>) -> Published {
        operations::publish(self, items, names)
    }

    fn runs_inline(&self) -> bool {
        true
    }

    fn wants_publish(&self) -> bool {
        self.dir.descriptors_are_scarce()
    }

    fn partial_uploads(&self) -> Vec<PartialUploadInfo> {
        operations::partial_uploads(self)
    }

    fn lease_partial(
        &self,
        path: &RemotePath,
        size: u64,
        mtime: Time,
    ) -> StoreResult<Option<Box<dyn PartialCheck>>> {
        operations::lease(self, path, UploadSource::File { size, mtime })
    }

    fn lease_stream(
        &self,
        path: &RemotePath,
        id: StreamId,
        takeover: &Takeover,
    ) -> StoreResult<Option<Box<dyn PartialCheck>>> {
        operations::lease_stream(self, path, id, takeover)
    }

    fn discard_partial_uploads(&self, path: Option<&RemotePath>) -> usize {
        operations::discard(self, path)
    }

    fn sync(&self) -> StoreResult<()> {
        self.dir.sync(self.since).of_file(&RemotePath::root())
    }

    fn usage(&self) -> HomeUsage {
        HomeUsage::of(self.ledger())
    }

    fn disk_space(&self) -> StoreResult<DiskSpace> {
        let disk = self.dir.statvfs().of_file(&RemotePath::root())?;
        Ok(DiskSpace {
            block: disk.f_frsize.max(1),
            blocks: disk.f_blocks,
            blocks_free: disk.f_bavail,
            entries: disk.f_files,
            entries_free: disk.f_favail,
            longest_name: disk.f_namemax,
            id: disk.f_fsid,
        })
    }
}

/// A directory that is being read, and the path that it was opened by.
#[derive(Debug)]
struct PosixDirectoryReader {
    path: RemotePath,
    reader: Reader,
}

impl DirectoryReader for PosixDirectoryReader {
    fn next_entry(&mut self) -> StoreResult<Option<DirectoryEntry>> {
        self.reader.next_entry().of_directory(&self.path)
    }

    fn info(&self) -> StoreResult<FileInfo> {
        self.reader.info().of_directory(&self.path)
    }
}
