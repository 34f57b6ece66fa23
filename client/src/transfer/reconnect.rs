//! Reconnecting with exponential backoff: how a transfer opens another connection to the same server.

use crate::conversation::Conversation;
use std::pin::Pin;
use std::time::Duration;

/// Delay before the first retry.
const FIRST_RETRY_DELAY: Duration = Duration::from_millis(500);

/// Cap on the delay, which doubles with each retry (exponential backoff).
const MAX_RETRY_DELAY: Duration = Duration::from_secs(15);

/// Default limit on consecutive reconnects: about five minutes.
pub const DEFAULT_RETRIES: u32 = 24;

/// Opens conversations with the same server as the same user, without asking anything.
pub trait Reconnect: Send {
    /// Limit on consecutive retries; 0 = off.
    fn retries(&self) -> u32;

    /// The pause before the next retry, after `tried` consecutive failures. It doubles with each.
    fn pause(&self, tried: u32) -> Duration {
        FIRST_RETRY_DELAY.saturating_mul(2_u32.saturating_pow(tried)).min(MAX_RETRY_DELAY)
    }

    /// Connects, or reconnects. The rest of a previous connection is dropped.
    fn reconnect(&mut self) -> Reconnecting<'_>;

    /// A `Reconnect` for another conversation over its own connection. It is not connected yet.
    fn beside(&self) -> Box<dyn Reconnect>;

    /// Opens another conversation over the current connection. It ends with that connection.
    fn second_conversation(&self) -> SecondConversation {
        Box::pin(std::future::ready(Err(ReconnectError::Refused("it has one conversation only".to_owned()))))
    }

    /// Disconnects, if connected. The conversation must have ended.
    fn close(self: Box<Self>) -> Closing;
}

/// A connection attempt.
pub type Reconnecting<'a> = Pin<Box<dyn Future<Output = Result<Conversation, ReconnectError>> + Send + 'a>>;

/// An attempt to open another conversation. It borrows nothing, since the first one is used meanwhile.
pub type SecondConversation = Pin<Box<dyn Future<Output = Result<Conversation, ReconnectError>> + Send>>;

/// A disconnect in progress.
pub type Closing = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Why reconnecting failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReconnectError {
    /// The network or the server is unavailable, perhaps temporarily.
    #[error("{0}")]
    Interrupted(String),
    /// The server refuses, and will refuse again.
    #[error("{0}")]
    Refused(String),
}

/// A retry that is about to start.
#[derive(Clone, Copy, Debug)]
pub struct Retry<'a> {
    /// Why the connection was lost, safe to show.
    pub why: &'a str,
    /// The pause before it.
    pub pause: Duration,
    /// Its number, counted from 1.
    pub attempt: u32,
    /// The largest number.
    pub attempts: u32,
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Never;

    impl Reconnect for Never {
        fn retries(&self) -> u32 {
            DEFAULT_RETRIES
        }

        fn reconnect(&mut self) -> Reconnecting<'_> {
            Box::pin(async { Err(ReconnectError::Interrupted("refused".into())) })
        }

        fn beside(&self) -> Box<dyn Reconnect> {
            Box::new(Never)
        }

        fn close(self: Box<Self>) -> Closing {
            Box::pin(std::future::ready(()))
        }
    }

    #[test]
    fn retries_last_as_long_as_a_router_restart() {
        let pauses = (0..DEFAULT_RETRIES).map(|tried| Never.pause(tried));
        assert!((290..310).contains(&pauses.clone().sum::<Duration>().as_secs()));
        assert!(
            pauses.clone().all(|pause| pause <= MAX_RETRY_DELAY)
                && pauses.clone().next() == Some(FIRST_RETRY_DELAY)
        );
    }
}
