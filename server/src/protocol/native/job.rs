//! Long-running native requests. They work in steps, and a cancel is noticed between two steps.

use super::delta::DeltaEncoder;
use super::entry::{entry, frames};
use super::output::{NativeOutput, data_buffer};
use super::publish_group::refusal;
use crate::service::{
    self, ChangeKind, Copy, DescribedFile, Describing, Download, Error, Hashing, Listing, PartCheck,
    RecursiveRemoval, StepLimit, User,
};
use sshome_store::{CheckedPartial, Wait};
use sshome_wire::frame::HEADER_BYTES;
use sshome_wire::{
    BLOCK_BYTES, BlockHasher, Blocks, Description, Digest, End, Frame, Header, Payload, Progress, RemotePath,
    Reply, Status, StreamId,
};

/// The output of one step of a get, in bytes: small enough to be in the processor's cache when it is sent.
const GET_STEP_BYTES: usize = 512 << 10;
/// The data that one step of any other job processes, in bytes.
const STEP_BYTES: u64 = 32 << 20;
/// The entries that one step of a listing or removal processes.
const STEP_ENTRIES: usize = 1000;

/// A request in progress.
pub(super) enum NativeJob {
    Get(Box<GetJob>),
    List(Box<Listing>),
    Hash(Box<Hashing>),
    /// `None` once it has ended.
    Describe(Option<Box<Describing>>),
    Copy(Box<Copy>),
    Remove(Box<RecursiveRemoval>),
    Part(PartCheck),
    Stream {
        path: RemotePath,
        id: StreamId,
    },
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

/// The outcome of a step.
pub(super) enum JobStep {
    /// There is more.
    More,
    /// The request is answered.
    Done,
    /// Another session is in the way: repeat the step after this.
    Waits(Wait),
    /// The request is answered, and a partial upload is leased for a put to its target.
    Leased(Box<CheckedPartial>),
    /// The request is answered, and the file may be copied from.
    Described(Box<DescribedFile>),
}

impl NativeJob {
    /// Begins a get. The client's blocks are compared before the header is sent.
    pub(super) fn get(
        file: Download,
        mut known: Vec<Digest>,
        delta: Option<DeltaEncoder>,
        output: &mut NativeOutput,
    ) -> NativeJob {
        known.truncate(usize::try_from(BlockHasher::knowable(file.size())).unwrap_or(usize::MAX));
        let mut get = GetJob { file, known, comparing: true, delta };
        if get.known.is_empty() {
            get.begin_at(0, output);
        }
        NativeJob::Get(Box::new(get))
    }

    /// What its steps change that may have to wait while the home is being counted. A copy has waited before it began.
    pub(super) fn change(&self) -> Option<ChangeKind> {
        matches!(self, NativeJob::Remove(_)).then_some(ChangeKind::Removes)
    }

    /// Does one step. A get produces about `most` bytes, or [`GET_STEP_BYTES`] if that is less.
    pub(super) fn step(&mut self, user: &User, output: &mut NativeOutput, most: usize) -> JobStep {
        let done = match self {
            NativeJob::Get(get) => return get.step_or_end(output, most),
            NativeJob::Part(check) => match check.step(StepLimit::bytes(STEP_BYTES)) {
                Ok(Some(part)) => {
                    blocks(&part.digests, output);
                    output.reply(Reply::new(Status::Resuming, ""));
                    return JobStep::Leased(Box::new(part));
                }
                Ok(None) => {
                    progress(check.progress(), output);
                    Ok(None)
                }
                Err(error) => Err(error),
            },
            NativeJob::Stream { path, id } => match service::find_stream(user, path, *id) {
                Ok(None) => Ok(Some(Reply::new(Status::EnoughSpace, ""))),
                Ok(Some(check)) => {
                    *self = NativeJob::Part(check);
                    Ok(None)
                }
                Err(error) => match error.wait() {
                    Some(wait) => return JobStep::Waits(wait.clone()),
                    None => Err(error),
                },
            },
            NativeJob::List(listing) => list(listing, user, output),
            NativeJob::Hash(hashing) => hash(hashing, output),
            NativeJob::Describe(describing) => match describe(describing, output) {
                Ok(None) => Ok(None),
                Ok(Some(file)) => {
                    output.reply(Reply::new(Status::Done, ""));
                    return JobStep::Described(file);
                }
                Err(error) => Err(error),
            },
            NativeJob::Copy(copy) => {
                let done = copy.step(user, StepLimit::bytes(STEP_BYTES));
                progress((copy.done(), 0), output);
                done.map(|done| done.then(|| Reply::new(Status::Done, "")))
            }
            NativeJob::Remove(removal) => {
                let done = removal.step(user, StepLimit::entries(STEP_ENTRIES));
                progress((removal.removed(), 0), output);
                done.map(|done| done.then(|| Reply::new(Status::Done, "")))
            }
        };
        match done {
            Ok(None) => return JobStep::More,
            Ok(Some(reply)) => output.reply(reply),
            Err(error) => output.reply(refusal(&error)),
        }
        JobStep::Done
    }

