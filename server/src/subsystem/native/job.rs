//! Requests that may take long, done a step at a time so that a cancel is seen between two steps.

use super::entry::{entry, frames, mode, mtime};
use super::output::{Output, data_buffer};
use super::publish_group::refusal;
use crate::operations::{self, CheckedPart, Copy, Download, Error, Hashing, Listing, PartCheck, Removal};
use crate::operations::{StepLimit, StreamLeft, User};
use sshome_wire::frame::HEAD;
use sshome_wire::{
    BLOCK, BlockHasher, Blocks, Digest, End, Frame, Header, Payload, Progress, RemotePath, Reply, Status,
    StreamId,
};
use std::time::Duration;

/// What one step of a get puts out, in bytes: it is still in the processor's cache when it is sent.
const SEND: usize = 512 << 10;
/// What one step of anything else goes through, in bytes.
const READ: u64 = 32 << 20;
/// What one step of a listing or a removal goes through, in entries.
const ENTRIES: usize = 1000;

/// How long one step waits for a conversation that is to let go of a stream.
const WAIT: Duration = Duration::from_millis(20);

/// A request under way.
pub(super) enum Job {
    Get(Box<Get>),
    List(Box<Listing>),
    Hash(Box<Hashing>),
    Copy(Box<Copy>),
    Remove(Box<Removal>),
    Part(Box<PartCheck>),
    Stream { path: RemotePath, id: StreamId },
}

/// A file that is being sent.
pub(super) struct Get {
    file: Download,
    /// Blocks that the client says it has.
    known: Vec<Digest>,
    /// Whether they are still being compared: the header is not out.
    comparing: bool,
}

/// What a step leaves to do.
pub(super) enum Step {
    /// There is more.
    More,
    /// The request is answered.
    Done,
    /// It is answered, and a part is leased for a put of its target.
    Leased(Box<CheckedPart>),
}

impl Job {
    /// A get. Blocks that the client knows are compared before the header is put out.
    pub(super) fn get(file: Download, mut known: Vec<Digest>, output: &mut Output) -> Job {
        known.truncate(usize::try_from(BlockHasher::knowable(file.size())).unwrap_or(usize::MAX));
        let mut get = Get { file, known, comparing: true };
        if get.known.is_empty() {
            get.begin_at(0, output);
        }
        Job::Get(Box::new(get))
    }

    /// Goes on. A get puts out about `most` bytes, or its own measure if that is less.
    pub(super) fn step(&mut self, user: &User, output: &mut Output, most: usize) -> Step {
        let done = match self {
            Job::Get(get) => return get.step_or_end(output, most),
            Job::Part(check) => match check.step(StepLimit::bytes(READ)) {
                Ok(Some(part)) => {
                    blocks(&part.digests, output);
                    output.reply(Reply::new(Status::Resuming, ""));
                    return Step::Leased(Box::new(part));
                }
                Ok(None) => {
                    progress(check.progress(), output);
                    Ok(None)
                }
                Err(error) => Err(error),
            },
            Job::Stream { path, id } => match operations::find_stream(user, path, *id, WAIT) {
                Ok(StreamLeft::Busy) => Ok(None),
                Ok(StreamLeft::Nothing) => Ok(Some(Reply::new(Status::EnoughSpace, ""))),
                Ok(StreamLeft::Part(check)) => {
                    *self = Job::Part(check);
                    Ok(None)
                }
                Err(error) => Err(error),
            },
            Job::List(listing) => list(listing, user, output),
            Job::Hash(hashing) => hash(hashing, output),
            Job::Copy(copy) => {
                let done = copy.step(user, StepLimit::bytes(READ));
                progress((copy.done(), 0), output);
                done.map(|done| done.then(|| Reply::new(Status::Done, "")))
            }
            Job::Remove(removal) => {
                let done = removal.step(user, StepLimit::entries(ENTRIES));
                progress((removal.removed(), 0), output);
                done.map(|done| done.then(|| Reply::new(Status::Done, "")))
            }
        };
        match done {
            Ok(None) => return Step::More,
            Ok(Some(reply)) => output.reply(reply),
            Err(error) => output.reply(refusal(&error)),
        }
        Step::Done
    }

