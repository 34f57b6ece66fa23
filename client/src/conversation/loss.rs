//! The reason for a lost connection.
//!
//! russh closes the channels of a connection that ends without a reason. So the code that knows the reason records it
//! here: the socket, the keepalives, or the server's disconnect message.

use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::timeout;

/// The time after the end of the channel within which a reason is recorded, if there is one.
const REASON_WITHIN: Duration = Duration::from_secs(1);

/// The reason for the loss of a connection. Clones share it.
#[derive(Clone, Debug)]
pub struct LossReason(Arc<watch::Sender<Reasons>>);

#[derive(Debug, Default)]
struct Reasons {
    /// The server's disconnect message.
    said: Option<String>,
    /// The first fault.
    fault: Option<String>,
}

impl Reasons {
    fn get(&self) -> Option<&String> {
        self.said.as_ref().or(self.fault.as_ref())
    }
}

impl Default for LossReason {
    fn default() -> LossReason {
        LossReason(Arc::new(watch::Sender::default()))
    }
}

impl LossReason {
    /// Records the server's disconnect message, safe to show. It takes precedence over faults, which follow from it.
    pub fn said(&self, words: String) {
        self.0.send_modify(|reasons| reasons.said = Some(words));
    }

    /// Records a fault. Only the first one counts: the others follow from it.
    pub fn fault(&self, fault: impl FnOnce() -> String) {
        self.0.send_if_modified(|reasons| {
            let is_first = reasons.fault.is_none();
            if is_first {
                reasons.fault = Some(fault());
            }
            is_first
        });
    }

    /// The reason, if the connection is lost.
    #[must_use]
    pub fn get(&self) -> Option<String> {
        self.0.borrow().get().cloned()
    }

    /// The reason for a loss that was just noticed; `None` if none is recorded in time.
    pub(super) async fn known(&self) -> Option<String> {
        let mut noted = self.0.subscribe();
        let noting = noted.wait_for(|reasons| reasons.get().is_some());
        timeout(REASON_WITHIN, noting).await.ok()?.ok().and_then(|reasons| reasons.get().cloned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_reason_from_the_server_replaces_the_first_error() {
        let loss = LossReason::default();
        assert_eq!((loss.get(), loss.known().await), (None, None));
        let noting = loss.clone();
        tokio::spawn(async move { noting.fault(|| "broken pipe".into()) });
        assert_eq!(loss.known().await.as_deref(), Some("broken pipe"));
        loss.fault(|| "reset".into());
        assert_eq!(loss.get().as_deref(), Some("broken pipe"));
        loss.said("kicked".into());
        assert_eq!(loss.get().as_deref(), Some("kicked"));
    }
}
