//! Requests that may take long, done a step at a time so that a cancel is seen between two steps.

use super::entry::{entry, frames, mode, mtime};
use super::group::refusal;
use super::output::{Output, data_buffer};
use crate::operations::{Copy, Download, Error, Hashing, Listing, Removal, User};
use sshome_wire::{Digest, End, Frame, Header, Payload, Progress, Reply, Status};

/// What one step of a get puts out, in bytes.
const SEND: usize = 1 << 20;
/// What one step of anything else goes through, in bytes.
const READ: u64 = 32 << 20;
/// What one step of a listing or a removal goes through, in entries.
const ENTRIES: usize = 1000;

/// A request under way.
pub(super) enum Job {
    Get { file: Box<Download>, offset: u64 },
    List(Box<Listing>),
    Hash(Box<Hashing>),
    Copy(Box<Copy>),
    Remove(Removal),
}

impl Job {
    /// A get, its header put out.
    pub(super) fn get(file: Download, offset: u64, output: &mut Output) -> Job {
        let (mtime, mode) = (mtime(file.stat()), mode(file.stat()));
        output.header(Header { size: file.size(), offset, mtime, mode });
        Job::Get { file: Box::new(file), offset }
    }

    /// Goes on. Returns whether the request is answered.
    pub(super) fn step(&mut self, user: &User, output: &mut Output) -> bool {
        let done = match self {
            Job::Get { file, offset } => {
                let done = send(file, *offset, output);
                return done.unwrap_or_else(|error| {
                    output.end(given_up(error.status(), error.to_string()));
                    true
                });
            }
            Job::List(listing) => list(listing, user, output),
            Job::Hash(hashing) => hash(hashing, output),
            Job::Copy(copy) => {
                let done = copy.step(user, READ);
                output.frame(&Frame::Progress(Progress { done: copy.done(), total: 0 }));
                done.map(|done| done.then(|| Reply::new(Status::Done, "")))
            }
            Job::Remove(removal) => {
                removal.step(user, ENTRIES).map(|done| done.then(|| Reply::new(Status::Done, "")))
            }
        };
        match done {
            Ok(None) => false,
            Ok(Some(reply)) => {
                output.reply(reply);
                true
            }
            Err(error) => {
                output.reply(refusal(&error));
                true
            }
        }
    }

    /// Gives the answer of a job that the client has cancelled.
    pub(super) fn cancelled(self, output: &mut Output) {
        match self {
            Job::Get { .. } => output.end(given_up(Status::Cancelled, String::new())),
            _ => output.reply(Reply::new(Status::Cancelled, "")),
        }
    }
}

fn send(file: &mut Download, offset: u64, output: &mut Output) -> Result<bool, Error> {
    let mut scratch = Vec::with_capacity(if file.position() < offset { SEND } else { 0 });
    let until = file.position().saturating_add(READ);
    while file.position() < offset {
        // The bytes before the offset are hashed and not sent.
        scratch.clear();
        let left = usize::try_from(offset - file.position()).unwrap_or(SEND).min(SEND);
        if left < scratch.capacity() {
            scratch = Vec::with_capacity(left);
        }
        if file.read(&mut scratch)? == 0 || file.position() >= until {
            return Ok(false);
        }
    }
    let full = output.len() + SEND;
    while output.len() < full {
        let mut buffer = data_buffer(file.size() - file.position());
        while file.read(&mut buffer)? > 0 {}
        if buffer.len() == data_buffer(0).len() {
            let digest = file.finish()?;
            output.end(End { status: Status::Done, message: String::new(), digest, size: file.size() });
            return Ok(true);
        }
        output.data(buffer);
    }
    Ok(false)
}

fn list(listing: &mut Listing, user: &User, output: &mut Output) -> Result<Option<Reply>, Error> {
    let batch = match listing.is_directory() {
        true => listing.next_batch(user, ENTRIES)?,
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
    let result = hashing.step(READ)?;
    let (done, total) = hashing.progress();
    if result.is_none() {
        output.frame(&Frame::Progress(Progress { done, total }));
    }
    Ok(result.map(|hashed| Reply::with(Payload::Hash(hashed))))
}

/// An end that says that the data before it are not to be used.
fn given_up(status: Status, message: String) -> End {
    End { status, message, digest: Digest([0; 32]), size: 0 }
}
