//! Several connections at the work of one transfer, side by side.
//!
//! A connection is a task that does all of its ciphering, so each of the further ones has a thread of its
//! own. All of them take what they do from the same pool. One that is lost is made again and goes on with
//! what it had; if that cannot be, the others do it. The first is that of the session: it stays when the
//! others go, and does what they could not finish.

use super::blocking::blocking;
use super::context::TransferContext;
use super::jobs::{Jobs, Load};
use super::progress::ProgressDisplay;
use super::reconnect::{Reconnect, ReconnectError};
use super::retries::Retries;
use crate::conversation::ConversationError;
use std::sync::Arc;
use std::thread;
use tokio::sync::{oneshot, watch};
use tokio_util::sync::CancellationToken;

/// What the connections of a transfer do together.
pub(super) trait SharedWork: Send + Sync + 'static {
    /// What one connection has of it. What is undone when it goes is for the others.
    type Share;

    /// How much there is to do. It may block.
    fn load(&self) -> Load;

    /// Whether nothing is left that no connection has.
    fn is_done(&self) -> bool;

    /// The share of another connection.
    fn share(&self) -> Self::Share;

    /// Does what is left over the context's connection, until there is nothing. After an error, too, what
    /// that left undone is in the share when this returns.
    async fn run(
        &self,
        ctx: &mut TransferContext<'_>,
        retries: &mut Retries,
        share: &Self::Share,
    ) -> Result<(), ConversationError>;
}

/// Carries out the work over as many connections as it is worth.
///
/// # Errors
/// If it is not done: because it was cancelled, something failed on this side, or no connection is left.
pub(super) async fn execute<W: SharedWork>(
    ctx: &mut TransferContext<'_>,
    retries: &mut Retries,
    work: &Arc<W>,
    jobs: Jobs,
) -> Result<(), ConversationError> {
    let workers = TransferWorkers {
        work: Arc::clone(work),
        active: Arc::new(watch::Sender::new(0)),
        cancel: ctx.cancel.child_token(),
        finished: CancellationToken::new(),
    };
    // Whoever stops waiting for this stops all connections.
    let _cancel = workers.cancel.clone().drop_guard();
    let reconnect = ctx.reconnect.as_deref().map(Reconnect::beside).filter(|_| jobs != Jobs::ONE);
    let progress = ctx.progress.clone();
    let mut ctx = ctx.until(&workers.cancel);
    let first = async {
        let result = workers.run_first(&mut ctx, retries).await;
        match &result {
            // The others may still be able to go on.
            Err(ConversationError::Lost(_)) => {}
            Err(_) => workers.cancel.cancel(),
            Ok(()) => workers.finished.cancel(),
        }
        result
    };
    let (result, others) = tokio::join!(first, workers.run_further(reconnect, &progress, jobs));
    match (result, others) {
        (_, Err(error)) => Err(error),
        (Err(ConversationError::Lost(_)), Ok(())) if work.is_done() => Ok(()),
        (result, Ok(())) => result,
    }
}

/// All connections of a transfer. Clones are the same.
struct TransferWorkers<W> {
    work: Arc<W>,
    /// How many connections have a share of the work.
    active: Arc<watch::Sender<usize>>,
    /// Stops all of them.
    cancel: CancellationToken,
    /// There is nothing to do any more, nor will there be.
    finished: CancellationToken,
}

impl<W> Clone for TransferWorkers<W> {
    fn clone(&self) -> TransferWorkers<W> {
        TransferWorkers {
            work: Arc::clone(&self.work),
            active: Arc::clone(&self.active),
            cancel: self.cancel.clone(),
            finished: self.finished.clone(),
        }
    }
}

impl<W: SharedWork> TransferWorkers<W> {
    /// Works until all is done, also what others give back.
    async fn run_first(
        &self,
        ctx: &mut TransferContext<'_>,
        retries: &mut Retries,
    ) -> Result<(), ConversationError> {
        let mut active = self.active.subscribe();
        loop {
            self.work(ctx, retries).await?;
            while *active.borrow_and_update() > 0 && self.work.is_done() {
                // The sender is ours.
                let _ = active.changed().await;
            }
            if self.work.is_done() {
                return Ok(());
            }
        }
    }

