//! The registry of open sessions: what an administrator sees of them, and how a session is ended.

use super::flow_control::FlowControl;
use super::login_attempts::LoginAttempts;
use crate::audit::{Audit, log_suppressed_lines, log_suppressed_logins};
use crate::auth::Login;
use crate::limits::LogLimits;
use crate::metrics::Metrics;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant, SystemTime};
use tokio_util::sync::CancellationToken;

/// All connections, by number.
#[derive(Debug, Default)]
pub struct SessionRegistry {
    last: AtomicU64,
    open: Mutex<BTreeMap<u64, Arc<SshSession>>>,
    metrics: Arc<Metrics>,
    log_limits: Arc<LogLimits>,
}

/// One connection.
#[derive(Debug)]
pub struct SshSession {
    audit: Audit,
    peer: SocketAddr,
    since: SystemTime,
    begun: Instant,
    login: OnceLock<Login>,
    pub(super) attempts: LoginAttempts,
    /// The services that run on its channels.
    services: Mutex<Vec<&'static str>>,
    why: OnceLock<String>,
    flow: Arc<FlowControl>,
    /// Cancelled when the session ends: all work on its channels stops.
    pub(super) cut: CancellationToken,
    /// Cancelled when the server ends the session.
    kicked: CancellationToken,
}

impl SessionRegistry {
    /// An empty registry that counts in `metrics`.
    #[must_use]
    pub fn new(metrics: Arc<Metrics>) -> SessionRegistry {
        SessionRegistry { metrics, ..SessionRegistry::default() }
    }

    /// Logs the numbers of refused logins and of users' actions that had no line of their own, if they are due.
    pub fn log_suppressed(&self) {
        let now = Instant::now();
        if let Some(count) = self.log_limits.logins.rest(now) {
            log_suppressed_logins(count);
        }
        for (user, count) in self.log_limits.users.rest(now) {
            log_suppressed_lines(&user, count);
        }
    }

    /// The sessions of users who have logged in, oldest first.
    #[must_use]
    pub fn logged_in(&self) -> Vec<Arc<SshSession>> {
        self.open().values().filter(|session| session.login.get().is_some()).map(Arc::clone).collect()
    }

    /// The connection with this number, logged in or not.
    #[must_use]
    pub fn of(&self, number: u64) -> Option<Arc<SshSession>> {
        self.open().get(&number).map(Arc::clone)
    }

    pub(super) fn enter(
        self: &Arc<SessionRegistry>,
        peer: SocketAddr,
        flow: Arc<FlowControl>,
        cut: CancellationToken,
    ) -> SessionGuard {
        let number = self.last.fetch_add(1, Relaxed) + 1;
        let audit = Audit::new(number, peer, Arc::clone(&self.metrics), Arc::clone(&self.log_limits));
        let (since, begun) = (SystemTime::now(), Instant::now());
        let session = Arc::new(SshSession {
            audit,
            peer,
            since,
            begun,
            login: OnceLock::new(),
            attempts: LoginAttempts::default(),
            services: Mutex::default(),
            why: OnceLock::new(),
            flow,
            cut,
            kicked: CancellationToken::new(),
        });
        self.open().insert(number, Arc::clone(&session));
        SessionGuard { session, sessions: Arc::clone(self) }
    }

    fn open(&self) -> MutexGuard<'_, BTreeMap<u64, Arc<SshSession>>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An open session. Dropping it removes it from the registry and logs its end.
pub(super) struct SessionGuard {
    pub(super) session: Arc<SshSession>,
    sessions: Arc<SessionRegistry>,
}

impl Drop for SessionGuard {
    fn drop(&mut self) {
        let session = &self.session;
        self.sessions.open().remove(&session.audit.number());
        if session.login.get().is_some() {
            session.audit.ended(session.begun.elapsed(), session.why());
        } else {
            session.attempts.end(&session.audit);
        }
    }
}

impl SshSession {
    /// Its audit log.
    #[must_use]
    pub fn audit(&self) -> &Audit {
        &self.audit
    }

    /// The address of the client.
    #[must_use]
    pub fn peer(&self) -> SocketAddr {
        self.peer
    }

    /// When it began.
    #[must_use]
    pub fn since(&self) -> SystemTime {
        self.since
    }

    /// The time since the last activity on its channels.
    #[must_use]
    pub fn idle(&self) -> Duration {
        self.flow.idle()
    }

    /// The login, if there is one.
    #[must_use]
    pub fn login(&self) -> Option<&Login> {
        self.login.get()
    }

    /// The services that run on its channels.
    #[must_use]
    pub fn services(&self) -> Vec<&'static str> {
        self.services_mut().clone()
    }

    /// Ends the session. The client gets the reason if it reads, and the socket is closed a moment later.
    pub fn end(&self, why: impl ToString) {
        // The first reason stays.
        let _ = self.why.set(why.to_string());
        self.kicked.cancel();
        self.cut.cancel();
    }

    /// Returns when the server has ended the session.
    pub(super) async fn kicked(&self) {
        self.kicked.cancelled().await;
    }

    /// The reason, if the server ended the session.
    pub(super) fn why(&self) -> Option<&str> {
        self.why.get().map(String::as_str)
    }

    pub(super) fn log_in(&self, login: Login) {
        // A connection has one login, so the cell is empty.
        let _ = self.login.set(login);
    }

    /// Registers a service that runs on a channel, until the guard is dropped.
    pub(super) fn begin_service(self: &Arc<SshSession>, service: &'static str) -> ServiceGuard {
        self.services_mut().push(service);
        ServiceGuard { session: Arc::clone(self), service }
    }

    fn services_mut(&self) -> MutexGuard<'_, Vec<&'static str>> {
        self.services.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

pub(super) struct ServiceGuard {
    session: Arc<SshSession>,
    service: &'static str,
}

impl Drop for ServiceGuard {
    fn drop(&mut self) {
        let mut services = self.session.services_mut();
        if let Some(at) = services.iter().position(|service| *service == self.service) {
            services.remove(at);
        }
    }
}
