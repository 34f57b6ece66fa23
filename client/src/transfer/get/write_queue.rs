//! The queue between a connection and the thread that writes what it receives.

use super::download::DownloadWork;
use super::plan::PlannedDirectory;
use crate::conversation::ConversationError;
use crate::names;
use crate::transfer::TransferContext;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

/// The writer gets events in batches of about this many bytes, or this many events: waking the thread for each small
/// file would cost more than the file.
pub(super) const BATCH_BYTES: usize = 512 << 10;
const BATCH_EVENTS: usize = 1024;

/// The largest number of batches that wait for the writer.
const WRITE_QUEUE_BATCHES: usize = 2;

/// Writes what a connection receives.
pub(super) trait EventWriter {
    /// What arrives.
    type Event: Send + 'static;

    /// The results.
    type Output: Send + 'static;

    /// Processes the next event.
    fn take(&mut self, event: Self::Event);

    /// Finishes what is complete. Returns the results.
    fn finish(self) -> Self::Output;
}

/// Events for the writer.
pub(super) struct WriteQueue<E> {
    events: Vec<E>,
    bytes: usize,
    queue: mpsc::Sender<Vec<E>>,
    /// Set by the writer if the local disk is full.
    full: Arc<AtomicBool>,
    /// A directory on this disk.
    directory: PathBuf,
}

impl<E: Send + 'static> WriteQueue<E> {
    /// Starts a thread for the writer of a download. It ends when the queue is dropped.
    pub(super) fn spawn<W: EventWriter<Event = E>>(
        download: &DownloadWork,
        writer: impl FnOnce() -> W + Send + 'static,
    ) -> (WriteQueue<E>, JoinHandle<W::Output>) {
        let (queue, mut batches) = mpsc::channel::<Vec<E>>(WRITE_QUEUE_BATCHES);
        let task = tokio::task::spawn_blocking(move || {
            let mut writer = writer();
            while let Some(batch) = batches.blocking_recv() {
                batch.into_iter().for_each(|event| writer.take(event));
            }
            writer.finish()
        });
        let directory = download.plan.places.first().map(PlannedDirectory::local).unwrap_or_default();
        let full = Arc::clone(&download.full);
        (WriteQueue { events: Vec::new(), bytes: 0, queue, full, directory }, task)
    }

    /// Adds an event that holds this many bytes.
    pub(super) fn push(&mut self, event: E, bytes: usize) {
        self.events.push(event);
        self.bytes += bytes;
    }

    /// Whether the events should be handed over.
    pub(super) fn is_full(&self) -> bool {
        self.bytes >= BATCH_BYTES || self.events.len() >= BATCH_EVENTS
    }

    /// Whether the writer is idle. If it is not, a larger batch later wakes it less often.
    pub(super) fn is_wanted(&self) -> bool {
        self.queue.capacity() == WRITE_QUEUE_BATCHES
    }

    /// Hands the events over. While the writer is behind, nothing is received, and the server has to wait.
    pub(super) async fn hand_over(&mut self, ctx: &TransferContext<'_>) -> Result<(), ConversationError> {
        if self.events.is_empty() {
            return Ok(());
        }
        if self.full.load(Ordering::Relaxed) {
            let directory = names::shown(&self.directory);
            return Err(ConversationError::Local(format!(
                "{directory}: the local disk is full, and the rest was not fetched; make room and give the same \
                 command again: files that are whole are saved, and a partial one is resumed"
            )));
        }
        self.bytes = 0;
        let events = std::mem::take(&mut self.events);
        tokio::select! {
            biased;
            sent = self.queue.send(events) => {
                sent.map_err(|_| ConversationError::Local("the thread that writes files has ended".into()))
            }
            () = ctx.cancel.cancelled() => Err(ConversationError::Cancelled),
        }
    }
}
