//! SSH connections. This is the only module that uses russh's server: it maps russh's events to channels and services.

mod abandoned;
mod algorithms;
mod bulk_gate;
mod channel;
mod channel_service;
mod early_disconnect;
mod flow_control;
mod handler;
mod login_attempts;
mod memory_budget;
mod sessions;
mod shared;
mod socket;
mod tcp_options;
mod throttle;
mod watchdog;

pub use abandoned::AbandonedWork;
pub use bulk_gate::BulkGate;
pub use memory_budget::MemoryBudgets;
pub use sessions::{SessionRegistry, SshSession};
pub use shared::ServerState;
pub use tcp_options::set_tcp_options;
pub use throttle::RateLimits;

use crate::config::Config;
use crate::host_key::{self, HostKeyError};
use crate::limits::ConnectionPermit;
use arc_swap::ArcSwap;
use flow_control::FlowControl;
use handler::{ConnectionHandler, TransportError};
use russh::keys::{HashAlg, PrivateKey};
use russh::server::Handle;
use russh::{Disconnect, Error};
use socket::PacedSocket;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use watchdog::{DisconnectReason, watch};

/// The message to clients when the server shuts down.
const SHUTTING_DOWN: &str = "the server is shutting down";

/// The time limit for sending the reason of a disconnect, and then for the client to close the connection.
const FAREWELL_TIMEOUT: Duration = Duration::from_secs(1);

/// The time for running slices to return after the server has ended a session. Then they are abandoned: the store hangs.
const SLICE_END_TIMEOUT: Duration = Duration::from_millis(500);

/// The byte stream of a connection: TCP, or memory in tests.
pub trait ByteStream: AsyncRead + AsyncWrite + Unpin + Send + 'static {}

impl<S: AsyncRead + AsyncWrite + Unpin + Send + 'static> ByteStream for S {}

/// The SSH side of a server: keys and algorithms.
pub struct Transport {
    keys: Vec<PrivateKey>,
    /// The files of keys that were generated at this start.
    made: Vec<PathBuf>,
    config: ArcSwap<russh::server::Config>,
}

impl Transport {
    /// Loads the host keys, and generates those whose files are missing.
    ///
    /// # Errors
    /// If a key can be neither loaded nor generated.
    pub fn new(settings: &Config) -> Result<Transport, HostKeyError> {
        let (mut keys, mut made) = (Vec::new(), Vec::new());
        for path in &settings.host_keys {
            let (key, is_new) = host_key::load_or_make(path, settings.algorithms)?;
            keys.push(key);
            made.extend(is_new.then(|| path.clone()));
        }
        let config = ArcSwap::from_pointee(transport(settings, keys.clone()));
        Ok(Transport { keys, made, config })
    }

    /// A server's side with one host key that no file holds.
    pub(crate) fn with_key(settings: &Config, key: PrivateKey) -> Transport {
        let config = ArcSwap::from_pointee(transport(settings, vec![key.clone()]));
        Transport { keys: vec![key], made: Vec::new(), config }
    }

    /// Logs the keys that were generated. The log starts after the keys are loaded.
    pub fn log_new_keys(&self) {
        self.made.iter().for_each(|path| tracing::info!(path = %path.display(), "host key made"));
    }

    /// Applies new settings to future connections.
    pub fn renew(&self, settings: &Config) {
        self.config.store(Arc::new(transport(settings, self.keys.clone())));
    }

    /// The host keys' fingerprints, as `SHA256:…`.
    #[must_use]
    pub fn fingerprints(&self) -> Vec<String> {
        self.keys.iter().map(|key| key.fingerprint(HashAlg::Sha256).to_string()).collect()
    }

    /// Serves an admitted connection to its end.
    pub async fn serve(
        &self,
        stream: impl ByteStream,
        peer: SocketAddr,
        shared: Arc<ServerState>,
        permit: ConnectionPermit,
    ) {
        let permit = Arc::new(permit);
        let cut = self.run_session(stream, peer, &shared, &permit).await;
        // A connection that the shutdown ends is no offence.
        let ended_by_us = shared.stopping.is_cancelled();
        if !ended_by_us && permit.end(cut == Some(DisconnectReason::TooLong), std::time::Instant::now()) {
            tracing::warn!(%peer, "too many connections from this address ended without a login: it is refused for some time");
        }
    }

