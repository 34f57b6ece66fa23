//! What a transfer works with: its conversation, its progress, and how to reconnect.

use super::progress::ProgressDisplay;
use super::reconnect::Reconnect;
use crate::conversation::{Conversation, ConversationError};
use tokio_util::sync::CancellationToken;

/// What a transfer works with.
pub struct TransferContext<'a> {
    /// The conversation, idle.
    pub conversation: &'a mut Conversation,
    /// Stops the transfer when it is raised; the conversation stays.
    pub cancel: &'a CancellationToken,
    /// Shows how far it has come.
    pub progress: &'a ProgressDisplay,
    /// How to go on after a lost connection; none where that ends the transfer.
    pub reconnect: Option<&'a mut dyn Reconnect>,
}

impl TransferContext<'_> {
    /// The same context with another cancellation token.
    pub(super) fn until<'b>(&'b mut self, cancel: &'b CancellationToken) -> TransferContext<'b> {
        let reconnect = self.reconnect.as_mut().map(|reconnect| &mut **reconnect as &mut dyn Reconnect);
        TransferContext { conversation: self.conversation, cancel, progress: self.progress, reconnect }
    }

    /// Ends a transfer: its lines go, and its work is ended.
    pub(super) async fn finish<T>(self, done: Result<T, ConversationError>) -> Result<T, ConversationError> {
        self.progress.finish();
        self.settle(done).await
    }

    /// Ends the work on a connection: what it has under way after an error is cancelled.
    pub(super) async fn settle<T>(self, done: Result<T, ConversationError>) -> Result<T, ConversationError> {
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
