//! The gate: every connection passes it, and holds its place until it ends.

use super::Limits;
use super::penalties::{Offence, Penalties, Penalty};
use super::source::Source;
use arc_swap::ArcSwap;
use std::collections::HashMap;
use std::hash::Hash;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Counts connections and offences, and says who may come in.
#[derive(Debug)]
pub struct Gate {
    limits: ArcSwap<Limits>,
    counts: Mutex<Counts>,
}

#[derive(Debug, Default)]
struct Counts {
    /// Connections that are not logged in.
    strangers: usize,
    /// The same by source, exempt sources included.
    startups: HashMap<Source, usize>,
    /// Connections of each source that is not exempt.
    sources: HashMap<Source, usize>,
    /// Connections that each user is logged in on.
    users: HashMap<String, usize>,
    penalties: Penalties,
}

/// Why a connection is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Its source has offended.
    #[error("its address has a penalty for {} s more", .0.as_secs() + 1)]
    Penalty(Duration),
    /// Its source has enough of them.
    #[error("its address has {0} connections open")]
    Address(usize),
    /// Its source has enough of them that are not logged in.
    #[error("its address has {0} connections that are not logged in")]
    AddressStartups(usize),
    /// Too many are not logged in.
    #[error("{0} connections are not logged in")]
    Startups(usize),
}

impl Refusal {
    /// What the connection is told before it is closed, a line in place of a greeting (RFC 4253 section 4.2).
    #[must_use]
    pub fn told(&self) -> String {
        let why = match self {
            Refusal::Penalty(left) => {
                format!("logins from your address failed, it is refused for {} s more", left.as_secs() + 1)
            }
            Refusal::Address(open) => {
                format!("your address has {open} connections open, and may have no more")
            }
            Refusal::AddressStartups(open) => {
                format!("your address has {open} connections waiting to log in, and may have no more")
            }
            Refusal::Startups(_) => {
                "too many connections are waiting to log in, try again in a minute".to_owned()
            }
        };
        format!("Not now: {why}\r\n")
    }
}

impl Gate {
    /// A gate that nobody has passed.
    #[must_use]
    pub fn new(limits: Limits) -> Arc<Gate> {
        Arc::new(Gate { limits: ArcSwap::from_pointee(limits), counts: Mutex::default() })
    }

    /// The settings that hold now.
    #[must_use]
    pub fn limits(&self) -> Arc<Limits> {
        self.limits.load_full()
    }

    /// Sets others. Who is in stays in.
    pub fn set_limits(&self, limits: Limits) {
        self.limits.store(Arc::new(limits));
    }

    /// The sources that have a penalty: how much of it is left, and for how much longer they are refused, if
    /// they are.
    #[must_use]
    pub fn penalties(&self, now: Instant) -> Vec<Penalty> {
        let limits = self.limits();
        self.counts().penalties.list(&limits.penalties, now)
    }

    /// Lifts the penalty of an address or a network, or of `all`. Returns those that had one.
    pub fn forgive(&self, which: &str) -> Vec<String> {
        let address = which.strip_suffix("/64").unwrap_or(which);
        let source = address.parse().ok().map(|address: IpAddr| Source::of(address).to_string());
        let source = source.as_deref().unwrap_or(which);
        self.counts().penalties.forgive(|penalised| which == "all" || penalised == source)
    }

    /// Lets a connection in, or not. The dice say 0 to 99.
    ///
    /// # Errors
    /// If its source is penalised or has too many connections, or too many are not logged in.
    pub fn admit(self: &Arc<Gate>, peer: IpAddr, now: Instant, dice: u8) -> Result<Entry, Refusal> {
        let address = peer.to_canonical();
        let limits = self.limits();
        let exempt = limits.exempt.iter().any(|network| network.contains(&address));
        let source = Source::of(peer);
        let mut counts = self.counts();
        let startups = counts.startups.get(&source).copied().unwrap_or(0);
        if !exempt {
            if let Some(left) = counts.penalties.refused(source, &limits.penalties, now) {
                return Err(Refusal::Penalty(left));
            }
            let open = counts.sources.get(&source).copied().unwrap_or(0);
            if open >= limits.connections_per_address {
                return Err(Refusal::Address(open));
            }
            if startups >= limits.max_startups.max_per_source() {
                return Err(Refusal::AddressStartups(startups));
            }
        }
        if limits.max_startups.drops(counts.strangers, startups, dice) {
            return Err(Refusal::Startups(counts.strangers));
        }
        counts.strangers += 1;
        *counts.startups.entry(source).or_default() += 1;
        if !exempt {
            *counts.sources.entry(source).or_default() += 1;
        }
        Ok(Entry {
            gate: Arc::clone(self),
            source,
            exempt,
            state: Mutex::new(State::Stranger { failed: false }),
        })
    }

