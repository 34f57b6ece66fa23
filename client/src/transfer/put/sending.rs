//! Sends the reader's messages, and processes the server's answers.

mod note;

use super::items::UnsettledItems;
use super::message::{QuestionAnswer, ResumeOffset, SentRequest, UploadMessage};
use crate::conversation::{ConversationError, MAX_DIGESTS, MAX_LOOKED_UP, encoded, unexpected};
use crate::transfer::retries::Reached;
use crate::transfer::{self, TransferContext, TransferSummary};
use bytes::Bytes;
use sshome_delta::Index;
use sshome_wire::{Digest, Frame, Part, RemotePath, Reply, Status, StoredFile};
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::sync::{mpsc, oneshot};

/// The largest number of partial uploads in an answer.
const MAX_LISTED_PARTS: usize = 1 << 20;

/// The state of the file that is sent in pieces.
enum OpenUpload {
    /// There is none.
    No,
    /// Its end was not sent, and no answer arrived.
    Sending,
    /// The server refused it; the rest is not sent.
    Refused,
}

/// An unanswered request.
enum Unanswered {
    Item(SentRequest),
    Question(OpenQuestion),
}

/// A question of the reader, and the parts of its answer that have arrived.
struct OpenQuestion {
    answer: oneshot::Sender<QuestionAnswer>,
    digests: Vec<Digest>,
    parts: Vec<Part>,
    description: Index,
    files: Vec<StoredFile>,
}

/// The largest number of files in an answer.
const MAX_LISTED_FILES: usize = MAX_LOOKED_UP;

/// The result of a put.
#[derive(Default)]
pub(super) struct UploadOutcome {
    pub(super) summary: TransferSummary,
    /// Links that the server refused, with its answers: they may exist already.
    pub(super) refused_links: Vec<(RemotePath, Vec<u8>, Reply)>,
}

impl UploadOutcome {
    /// Adds the result of another connection.
    pub(super) fn add(&mut self, other: UploadOutcome) {
        self.summary.add(other.summary);
        self.refused_links.extend(other.refused_links);
    }
}

/// One connection's share of a put.
pub(super) struct Sending<'a> {
    messages: mpsc::Receiver<UploadMessage>,
    /// The largest number of unanswered requests.
    ahead: usize,
    /// The unanswered requests, in order.
    waiting: VecDeque<Unanswered>,
    open: OpenUpload,
    /// The number of finished files in pieces, which the reader checks.
    settled: Arc<AtomicU64>,
    unsettled: UnsettledItems,
    done: &'a mut UploadOutcome,
    reached: &'a mut Reached,
    /// Bytes that were sent and have no answer.
    under_way: u64,
    /// Those of the file that is sent in pieces.
    open_bytes: u64,
    /// Whether a server that is busy is asked again later.
    patient: bool,
    /// The first answer that said so. What fails after it may fail because of it, so it is repeated as well.
    busy: Option<Reply>,
}

