//! What the packets of one channel mean, taken up one after the other.

use super::attributes::Names;
use super::handles::Handles;
use super::job::Job;
use super::outcome::Outcome;
use super::output::Output;
use super::status::Refused;
use super::symlink_order::SymlinkOrder;
use crate::operations::User;
use crate::subsystem::channel_loop::{self, Turn};
use bytes::Bytes;
use sshome_wire::sftp::{
    ClientPacket, Decoder, Extended, Extension, Malformed, Request, ServerPacket, VERSION, Vendor,
};
use std::time::{Duration, Instant};

/// A turn ends after this time, however small its steps were: other sessions of the user want turns too.
const LONG: Duration = Duration::from_millis(50);

/// A light turn ends after this time.
const BRIEF: Duration = Duration::from_micros(500);

/// More than this, in bytes, is too much for a light turn.
const MUCH: usize = 128 << 10;

/// A turn ends when it has put out about this much, in bytes.
const ENOUGH: usize = 512 << 10;

/// What a piece of what has arrived costs besides its bytes: a client can send one byte at a time.
const OVERHEAD: usize = 256;

/// One conversation: what it has open, what it works on, and what it has to say.
pub(super) struct Conversation {
    pub(super) user: User,
    pub(super) names: Names,
    pub(super) symlink_order: SymlinkOrder,
    /// Whether this may be `ssh-copy-id -s`: see [`Conversation::refuse_copy_id`].
    pub(super) may_be_copy_id: bool,
    /// A line for the client's standard error.
    pub(super) note: Option<Bytes>,
    pub(super) handles: Handles,
    pub(super) output: Output,
    /// A turn ends when it has put out about this much, in bytes.
    most_output: usize,
    /// A request that takes long, and its id.
    job: Option<(u32, Box<Job>)>,
    /// A request that a light turn has left, and its id.
    left: Option<(u32, Request)>,
    /// The request that is being worked on, and since when.
    pub(super) timed: Option<(&'static str, Instant)>,
    decoder: Decoder,
    greeted: bool,
}

/// Why the channel ends.
#[derive(Debug, thiserror::Error)]
enum Violation {
    #[error(transparent)]
    Stream(#[from] sshome_wire::sftp::PacketError),
    #[error(transparent)]
    Packet(#[from] Malformed),
    #[error("a request before INIT")]
    NotGreeted,
    #[error("a second INIT")]
    Greeted,
}

impl Conversation {
    pub(super) fn new(user: User, symlink_order: SymlinkOrder) -> Conversation {
        Conversation {
            names: Names::of(user.name()),
            user,
            symlink_order,
            may_be_copy_id: false,
            note: None,
            handles: Handles::default(),
            output: Output::default(),
            most_output: ENOUGH,
            job: None,
            left: None,
            timed: None,
            decoder: Decoder::new(),
            greeted: false,
        }
    }

    /// Works until nothing whole is left, or for a bounded time; if `light`, until something takes long.
    fn work(&mut self, light: bool) -> Result<Turn, Violation> {
        let begun = Instant::now();
        let time = if light { BRIEF } else { LONG };
        while self.output.len() < self.most_output && begun.elapsed() < time {
            if let Some((id, job)) = &mut self.job {
                let id = *id;
                let Some(done) = job.step(&self.user, &self.handles) else { return Ok(Turn::InRequest) };
                self.job = None;
                self.answer(id, done);
            } else if let Some((id, request)) = self.left.take() {
                let outcome = self.handle(id, request);
                self.answer(id, outcome);
            } else if let Some(packet) = self.decoder.next()? {
                match ClientPacket::decode(packet) {
                    Ok(ClientPacket::Init { .. }) => self.greet()?,
                    _ if !self.greeted => return Err(Violation::NotGreeted),
                    Ok(ClientPacket::Request { id, request }) if light && self.takes_long(&request) => {
                        self.left = Some((id, request));
                        return Ok(Turn::Busy);
                    }
                    Ok(ClientPacket::Request { id, request }) => {
                        let outcome = self.handle(id, request);
                        self.answer(id, outcome);
                    }
                    Err(Malformed { id: Some(id), flaw, kind }) => {
                        tracing::debug!(user = self.user.name(), kind, %flaw, "a packet that is none");
                        self.answer(id, Err(Refused::from(flaw)));
                    }
                    Err(malformed) => return Err(malformed.into()),
                }
            } else {
                return Ok(Turn::Idle);
            }
        }
        Ok(Turn::Busy)
    }

    fn end_turn(&self, worked: Result<Turn, Violation>) -> Turn {
        worked.unwrap_or_else(|violation| {
            // There is no packet that could tell the client.
            tracing::warn!(user = self.user.name(), %violation, "the client breaks the protocol");
            Turn::Violation
        })
    }

    fn answer(&mut self, id: u32, outcome: Result<Outcome, Refused>) {
        match outcome {
            Ok(Outcome::Response(response)) => self.output.respond(id, &response),
            Ok(Outcome::Sent) => {}
            Ok(Outcome::Job(job)) => self.job = Some((id, job)),
            Err(refused) => {
                tracing::debug!(user = self.user.name(), %refused, "refused");
                self.output.respond(id, &refused.response());
            }
        }
        let rests = self.job.is_none();
        if let Some((name, begun)) = self.timed.take_if(|_| rests) {
            self.user.audit().request(super::SUBSYSTEM, name, begun);
        }
    }

    /// Whatever version the client has, it is told ours, as OpenSSH's server does: older ones differ in requests
    /// that it will not send.
    fn greet(&mut self) -> Result<(), Violation> {
        if std::mem::replace(&mut self.greeted, true) {
            return Err(Violation::Greeted);
        }
        let known = Extended::KNOWN.iter().map(|(name, version)| Extension {
            name: Bytes::from_static(name),
            data: Bytes::from_static(version),
        });
        let vendor = Vendor {
            vendor: Bytes::from_static(b"sshome"),
            product: Bytes::from_static(b"sshomed"),
            version: Bytes::from_static(env!("CARGO_PKG_VERSION").as_bytes()),
            build: 0,
        };
        let extensions = known.chain([vendor.announced()]).collect();
        self.output.packet(&ServerPacket::Version { version: VERSION, extensions });
        Ok(())
    }
}

impl channel_loop::Conversation for Conversation {
    fn push(&mut self, chunks: Vec<Bytes>) {
        chunks.into_iter().for_each(|chunk| self.decoder.push(chunk));
    }

    fn backlog(&self) -> usize {
        self.decoder.buffered() + self.decoder.pieces() * OVERHEAD
    }

    fn is_ready(&mut self) -> bool {
        self.job.is_some() || self.left.is_some() || self.decoder.is_ready()
    }

    fn take_output(&mut self) -> Vec<Bytes> {
        self.output.take()
    }

    fn take_note(&mut self) -> Option<Bytes> {
        self.note.take()
    }

    fn limit_output(&mut self, bytes: Option<usize>) {
        self.most_output = bytes.unwrap_or(ENOUGH);
    }

    fn turn(&mut self, _quiet: bool) -> Turn {
        let _at_work = self.user.audit().at_work();
        let worked = self.work(false);
        self.end_turn(worked)
    }

    fn light_turn(&mut self) -> Option<Turn> {
        let _at_work = self.user.audit().at_work();
        if self.job.is_some() || self.left.is_some() || self.decoder.buffered() > MUCH {
            return None;
        }
        let worked = self.work(true);
        Some(self.end_turn(worked))
    }

    fn is_under_way(&self) -> bool {
        !self.handles.is_empty() || self.job.is_some()
    }
}
