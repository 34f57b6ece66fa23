//! Limits on unauthenticated connections: random early drop, as MaxStartups of sshd_config(5), and a share for
//! each source, as PerSourceMaxStartups.

use std::fmt;
use std::str::FromStr;

/// From `start` unauthenticated connections on, `rate` percent of new ones are dropped, rising to all at `full`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MaxStartups {
    /// Below this number no connection is dropped.
    pub start: usize,
    /// The percentage that is dropped at `start`.
    pub rate: u8,
    /// The largest number of unauthenticated connections.
    pub full: usize,
}

impl MaxStartups {
    /// The largest number of unauthenticated connections that one source may have open. No source alone reaches
    /// `start`.
    #[must_use]
    pub(super) fn max_per_source(&self) -> usize {
        (self.start / 2).max(1)
    }

    /// Whether to drop another connection while `open` are unauthenticated, `of_source` of them from its own
    /// source. `dice` is a random number from 0 to 99. A source with few of them is dropped only when `full` is
    /// reached.
    #[must_use]
    pub(super) fn drops(&self, open: usize, of_source: usize, dice: u8) -> bool {
        if open >= self.full {
            return true;
        }
        let few = self.start / 10;
        if open < self.start || of_source <= few {
            return false;
        }
        let (rest, range) = (100 - usize::from(self.rate.min(100)), self.full - self.start);
        usize::from(dice) < usize::from(self.rate) + rest * (open - self.start) / range
    }
}

impl FromStr for MaxStartups {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<MaxStartups, &'static str> {
        const FORMAT_HELP: &str =
            "start:rate:full, as \"50:30:150\": from 50 on 30 % are dropped, from 150 on all";
        let mut numbers = text.split(':').map(|number| number.trim().parse::<usize>());
        let (Some(Ok(start)), Some(Ok(rate)), Some(Ok(full)), None) =
            (numbers.next(), numbers.next(), numbers.next(), numbers.next())
        else {
            return Err(FORMAT_HELP);
        };
        match u8::try_from(rate) {
            Ok(rate @ 1..=100) if start >= 1 && start <= full => Ok(MaxStartups { start, rate, full }),
            _ => Err(FORMAT_HELP),
        }
    }
}

impl fmt::Display for MaxStartups {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.start, self.rate, self.full)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_drop_rate_grows_with_the_number_of_connections() {
        let startups: MaxStartups = "10:30:110".parse().unwrap();
        let dropped = |open| (0..100).filter(|dice| startups.drops(open, 2, *dice)).count();
        assert_eq!([0, 9, 10, 60, 109, 110, 1000].map(dropped), [0, 0, 30, 65, 99, 100, 100]);
        let few = |open| (0..100).filter(|dice| startups.drops(open, 1, *dice)).count();
        assert_eq!([10, 109, 110].map(few), [0, 0, 100]);
        let all_or_nothing: MaxStartups = "5:100:5".parse().unwrap();
        assert!(!all_or_nothing.drops(4, 1, 0) && all_or_nothing.drops(5, 0, 99));
    }

    #[test]
    fn invalid_values_are_refused() {
        for text in ["", "10", "10:30", "10:30:20:1", "10:0:20", "10:101:20", "30:30:20", "0:30:20", "a:b:c"]
        {
            assert!(text.parse::<MaxStartups>().is_err(), "{text}");
        }
    }
}
