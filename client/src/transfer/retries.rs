//! Retry: reconnects after a lost connection, waits for a server that is busy, and repeats the work that was interrupted.

use super::context::TransferContext;
use super::reconnect::{ReconnectError, Retry};
use crate::conversation::{Conversation, ConversationError};
use sshome_wire::display::Escaped;
use sshome_wire::{Reply, Request, Status};
use tokio::time::sleep;

/// Consecutive retries of a connection's work without progress.
#[derive(Debug, Default)]
pub(super) struct Retries {
    tried: u32,
    /// The progress at the last loss.
    before: Reached,
    /// The current progress, which the work updates.
    pub(super) reached: Reached,
}

/// Progress of a connection's work that a loss cannot undo.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Reached {
    /// Finished items, successful or not.
    settled: u64,
    /// The offset at which the next file was resumed, in bytes.
    offset: u64,
}

impl Reached {
    /// Counts a finished item.
    pub(super) fn settle(&mut self) {
        *self = Reached { settled: self.settled + 1, offset: 0 };
    }

    /// Notes that a file was resumed at an offset, in bytes.
    pub(super) fn go_on_after(&mut self, offset: u64) {
        self.offset = self.offset.max(offset);
    }
}

impl Retries {
    /// How many unanswered requests there may be, at most `most`: fewer after each connection that was lost before any
    /// answer, so that even a bad link makes progress.
    pub(super) fn careful(&self, most: usize) -> usize {
        most.checked_shr(self.tried.saturating_mul(4)).unwrap_or(0).max(1)
    }

    /// Whether a server that is busy may be asked again: as often in a row as a lost connection is opened again.
    pub(super) fn may_pause(&self, ctx: &TransferContext<'_>) -> bool {
        ctx.reconnect.as_deref().is_some_and(|reconnect| self.tried < reconnect.retries())
    }

    /// Pauses before a server that is busy is asked again. Progress resets the counter of retries.
    ///
    /// # Errors
    /// `Cancelled` if the token is cancelled meanwhile.
    pub(super) async fn pause(
        &mut self,
        ctx: &mut TransferContext<'_>,
        busy: &Reply,
    ) -> Result<(), ConversationError> {
        self.note_progress();
        let Some(reconnect) = ctx.reconnect.as_deref() else { return Ok(()) };
        let (pause, attempts) = (reconnect.pause(self.tried), reconnect.retries());
        self.tried += 1;
        let why = ConversationError::Refused(busy.clone()).to_string();
        ctx.progress.begin_pause(&Retry { why: &why, pause, attempt: self.tried, attempts });
        let paused = tokio::select! {
            biased;
            () = ctx.cancel.cancelled() => Err(ConversationError::Cancelled),
            () = sleep(pause) => Ok(()),
        };
        ctx.progress.end_retry();
        paused
    }

    fn note_progress(&mut self) {
        if self.reached > self.before {
            (self.tried, self.before) = (0, self.reached);
        }
    }

    /// Runs `work`, and repeats it on a new connection when the connection is lost, and after a pause when the server is
    /// busy.
    ///
    /// # Errors
    /// Those of the work; `Lost` if reconnecting fails; `Cancelled`.
    pub(super) async fn persist<T>(
        &mut self,
        ctx: &mut TransferContext<'_>,
        mut work: impl AsyncFnMut(&mut TransferContext<'_>, &mut Retries) -> Result<T, ConversationError>,
    ) -> Result<T, ConversationError> {
        loop {
            match work(ctx, self).await {
                Err(ConversationError::Lost(why)) => self.recover(ctx, why).await?,
                Err(ConversationError::Refused(reply))
                    if reply.status == Status::Busy && self.may_pause(ctx) =>
                {
                    self.pause(ctx, &reply).await?;
                }
                other => return other,
            }
        }
    }

    /// After a lost connection: opens a new one in the same directory. Progress resets the retry counter.
    ///
    /// # Errors
    /// `Cancelled` if the token is cancelled meanwhile; `Lost` with the reason if reconnecting fails.
    pub(super) async fn recover(
        &mut self,
        ctx: &mut TransferContext<'_>,
        lost: String,
    ) -> Result<(), ConversationError> {
        self.note_progress();
        let mut why = lost.clone();
        loop {
            let Some(reconnect) = ctx.reconnect.as_deref_mut() else {
                return Err(ConversationError::Lost(why));
            };
            let attempts = reconnect.retries();
            if self.tried >= attempts {
                return Err(ConversationError::Lost(match why == lost {
                    true => lost,
                    false => format!("{lost}; gave up after {attempts} tries, the last: {why}"),
                }));
            }
            let pause = reconnect.pause(self.tried);
            self.tried += 1;
            ctx.progress.begin_retry(&Retry { why: &why, pause, attempt: self.tried, attempts });
            let trying = async {
                sleep(pause).await;
                reconnect.reconnect().await
            };
            let tried = tokio::select! {
                biased;
                () = ctx.cancel.cancelled() => Err(ConversationError::Cancelled),
                tried = trying => Ok(tried),
            };
            ctx.progress.end_retry();
            match tried? {
                Ok(conversation) => match self.take_over(ctx, conversation).await {
                    Err(ConversationError::Lost(again)) => why = again,
                    other => return other,
                },
                Err(ReconnectError::Interrupted(again)) => why = again,
                Err(ReconnectError::Refused(no)) => {
                    return Err(ConversationError::Lost(format!("{lost}; connecting again: {no}")));
                }
            }
        }
    }

    /// Replaces the lost conversation.
    async fn take_over(
        &self,
        ctx: &mut TransferContext<'_>,
        mut conversation: Conversation,
    ) -> Result<(), ConversationError> {
        let path = ctx.conversation.cwd().as_bytes().to_vec();
        let cd = conversation.request(Request::Cd { path: path.clone() }, ctx.cancel).await;
        match cd {
            Ok(_) => {}
            // The transfer itself uses absolute paths.
            Err(ConversationError::Refused(_)) => {
                ctx.progress
                    .say(&format!("sshome: {} no longer exists; the directory is now /", Escaped(&path)));
            }
            Err(error) => return Err(error),
        }
        *ctx.conversation = conversation;
        Ok(())
    }
}
