//! Connections that are not logged in: the more there are, the less likely is another one (sshd_config(5),
//! MaxStartups).

use std::fmt;
use std::str::FromStr;

/// From `start` connections on `rate` percent of the new ones are dropped, more with each that is added,
/// and from `full` on all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Startups {
    /// So many are never dropped.
    pub start: usize,
    /// How many percent are dropped from there on.
    pub rate: u8,
    /// So many there are at most.
    pub full: usize,
}

impl Startups {
    /// Whether another one is dropped while there are `open`, if the dice say so many percent, 0 to 99.
    #[must_use]
    pub(super) fn drops(&self, open: usize, dice: u8) -> bool {
        if open < self.start {
            return false;
        }
        if open >= self.full {
            return true;
        }
        let (rest, range) = (100 - usize::from(self.rate.min(100)), self.full - self.start);
        usize::from(dice) < usize::from(self.rate) + rest * (open - self.start) / range
    }
}

impl FromStr for Startups {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Startups, &'static str> {
        const WANT: &str = "start:rate:full, as \"50:30:150\": from 50 on 30 % are dropped, from 150 on all";
        let mut numbers = text.split(':').map(|number| number.trim().parse::<usize>());
        let (Some(Ok(start)), Some(Ok(rate)), Some(Ok(full)), None) =
            (numbers.next(), numbers.next(), numbers.next(), numbers.next())
        else {
            return Err(WANT);
        };
        match u8::try_from(rate) {
            Ok(rate @ 1..=100) if start >= 1 && start <= full => Ok(Startups { start, rate, full }),
            _ => Err(WANT),
        }
    }
}

impl fmt::Display for Startups {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.start, self.rate, self.full)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_more_there_are_the_more_are_dropped() {
        let startups: Startups = "10:30:110".parse().unwrap();
        let dropped = |open| (0..100).filter(|dice| startups.drops(open, *dice)).count();
        assert_eq!([0, 9, 10, 60, 109, 110, 1000].map(dropped), [0, 0, 30, 65, 99, 100, 100]);
        let all_or_nothing: Startups = "5:100:5".parse().unwrap();
        assert!(!all_or_nothing.drops(4, 0) && all_or_nothing.drops(5, 99));
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        for text in ["", "10", "10:30", "10:30:20:1", "10:0:20", "10:101:20", "30:30:20", "0:30:20", "a:b:c"]
        {
            assert!(text.parse::<Startups>().is_err(), "{text}");
        }
    }
}
