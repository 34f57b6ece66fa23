//! Connections that nobody can want any more.

use super::Shared;
use super::flow_control::Backlog;
use crate::limits::{Entry, Limits};
use std::time::Duration;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until};

/// A connection is cut off whose output has not moved for this long though there is some, or for as long as unanswered
/// keepalives are tolerated, if that is less.
const STUCK: Duration = Duration::from_secs(60);

/// How often a connection is looked at, at least.
const LOOK: Duration = Duration::from_secs(5);

/// Why a connection is cut off.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Cut {
    /// Nobody has logged in.
    #[error("no login in time")]
    TooLong,
    /// The client leaves what it gets.
    #[error("the client does not read")]
    Stuck,
    /// Nothing happens.
    #[error("idle")]
    Idle,
}

impl Cut {
    /// What a client is told that may still listen.
    pub(super) fn farewell(self, limits: &Limits) -> Option<String> {
        match self {
            Cut::Idle => {
                let seconds = limits.idle_timeout.map_or(0, |timeout| timeout.as_secs());
                Some(format!("idle for {seconds} s"))
            }
            Cut::TooLong | Cut::Stuck => None,
        }
    }
}

/// Returns when the connection is to be cut off, saying why.
pub(super) async fn watch(begun: Instant, backlog: &Backlog, entry: &Entry, shared: &Shared) -> Cut {
    let limits = shared.gate.limits();
    let grace = begun + limits.login_grace;
    let mut output = (backlog.progress().1, Instant::now());
    let mut input = (backlog.reads(), Instant::now());
    let mut moves = (backlog.moves(), Instant::now());
    let stuck = STUCK.min(limits.keepalive_limit());
    let look = limits.idle_timeout.map_or(LOOK, |timeout| LOOK.min(timeout / 4)).min(stuck / 4);
    let mut tick = interval(look);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = tick.tick() => {}
            () = sleep_until(grace), if !entry.is_logged_in() => {
                if !entry.is_logged_in() {
                    return Cut::TooLong;
                }
            }
        }
        let (queued, written) = backlog.progress();
        if queued == 0 || written != output.0 {
            output = (written, Instant::now());
        } else if output.1.elapsed() >= stuck {
            return Cut::Stuck;
        }
        let Some(user) = entry.user() else { continue };
        // It leaves what it gets, and sends more than the server can hold meanwhile.
        let reads = backlog.reads();
        if reads.0 != input.0.0 || reads.1 == input.0.1 || shared.homes.is_busy(&user) {
            input = (reads, Instant::now());
        } else if input.1.elapsed() >= STUCK {
            return Cut::Stuck;
        }
        // Work that says nothing for long, as bringing a large file to the disk, is work.
        if queued > 0 || backlog.moves() != moves.0 || shared.homes.is_busy(&user) {
            moves = (backlog.moves(), Instant::now());
        } else if limits.idle_timeout.is_some_and(|timeout| moves.1.elapsed() >= timeout) {
            return Cut::Idle;
        }
    }
}
