//! The state of the server that all connections share.

use super::{AbandonedWork, BulkGate, MemoryBudgets, RateLimits, SessionRegistry};
use crate::auth::Authenticator;
use crate::config::Config;
use crate::limits::AdmissionControl;
use crate::metrics::Metrics;
use crate::protocol::BlockingPool;
use crate::service::UserPermits;
use arc_swap::{ArcSwap, ArcSwapOption};
use sshome_store::HomeStore;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

/// The state that all connections share.
pub struct ServerState {
    /// The current settings.
    pub config: ArcSwap<Config>,
    /// The addresses that the server listens on, with the actual ports.
    pub listen: Vec<SocketAddr>,
    /// Why the settings in the file were rejected. `None` if they are in effect.
    pub refused: ArcSwapOption<String>,
    /// Checks credentials.
    pub authenticator: Authenticator,
    /// The homes of all users.
    pub homes: Arc<dyn HomeStore>,
    /// The permits for slices of work.
    pub permits: UserPermits,
    /// Admission control for connections.
    pub admission: Arc<AdmissionControl>,
    /// The bandwidth limits of all users.
    pub rates: RateLimits,
    /// The memory budgets of all users.
    pub memory: MemoryBudgets,
    /// The turns of connections that move much data.
    pub bulk_gate: Arc<BulkGate>,
    /// The open sessions.
    pub sessions: Arc<SessionRegistry>,
    /// Work of ended sessions that hangs.
    pub abandoned: AbandonedWork,
    /// Counters for Prometheus.
    pub metrics: Arc<Metrics>,
    /// The threads that run work slices.
    pub pool: BlockingPool,
    /// Cancelled when shutdown begins: no new work is accepted.
    pub stopping: CancellationToken,
    /// Cancelled at the end of the grace period: all sessions are closed.
    pub cut: CancellationToken,
}
