//! When accounts and keys expire.

use jiff::Timestamp;
use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;
use std::fmt;

/// The time from which an account or a key is no longer accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Expiry(Timestamp);

impl Expiry {
    /// Reads a TOML date, or a date with a time: `2027-01-01`, `2027-01-01 18:00:00`, `2027-01-01T18:00:00Z`. A date is its
    /// first moment. Without an offset, the time zone of the machine applies.
    #[must_use]
    pub fn parse_date(text: &str) -> Option<Expiry> {
        match text.parse::<Timestamp>() {
            Ok(at) => Some(Expiry(at)),
            Err(_) => Expiry::at(text.parse::<DateTime>().ok()?, TimeZone::system()),
        }
    }

    /// Reads the value of `expiry-time` in `authorized_keys` (sshd(8)): `YYYYMMDD`, `YYYYMMDDHHMM` or `YYYYMMDDHHMMSS`, with
    /// `Z` for UTC and without it in the time zone of the machine.
    #[must_use]
    pub fn parse_option(text: &str) -> Option<Expiry> {
        let (digits, zone) = match text.strip_suffix('Z') {
            Some(digits) => (digits, TimeZone::UTC),
            None => (text, TimeZone::system()),
        };
        let is_known =
            matches!(digits.len(), 8 | 12 | 14) && digits.bytes().all(|byte| byte.is_ascii_digit());
        let number =
            |from: usize, to: usize| digits.get(from..to).map_or(Some(0), |part| part.parse::<i8>().ok());
        let year = digits.get(..4).filter(|_| is_known)?.parse::<i16>().ok()?;
        let date = Date::new(year, number(4, 6)?, number(6, 8)?).ok()?;
        let time = jiff::civil::Time::new(number(8, 10)?, number(10, 12)?, number(12, 14)?, 0).ok()?;
        Expiry::at(date.to_datetime(time), zone)
    }

    fn at(time: DateTime, zone: TimeZone) -> Option<Expiry> {
        Some(Expiry(time.to_zoned(zone).ok()?.timestamp()))
    }

    /// Whether that time has come.
    #[must_use]
    pub fn has_passed(self, now: Timestamp) -> bool {
        now >= self.0
    }

    /// Seconds from `now` until that time; negative if it has passed.
    #[must_use]
    pub fn seconds_left(self, now: Timestamp) -> i64 {
        self.0.as_second().saturating_sub(now.as_second())
    }
}

/// The earlier of two times; `None` is never.
pub(crate) fn earlier(a: Option<Expiry>, b: Option<Expiry>) -> Option<Expiry> {
    a.into_iter().chain(b).min()
}

impl fmt::Display for Expiry {
    /// In the time zone of the machine, to the minute.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let local = self.0.to_zoned(TimeZone::system());
        write!(f, "{}", local.strftime("%Y-%m-%d %H:%M"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_of_a_date_mean_the_same() {
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        for (option, date, want) in [
            ("20270101Z", "2027-01-01T00:00:00Z", "2027-01-01T00:00:00Z"),
            ("202701011830Z", "2027-01-01 18:30:00Z", "2027-01-01T18:30:00Z"),
            ("20270101183015Z", "2027-01-01T19:30:15+01:00", "2027-01-01T18:30:15Z"),
        ] {
            assert_eq!(Expiry::parse_option(option), Some(Expiry(at(want))), "{option}");
            assert_eq!(Expiry::parse_date(date), Some(Expiry(at(want))), "{date}");
        }
        assert_eq!(Expiry::parse_option("20270101"), Expiry::parse_date("2027-01-01"));
        assert_eq!(Expiry::parse_option("202701011830"), Expiry::parse_date("2027-01-01 18:30:00"));
        let date = Expiry::parse_date("2027-01-01T00:00:00Z").unwrap();
        assert!(date.has_passed(at("2027-01-01T00:00:00Z")) && !date.has_passed(at("2026-12-31T23:59:59Z")));
    }

    #[test]
    fn other_dates_are_refused() {
        for text in [
            "",
            "2027",
            "2027010",
            "20271301",
            "20270230",
            "202701012",
            "2027010124",
            "20270101ZZ",
            "2027-01-01",
        ] {
            assert_eq!(Expiry::parse_option(text), None, "{text}");
        }
        for text in ["", "18:00:00", "never", "2027-13-01", "20270101Z0"] {
            assert_eq!(Expiry::parse_date(text), None, "{text}");
        }
    }
}
