//! Background tasks: expiry of partial uploads, health of homes, the control socket, metrics.

use crate::control::{ControlSocket, metrics_snapshot};
use crate::metrics;
use crate::reload::{Reloader, look_at_homes, retry_homes};
use crate::session::ServerState;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;

/// The longest interval between two expiry runs, and the interval of home checks.
const CHECK_INTERVAL: Duration = Duration::from_secs(60);

/// Directories inside homes are looked at less often: disks that nobody uses may sleep.
const CHECKS_PER_INSPECTION: u64 = 15;

/// Removes expired partial uploads periodically. Never returns.
pub(super) async fn expire(shared: Arc<ServerState>) {
    loop {
        let config = shared.config.load_full();
        let (files, streams) = (config.part_expiry, config.stream_expiry);
        let world = Arc::clone(&shared);
        match tokio::task::spawn_blocking(move || world.homes.expire_partial_uploads(files, streams)).await {
            Ok(0) => {}
            Ok(removed) => tracing::info!(removed, "uploads that nobody went on with were removed"),
            Err(error) => tracing::error!(%error, "old parts could not be looked at"),
        }
        shared.sessions.log_suppressed();
        tokio::time::sleep(streams.clamp(Duration::from_secs(1), CHECK_INTERVAL)).await;
    }
}

/// Tries to open homes that are unavailable, and notices those that were replaced or cannot be read any more. Never
/// ends.
pub(super) async fn tend_homes(shared: Arc<ServerState>) {
    for check in 1_u64.. {
        tokio::time::sleep(CHECK_INTERVAL).await;
        let world = Arc::clone(&shared);
        let look = if check.is_multiple_of(CHECKS_PER_INSPECTION) { look_at_homes } else { retry_homes };
        if let Err(error) = tokio::task::spawn_blocking(move || look(&world)).await {
            tracing::error!(%error, "the homes could not be looked at");
        }
    }
}

/// Serves the control socket, if there is one. Never returns.
pub(super) async fn administer(
    control: Option<&ControlSocket>,
    shared: &Arc<ServerState>,
    reloader: &Arc<Reloader>,
) {
    match control {
        Some(control) => control.serve(Arc::clone(shared), Arc::clone(reloader)).await,
        None => std::future::pending().await,
    }
}

/// Serves metrics, if enabled. Never returns.
pub(super) async fn measure(listener: Option<TcpListener>, shared: &Arc<ServerState>) {
    let Some(listener) = listener else { return std::future::pending().await };
    let shared = Arc::clone(shared);
    let render = move || {
        let shared = Arc::clone(&shared);
        async move {
            let rendered =
                tokio::task::spawn_blocking(move || shared.metrics.render(&metrics_snapshot(&shared)));
            // Prometheus takes an empty response for a failure.
            rendered.await.unwrap_or_default()
        }
    };
    metrics::serve(listener, render).await;
}