    fn counts(&self) -> MutexGuard<'_, Counts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The place of one connection. It is given back when it is dropped.
#[derive(Debug)]
pub struct Entry {
    gate: Arc<Gate>,
    source: Source,
    /// Whether its source has neither penalties nor a limit of connections.
    exempt: bool,
    state: Mutex<State>,
}

#[derive(Debug)]
enum State {
    Stranger {
        /// Whether a login was tried, in vain.
        failed: bool,
    },
    /// Logged in as this user.
    User {
        name: String,
        /// Whether it is one of the sessions that the user may have.
        counted: bool,
    },
}

impl Entry {
    /// Notes that a login was refused.
    pub fn refused(&self) {
        if let State::Stranger { failed } = &mut *self.state() {
            *failed = true;
        }
    }

    /// Notes that somebody has logged in. Returns whether the user may have this session, too.
    pub fn logged_in(&self, user: &str) -> bool {
        let mut state = self.state();
        if let State::User { counted, .. } = &*state {
            return *counted;
        }
        let mut counts = self.gate.counts();
        counts.end_startup(self.source);
        let sessions = counts.users.get(user).copied().unwrap_or(0);
        let may = sessions < self.gate.limits().sessions_per_user;
        if may {
            *counts.users.entry(user.to_owned()).or_default() += 1;
        }
        *state = State::User { name: user.to_owned(), counted: may };
        may
    }

    /// Whether somebody has logged in.
    #[must_use]
    pub fn is_logged_in(&self) -> bool {
        matches!(*self.state(), State::User { .. })
    }

    /// The user who has logged in.
    #[must_use]
    pub fn user(&self) -> Option<String> {
        match &*self.state() {
            State::User { name, .. } => Some(name.clone()),
            State::Stranger { .. } => None,
        }
    }

