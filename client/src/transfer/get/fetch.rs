//! The downloads: requested ahead, received in order, written by another thread.

use super::download::{DownloadWork, FileNumbers};
use super::local_part::LocalPart;
use super::local_version::{self, LocalDescription, LocalVersion};
use super::write_queue::{BATCH_BYTES, WriteQueue};
use super::writer::{ArrivingHeader, DownloadWriter, WriteEvent, WriteResult};
use crate::conversation::{ConversationError, batch, unexpected};
use crate::transfer::delta::DeltaLimits;
use crate::transfer::pool::{WorkItem, WorkShare};
use crate::transfer::retries::Reached;
use crate::transfer::{Failure, TransferContext, TransferSummary, blocking};
use sshome_wire::{Frame, Header, Request};
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

/// The largest number of gets requested ahead: over a link with latency, the small files that arrive in a round trip. Half
/// of them arrive while the next ones are on their way.
const MAX_PIPELINED_GETS: usize = 8192;

/// The largest number of bytes requested ahead, unless a single file is longer: the rest is left for other connections.
pub(super) const MAX_REQUESTED_BYTES: u64 = 16 << 20;

/// The result of one connection.
pub(super) struct FetchResult {
    pub(super) summary: TransferSummary,
    /// Files that were requested and did not arrive completely.
    pub(super) left: Vec<usize>,
    /// Files whose delta failed, to be requested as a whole.
    pub(super) whole: Vec<usize>,
    /// How the work ended.
    pub(super) ended: Result<(), ConversationError>,
}

/// Downloads the remaining files over the current connection. Whole files are published after an error, too.
///
/// # Errors
/// If the writing thread failed.
pub(super) async fn fetch(
    ctx: &mut TransferContext<'_>,
    download: &DownloadWork,
    share: &WorkShare<FileNumbers>,
    reached: &mut Reached,
) -> Result<FetchResult, ConversationError> {
    let (plan, full, options) = (Arc::clone(&download.plan), Arc::clone(&download.full), download.options);
    let (reservations, observer) = (Arc::clone(&download.reservations), ctx.progress.observer());
    let (batch, task) =
        WriteQueue::spawn(download, move || DownloadWriter::new(plan, options, reservations, full, observer));
    let mut fetching = Fetch {
        download,
        share,
        reached,
        waiting: VecDeque::new(),
        asked: 0,
        known: HashMap::new(),
        old: HashMap::new(),
        whole: Vec::new(),
        delta: download.options.delta.limits(ctx.conversation),
        in_body: None,
        batch,
        failures: Vec::new(),
    };
    let fetched = fetching.run(ctx).await;
    let handed_over = match &fetched {
        // Files that arrived before a loss are not requested again.
        Ok(()) | Err(ConversationError::Lost(_)) => fetching.batch.hand_over(ctx).await,
        Err(_) => Ok(()),
    };
    let (left, mut whole, failures) = fetching.stop(ctx);
    let WriteResult { mut summary, whole: unusable } =
        task.await.map_err(|error| ConversationError::Local(error.to_string()))?;
    summary.failures.extend(failures);
    for (number, bytes) in unusable {
        ctx.progress.repeat_file(bytes);
        whole.push(number);
    }
    summary.saved = ctx.conversation.take_saved();
    Ok(FetchResult { summary, left, whole, ended: handed_over.and(fetched) })
}

struct Fetch<'a> {
    download: &'a DownloadWork,
    share: &'a WorkShare<FileNumbers>,
    reached: &'a mut Reached,
    /// Requested files that have not arrived completely.
    waiting: VecDeque<usize>,
    /// Their total length in bytes, as far as it is known.
    asked: u64,
    /// The partial downloads of those that have not begun.
    known: HashMap<usize, LocalPart>,
    /// The old versions of those that were requested as deltas and have not begun.
    old: HashMap<usize, LocalVersion>,
    /// Files whose delta was refused.
    whole: Vec<usize>,
    /// Which files are requested as deltas; `None` for none.
    delta: Option<DeltaLimits>,
    /// The bytes that exist of the first one; `None` before its header.
    in_body: Option<u64>,
    batch: WriteQueue<WriteEvent>,
    failures: Vec<Failure>,
}

