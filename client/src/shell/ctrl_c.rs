//! Ctrl-C as a signal (SIGINT).

use crate::messages::{end_line, warn};
use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Poll;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// The time after which a cancelled command that is still running is explained.
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

    /// Starts listening, so that no later signal is missed.
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

    /// Cancels at the first Ctrl-C, and returns at the second. While `local_runs`, the key belongs to a local program.
    /// `is_shown` says that the terminal has echoed the key on an unfinished line.
    pub(super) async fn twice(mut self, cancel: &CancellationToken, local_runs: &AtomicBool, is_shown: bool) {
        loop {
            self.next().await;
            if !local_runs.load(Ordering::Relaxed) {
                break;
            }
        }
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
        // On systems without signals it waits forever.
        std::future::pending::<()>().await;
    }
}
