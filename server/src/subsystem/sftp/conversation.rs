//! What the packets of one channel mean, taken up one after the other.

use super::attributes::OwnerNames;
use super::handles::SftpHandles;
use super::job::SftpJob;
use super::outcome::SftpOutcome;
use super::output::SftpOutput;
use super::status::SftpError;
use super::symlink_order::SymlinkOrder;
use crate::operations::User;
use crate::subsystem::channel_loop::{self, SliceOutcome};
use bytes::Bytes;
use sshome_wire::sftp::{
    ClientPacket, Extended, Extension, Malformed, ServerPacket, SftpDecoder, SftpRequest, VERSION, Vendor,
};
use std::time::{Duration, Instant};

/// A turn ends after this time, however small its steps were: other sessions of the user want turns too.
const MAX_SLICE_TIME: Duration = Duration::from_millis(50);

/// A light turn ends after this time.
const MAX_INLINE_SLICE_TIME: Duration = Duration::from_micros(500);

/// More than this, in bytes, is too much for a light turn.
const MAX_INLINE_BYTES: usize = 128 << 10;

/// A turn ends when it has put out about this much, in bytes.
const SLICE_OUTPUT_BYTES: usize = 512 << 10;

/// What a piece of what has arrived costs besides its bytes: a client can send one byte at a time.
const CHUNK_OVERHEAD_BYTES: usize = 256;

/// One conversation: what it has open, what it works on, and what it has to say.
pub(super) struct SftpConversation {
    pub(super) user: User,
    pub(super) names: OwnerNames,
    pub(super) symlink_order: SymlinkOrder,
    /// Whether this may be `ssh-copy-id -s`: see [`SftpConversation::refuse_copy_id`].
    pub(super) may_be_copy_id: bool,
    /// A line for the client's standard error.
    pub(super) note: Option<Bytes>,
    pub(super) handles: SftpHandles,
    pub(super) output: SftpOutput,
    /// A turn ends when it has put out about this much, in bytes.
    max_output: usize,
    /// A request that takes long, and its id.
    job: Option<(u32, Box<SftpJob>)>,
    /// A request that a light turn has left, and its id.
    left: Option<(u32, SftpRequest)>,
    /// The request that is being worked on, and since when.
    pub(super) timed: Option<(&'static str, Instant)>,
    decoder: SftpDecoder,
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

impl SftpConversation {
    pub(super) fn new(user: User, symlink_order: SymlinkOrder) -> SftpConversation {
        SftpConversation {
            names: OwnerNames::of(user.name()),
            user,
            symlink_order,
            may_be_copy_id: false,
            note: None,
            handles: SftpHandles::default(),
            output: SftpOutput::default(),
            max_output: SLICE_OUTPUT_BYTES,
            job: None,
            left: None,
            timed: None,
            decoder: SftpDecoder::new(),
            greeted: false,
        }
    }

    /// Works until nothing whole is left, or for a bounded time; if `inline`, until something takes long.
    fn work(&mut self, inline: bool) -> Result<SliceOutcome, Violation> {
        let begun = Instant::now();
        let time = if inline { MAX_INLINE_SLICE_TIME } else { MAX_SLICE_TIME };
        while self.output.len() < self.max_output && begun.elapsed() < time {
            if let Some((id, job)) = &mut self.job {
                let id = *id;
                let Some(done) = job.step(&self.user, &self.handles) else {
                    return Ok(SliceOutcome::InRequest);
                };
                self.job = None;
                self.answer(id, done);
            } else if let Some((id, request)) = self.left.take() {
                let outcome = self.handle(id, request);
                self.answer(id, outcome);
            } else if let Some(packet) = self.decoder.next()? {
                match ClientPacket::decode(packet) {
                    Ok(ClientPacket::Init { .. }) => self.greet()?,
                    _ if !self.greeted => return Err(Violation::NotGreeted),
                    Ok(ClientPacket::Request { id, request }) if inline && self.takes_long(&request) => {
                        self.left = Some((id, request));
                        return Ok(SliceOutcome::Busy);
                    }
                    Ok(ClientPacket::Request { id, request }) => {
                        let outcome = self.handle(id, request);
                        self.answer(id, outcome);
                    }
                    Err(Malformed { id: Some(id), flaw, kind }) => {
                        tracing::debug!(user = self.user.name(), kind, %flaw, "a packet that is none");
                        self.answer(id, Err(SftpError::from(flaw)));
                    }
                    Err(malformed) => return Err(malformed.into()),
                }
            } else {
                return Ok(SliceOutcome::Idle);
            }
        }
        Ok(SliceOutcome::Busy)
    }

    fn end_slice(&self, worked: Result<SliceOutcome, Violation>) -> SliceOutcome {
        worked.unwrap_or_else(|violation| {
            // There is no packet that could tell the client.
            tracing::warn!(user = self.user.name(), %violation, "the client breaks the protocol");
            SliceOutcome::Violation
        })
    }

    fn answer(&mut self, id: u32, outcome: Result<SftpOutcome, SftpError>) {
        match outcome {
            Ok(SftpOutcome::Response(response)) => self.output.respond(id, &response),
            Ok(SftpOutcome::Sent) => {}
            Ok(SftpOutcome::Job(job)) => self.job = Some((id, job)),
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

impl channel_loop::ChannelProtocol for SftpConversation {
    fn push(&mut self, chunks: Vec<Bytes>) {
        chunks.into_iter().for_each(|chunk| self.decoder.push(chunk));
    }

    fn pending_bytes(&self) -> usize {
        self.decoder.buffered() + self.decoder.pieces() * CHUNK_OVERHEAD_BYTES
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
        self.max_output = bytes.unwrap_or(SLICE_OUTPUT_BYTES);
    }

    fn run_slice(&mut self, _quiet: bool) -> SliceOutcome {
        let _guard = self.user.audit().enter();
        let worked = self.work(false);
        self.end_slice(worked)
    }

    fn run_inline_slice(&mut self) -> Option<SliceOutcome> {
        let _guard = self.user.audit().enter();
        if self.job.is_some() || self.left.is_some() || self.decoder.buffered() > MAX_INLINE_BYTES {
            return None;
        }
        let worked = self.work(true);
        Some(self.end_slice(worked))
    }

    fn is_under_way(&self) -> bool {
        !self.handles.is_empty() || self.job.is_some()
    }
}