impl<'a> Sending<'a> {
    pub(super) fn new(
        messages: mpsc::Receiver<UploadMessage>,
        ahead: usize,
        settled: Arc<AtomicU64>,
        unsettled: UnsettledItems,
        done: &'a mut UploadOutcome,
        reached: &'a mut Reached,
    ) -> Sending<'a> {
        let (waiting, open, under_way) = (VecDeque::new(), OpenUpload::No, 0);
        let (open_bytes, patient, busy) = (0, false, None);
        Sending {
            messages,
            ahead,
            waiting,
            open,
            settled,
            unsettled,
            done,
            reached,
            under_way,
            open_bytes,
            patient,
            busy,
        }
    }

    /// With `patient`, an answer that the server is busy ends this with `Refused`, and leaves its item unsettled.
    pub(super) fn patient(self, patient: bool) -> Sending<'a> {
        Sending { patient, ..self }
    }

    /// Sends all messages and receives all answers.
    ///
    /// # Errors
    /// If the conversation is over, `Cancelled`, or `Refused` if the server is busy. Items without an answer stay unsettled.
    pub(super) async fn run(mut self, ctx: &mut TransferContext<'_>) -> Result<(), ConversationError> {
        let sent = self.send_all(ctx).await;
        if sent.is_err() {
            ctx.progress.rewind(self.under_way);
        }
        sent
    }

    async fn send_all(&mut self, ctx: &mut TransferContext<'_>) -> Result<(), ConversationError> {
        while self.busy.is_none() {
            tokio::select! {
                biased;
                frame = ctx.conversation.receive(ctx.cancel) => self.hear(ctx, frame?).await?,
                message = self.messages.recv() => match message {
                    Some(message) => self.take(ctx, message).await?,
                    None => break,
                },
            }
        }
        if self.busy.is_some() && matches!(self.open, OpenUpload::Sending) {
            // The rest of this file is not sent: it is repeated as well.
            self.open = OpenUpload::Refused;
            ctx.conversation.send(encoded(&Frame::Abort)?, 0, ctx.cancel).await?;
        }
        while !self.waiting.is_empty() {
            let frame = ctx.conversation.receive(ctx.cancel).await?;
            self.hear(ctx, frame).await?;
        }
        self.busy.take().map_or(Ok(()), |reply| Err(ConversationError::Refused(reply)))
    }

    async fn take(
        &mut self,
        ctx: &mut TransferContext<'_>,
        message: UploadMessage,
    ) -> Result<(), ConversationError> {
        match message {
            UploadMessage::Whole { bytes, asked } => {
                let count = asked.len();
                self.wait_for_room(ctx, count).await?;
                let length = asked.iter().map(SentRequest::length).fold(0, u64::saturating_add);
                self.waiting.extend(asked.into_iter().map(Unanswered::Item));
                ctx.conversation.send(bytes, count, ctx.cancel).await?;
                self.advance(ctx, length);
            }
            UploadMessage::First { bytes, asked, resumed } => {
                self.wait_for_room(ctx, 1).await?;
                self.open_bytes = 0;
                ctx.progress.begin_file(asked.to.file_name().unwrap_or_default(), asked.length());
                if let Some(ResumeOffset(offset)) = resumed {
                    self.resumed(ctx, &asked, offset);
                }
                self.waiting.push_back(Unanswered::Item(asked));
                self.open = OpenUpload::Sending;
                ctx.conversation.send(bytes, 1, ctx.cancel).await?;
            }
            UploadMessage::Piece { bytes, length } => {
                if matches!(self.open, OpenUpload::Sending) {
                    self.open_bytes = self.open_bytes.saturating_add(length);
                    self.advance(ctx, length);
                }
                self.send_of_open(ctx, bytes).await?;
            }
            UploadMessage::Last { bytes, digest, matched, failed } => {
                self.send_of_open(ctx, bytes).await?;
                if let (OpenUpload::Sending, Some(Unanswered::Item(asked))) =
                    (&self.open, self.waiting.back_mut())
                {
                    asked.failed = failed;
                    asked.set_read(digest, matched);
                    self.settled.fetch_add(1, Ordering::Relaxed);
                }
                self.open = OpenUpload::No;
            }
            UploadMessage::Stored { asked } => {
                ctx.progress.begin_file(asked.to.file_name().unwrap_or_default(), asked.length());
                self.advance(ctx, asked.length());
                self.note(ctx, asked, &Reply::new(Status::Done, ""));
            }
            UploadMessage::Question { bytes, answer } => {
                self.wait_for_room(ctx, 1).await?;
                let (digests, parts, files) = (Vec::new(), Vec::new(), Vec::new());
                let question = OpenQuestion { answer, digests, parts, description: Index::default(), files };
                self.waiting.push_back(Unanswered::Question(question));
                ctx.conversation.send(bytes, 1, ctx.cancel).await?;
            }
            UploadMessage::Skipped(number, failure) => {
                self.done.summary.skipped.push(failure);
                self.settle(number);
            }
            UploadMessage::Failed(number, failure) => {
                self.done.summary.failures.push(failure);
                self.settle(number);
            }
        }
        Ok(())
    }

    fn resumed(&mut self, ctx: &TransferContext<'_>, asked: &SentRequest, offset: u64) {
        ctx.progress.resume_at(asked.to.as_bytes(), offset);
        self.under_way = self.under_way.saturating_add(offset);
        self.open_bytes = offset;
        self.reached.go_on_after(offset);
        self.done.summary.resumed.push(transfer::ResumedFile::of(asked.to.as_bytes(), offset));
    }

    fn advance(&mut self, ctx: &TransferContext<'_>, bytes: u64) {
        self.under_way = self.under_way.saturating_add(bytes);
        ctx.progress.advance(bytes);
    }

    async fn send_of_open(
        &mut self,
        ctx: &mut TransferContext<'_>,
        bytes: Bytes,
    ) -> Result<(), ConversationError> {
        match self.open {
            OpenUpload::Sending => ctx.conversation.send(bytes, 0, ctx.cancel).await,
            OpenUpload::Refused | OpenUpload::No => Ok(()),
        }
    }

    /// Waits until `more` requests may be sent.
    async fn wait_for_room(
        &mut self,
        ctx: &mut TransferContext<'_>,
        more: usize,
    ) -> Result<(), ConversationError> {
        while ctx.conversation.outstanding() > 0 && ctx.conversation.outstanding() + more > self.ahead {
            let frame = ctx.conversation.receive(ctx.cancel).await?;
            self.hear(ctx, frame).await?;
        }
        Ok(())
    }

    /// Processes an answer, or a part of one.
    async fn hear(&mut self, ctx: &mut TransferContext<'_>, frame: Frame) -> Result<(), ConversationError> {
        let waiting = match (frame, self.waiting.front_mut()) {
            (Frame::Progress(_), _) => return Ok(()),
            (Frame::Blocks(blocks), Some(Unanswered::Question(question)))
                if question.digests.len() < MAX_DIGESTS =>
            {
                question.digests.extend(blocks.digests);
                return Ok(());
            }
            (Frame::Parts(parts), Some(Unanswered::Question(question)))
                if question.parts.len() < MAX_LISTED_PARTS =>
            {
                question.parts.extend(parts);
                return Ok(());
            }
            (Frame::StoredFiles(files), Some(Unanswered::Question(question)))
                if question.files.len() + files.len() <= MAX_LISTED_FILES =>
            {
                question.files.extend(files);
                return Ok(());
            }
            (Frame::Description(more), Some(Unanswered::Question(question))) => {
                let added = question.description.extend(&more.chunks);
                return added.map_err(|error| ConversationError::Protocol(error.to_string()));
            }
            (Frame::Reply(reply), Some(_)) => self.waiting.pop_front().map(|waiting| (reply, waiting)),
            (frame, _) => return Err(unexpected(&frame)),
        };
        match waiting {
            Some((reply, Unanswered::Item(asked))) => self.answer(ctx, asked, &reply).await,
            Some((reply, Unanswered::Question(question))) => {
                let OpenQuestion { answer, digests, parts, description, files } = question;
                let Reply { status, payload, .. } = reply;
                // A reader that has ended needs no answer.
                let _ = answer.send(QuestionAnswer { status, payload, digests, parts, description, files });
                Ok(())
            }
            None => Ok(()),
        }
    }

    async fn answer(
        &mut self,
        ctx: &mut TransferContext<'_>,
        asked: SentRequest,
        reply: &Reply,
    ) -> Result<(), ConversationError> {
        let is_open = self.waiting.is_empty() && matches!(self.open, OpenUpload::Sending);
        if is_open {
            // It was refused before its end: its stream is aborted.
            self.open = OpenUpload::Refused;
            self.settled.fetch_add(1, Ordering::Relaxed);
            self.note_unless_busy(ctx, asked, reply);
            ctx.conversation.send(encoded(&Frame::Abort)?, 0, ctx.cancel).await?;
        } else {
            self.note_unless_busy(ctx, asked, reply);
        }
        match is_open && !reply.status.is_error() {
            true => Err(ConversationError::Protocol("it accepted a file before the file's end".into())),
            false => Ok(()),
        }
    }
}
