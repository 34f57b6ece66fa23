//! A home whose calls are delayed and fail.

use super::faults::{CallKind, FaultPoint, Faults};
use super::handles::{
    FaultyBlockSink, FaultyCheck, FaultyFile, FaultyReader, FaultyRemoval, FaultyUpload, FaultyWalk,
};
use crate::quota::FileId;
use crate::{
    BlockSink, Cause, CheckedPartial, Counting, DirectoryReader, DiskSpace, EntryId, EntryRef, FileHandle,
    FileInfo, Home, HomeUsage, MadeDirectories, MadeLink, MakeDirectory, OnRemoved, OpenMode, PartialCheck,
    PartialUploadInfo, PublishItem, PublishResult, Published, Renamed, Replace, SetAttributes, StoreError,
    StoreResult, Takeover, TreeRemoval, TreeWalk, Upload, UploadSpec,
};
use sshome_wire::{RemotePath, StreamId, Time};
use std::sync::Arc;

#[derive(Debug)]
pub(super) struct FaultyHome {
    pub(super) inner: Arc<dyn Home>,
    pub(super) faults: Arc<Faults>,
}

impl FaultyHome {
    fn read<T>(&self, path: &RemotePath, call: impl FnOnce(&dyn Home) -> StoreResult<T>) -> StoreResult<T> {
        self.call(CallKind::Read, path, call)
    }

    fn call<T>(
        &self,
        kind: CallKind,
        path: &RemotePath,
        call: impl FnOnce(&dyn Home) -> StoreResult<T>,
    ) -> StoreResult<T> {
        self.faults.call(kind, path, || call(&*self.inner))
    }

    fn check(&self, path: &RemotePath, inner: Box<dyn PartialCheck>) -> Box<dyn PartialCheck> {
        Box::new(FaultyCheck { inner, path: path.clone(), faults: Arc::clone(&self.faults) })
    }
}

impl Home for FaultyHome {
    fn check_writable(&self) -> StoreResult<()> {
        self.read(&RemotePath::root(), |home| home.check_writable())
    }

    fn counting(&self) -> Option<Counting> {
        self.inner.counting()
    }

    fn enter_directory(&self, path: &RemotePath) -> StoreResult<()> {
        self.read(path, |home| home.enter_directory(path))
    }

    fn info(&self, path: &RemotePath, follow: bool) -> StoreResult<FileInfo> {
        self.read(path, |home| home.info(path, follow))
    }

    fn read_link(&self, path: &RemotePath) -> StoreResult<Vec<u8>> {
        self.read(path, |home| home.read_link(path))
    }

    fn canonical(&self, path: &RemotePath) -> StoreResult<RemotePath> {
        self.read(path, |home| home.canonical(path))
    }

    fn entry_id(&self, path: &RemotePath, follow: bool) -> StoreResult<EntryId> {
        self.read(path, |home| home.entry_id(path, follow))
    }

    fn is_inside(&self, path: &RemotePath, tree: FileId) -> StoreResult<bool> {
        self.read(path, |home| home.is_inside(path, tree))
    }

    fn read_directory(&self, path: &RemotePath) -> StoreResult<Box<dyn DirectoryReader>> {
        let inner = self.read(path, |home| home.read_directory(path))?;
        Ok(Box::new(FaultyReader { inner, path: path.clone(), faults: Arc::clone(&self.faults) }))
    }

    fn walk(&self, path: &RemotePath) -> StoreResult<Box<dyn TreeWalk>> {
        let inner = self.read(path, |home| home.walk(path))?;
        Ok(Box::new(FaultyWalk { inner, path: path.clone(), faults: Arc::clone(&self.faults) }))
    }

    fn make_directory(&self, path: &RemotePath, how: MakeDirectory) -> StoreResult<MadeDirectories> {
        self.call(CallKind::Make, path, |home| home.make_directory(path, how))
    }

    fn hold_directory(&self, path: &RemotePath, mtime: Time) -> StoreResult<EntryRef> {
        self.read(path, |home| home.hold_directory(path, mtime))
    }

    fn finalize_directories(&self, directories: Vec<EntryRef>) -> Vec<StoreResult<RemotePath>> {
        self.faults.pause();
        self.inner.finalize_directories(directories)
    }

    fn make_symlink(&self, path: &RemotePath, target: &[u8]) -> StoreResult<(RemotePath, EntryRef)> {
        self.call(CallKind::Make, path, |home| home.make_symlink(path, target))
    }

    fn hard_link(&self, from: &RemotePath, to: &RemotePath, replaces: bool) -> StoreResult<MadeLink> {
        self.call(CallKind::Rename, from, |home| home.hard_link(from, to, replaces))
    }

    fn rename(&self, from: &RemotePath, to: &RemotePath, replace: Replace) -> StoreResult<Renamed> {
        self.call(CallKind::Rename, from, |home| home.rename(from, to, replace))
    }

