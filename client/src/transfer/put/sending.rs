//! What the reader makes is sent, and what the server says to it is heard.

use super::items::Unsettled;
use super::message::{Answer, Asked, Message, Resumed, What};
use crate::conversation::{ConversationError, MOST_DIGESTS, encoded, unexpected};
use crate::transfer::retries::Reached;
use crate::transfer::{self, Context, Failure, Linked, Summary};
use bytes::Bytes;
use sshome_wire::{Digest, Frame, Part, RemotePath, Reply, Status};
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::sync::{mpsc, oneshot};

/// Parts that the server may tell of.
const MOST_PARTS: usize = 1 << 20;

/// The file that comes in pieces, if one is under way.
enum Open {
    /// None is.
    No,
    /// Its end has not been sent, and no answer has come.
    Sending,
    /// The server has refused it; the rest of it is not sent.
    Refused,
}

/// What has no answer yet.
enum Waiting {
    Item(Asked),
    Question(Question),
}

/// A question of the reader's, and what has come of its answer.
struct Question {
    answer: oneshot::Sender<Answer>,
    digests: Vec<Digest>,
    parts: Vec<Part>,
}

/// What a put has done.
#[derive(Default)]
pub(super) struct Done {
    pub(super) summary: Summary,
    /// Links that the server refused, with its answers: perhaps they are there already.
    pub(super) refused_links: Vec<(RemotePath, Vec<u8>, Reply)>,
}

impl Done {
    /// Adds what another connection has done.
    pub(super) fn add(&mut self, other: Done) {
        self.summary.add(other.summary);
        self.refused_links.extend(other.refused_links);
    }
}

/// One connection's share of a put.
pub(super) struct Sending<'a> {
    messages: mpsc::Receiver<Message>,
    /// How many requests may be unanswered.
    ahead: usize,
    /// What has no answer yet, in order.
    waiting: VecDeque<Waiting>,
    open: Open,
    /// How many files in pieces are done with; the reader looks at it.
    settled: Arc<AtomicU64>,
    unsettled: Unsettled,
    done: &'a mut Done,
    reached: &'a mut Reached,
    /// Bytes that were sent and are not answered.
    under_way: u64,
}

