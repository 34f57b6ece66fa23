//! Cancels requests and waits for their answers.

use super::{Conversation, ConversationError, encoded};
use sshome_wire::Frame;
use std::time::Duration;

/// Limit on the time without traffic while requests are cancelled. Someone waits for it who wants to be gone, and a server
/// answers a cancel at once.
const CANCEL_TIMEOUT: Duration = Duration::from_secs(5);

impl Conversation {
    /// Whether no answer is outstanding.
    pub(crate) fn is_idle(&self) -> bool {
        self.outstanding == 0 && self.receive_queue.is_empty() && !self.is_cancelling
    }

    /// Cancels requests that a dropped call left unanswered, and discards the answers. It may be dropped and called
    /// again.
    ///
    /// # Errors
    /// If the conversation is over.
    pub(crate) async fn settle(&mut self) -> Result<(), ConversationError> {
        if self.is_idle() { Ok(()) } else { self.abandon(&mut |_| {}).await }
    }

    /// Cancels all unanswered requests and receives their answers; `each` gets the frames. Afterwards the conversation
    /// is idle. It may be dropped and called again.
    ///
    /// # Errors
    /// If the conversation is over, also if nothing moves for [`CANCEL_TIMEOUT`].
    pub(crate) async fn abandon(
        &mut self,
        each: &mut (dyn FnMut(Frame) + Send),
    ) -> Result<(), ConversationError> {
        let idle_timeout = self.incoming.idle_timeout.as_ref().map(|usual| usual.at_most(CANCEL_TIMEOUT));
        let answered = self.await_cancelled(each);
        match idle_timeout {
            Some(idle_timeout) => idle_timeout.wait(answered).await?,
            None => answered.await,
        }
    }

    async fn await_cancelled(
        &mut self,
        each: &mut (dyn FnMut(Frame) + Send),
    ) -> Result<(), ConversationError> {
        if !self.is_cancelling {
            self.put_out(encoded(&Frame::Cancel)?, 1).await?;
            self.is_cancelling = true;
        }
        loop {
            let frame = match self.receive_queue.pop() {
                Some(frame) => frame,
                // The last answer is that to Cancel.
                None if self.outstanding == 0 => {
                    self.is_cancelling = false;
                    return Ok(());
                }
                None => {
                    let frame = self.incoming.next().await?;
                    self.account(&frame)?;
                    frame
                }
            };
            if self.outstanding > 0 || !self.receive_queue.is_empty() {
                each(frame);
            }
        }
    }
}