    /// Works until nothing is left, and makes the connection again when it is lost.
    async fn work(
        &self,
        ctx: &mut TransferContext<'_>,
        retries: &mut Retries,
    ) -> Result<(), ConversationError> {
        // It goes after the share.
        let _active = ActiveWorker::new(&self.active);
        let share = self.work.share();
        let mut run = async |ctx: &mut TransferContext<'_>, retries: &mut Retries| {
            self.work.run(ctx, retries, &share).await
        };
        loop {
            retries.persist(ctx, &mut run).await?;
            // That this connection is done with something may have brought more.
            if self.work.is_done() {
                return Ok(());
            }
        }
    }

    /// Makes further connections, one after the other up to the first that cannot be had, and waits for
    /// their end.
    async fn run_further(
        &self,
        reconnect: Option<Box<dyn Reconnect>>,
        progress: &ProgressDisplay,
        jobs: Jobs,
    ) -> Result<(), ConversationError> {
        let Some(reconnect) = reconnect else { return Ok(()) };
        let measuring = Arc::clone(&self.work);
        let load = tokio::select! {
            load = blocking(move || measuring.load()) => load?,
            () = self.finished.cancelled() => return Ok(()),
            () = self.cancel.cancelled() => return Ok(()),
        };
        let cores = thread::available_parallelism().map_or(1, usize::from);
        let mut ends = Vec::new();
        for _ in 1..jobs.connections(load, cores) {
            if self.work.is_done() {
                break;
            }
            let (opened, opening) = oneshot::channel();
            let (ended, end) = oneshot::channel();
            let (workers, reconnect, own) = (self.clone(), reconnect.beside(), progress.beside());
            let spawned = thread::Builder::new().name("connection".to_owned()).spawn(move || {
                // Nobody waits any more if the transfer was left.
                let _ = ended.send(workers.run_thread(reconnect, &own, opened));
            });
            let opened = match spawned {
                Ok(_) => opening.await.unwrap_or(Ok(())),
                Err(error) => Err(ReconnectError::Refused(error.to_string())),
            };
            if let Err(error) = opened {
                progress.detail(&format!("sshome: no further connection: {error}"));
                break;
            }
            ends.push(end);
        }
        let mut result = Ok(());
        for end in ends {
            let panicked = |_| ConversationError::Local("the thread of a connection has failed".into());
            result = result.and(end.await.map_err(panicked).flatten());
        }
        result
    }

    /// The life of a further connection, in a thread of its own. That it is lost is no error: the others
    /// go on.
    fn run_thread(
        self,
        reconnect: Box<dyn Reconnect>,
        progress: &ProgressDisplay,
        opened: oneshot::Sender<Result<(), ReconnectError>>,
    ) -> Result<(), ConversationError> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| ConversationError::Local(error.to_string()))?;
        let done = runtime.block_on(async {
            tokio::select! {
                done = self.run_connection(reconnect, progress, opened) => done,
                () = self.finished.cancelled() => Ok(()),
            }
        });
        progress.leave();
        done
    }

    async fn run_connection(
        &self,
        mut reconnect: Box<dyn Reconnect>,
        progress: &ProgressDisplay,
        opened: oneshot::Sender<Result<(), ReconnectError>>,
    ) -> Result<(), ConversationError> {
        let connected = tokio::select! {
            connected = reconnect.reconnect() => connected,
            () = self.cancel.cancelled() => return Ok(()),
        };
        // Whoever listens is there until the end of the transfer.
        let mut conversation = match connected {
            Ok(conversation) => {
                let _ = opened.send(Ok(()));
                conversation
            }
            Err(error) => {
                let _ = opened.send(Err(error));
                return Ok(());
            }
        };
        let done = {
            let (conversation, cancel) = (&mut conversation, &self.cancel);
            let mut ctx =
                TransferContext { conversation, cancel, progress, reconnect: Some(reconnect.as_mut()) };
            let done = self.work(&mut ctx, &mut Retries::default()).await;
            ctx.settle(done).await
        };
        drop(conversation);
        reconnect.close().await;
        match done {
            Err(ConversationError::Lost(why)) => {
                progress.detail(&format!("sshome: a further connection is lost: {why}"));
                Ok(())
            }
            // Whoever cancelled says why.
            Err(ConversationError::Cancelled) => Ok(()),
            Err(error) => {
                self.cancel.cancel();
                Err(error)
            }
            Ok(()) => Ok(()),
        }
    }
}

/// A connection is at work for as long as this lives.
struct ActiveWorker<'a>(&'a watch::Sender<usize>);

impl ActiveWorker<'_> {
    fn new(count: &watch::Sender<usize>) -> ActiveWorker<'_> {
        count.send_modify(|count| *count += 1);
        ActiveWorker(count)
    }
}

impl Drop for ActiveWorker<'_> {
    fn drop(&mut self) {
        self.0.send_modify(|count| *count = count.saturating_sub(1));
    }
}
