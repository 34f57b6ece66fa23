//! What all connections of a server share.

use super::{MemoryBudgets, RateLimits, SessionRegistry};
use crate::auth::Authenticator;
use crate::config::Config;
use crate::home::Homes;
use crate::limits::AdmissionControl;
use crate::metrics::Metrics;
use crate::quota::Ledgers;
use crate::subsystem::BlockingPool;
use arc_swap::{ArcSwap, ArcSwapOption};
use std::net::SocketAddr;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

/// What all connections of a server share.
pub struct ServerState {
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
    pub admission: Arc<AdmissionControl>,
    /// How fast their bytes may go.
    pub rates: RateLimits,
    /// How many bytes are held for them.
    pub memory: MemoryBudgets,
    /// The sessions that are open.
    pub sessions: Arc<SessionRegistry>,
    /// What has happened, in numbers.
    pub metrics: Arc<Metrics>,
    /// Where what clients ask for is done.
    pub pool: BlockingPool,
    /// Cancelled when the server is to end: no new work.
    pub stopping: CancellationToken,
    /// Cancelled when the server ends: every socket is closed.
    pub cut: CancellationToken,
}
