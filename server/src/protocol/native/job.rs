//! Long native requests. They work in steps, and a cancel is noticed between two steps.

use super::delta::DeltaEncoder;
use super::entry::{entry, frames};
use super::output::{GET_STEP_BYTES, NativeOutput};
use crate::service::{
    ChangeKind, DescribedFile, Describing, Download, Listing, LongOperation, OpenedUpload, OperationResult,
    Result, STEP_BYTES, STEP_ENTRIES, StepLimit, User, VerifiedUpload,
};
use sshome_store::CheckedPartial;
use sshome_wire::frame::HEADER_BYTES;
use sshome_wire::{
    BLOCK_BYTES, BlockHasher, Description, Digest, End, Frame, Header, Payload, Progress, Reply, Status,
};

/// The data that one step of a get reads, in bytes. It is more than its output if it is compressed, which takes some
/// milliseconds.
const GET_STEP_READ_BYTES: u64 = 2 << 20;

/// A request in progress. Dropping it cancels it.
pub(super) trait NativeJob: Send {
    /// Does one step. A get produces about `most` bytes, or [`GET_STEP_BYTES`] if that is less. Returns the answer at the
    /// end.
    ///
    /// # Errors
    /// See [`LongOperation::advance`].
    fn step(&mut self, user: &User, output: &mut NativeOutput, most: usize) -> Result<Option<JobAnswer>>;

    /// What its steps change that waits while the home is being counted.
    fn change(&self) -> Option<ChangeKind> {
        None
    }
}

/// The answer to a request.
pub(super) enum JobAnswer {
    Reply(Reply),
    /// A partial upload, to be leased for a put to its target.
    Partial(Box<CheckedPartial>),
    /// The file was described, and may be copied from.
    Described(Box<DescribedFile>),
    /// An upload over several connections was opened.
    Opened(OpenedUpload),
    /// A complete file, which is answered once it is published.
    Staged(Box<VerifiedUpload>),
    /// All frames were sent.
    Sent,
}

impl<O: LongOperation> NativeJob for O {
    fn step(&mut self, user: &User, output: &mut NativeOutput, _: usize) -> Result<Option<JobAnswer>> {
        let result = self.advance(user);
        let (done, total) = self.progress();
        // If the total is unknown, the last progress has it.
        if total.is_none() || matches!(result, Ok(None)) {
            output.frame(&Frame::Progress(Progress { done, total: total.unwrap_or(0) }));
        }
        Ok(result?.map(|result| match result {
            OperationResult::Partial(Some(partial)) => JobAnswer::Partial(partial),
            OperationResult::Partial(None) => JobAnswer::Reply(Reply::new(Status::EnoughSpace, "")),
            OperationResult::Hashed(hashed) => JobAnswer::Reply(Reply::with(Payload::Hash(hashed))),
            OperationResult::Done | OperationResult::Digests(_) => {
                JobAnswer::Reply(Reply::new(Status::Done, ""))
            }
        }))
    }

    fn change(&self) -> Option<ChangeKind> {
        LongOperation::change(self)
    }
}

impl NativeJob for Listing {
    fn step(&mut self, user: &User, output: &mut NativeOutput, _: usize) -> Result<Option<JobAnswer>> {
        let limit = StepLimit::entries(STEP_ENTRIES);
        let batch = if self.is_directory() { self.next_batch(user, limit)? } else { None };
        if let Some((directory, entries)) = batch {
            for frame in frames(&directory, &entries) {
                output.frame(&Frame::Entries(frame));
            }
            return Ok(None);
        }
        if !self.is_directory() {
            for frame in frames(b"", std::slice::from_ref(self.own())) {
                output.frame(&Frame::Entries(frame));
            }
        }
        Ok(Some(JobAnswer::Reply(Reply::with(Payload::Stat(entry(self.own()))))))
    }
}