    fn remove_file(&self, path: &RemotePath) -> StoreResult<RemotePath> {
        self.call(CallKind::Remove, path, |home| home.remove_file(path))
    }

    fn remove_directory(&self, path: &RemotePath) -> StoreResult<RemotePath> {
        self.call(CallKind::Remove, path, |home| home.remove_directory(path))
    }

    fn remove_tree(
        &self,
        path: &RemotePath,
        removed: &mut OnRemoved<'_>,
    ) -> StoreResult<Box<dyn TreeRemoval>> {
        let inner = self.call(CallKind::Remove, path, |home| home.remove_tree(path, removed))?;
        Ok(Box::new(FaultyRemoval { inner, path: path.clone(), faults: Arc::clone(&self.faults) }))
    }

    fn set_attributes(
        &self,
        path: &RemotePath,
        follow: bool,
        wanted: &SetAttributes,
    ) -> StoreResult<RemotePath> {
        self.call(CallKind::Write, path, |home| home.set_attributes(path, follow, wanted))
    }

    fn open_file(&self, path: &RemotePath, mode: OpenMode, staged: bool) -> StoreResult<Box<dyn FileHandle>> {
        let inner = self.call(CallKind::Open, path, |home| home.open_file(path, mode, staged))?;
        Ok(Box::new(FaultyFile { inner, path: path.clone(), faults: Arc::clone(&self.faults) }))
    }

    fn begin_upload(
        &self,
        path: &RemotePath,
        spec: &UploadSpec,
        partial: Option<CheckedPartial>,
        takeover: &Takeover,
    ) -> StoreResult<Box<dyn Upload>> {
        let begin = |home: &dyn Home| home.begin_upload(path, spec, partial, takeover);
        let inner = self.call(CallKind::Open, path, begin)?;
        Ok(Box::new(FaultyUpload { inner, path: path.clone(), faults: Arc::clone(&self.faults) }))
    }

    fn begin_block_upload(
        &self,
        path: &RemotePath,
        spec: &UploadSpec,
        partial: Option<CheckedPartial>,
    ) -> StoreResult<Box<dyn BlockSink>> {
        let begin = |home: &dyn Home| home.begin_block_upload(path, spec, partial);
        let inner = self.call(CallKind::Open, path, begin)?;
        Ok(Box::new(FaultyBlockSink { inner, path: path.clone(), faults: Arc::clone(&self.faults) }))
    }

    fn publish(&self, items: Vec<PublishItem>, names: Vec<EntryRef>) -> Published {
        self.faults.pause();
        let failed = |path: &RemotePath, cause| StoreError::file(path, cause);
        let paths: Vec<RemotePath> = items.iter().map(|item| item.path.clone()).collect();
        match self.faults.fault(CallKind::Publish) {
            None => self.inner.publish(items, names),
            Some(FaultPoint::BeforeCommit) => {
                let refused =
                    paths.iter().map(|path| PublishResult::Refused(failed(path, Cause::DiskFailed)));
                Published {
                    items: refused.collect(),
                    names: Err(failed(&RemotePath::root(), Cause::DiskFailed)),
                }
            }
            Some(FaultPoint::AfterCommit) => {
                let published = self.inner.publish(items, names);
                let lost = |(path, result): (&RemotePath, PublishResult)| match result {
                    PublishResult::Done { .. } => PublishResult::Unknown(failed(path, Cause::Unanswered)),
                    other => other,
                };
                Published { items: paths.iter().zip(published.items).map(lost).collect(), ..published }
            }
        }
    }

    fn wants_publish(&self) -> bool {
        self.inner.wants_publish()
    }

    fn partial_uploads(&self) -> Vec<PartialUploadInfo> {
        self.faults.pause();
        self.inner.partial_uploads()
    }

    fn lease_partial(
        &self,
        path: &RemotePath,
        size: u64,
        mtime: Time,
    ) -> StoreResult<Option<Box<dyn PartialCheck>>> {
        let leased = self.read(path, |home| home.lease_partial(path, size, mtime))?;
        Ok(leased.map(|inner| self.check(path, inner)))
    }

    fn lease_stream(
        &self,
        path: &RemotePath,
        id: StreamId,
        takeover: &Takeover,
    ) -> StoreResult<Option<Box<dyn PartialCheck>>> {
        let leased = self.read(path, |home| home.lease_stream(path, id, takeover))?;
        Ok(leased.map(|inner| self.check(path, inner)))
    }

    fn discard_partial_uploads(&self, path: Option<&RemotePath>) -> usize {
        self.faults.pause();
        self.inner.discard_partial_uploads(path)
    }

    fn sync(&self) -> StoreResult<()> {
        self.call(CallKind::Write, &RemotePath::root(), |home| home.sync())
    }

    fn usage(&self) -> HomeUsage {
        self.inner.usage()
    }

    fn disk_space(&self) -> StoreResult<DiskSpace> {
        self.read(&RemotePath::root(), |home| home.disk_space())
    }
}
