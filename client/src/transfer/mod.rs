//! Transfers: `get` and `put`. Files are published whole, verified and durable.
//!
//! One task talks to the server; another thread reads or writes the local disk and computes the digests. They exchange
//! bounded batches, so that neither waits long for the other, and memory use does not depend on the size of a file or a
//! tree. Several connections may share the work of one transfer (`parallel`). Standard input and output have their own
//! module (`stream`).

pub mod progress;

mod bar;
mod block_pool;
mod blocking;
mod capped_list;
mod context;
mod delta;
mod get;
mod jobs;
mod local;
mod look_ahead;
mod loss_lines;
mod names;
mod observer;
mod parallel;
mod pool;
mod put;
mod reconnect;
mod retries;
mod stream;
mod summary;
mod sync;
#[cfg(test)]
mod tests;

pub(crate) use bar::line_style;
pub use capped_list::CappedList;
pub use context::TransferContext;
pub use delta::{Delta, DeltaError};
pub use get::get;
pub use jobs::{Jobs, JobsError};
pub(crate) use local::mtime;
pub use observer::{FinishedFile, FinishedLink, Observer};
pub use progress::ProgressDisplay;
pub use put::put;
pub use reconnect::{
    Closing, DEFAULT_RETRIES, Reconnect, ReconnectError, Reconnecting, Retry, SecondConversation,
};
pub use stream::{ExpectedContent, StreamedFile, get_stream, put_stream};
pub use summary::{Failure, ResumedFile, SavedFile, TransferSummary};
pub use sync::{
    CheckSummary, DeleteOptions, DifferenceKind, FileComparison, Filter, FilterError, FilterRules,
    SyncAction, SyncChange, SyncOptions, TreeDifference, TreeWatcher, WatchedChanges, check, pull, push,
    push_changes,
};

use crate::conversation::ConversationError;
use blocking::blocking;
use look_ahead::LookAhead;
use parallel::SharedWork;
use retries::Retries;
use sshome_wire::{Entry, Payload, RemotePath, Request, Status};
use std::path::Path;
use std::sync::Arc;
use summary::{CONTENT_DIFFERS, IS_DIRECTORY, NAMED_TWICE};

/// The largest number of links in a path: Linux's limit.
const MAX_LINKS: usize = 40;

/// The steps in which get and put differ.
trait Transfer {
    /// The work that the connections share.
    type Work: SharedWork;

    /// Whether more work can be looked for while the current one is executed.
    fn has_more(&self) -> bool {
        false
    }

    /// Finds the next work; `None` at the end.
    async fn next(
        &mut self,
        ctx: &mut TransferContext<'_>,
        retries: &mut Retries,
    ) -> Result<Option<Self::Work>, ConversationError>;

    /// Completes this work and reports its results; for a get also after an error. `coming` is the next work, if it was
    /// found already.
    async fn end(
        &mut self,
        ctx: &mut TransferContext<'_>,
        retries: &mut Retries,
        work: &Self::Work,
        coming: Option<&Self::Work>,
        executed: Result<(), ConversationError>,
    ) -> Result<TransferSummary, ConversationError>;

    /// Completes what was begun, after the next work could not be found.
    async fn give_up(&mut self) -> Result<(), ConversationError> {
        Ok(())
    }
}

/// Executes a transfer to its end.
async fn run(
    mut ctx: TransferContext<'_>,
    mut transfer: impl Transfer,
    jobs: Jobs,
) -> Result<TransferSummary, ConversationError> {
    let done = steps(&mut ctx, &mut transfer, jobs).await;
    ctx.finish(done).await
}

async fn steps(
    ctx: &mut TransferContext<'_>,
    transfer: &mut impl Transfer,
    jobs: Jobs,
) -> Result<TransferSummary, ConversationError> {
    let (mut retries, mut summary) = (Retries::default(), TransferSummary::default());
    let mut next = transfer.next(ctx, &mut retries).await;
    loop {
        let work = match next {
            Ok(Some(work)) => Arc::new(work),
            Ok(None) => return Ok(summary),
            Err(error) => {
                transfer.give_up().await?;
                return Err(error);
            }
        };
        let look_ahead = if transfer.has_more() { LookAhead::of(ctx) } else { None };
        let executing = parallel::execute(ctx, &mut retries, &work, jobs);
        let (executed, ahead) = match look_ahead {
            Some(look_ahead) => look_ahead.during(executing, transfer).await,
            None => (executing.await, None),
        };
        let coming = ahead.as_ref().and_then(|next| next.as_ref().ok()?.as_ref());
        summary.add(transfer.end(ctx, &mut retries, &work, coming, executed).await?);
        next = match ahead {
            Some(next) => next,
            None => transfer.next(ctx, &mut retries).await,
        };
    }
}

/// The options of a transfer.
#[derive(Clone, Copy, Debug)]
pub struct TransferOptions {
    /// Whether directories are transferred, with their contents.
    pub recursive: bool,
    /// Whether permission bits and modification times are kept.
    pub preserve: bool,
    /// Whether symbolic links in a tree are followed instead of copied.
    pub follow: bool,
    /// Whether files whose content the destination has already are transferred as well.
    pub all: bool,
    /// Whether a get replaces a local file that differs instead of saving under a new name.
    pub force: bool,
    /// The number of connections that share the work.
    pub jobs: Jobs,
    /// Whether new versions are sent as differences.
    pub delta: Delta,
    /// A get of a tree goes by portions of about this many entries, each of whole directories, so that its
    /// memory does not grow with the tree. There are two at a time: one is fetched, the next one is looked for.
    pub batch_entries: usize,
    /// A file of at least this many bytes is divided between several connections.
    pub split_bytes: u64,
}

impl TransferOptions {
    /// The default batch: some megabytes of names, and about a second of work.
    pub const DEFAULT_BATCH_ENTRIES: usize = 25_000;

    /// The default for a divided file: two shares that are worth a connection each.
    pub const DEFAULT_SPLIT_BYTES: u64 = jobs::SPLIT_BYTES;
}

impl Default for TransferOptions {
    fn default() -> TransferOptions {
        let (recursive, preserve, follow, all, force) = (false, false, false, false, false);
        TransferOptions {
            recursive,
            preserve,
            follow,
            all,
            force,
            jobs: Jobs::Auto,
            delta: Delta::Auto,
            batch_entries: TransferOptions::DEFAULT_BATCH_ENTRIES,
            split_bytes: TransferOptions::DEFAULT_SPLIT_BYTES,
        }
    }
}

/// The type of a path on the server, with links followed; `None` if it does not exist.
async fn remote_entry(
    ctx: &mut TransferContext<'_>,
    path: &RemotePath,
) -> Result<Option<Entry>, ConversationError> {
    let request = Request::Stat { path: path.as_bytes().to_vec(), follow: true };
    match ctx.conversation.request(request, ctx.cancel).await {
        Ok(reply) => match reply.payload {
            Payload::Stat(entry) => Ok(Some(entry)),
            _ => Err(ConversationError::Protocol("the answer to stat has no entry".into())),
        },
        Err(ConversationError::Refused(reply))
            if matches!(reply.status, Status::NoSuchFile | Status::NoSuchDirectory) =>
        {
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

/// The bytes of a local path, as far as the system provides them.
fn path_bytes(path: &Path) -> &[u8] {
    path.as_os_str().as_encoded_bytes()
}
