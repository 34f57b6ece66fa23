//! Accepting connections, and their admission.

use crate::limits::ConnectionRefusalLog;
use crate::session::{self, ServerState, Transport};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::net::TcpListener;
use tokio_util::task::TaskTracker;

/// The delay after a failed `accept`, for example because of too many open files.
const ACCEPT_RETRY_DELAY: Duration = Duration::from_millis(100);

/// Accepts connections and serves each in a task of its own, until shutdown begins.
pub(super) async fn accept(
    listener: Arc<TcpListener>,
    transport: Arc<Transport>,
    shared: Arc<ServerState>,
    connections: TaskTracker,
) {
    let mut refusals = ConnectionRefusalLog::default();
    loop {
        let accepted = tokio::select! {
            () = shared.stopping.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(ACCEPT_RETRY_DELAY).await;
                continue;
            }
        };
        let now = Instant::now();
        match shared.admission.admit(peer.ip(), now, rand::random_range(0..100)) {
            Ok(permit) => {
                let (transport, shared) = (Arc::clone(&transport), Arc::clone(&shared));
                session::set_tcp_options(&stream, &shared.admission.limits());
                connections.spawn(async move { transport.serve(stream, peer, shared, permit).await });
            }
            Err(refusal) => {
                shared.metrics.connection_refused();
                tracing::debug!(%peer, %refusal, "connection refused");
                if let Some(count) = refusals.count(now) {
                    tracing::warn!(count, last = %peer, why = %refusal, "connections were refused");
                }
                // The client gets the reason if the socket accepts it immediately.
                let _ = stream.try_write(refusal.client_message().as_bytes());
            }
        }
    }
}
