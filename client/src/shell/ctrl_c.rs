//! Ctrl-C as a signal (SIGINT).

use crate::messages::{end_line, warn};
use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::task::Poll;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// How long a cancelled command may take before that is explained.
const EXPLAIN_AFTER: Duration = Duration::from_secs(1);

/// Receives SIGINT from the first wait on.
pub(super) struct CtrlC {
    signal: Pin<Box<dyn Future<Output = ()> + Send>>,
    /// A signal has arrived and was not consumed yet.
    has_come: bool,
}

impl CtrlC {
    pub(super) fn new() -> CtrlC {
        CtrlC { signal: Box::pin(signal()), has_come: false }
    }

    /// Starts to listen, so that no later signal is missed.
    pub(super) async fn listen(&mut self) {
        poll_fn(|context| {
            self.has_come = self.has_come || self.signal.as_mut().poll(context).is_ready();
            Poll::Ready(())
        })
        .await;
    }

    /// Returns at the next Ctrl-C.
    pub(super) async fn next(&mut self) {
        if !self.has_come {
            self.signal.as_mut().await;
        }
        *self = CtrlC::new();
    }

    /// Returns when Ctrl-C comes while what is under way is being cancelled already; the first one cancels.
    /// Where `others` work it is theirs. With `is_shown` the terminal has shown the key on a line that nobody ends.
    pub(super) async fn twice(mut self, cancel: &CancellationToken, others: bool, is_shown: bool) {
        if others {
            loop {
                self.next().await;
            }
        }
        self.next().await;
        cancel.cancel();
        if is_shown {
            end_line();
        }
        tokio::select! {
            () = self.next() => return,
            () = tokio::time::sleep(EXPLAIN_AFTER) => {}
        }
        warn("cancelling; press Ctrl-C again to quit immediately");
        self.next().await;
    }
}

impl fmt::Debug for CtrlC {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Pressed")
    }
}

async fn signal() {
    if tokio::signal::ctrl_c().await.is_err() {
        // Where there are no signals none will come.
        std::future::pending::<()>().await;
    }
}
