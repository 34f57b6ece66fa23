//! Going on after a lost connection.

use super::Context;
use crate::conversation::{Conversation, ConversationError};
use sshome_wire::Request;
use sshome_wire::display::Escaped;
use std::pin::Pin;
use std::time::Duration;
use tokio::time::sleep;

/// The usual pause before the first try.
const PAUSE: Duration = Duration::from_millis(500);

/// The longest pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// A way to another conversation with the same server, as the same user, without a question.
pub trait Reconnect: Send {
    /// How often it is tried in a row. 0 is never.
    fn retries(&self) -> u32;

    /// The pause before the next try, after so many in a row that were in vain: twice as long each time.
    fn pause(&self, tried: u32) -> Duration {
        PAUSE.saturating_mul(2_u32.saturating_pow(tried)).min(LONGEST_PAUSE)
    }

    /// Connects once more. What is left of the connection before is given up.
    fn reconnect(&mut self) -> Reconnecting<'_>;
}

/// A new connection on its way.
pub type Reconnecting<'a> = Pin<Box<dyn Future<Output = Result<Conversation, ReconnectError>> + Send + 'a>>;

/// Why there is no new connection.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReconnectError {
    /// The way there is interrupted; it may be open again later.
    #[error("{0}")]
    Interrupted(String),
    /// Somebody says no, and will say so again.
    #[error("{0}")]
    Refused(String),
}

/// How often a transfer has been taken up again without having come any further.
#[derive(Debug, Default)]
pub(super) struct Retries {
    tried: u32,
    reached: Reached,
}

/// How far a transfer has come, as far as that will not be lost again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Reached {
    /// Things that are done with, whatever became of them.
    pub(super) settled: u64,
    /// Bytes that the file after them was gone on after.
    pub(super) offset: u64,
}

impl Retries {
    /// How many requests to have unanswered where otherwise `most` would be: fewer with each connection
    /// that was lost before anything was answered, so that even a bad one gets something done.
    pub(super) fn careful(&self, most: usize) -> usize {
        most.checked_shr(self.tried.saturating_mul(4)).unwrap_or(0).max(1)
    }

    /// After a lost connection: makes a new one, in the same directory. A transfer that comes further
    /// each time may lose its connection as often as it will.
    ///
    /// # Errors
    /// `Cancelled` if the interrupt is raised meanwhile; else that the connection is lost, and why
    /// there is no other.
    pub(super) async fn recover(
        &mut self,
        ctx: &mut Context<'_>,
        lost: String,
        reached: Reached,
    ) -> Result<(), ConversationError> {
        if reached > self.reached {
            *self = Retries { tried: 0, reached };
        }
        let mut why = lost;
        loop {
            let Some(reconnect) = ctx.reconnect.as_deref_mut() else {
                return Err(ConversationError::Lost(why));
            };
            let most = reconnect.retries();
            if self.tried >= most {
                return Err(ConversationError::Lost(why));
            }
            let pause = reconnect.pause(self.tried);
            self.tried += 1;
            ctx.progress.say(&format!(
                "sshome: connection lost; trying again in {} s ({} of {most})",
                pause.as_secs_f32(),
                self.tried
            ));
            let trying = async {
                sleep(pause).await;
                reconnect.reconnect().await
            };
            let tried = tokio::select! {
                biased;
                () = ctx.interrupt.raised() => return Err(ConversationError::Cancelled),
                tried = trying => tried,
            };
            match tried {
                Ok(conversation) => match self.take_over(ctx, conversation).await {
                    Err(ConversationError::Lost(again)) => why = again,
                    other => return other,
                },
                Err(ReconnectError::Interrupted(again)) => why = again,
                Err(ReconnectError::Refused(no)) => return Err(ConversationError::Lost(no)),
            }
        }
    }

    /// Puts the new conversation into the place of the lost one.
    async fn take_over(
        &self,
        ctx: &mut Context<'_>,
        mut conversation: Conversation,
    ) -> Result<(), ConversationError> {
        let path = ctx.conversation.cwd().as_bytes().to_vec();
        let cd = conversation.request(Request::Cd { path: path.clone() }, ctx.interrupt).await;
        match cd {
            Ok(_) => {}
            // The transfer itself has absolute paths.
            Err(ConversationError::Refused(_)) => {
                ctx.progress.say(&format!("sshome: {} is gone; the directory is now /", Escaped(&path)));
            }
            Err(error) => return Err(error),
        }
        *ctx.conversation = conversation;
        Ok(())
    }
}
