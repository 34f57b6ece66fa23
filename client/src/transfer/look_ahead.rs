//! Looks ahead: while the files of one batch are transferred, the next batch is listed and compared over a second
//! conversation. So a transfer begins early, and its connection is always busy.

use super::reconnect::{Reconnect, SecondConversation};
use super::retries::Retries;
use super::{ProgressDisplay, Transfer, TransferContext};
use crate::conversation::ConversationError;
use tokio_util::sync::CancellationToken;

/// The result of looking for the next work; `None` if it was not possible.
pub(super) type Ahead<W> = Option<Result<Option<W>, ConversationError>>;

/// What looking ahead needs besides the transfer.
pub(super) struct LookAhead<'a> {
    second: SecondConversation,
    /// Replaces the second conversation after a lost connection, by one over its own connection.
    beside: Box<dyn Reconnect>,
    cancel: &'a CancellationToken,
    progress: &'a ProgressDisplay,
}

impl<'a> LookAhead<'a> {
    /// `None` if no other conversation can be opened.
    pub(super) fn of(ctx: &TransferContext<'a>) -> Option<LookAhead<'a>> {
        let reconnect = ctx.reconnect.as_deref()?;
        let (second, beside) = (reconnect.second_conversation(), reconnect.beside());
        Some(LookAhead { second, beside, cancel: ctx.cancel, progress: ctx.progress })
    }

    /// Finds the next work of a transfer while the current one is executed. Returns the results of both.
    pub(super) async fn during<T: Transfer>(
        self,
        executing: impl Future<Output = Result<(), ConversationError>>,
        transfer: &mut T,
    ) -> (Result<(), ConversationError>, Ahead<T::Work>) {
        let stop = self.cancel.child_token();
        let executing = async {
            let executed = executing.await;
            if executed.is_err() {
                stop.cancel();
            }
            executed
        };
        tokio::join!(executing, self.look(transfer, &stop))
    }

    async fn look<T: Transfer>(self, transfer: &mut T, stop: &CancellationToken) -> Ahead<T::Work> {
        let LookAhead { second, mut beside, progress, .. } = self;
        let opened = tokio::select! {
            opened = second => opened,
            () = stop.cancelled() => return None,
        };
        // The next work is looked for afterwards if the server allows one conversation only.
        let mut conversation = opened.ok()?;
        let mut ctx = TransferContext {
            conversation: &mut conversation,
            cancel: stop,
            progress,
            reconnect: Some(beside.as_mut()),
        };
        let next = transfer.next(&mut ctx, &mut Retries::default()).await;
        let next = ctx.settle(next).await;
        drop(conversation);
        beside.close().await;
        Some(next)
    }
}