impl Fetch<'_> {
    async fn run(&mut self, ctx: &mut TransferContext<'_>) -> Result<(), ConversationError> {
        let ahead = MAX_PIPELINED_GETS.min(ctx.conversation.max_outstanding());
        loop {
            if ctx.conversation.outstanding() <= ahead / 2 && self.to_come() < MAX_REQUESTED_BYTES {
                self.ask(ctx, ahead).await?;
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
                    ctx.conversation.receive(ctx.cancel).await?
                }
            };
            self.take(ctx, frame)?;
            if self.batch.is_full() {
                self.batch.hand_over(ctx).await?;
            }
        }
    }

    /// Returns the files that did not arrive completely, those whose delta was refused, and the failures.
    fn stop(self, ctx: &TransferContext<'_>) -> (Vec<usize>, Vec<usize>, Vec<Failure>) {
        if let Some(received) = self.in_body {
            ctx.progress.rewind(received);
        }
        (self.waiting.into(), self.whole, self.failures)
    }

    async fn ask(&mut self, ctx: &mut TransferContext<'_>, ahead: usize) -> Result<(), ConversationError> {
        let mut requests = Vec::new();
        while ctx.conversation.outstanding() + requests.len() < ahead && self.to_come() < MAX_REQUESTED_BYTES
        {
            let Some(WorkItem { thing: number, .. }) = self.share.take() else { break };
            let Some(file) = self.download.plan.files.get(number) else { continue };
            let path = match self.download.plan.remote(file) {
                Ok(path) => path.as_bytes().to_vec(),
                Err(error) => {
                    self.failures.push(Failure::of(&file.name, error.to_string()));
                    continue;
                }
            };
            self.waiting.push_back(number);
            self.asked = self.asked.saturating_add(file.size.unwrap_or(0));
            let old = self.describe(ctx, number).await?;
            if let Some(known) = self.download.known(number) {
                self.known.insert(number, known);
            }
            if old.is_some() || self.known.contains_key(&number) {
                let (bytes, count) = batch(requests.drain(..))?;
                ctx.conversation.send(bytes, count, ctx.cancel).await?;
                self.ask_rest(ctx, number, path, old).await?;
            } else {
                requests.push(Frame::Request(Request::Get { path, known: 0 }));
            }
        }
        let (bytes, count) = batch(requests.into_iter())?;
        ctx.conversation.send(bytes, count, ctx.cancel).await
    }

    /// Describes the local file that will be replaced, if a delta to it is worth it.
    async fn describe(
        &self,
        ctx: &TransferContext<'_>,
        number: usize,
    ) -> Result<Option<LocalDescription>, ConversationError> {
        if !self.delta.is_some_and(|limits| self.download.allows_delta(number, limits)) {
            return Ok(None);
        }
        let (plan, cancel) = (Arc::clone(&self.download.plan), ctx.cancel.clone());
        blocking(move || local_version::describe(&plan, number, &cancel)).await
    }

    /// Requests what follows the blocks that exist locally, and is not in an old version.
    async fn ask_rest(
        &mut self,
        ctx: &mut TransferContext<'_>,
        number: usize,
        path: Vec<u8>,
        old: Option<LocalDescription>,
    ) -> Result<(), ConversationError> {
        let digests = self.known.get(&number).map_or(&[][..], |part| &part.digests);
        let Some(LocalDescription { version, chunks, key }) = old else {
            return ctx.conversation.send_get(&path, digests, ctx.cancel).await;
        };
        ctx.conversation.send_get_delta(&path, digests, (&chunks, key), ctx.cancel).await?;
        self.old.insert(number, version);
        Ok(())
    }

    fn take(&mut self, ctx: &mut TransferContext<'_>, frame: Frame) -> Result<(), ConversationError> {
        match (frame, self.in_body) {
            (Frame::Header(header), None) => {
                let Some(number) = self.waiting.front().copied() else {
                    return Err(unexpected(&Frame::Header(header)));
                };
                self.in_body = Some(header.offset);
                self.begin(ctx, number, header);
            }
            (Frame::Data(data), Some(received)) => {
                let length = data.len();
                ctx.progress.advance(length as u64);
                self.in_body = Some(received.saturating_add(length as u64));
                self.batch.push(WriteEvent::Data(data), length);
            }
            (Frame::Copy(range), Some(received)) => {
                ctx.progress.advance(range.length);
                self.in_body = Some(received.saturating_add(range.length));
                // The writer is behind by what it has to copy.
                let bytes = usize::try_from(range.length).unwrap_or(BATCH_BYTES);
                self.batch.push(WriteEvent::Copy(range), bytes);
            }
            (Frame::End(end), Some(_)) => {
                self.in_body = None;
                self.settle(ctx);
                self.batch.push(WriteEvent::End(end), 0);
            }
            (Frame::Reply(reply), None) => {
                let number = self.settle(ctx);
                if let Some(number) = number.filter(|number| self.old.remove(number).is_some()) {
                    ctx.progress.repeat_file(0);
                    self.known.remove(&number);
                    self.whole.push(number);
                    return Ok(());
                }
                let failure = number.map(|number| {
                    self.known.remove(&number);
                    self.download.plan.refused(number, reply.status, &reply.message)
                });
                self.failures.extend(failure);
            }
            (Frame::Progress(_), _) => {}
            (frame, _) => return Err(unexpected(&frame)),
        }
        Ok(())
    }

    fn begin(&mut self, ctx: &TransferContext<'_>, number: usize, header: Header) {
        if let Some(file) = self.download.plan.files.get(number) {
            ctx.progress.begin_file(&file.name, header.size);
        }
        let known = self.known.remove(&number);
        if known.is_some() {
            ctx.progress.resume_at(&self.download.plan.remote_bytes(number), header.offset);
            self.reached.go_on_after(header.offset);
        }
        let old = self.old.remove(&number);
        self.batch.push(WriteEvent::Begin(ArrivingHeader { file: number, header, known, old }), 0);
    }

    /// Removes the first requested file, whose answer is complete.
    fn settle(&mut self, ctx: &TransferContext<'_>) -> Option<usize> {
        ctx.progress.end_file();
        self.reached.settle();
        let number = self.waiting.pop_front();
        self.asked = self.asked.saturating_sub(number.map_or(0, |number| self.size(number)));
        number
    }

    /// Bytes that were requested and have not arrived.
    fn to_come(&self) -> u64 {
        let first = self.waiting.front().map_or(0, |number| self.size(*number));
        self.asked.saturating_sub(self.in_body.unwrap_or(0).min(first))
    }

    /// A file's length in bytes; 0 if unknown.
    fn size(&self, number: usize) -> u64 {
        self.download.plan.files.get(number).and_then(|file| file.size).unwrap_or(0)
    }
}