    /// Books the offence of a connection that ends and on which nobody has logged in. Returns whether its
    /// source is refused from now on.
    pub fn end(&self, too_long: bool, now: Instant) -> bool {
        let offence = match (&*self.state(), too_long) {
            (State::User { .. }, _) => return false,
            (State::Stranger { .. }, true) => Offence::TooLong,
            (State::Stranger { failed: true }, false) => Offence::FailedLogin,
            (State::Stranger { failed: false }, false) => Offence::NoLogin,
        };
        if self.exempt {
            return false;
        }
        let limits = self.gate.limits();
        self.gate.counts().penalties.add(self.source, offence, &limits.penalties, now)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        let state = self.state.get_mut().unwrap_or_else(PoisonError::into_inner);
        let mut counts = self.gate.counts.lock().unwrap_or_else(PoisonError::into_inner);
        match state {
            State::Stranger { .. } => counts.end_startup(self.source),
            State::User { name, counted: true } => leave(&mut counts.users, name),
            State::User { counted: false, .. } => {}
        }
        if !self.exempt {
            leave(&mut counts.sources, &self.source);
        }
    }
}

impl Counts {
    /// Counts one fewer that is not logged in.
    fn end_startup(&mut self, source: Source) {
        self.strangers = self.strangers.saturating_sub(1);
        leave(&mut self.startups, &source);
    }
}

/// Takes one away; what is none is forgotten.
fn leave<K: Hash + Eq>(counts: &mut HashMap<K, usize>, key: &K) {
    if let Some(count) = counts.get_mut(key) {
        *count = count.saturating_sub(1);
        if *count == 0 {
            counts.remove(key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::Startups;

    const HERE: &str = "192.0.2.1";
    const ELSEWHERE: &str = "192.0.2.2";

    fn gate(change: impl FnOnce(&mut Limits)) -> Arc<Gate> {
        let mut limits = Limits::default();
        change(&mut limits);
        Gate::new(limits)
    }

    fn admit(gate: &Arc<Gate>, peer: &str) -> Result<Entry, Refusal> {
        gate.admit(peer.parse().unwrap(), Instant::now(), 99)
    }

    #[test]
    fn strangers_make_room_when_they_log_in_or_leave() {
        let gate = gate(|limits| limits.max_startups = Startups { start: 2, rate: 100, full: 2 });
        let first = admit(&gate, HERE).unwrap();
        let second = admit(&gate, ELSEWHERE).unwrap();
        assert_eq!(admit(&gate, "192.0.2.9").unwrap_err(), Refusal::Startups(2));
        assert!(first.logged_in("ann") && first.is_logged_in());
        let third = admit(&gate, HERE).unwrap();
        drop((second, third));
        let both = [admit(&gate, HERE).unwrap(), admit(&gate, ELSEWHERE).unwrap()];
        assert!(admit(&gate, "192.0.2.9").is_err());
        drop(both);
        assert_eq!(gate.counts().strangers, 0);
        drop(first);
        let counts = gate.counts();
        assert!(counts.startups.is_empty() && counts.sources.is_empty() && counts.users.is_empty());
    }

    /// How many of a hundred throws of the dice refuse another connection from `peer`.
    fn refused_in_percent(gate: &Arc<Gate>, peer: &str) -> usize {
        let peer = peer.parse().unwrap();
        (0..100).filter(|dice| gate.admit(peer, Instant::now(), *dice).is_err()).count()
    }

    #[test]
    fn half_open_connections_of_some_sources_refuse_no_login_of_others() {
        let gate = gate(|_| {});
        let open = |peer: &str| (0..100).map_while(|_| admit(&gate, peer).ok()).collect::<Vec<_>>();
        let mut held = open("203.0.113.1");
        assert_eq!(held.len(), 25);
        assert_eq!(admit(&gate, "203.0.113.1").unwrap_err(), Refusal::AddressStartups(25));
        assert_eq!(refused_in_percent(&gate, HERE), 0);
        for peer in ["203.0.113.2", "203.0.113.3", "203.0.113.4"] {
            held.extend(open(peer));
        }
        assert_eq!(held.len(), 100);
        // A source with a few is never dropped at random. With more it is, like those that hold most.
        let few: Vec<_> = (0..5).map(|_| admit(&gate, ELSEWHERE).unwrap()).collect();
        assert_eq!([HERE, ELSEWHERE].map(|peer| refused_in_percent(&gate, peer)), [0, 0]);
        let more = admit(&gate, ELSEWHERE).unwrap();
        assert_eq!(refused_in_percent(&gate, ELSEWHERE), 30 + 70 * 56 / 100);
        drop((few, more));
        for peer in ["203.0.113.5", "203.0.113.6"] {
            held.extend(open(peer));
        }
        assert_eq!((held.len(), refused_in_percent(&gate, HERE)), (150, 100));
        held.pop();
        assert_eq!(refused_in_percent(&gate, HERE), 0);
        // A login gives the place back at once.
        assert!(admit(&gate, HERE).unwrap().logged_in("ann"));
        assert_eq!(refused_in_percent(&gate, HERE), 0);
    }

    #[test]
    fn exempt_sources_have_no_share_and_harm_no_others() {
        let gate = gate(|_| {});
        let held: Vec<_> = (0..100).map(|_| admit(&gate, "127.0.0.1").unwrap()).collect();
        assert_eq!(["127.0.0.1", HERE].map(|peer| refused_in_percent(&gate, peer)), [65, 0]);
        drop(held);
    }

    #[test]
    fn an_address_has_its_share_unless_it_is_exempt() {
        let gate = gate(|limits| limits.connections_per_address = 2);
        let held = [admit(&gate, "2001:db8::1").unwrap(), admit(&gate, "2001:db8::2").unwrap()];
        assert_eq!(admit(&gate, "2001:db8::3").unwrap_err(), Refusal::Address(2));
        assert!(admit(&gate, "2001:db8:0:1::1").is_ok());
        assert!(held[0].logged_in("ann"), "a login changes nothing about it");
        assert!(admit(&gate, "2001:db8::3").is_err());
        drop(held);
        assert!(admit(&gate, "2001:db8::3").is_ok());
        for peer in ["127.0.0.1", "::1", "::ffff:127.0.0.2"] {
            let held: Vec<_> = (0..5).map(|_| admit(&gate, peer).unwrap()).collect();
            assert_eq!(held.len(), 5);
        }
    }

    #[test]
    fn a_user_has_so_many_sessions() {
        let gate = gate(|limits| limits.sessions_per_user = 1);
        let entries = [HERE, HERE, HERE].map(|peer| admit(&gate, peer).unwrap());
        assert!(entries[0].logged_in("ann") && entries[0].logged_in("ann"));
        assert!(!entries[1].logged_in("ann") && !entries[1].logged_in("ann"));
        assert!(entries[2].logged_in("zcl"));
        let [first, second, _] = entries;
        drop(second);
        assert!(!admit(&gate, HERE).unwrap().logged_in("ann"));
        drop(first);
        assert!(admit(&gate, HERE).unwrap().logged_in("ann"));
    }

    #[test]
    fn connections_that_fail_are_penalised_and_not_each_key() {
        let (gate, now) = (gate(|_| {}), Instant::now());
        let fail = |peer: &str, too_long| {
            let entry = admit(&gate, peer).unwrap();
            (0..5).for_each(|_| entry.refused());
            entry.end(too_long, now)
        };
        assert_eq!([0; 4].map(|_| fail(HERE, false)), [false, false, false, true]);
        let Err(Refusal::Penalty(left)) = gate.admit(HERE.parse().unwrap(), now, 99) else { panic!() };
        assert_eq!(left, Duration::from_secs(5));
        assert!(gate.admit(HERE.parse().unwrap(), now + left, 99).is_ok());
        assert!(fail("192.0.2.2", true), "one that takes too long is enough");
        assert_eq!([0; 9].map(|_| fail("127.0.0.1", false)), [false; 9]);
        // Who logs in at last has done nothing wrong.
        let entry = admit(&gate, "192.0.2.3").unwrap();
        entry.refused();
        entry.logged_in("ann");
        assert!(!entry.end(false, now));
        assert!(gate.counts().penalties.refused(entry.source, &gate.limits().penalties, now).is_none());
    }
}
