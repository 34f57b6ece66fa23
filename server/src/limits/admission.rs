//! Admission control: every connection is admitted before a byte of it is read, and holds a permit until it ends.

use super::ConnectionLimits;
use super::penalties::{Offence, Penalty, PenaltyTable};
use super::source::SourceAddress;
use arc_swap::ArcSwap;
use std::collections::HashMap;
use std::hash::Hash;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Admits or refuses connections. Counts them by source and user, and keeps penalties.
#[derive(Debug)]
pub struct AdmissionControl {
    limits: ArcSwap<ConnectionLimits>,
    counts: Mutex<ConnectionCounts>,
}

#[derive(Debug, Default)]
struct ConnectionCounts {
    /// Unauthenticated connections.
    unauthenticated: usize,
    /// Unauthenticated connections by source, including exempt sources.
    startups: HashMap<SourceAddress, usize>,
    /// All connections by source, without exempt sources.
    sources: HashMap<SourceAddress, usize>,
    /// Sessions by user.
    users: HashMap<String, usize>,
    penalties: PenaltyTable,
}

/// Why a connection is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AdmissionError {
    /// The source has a penalty.
    #[error("its address has a penalty for {} s more", .0.as_secs() + 1)]
    Penalty(Duration),
    /// The source has too many connections.
    #[error("its address has {0} connections open")]
    Address(usize),
    /// The source has too many unauthenticated connections.
    #[error("its address has {0} connections that are not logged in")]
    AddressStartups(usize),
    /// Too many connections are unauthenticated.
    #[error("{0} connections are not logged in")]
    Startups(usize),
}

impl AdmissionError {
    /// The line for the client before its connection is closed, in place of the greeting (RFC 4253 section 4.2).
    #[must_use]
    pub fn client_message(&self) -> String {
        let why = match self {
            AdmissionError::Penalty(left) => {
                format!("logins from your address failed: it is refused for another {} s", left.as_secs() + 1)
            }
            AdmissionError::Address(open) => {
                format!("your address has {open} connections open, which is the limit")
            }
            AdmissionError::AddressStartups(open) => {
                format!("your address has {open} connections waiting to log in, which is the limit")
            }
            AdmissionError::Startups(_) => {
                "too many connections are waiting to log in, try again in a minute".to_owned()
            }
        };
        format!("Not now: {why}\r\n")
    }
}

impl AdmissionControl {
    /// Admission control without connections.
    #[must_use]
    pub fn new(limits: ConnectionLimits) -> Arc<AdmissionControl> {
        Arc::new(AdmissionControl { limits: ArcSwap::from_pointee(limits), counts: Mutex::default() })
    }

    /// The current limits.
    #[must_use]
    pub fn limits(&self) -> Arc<ConnectionLimits> {
        self.limits.load_full()
    }

    /// Changes the limits. Admitted connections are not affected.
    pub fn set_limits(&self, limits: ConnectionLimits) {
        self.limits.store(Arc::new(limits));
    }

    /// The sources with a penalty, with the rest of it and the time for which they are refused.
    #[must_use]
    pub fn penalties(&self, now: Instant) -> Vec<Penalty> {
        let limits = self.limits();
        self.counts().penalties.list(&limits.penalties, now)
    }

    /// Lifts the penalty of an address, a network, or `all`. Returns the sources that had one.
    pub fn forgive(&self, which: &str) -> Vec<String> {
        let address = which.strip_suffix("/64").unwrap_or(which);
        let source = address.parse().ok().map(|address: IpAddr| SourceAddress::of(address).to_string());
        let source = source.as_deref().unwrap_or(which);
        self.counts().penalties.forgive(|penalised| which == "all" || penalised == source)
    }

    /// Admits or refuses a connection. `dice` is a random number from 0 to 99.
    ///
    /// # Errors
    /// If its source has a penalty or too many connections, or too many connections are unauthenticated.
    pub fn admit(
        self: &Arc<AdmissionControl>,
        peer: IpAddr,
        now: Instant,
        dice: u8,
    ) -> Result<ConnectionPermit, AdmissionError> {
        let address = peer.to_canonical();
        let limits = self.limits();
        let exempt = limits.exempt.iter().any(|network| network.contains(&address));
        let source = SourceAddress::of(peer);
        let mut counts = self.counts();
        let startups = counts.startups.get(&source).copied().unwrap_or(0);
        if !exempt {
            if let Some(left) = counts.penalties.refused(source, &limits.penalties, now) {
                return Err(AdmissionError::Penalty(left));
            }
            let open = counts.sources.get(&source).copied().unwrap_or(0);
            if open >= limits.connections_per_address {
                return Err(AdmissionError::Address(open));
            }
            if startups >= limits.max_startups.max_per_source() {
                return Err(AdmissionError::AddressStartups(startups));
            }
        }
        if limits.max_startups.drops(counts.unauthenticated, startups, dice) {
            return Err(AdmissionError::Startups(counts.unauthenticated));
        }
        counts.unauthenticated += 1;
        *counts.startups.entry(source).or_default() += 1;
        if !exempt {
            *counts.sources.entry(source).or_default() += 1;
        }
        Ok(ConnectionPermit {
            admission: Arc::clone(self),
            source,
            exempt,
            state: Mutex::new(PermitState::Unauthenticated { failed: false }),
        })
    }

