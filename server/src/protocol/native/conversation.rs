//! The state machine of the native protocol on one channel: it handles frames in order and looks for cancels first.

mod cancel;
mod slices;

use super::change::change_of;
use super::delta::HeldDescription;
use super::frame_cost::cost;
use super::hello::{MAX_OUTSTANDING, greeting, hello};
use super::job::{JobAnswer, NativeJob};
use super::joined_uploads::JoinedUploads;
use super::output::NativeOutput;
use super::publish_group::PublishGroup;
use crate::service::{BlockRun, ChangeKind, DescribedFile, PutUpload, User};
use sshome_ssh::LinkMeter;
use sshome_store::{CheckedPartial, EntryId, EntryRef, Wait};
use sshome_wire::{
    Blocks, Decoder, Description, Digest, Features, Frame, FrameError, Hello, MAX_CHUNKS, PROTOCOL_VERSION,
    Payload, RemotePath, Reply, Request, Status,
};
use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

/// The time after which a slice ends, so that a cancel is noticed.
const MAX_SLICE_TIME: Duration = Duration::from_millis(50);

/// The largest number of block digests that a get may announce: those of 4 TiB.
const MAX_KNOWN_BLOCKS: u32 = 1 << 20;

/// The output after which a slice ends, in bytes.
const SLICE_OUTPUT_BYTES: usize = 1 << 20;

/// The largest number of data frames that an inline slice writes.
const MAX_INLINE_FRAMES: usize = 4;

/// How long a job waits for another session before it tries again. The other session may not have noticed that it is
/// to end.
const MAX_JOB_WAIT: Duration = Duration::from_secs(10);

/// What the connection is receiving.
pub(super) enum ReceiveState {
    Nothing,
    Upload(Box<PutUpload>),
    /// Blocks of an upload over several connections.
    Blocks(Box<BlockRun>),
    /// A put that was refused and answered. Its remaining data is dropped.
    Refused,
    /// A get whose digests or chunks, which the request announced, are arriving.
    Announced(Box<AnnouncedGet>),
}

/// A get that begins once what the client has is known.
pub(super) struct AnnouncedGet {
    request: Request,
    /// The number of block digests that are missing.
    blocks: usize,
    /// The number of chunks that are missing.
    chunks: usize,
}

/// The native protocol on one channel.
pub(super) struct NativeConversation {
    pub(super) user: User,
    pub(super) cwd: RemotePath,
    pub(super) receiving: ReceiveState,
    pub(super) job: Option<Box<dyn NativeJob>>,
    pub(super) output: NativeOutput,
    /// The output after which a slice ends, in bytes.
    max_output: usize,
    /// The block digests of the client's copy of the file that it gets next.
    pub(super) known: Vec<Digest>,
    /// The description of the client's old version of that file.
    pub(super) description: Option<HeldDescription>,
    /// The file that was described to the client.
    pub(super) described: Option<DescribedFile>,
    /// The uploads over several connections that this one takes part in.
    pub(super) joined: JoinedUploads,
    /// Partial uploads that were checked and are leased for puts on this channel.
    pub(super) leased: HashMap<EntryId, CheckedPartial>,
    /// The name and start time of the current request, for the metrics.
    pub(super) timed: Option<(&'static str, Instant)>,
    pub(super) group: PublishGroup,
    decoder: Decoder,
    /// A frame that an inline slice decoded and left for the next slice.
    left: Option<Frame>,
    queue: VecDeque<Frame>,
    /// The memory cost of `queue`, in bytes.
    queued: usize,
    outstanding: u32,
    /// What the first request of the queue, or the job, waits for, and how long.
    waiting: Option<(Wait, Duration)>,
    pub(super) greeted: bool,
    /// The optional features of the client.
    pub(super) features: Features,
}

impl NativeConversation {
    /// Begins with the server's hello as output, which is sent over this link.
    pub(super) fn new(user: User, link: LinkMeter) -> NativeConversation {
        let mut output = NativeOutput::new(link);
        output.frame(&hello(Status::Authenticated, greeting(&user)));
        NativeConversation {
            user,
            cwd: RemotePath::root(),
            receiving: ReceiveState::Nothing,
            job: None,
            output,
            max_output: SLICE_OUTPUT_BYTES,
            known: Vec::new(),
            description: None,
            described: None,
            joined: JoinedUploads::default(),
            leased: HashMap::new(),
            timed: None,
            group: PublishGroup::default(),
            decoder: Decoder::new(),
            left: None,
            queue: VecDeque::new(),
            queued: 0,
            outstanding: 0,
            waiting: None,
            greeted: false,
            features: Features::default(),
        }
    }

