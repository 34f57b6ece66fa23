//! Rate limits for log lines about refused connections and logins: a flood of them does not flood the log.

use super::source::SourceAddress;
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// The interval of a summary line.
pub(super) const LOG_INTERVAL: Duration = Duration::from_secs(60);

/// Counts refused connections, and decides when a summary is logged.
#[derive(Debug, Default)]
pub struct ConnectionRefusalLog {
    unlogged: u64,
    last_logged: Option<Instant>,
}

impl ConnectionRefusalLog {
    /// Counts a refused connection. Returns the number since the last summary if one is due.
    pub fn count(&mut self, now: Instant) -> Option<u64> {
        self.unlogged += 1;
        if self
            .last_logged
            .is_some_and(|last_logged| now.saturating_duration_since(last_logged) < LOG_INTERVAL)
        {
            return None;
        }
        self.last_logged = Some(now);
        Some(std::mem::take(&mut self.unlogged))
    }
}

/// The number of refused logins of one source that are logged in a minute.
const MAX_LINES_PER_SOURCE: u32 = 10;

/// The number of refused logins of all sources that are logged in a minute.
const MAX_LINES: u32 = 100;

/// Limits the log lines of refused logins: unauthenticated clients can cause any number, and must not displace the lines
/// of users.
#[derive(Debug, Default)]
pub struct LoginRefusalLog(Mutex<LogMinute>);

#[derive(Debug, Default)]
struct LogMinute {
    begun: Option<Instant>,
    lines: u32,
    /// The lines of each source.
    sources: HashMap<Option<SourceAddress>, u32>,
    suppressed: u64,
}

/// Whether to log a refused login.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogDecision {
    /// Whether this one is logged.
    pub is_logged: bool,
    /// The number of suppressed lines in the previous minute, if it has just ended.
    pub suppressed: Option<u64>,
}

impl LoginRefusalLog {
    /// Counts a refused login from a peer.
    pub fn note(&self, peer: Option<IpAddr>, now: Instant) -> LogDecision {
        let mut minute = self.minute();
        let suppressed = minute.end(now);
        let source = peer.map(SourceAddress::of);
        let lines = minute.sources.get(&source).copied().unwrap_or(0);
        let is_logged = lines < MAX_LINES_PER_SOURCE && minute.lines < MAX_LINES;
        if is_logged {
            minute.lines += 1;
            minute.sources.insert(source, lines + 1);
        } else {
            minute.suppressed += 1;
        }
        LogDecision { is_logged, suppressed }
    }

    /// The number of suppressed lines in the previous minute, unless it was reported.
    pub fn rest(&self, now: Instant) -> Option<u64> {
        self.minute().end(now)
    }

    fn minute(&self) -> MutexGuard<'_, LogMinute> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl LogMinute {
    /// Starts a new minute if this one is over. Returns the number of lines that were suppressed in it.
    fn end(&mut self, now: Instant) -> Option<u64> {
        if self.begun.is_some_and(|begun| now.saturating_duration_since(begun) < LOG_INTERVAL) {
            return None;
        }
        let over = std::mem::take(self);
        self.begun = Some(now);
        Some(over.suppressed).filter(|suppressed| *suppressed > 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_of_logins_does_not_flood_the_log() {
        let (refusals, now) = (LoginRefusalLog::default(), Instant::now());
        let from = |number: u32| Some(IpAddr::V4(number.into()));
        let note = |number, after| refusals.note(from(number), now + Duration::from_secs(after));
        let lines = |number| (0..1000).filter(|_| note(number, 1).is_logged).count();
        assert_eq!((lines(1), lines(2)), (10, 10));
        let all: usize = (3..1000).map(lines).sum();
        assert_eq!(all, 80);
        assert_eq!(refusals.minute().sources.len(), 10);
        assert_eq!(note(7, 61), LogDecision { is_logged: true, suppressed: Some(999 * 1000 - 100) });
        assert_eq!(note(7, 62), LogDecision { is_logged: true, suppressed: None });
        assert_eq!(refusals.rest(now + Duration::from_secs(200)), None);
    }

    #[test]
    fn the_first_refusal_is_logged_at_once_and_later_ones_are_summarized() {
        let (mut refusals, now) = (ConnectionRefusalLog::default(), Instant::now());
        assert_eq!(refusals.count(now), Some(1));
        for second in 0..59 {
            assert_eq!(refusals.count(now + Duration::from_secs(second)), None);
        }
        assert_eq!(refusals.count(now + LOG_INTERVAL), Some(60));
        assert_eq!(refusals.count(now + LOG_INTERVAL), None);
    }
}
