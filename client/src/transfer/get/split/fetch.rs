//! Fetches runs of divided files over one connection.

use super::open::{Opened, open};
use super::run::TakenRun;
use super::writer::{RangeEvent, RangeWriter};
use super::{SplitDownloads, SplitTask};
use crate::conversation::{ConversationError, encoded, unexpected};
use crate::transfer::get::download::{DownloadWork, FileNumbers};
use crate::transfer::get::fetch::{FetchResult, MAX_REQUESTED_BYTES};
use crate::transfer::get::write_queue::WriteQueue;
use crate::transfer::pool::WorkShare;
use crate::transfer::retries::Reached;
use crate::transfer::{Failure, TransferContext};
use sshome_wire::{BLOCK_BYTES, Frame, Reply, Request, Status};
use std::collections::VecDeque;
use std::sync::Arc;

/// The largest number of runs requested ahead.
const MAX_PIPELINED_RUNS: usize = 4;

/// Fetches runs over the current connection until all divided files are complete. Files that turn out to be short go to
/// `share`.
///
/// # Errors
/// If the writing thread failed.
pub(in crate::transfer::get) async fn fetch(
    ctx: &mut TransferContext<'_>,
    download: &DownloadWork,
    share: &WorkShare<FileNumbers>,
    reached: &mut Reached,
) -> Result<FetchResult, ConversationError> {
    let (plan, full, options) = (Arc::clone(&download.plan), Arc::clone(&download.full), download.options);
    let (reservations, progress) = (Arc::clone(&download.reservations), ctx.progress.clone());
    let (queue, task) =
        WriteQueue::spawn(download, move || RangeWriter::new(plan, options, reservations, full, progress));
    let mut fetching = RangeFetch {
        download,
        share,
        reached,
        requested: VecDeque::new(),
        to_come: 0,
        in_body: false,
        unconfirmed: 0,
        queue,
        failures: Vec::new(),
    };
    let fetched = fetching.run(ctx, &download.split).await;
    let handed_over = match &fetched {
        Ok(()) | Err(ConversationError::Lost(_)) => fetching.queue.hand_over(ctx).await,
        Err(_) => Ok(()),
    };
    let failures = fetching.stop(ctx);
    let mut summary = task.await.map_err(|error| ConversationError::Local(error.to_string()))?;
    summary.failures.extend(failures);
    summary.saved = ctx.conversation.take_saved();
    Ok(FetchResult { summary, left: Vec::new(), whole: Vec::new(), ended: handed_over.and(fetched) })
}

struct RangeFetch<'a> {
    download: &'a DownloadWork,
    share: &'a WorkShare<FileNumbers>,
    reached: &'a mut Reached,
    /// Requested runs, in the order of their answers. They are returned when the writer is done with them, too.
    requested: VecDeque<Arc<TakenRun>>,
    /// Bytes of them that have not arrived.
    to_come: u64,
    /// Whether the header of the first one has arrived.
    in_body: bool,
    /// Bytes that arrived since the last digest.
    unconfirmed: u64,
    queue: WriteQueue<RangeEvent>,
    failures: Vec<Failure>,
}

