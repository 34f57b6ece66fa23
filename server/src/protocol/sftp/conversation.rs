//! The state machine of SFTP on one channel: handles packets in order.

use super::attributes::OwnerNames;
use super::handles::SftpHandles;
use super::job::SftpJob;
use super::outcome::SftpOutcome;
use super::output::SftpOutput;
use super::request::change_of;
use super::status::SftpError;
use super::symlink_order::SymlinkOrder;
use crate::protocol::ChannelEnd;
use crate::protocol::channel_loop::{self, OutputChunk, SliceOutcome};
use crate::service::User;
use bytes::Bytes;
use sshome_store::Wait;
use sshome_wire::sftp::{
    ClientPacket, Extended, Extension, Malformed, SFTP_VERSION, ServerPacket, SftpDecoder, SftpRequest,
    Vendor,
};
use std::time::{Duration, Instant};

/// The time after which a slice ends, so that the user's other sessions get their slices.
const MAX_SLICE_TIME: Duration = Duration::from_millis(50);

/// The time after which an inline slice ends.
const MAX_INLINE_SLICE_TIME: Duration = Duration::from_micros(500);

/// Input above this many bytes does not run inline.
const MAX_INLINE_BYTES: usize = 128 << 10;

/// The output after which a slice ends, in bytes.
const SLICE_OUTPUT_BYTES: usize = 512 << 10;

/// The memory cost of a received chunk besides its content, in bytes: a client may send one byte at a time.
const CHUNK_OVERHEAD_BYTES: usize = 256;

/// SFTP on one channel.
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
    /// The output after which a slice ends, in bytes.
    max_output: usize,
    /// A long-running request, with its id.
    job: Option<(u32, SftpJob)>,
    /// A request that an inline slice left for the next slice, with its id.
    left: Option<(u32, SftpRequest)>,
    /// Whether the current slice runs inline.
    pub(super) is_inline: bool,
    /// The name and start time of the current request, for the metrics.
    pub(super) timed: Option<(&'static str, Instant)>,
    decoder: SftpDecoder,
    greeted: bool,
}

/// A protocol violation that ends the channel.
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
            is_inline: false,
            timed: None,
            decoder: SftpDecoder::new(),
            greeted: false,
        }
    }

    /// Works until no complete packet is left, or for a bounded time. If `inline`, stops before a request that takes long.
    fn work(&mut self, inline: bool) -> Result<SliceOutcome, Violation> {
        self.is_inline = inline;
        let begun = Instant::now();
        let time = if inline { MAX_INLINE_SLICE_TIME } else { MAX_SLICE_TIME };
        while self.output.len() < self.max_output && begun.elapsed() < time {
            if let Some((id, job)) = &mut self.job {
                let id = *id;
                let Some(done) = job.advance(&self.user) else {
                    return Ok(SliceOutcome::InRequest);
                };
                self.job = None;
                self.answer(id, done);
            } else if let Some((id, request)) = self.left.take() {
                if let Some(left) = self.handle_or_leave(id, request) {
                    return Ok(left);
                }
            } else if let Some(packet) = self.decoder.next()? {
                match ClientPacket::decode(packet) {
                    Ok(ClientPacket::Init { .. }) => self.greet()?,
                    _ if !self.greeted => return Err(Violation::NotGreeted),
                    Ok(ClientPacket::Request { id, request }) => {
                        if let Some(left) = self.handle_or_leave(id, request) {
                            return Ok(left);
                        }
                    }
                    Err(Malformed { id: Some(id), flaw, kind }) => {
                        tracing::debug!(user = self.user.name(), kind, %flaw, "a packet that is none");
                        self.answer(id, Err(SftpError::from(flaw)));
                    }
                    Err(malformed) => return Err(malformed.into()),
                }
            } else {
                self.user.may_wait_again();
                return Ok(SliceOutcome::Idle);
            }
        }
        Ok(SliceOutcome::Busy)
    }

    /// Handles a request. One that may not run inline, or has to wait, is left for the next slice, and ends this one.
    fn handle_or_leave(&mut self, id: u32, request: SftpRequest) -> Option<SliceOutcome> {
        let outcome = match change_of(&request).and_then(|change| self.user.must_wait(change)) {
            Some((wait, time)) => SliceOutcome::WaitFor(wait, time),
            None => match self.handle(id, &request) {
                Some(outcome) => {
                    self.answer(id, outcome);
                    return None;
                }
                None => SliceOutcome::Busy,
            },
        };
        self.left = Some((id, request));
        Some(outcome)
    }

    fn end_slice(&self, worked: Result<SliceOutcome, Violation>) -> SliceOutcome {
        worked.unwrap_or_else(|violation| {
            // SFTP has no packet for a violation.
            tracing::warn!(user = self.user.name(), %violation, "the client breaks the protocol");
            SliceOutcome::Ended(ChannelEnd::Violation)
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

    /// Announces version 3 whatever the client's version is, like OpenSSH's server. Older versions differ only in
    /// requests that such a client does not send.
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
        self.output.packet(&ServerPacket::Version { version: SFTP_VERSION, extensions });
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

    fn take_output(&mut self) -> Vec<OutputChunk> {
        let note = self.note.take().map(OutputChunk::Error);
        note.into_iter().chain(self.output.take().into_iter().map(OutputChunk::Output)).collect()
    }

    fn end_wait(&mut self, wait: &Wait) {
        self.user.end_wait(wait);
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
