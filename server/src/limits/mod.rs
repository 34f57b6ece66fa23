//! Admission control and connection limits: startups, connections of an address, penalties, sessions of a user,
//! timeouts.
//!
//! This module knows neither sockets nor clocks: time and randomness are arguments.

mod admission;
mod penalties;
mod refusal_log;
mod source;
mod startups;
mod user_lines;

pub use admission::{AdmissionControl, AdmissionError, ConnectionPermit};
pub use penalties::{Offence, Penalty, PenaltySettings};
pub use refusal_log::{ConnectionRefusalLog, LogDecision, LoginRefusalLog};
pub use startups::MaxStartups;
pub use user_lines::{UserLineDecision, UserLineLimit};

use ipnet::IpNet;
use std::time::Duration;

/// The rate limits of log lines, for the whole server.
#[derive(Debug, Default)]
pub struct LogLimits {
    /// Of refused logins.
    pub logins: LoginRefusalLog,
    /// Of users.
    pub users: UserLineLimit,
}

/// The settings of `[server.limits]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConnectionLimits {
    /// The time limit for a login.
    pub login_grace: Duration,
    /// The limit of unauthenticated connections.
    pub max_startups: MaxStartups,
    /// The largest number of connections of one source.
    pub connections_per_address: usize,
    /// The largest number of login attempts on one connection.
    pub login_attempts: usize,
    /// The largest number of sessions of one user.
    pub sessions_per_user: usize,
    /// The time after which an idle session is closed. `None` disables the timeout.
    pub idle_timeout: Option<Duration>,
    /// The silence after which a keepalive is sent.
    pub keepalive_interval: Duration,
    /// The number of unanswered keepalives after which the connection is closed.
    pub keepalive_count: usize,
    /// The penalties of offences.
    pub penalties: PenaltySettings,
    /// Networks without penalties and without a limit of connections.
    pub exempt: Vec<IpNet>,
}

impl ConnectionLimits {
    /// The time after which a client that is silent, or does not acknowledge data, is considered dead.
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
            // Keepalives detect dead peers. A person may be idle for hours.
            idle_timeout: None,
            keepalive_interval: Duration::from_secs(30),
            keepalive_count: 4,
            penalties: PenaltySettings::default(),
            // All clients behind a local tunnel or proxy share its address.
            exempt: ["127.0.0.0/8", "::1/128"].iter().filter_map(|network| network.parse().ok()).collect(),
        }
    }
}
