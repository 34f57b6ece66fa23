//! Files on their way: `get` and `put`, whole, verified and durable.
//!
//! One task talks to the server; another thread reads or writes the local disk and computes the
//! digests. They hand each other bounded batches, so that neither waits for the other for long and
//! memory stays small whatever the size of a file or a tree. Several connections may share the work of
//! one transfer (`parallel`). Standard input and output are files of their own kind (`stream`).

pub mod progress;

mod bar;
mod capped_list;
mod get;
mod jobs;
mod local;
mod names;
mod parallel;
mod pool;
mod put;
mod reconnect;
mod stream;
#[cfg(test)]
mod tests;

pub(crate) use bar::line_style;
pub use capped_list::Exceptions;
pub use get::get;
pub use jobs::{Jobs, JobsError};
pub use progress::{Done, Linked, Observer, Progress};
pub use put::put;
pub use reconnect::{Closing, RETRIES, Reconnect, ReconnectError, Reconnecting, Retry};
pub use stream::{Expected, Streamed, get_stream, put_stream};

use crate::conversation::{Conversation, ConversationError};
use crate::interrupt::Interrupt;
use parallel::Work;
use reconnect::Retries;
use sshome_wire::display::{Escaped, Size};
use sshome_wire::{Entry, FileKind, Payload, RemotePath, Request, Status};
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// How many links a path may lead through; as many as Linux follows.
const MAX_LINKS: usize = 40;

/// What a transfer works with.
pub struct Context<'a> {
    /// The conversation, idle.
    pub conversation: &'a mut Conversation,
    /// Stops the transfer when it is raised; the conversation stays.
    pub interrupt: &'a Interrupt,
    /// Shows how far it has come.
    pub progress: &'a Progress,
    /// How to go on after a lost connection; none where that ends the transfer.
    pub reconnect: Option<&'a mut dyn Reconnect>,
}

impl Context<'_> {
    /// The same, which another interrupt stops as well.
    fn until<'b>(&'b mut self, interrupt: &'b Interrupt) -> Context<'b> {
        let reconnect = self.reconnect.as_mut().map(|reconnect| &mut **reconnect as &mut dyn Reconnect);
        Context { conversation: self.conversation, interrupt, progress: self.progress, reconnect }
    }

    /// Ends a transfer: its lines go, and its work is ended.
    async fn finish<T>(self, done: Result<T, ConversationError>) -> Result<T, ConversationError> {
        self.progress.finish();
        self.settle(done).await
    }

    /// Ends the work on a connection: what it has under way after an error is cancelled.
    async fn settle<T>(self, done: Result<T, ConversationError>) -> Result<T, ConversationError> {
        match done {
            Err(ConversationError::Cancelled) => {
                // If the connection is gone as well, the next command says so.
                let _ = self.conversation.abandon(&mut |_| {}).await;
                Err(ConversationError::Cancelled)
            }
            Err(ConversationError::Local(why)) => {
                self.conversation.abandon(&mut |_| {}).await?;
                Err(ConversationError::Local(why))
            }
            other => other,
        }
    }
}

/// What makes a get a get and a put a put.
trait Transfer {
    /// What the connections do.
    type Work: Work;

    /// Finds out what there is to do next; none at the end.
    async fn next(
        &mut self,
        ctx: &mut Context<'_>,
        retries: &mut Retries,
    ) -> Result<Option<Self::Work>, ConversationError>;

    /// Does what comes after this work, and tells what became of it; of a get also after an error.
    async fn end(
        &mut self,
        ctx: &mut Context<'_>,
        retries: &mut Retries,
        work: &Self::Work,
        carried: Result<(), ConversationError>,
    ) -> Result<Summary, ConversationError>;
}

/// Does a transfer from its beginning to its end.
async fn run(
    mut ctx: Context<'_>,
    transfer: impl Transfer,
    jobs: Jobs,
) -> Result<Summary, ConversationError> {
    let done = steps(&mut ctx, transfer, jobs).await;
    ctx.finish(done).await
}

async fn steps(
    ctx: &mut Context<'_>,
    mut transfer: impl Transfer,
    jobs: Jobs,
) -> Result<Summary, ConversationError> {
    let (mut retries, mut summary) = (Retries::default(), Summary::default());
    while let Some(work) = transfer.next(ctx, &mut retries).await? {
        let work = Arc::new(work);
        let carried = parallel::carry(ctx, &mut retries, &work, jobs).await;
        summary.add(transfer.end(ctx, &mut retries, &work, carried).await?);
    }
    Ok(summary)
}

