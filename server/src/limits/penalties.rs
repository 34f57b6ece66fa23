//! Penalties for sources whose connections fail, like OpenSSH's PerSourcePenalties (sshd_config(5)).
//!
//! Each offence adds to the penalty of its source, up to a maximum. The penalty decreases by one second per second. While
//! it is above the threshold, the source is refused.

use super::source::SourceAddress;
use std::collections::HashMap;
use std::time::{Duration, Instant};

/// The largest number of sources in the table. A further one replaces the source whose penalty ends first.
const MAX_SOURCES: usize = 16_384;

/// An offence of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Offence {
    /// A login failed.
    FailedLogin,
    /// It ended without a login attempt.
    NoLogin,
    /// The login grace time passed.
    TooLong,
}

/// The penalties of offences. Zero for none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PenaltySettings {
    /// A connection on which a login failed and none succeeded.
    pub failed_login: Duration,
    /// A connection without a login attempt.
    pub no_login: Duration,
    /// A connection that exceeded the login grace time.
    pub too_long: Duration,
    /// A source is refused while its penalty is above this.
    pub threshold: Duration,
    /// The largest penalty.
    pub most: Duration,
}

impl Default for PenaltySettings {
    fn default() -> PenaltySettings {
        PenaltySettings {
            failed_login: Duration::from_secs(5),
            no_login: Duration::from_secs(1),
            too_long: Duration::from_secs(20),
            threshold: Duration::from_secs(15),
            most: Duration::from_secs(600),
        }
    }
}

impl PenaltySettings {
    fn of(&self, offence: Offence) -> Duration {
        match offence {
            Offence::FailedLogin => self.failed_login,
            Offence::NoLogin => self.no_login,
            Offence::TooLong => self.too_long,
        }
    }
}

/// The current penalty of a source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Penalty {
    /// An address, or an IPv6 network of 64 bits.
    pub source: String,
    /// The rest of the penalty.
    pub left: Duration,
    /// The time for which the source is refused. `None` if it is admitted.
    pub refused: Option<Duration>,
}

/// When the penalty of each source expires.
#[derive(Debug, Default)]
pub(super) struct PenaltyTable {
    until: HashMap<SourceAddress, Instant>,
}

impl PenaltyTable {
    /// The time for which a source is refused. `None` if it is admitted.
    pub(super) fn refused(
        &self,
        source: SourceAddress,
        settings: &PenaltySettings,
        now: Instant,
    ) -> Option<Duration> {
        let left = self.until.get(&source)?.saturating_duration_since(now);
        left.checked_sub(settings.threshold).filter(|over| !over.is_zero())
    }

    /// Adds an offence. Returns whether the source became refused.
    pub(super) fn add(
        &mut self,
        source: SourceAddress,
        offence: Offence,
        settings: &PenaltySettings,
        now: Instant,
    ) -> bool {
        let cost = settings.of(offence);
        if cost.is_zero() {
            return false;
        }
        let before = self.refused(source, settings, now).is_some();
        if !self.until.contains_key(&source) {
            self.make_room(now);
        }
        let until = self.until.entry(source).or_insert(now);
        *until = ((*until).max(now) + cost).min(now + settings.most);
        !before && self.refused(source, settings, now).is_some()
    }

    /// All current penalties, highest first.
    pub(super) fn list(&self, settings: &PenaltySettings, now: Instant) -> Vec<Penalty> {
        let left = |(source, until): (&SourceAddress, &Instant)| {
            let left = until.saturating_duration_since(now);
            let refused = self.refused(*source, settings, now);
            (!left.is_zero()).then(|| Penalty { source: source.to_string(), left, refused })
        };
        let mut penalties: Vec<Penalty> = self.until.iter().filter_map(left).collect();
        penalties.sort_by(|a, b| b.left.cmp(&a.left).then_with(|| a.source.cmp(&b.source)));
        penalties
    }

    /// Removes the penalties of some sources. Returns the sources that had one.
    pub(super) fn forgive(&mut self, which: impl Fn(&str) -> bool) -> Vec<String> {
        let mut forgiven = Vec::new();
        self.until.retain(|source, _| {
            let source = source.to_string();
            let stays = !which(&source);
            if !stays {
                forgiven.push(source);
            }
            stays
        });
        forgiven
    }

    fn make_room(&mut self, now: Instant) {
        if self.until.len() < MAX_SOURCES {
            return;
        }
        self.until.retain(|_, until| *until > now);
        if self.until.len() >= MAX_SOURCES
            && let Some(first) = self.until.iter().min_by_key(|(_, until)| **until).map(|(source, _)| *source)
        {
            self.until.remove(&first);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;

    const SECOND: Duration = Duration::from_secs(1);

    fn source(number: u32) -> SourceAddress {
        SourceAddress::of(Ipv4Addr::from(number).into())
    }

    #[test]
    fn penalties_grow_are_capped_and_decay() {
        let (settings, now) = (PenaltySettings::default(), Instant::now());
        let mut penalties = PenaltyTable::default();
        let here = source(1);
        let fail =
            |penalties: &mut PenaltyTable, now| penalties.add(here, Offence::FailedLogin, &settings, now);
        for _ in 0..3 {
            assert!(!fail(&mut penalties, now));
            assert_eq!(penalties.refused(here, &settings, now), None);
        }
        assert!(fail(&mut penalties, now), "the fourth is above the threshold");
        assert!(!fail(&mut penalties, now), "it is said once");
        assert_eq!(penalties.refused(here, &settings, now), Some(10 * SECOND));
        assert_eq!(penalties.refused(source(2), &settings, now), None);
        let listed = Penalty { source: "0.0.0.1".into(), left: 25 * SECOND, refused: Some(10 * SECOND) };
        assert_eq!(penalties.list(&settings, now), [listed]);
        assert_eq!(penalties.list(&settings, now + 25 * SECOND), []);
        assert_eq!(penalties.refused(here, &settings, now + 10 * SECOND), None);
        // The rest of a penalty below the threshold still counts.
        assert!(fail(&mut penalties, now + 12 * SECOND));
        for _ in 0..1000 {
            fail(&mut penalties, now);
        }
        assert_eq!(penalties.refused(here, &settings, now), Some(585 * SECOND));
        assert_eq!(penalties.refused(here, &settings, now + 600 * SECOND), None);
    }

    #[test]
    fn sources_without_a_penalty_are_not_stored() {
        let settings = PenaltySettings { no_login: Duration::ZERO, ..PenaltySettings::default() };
        let mut penalties = PenaltyTable::default();
        penalties.add(source(1), Offence::NoLogin, &settings, Instant::now());
        assert!(penalties.until.is_empty());
    }

    #[test]
    fn the_table_is_bounded_and_keeps_the_worst() {
        let (settings, now) = (PenaltySettings::default(), Instant::now());
        let mut penalties = PenaltyTable::default();
        penalties.add(source(0), Offence::TooLong, &settings, now);
        for number in 1..=MAX_SOURCES as u32 + 10 {
            penalties.add(source(number), Offence::FailedLogin, &settings, now);
        }
        assert_eq!(penalties.until.len(), MAX_SOURCES);
        assert!(penalties.refused(source(0), &settings, now).is_some());
        // Expired penalties are removed first, all at once.
        penalties.add(source(u32::MAX), Offence::FailedLogin, &settings, now + 6 * SECOND);
        assert_eq!(penalties.until.len(), 2);
    }
}
