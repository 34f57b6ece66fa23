//! SSH connections. This is the only module that knows russh: it translates and hands over.

mod algorithms;
mod channel;
mod handler;
mod host_key;
mod rate;
mod socket;
mod way;

pub use host_key::HostKeyError;
pub use rate::Rates;

use crate::auth::Authenticator;
use crate::config::Kex;
use crate::home::Homes;
use crate::quota::Ledgers;
use handler::Connection;
use russh::Disconnect;
use russh::keys::{HashAlg, PrivateKey};
use socket::{Backlog, Socket};
use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Who has not logged in by then is cut off.
const LOGIN_GRACE: Duration = Duration::from_secs(60);

/// A connection is cut off whose output has not moved for this long though there is some.
const STUCK: Duration = Duration::from_secs(60);

/// What all connections of a server share.
pub struct Shared {
    /// Who may log in.
    pub authenticator: Authenticator,
    /// Their homes.
    pub homes: Homes,
    /// Their books.
    pub ledgers: Ledgers,
    /// How fast their bytes may go.
    pub rates: Rates,
    /// Cancelled when the server is to end: no new work.
    pub stopping: CancellationToken,
    /// Cancelled when the server ends: every socket is closed.
    pub cut: CancellationToken,
}

/// The SSH side of a server: keys and algorithms.
pub struct Transport {
    config: Arc<russh::server::Config>,
    fingerprints: Vec<String>,
}

impl Transport {
    /// Loads the host keys; makes those whose files are missing.
    ///
    /// # Errors
    /// If one can be neither loaded nor made.
    pub fn new(kex: Kex, host_keys: &[PathBuf]) -> Result<Transport, HostKeyError> {
        let keys: Result<Vec<PrivateKey>, _> =
            host_keys.iter().map(|path| host_key::load_or_make(path)).collect();
        let keys = keys?;
        let fingerprints = keys.iter().map(|key| key.fingerprint(HashAlg::Sha256).to_string()).collect();
        Ok(Transport { config: Arc::new(algorithms::transport(kex, keys)), fingerprints })
    }

    /// The host keys' fingerprints, as `SHA256:…`.
    #[must_use]
    pub fn fingerprints(&self) -> &[String] {
        &self.fingerprints
    }

    /// Serves one connection to its end. `place` is given back when somebody has logged in.
    pub async fn serve(
        &self,
        stream: TcpStream,
        peer: SocketAddr,
        shared: Arc<Shared>,
        place: OwnedSemaphorePermit,
    ) {
        let begun = Instant::now();
        tracing::debug!(%peer, "connected");
        let backlog = Arc::new(Backlog::default());
        let logged_in = Arc::new(AtomicBool::new(false));
        let channels = TaskTracker::new();
        let cut = shared.cut.child_token();
        // russh's own setting is not used where the stream is ours.
        drop(stream.set_nodelay(true));
        let socket = Socket::new(stream, Arc::clone(&backlog), cut.clone());
        let connection = Connection {
            shared: Arc::clone(&shared),
            peer,
            backlog: Arc::clone(&backlog),
            logged_in: Arc::clone(&logged_in),
            channels: channels.clone(),
            cut: cut.clone(),
            place: Some(place),
            login: None,
            waiting: HashMap::new(),
        };
        // Whatever way this ends, a session that is left is one whose socket is closed.
        let _cut_at_end = cut.clone().drop_guard();
        let begin = russh::server::run_stream(Arc::clone(&self.config), socket, connection);
        let mut session = match tokio::time::timeout(LOGIN_GRACE, begin).await {
            Ok(Ok(session)) => session,
            Ok(Err(error)) => return tracing::debug!(%peer, %error, "no SSH client"),
            Err(_) => return tracing::info!(%peer, "no greeting in time"),
        };
        let handle = session.handle();
        tokio::select! {
            ended = &mut session => match ended {
                Ok(()) => tracing::debug!(%peer, "disconnected"),
                Err(error) => tracing::debug!(%peer, %error, "connection lost"),
            },
            why = watch(begun, &backlog, &logged_in) => tracing::info!(%peer, why, "cut off"),
            () = all_done(&shared, &channels) => {
                let text = "the server is shutting down".to_owned();
                let farewell = handle.disconnect(Disconnect::ByApplication, text, String::new());
                // It waits behind output that the client does not read.
                drop(tokio::time::timeout(Duration::from_secs(1), farewell).await);
                drop(tokio::time::timeout(Duration::from_secs(1), &mut session).await);
            }
        }
        channels.close();
        cut.cancel();
        channels.wait().await;
    }
}

/// Returns when the server is to end and nothing runs on this connection any more.
async fn all_done(shared: &Shared, channels: &TaskTracker) {
    shared.stopping.cancelled().await;
    channels.close();
    channels.wait().await;
}

/// Returns when the connection is one that nobody can want, saying why.
async fn watch(begun: Instant, backlog: &Backlog, logged_in: &AtomicBool) -> &'static str {
    let mut last = (backlog.progress().1, Instant::now());
    let mut tick = tokio::time::interval(Duration::from_secs(5));
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tick.tick().await;
        if !logged_in.load(Ordering::Acquire) && begun.elapsed() >= LOGIN_GRACE {
            return "no login in time";
        }
        let (queued, written) = backlog.progress();
        if queued == 0 || written != last.0 {
            last = (written, Instant::now());
        } else if last.1.elapsed() >= STUCK {
            return "the client does not read";
        }
    }
}
