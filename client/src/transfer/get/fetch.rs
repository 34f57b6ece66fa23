//! The gets themselves: asked for ahead, received in order, written by another thread.

use super::plan::Plan;
use super::writer::{Event, Writer};
use crate::conversation::{ConversationError, batch, unexpected};
use crate::transfer::{Context, Failure, Options, Summary};
use sshome_wire::{Frame, Request};
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

/// How many gets are asked for ahead.
const AHEAD: usize = 256;

/// The writer is handed events in batches of about this many bytes, or this many events: a
/// thread woken for each small file would cost more than the file.
const BATCH_BYTES: usize = 512 << 10;
const BATCH_EVENTS: usize = 1024;

/// How many batches may wait for the writer.
const QUEUE: usize = 2;

/// Fetches files of the plan. After an error, too, what was whole is published.
pub(super) async fn fetch(
    ctx: &mut Context<'_>,
    plan: &Arc<Plan>,
    files: Vec<usize>,
    options: Options,
    summary: &mut Summary,
) -> Result<(), ConversationError> {
    if files.is_empty() {
        return Ok(());
    }
    let full = Arc::new(AtomicBool::new(false));
    let (queue, task) = {
        let (plan, full, observer) = (Arc::clone(plan), Arc::clone(&full), ctx.progress.observer());
        spawn_writer(move || Writer::new(plan, options, full, observer))
    };
    let waiting = VecDeque::new();
    let batch = Batch { events: Vec::new(), bytes: 0, queue, full };
    let mut fetching = Fetching { plan, waiting, in_body: false, batch };
    let fetched = fetching.run(ctx, files.into_iter(), summary).await;
    let handed_over = match &fetched {
        Ok(()) => fetching.batch.hand_over(ctx).await,
        Err(_) => Ok(()),
    };
    drop(fetching);
    let written = task.await.map_err(|error| ConversationError::Local(error.to_string()))?;
    summary.add(written);
    fetched.and(handed_over)
}

fn spawn_writer(
    writer: impl FnOnce() -> Writer + Send + 'static,
) -> (mpsc::Sender<Vec<Event>>, JoinHandle<Summary>) {
    let (queue, mut batches) = mpsc::channel::<Vec<Event>>(QUEUE);
    let task = tokio::task::spawn_blocking(move || {
        let mut writer = writer();
        while let Some(batch) = batches.blocking_recv() {
            batch.into_iter().for_each(|event| writer.take(event));
        }
        writer.finish()
    });
    (queue, task)
}

struct Fetching<'a> {
    plan: &'a Plan,
    /// Asked for, and not at its end.
    waiting: VecDeque<usize>,
    /// The header of the first of them has come.
    in_body: bool,
    batch: Batch,
}

impl Fetching<'_> {
    async fn run(
        &mut self,
        ctx: &mut Context<'_>,
        mut files: impl Iterator<Item = usize> + Send,
        summary: &mut Summary,
    ) -> Result<(), ConversationError> {
        let ahead = AHEAD.min(ctx.conversation.max_outstanding());
        loop {
            if ctx.conversation.outstanding() <= ahead / 2 {
                self.ask(ctx, &mut files, ahead, summary).await?;
            }
            if self.waiting.is_empty() {
                return Ok(());
            }
            let frame = match ctx.conversation.ready().await? {
                Some(frame) => frame,
                None => {
                    if self.batch.is_wanted() {
                        self.batch.hand_over(ctx).await?;
                    }
                    ctx.conversation.receive(ctx.interrupt).await?
                }
            };
            self.take(ctx, frame, summary)?;
            if self.batch.is_full() {
                self.batch.hand_over(ctx).await?;
            }
        }
    }

    async fn ask(
        &mut self,
        ctx: &mut Context<'_>,
        files: &mut (impl Iterator<Item = usize> + Send),
        ahead: usize,
        summary: &mut Summary,
    ) -> Result<(), ConversationError> {
        let mut requests = Vec::new();
        while ctx.conversation.outstanding() + requests.len() < ahead {
            let Some(number) = files.next() else { break };
            let Some(file) = self.plan.files.get(number) else { continue };
            match self.plan.remote(file) {
                Ok(path) => {
                    self.waiting.push_back(number);
                    requests.push(Frame::Request(Request::Get { path: path.as_bytes().to_vec(), known: 0 }));
                }
                Err(error) => summary.failures.push(Failure::of(&file.name, error.to_string())),
            }
        }
        let (bytes, count) = batch(requests.into_iter())?;
        ctx.conversation.send(bytes, count, ctx.interrupt).await
    }

    fn take(
        &mut self,
        ctx: &mut Context<'_>,
        frame: Frame,
        summary: &mut Summary,
    ) -> Result<(), ConversationError> {
        match frame {
            Frame::Header(header) if !self.in_body => {
                let Some(number) = self.waiting.front() else {
                    return Err(unexpected(&Frame::Header(header)));
                };
                self.in_body = true;
                self.begin_progress(ctx, *number, header.size);
                self.batch.push(Event::Begin(*number, header), 0);
            }
            Frame::Data(data) if self.in_body => {
                ctx.progress.advance(data.len() as u64);
                let length = data.len();
                self.batch.push(Event::Data(data), length);
            }
            Frame::End(end) if self.in_body => {
                self.in_body = false;
                self.waiting.pop_front();
                ctx.progress.end_file();
                self.batch.push(Event::End(end), 0);
            }
            Frame::Reply(reply) if !self.in_body => {
                let number = self.waiting.pop_front();
                let path =
                    number.and_then(|number| self.plan.files.get(number)).map(|file| self.plan.remote(file));
                let path = path.and_then(Result::ok).unwrap_or_else(sshome_wire::RemotePath::root);
                ctx.progress.end_file();
                summary.failures.push(Failure::refused(path.as_bytes(), reply.status, &reply.message));
            }
            Frame::Progress(_) => {}
            frame => return Err(unexpected(&frame)),
        }
        Ok(())
    }

    fn begin_progress(&self, ctx: &Context<'_>, number: usize, size: u64) {
        if let Some(file) = self.plan.files.get(number) {
            ctx.progress.begin_file(&file.name, size);
        }
    }
}

/// Events on their way to the writer.
struct Batch {
    events: Vec<Event>,
    bytes: usize,
    queue: mpsc::Sender<Vec<Event>>,
    /// The local disk is full, says the writer.
    full: Arc<AtomicBool>,
}

impl Batch {
    fn push(&mut self, event: Event, bytes: usize) {
        self.events.push(event);
        self.bytes += bytes;
    }

    fn is_full(&self) -> bool {
        self.bytes >= BATCH_BYTES || self.events.len() >= BATCH_EVENTS
    }

    /// Whether the writer has nothing to do; if it has, a larger batch later wakes it less often.
    fn is_wanted(&self) -> bool {
        self.queue.capacity() == QUEUE
    }

    /// Hands the events over. While the writer is behind, nothing is read, and the server waits.
    async fn hand_over(&mut self, ctx: &Context<'_>) -> Result<(), ConversationError> {
        if self.events.is_empty() {
            return Ok(());
        }
        if self.full.load(Ordering::Relaxed) {
            let words =
                "the local disk is full, so the rest was not fetched; what was whole by then is saved";
            return Err(ConversationError::Local(words.into()));
        }
        self.bytes = 0;
        let events = std::mem::take(&mut self.events);
        tokio::select! {
            biased;
            sent = self.queue.send(events) => {
                sent.map_err(|_| ConversationError::Local("the thread that writes files has ended".into()))
            }
            () = ctx.interrupt.raised() => Err(ConversationError::Cancelled),
        }
    }
}
