//! The work of a put, which its connections share.

use super::copies::CopyCandidates;
use super::items::UploadItems;
use super::reader::{self, ReaderOptions};
use super::sending::{Sending, UploadOutcome};
use super::split::{self, FileDivider, SplitOptions, SplitUploads};
use super::stored::SkipRules;
use super::walk::{self, FilledQueue, PlannedUpload, UploadWalk};
use crate::conversation::ConversationError;
use crate::transfer::jobs::Load;
use crate::transfer::parallel::{SharedWork, available_cores};
use crate::transfer::pool::{WorkPool, WorkShare};
use crate::transfer::retries::Retries;
use crate::transfer::{ProgressDisplay, TransferContext, TransferOptions, TransferSummary, blocking};
use sshome_wire::RemotePath;
use std::path::PathBuf;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use tokio::sync::mpsc;

/// The largest number of messages read ahead.
const READ_AHEAD_MESSAGES: usize = 4;

/// The largest number of requests in one message; the server publishes small files in groups of about this size.
const MAX_REQUESTS: usize = 1000;

/// The items to upload, and the results so far.
pub(in crate::transfer) struct UploadWork {
    options: TransferOptions,
    items: Arc<WorkPool<UploadWalk>>,
    /// Large files that the connections send together.
    split: Arc<SplitUploads>,
    sources: Arc<Sources>,
    /// Which files the server may have: they are not sent. `None` sends all.
    skip: Option<Arc<SkipRules>>,
    candidates: Arc<CopyCandidates>,
    done: Mutex<UploadOutcome>,
}

/// The sources that the user named, and their load once it was measured.
struct Sources {
    named: Vec<(PathBuf, RemotePath)>,
    options: TransferOptions,
    load: OnceLock<Load>,
}

impl UploadWork {
    /// The upload of sources, each with its path on the server. `summary` has the failures so far.
    pub(super) fn new(
        named: Vec<(PathBuf, RemotePath)>,
        options: TransferOptions,
        summary: TransferSummary,
    ) -> UploadWork {
        let items = Arc::new(WorkPool::new(UploadWalk::new(named.clone(), options)));
        let done = Mutex::new(UploadOutcome { summary, ..UploadOutcome::default() });
        UploadWork {
            options,
            items,
            split: Arc::default(),
            sources: Arc::new(Sources { named, options, load: OnceLock::new() }),
            skip: None,
            candidates: Arc::default(),
            done,
        }
    }

    /// Uploads that are known beforehand, with their load. `summary` has the results so far.
    pub(in crate::transfer) fn planned(
        uploads: Vec<PlannedUpload>,
        filled: &FilledQueue,
        load: Load,
        options: TransferOptions,
        summary: TransferSummary,
    ) -> UploadWork {
        let items = Arc::new(WorkPool::new(UploadWalk::planned(uploads, filled)));
        let done = Mutex::new(UploadOutcome { summary, ..UploadOutcome::default() });
        let sources = Arc::new(Sources { named: Vec::new(), options, load: load.into() });
        let (skip, candidates) = (None, Arc::default());
        UploadWork { options, items, split: Arc::default(), sources, skip, candidates, done }
    }

    /// The same, without the files that the server has already.
    pub(super) fn skipping(self, rules: Option<SkipRules>) -> UploadWork {
        UploadWork { skip: rules.map(Arc::new), ..self }
    }

    /// The same, with copies of files that the server has elsewhere.
    pub(in crate::transfer) fn copying(self, candidates: CopyCandidates) -> UploadWork {
        UploadWork { candidates: Arc::new(candidates), ..self }
    }

    /// Reports the load to the progress, if it is shown.
    pub(super) async fn show(&self, progress: &ProgressDisplay) -> Result<(), ConversationError> {
        if progress.is_shown() {
            let sources = Arc::clone(&self.sources);
            let Load { files, bytes, .. } = blocking(move || sources.load()).await?;
            progress.begin(files, Some(bytes));
        }
        Ok(())
    }

    /// Takes the results so far.
    pub(super) fn done(&self) -> UploadOutcome {
        std::mem::take(&mut *self.lock())
    }

