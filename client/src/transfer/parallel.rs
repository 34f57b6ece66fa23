//! Several connections at the work of one transfer, side by side.
//!
//! A connection is a task that does all of its ciphering, so each of the further ones has a thread of its
//! own. All of them take what they do from the same pool. One that is lost is made again and goes on with
//! what it had; if that cannot be, the others do it. The first is that of the session: it stays when the
//! others go, and does what they could not finish.

use super::blocking::blocking;
use super::context::Context;
use super::jobs::{Jobs, Load};
use super::progress::Progress;
use super::reconnect::{Reconnect, ReconnectError};
use super::retries::Retries;
use crate::conversation::ConversationError;
use std::sync::Arc;
use std::thread;
use tokio::sync::{oneshot, watch};
use tokio_util::sync::CancellationToken;

/// What the connections of a transfer do together.
pub(super) trait Work: Send + Sync + 'static {
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
        ctx: &mut Context<'_>,
        retries: &mut Retries,
        share: &Self::Share,
    ) -> Result<(), ConversationError>;
}

/// Carries out the work over as many connections as it is worth.
///
/// # Errors
/// If it is not done: because it was cancelled, something failed on this side, or no connection is left.
pub(super) async fn carry<W: Work>(
    ctx: &mut Context<'_>,
    retries: &mut Retries,
    work: &Arc<W>,
    jobs: Jobs,
) -> Result<(), ConversationError> {
    let crew = Crew {
        work: Arc::clone(work),
        at_work: Arc::new(watch::Sender::new(0)),
        halt: ctx.cancel.child_token(),
        over: CancellationToken::new(),
    };
    // Whoever stops waiting for this stops all connections.
    let _halt = crew.halt.clone().drop_guard();
    let way = ctx.reconnect.as_deref().map(Reconnect::beside).filter(|_| jobs != Jobs::ONE);
    let progress = ctx.progress.clone();
    let mut ctx = ctx.until(&crew.halt);
    let first = async {
        let led = crew.lead(&mut ctx, retries).await;
        match &led {
            // The others may still be able to go on.
            Err(ConversationError::Lost(_)) => {}
            Err(_) => crew.halt.cancel(),
            Ok(()) => crew.over.cancel(),
        }
        led
    };
    let (led, others) = tokio::join!(first, crew.others(way, &progress, jobs));
    match (led, others) {
        (_, Err(error)) => Err(error),
        (Err(ConversationError::Lost(_)), Ok(())) if work.is_done() => Ok(()),
        (led, Ok(())) => led,
    }
}

/// All connections of a transfer. Clones are the same.
struct Crew<W> {
    work: Arc<W>,
    /// How many connections have a share of the work.
    at_work: Arc<watch::Sender<usize>>,
    /// Stops all of them.
    halt: CancellationToken,
    /// There is nothing to do any more, nor will there be.
    over: CancellationToken,
}

impl<W> Clone for Crew<W> {
    fn clone(&self) -> Crew<W> {
        Crew {
            work: Arc::clone(&self.work),
            at_work: Arc::clone(&self.at_work),
            halt: self.halt.clone(),
            over: self.over.clone(),
        }
    }
}

impl<W: Work> Crew<W> {
    /// Works until all is done, also what others give back.
    async fn lead(&self, ctx: &mut Context<'_>, retries: &mut Retries) -> Result<(), ConversationError> {
        let mut at_work = self.at_work.subscribe();
        loop {
            self.work(ctx, retries).await?;
            while *at_work.borrow_and_update() > 0 && self.work.is_done() {
                // The sender is ours.
                let _ = at_work.changed().await;
            }
            if self.work.is_done() {
                return Ok(());
            }
        }
    }

    /// Works until nothing is left, and makes the connection again when it is lost.
    async fn work(&self, ctx: &mut Context<'_>, retries: &mut Retries) -> Result<(), ConversationError> {
        // It goes after the share.
        let _at_work = AtWork::new(&self.at_work);
        let share = self.work.share();
        let mut run =
            async |ctx: &mut Context<'_>, retries: &mut Retries| self.work.run(ctx, retries, &share).await;
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
    async fn others(
        &self,
        way: Option<Box<dyn Reconnect>>,
        progress: &Progress,
        jobs: Jobs,
    ) -> Result<(), ConversationError> {
        let Some(way) = way else { return Ok(()) };
        let measuring = Arc::clone(&self.work);
        let load = tokio::select! {
            load = blocking(move || measuring.load()) => load?,
            () = self.over.cancelled() => return Ok(()),
            () = self.halt.cancelled() => return Ok(()),
        };
        let cores = thread::available_parallelism().map_or(1, usize::from);
        let mut ends = Vec::new();
        for _ in 1..jobs.connections(load, cores) {
            if self.work.is_done() {
                break;
            }
            let (opened, opening) = oneshot::channel();
            let (ended, end) = oneshot::channel();
            let (crew, way, own) = (self.clone(), way.beside(), progress.beside());
            let spawned = thread::Builder::new().name("connection".to_owned()).spawn(move || {
                // Nobody waits any more if the transfer was left.
                let _ = ended.send(crew.further(way, &own, opened));
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
    fn further(
        self,
        way: Box<dyn Reconnect>,
        progress: &Progress,
        opened: oneshot::Sender<Result<(), ReconnectError>>,
    ) -> Result<(), ConversationError> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| ConversationError::Local(error.to_string()))?;
        let done = runtime.block_on(async {
            tokio::select! {
                done = self.live(way, progress, opened) => done,
                () = self.over.cancelled() => Ok(()),
            }
        });
        progress.leave();
        done
    }

    async fn live(
        &self,
        mut way: Box<dyn Reconnect>,
        progress: &Progress,
        opened: oneshot::Sender<Result<(), ReconnectError>>,
    ) -> Result<(), ConversationError> {
        let connected = tokio::select! {
            connected = way.reconnect() => connected,
            () = self.halt.cancelled() => return Ok(()),
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
            let (conversation, cancel) = (&mut conversation, &self.halt);
            let mut ctx = Context { conversation, cancel, progress, reconnect: Some(way.as_mut()) };
            let done = self.work(&mut ctx, &mut Retries::default()).await;
            ctx.settle(done).await
        };
        drop(conversation);
        way.close().await;
        match done {
            Err(ConversationError::Lost(why)) => {
                progress.detail(&format!("sshome: a further connection is lost: {why}"));
                Ok(())
            }
            // Whoever cancelled says why.
            Err(ConversationError::Cancelled) => Ok(()),
            Err(error) => {
                self.halt.cancel();
                Err(error)
            }
            Ok(()) => Ok(()),
        }
    }
}

/// A connection is at work for as long as this lives.
struct AtWork<'a>(&'a watch::Sender<usize>);

impl AtWork<'_> {
    fn new(count: &watch::Sender<usize>) -> AtWork<'_> {
        count.send_modify(|count| *count += 1);
        AtWork(count)
    }
}

impl Drop for AtWork<'_> {
    fn drop(&mut self) {
        self.0.send_modify(|count| *count = count.saturating_sub(1));
    }
}
