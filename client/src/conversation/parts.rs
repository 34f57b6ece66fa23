//! What is left of uploads that were cut.

use super::{Conversation, ConversationError, unexpected};
use crate::interrupt::Interrupt;
use sshome_wire::{Frame, Part, Request};

impl Conversation {
    /// Lists what is left of uploads that were cut, the oldest first.
    ///
    /// # Errors
    /// `Cancelled` after an interrupt, or if the conversation is over.
    pub async fn parts(&mut self, interrupt: &Interrupt) -> Result<Vec<Part>, ConversationError> {
        let mut all = Vec::new();
        let mut each = |frame| match frame {
            Frame::Parts(parts) => {
                all.extend(parts);
                Ok(())
            }
            Frame::Progress(_) => Ok(()),
            frame => Err(unexpected(&frame)),
        };
        self.answer(Request::Parts, interrupt, &mut each).await?;
        Ok(all)
    }
}

#[cfg(test)]
mod tests {
    use super::super::peer::{connect, hello};
    use super::*;
    use sshome_wire::{Status, Time};

    #[tokio::test]
    async fn parts_come_in_several_frames() {
        let part = |path: &[u8]| Part { path: path.to_vec(), length: 1, size: 2, since: Time::default() };
        let (a, b) = (part(b"/a"), part(b"/b"));
        let said = [a.clone(), b.clone()];
        let talk = connect(hello(1), |mut peer| async move {
            assert_eq!(peer.hear_request().await, Request::Parts);
            for part in said {
                peer.say(Frame::Parts(vec![part])).await;
            }
            peer.reply(Status::Done).await;
            peer.hear().await;
        });
        let mut talk = talk.await.unwrap();
        assert_eq!(talk.conversation.parts(&Interrupt::new()).await.unwrap(), [a, b]);
    }
}