impl RangeFetch<'_> {
    async fn run(
        &mut self,
        ctx: &mut TransferContext<'_>,
        split: &SplitDownloads,
    ) -> Result<(), ConversationError> {
        if !ctx.conversation.has_ranges() {
            return Err(ConversationError::Protocol("it no longer sends parts of files".into()));
        }
        let mut changed = split.changed.subscribe();
        loop {
            changed.mark_unchanged();
            let is_last = self.request(ctx, split).await?;
            if self.requested.is_empty() {
                self.queue.hand_over(ctx).await?;
                if is_last {
                    return Ok(());
                }
                tokio::select! {
                    // We hold the sender, so this cannot fail.
                    _ = changed.changed() => continue,
                    () = ctx.cancel.cancelled() => return Err(ConversationError::Cancelled),
                }
            }
            let frame = match ctx.conversation.ready().await? {
                Some(frame) => frame,
                None => {
                    if self.queue.is_wanted() {
                        self.queue.hand_over(ctx).await?;
                    }
                    ctx.conversation.receive(ctx.cancel).await?
                }
            };
            self.take(ctx, frame)?;
            if self.queue.is_full() {
                self.queue.hand_over(ctx).await?;
            }
        }
    }

    /// Requests runs, so that enough is under way. Returns whether all files are complete.
    async fn request(
        &mut self,
        ctx: &mut TransferContext<'_>,
        split: &SplitDownloads,
    ) -> Result<bool, ConversationError> {
        while self.to_come < MAX_REQUESTED_BYTES && self.requested.len() < MAX_PIPELINED_RUNS {
            match split.next(self.requested.is_empty()) {
                SplitTask::Run(run) => {
                    let number = |block| u32::try_from(block).unwrap_or(u32::MAX);
                    let request = Request::GetRange {
                        path: run.file.path.clone(),
                        block: number(run.blocks.start),
                        blocks: number(run.blocks.len()),
                        expect: Some(run.version),
                        data: !run.is_check,
                    };
                    self.to_come += run.data_bytes();
                    self.requested.push_back(Arc::new(run));
                    ctx.conversation.send(encoded(&Frame::Request(request))?, 1, ctx.cancel).await?;
                }
                SplitTask::Open(opening) => {
                    // Its partial file may have been written by this connection.
                    self.queue.hand_over(ctx).await?;
                    let number = opening.file.number;
                    match open(ctx, self.download, opening).await? {
                        Opened::Done => {}
                        Opened::Short => self.share.keep([number]),
                        Opened::Failed(failure) => self.fail(ctx, failure),
                    }
                }
                SplitTask::Wait => return Ok(false),
                SplitTask::Done => return Ok(true),
            }
        }
        Ok(false)
    }

    fn take(&mut self, ctx: &mut TransferContext<'_>, frame: Frame) -> Result<(), ConversationError> {
        let Some(run) = self.requested.front().cloned() else { return Err(unexpected(&frame)) };
        match (frame, self.in_body) {
            (Frame::RangeHeader(header), false) if header.version == run.version => {
                self.in_body = true;
                if let Some(file) = self.download.plan.files.get(run.file.number) {
                    ctx.progress.begin_shared_file(&file.name, header.version.size);
                }
                self.queue.push(RangeEvent::Begin(run), 0);
            }
            (Frame::Data(data), true) if !run.is_check => {
                let length = data.len();
                ctx.progress.advance(length as u64);
                self.unconfirmed = self.unconfirmed.saturating_add(length as u64);
                self.to_come = self.to_come.saturating_sub(length as u64);
                self.queue.push(RangeEvent::Data(data), length);
            }
            (Frame::Blocks(blocks), true) => {
                // A lost connection leaves these.
                self.reached.settle();
                let bytes = (blocks.digests.len() as u64).saturating_mul(BLOCK_BYTES);
                self.unconfirmed = self.unconfirmed.saturating_sub(bytes);
                self.queue.push(RangeEvent::Digests(blocks.digests), 0);
            }
            (Frame::End(end), true) if end.status == Status::Done => {
                self.settle(ctx);
                self.queue.push(RangeEvent::End, 0);
            }
            (Frame::End(end), true) => self.refused(ctx, &run, Reply::new(end.status, end.message)),
            (Frame::Reply(reply), false) if reply.status.is_error() => self.refused(ctx, &run, reply),
            (Frame::Progress(_), _) => {}
            (frame, _) => return Err(unexpected(&frame)),
        }
        Ok(())
    }

    /// The server refuses a run, or its data must not be used.
    fn refused(&mut self, ctx: &TransferContext<'_>, run: &TakenRun, reply: Reply) {
        self.settle(ctx);
        self.queue.push(RangeEvent::Abort, 0);
        let is_changed = reply.status == Status::Changed;
        if !(is_changed && run.restart()) && run.file.finish() {
            let failure = self.download.plan.refused(run.file.number, reply.status, &reply.message);
            self.fail(ctx, failure);
        }
    }

    fn fail(&mut self, ctx: &TransferContext<'_>, failure: Failure) {
        ctx.progress.end_shared_file();
        self.reached.settle();
        self.failures.push(failure);
    }

    /// Removes the first requested run, whose answer is complete.
    fn settle(&mut self, ctx: &TransferContext<'_>) {
        self.in_body = false;
        ctx.progress.leave_shared_file(std::mem::take(&mut self.unconfirmed));
        self.requested.pop_front();
        self.to_come = self.requested.iter().map(|run| run.data_bytes()).sum();
    }

    /// Returns the failures. What was requested and has not arrived is left for others.
    fn stop(self, ctx: &TransferContext<'_>) -> Vec<Failure> {
        ctx.progress.leave_shared_file(self.unconfirmed);
        self.failures
    }
}
