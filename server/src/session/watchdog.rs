//! The watchdog of a connection: enforces the login grace time, the idle timeout, and that the client reads.

use super::ServerState;
use super::flow_control::FlowControl;
use crate::limits::{ConnectionLimits, ConnectionPermit};
use std::time::Duration;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until};

/// A connection is closed if its queued output has not moved for this long, or for as long as unanswered keepalives are
/// tolerated if that is less.
const STUCK_AFTER: Duration = Duration::from_secs(60);

/// The longest time between two checks of a connection.
const CHECK_INTERVAL: Duration = Duration::from_secs(5);

/// The reason why the watchdog closes a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum DisconnectReason {
    /// The login grace time has passed.
    #[error("no login in time")]
    TooLong,
    /// The client does not read its input.
    #[error("the client does not read")]
    Stuck,
    /// The idle timeout has passed.
    #[error("idle")]
    Idle,
}

impl DisconnectReason {
    /// The message for a client that may still read.
    pub(super) fn farewell(self, limits: &ConnectionLimits) -> Option<String> {
        match self {
            DisconnectReason::Idle => {
                let seconds = limits.idle_timeout.map_or(0, |timeout| timeout.as_secs());
                Some(format!("idle for {seconds} s"))
            }
            DisconnectReason::TooLong | DisconnectReason::Stuck => None,
        }
    }
}

/// Returns when the connection must be closed, with the reason.
pub(super) async fn watch(
    begun: Instant,
    flow: &FlowControl,
    permit: &ConnectionPermit,
    shared: &ServerState,
) -> DisconnectReason {
    let limits = shared.admission.limits();
    let grace = begun + limits.login_grace;
    let mut output = (flow.progress().1, Instant::now());
    let mut input = (flow.reads(), Instant::now());
    let mut moves = (flow.moves(), Instant::now());
    let stuck = STUCK_AFTER.min(limits.keepalive_limit());
    let check_interval =
        limits.idle_timeout.map_or(CHECK_INTERVAL, |timeout| CHECK_INTERVAL.min(timeout / 4)).min(stuck / 4);
    let mut tick = interval(check_interval);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = tick.tick() => {}
            () = sleep_until(grace), if !permit.is_logged_in() => {
                if !permit.is_logged_in() {
                    return DisconnectReason::TooLong;
                }
            }
        }
        let (queued, written) = flow.progress();
        if queued == 0 || written != output.0 {
            output = (written, Instant::now());
        } else if output.1.elapsed() >= stuck {
            return DisconnectReason::Stuck;
        }
        let Some(user) = permit.user() else { continue };
        // It does not read, and sends more than the server may hold.
        let reads = flow.reads();
        if reads.0 != input.0.0 || reads.1 == input.0.1 || shared.permits.is_busy(&user) {
            input = (reads, Instant::now());
        } else if input.1.elapsed() >= STUCK_AFTER {
            return DisconnectReason::Stuck;
        }
        // Work without output, such as syncing a large file, counts as activity.
        if queued > 0 || flow.moves() != moves.0 || shared.permits.is_busy(&user) {
            moves = (flow.moves(), Instant::now());
        } else if limits.idle_timeout.is_some_and(|timeout| moves.1.elapsed() >= timeout) {
            return DisconnectReason::Idle;
        }
    }
}
