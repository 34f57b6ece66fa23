//! The sessions that are open: what an administrator sees of them, and how they are ended.

use super::flow_control::Backlog;
use super::login_attempts::Attempts;
use crate::audit::{Audit, tell_of_more};
use crate::auth::Login;
use crate::limits::LoginRefusals;
use crate::metrics::Metrics;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant, SystemTime};
use tokio_util::sync::CancellationToken;

/// All connections, by number.
#[derive(Debug, Default)]
pub struct Sessions {
    last: AtomicU64,
    open: Mutex<BTreeMap<u64, Arc<Session>>>,
    metrics: Arc<Metrics>,
    refusals: Arc<LoginRefusals>,
}

/// One connection.
#[derive(Debug)]
pub struct Session {
    audit: Audit,
    peer: SocketAddr,
    since: SystemTime,
    begun: Instant,
    login: OnceLock<Login>,
    pub(super) attempts: Attempts,
    /// What is at work on its channels.
    ways: Mutex<Vec<&'static str>>,
    why: OnceLock<String>,
    backlog: Arc<Backlog>,
    /// Cancelled when the session ends: nothing works on its channels any more.
    pub(super) cut: CancellationToken,
}

impl Sessions {
    /// No sessions yet, whose numbers are kept there.
    #[must_use]
    pub fn new(metrics: Arc<Metrics>) -> Sessions {
        Sessions { metrics, ..Sessions::default() }
    }

    /// Logs how many logins were refused without a line each, if that is to be done now.
    pub fn tell_of_refusals(&self) {
        if let Some(count) = self.refusals.rest(Instant::now()) {
            tell_of_more(count);
        }
    }

    /// Those of users who have logged in, the oldest first.
    #[must_use]
    pub fn logged_in(&self) -> Vec<Arc<Session>> {
        self.open().values().filter(|session| session.login.get().is_some()).map(Arc::clone).collect()
    }

    /// The connection of this number, logged in or not.
    #[must_use]
    pub fn of(&self, number: u64) -> Option<Arc<Session>> {
        self.open().get(&number).map(Arc::clone)
    }

    pub(super) fn enter(
        self: &Arc<Sessions>,
        peer: SocketAddr,
        backlog: Arc<Backlog>,
        cut: CancellationToken,
    ) -> Present {
        let number = self.last.fetch_add(1, Relaxed) + 1;
        let audit = Audit::new(number, peer, Arc::clone(&self.metrics), Arc::clone(&self.refusals));
        let (since, begun) = (SystemTime::now(), Instant::now());
        let session = Arc::new(Session {
            audit,
            peer,
            since,
            begun,
            login: OnceLock::new(),
            attempts: Attempts::default(),
            ways: Mutex::default(),
            why: OnceLock::new(),
            backlog,
            cut,
        });
        self.open().insert(number, Arc::clone(&session));
        Present { session, sessions: Arc::clone(self) }
    }

    fn open(&self) -> MutexGuard<'_, BTreeMap<u64, Arc<Session>>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A session, as long as it is open.
pub(super) struct Present {
    pub(super) session: Arc<Session>,
    sessions: Arc<Sessions>,
}

impl Drop for Present {
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

impl Session {
    /// What it does.
    #[must_use]
    pub fn audit(&self) -> &Audit {
        &self.audit
    }

    /// Where it comes from.
    #[must_use]
    pub fn peer(&self) -> SocketAddr {
        self.peer
    }

    /// When it began.
    #[must_use]
    pub fn since(&self) -> SystemTime {
        self.since
    }

    /// For how long nothing has moved on its channels.
    #[must_use]
    pub fn idle(&self) -> Duration {
        self.backlog.idle()
    }

    /// Who has logged in.
    #[must_use]
    pub fn login(&self) -> Option<&Login> {
        self.login.get()
    }

    /// What is at work on its channels.
    #[must_use]
    pub fn ways(&self) -> Vec<&'static str> {
        self.ways_mut().clone()
    }

    /// Ends it at once. The client is told why if it listens, and its socket is closed a moment later.
    pub fn end(&self, why: impl ToString) {
        // What was said first holds.
        drop(self.why.set(why.to_string()));
        self.cut.cancel();
    }

    /// Why it ends, if we have ended it.
    pub(super) fn why(&self) -> Option<&str> {
        self.why.get().map(String::as_str)
    }

    pub(super) fn log_in(&self, login: Login) {
        // Nobody logs in twice on one connection.
        drop(self.login.set(login));
    }

    /// Notes what is at work on a channel, until the result is dropped.
    pub(super) fn at_work(self: &Arc<Session>, way: &'static str) -> AtWork {
        self.ways_mut().push(way);
        AtWork { session: Arc::clone(self), way }
    }

    fn ways_mut(&self) -> MutexGuard<'_, Vec<&'static str>> {
        self.ways.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

pub(super) struct AtWork {
    session: Arc<Session>,
    way: &'static str,
}

impl Drop for AtWork {
    fn drop(&mut self) {
        let mut ways = self.session.ways_mut();
        if let Some(at) = ways.iter().position(|way| *way == self.way) {
            ways.remove(at);
        }
    }
}