/// How a transfer is done.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Directories, too, with all that is in them.
    pub recursive: bool,
    /// Permission bits and modification times are taken over.
    pub preserve: bool,
    /// Symbolic links in a tree are followed, rather than to be made again as they are.
    pub follow: bool,
    /// A get replaces a local file that differs, rather than to save beside it.
    pub force: bool,
    /// How many connections share the work.
    pub jobs: Jobs,
    /// A get of a tree goes by portions of about this many entries, each of whole directories, so that its
    /// memory does not grow with the tree.
    pub portion: usize,
}

impl Options {
    /// The usual portion: some megabytes of names, and some seconds of work.
    pub const PORTION: usize = 50_000;
}

impl Default for Options {
    fn default() -> Options {
        let (recursive, preserve, follow, force) = (false, false, false, false);
        Options { recursive, preserve, follow, force, jobs: Jobs::Auto, portion: Options::PORTION }
    }
}

/// What became of a transfer.
#[derive(Clone, Debug, Default)]
pub struct Summary {
    /// Files that were transferred, are verified and durable.
    pub files: u64,
    /// Their length in bytes.
    pub bytes: u64,
    /// Files that were not transferred, because the same content is there already.
    pub unchanged: u64,
    /// Symbolic links that were made. One that was there already counts as unchanged.
    pub links: u64,
    /// Files that were saved under another name, because a different one has theirs.
    pub saved_as: Exceptions<SavedAs>,
    /// Files that were gone on with, or that might have been.
    pub resumed: Exceptions<Resumed>,
    /// Special files, which were left out.
    pub skipped: Exceptions<Failure>,
    /// Files that did not arrive. The others did.
    pub failures: Exceptions<Failure>,
}

/// A file that was saved under another name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SavedAs {
    /// Where it would have gone.
    pub wanted: PathBuf,
    /// Where it is.
    pub saved: PathBuf,
}

/// A file of which a part was there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resumed {
    /// Its path, safe to show.
    pub what: String,
    /// Bytes that were there and agree; 0 where none do, so that it began anew.
    pub offset: u64,
}

impl Resumed {
    fn of(what: &[u8], offset: u64) -> Resumed {
        Resumed { what: Escaped(what).to_string(), offset }
    }
}

impl fmt::Display for Resumed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.offset {
            0 => write!(f, "{}: the part differs: begins anew", self.what),
            offset => write!(f, "{}: resumed at {}", self.what, Size(offset)),
        }
    }
}

/// What is said of a file that came to its end with another digest than the server has of it.
const DIFFERS: &str = "what arrived is not what was stored: `hash --verify` tells whether it has changed on the \
                       server's disk; then restore it from a copy, else get it again";

/// What is said of a source that is named more than once.
const NAMED_TWICE: &str = "named more than once: transferred once";

/// What is said of a directory that is to be fetched as a file.
const IS_DIRECTORY: &str = "is a directory: use get -r";

/// One thing that was not transferred.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// Its path, safe to show.
    pub what: String,
    /// The reason, safe to show.
    pub why: String,
    /// The server's status, where it was the server that said so.
    pub status: Option<Status>,
}

impl Failure {
    fn of(what: &[u8], why: impl Into<String>) -> Failure {
        Failure { what: Escaped(what).to_string(), why: why.into(), status: None }
    }

    /// What the server said about `what`.
    fn refused(what: &[u8], status: Status, message: &str) -> Failure {
        let why = match message {
            "" => status.words().to_owned(),
            message => Escaped(message.as_bytes()).to_string(),
        };
        Failure { what: Escaped(what).to_string(), why, status: Some(status) }
    }
}

impl Summary {
    /// Adds what another part of the same transfer did.
    fn add(&mut self, other: Summary) {
        self.files += other.files;
        self.bytes = self.bytes.saturating_add(other.bytes);
        self.unchanged += other.unchanged;
        self.links += other.links;
        self.saved_as.add(other.saved_as);
        self.resumed.add(other.resumed);
        self.skipped.add(other.skipped);
        self.failures.add(other.failures);
    }
}

/// What is at a path on the server, links followed; none where nothing is.
async fn remote_entry(ctx: &mut Context<'_>, path: &RemotePath) -> Result<Option<Entry>, ConversationError> {
    let request = Request::Stat { path: path.as_bytes().to_vec(), follow: true };
    match ctx.conversation.request(request, ctx.interrupt).await {
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

/// Whether there is a directory at a path on the server.
async fn remote_is_directory(ctx: &mut Context<'_>, path: &RemotePath) -> Result<bool, ConversationError> {
    Ok(remote_entry(ctx, path).await?.is_some_and(|entry| entry.kind == FileKind::Directory))
}

/// Runs what blocks in a thread for such work.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, ConversationError> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|error| ConversationError::Local(format!("a thread at work on files has failed: {error}")))
}

/// A local path's bytes, as well as the system lets us have them.
fn path_bytes(path: &Path) -> &[u8] {
    path.as_os_str().as_encoded_bytes()
}
