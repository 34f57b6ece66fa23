//! Reconnecting: how a transfer opens another connection to the same server.

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

    /// The pause before the next try, after so many in a row that were in vain: twice as long each time.
    fn pause(&self, tried: u32) -> Duration {
        FIRST_RETRY_DELAY.saturating_mul(2_u32.saturating_pow(tried)).min(MAX_RETRY_DELAY)
    }

    /// Connects, once more or for the first time. What is left of the connection before is given up.
    fn reconnect(&mut self) -> Reconnecting<'_>;

    /// A way to another conversation at the same time, over a connection of its own. It is not connected.
    fn beside(&self) -> Box<dyn Reconnect>;

    /// Says farewell and closes the connection, if there is one. Its conversation has ended before.
    fn close(self: Box<Self>) -> Closing;
}

/// A new connection on its way.
pub type Reconnecting<'a> = Pin<Box<dyn Future<Output = Result<Conversation, ReconnectError>> + Send + 'a>>;

/// A connection on its way out.
pub type Closing = Pin<Box<dyn Future<Output = ()> + Send>>;

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

/// A try to connect again, which is about to be made.
#[derive(Clone, Copy, Debug)]
pub struct Retry<'a> {
    /// Why it is needed, safe to show.
    pub why: &'a str,
    /// How long it is waited for first.
    pub pause: Duration,
    /// Which try in a row it is, from 1.
    pub attempt: u32,
    /// How many there may be.
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
    fn a_router_has_minutes_to_come_back() {
        let pauses = (0..DEFAULT_RETRIES).map(|tried| Never.pause(tried));
        assert!((290..310).contains(&pauses.clone().sum::<Duration>().as_secs()));
        assert!(
            pauses.clone().all(|pause| pause <= MAX_RETRY_DELAY)
                && pauses.clone().next() == Some(FIRST_RETRY_DELAY)
        );
    }
}