    /// Sends a reply after the replies of files that are not published yet.
    pub(super) fn answer(&mut self, reply: Reply) {
        if self.group.is_empty() {
            self.output.reply(reply);
            self.answered(1);
        } else {
            self.group.answer(reply);
        }
    }

    /// Replies once these new names are durable together with the current group.
    pub(super) fn made(&mut self, names: Vec<EntryRef>) {
        let full = names.iter().any(EntryRef::is_over_budget);
        self.group.made(names, Reply::new(Status::Done, ""));
        if full {
            self.publish();
        }
    }

    /// Finishes a directory after the files of the current group, and replies.
    pub(super) fn finished(&mut self, directory: EntryRef) {
        let full = directory.is_over_budget();
        self.group.finished(directory);
        if full {
            self.publish();
        }
    }

    /// Publishes the staged files, and replies.
    pub(super) fn publish(&mut self) {
        if !self.group.is_empty() {
            let count = self.group.publish(&self.user, &mut self.output);
            self.answered(count);
        }
    }

    fn answered(&mut self, count: usize) {
        self.outstanding = self.outstanding.saturating_sub(count as u32);
    }

    fn next(&mut self) -> Result<Option<Frame>, FrameError> {
        self.left.take().map_or_else(|| self.decoder.next(), |frame| Ok(Some(frame)))
    }

    /// Decodes all complete frames, so that a cancel is found behind the requests that it cancels.
    fn decode(&mut self) -> Result<(), Reply> {
        let bad = |error| Reply::new(Status::BadCommand, format!("{error}"));
        while let Some(frame) = self.next().map_err(bad)? {
            match frame {
                Frame::Cancel => {
                    self.cancel();
                    continue;
                }
                Frame::Request(_) => self.outstanding += 1,
                _ => {}
            }
            self.queued += cost(&frame);
            if self.outstanding > MAX_OUTSTANDING {
                let text = format!("more than {MAX_OUTSTANDING} requests are unanswered");
                return Err(Reply::new(Status::Busy, text));
            }
            self.queue.push_back(frame);
        }
        Ok(())
    }

    fn work(&mut self) -> Result<(), Reply> {
        let begun = Instant::now();
        self.waiting = None;
        while self.output.len() < self.max_output && begun.elapsed() < MAX_SLICE_TIME {
            if let Some(job) = &mut self.job {
                self.waiting = job.change().and_then(|change| self.user.must_wait(change));
                if self.waiting.is_some() {
                    return Ok(());
                }
                let mut answered = 1;
                match job.step(&self.user, &mut self.output, self.max_output) {
                    // A step may take long: look for a cancel after each.
                    Ok(None) => return Ok(()),
                    Ok(Some(answer)) => answered = self.answer_job(answer),
                    Err(error) => match error.wait() {
                        Some(wait) => {
                            self.waiting = Some((wait.clone(), MAX_JOB_WAIT));
                            return Ok(());
                        }
                        None => self.output.fail(error.status(), error.to_string()),
                    },
                }
                self.job = None;
                self.answered(answered);
            } else if let Some(frame) = self.queue.pop_front() {
                self.waiting = self.change_of(&frame).and_then(|change| self.user.must_wait(change));
                if self.waiting.is_some() {
                    self.queue.push_front(frame);
                    return Ok(());
                }
                self.queued = self.queued.saturating_sub(cost(&frame));
                self.take(frame)?;
            } else {
                return Ok(());
            }
            if self.group.is_full() || self.user.wants_publish() {
                self.publish();
            }
            let rests = self.job.is_none() && !self.is_receiving();
            if let Some((name, begun)) = self.timed.take_if(|_| rests) {
                self.user.audit().request(sshome_wire::SUBSYSTEM, name, begun);
            }
        }
        Ok(())
    }

    /// Returns the number of answers that were sent.
    fn answer_job(&mut self, answer: JobAnswer) -> usize {
        match answer {
            JobAnswer::Staged(file) => {
                self.group.add(*file);
                return 0;
            }
            JobAnswer::Reply(reply) => self.output.reply(reply),
            JobAnswer::Partial(partial) => {
                self.output.blocks(&partial.digests);
                self.output.reply(Reply::new(Status::Resuming, ""));
                if let Some(target) = partial.target.clone() {
                    self.leased.insert(target, *partial);
                }
            }
            JobAnswer::Described(file) => {
                self.described = Some(*file);
                self.output.reply(Reply::new(Status::Done, ""));
            }
            JobAnswer::Opened(opened) => {
                self.output.blocks(&opened.kept);
                self.output.reply(Reply::with(Payload::Upload(opened.upload.id())));
                self.joined.join(opened.upload);
            }
            JobAnswer::Sent => {}
        }
        1
    }

