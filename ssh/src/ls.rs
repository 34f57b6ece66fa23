//! The columns of `ls -l`.

use jiff::Timestamp;
use jiff::tz::TimeZone;

/// Half a year. Older files, and files from the future, are shown with the year instead of the time of day.
const RECENT_SECONDS: i64 = 366 * 24 * 3600 / 2;

/// Clock skew that does not count as the future, in seconds.
const MAX_CLOCK_SKEW_SECONDS: i64 = 3600;

/// A file's type and permissions, as `-rw-r--r--`. `kind` is the letter of the type.
#[must_use]
pub fn ls_mode(kind: char, mode: u32) -> String {
    let mut text = String::with_capacity(10);
    text.push(kind);
    for (bits, special, with, without) in
        [(6, 0o4000, 's', 'S'), (3, 0o2000, 's', 'S'), (0, 0o1000, 't', 'T')]
    {
        let bit = |bit: u32| mode >> bits & bit != 0;
        text.push(if bit(4) { 'r' } else { '-' });
        text.push(if bit(2) { 'w' } else { '-' });
        text.push(match (mode & special != 0, bit(1)) {
            (true, true) => with,
            (true, false) => without,
            (false, true) => 'x',
            (false, false) => '-',
        });
    }
    text
}

/// A time in twelve columns, as `Sep  9  2001` or `Nov 14 21:56`. Both times are in seconds since 1970. In English,
/// because programs parse it, and formatted by hand, because listings are long. `None` if the calendar cannot represent
/// the time.
#[must_use]
pub fn ls_time(seconds: i64, now: i64, zone: &TimeZone) -> Option<String> {
    const MONTH_NAMES: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let date = zone.to_datetime(Timestamp::from_second(seconds).ok()?);
    let month = usize::try_from(date.month() - 1).ok().and_then(|month| MONTH_NAMES.get(month))?;
    let is_recent = (now - RECENT_SECONDS..=now + MAX_CLOCK_SKEW_SECONDS).contains(&seconds);
    Some(match is_recent {
        true => format!("{month} {:>2} {:02}:{:02}", date.day(), date.hour(), date.minute()),
        false => format!("{month} {:>2} {:>5}", date.day(), date.year()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modes_match_ls() {
        for (kind, mode, wanted) in [
            ('-', 0o100_644, "-rw-r--r--"),
            ('d', 0o755, "drwxr-xr-x"),
            ('l', 0o777, "lrwxrwxrwx"),
            ('-', 0o4711, "-rws--x--x"),
            ('-', 0o6640, "-rwSr-S---"),
            ('-', 0o2710, "-rwx--s---"),
            ('d', 0o1777, "drwxrwxrwt"),
            ('?', 0o1001, "?--------t"),
            ('d', 0o1776, "drwxrwxrwT"),
        ] {
            assert_eq!(ls_mode(kind, mode), wanted);
        }
    }

    #[test]
    fn times_match_ls() {
        const NOW: i64 = 1_700_000_000;
        for (seconds, wanted) in [
            (1_000_000_000, Some("Sep  9  2001")),
            (1_699_999_000, Some("Nov 14 21:56")),
            (NOW + MAX_CLOCK_SKEW_SECONDS, Some("Nov 14 23:13")),
            (NOW + 1 + MAX_CLOCK_SKEW_SECONDS, Some("Nov 14  2023")),
            (NOW - RECENT_SECONDS, Some("May 15 22:13")),
            (NOW - 1 - RECENT_SECONDS, Some("May 15  2023")),
            (-1, Some("Dec 31  1969")),
            (i64::MAX, None),
            (i64::MIN, None),
        ] {
            assert_eq!(ls_time(seconds, NOW, &TimeZone::UTC).as_deref(), wanted, "{seconds}");
        }
    }
}
