//! The context of a transfer: its conversation, its progress, and how to reconnect.

use super::progress::ProgressDisplay;
use super::reconnect::Reconnect;
use crate::conversation::{Conversation, ConversationError};
use tokio_util::sync::CancellationToken;

/// The context of a transfer.
pub struct TransferContext<'a> {
    /// The conversation, idle.
    pub conversation: &'a mut Conversation,
    /// Cancels the transfer; the conversation remains usable.
    pub cancel: &'a CancellationToken,
    /// Shows its progress.
    pub progress: &'a ProgressDisplay,
    /// How to reconnect after a lost connection; `None` if that ends the transfer.
    pub reconnect: Option<&'a mut dyn Reconnect>,
}

impl TransferContext<'_> {
    /// The same context with another cancellation token.
    pub(super) fn until<'b>(&'b mut self, cancel: &'b CancellationToken) -> TransferContext<'b> {
        let reconnect = self.reconnect.as_mut().map(|reconnect| &mut **reconnect as &mut dyn Reconnect);
        TransferContext { conversation: self.conversation, cancel, progress: self.progress, reconnect }
    }

    /// Ends a transfer: removes its progress lines and cancels what is in progress after an error.
    pub(super) async fn finish<T>(self, done: Result<T, ConversationError>) -> Result<T, ConversationError> {
        self.progress.finish();
        self.settle(done).await
    }

    /// Ends the work on a connection: cancels what is in progress after an error.
    pub(super) async fn settle<T>(self, done: Result<T, ConversationError>) -> Result<T, ConversationError> {
        match done {
            Err(ConversationError::Cancelled) => {
                // If the connection is lost as well, the next command reports it.
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
