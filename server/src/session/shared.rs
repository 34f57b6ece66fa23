//! What all connections of a server share.

use super::{Memory, Rates, Sessions};
use crate::auth::Authenticator;
use crate::config::Config;
use crate::home::Homes;
use crate::limits::Gate;
use crate::metrics::Metrics;
use crate::quota::Ledgers;
use crate::subsystem::Threads;
use arc_swap::{ArcSwap, ArcSwapOption};
use std::net::SocketAddr;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

/// What all connections of a server share.
pub struct Shared {
    /// The settings that hold now.
    pub config: ArcSwap<Config>,
    /// Where the server listens, with the real ports.
    pub listen: Vec<SocketAddr>,
    /// Why the settings in the file do not apply; `None` if they do.
    pub refused: ArcSwapOption<String>,
    /// Who may log in.
    pub authenticator: Authenticator,
    /// Their homes.
    pub homes: Homes,
    /// Their books.
    pub ledgers: Ledgers,
    /// Who may connect, and how often.
    pub gate: Arc<Gate>,
    /// How fast their bytes may go.
    pub rates: Rates,
    /// How many bytes are held for them.
    pub memory: Memory,
    /// The sessions that are open.
    pub sessions: Arc<Sessions>,
    /// What has happened, in numbers.
    pub metrics: Arc<Metrics>,
    /// Where what clients ask for is done.
    pub threads: Threads,
    /// Cancelled when the server is to end: no new work.
    pub stopping: CancellationToken,
    /// Cancelled when the server ends: every socket is closed.
    pub cut: CancellationToken,
}