    fn counts(&self) -> MutexGuard<'_, ConnectionCounts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The permit of one connection. Dropping it returns it.
#[derive(Debug)]
pub struct ConnectionPermit {
    admission: Arc<AdmissionControl>,
    source: SourceAddress,
    /// Whether its source has neither penalties nor a limit of connections.
    exempt: bool,
    state: Mutex<PermitState>,
}

#[derive(Debug)]
enum PermitState {
    Unauthenticated {
        /// Whether a login attempt failed.
        failed: bool,
    },
    /// Logged in as this user.
    User {
        name: String,
        /// Whether it counts as a session of the user. A session above the limit does not.
        counted: bool,
    },
}

impl ConnectionPermit {
    /// Notes a refused login.
    pub fn refused(&self) {
        if let PermitState::Unauthenticated { failed } = &mut *self.state() {
            *failed = true;
        }
    }

    /// Notes a login. Returns whether the user may have this session.
    pub fn logged_in(&self, user: &str) -> bool {
        let mut state = self.state();
        if let PermitState::User { counted, .. } = &*state {
            return *counted;
        }
        let mut counts = self.admission.counts();
        counts.end_startup(self.source);
        let sessions = counts.users.get(user).copied().unwrap_or(0);
        let may = sessions < self.admission.limits().sessions_per_user;
        if may {
            *counts.users.entry(user.to_owned()).or_default() += 1;
        }
        *state = PermitState::User { name: user.to_owned(), counted: may };
        may
    }

    /// Whether the connection is authenticated.
    #[must_use]
    pub fn is_logged_in(&self) -> bool {
        matches!(*self.state(), PermitState::User { .. })
    }

    /// The user who has logged in.
    #[must_use]
    pub fn user(&self) -> Option<String> {
        match &*self.state() {
            PermitState::User { name, .. } => Some(name.clone()),
            PermitState::Unauthenticated { .. } => None,
        }
    }

    /// Adds the penalty of a connection that ends without a login. Returns whether its source is refused from now on.
    pub fn end(&self, too_long: bool, now: Instant) -> bool {
        let offence = match (&*self.state(), too_long) {
            (PermitState::User { .. }, _) => return false,
            (PermitState::Unauthenticated { .. }, true) => Offence::TooLong,
            (PermitState::Unauthenticated { failed: true }, false) => Offence::FailedLogin,
            (PermitState::Unauthenticated { failed: false }, false) => Offence::NoLogin,
        };
        if self.exempt {
            return false;
        }
        let limits = self.admission.limits();
        self.admission.counts().penalties.add(self.source, offence, &limits.penalties, now)
    }

    fn state(&self) -> MutexGuard<'_, PermitState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for ConnectionPermit {
    fn drop(&mut self) {
        let state = self.state.get_mut().unwrap_or_else(PoisonError::into_inner);
        let mut counts = self.admission.counts.lock().unwrap_or_else(PoisonError::into_inner);
        match state {
            PermitState::Unauthenticated { .. } => counts.end_startup(self.source),
            PermitState::User { name, counted: true } => leave(&mut counts.users, name),
            PermitState::User { counted: false, .. } => {}
        }
        if !self.exempt {
            leave(&mut counts.sources, &self.source);
        }
    }
}

impl ConnectionCounts {
    /// Counts one unauthenticated connection less.
    fn end_startup(&mut self, source: SourceAddress) {
        self.unauthenticated = self.unauthenticated.saturating_sub(1);
        leave(&mut self.startups, &source);
    }
}

/// Decrements a count, and removes it at zero.
fn leave<K: Hash + Eq>(counts: &mut HashMap<K, usize>, key: &K) {
    if let Some(count) = counts.get_mut(key) {
        *count = count.saturating_sub(1);
        if *count == 0 {
            counts.remove(key);
        }
    }
}

#[cfg(test)]
mod tests;
