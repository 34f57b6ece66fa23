//! The idle timeout: how long the client waits while there is no traffic.

use super::ConversationError;
use crate::throttle::Throttle;
use std::pin::pin;
use std::time::Duration;
use tokio::time::timeout;

/// Limit on the time without traffic in either direction.
#[derive(Clone, Debug)]
pub struct IdleTimeout {
    limit: Duration,
    throttle: Throttle,
}

impl IdleTimeout {
    /// A timeout of `limit`, which traffic restarts.
    #[must_use]
    pub fn new(limit: Duration, throttle: Throttle) -> IdleTimeout {
        IdleTimeout { limit, throttle }
    }

    /// The same with a limit of at most `limit`.
    pub(super) fn at_most(&self, limit: Duration) -> IdleTimeout {
        IdleTimeout { limit: self.limit.min(limit), throttle: self.throttle.clone() }
    }

    /// Waits for `work`, which depends on the server.
    ///
    /// # Errors
    /// `Lost` after `limit` without traffic.
    pub(super) async fn wait<T>(&self, work: impl Future<Output = T>) -> Result<T, ConversationError> {
        let mut work = pin!(work);
        let mut seen = self.throttle.moved();
        loop {
            if let Ok(done) = timeout(self.limit, work.as_mut()).await {
                return Ok(done);
            }
            let now = self.throttle.moved();
            if now == seen {
                let seconds = self.limit.as_secs_f64();
                return Err(ConversationError::Lost(format!("no traffic for {seconds} s")));
            }
            seen = now;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conversation::peer::{connect, hello};
    use sshome_wire::Request;
    use tokio::io::AsyncWriteExt;
    use tokio::time::{Instant, sleep};
    use tokio_util::sync::CancellationToken;

    #[tokio::test(start_paused = true)]
    async fn time_counts_only_while_nothing_moves() {
        let throttle = Throttle::default();
        let idle_timeout = IdleTimeout::new(Duration::from_secs(5), throttle.clone());
        let (near, _far) = tokio::io::duplex(1 << 20);
        let mut socket = throttle.wrap(near);
        let sending = async {
            for _ in 0..10 {
                sleep(Duration::from_secs(4)).await;
                socket.write_all(&[0; 1000]).await.unwrap();
            }
        };
        idle_timeout.wait(sending).await.unwrap();
        let begun = Instant::now();
        let error = idle_timeout.wait(std::future::pending::<()>()).await.unwrap_err();
        assert_eq!(error.to_string(), "the connection is lost: no traffic for 5 s");
        assert_eq!(begun.elapsed(), Duration::from_secs(5));
    }

    #[tokio::test]
    async fn a_server_that_never_answers_times_out() {
        let talk = connect(hello(1), |mut peer| async move { while peer.hear().await.is_some() {} });
        let mut conversation = talk.await.unwrap().conversation;
        conversation.set_idle_timeout(IdleTimeout::new(Duration::from_millis(50), Throttle::default()));
        let answer = conversation.request(Request::Pwd, &CancellationToken::new()).await;
        assert!(matches!(answer, Err(ConversationError::Lost(_))), "{answer:?}");
    }
}