impl NativeJob for Describing {
    fn step(&mut self, _: &User, output: &mut NativeOutput, _: usize) -> Result<Option<JobAnswer>> {
        let mut chunks = Vec::new();
        let described = self.advance(StepLimit::bytes(STEP_BYTES), &mut chunks)?;
        for chunks in chunks.chunks(Description::MAX_PER_FRAME) {
            output.frame(&Frame::Description(Description { chunks: chunks.to_vec() }));
        }
        Ok(described.map(|file| JobAnswer::Described(Box::new(file))))
    }
}

/// A file that is being sent.
pub(super) struct GetJob {
    file: Download,
    /// The block digests of the client's copy.
    known: Vec<Digest>,
    /// Whether the blocks are still being compared. The header was not sent then.
    comparing: bool,
    /// Sends copies in place of what the client has.
    delta: Option<DeltaEncoder>,
}

impl NativeJob for GetJob {
    fn step(&mut self, _: &User, output: &mut NativeOutput, most: usize) -> Result<Option<JobAnswer>> {
        if self.comparing {
            return self.compare(output).map(|()| None);
        }
        let full = output.len() + GET_STEP_BYTES.min(most);
        if let Some(delta) = &mut self.delta {
            return match delta.step(&mut self.file, output, most)? {
                true => self.end(output).map(Some),
                false => Ok(None),
            };
        }
        let end = self.file.position().saturating_add(GET_STEP_READ_BYTES);
        while output.len() < full && self.file.position() < end {
            let mut buffer = output.data_buffer(self.file.size() - self.file.position(), most);
            while self.file.read(&mut buffer)? > 0 {}
            if buffer.len() == HEADER_BYTES {
                return self.end(output).map(Some);
            }
            output.data(buffer);
        }
        Ok(None)
    }
}

impl GetJob {
    /// Begins a get. The client's blocks are compared before the header is sent.
    pub(super) fn begin(
        file: Download,
        mut known: Vec<Digest>,
        delta: Option<DeltaEncoder>,
        output: &mut NativeOutput,
    ) -> GetJob {
        known.truncate(usize::try_from(BlockHasher::knowable(file.size())).unwrap_or(usize::MAX));
        let mut get = GetJob { file, known, comparing: true, delta };
        if get.known.is_empty() {
            get.begin_at(0, output);
        }
        get
    }

    fn end(&mut self, output: &mut NativeOutput) -> Result<JobAnswer> {
        let (digest, size) = (self.file.finish()?, self.file.size());
        output.end(End { status: Status::Done, message: String::new(), digest, size });
        Ok(JobAnswer::Sent)
    }

    /// Compares the client's blocks with the file, and begins to send at the first difference.
    fn compare(&mut self, output: &mut NativeOutput) -> Result<()> {
        let total = self.known.len() as u64 * BLOCK_BYTES;
        let (start, limit) = (self.file.position(), StepLimit::bytes(STEP_BYTES));
        let mut scratch = Vec::new();
        while self.file.position() < total && !limit.is_reached(self.file.position() - start) {
            let left = usize::try_from(total - self.file.position()).unwrap_or(GET_STEP_BYTES);
            scratch = Vec::with_capacity(left.min(GET_STEP_BYTES));
            if self.file.read(&mut scratch)? == 0 {
                break;
            }
        }
        drop(scratch);
        let blocks = self.file.blocks();
        let agreed = blocks.iter().zip(&self.known).take_while(|(here, there)| here == there).count();
        if agreed < blocks.len() || agreed == self.known.len() {
            self.begin_at(agreed, output);
        } else {
            output.frame(&Frame::Progress(Progress { done: self.file.position(), total }));
        }
        Ok(())
    }

    fn begin_at(&mut self, blocks: usize, output: &mut NativeOutput) {
        let mut agreed = self.file.blocks();
        agreed.truncate(blocks);
        self.file.resume_after(agreed);
        self.known = Vec::new();
        self.comparing = false;
        let (info, offset) = (self.file.info(), blocks as u64 * BLOCK_BYTES);
        output.header(Header { size: self.file.size(), offset, mtime: info.modified, mode: info.mode });
    }
}
