//! Formats files in the style of `ls -l`.

use crate::home::length;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use rustix::fs::{FileType, Stat};
use sshome_wire::display::Size;
use std::fmt::Write;

/// Half a year. Older files, and files from the future, are shown with the year instead of the time of day.
const RECENT_SECONDS: i64 = 366 * 24 * 3600 / 2;

/// Clock skew that does not count as the future, in seconds.
const MAX_CLOCK_SKEW_SECONDS: i64 = 3600;

/// Formats the lines of one listing: holds the current time and the server's time zone.
pub(crate) struct LsFormat {
    zone: TimeZone,
    now: i64,
}

impl LsFormat {
    /// A formatter for the current time.
    pub(crate) fn new() -> LsFormat {
        LsFormat { zone: TimeZone::system(), now: Timestamp::now().as_second() }
    }

    /// The columns before a file's name: type and mode, links, owner and group, size, time. `readable` shows the size
    /// in the largest unit that fits.
    pub(crate) fn before_name(&self, stat: &Stat, owner: &str, group: &str, readable: bool) -> String {
        let size = match readable {
            true => Size(length(stat)).to_string().replace(' ', ""),
            false => length(stat).to_string(),
        };
        let mut line = format!("{} {:>3} {owner:<8} {group:<8} {size:>8} ", mode(stat), stat.st_nlink);
        self.date(stat.st_mtime, &mut line);
        line
    }

    /// A time in seconds since 1970, in English, because programs parse it. Formatted by hand, because listings are
    /// long. A time that the calendar cannot represent is shown as 1970.
    fn date(&self, seconds: i64, line: &mut String) {
        const MONTHS: [&str; 12] =
            ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
        let time = Timestamp::from_second(seconds).unwrap_or(Timestamp::UNIX_EPOCH);
        let date = self.zone.to_datetime(time);
        let month = usize::try_from(date.month() - 1).ok().and_then(|month| MONTHS.get(month));
        // Writing into a string does not fail.
        let _ = write!(line, "{} {:>2} ", month.unwrap_or(&"???"), date.day());
        let _ = match (self.now - RECENT_SECONDS..=self.now + MAX_CLOCK_SKEW_SECONDS).contains(&seconds) {
            true => write!(line, "{:02}:{:02}", date.hour(), date.minute()),
            false => write!(line, "{:>5}", date.year()),
        };
    }
}

/// A file's type and permissions, as `-rw-r--r--`.
pub(crate) fn mode(stat: &Stat) -> String {
    let kind = match FileType::from_raw_mode(stat.st_mode) {
        FileType::RegularFile => '-',
        FileType::Directory => 'd',
        FileType::Symlink => 'l',
        FileType::Fifo => 'p',
        FileType::Socket => 's',
        FileType::CharacterDevice => 'c',
        FileType::BlockDevice => 'b',
        _ => '?',
    };
    let mut text = String::with_capacity(10);
    text.push(kind);
    for (bits, special, with, without) in
        [(6, 0o4000, 's', 'S'), (3, 0o2000, 's', 'S'), (0, 0o1000, 't', 'T')]
    {
        let bit = |bit: u32| stat.st_mode >> bits & bit != 0;
        text.push(if bit(4) { 'r' } else { '-' });
        text.push(if bit(2) { 'w' } else { '-' });
        text.push(match (stat.st_mode & special != 0, bit(1)) {
            (true, true) => with,
            (true, false) => without,
            (false, true) => 'x',
            (false, false) => '-',
        });
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stat(mode: u32) -> Stat {
        let mut stat = rustix::fs::stat("/").unwrap();
        (stat.st_mode, stat.st_nlink, stat.st_size, stat.st_mtime) = (mode, 2, 1536, 1_000_000_000);
        stat
    }

    #[test]
    fn modes_are_those_of_ls() {
        for (raw, wanted) in [
            (0o100_644, "-rw-r--r--"),
            (0o040_755, "drwxr-xr-x"),
            (0o120_777, "lrwxrwxrwx"),
            (0o104_711, "-rws--x--x"),
            (0o104_644, "-rwSr--r--"),
            (0o102_660, "-rw-rwS---"),
            (0o102_710, "-rwx--s---"),
            (0o041_777, "drwxrwxrwt"),
            (0o041_776, "drwxrwxrwT"),
            (0o010_000, "p---------"),
        ] {
            assert_eq!(mode(&stat(raw)), wanted, "{raw:o}");
        }
    }

    #[test]
    fn a_line_has_its_columns() {
        let lines = LsFormat { zone: TimeZone::UTC, now: 1_700_000_000 };
        let mut stat = stat(0o100_640);
        let line = |stat: &Stat, readable| lines.before_name(stat, "ann", "7", readable);
        assert_eq!(line(&stat, false), "-rw-r-----   2 ann      7            1536 Sep  9  2001");
        assert_eq!(line(&stat, true), "-rw-r-----   2 ann      7          1.5KiB Sep  9  2001");
        for (seconds, wanted) in [
            (1_699_999_000, "Nov 14 21:56"),
            (1_700_000_000 + MAX_CLOCK_SKEW_SECONDS, "Nov 14 23:13"),
            (1_700_000_001 + MAX_CLOCK_SKEW_SECONDS, "Nov 14  2023"),
            (1_700_000_000 - RECENT_SECONDS, "May 15 22:13"),
            (1_699_999_999 - RECENT_SECONDS, "May 15  2023"),
        ] {
            stat.st_mtime = seconds;
            assert!(line(&stat, false).ends_with(wanted), "{seconds}: {}", line(&stat, false));
        }
        // Nothing that a disk can tell is too much.
        for seconds in [i64::MIN, -1, 0, i64::MAX] {
            stat.st_mtime = seconds;
            assert!(line(&stat, false).starts_with("-rw-r-----   2 "));
        }
    }
}