    fn lock(&self) -> MutexGuard<'_, UploadOutcome> {
        self.done.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Sources {
    fn load(&self) -> Load {
        *self.load.get_or_init(|| walk::measure(self.named.clone(), self.options))
    }
}

impl SharedWork for UploadWork {
    type Share = Arc<WorkShare<UploadWalk>>;

    fn load(&self) -> Load {
        self.sources.load()
    }

    fn is_done(&self) -> bool {
        self.items.is_empty() && self.split.is_finished()
    }

    fn share(&self) -> Arc<WorkShare<UploadWalk>> {
        Arc::new(WorkShare::new(&self.items))
    }

    async fn run(
        &self,
        ctx: &mut TransferContext<'_>,
        retries: &mut Retries,
        share: &Arc<WorkShare<UploadWalk>>,
    ) -> Result<(), ConversationError> {
        let (preserve, is_patient) = (self.options.preserve, retries.may_pause(ctx));
        let delta = self.options.delta.limits(ctx.conversation);
        let options = SplitOptions { preserve, delta, is_patient };
        let may_divide = self.options.split_bytes < u64::MAX;
        // Until its end, this connection may find files for all.
        let searching = may_divide.then(|| self.split.search());
        self.send_items(ctx, retries, share, options).await?;
        drop(searching);
        if self.split.is_finished() {
            return Ok(());
        }
        let (summary, sent) = split::send(ctx, &self.split, options, share, &mut retries.reached).await;
        self.lock().summary.add(summary);
        sent
    }
}

impl UploadWork {
    /// Sends items over the context's connection until there are no more, apart from files that are divided.
    async fn send_items(
        &self,
        ctx: &mut TransferContext<'_>,
        retries: &mut Retries,
        share: &Arc<WorkShare<UploadWalk>>,
        SplitOptions { preserve, delta, is_patient }: SplitOptions,
    ) -> Result<(), ConversationError> {
        let ahead = retries.careful(ctx.conversation.max_outstanding());
        let settled = Arc::new(AtomicU64::new(0));
        let manner = ReaderOptions {
            max_frame: ctx.conversation.max_frame(),
            max_requests: MAX_REQUESTS.min(ahead),
            preserve,
            delta,
            divider: FileDivider::new(&self.split, self.options, delta),
            skip: self.skip.clone().filter(|_| ctx.conversation.has_same_content()),
            candidates: match ctx.conversation.has_same_content() {
                true => Arc::clone(&self.candidates),
                false => Arc::default(),
            },
            settled: Arc::clone(&settled),
            progress: ctx.progress.clone(),
        };
        let (out, messages) = mpsc::channel(READ_AHEAD_MESSAGES);
        let items = UploadItems::new(Arc::clone(share));
        let unsettled = items.unsettled();
        let compressor = ctx.conversation.compressor();
        let reader = tokio::task::spawn_blocking(move || reader::read(items, manner, compressor, out));
        let mut done = UploadOutcome::default();
        // When this ends, the receiver of the reader's messages is dropped, and the reader ends.
        let sending =
            Sending::new(messages, ahead, settled, unsettled.clone(), &mut done, &mut retries.reached);
        let sent = sending.patient(is_patient).run(ctx).await;
        let read = reader.await;
        done.summary.saved = ctx.conversation.take_saved();
        share.keep(unsettled.take());
        self.lock().add(done);
        let failed =
            |error| ConversationError::Local(format!("the thread that reads files has failed: {error}"));
        read.map_err(failed).and(sent)
    }
}

/// The length from which files are divided between connections, in bytes; `u64::MAX` if none is.
pub(in crate::transfer) fn divided_bytes(ctx: &TransferContext<'_>, options: TransferOptions) -> u64 {
    let is_local = ctx.conversation.is_local();
    let has_others = ctx.reconnect.is_some() && options.jobs.may_divide_files(is_local, available_cores());
    match has_others && ctx.conversation.has_block_uploads() {
        true => options.split_bytes,
        false => u64::MAX,
    }
}
