//! Handles that were opened through a faulty home. Each has the path for its errors.

use super::faults::{CallKind, Faults};
use crate::{
    BlockSink, CheckedPartial, DirectoryEntry, DirectoryReader, FileHandle, FileInfo, OnRemoved,
    PartialCheck, PublishItem, SetAttributes, StepLimit, StoreError, StoreResult, TreeRemoval, TreeStep,
    TreeWalk, Upload,
};
use sshome_wire::{Digest, RemotePath};
use std::sync::Arc;

#[derive(Debug)]
pub(super) struct FaultyReader {
    pub(super) inner: Box<dyn DirectoryReader>,
    pub(super) path: RemotePath,
    pub(super) faults: Arc<Faults>,
}

impl DirectoryReader for FaultyReader {
    fn next_entry(&mut self) -> StoreResult<Option<DirectoryEntry>> {
        self.faults.call(CallKind::Read, &self.path, || self.inner.next_entry())
    }

    fn info(&self) -> StoreResult<FileInfo> {
        self.faults.call(CallKind::Read, &self.path, || self.inner.info())
    }
}

#[derive(Debug)]
pub(super) struct FaultyWalk {
    pub(super) inner: Box<dyn TreeWalk>,
    pub(super) path: RemotePath,
    pub(super) faults: Arc<Faults>,
}

impl TreeWalk for FaultyWalk {
    fn next_step(&mut self) -> StoreResult<Option<TreeStep>> {
        self.faults.call(CallKind::Read, &self.path, || self.inner.next_step())
    }

    fn relative(&self) -> Option<Vec<u8>> {
        self.inner.relative()
    }
}

#[derive(Debug)]
pub(super) struct FaultyRemoval {
    pub(super) inner: Box<dyn TreeRemoval>,
    pub(super) path: RemotePath,
    pub(super) faults: Arc<Faults>,
}

impl TreeRemoval for FaultyRemoval {
    fn step(
        &mut self,
        limit: StepLimit,
        removed: &mut OnRemoved<'_>,
        failed: &mut dyn FnMut(StoreError),
    ) -> StoreResult<bool> {
        self.faults.call(CallKind::Remove, &self.path, || self.inner.step(limit, removed, failed))
    }
}

#[derive(Debug)]
pub(super) struct FaultyCheck {
    pub(super) inner: Box<dyn PartialCheck>,
    pub(super) path: RemotePath,
    pub(super) faults: Arc<Faults>,
}

impl PartialCheck for FaultyCheck {
    fn progress(&self) -> (u64, u64) {
        self.inner.progress()
    }

    fn step(&mut self, limit: StepLimit) -> StoreResult<Option<CheckedPartial>> {
        self.faults.call(CallKind::Read, &self.path, || self.inner.step(limit))
    }
}

#[derive(Debug)]
pub(super) struct FaultyUpload {
    pub(super) inner: Box<dyn Upload>,
    pub(super) path: RemotePath,
    pub(super) faults: Arc<Faults>,
}

impl Upload for FaultyUpload {
    fn logged_path(&self) -> &RemotePath {
        self.inner.logged_path()
    }

    fn written(&self) -> u64 {
        self.inner.written()
    }

    fn surviving(&self) -> u64 {
        self.inner.surviving()
    }

    fn write(&mut self, data: &[u8]) -> StoreResult<()> {
        let written = self.faults.call(CallKind::Write, &self.path, || self.inner.write(data));
        written.inspect_err(|error| {
            // As in every store, a failed write keeps nothing, and a cancelled one keeps a partial upload.
            if error.cause() != Some(&crate::Cause::Cancelled) {
                self.inner.discard_on_drop();
            }
        })
    }

    fn discard_on_drop(&mut self) {
        self.inner.discard_on_drop();
    }

    fn finish(self: Box<Self>, size: u64, digest: Option<Digest>) -> StoreResult<PublishItem> {
        let FaultyUpload { mut inner, path, faults } = *self;
        faults.pause();
        if faults.fault(CallKind::Write).is_some() {
            inner.discard_on_drop();
            return Err(StoreError::file(&path, crate::Cause::DiskFailed));
        }
        inner.finish(size, digest)
    }
}

#[derive(Debug)]
pub(super) struct FaultyBlockSink {
    pub(super) inner: Box<dyn BlockSink>,
    pub(super) path: RemotePath,
    pub(super) faults: Arc<Faults>,
}

impl BlockSink for FaultyBlockSink {
    fn logged_path(&self) -> &RemotePath {
        self.inner.logged_path()
    }

    fn write_at(&self, offset: u64, data: &[u8]) -> StoreResult<()> {
        self.faults.call(CallKind::Write, &self.path, || self.inner.write_at(offset, data))
    }

    fn keep_on_drop(&self, bytes: u64) {
        self.inner.keep_on_drop(bytes);
    }

    fn finish(self: Box<Self>, digest: Digest) -> StoreResult<PublishItem> {
        let FaultyBlockSink { inner, path, faults } = *self;
        faults.pause();
        if faults.fault(CallKind::Write).is_some() {
            inner.keep_on_drop(0);
            return Err(StoreError::file(&path, crate::Cause::DiskFailed));
        }
        inner.finish(digest)
    }
}

#[derive(Debug)]
pub(super) struct FaultyFile {
    pub(super) inner: Box<dyn FileHandle>,
    pub(super) path: RemotePath,
    pub(super) faults: Arc<Faults>,
}

impl FaultyFile {
    fn write<T>(&self, call: impl FnOnce(&dyn FileHandle) -> StoreResult<T>) -> StoreResult<T> {
        self.faults.call(CallKind::Write, &self.path, || call(&*self.inner))
    }
}

impl FileHandle for FaultyFile {
    fn logged_path(&self) -> &RemotePath {
        self.inner.logged_path()
    }

    fn info(&self) -> StoreResult<FileInfo> {
        self.faults.call(CallKind::Read, &self.path, || self.inner.info())
    }

    fn version(&self) -> Option<u64> {
        self.inner.version()
    }

    fn stored_digest(&self, info: &FileInfo) -> Option<Digest> {
        self.inner.stored_digest(info)
    }

    fn read_at(&self, offset: u64, buffer: &mut Vec<u8>, max_bytes: usize) -> StoreResult<usize> {
        self.faults.call(CallKind::Read, &self.path, || self.inner.read_at(offset, buffer, max_bytes))
    }

    fn write_at(&self, offset: Option<u64>, data: &[&[u8]]) -> StoreResult<()> {
        self.write(|file| file.write_at(offset, data))
    }

    fn set_length(&self, length: u64) -> StoreResult<()> {
        self.write(|file| file.set_length(length))
    }

    fn set_attributes(&self, wanted: &SetAttributes) -> StoreResult<()> {
        self.write(|file| file.set_attributes(wanted))
    }

    fn check_space(&self, end: u64) -> StoreResult<()> {
        self.faults.call(CallKind::Read, &self.path, || self.inner.check_space(end))
    }

    fn sync(&self) -> StoreResult<()> {
        self.write(|file| file.sync())
    }

    fn publishes_at_close(&self) -> bool {
        self.inner.publishes_at_close()
    }

    fn prepare_close(&self, limit: StepLimit) -> StoreResult<bool> {
        self.write(|file| file.prepare_close(limit))
    }

    fn close(self: Box<Self>) -> StoreResult<Option<PublishItem>> {
        self.faults.pause();
        self.inner.close()
    }
}