    /// Serves the connection. Returns the reason if the watchdog closed it.
    async fn run_session(
        &self,
        stream: impl ByteStream,
        peer: SocketAddr,
        shared: &Arc<ServerState>,
        permit: &Arc<ConnectionPermit>,
    ) -> Option<DisconnectReason> {
        let begun = Instant::now();
        tracing::debug!(%peer, "connected");
        let flow = Arc::new(FlowControl::default());
        let channels = TaskTracker::new();
        // First the work is cancelled, then the client gets the reason, then the socket is closed.
        let (cut, closed) = (shared.cut.child_token(), CancellationToken::new());
        let socket =
            PacedSocket::new(stream, Arc::clone(&flow), Arc::clone(&shared.bulk_gate), closed.clone());
        let guard = shared.sessions.enter(peer, Arc::clone(&flow), cut.clone());
        let connection = ConnectionHandler::new(
            Arc::clone(shared),
            &guard.session,
            Arc::clone(permit),
            &flow,
            channels.clone(),
        );
        // The guards close the socket however this function ends.
        let _ended_at_last = (cut.clone().drop_guard(), closed.clone().drop_guard());
        let begin = russh::server::run_stream(self.config.load_full(), socket, connection);
        let mut session = match tokio::time::timeout(shared.admission.limits().login_grace, begin).await {
            Ok(Ok(session)) => session,
            Ok(Err(error)) => {
                let audit = guard.session.audit();
                early_disconnect::before_login(peer, Some(&error.0), flow.opening(), audit, &shared.metrics);
                return None;
            }
            Err(_) => {
                tracing::info!(%peer, "no greeting in time");
                shared.metrics.ended_without_login("too-long");
                return Some(DisconnectReason::TooLong);
            }
        };
        let mut why = None;
        let handle = session.handle();
        let farewell = tokio::select! {
            ended = &mut session => {
                match ended {
                    ended if !permit.is_logged_in() => {
                        ended_early(ended.err().as_ref(), &guard.session, permit, &flow, shared);
                    }
                    Ok(()) => tracing::debug!(%peer, "disconnected"),
                    Err(error) => tracing::debug!(%peer, %error, "connection lost"),
                }
                None
            }
            cut = watch(begun, &flow, permit, shared) => {
                tracing::info!(%peer, why = %cut, "cut off");
                if cut == DisconnectReason::TooLong {
                    shared.metrics.ended_without_login("too-long");
                }
                guard.session.end(cut);
                why = Some(cut);
                cut.farewell(&shared.admission.limits())
            }
            () = cut.cancelled() => match guard.session.why() {
                Some(why) => Some(why.to_owned()),
                None => shared.stopping.is_cancelled().then(|| SHUTTING_DOWN.to_owned()),
            },
            () = all_done(shared, &channels) => Some(SHUTTING_DOWN.to_owned()),
        };
        cut.cancel();
        if let Some(text) = farewell {
            disconnect(&handle, text, &mut session).await;
        }
        channels.close();
        closed.cancel();
        tokio::select! {
            () = channels.wait() => {}
            () = overdue(&guard.session, shared) => abandon(channels, &guard.session, shared),
        }
        why
    }
}

/// Returns if the work of a session that the server has ended does not return in time.
async fn overdue(session: &SshSession, shared: &ServerState) {
    tokio::select! {
        () = session.kicked() => {}
        () = shared.cut.cancelled() => {}
    }
    tokio::time::sleep(SLICE_END_TIMEOUT).await;
}

/// Ends a session without its work, which hangs.
fn abandon(channels: TaskTracker, session: &SshSession, shared: &ServerState) {
    let (peer, hanging) = (session.peer(), channels.len());
    tracing::warn!(%peer, hanging, "an ended session has work that does not return: its disk hangs");
    shared.abandoned.add(channels);
}

/// Sends the client the reason of a disconnect. Both waits are bounded, and the connection is closed afterwards
/// whatever their results.
async fn disconnect(handle: &Handle, text: String, session: impl Future) {
    let farewell = handle.disconnect(Disconnect::ByApplication, text, String::new());
    // It waits behind output that the client does not read.
    let _ = tokio::time::timeout(FAREWELL_TIMEOUT, farewell).await;
    // Reads and drops what the client sends meanwhile: a reset would overtake the message.
    let _ = tokio::time::timeout(FAREWELL_TIMEOUT, session).await;
}

/// Logs and counts a connection that ended without a login, and whether a login was attempted.
fn ended_early(
    error: Option<&TransportError>,
    session: &SshSession,
    permit: &ConnectionPermit,
    flow: &FlowControl,
    shared: &ServerState,
) {
    let (attempts, metrics) = (&session.attempts, &shared.metrics);
    match error {
        _ if !attempts.has_begun() => {
            let (peer, error) = (session.peer(), error.map(|error| &error.0));
            early_disconnect::before_login(peer, error, flow.opening(), session.audit(), metrics);
        }
        // A message that cannot be decoded counts as a login attempt: the client has asked for the auth service. A
        // connection that just breaks off does not.
        Some(TransportError(error)) if !matches!(error, Error::IO(_) | Error::Disconnect | Error::HUP) => {
            let user = attempts.user();
            early_disconnect::during_login(session.peer(), user.as_deref(), error, session.audit(), metrics);
            // The line above covers this user's last attempt.
            attempts.logged();
            permit.refused();
        }
        _ => metrics.ended_without_login("refused"),
    }
    if attempts.unsigned() {
        permit.refused();
    }
}

/// russh's configuration for these settings and host keys.
fn transport(settings: &Config, keys: Vec<PrivateKey>) -> russh::server::Config {
    algorithms::transport(settings.kex, settings.algorithms, keys, &settings.limits)
}

/// Returns when the server is shutting down and no channel of this connection is open.
async fn all_done(shared: &ServerState, channels: &TaskTracker) {
    shared.stopping.cancelled().await;
    channels.close();
    channels.wait().await;
}
