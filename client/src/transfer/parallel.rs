//! Parallel connections for one transfer: a worker for each connection, all fed from one pool.
//!
//! A connection encrypts on its own task, so each additional worker has a thread. A worker that loses its
//! connection reconnects and resumes; if it cannot, the others take over its share. The session's own connection
//! is the first worker: it stays to the end and finishes what the others left.

use super::blocking::blocking;
use super::context::TransferContext;
use super::jobs::{Jobs, Load};
use super::progress::ProgressDisplay;
use super::reconnect::{Reconnect, ReconnectError};
use super::retries::Retries;
use crate::conversation::ConversationError;
use std::io;
use std::sync::{Arc, OnceLock};
use std::thread;
use tokio::sync::{oneshot, watch};
use tokio_util::sync::CancellationToken;

/// The largest number of connections that are opened at a time: servers limit logins in progress.
const MAX_OPENING: usize = 4;

/// Work that the connections of a transfer share.
pub(super) trait SharedWork: Send + Sync + 'static {
    /// The share of one connection. Dropping it returns its unfinished work to the others.
    type Share;

    /// The amount of work. May block.
    fn load(&self) -> Load;

    /// Whether no unassigned work is left.
    fn is_done(&self) -> bool;

    /// A share for another connection.
    fn share(&self) -> Self::Share;

    /// Works over the context's connection until no work is left. If it returns an error, the unfinished work is back
    /// in the share.
    async fn run(
        &self,
        ctx: &mut TransferContext<'_>,
        retries: &mut Retries,
        share: &Self::Share,
    ) -> Result<(), ConversationError>;
}

/// Executes the work over as many connections as pay off.
///
/// # Errors
/// If the work is not finished: it was cancelled, a local operation failed, or no connection is left.
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
    // A caller that drops this future stops all connections.
    let _cancel = workers.cancel.clone().drop_guard();
    let reconnect = ctx.reconnect.as_deref().map(Reconnect::beside).filter(|_| jobs != Jobs::ONE);
    let progress = ctx.progress.clone();
    let mut ctx = ctx.until(&workers.cancel);
    let first = async {
        let result = workers.run_first(&mut ctx, retries).await;
        match &result {
            // The other connections may still work.
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

/// The number of processors that this process may use.
pub(super) fn available_cores() -> usize {
    // The system is asked once: on Linux that reads several files of the control group.
    static CORES: OnceLock<usize> = OnceLock::new();
    *CORES.get_or_init(|| thread::available_parallelism().map_or(1, usize::from))
}

/// The workers of a transfer. Clones share their state.
struct TransferWorkers<W> {
    work: Arc<W>,
    /// Number of workers that hold a share.
    active: Arc<watch::Sender<usize>>,
    /// Stops all of them.
    cancel: CancellationToken,
    /// All work is done, and no more can be added.
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
    /// Works until all work is done, including shares that other workers return.
    async fn run_first(
        &self,
        ctx: &mut TransferContext<'_>,
        retries: &mut Retries,
    ) -> Result<(), ConversationError> {
        let mut active = self.active.subscribe();
        loop {
            self.work(ctx, retries).await?;
            while *active.borrow_and_update() > 0 && self.work.is_done() {
                // We own the sender, so this cannot fail.
                let _ = active.changed().await;
            }
            if self.work.is_done() {
                return Ok(());
            }
        }
    }

    /// Works until no work is left, and reconnects if the connection is lost.
    async fn work(
        &self,
        ctx: &mut TransferContext<'_>,
        retries: &mut Retries,
    ) -> Result<(), ConversationError> {
        // It is dropped after the share.
        let _active = ActiveWorker::new(&self.active);
        let share = self.work.share();
        let mut run = async |ctx: &mut TransferContext<'_>, retries: &mut Retries| {
            self.work.run(ctx, retries, &share).await
        };
        loop {
            retries.persist(ctx, &mut run).await?;
            // Finishing an item may have added more.
            if self.work.is_done() {
                return Ok(());
            }
        }
    }

    /// Opens additional connections until one fails, and waits for their workers.
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
        let wanted = jobs.connections(load, available_cores());
        let (mut ends, mut left, mut failed) = (Vec::new(), wanted.saturating_sub(1), None);
        while left > 0 && failed.is_none() && !self.work.is_done() {
            // A login takes several round trips, so they go on side by side.
            let workers: Vec<_> =
                (0..left.min(MAX_OPENING)).map(|_| self.begin_further(&*reconnect, progress)).collect();
            left -= workers.len();
            for worker in workers {
                let opened = match worker {
                    Ok(FurtherWorker { opened, end }) => opened.await.unwrap_or(Ok(())).map(|()| end),
                    Err(error) => Err(ReconnectError::Refused(error.to_string())),
                };
                match opened {
                    Ok(end) => ends.push(end),
                    Err(error) => failed = failed.or(Some(error)),
                }
            }
        }
        if let Some(error) = failed {
            let words =
                format!("sshome: continuing with {} of {wanted} connections: {error}", ends.len() + 1);
            // Only a user who has asked for a number misses one.
            if jobs == Jobs::Auto { progress.detail(&words) } else { progress.say(&words) }
        }
        let mut result = Ok(());
        for end in ends {
            let panicked = |_| ConversationError::Local("the thread of a connection has failed".into());
            result = result.and(end.await.map_err(panicked).flatten());
        }
        result
    }

    /// Begins to open an additional connection, with a thread that works over it.
    fn begin_further(
        &self,
        reconnect: &dyn Reconnect,
        progress: &ProgressDisplay,
    ) -> io::Result<FurtherWorker> {
        let (open, opened) = oneshot::channel();
        let (ended, end) = oneshot::channel();
        let (workers, reconnect, own) = (self.clone(), reconnect.beside(), progress.beside());
        thread::Builder::new().name("connection".to_owned()).spawn(move || {
            // Nobody waits if the transfer was dropped.
            let _ = ended.send(workers.run_thread(reconnect, &own, open));
        })?;
        Ok(FurtherWorker { opened, end })
    }

    /// Runs an additional worker on its own thread. A lost connection is not an error: the others continue.
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
        // The receiver exists until the end of the transfer.
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
                progress.detail(&format!("sshome: lost one of the parallel connections: {why}"));
                Ok(())
            }
            // The canceller reports the reason.
            Err(ConversationError::Cancelled) => Ok(()),
            Err(error) => {
                self.cancel.cancel();
                Err(error)
            }
            Ok(()) => Ok(()),
        }
    }
}

/// A worker with a connection of its own, which is being opened.
struct FurtherWorker {
    opened: oneshot::Receiver<Result<(), ReconnectError>>,
    /// The result of its work.
    end: oneshot::Receiver<Result<(), ConversationError>>,
}

/// Counts a worker as active; dropping it ends that.
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