    /// What a frame that is taken next changes.
    fn change_of(&self, frame: &Frame) -> Option<ChangeKind> {
        match frame {
            // Anything else breaks the protocol.
            Frame::Request(request) if self.greeted && matches!(self.receiving, ReceiveState::Nothing) => {
                change_of(request)
            }
            _ => None,
        }
    }

    fn is_receiving(&self) -> bool {
        matches!(self.receiving, ReceiveState::Upload(_) | ReceiveState::Blocks(_))
    }

    fn take(&mut self, frame: Frame) -> Result<(), Reply> {
        match frame {
            Frame::Hello(hello) => self.greet(&hello),
            _ if !self.greeted => Err(violation("the first frame has to be a hello")),
            Frame::Request(request) => self.request(request),
            Frame::Blocks(blocks) => self.blocks(blocks),
            Frame::Description(more) => self.describe(&more),
            Frame::Data(data) => self.data(&data),
            Frame::Copy(range) => self.copy_range(range),
            Frame::CompressedData(data) => self.compressed_data(&data),
            Frame::End(end) => self.end(&end),
            Frame::Abort => self.abort(),
            other => Err(violation(&format!("a {:?} frame is the server's to send", other.kind()))),
        }
    }

    fn request(&mut self, request: Request) -> Result<(), Reply> {
        if !matches!(self.receiving, ReceiveState::Nothing) {
            return Err(violation("a request in the middle of a put"));
        }
        let (known, chunks) = match request {
            Request::Get { known, .. } => (known, 0),
            Request::GetDelta { known, chunks, .. } => (known, chunks),
            _ => (0, 0),
        };
        if known > MAX_KNOWN_BLOCKS || chunks > MAX_CHUNKS {
            let text = format!("more than {MAX_KNOWN_BLOCKS} known blocks or {MAX_CHUNKS} chunks");
            return Err(violation(&text));
        }
        self.description = (chunks > 0).then(|| HeldDescription::new(&self.user));
        self.announced(AnnouncedGet { request, blocks: known as usize, chunks: chunks as usize });
        Ok(())
    }

    /// Handles a request once what it announced has arrived.
    fn announced(&mut self, get: AnnouncedGet) {
        if get.blocks == 0 && get.chunks == 0 {
            self.handle(get.request);
            self.known.clear();
            self.description = None;
        } else {
            self.receiving = ReceiveState::Announced(Box::new(get));
        }
    }

    fn blocks(&mut self, blocks: Blocks) -> Result<(), Reply> {
        match std::mem::replace(&mut self.receiving, ReceiveState::Nothing) {
            ReceiveState::Announced(get) if (1..=get.blocks).contains(&blocks.digests.len()) => {
                let blocks_left = get.blocks - blocks.digests.len();
                self.known.extend(blocks.digests);
                self.announced(AnnouncedGet { blocks: blocks_left, ..*get });
                Ok(())
            }
            _ => Err(violation("digests of blocks that no get announced")),
        }
    }

    fn describe(&mut self, more: &Description) -> Result<(), Reply> {
        match std::mem::replace(&mut self.receiving, ReceiveState::Nothing) {
            ReceiveState::Announced(get)
                if get.blocks == 0 && (1..=get.chunks).contains(&more.chunks.len()) =>
            {
                if let Some(description) = &mut self.description {
                    description.extend(&more.chunks).map_err(|error| violation(&error.to_string()))?;
                }
                let chunks = get.chunks - more.chunks.len();
                self.announced(AnnouncedGet { chunks, ..*get });
                Ok(())
            }
            _ => Err(violation("a description that no get announced")),
        }
    }

    fn greet(&mut self, hello: &Hello) -> Result<(), Reply> {
        if self.greeted {
            return Err(violation("a second hello"));
        }
        if hello.version != PROTOCOL_VERSION {
            let version = hello.version;
            return Err(violation(&format!(
                "protocol version {version} is not supported; the server uses {PROTOCOL_VERSION}"
            )));
        }
        self.greeted_by(hello);
        tracing::debug!(user = self.user.name(), client = ?hello.message, "hello");
        Ok(())
    }
}

pub(super) fn violation(text: &str) -> Reply {
    Reply::new(Status::BadCommand, text)
}
