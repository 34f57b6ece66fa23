//! The requests that begin uploads and resume them.

use super::conversation::{NativeConversation, ReceiveState};
use super::job::{JobAnswer, NativeJob};
use super::output::NativeOutput;
use super::request::{NativeOutcome, NativeResult, done};
use crate::service::{
    self, BlockRun, ChangeKind, OpeningUpload, PartCheck, PutUpload, STEP_BYTES, SharedUpload, StepLimit,
    StreamCheck, User,
};
use sshome_store::{CheckedPartial, EntryId};
use sshome_wire::{End, Frame, Progress, Put, RemotePath, Reply, Status, StreamId, Time, UploadId};
use std::collections::HashMap;
use std::sync::Arc;

/// The largest number of partial uploads that one channel may lease.
const MAX_LEASED_PARTS: usize = 64;

impl NativeConversation {
    /// Begins an upload that copies from the described file.
    pub(super) fn put_delta(&mut self, put: &Put) -> NativeResult {
        let base = self.described.take();
        let NativeOutcome::Upload(upload) = self.put(put, None)? else { return Ok(done()) };
        // Until it is the upload that is received, its data is dropped.
        self.receiving = ReceiveState::Refused;
        Ok(NativeOutcome::Upload(Box::new(upload.with_base(&self.user, base.as_ref())?)))
    }

    /// Begins an upload, of a stream if `stream` is given.
    pub(super) fn put(&mut self, put: &Put, stream: Option<StreamId>) -> NativeResult {
        let begun = self.begin_upload(put, stream);
        if begun.is_err() {
            // The data is already on its way.
            self.receiving = ReceiveState::Refused;
        }
        begun
    }

    fn begin_upload(&mut self, put: &Put, stream: Option<StreamId>) -> NativeResult {
        let path = self.at(&put.path)?;
        let part = leased(&self.user, &mut self.leased, &path);
        let upload = PutUpload::begin(&self.user, put, &path, part, stream)?;
        Ok(NativeOutcome::Upload(Box::new(upload)))
    }

    pub(super) fn open_upload(&mut self, put: Put) -> NativeResult {
        let path = self.at(&put.path)?;
        // The check finds it only if it is not leased.
        drop(leased(&self.user, &mut self.leased, &path));
        Ok(NativeOutcome::Job(Box::new(OpeningUpload::begin(&self.user, put, path)?)))
    }

    pub(super) fn put_blocks(&mut self, id: UploadId, block: u32, blocks: u32) -> NativeResult {
        // Until the blocks are received, their data is dropped.
        self.receiving = ReceiveState::Refused;
        let upload = self.join(id)?;
        Ok(NativeOutcome::Blocks(Box::new(BlockRun::begin(upload, block, blocks)?)))
    }

    pub(super) fn finish_upload(&mut self, id: UploadId, end: &End) -> NativeResult {
        let finished = self.join(id)?.finish(end);
        self.joined.leave_ended();
        Ok(NativeOutcome::Verified(finished?))
    }

    /// Takes part in an upload.
    fn join(&mut self, id: UploadId) -> Result<Arc<SharedUpload>, service::Error> {
        let upload = service::find_upload(&self.user, id)?;
        self.joined.join(Arc::clone(&upload));
        Ok(upload)
    }

    pub(super) fn part_status(&mut self, path: &[u8], size: u64, mtime: Time) -> NativeResult {
        let path = self.at(path)?;
        make_room_for_lease(&self.user, &mut self.leased, &path);
        Ok(match PartCheck::begin(&self.user, &path, size, mtime)? {
            Some(check) => NativeOutcome::Job(Box::new(check)),
            None => NativeOutcome::Reply(Reply::new(Status::EnoughSpace, "")),
        })
    }

    pub(super) fn stream_status(&mut self, path: &[u8], id: StreamId) -> NativeResult {
        let path = self.at(path)?;
        make_room_for_lease(&self.user, &mut self.leased, &path);
        Ok(NativeOutcome::Job(Box::new(StreamCheck::new(path, id))))
    }
}

impl NativeJob for OpeningUpload {
    fn step(
        &mut self,
        user: &User,
        output: &mut NativeOutput,
        _: usize,
    ) -> service::Result<Option<JobAnswer>> {
        let opened = OpeningUpload::step(self, user, StepLimit::bytes(STEP_BYTES))?;
        if opened.is_none() {
            let (done, total) = self.progress();
            output.frame(&Frame::Progress(Progress { done, total }));
        }
        Ok(opened.map(JobAnswer::Opened))
    }

    fn change(&self) -> Option<ChangeKind> {
        Some(ChangeKind::Stores)
    }
}

/// Returns leases that are no longer needed: the one of this path, and all if there are too many.
fn make_room_for_lease(user: &User, leases: &mut HashMap<EntryId, CheckedPartial>, path: &RemotePath) {
    drop(leased(user, leases, path));
    if leases.len() >= MAX_LEASED_PARTS {
        leases.clear();
    }
}

/// Takes the partial upload that is leased for this path, however it is spelled.
fn leased(
    user: &User,
    leases: &mut HashMap<EntryId, CheckedPartial>,
    path: &RemotePath,
) -> Option<CheckedPartial> {
    // Most puts are small files without a lease.
    if leases.is_empty() {
        return None;
    }
    leases.remove(&service::target_id(user, path)?)
}