impl<'a> Sending<'a> {
    pub(super) fn new(
        messages: mpsc::Receiver<Message>,
        ahead: usize,
        settled: Arc<AtomicU64>,
        unsettled: Unsettled,
        done: &'a mut Done,
        reached: &'a mut Reached,
    ) -> Sending<'a> {
        let (waiting, open, under_way) = (VecDeque::new(), Open::No, 0);
        Sending { messages, ahead, waiting, open, settled, unsettled, done, reached, under_way }
    }

    /// Sends everything and hears every answer.
    ///
    /// # Errors
    /// If the conversation is over, or `Cancelled`. Items that have no answer then stay unsettled.
    pub(super) async fn run(mut self, ctx: &mut Context<'_>) -> Result<(), ConversationError> {
        let sent = self.send_all(ctx).await;
        if sent.is_err() {
            ctx.progress.rewind(self.under_way);
        }
        sent
    }

    async fn send_all(&mut self, ctx: &mut Context<'_>) -> Result<(), ConversationError> {
        loop {
            tokio::select! {
                biased;
                frame = ctx.conversation.receive(ctx.cancel) => self.hear(ctx, frame?).await?,
                message = self.messages.recv() => match message {
                    Some(message) => self.take(ctx, message).await?,
                    None => break,
                },
            }
        }
        while !self.waiting.is_empty() {
            let frame = ctx.conversation.receive(ctx.cancel).await?;
            self.hear(ctx, frame).await?;
        }
        Ok(())
    }

    async fn take(&mut self, ctx: &mut Context<'_>, message: Message) -> Result<(), ConversationError> {
        match message {
            Message::Whole { bytes, asked } => {
                let count = asked.len();
                self.wait_for_room(ctx, count).await?;
                let length = asked.iter().map(Asked::length).fold(0, u64::saturating_add);
                self.waiting.extend(asked.into_iter().map(Waiting::Item));
                ctx.conversation.send(bytes, count, ctx.cancel).await?;
                self.advance(ctx, length);
            }
            Message::First { bytes, asked, resumed } => {
                self.wait_for_room(ctx, 1).await?;
                ctx.progress.begin_file(asked.to.file_name().unwrap_or_default(), asked.length());
                if let Some(Resumed(offset)) = resumed {
                    self.resumed(ctx, &asked, offset);
                }
                self.waiting.push_back(Waiting::Item(asked));
                self.open = Open::Sending;
                ctx.conversation.send(bytes, 1, ctx.cancel).await?;
            }
            Message::Piece { bytes, length } => {
                self.advance(ctx, length);
                self.send_of_open(ctx, bytes).await?;
            }
            Message::Last { bytes, digest, failed } => {
                self.send_of_open(ctx, bytes).await?;
                if let (Open::Sending, Some(Waiting::Item(asked))) = (&self.open, self.waiting.back_mut()) {
                    asked.failed = failed;
                    asked.set_digest(digest);
                    self.settled.fetch_add(1, Ordering::Relaxed);
                }
                self.open = Open::No;
            }
            Message::Question { bytes, answer } => {
                self.wait_for_room(ctx, 1).await?;
                let question = Question { answer, digests: Vec::new(), parts: Vec::new() };
                self.waiting.push_back(Waiting::Question(question));
                ctx.conversation.send(bytes, 1, ctx.cancel).await?;
            }
            Message::Skipped(number, failure) => {
                self.done.summary.skipped.push(failure);
                self.settle(number);
            }
            Message::Failed(number, failure) => {
                self.done.summary.failures.push(failure);
                self.settle(number);
            }
        }
        Ok(())
    }

    fn resumed(&mut self, ctx: &Context<'_>, asked: &Asked, offset: u64) {
        ctx.progress.resume_at(asked.to.as_bytes(), offset);
        self.under_way = self.under_way.saturating_add(offset);
        self.reached.go_on_after(offset);
        self.done.summary.resumed.push(transfer::Resumed::of(asked.to.as_bytes(), offset));
    }

    fn advance(&mut self, ctx: &Context<'_>, bytes: u64) {
        self.under_way = self.under_way.saturating_add(bytes);
        ctx.progress.advance(bytes);
    }

    async fn send_of_open(&mut self, ctx: &mut Context<'_>, bytes: Bytes) -> Result<(), ConversationError> {
        match self.open {
            Open::Sending => ctx.conversation.send(bytes, 0, ctx.cancel).await,
            Open::Refused | Open::No => Ok(()),
        }
    }

    /// Waits until so few requests are unanswered that there may be `more` of them.
    async fn wait_for_room(&mut self, ctx: &mut Context<'_>, more: usize) -> Result<(), ConversationError> {
        while ctx.conversation.outstanding() > 0 && ctx.conversation.outstanding() + more > self.ahead {
            let frame = ctx.conversation.receive(ctx.cancel).await?;
            self.hear(ctx, frame).await?;
        }
        Ok(())
    }

    /// Hears an answer, or a piece of one.
    async fn hear(&mut self, ctx: &mut Context<'_>, frame: Frame) -> Result<(), ConversationError> {
        let waiting = match (frame, self.waiting.front_mut()) {
            (Frame::Progress(_), _) => return Ok(()),
            (Frame::Blocks(blocks), Some(Waiting::Question(question)))
                if question.digests.len() < MOST_DIGESTS =>
            {
                question.digests.extend(blocks.digests);
                return Ok(());
            }
            (Frame::Parts(parts), Some(Waiting::Question(question))) if question.parts.len() < MOST_PARTS => {
                question.parts.extend(parts);
                return Ok(());
            }
            (Frame::Reply(reply), Some(_)) => self.waiting.pop_front().map(|waiting| (reply, waiting)),
            (frame, _) => return Err(unexpected(&frame)),
        };
        match waiting {
            Some((reply, Waiting::Item(asked))) => self.answer(ctx, asked, &reply).await,
            Some((Reply { status, .. }, Waiting::Question(Question { answer, digests, parts }))) => {
                // A reader that has stopped wants no answer.
                let _ = answer.send(Answer { status, digests, parts });
                Ok(())
            }
            None => Ok(()),
        }
    }

    async fn answer(
        &mut self,
        ctx: &mut Context<'_>,
        asked: Asked,
        reply: &Reply,
    ) -> Result<(), ConversationError> {
        let is_open = self.waiting.is_empty() && matches!(self.open, Open::Sending);
        if is_open {
            // It was refused before its end: that is said now, and its space in the stream closed.
            self.open = Open::Refused;
            self.settled.fetch_add(1, Ordering::Relaxed);
            self.note(ctx, asked, reply);
            ctx.conversation.send(encoded(&Frame::Abort)?, 0, ctx.cancel).await?;
        } else {
            self.note(ctx, asked, reply);
        }
        match is_open && !reply.status.is_error() {
            true => Err(ConversationError::Protocol("it took a file before the file's end".into())),
            false => Ok(()),
        }
    }

    fn note(&mut self, ctx: &Context<'_>, asked: Asked, reply: &Reply) {
        let Asked { number: Some(number), to, what, failed } = asked else { return };
        let (remote, summary) = (to.as_bytes(), &mut self.done.summary);
        if let What::File { size, .. } = what {
            ctx.progress.end_file();
            self.under_way = self.under_way.saturating_sub(size);
        }
        match (what, reply.status) {
            _ if failed.is_some() => summary.failures.extend(failed),
            (What::File { size, resumed_at, digest }, status @ Status::Done) => {
                summary.files += 1;
                summary.bytes = summary.bytes.saturating_add(size);
                if let Some(observer) = ctx.progress.observer() {
                    observer.done(&transfer::Done { remote, local: None, size, digest, resumed_at, status });
                }
            }
            (What::Directory(directory), Status::Done | Status::DirectoryExists) => directory.set_there(),
            (What::Filled, Status::Done) => {}
            (What::Link(target), status @ Status::Done) => {
                summary.links += 1;
                if let Some(observer) = ctx.progress.observer() {
                    observer.linked(&Linked { remote, local: None, target: &target, status });
                }
            }
            (What::Link(target), _) => self.done.refused_links.push((to, target, reply.clone())),
            _ => summary.failures.push(Failure::refused(remote, reply.status, &reply.message)),
        }
        self.settle(number);
    }

    fn settle(&mut self, number: u64) {
        self.unsettled.settle(number);
        self.reached.settle();
    }
}
