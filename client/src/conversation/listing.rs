//! Listing a path.

use super::{Conversation, ConversationError, unexpected};
use sshome_wire::{Entries, Entry, Frame, Payload, Request};
use tokio_util::sync::CancellationToken;

impl Conversation {
    /// Lists a path; `each` gets the entries as they arrive. The entry of the path itself is the result.
    ///
    /// # Errors
    /// `Refused` if the path cannot be listed; `Cancelled` after a cancellation.
    pub async fn list(
        &mut self,
        path: &[u8],
        recursive: bool,
        cancel: &CancellationToken,
        each: &mut (dyn FnMut(Entries) + Send),
    ) -> Result<Entry, ConversationError> {
        let request = Request::Ls { path: path.to_vec(), recursive };
        let mut each = |frame| match frame {
            Frame::Entries(entries) => {
                each(entries);
                Ok(())
            }
            Frame::Progress(_) => Ok(()),
            frame => Err(unexpected(&frame)),
        };
        match self.answer(request, cancel, &mut each).await?.payload {
            Payload::Stat(entry) => Ok(entry),
            _ => Err(ConversationError::Protocol("the answer to ls has no entry".into())),
        }
    }
}
