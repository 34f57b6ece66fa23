//! Blocking work on a thread of its own.

use crate::conversation::ConversationError;

/// Runs what blocks in a thread for such work.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, ConversationError> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|error| ConversationError::Local(format!("a thread at work on files has failed: {error}")))
}
