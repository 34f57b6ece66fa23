//! Refused connections, as the log tells of them: a flood of them is to be no flood of lines.

use super::source::Source;
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How often they are told of at most.
const EVERY: Duration = Duration::from_secs(60);

/// Refused connections that are not told of yet.
#[derive(Debug, Default)]
pub struct Refusals {
    untold: u64,
    told: Option<Instant>,
}

impl Refusals {
    /// Counts one. Returns how many there were since the last time that they were told of, if that is to
    /// be done now.
    pub fn count(&mut self, now: Instant) -> Option<u64> {
        self.untold += 1;
        if self.told.is_some_and(|told| now.saturating_duration_since(told) < EVERY) {
            return None;
        }
        self.told = Some(now);
        Some(std::mem::take(&mut self.untold))
    }
}

/// Refused logins of one source that have a line each, a minute.
const LINES_EACH: u32 = 10;

/// Refused logins of all sources together that have a line each, a minute.
const LINES: u32 = 100;

/// Refused logins: strangers can make any number of them, and what the users did must stay in the log.
#[derive(Debug, Default)]
pub struct LoginRefusals(Mutex<Minute>);

#[derive(Debug, Default)]
struct Minute {
    begun: Option<Instant>,
    lines: u32,
    /// Those that have lines.
    sources: HashMap<Option<Source>, u32>,
    more: u64,
}

/// What the log is to tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Noted {
    /// Whether this one has a line.
    pub one: bool,
    /// How many had none in the minute that is over, if any.
    pub more: Option<u64>,
}

impl LoginRefusals {
    /// Notes one from a peer.
    pub fn note(&self, peer: Option<IpAddr>, now: Instant) -> Noted {
        let mut minute = self.minute();
        let more = minute.end(now);
        let source = peer.map(Source::of);
        let lines = minute.sources.get(&source).copied().unwrap_or(0);
        let one = lines < LINES_EACH && minute.lines < LINES;
        if one {
            minute.lines += 1;
            minute.sources.insert(source, lines + 1);
        } else {
            minute.more += 1;
        }
        Noted { one, more }
    }

    /// How many had no line in the minute that is over, if any, and were not told of.
    pub fn rest(&self, now: Instant) -> Option<u64> {
        self.minute().end(now)
    }

    fn minute(&self) -> MutexGuard<'_, Minute> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Minute {
    /// Begins another one if this one is over; how many had no line in it.
    fn end(&mut self, now: Instant) -> Option<u64> {
        if self.begun.is_some_and(|begun| now.saturating_duration_since(begun) < EVERY) {
            return None;
        }
        let over = std::mem::take(self);
        self.begun = Some(now);
        Some(over.more).filter(|more| *more > 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_of_logins_is_no_flood_of_lines() {
        let (refusals, now) = (LoginRefusals::default(), Instant::now());
        let from = |number: u32| Some(IpAddr::V4(number.into()));
        let note = |number, after| refusals.note(from(number), now + Duration::from_secs(after));
        let lines = |number| (0..1000).filter(|_| note(number, 1).one).count();
        assert_eq!((lines(1), lines(2)), (10, 10));
        let all: usize = (3..1000).map(lines).sum();
        assert_eq!(all, 80);
        assert_eq!(refusals.minute().sources.len(), 10);
        assert_eq!(note(7, 61), Noted { one: true, more: Some(999 * 1000 - 100) });
        assert_eq!(note(7, 62), Noted { one: true, more: None });
        assert_eq!(refusals.rest(now + Duration::from_secs(200)), None);
    }

    #[test]
    fn the_first_is_told_of_at_once_and_the_others_together() {
        let (mut refusals, now) = (Refusals::default(), Instant::now());
        assert_eq!(refusals.count(now), Some(1));
        for second in 0..59 {
            assert_eq!(refusals.count(now + Duration::from_secs(second)), None);
        }
        assert_eq!(refusals.count(now + EVERY), Some(60));
        assert_eq!(refusals.count(now + EVERY), None);
    }
}
