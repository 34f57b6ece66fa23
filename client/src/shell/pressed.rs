//! Ctrl-C, as a signal.

use super::PATIENCE;
use crate::interrupt::Interrupt;
use crate::tell::tell;
use std::fmt;
use std::pin::Pin;

/// Hears every Ctrl-C from the first time that it is waited for.
pub(super) struct Pressed(Pin<Box<dyn Future<Output = ()> + Send>>);

impl Pressed {
    pub(super) fn new() -> Pressed {
        Pressed(Box::pin(signal()))
    }

    /// Returns when Ctrl-C comes.
    pub(super) async fn next(&mut self) {
        self.0.as_mut().await;
        *self = Pressed::new();
    }

    /// Returns when Ctrl-C comes while what is under way is being cancelled already; the first one cancels.
    /// Where `others` work it is theirs.
    pub(super) async fn twice(mut self, interrupt: &Interrupt, others: bool) {
        while others {
            self.next().await;
        }
        self.next().await;
        interrupt.raise();
        tokio::select! {
            () = self.next() => return,
            () = tokio::time::sleep(PATIENCE) => {}
        }
        tell("cancelling; Ctrl-C once more leaves at once");
        self.next().await;
    }
}

impl fmt::Debug for Pressed {
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