    /// Gives the answer of a job that the client has cancelled.
    pub(super) fn cancelled(self, output: &mut Output) {
        match self {
            Job::Get(get) if !get.comparing => output.end(given_up(Status::Cancelled, String::new())),
            _ => output.reply(Reply::new(Status::Cancelled, "")),
        }
    }
}

impl Get {
    fn step_or_end(&mut self, output: &mut Output, most: usize) -> Step {
        match self.step(output, most) {
            Ok(true) => return Step::Done,
            Ok(false) => return Step::More,
            // Before the header it is the request that fails.
            Err(error) if self.comparing => output.reply(refusal(&error)),
            Err(error) => output.end(given_up(error.status(), error.to_string())),
        }
        Step::Done
    }

    /// Goes on. Returns whether the file is sent.
    fn step(&mut self, output: &mut Output, most: usize) -> Result<bool, Error> {
        if self.comparing {
            self.compare(output)?;
            return Ok(false);
        }
        let full = output.len() + SEND.min(most);
        while output.len() < full {
            let mut buffer = data_buffer(self.file.size() - self.file.position());
            while self.file.read(&mut buffer)? > 0 {}
            if buffer.len() == HEAD {
                let (digest, size) = (self.file.finish()?, self.file.size());
                output.end(End { status: Status::Done, message: String::new(), digest, size });
                return Ok(true);
            }
            output.data(buffer);
        }
        Ok(false)
    }

    /// Reads on in what the client knows, and begins the data at the first difference.
    fn compare(&mut self, output: &mut Output) -> Result<(), Error> {
        let total = self.known.len() as u64 * BLOCK;
        let (start, limit) = (self.file.position(), StepLimit::bytes(READ));
        let mut scratch = Vec::new();
        while self.file.position() < total && !limit.is_reached(self.file.position() - start) {
            let left = usize::try_from(total - self.file.position()).unwrap_or(SEND);
            scratch = Vec::with_capacity(left.min(SEND));
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

    fn begin_at(&mut self, blocks: usize, output: &mut Output) {
        let mut agreed = self.file.blocks();
        agreed.truncate(blocks);
        self.file.go_on_after(agreed);
        self.known = Vec::new();
        self.comparing = false;
        let (stat, offset) = (self.file.stat(), blocks as u64 * BLOCK);
        output.header(Header { size: self.file.size(), offset, mtime: mtime(stat), mode: mode(stat) });
    }
}

/// Digests of blocks, in as many frames as they take.
fn blocks(digests: &[Digest], output: &mut Output) {
    for digests in digests.chunks(Blocks::MOST) {
        output.frame(&Frame::Blocks(Blocks { digests: digests.to_vec() }));
    }
}

fn progress((done, total): (u64, u64), output: &mut Output) {
    output.frame(&Frame::Progress(Progress { done, total }));
}

fn list(listing: &mut Listing, user: &User, output: &mut Output) -> Result<Option<Reply>, Error> {
    let batch = match listing.is_directory() {
        true => listing.next_batch(user, StepLimit::entries(ENTRIES))?,
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

fn hash(hashing: &mut Hashing, output: &mut Output) -> Result<Option<Reply>, Error> {
    let result = hashing.step(StepLimit::bytes(READ))?;
    if result.is_none() {
        progress(hashing.progress(), output);
    }
    Ok(result.map(|hashed| Reply::with(Payload::Hash(hashed))))
}

/// An end that says that the data before it are not to be used.
fn given_up(status: Status, message: String) -> End {
    End { status, message, digest: Digest([0; 32]), size: 0 }
}
