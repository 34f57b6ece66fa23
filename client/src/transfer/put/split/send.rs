//! Sends blocks of divided files over one connection.

use super::file::SplitUpload;
use super::finish::{FinishOutcome, StoredUpload, finish, given_up};
use super::open::{OpenOutcome, open};
use super::reader::{BlockMessage, BlockReader};
use super::rights::TakenBlocks;
use super::sent_blocks::SentBlocks;
use super::{SplitTask, SplitUploads};
use crate::conversation::{ConversationError, encoded, unexpected};
use crate::transfer::delta::DeltaLimits;
use crate::transfer::pool::WorkShare;
use crate::transfer::put::walk::UploadWalk;
use crate::transfer::retries::Reached;
use crate::transfer::{Failure, FinishedFile, ResumedFile, TransferContext, TransferSummary};
use bytes::Bytes;
use sshome_wire::{Digest, End, Frame, Reply, Request, Status, UploadId};
use std::collections::VecDeque;
use std::sync::Arc;
use tokio::sync::mpsc;

/// The largest number of runs that the reader has, so that it never waits for the next one.
const MAX_READ_RUNS: usize = 2;

/// The largest number of unanswered runs.
const MAX_PIPELINED_RUNS: usize = 4;

/// The largest number of messages read ahead.
const READ_AHEAD_MESSAGES: usize = 4;

/// How divided files are sent.
#[derive(Clone, Copy, Debug)]
pub(in crate::transfer::put) struct SplitOptions {
    /// Whether modes and times are sent.
    pub(in crate::transfer::put) preserve: bool,
    /// Which files are sent as differences, over one connection; `None` for none.
    pub(in crate::transfer::put) delta: Option<DeltaLimits>,
    /// Whether a server that is busy is asked again later.
    pub(in crate::transfer::put) is_patient: bool,
}

/// Sends blocks over the current connection until all divided files are stored. Files that are sent over one connection go
/// to `share`.
///
/// # Errors
/// If the conversation is over, `Cancelled`, or `Refused` if the server is busy. Blocks without an answer are left to others.
pub(in crate::transfer::put) async fn send(
    ctx: &mut TransferContext<'_>,
    uploads: &SplitUploads,
    options: SplitOptions,
    share: &WorkShare<UploadWalk>,
    reached: &mut Reached,
) -> (TransferSummary, Result<(), ConversationError>) {
    let (to_read, wanted) = mpsc::channel(MAX_READ_RUNS);
    let (out, messages) = mpsc::channel(READ_AHEAD_MESSAGES);
    let (compressor, max_frame) = (ctx.conversation.compressor(), ctx.conversation.max_frame());
    let reader = BlockReader { compressor, max_frame, progress: ctx.progress.clone(), out };
    let reader = tokio::task::spawn_blocking(move || reader.read(wanted));
    let mut sending = BlockSending {
        uploads,
        options,
        share,
        reached,
        to_read,
        messages,
        reading: 0,
        waiting: VecDeque::new(),
        open: OpenRun::No,
        next: None,
        given_up: Vec::new(),
        summary: TransferSummary::default(),
    };
    let sent = sending.run(ctx).await;
    let mut summary = sending.stop(ctx);
    let failed = |error| ConversationError::Local(format!("the thread that reads files has failed: {error}"));
    let read = reader.await.map_err(failed);
    summary.saved = ctx.conversation.take_saved();
    (summary, read.and(sent))
}

/// The state of the blocks that are being sent.
enum OpenRun {
    /// There are none.
    No,
    /// Their end was not sent, and no answer arrived.
    Sending,
    /// The server refused them; the rest is not sent.
    Refused,
}

/// An unanswered request.
enum AwaitedAnswer {
    Blocks(SentBlocks),
    /// An upload was given up. Its answer has no news.
    GivenUp,
}

struct BlockSending<'a> {
    uploads: &'a SplitUploads,
    options: SplitOptions,
    share: &'a WorkShare<UploadWalk>,
    reached: &'a mut Reached,
    to_read: mpsc::Sender<Arc<TakenBlocks>>,
    messages: mpsc::Receiver<BlockMessage>,
    /// The number of runs that the reader has.
    reading: usize,
    /// The unanswered requests, in order.
    waiting: VecDeque<AwaitedAnswer>,
    open: OpenRun,
    /// What is done once nothing is requested.
    next: Option<SplitTask>,
    /// Uploads to be given up on the server.
    given_up: Vec<(UploadId, End)>,
    summary: TransferSummary,
}