    /// Answers a job that the client has cancelled.
    pub(super) fn cancelled(self, output: &mut NativeOutput) {
        match self {
            NativeJob::Get(get) if !get.comparing => output.end(given_up(Status::Cancelled, String::new())),
            _ => output.reply(Reply::new(Status::Cancelled, "")),
        }
    }
}

impl GetJob {
    fn step_or_end(&mut self, output: &mut NativeOutput, most: usize) -> JobStep {
        match self.step(output, most) {
            Ok(true) => return JobStep::Done,
            Ok(false) => return JobStep::More,
            // Before the header, the request itself fails.
            Err(error) if self.comparing => output.reply(refusal(&error)),
            Err(error) => output.end(given_up(error.status(), error.to_string())),
        }
        JobStep::Done
    }

    /// Does one step. Returns whether the file is complete.
    fn step(&mut self, output: &mut NativeOutput, most: usize) -> Result<bool, Error> {
        if self.comparing {
            self.compare(output)?;
            return Ok(false);
        }
        let full = output.len() + GET_STEP_BYTES.min(most);
        if let Some(delta) = &mut self.delta {
            if !delta.step(&mut self.file, output, full)? {
                return Ok(false);
            }
            self.end(output)?;
            return Ok(true);
        }
        while output.len() < full {
            let mut buffer = data_buffer(self.file.size() - self.file.position());
            while self.file.read(&mut buffer)? > 0 {}
            if buffer.len() == HEADER_BYTES {
                self.end(output)?;
                return Ok(true);
            }
            output.data(buffer);
        }
        Ok(false)
    }

    fn end(&mut self, output: &mut NativeOutput) -> Result<(), Error> {
        let (digest, size) = (self.file.finish()?, self.file.size());
        output.end(End { status: Status::Done, message: String::new(), digest, size });
        Ok(())
    }

    /// Compares the client's blocks with the file, and begins to send at the first difference.
    fn compare(&mut self, output: &mut NativeOutput) -> Result<(), Error> {
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
            progress((self.file.position(), total), output);
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

/// Sends block digests, split into frames.
fn blocks(digests: &[Digest], output: &mut NativeOutput) {
    for digests in digests.chunks(Blocks::MAX_PER_FRAME) {
        output.frame(&Frame::Blocks(Blocks { digests: digests.to_vec() }));
    }
}

fn progress((done, total): (u64, u64), output: &mut NativeOutput) {
    output.frame(&Frame::Progress(Progress { done, total }));
}

fn list(listing: &mut Listing, user: &User, output: &mut NativeOutput) -> Result<Option<Reply>, Error> {
    let batch = match listing.is_directory() {
        true => listing.next_batch(user, StepLimit::entries(STEP_ENTRIES))?,
        false => None,
    };
    if let Some((directory, entries)) = batch {
        for frame in frames(&directory, &entries) {
            output.frame(&Frame::Entries(frame));
        }
        return Ok(None);
    }
    if !listing.is_directory() {
        for frame in frames(b"", std::slice::from_ref(listing.own())) {
            output.frame(&Frame::Entries(frame));
        }
    }
    Ok(Some(Reply::with(Payload::Stat(entry(listing.own())))))
}

fn hash(hashing: &mut Hashing, output: &mut NativeOutput) -> Result<Option<Reply>, Error> {
    let result = hashing.step(StepLimit::bytes(STEP_BYTES))?;
    if result.is_none() {
        progress(hashing.progress(), output);
    }
    Ok(result.map(|hashed| Reply::with(Payload::Hash(hashed))))
}

/// Does one step of a description. Returns the file after the last.
fn describe(
    describing: &mut Option<Box<Describing>>,
    output: &mut NativeOutput,
) -> Result<Option<Box<DescribedFile>>, Error> {
    let mut chunks = Vec::new();
    let is_last = match describing {
        Some(describing) => describing.step(StepLimit::bytes(STEP_BYTES), &mut chunks)?,
        None => true,
    };
    for chunks in chunks.chunks(Description::MAX_PER_FRAME) {
        output.frame(&Frame::Description(Description { chunks: chunks.to_vec() }));
    }
    let done = describing.take_if(|_| is_last);
    done.map(|describing| describing.into_file().map(Box::new)).transpose()
}

/// An end frame that tells the client to discard the data before it.
fn given_up(status: Status, message: String) -> End {
    End { status, message, digest: Digest([0; 32]), size: 0 }
}
