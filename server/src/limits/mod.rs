//! What holds before and beside a login: who may connect, how often, and for how long nothing may happen.
//!
//! Nothing here knows sockets or clocks: what time it is and how the dice fall are arguments.

mod admission;
mod penalties;
mod refusal_log;
mod source;
mod startups;

pub use admission::{AdmissionControl, AdmissionError, ConnectionPermit};
pub use penalties::{Offence, Penalty, PenaltySettings};
pub use refusal_log::{ConnectionRefusalLog, LogDecision, LoginRefusalLog};
pub use startups::MaxStartups;

use ipnet::IpNet;
use std::time::Duration;

/// The settings of `[server.limits]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConnectionLimits {
    /// How long a login may take.
    pub login_grace: Duration,
    /// How many connections may be open that are not logged in.
    pub max_startups: MaxStartups,
    /// How many connections one source may have open.
    pub connections_per_address: usize,
    /// How many attempts to log in a connection has.
    pub login_attempts: usize,
    /// How many connections one user may be logged in on.
    pub sessions_per_user: usize,
    /// How long a session may be idle; none for ever.
    pub idle_timeout: Option<Duration>,
    /// How long a client may be silent before it is asked whether it is there.
    pub keepalive_interval: Duration,
    /// How often it is asked in vain.
    pub keepalive_count: usize,
    /// What offences cost.
    pub penalties: PenaltySettings,
    /// Where neither penalties nor the number of connections are counted.
    pub exempt: Vec<IpNet>,
}

impl ConnectionLimits {
    /// How long a client may be silent, or take nothing of what is sent, before it is taken for gone.
    #[must_use]
    pub fn keepalive_limit(&self) -> Duration {
        let questions = u32::try_from(self.keepalive_count).unwrap_or(u32::MAX);
        self.keepalive_interval.saturating_mul(questions.saturating_add(1))
    }
}

impl Default for ConnectionLimits {
    fn default() -> ConnectionLimits {
        ConnectionLimits {
            login_grace: Duration::from_secs(60),
            max_startups: MaxStartups { start: 50, rate: 30, full: 150 },
            connections_per_address: 100,
            login_attempts: 10,
            sessions_per_user: 100,
            // Keepalives find a peer that is gone; a person who thinks for an hour is none.
            idle_timeout: None,
            keepalive_interval: Duration::from_secs(30),
            keepalive_count: 4,
            penalties: PenaltySettings::default(),
            // Whoever comes through a tunnel or a proxy shares its address with all who do.
            exempt: ["127.0.0.0/8", "::1/128"].iter().filter_map(|network| network.parse().ok()).collect(),
        }
    }
}
