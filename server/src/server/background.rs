//! Service tasks: expiry of partial uploads, health of homes, the control socket, metrics, reload.

use super::supervisor::ServiceTasks;
use crate::accounts::log_expiry_warnings;
use crate::control::{ControlSocket, metrics_snapshot};
use crate::metrics;
use crate::reload::{Reloader, look_at_homes, retry_homes};
use crate::session::ServerState;
use jiff::Timestamp;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::signal::unix::Signal;
use tokio::sync::Mutex;

/// The longest interval between two expiry runs, and the interval of home checks.
const CHECK_INTERVAL: Duration = Duration::from_secs(60);

/// Directories inside homes are inspected less often, so that idle disks may sleep.
const CHECKS_PER_INSPECTION: u64 = 15;

/// How long a session may outlast its account or key.
const EXPIRY_INTERVAL: Duration = Duration::from_secs(5);

/// The time between two warnings of the same expiry: a day.
const WARNING_INTERVAL: Duration = Duration::from_secs(24 * 3600);

/// Starts the tasks that run until the server ends.
pub(super) fn services(
    shared: &Arc<ServerState>,
    reloader: Option<Arc<Reloader>>,
    hangup: Option<Signal>,
    control: Option<&Arc<ControlSocket>>,
    metrics: Option<TcpListener>,
) -> ServiceTasks {
    let mut services = ServiceTasks::default();
    let state = Arc::clone(shared);
    services.spawn("expiry", move || expire(Arc::clone(&state)));
    let state = Arc::clone(shared);
    services.spawn("expiry of logins", move || end_expired(Arc::clone(&state)));
    let state = Arc::clone(shared);
    services.spawn("expiry warnings", move || warn_of_expiry(Arc::clone(&state)));
    let state = Arc::clone(shared);
    services.spawn("home checks", move || tend_homes(Arc::clone(&state)));
    if let (Some(control), Some(reloader)) = (control, &reloader) {
        let (control, state, reloader) = (Arc::clone(control), Arc::clone(shared), Arc::clone(reloader));
        services.spawn("control socket", move || {
            let (control, state, reloader) =
                (Arc::clone(&control), Arc::clone(&state), Arc::clone(&reloader));
            async move { control.serve(state, reloader).await }
        });
    }
    if let Some(listener) = metrics {
        let (listener, state) = (Arc::new(listener), Arc::clone(shared));
        services.spawn("metrics", move || measure(Arc::clone(&listener), Arc::clone(&state)));
    }
    if let Some(reloader) = reloader {
        let hangup = Arc::new(Mutex::new(hangup));
        services.spawn("reload", move || {
            let (reloader, hangup) = (Arc::clone(&reloader), Arc::clone(&hangup));
            async move { reloader.follow(&mut *hangup.lock().await).await }
        });
    }
    services
}

/// Removes expired partial uploads periodically. Never returns.
async fn expire(shared: Arc<ServerState>) {
    loop {
        let config = shared.config.load_full();
        let (files, streams) = (config.part_expiry, config.stream_expiry);
        let world = Arc::clone(&shared);
        match tokio::task::spawn_blocking(move || world.homes.expire_partial_uploads(files, streams)).await {
            Ok(0) => {}
            Ok(removed) => tracing::info!(removed, "expired partial uploads were removed"),
            Err(error) => tracing::error!(%error, "expired partial uploads could not be checked"),
        }
        shared.sessions.log_suppressed();
        tokio::time::sleep(streams.clamp(Duration::from_secs(1), CHECK_INTERVAL)).await;
    }
}

/// Tries to open homes that are unavailable, and notices those that were replaced or cannot be read any more. Never
/// ends.
async fn tend_homes(shared: Arc<ServerState>) {
    for check in 1_u64.. {
        tokio::time::sleep(CHECK_INTERVAL).await;
        let world = Arc::clone(&shared);
        let look = if check.is_multiple_of(CHECKS_PER_INSPECTION) { look_at_homes } else { retry_homes };
        if let Err(error) = tokio::task::spawn_blocking(move || look(&world)).await {
            tracing::error!(%error, "the homes could not be checked");
        }
    }
}

/// Ends the sessions whose account or key has expired. Never returns.
async fn end_expired(shared: Arc<ServerState>) {
    loop {
        for session in shared.sessions.logged_in() {
            if let Some(Err(why)) = session.login().map(|login| login.check_expiry(Timestamp::now())) {
                session.end(why);
            }
        }
        tokio::time::sleep(EXPIRY_INTERVAL).await;
    }
}

/// Warns of accounts and keys that expire soon, at the start and once a day. Never returns.
async fn warn_of_expiry(shared: Arc<ServerState>) {
    loop {
        log_expiry_warnings(&shared.config.load().accounts);
        tokio::time::sleep(WARNING_INTERVAL).await;
    }
}

/// Serves metrics. Never returns.
async fn measure(listener: Arc<TcpListener>, shared: Arc<ServerState>) {
    let render = move || {
        let shared = Arc::clone(&shared);
        async move {
            let rendered =
                tokio::task::spawn_blocking(move || shared.metrics.render(&metrics_snapshot(&shared)));
            // Prometheus treats an empty response as a failure.
            rendered.await.unwrap_or_default()
        }
    };
    metrics::serve(&listener, render).await;
}
