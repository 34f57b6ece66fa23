//! Blocking work on its own thread.

use crate::conversation::ConversationError;

/// Runs blocking work on a thread for such work.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, ConversationError> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|error| ConversationError::Local(format!("a thread that handles files has failed: {error}")))
}