impl BlockSending<'_> {
    async fn run(&mut self, ctx: &mut TransferContext<'_>) -> Result<(), ConversationError> {
        if !ctx.conversation.has_block_uploads() {
            return Err(ConversationError::Protocol("it no longer takes parts of files".into()));
        }
        let mut changed = self.uploads.changed.subscribe();
        loop {
            changed.mark_unchanged();
            self.give_up(ctx).await?;
            if self.take_tasks(ctx).await? {
                return Ok(());
            }
            tokio::select! {
                biased;
                frame = ctx.conversation.receive_owed(!self.waiting.is_empty(), ctx.cancel) => {
                    self.hear(ctx, frame?).await?;
                }
                message = self.messages.recv() => {
                    let ended = || ConversationError::Local("the thread that reads files has ended".into());
                    self.take(ctx, message.ok_or_else(ended)?).await?;
                }
                // We have the sender, so this cannot fail.
                _ = changed.changed(), if self.may_take() => {}
            }
        }
    }

    /// Whether more blocks may be taken.
    fn may_take(&self) -> bool {
        self.next.is_none() && self.reading < MAX_READ_RUNS && self.waiting.len() < MAX_PIPELINED_RUNS
    }

    /// Takes what can be done next. Returns whether all files are stored or have failed.
    async fn take_tasks(&mut self, ctx: &mut TransferContext<'_>) -> Result<bool, ConversationError> {
        loop {
            let is_idle = self.reading == 0 && self.waiting.is_empty();
            if is_idle && let Some(task) = self.next.take() {
                self.execute(ctx, task).await?;
                continue;
            }
            if !self.may_take() {
                return Ok(false);
            }
            match self.uploads.next() {
                SplitTask::Run(taken) => {
                    self.reading += 1;
                    let ended = |_| ConversationError::Local("the thread that reads files has ended".into());
                    self.to_read.send(Arc::new(taken)).await.map_err(ended)?;
                }
                SplitTask::Wait => return Ok(false),
                SplitTask::Done => return Ok(is_idle),
                task => self.next = Some(task),
            }
        }
    }

    /// Does what needs the connection for itself.
    async fn execute(
        &mut self,
        ctx: &mut TransferContext<'_>,
        task: SplitTask,
    ) -> Result<(), ConversationError> {
        match task {
            SplitTask::Open(opening) => match open(ctx, opening, self.options).await? {
                OpenOutcome::Done => {}
                OpenOutcome::Whole(item) => self.share.keep([item]),
                OpenOutcome::Stored(stored) => self.stored(ctx, &stored),
                OpenOutcome::Failed(failure) => self.failed(ctx, failure),
            },
            SplitTask::Finish(finishing) => match finish(ctx, finishing).await? {
                FinishOutcome::Stored(stored) => self.stored(ctx, &stored),
                FinishOutcome::Again => {}
                FinishOutcome::Failed(failure) => self.failed(ctx, failure),
            },
            SplitTask::Run(_) | SplitTask::Wait | SplitTask::Done => {}
        }
        Ok(())
    }

    async fn take(
        &mut self,
        ctx: &mut TransferContext<'_>,
        message: BlockMessage,
    ) -> Result<(), ConversationError> {
        match message {
            BlockMessage::First(taken) => {
                let number = |block| u32::try_from(block).unwrap_or(u32::MAX);
                let (block, blocks) = (number(taken.blocks.start), number(taken.blocks.len()));
                let request = Frame::Request(Request::PutBlocks { id: taken.id, block, blocks });
                self.show(ctx, &taken);
                self.waiting.push_back(AwaitedAnswer::Blocks(SentBlocks::new(taken)));
                self.open = OpenRun::Sending;
                ctx.conversation.send(encoded(&request)?, 1, ctx.cancel).await?;
            }
            BlockMessage::Piece { bytes, length, digest } => {
                self.send_of_open(ctx, bytes, length, digest).await?;
            }
            BlockMessage::Last => {
                let end =
                    End { status: Status::Done, message: String::new(), digest: Digest([0; 32]), size: 0 };
                self.close(ctx, &Frame::End(end)).await?;
            }
            BlockMessage::Stopped(failure) => {
                let mut file = None;
                if let Some(AwaitedAnswer::Blocks(sent)) = self.waiting.back_mut() {
                    sent.is_aborted = true;
                    file = Some(sent.file());
                }
                self.close(ctx, &Frame::Abort).await?;
                if let Some((file, failure)) = file.zip(failure) {
                    self.fail(ctx, &file, failure);
                }
            }
            BlockMessage::Checked(taken, failure) => {
                self.reading -= 1;
                if let Some(failure) = failure {
                    self.fail(ctx, &taken.file, failure);
                }
                if let Some(resumed) = taken.take_resumed() {
                    let remote = taken.file.to.as_bytes();
                    self.show(ctx, &taken);
                    ctx.progress.resume_at(remote, resumed);
                    self.summary.resumed.push(ResumedFile::of(remote, resumed));
                }
            }
        }
        Ok(())
    }

    fn show(&self, ctx: &TransferContext<'_>, taken: &TakenBlocks) {
        ctx.progress.begin_shared_file(taken.file.to.file_name().unwrap_or_default(), taken.local.size);
    }

    async fn send_of_open(
        &mut self,
        ctx: &mut TransferContext<'_>,
        bytes: Bytes,
        length: u64,
        digest: Option<Digest>,
    ) -> Result<(), ConversationError> {
        let (OpenRun::Sending, Some(AwaitedAnswer::Blocks(sent))) = (&self.open, self.waiting.back_mut())
        else {
            return Ok(());
        };
        sent.note_sent(length, digest);
        ctx.progress.advance(length);
        ctx.conversation.send(bytes, 0, ctx.cancel).await
    }

    /// The reader is done with a run: ends it.
    async fn close(&mut self, ctx: &mut TransferContext<'_>, frame: &Frame) -> Result<(), ConversationError> {
        self.reading -= 1;
        match std::mem::replace(&mut self.open, OpenRun::No) {
            OpenRun::Sending => ctx.conversation.send(encoded(frame)?, 0, ctx.cancel).await,
            OpenRun::Refused | OpenRun::No => Ok(()),
        }
    }

    /// Processes an answer, or a part of one.
    async fn hear(&mut self, ctx: &mut TransferContext<'_>, frame: Frame) -> Result<(), ConversationError> {
        match (frame, self.waiting.front_mut()) {
            (Frame::Progress(_), _) => Ok(()),
            (Frame::Stored(stored), Some(AwaitedAnswer::Blocks(sent))) => {
                self.reached.settle();
                sent.acknowledge(stored.bytes).ok_or_else(|| unexpected(&Frame::Stored(stored)))
            }
            (Frame::Reply(reply), Some(_)) => match self.waiting.pop_front() {
                Some(AwaitedAnswer::Blocks(sent)) => self.answer(ctx, &sent, &reply).await,
                Some(AwaitedAnswer::GivenUp) | None => Ok(()),
            },
            (frame, _) => Err(unexpected(&frame)),
        }
    }

    /// Processes the answer to blocks.
    async fn answer(
        &mut self,
        ctx: &mut TransferContext<'_>,
        sent: &SentBlocks,
        reply: &Reply,
    ) -> Result<(), ConversationError> {
        let is_open = self.waiting.is_empty() && matches!(self.open, OpenRun::Sending);
        if is_open {
            // They were refused before their end: the rest is not sent.
            self.open = OpenRun::Refused;
            sent.taken.refuse();
            ctx.conversation.send(encoded(&Frame::Abort)?, 0, ctx.cancel).await?;
        }
        ctx.progress.rewind_shared(sent.uncounted());
        match reply.status {
            Status::Done if is_open || !sent.is_acknowledged() => {
                Err(ConversationError::Protocol("it accepted blocks that it has not got".into()))
            }
            Status::Done => Ok(()),
            Status::Cancelled if sent.is_aborted => Ok(()),
            Status::Failed if sent.taken.file.restart(sent.taken.id) => Ok(()),
            status => {
                let file = sent.file();
                self.fail(ctx, &file, Failure::refused(file.to.as_bytes(), status, &reply.message));
                Ok(())
            }
        }
    }

    /// Ends a file as a failure, unless another connection has ended it.
    fn fail(&mut self, ctx: &TransferContext<'_>, file: &SplitUpload, failure: Failure) {
        let (id, is_news) = file.finish();
        let status = failure.status.unwrap_or(Status::Failed);
        self.given_up.extend(id.map(|id| (id, given_up(status))));
        if is_news {
            self.failed(ctx, failure);
        }
    }

    fn failed(&mut self, ctx: &TransferContext<'_>, failure: Failure) {
        ctx.progress.end_shared_file();
        self.reached.settle();
        self.summary.failures.push(failure);
    }

    fn stored(&mut self, ctx: &TransferContext<'_>, stored: &StoredUpload) {
        let StoredUpload { to, size, digest, resumed } = stored;
        ctx.progress.end_shared_file();
        self.reached.settle();
        self.summary.files += 1;
        self.summary.bytes = self.summary.bytes.saturating_add(*size);
        if let Some(observer) = ctx.progress.observer() {
            let (remote, digest, status) = (to.as_bytes(), Some(*digest), Status::Done);
            let (size, resumed_at) = (*size, *resumed);
            observer.done(&FinishedFile { remote, local: None, size, digest, resumed_at, status });
        }
    }

    /// Gives uploads up on the server, between other requests.
    async fn give_up(&mut self, ctx: &mut TransferContext<'_>) -> Result<(), ConversationError> {
        if !matches!(self.open, OpenRun::No) {
            return Ok(());
        }
        for (id, end) in std::mem::take(&mut self.given_up) {
            self.waiting.push_back(AwaitedAnswer::GivenUp);
            let request = Frame::Request(Request::FinishUpload { id, end });
            ctx.conversation.send(encoded(&request)?, 1, ctx.cancel).await?;
        }
        Ok(())
    }

    /// Returns the results. What has no answer is left for others.
    fn stop(self, ctx: &TransferContext<'_>) -> TransferSummary {
        let uncounted = |unanswered: &AwaitedAnswer| match unanswered {
            AwaitedAnswer::Blocks(sent) => sent.uncounted(),
            AwaitedAnswer::GivenUp => 0,
        };
        ctx.progress.leave_shared_file(self.waiting.iter().map(uncounted).sum());
        self.summary
    }
}
