//! What the client or the server has already is not sent: stored digests, attributes, copies on the server.

use super::conversation::NativeConversation;
use super::job::{JobAnswer, NativeJob};
use super::output::NativeOutput;
use super::request::{NativeOutcome, NativeResult, done};
use crate::service::{
    self, ChangeKind, ContentCopy, Result, STEP_BYTES, STEP_ENTRIES, SetAttributes, StepLimit, StoredDigests,
    User,
};
use sshome_wire::{BLOCK_BYTES, Digest, Frame, Progress, Put, Reply, Status, StoredFile, Time};

/// A file of at most this many bytes is copied at once, and published together with others.
const MAX_GROUPED_COPY_BYTES: u64 = BLOCK_BYTES;

impl NativeConversation {
    pub(super) fn stored_digests(&self, directory: &[u8], paths: Vec<u8>) -> NativeResult {
        let digests = StoredDigests::begin(&self.user, self.at(directory)?, paths)?;
        Ok(NativeOutcome::Job(Box::new(digests)))
    }

    pub(super) fn set_attributes(&self, path: &[u8], mode: Option<u32>, mtime: Option<Time>) -> NativeResult {
        let times = mtime.map(|mtime| (mtime, mtime));
        let wanted = SetAttributes { mode, times, ..SetAttributes::default() };
        service::set_attributes(&self.user, &self.at(path)?, true, &wanted)?;
        Ok(done())
    }

    pub(super) fn put_copy(&mut self, put: &Put, from: &[u8], digest: Digest) -> NativeResult {
        let (path, from) = (self.at(&put.path)?, self.at(from)?);
        let mut copy = ContentCopy::begin(&self.user, put, &path, &from, digest)?;
        // The digest decides, so it does not matter whether files that were put before are published.
        let (_, size) = copy.progress();
        if size <= MAX_GROUPED_COPY_BYTES {
            while !copy.step(&StepLimit::bytes(STEP_BYTES))? {}
            return Ok(NativeOutcome::Staged(Box::new(copy.finish()?)));
        }
        self.publish();
        Ok(NativeOutcome::Job(Box::new(CopyJob(Some(copy)))))
    }
}

impl NativeJob for StoredDigests {
    fn step(&mut self, user: &User, output: &mut NativeOutput, _: usize) -> Result<Option<JobAnswer>> {
        let (files, is_end) = StoredDigests::step(self, user, &StepLimit::entries(STEP_ENTRIES));
        for files in files.chunks(StoredFile::MAX_PER_FRAME) {
            output.frame(&Frame::StoredFiles(files.to_vec()));
        }
        Ok(is_end.then(|| JobAnswer::Reply(Reply::new(Status::Done, ""))))
    }
}

/// The copy of a large file; `None` at the end.
struct CopyJob(Option<ContentCopy>);

impl NativeJob for CopyJob {
    fn step(&mut self, _: &User, output: &mut NativeOutput, _: usize) -> Result<Option<JobAnswer>> {
        let Some(copy) = &mut self.0 else { return Ok(None) };
        let is_end = copy.step(&StepLimit::bytes(STEP_BYTES))?;
        let (done, total) = copy.progress();
        output.frame(&Frame::Progress(Progress { done, total }));
        match self.0.take_if(|_| is_end) {
            Some(copy) => Ok(Some(JobAnswer::Staged(Box::new(copy.finish()?)))),
            None => Ok(None),
        }
    }

    fn change(&self) -> Option<ChangeKind> {
        Some(ChangeKind::Stores)
    }
}
