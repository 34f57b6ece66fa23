//! Attributes as the packets have them, and the line that `ls -l` would show.

use crate::home::length;
use crate::operations::SetAttributes;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use rustix::fs::{FileType, Stat};
use sshome_wire::Time;
use sshome_wire::sftp::{Attributes, Owner, Times};
use std::fmt::Write;

/// What the packets tell of a file.
pub(super) fn attributes(stat: &Stat) -> Attributes {
    Attributes {
        size: Some(length(stat)),
        owner: Some(Owner { uid: stat.st_uid, gid: stat.st_gid }),
        permissions: Some(stat.st_mode),
        times: Some(Times { atime: seconds(stat.st_atime), mtime: seconds(stat.st_mtime) }),
        extended: Vec::new(),
    }
}

/// What a client wants to be set.
pub(super) fn wanted(attributes: &Attributes) -> SetAttributes {
    let time = |seconds: u32| Time { seconds: seconds.into(), nanoseconds: 0 };
    SetAttributes {
        size: attributes.size,
        mode: attributes.permissions,
        times: attributes.times.map(|times| (time(times.atime), time(times.mtime))),
        owner: attributes.owner.map(|owner| (owner.uid, owner.gid)),
    }
}

/// The nearest time that version 3 can tell.
fn seconds(time: i64) -> u32 {
    u32::try_from(time.max(0)).unwrap_or(u32::MAX)
}

/// Names for numbers: files that the server makes are the user's, whom the system does not know.
pub(super) struct Names {
    uid: u32,
    gid: u32,
    name: String,
}

impl Names {
    pub(super) fn of(user: &str) -> Names {
        let (uid, gid) = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
        Names { uid, gid, name: user.to_owned() }
    }

    pub(super) fn user(&self, uid: u32) -> Option<&str> {
        (uid == self.uid).then_some(&*self.name)
    }

    pub(super) fn group(&self, gid: u32) -> Option<&str> {
        (gid == self.gid).then_some(&*self.name)
    }
}

/// Writes the lines of one listing.
pub(super) struct LongNames<'a> {
    names: &'a Names,
    zone: TimeZone,
    now: i64,
}

impl<'a> LongNames<'a> {
    pub(super) fn new(names: &'a Names) -> LongNames<'a> {
        LongNames { names, zone: TimeZone::system(), now: Timestamp::now().as_second() }
    }

    /// The line of one entry. The name is put in as it is: whoever shows it has to look at it.
    pub(super) fn line(&self, name: &[u8], stat: &Stat) -> Vec<u8> {
        let mut line = String::with_capacity(64 + name.len());
        line.push_str(&mode_string(stat.st_mode));
        let user = self.names.user(stat.st_uid).map_or_else(|| stat.st_uid.to_string(), str::to_owned);
        let group = self.names.group(stat.st_gid).map_or_else(|| stat.st_gid.to_string(), str::to_owned);
        // Writing into a string does not fail.
        let _ = write!(line, " {:>3} {user:<8} {group:<8} {:>8} ", stat.st_nlink, length(stat));
        self.date(stat.st_mtime, &mut line);
        line.push(' ');
        let mut line = line.into_bytes();
        line.extend_from_slice(name);
        line
    }

    /// As `ls` has it: with the time of day for the last half year, else with the year.
    fn date(&self, seconds: i64, line: &mut String) {
        const HALF_YEAR: i64 = 365 * 24 * 60 * 60 / 2;
        const MONTHS: [&str; 12] =
            ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
        let time = Timestamp::from_second(seconds).unwrap_or(Timestamp::UNIX_EPOCH);
        let date = self.zone.to_datetime(time);
        let month = usize::try_from(date.month() - 1).ok().and_then(|month| MONTHS.get(month));
        let _ = write!(line, "{} {:>2} ", month.unwrap_or(&"???"), date.day());
        let _ = match (self.now - HALF_YEAR..=self.now + 3600).contains(&seconds) {
            true => write!(line, "{:02}:{:02}", date.hour(), date.minute()),
            false => write!(line, "{:>5}", date.year()),
        };
    }
}

/// The mode as `ls -l` shows it.
fn mode_string(mode: u32) -> String {
    let kind = match FileType::from_raw_mode(mode) {
        FileType::Directory => 'd',
        FileType::Symlink => 'l',
        FileType::CharacterDevice => 'c',
        FileType::BlockDevice => 'b',
        FileType::Fifo => 'p',
        FileType::Socket => 's',
        _ => '-',
    };
    let mut text = String::with_capacity(10);
    text.push(kind);
    // Of each three: read, write, execute; and the bit that is shown in place of execute.
    for (shift, special, letter) in [(6, 0o4000, 's'), (3, 0o2000, 's'), (0, 0o1000, 't')] {
        let bits = mode >> shift;
        text.push(if bits & 4 != 0 { 'r' } else { '-' });
        text.push(if bits & 2 != 0 { 'w' } else { '-' });
        text.push(match (bits & 1 != 0, mode & special != 0) {
            (true, true) => letter,
            (false, true) => letter.to_ascii_uppercase(),
            (true, false) => 'x',
            (false, false) => '-',
        });
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modes_are_shown_as_ls_does() {
        for (mode, text) in [
            (0o100_644, "-rw-r--r--"),
            (0o040_755, "drwxr-xr-x"),
            (0o120_777, "lrwxrwxrwx"),
            (0o104_755, "-rwsr-xr-x"),
            (0o104_644, "-rwSr--r--"),
            (0o102_710, "-rwx--s---"),
            (0o041_777, "drwxrwxrwt"),
            (0o041_776, "drwxrwxrwT"),
            (0o010_000, "p---------"),
        ] {
            assert_eq!(mode_string(mode), text, "{mode:o}");
        }
    }

    #[test]
    fn a_line_is_that_of_ls() {
        let names = Names { uid: 5, gid: 6, name: "ann".to_owned() };
        let lines = LongNames { names: &names, zone: TimeZone::UTC, now: 1_700_000_000 };
        let mut stat = rustix::fs::stat(".").unwrap();
        (stat.st_mode, stat.st_nlink, stat.st_uid, stat.st_gid, stat.st_size) = (0o100_640, 1, 5, 7, 1234);
        stat.st_mtime = 1_699_999_000;
        assert_eq!(
            lines.line(b"a \xff", &stat),
            b"-rw-r-----   1 ann      7            1234 Nov 14 21:56 a \xff"
        );
        (stat.st_gid, stat.st_mtime) = (6, 1_000_000_000);
        assert_eq!(lines.line(b"b", &stat), b"-rw-r-----   1 ann      ann          1234 Sep  9  2001 b");
        // Nothing that a disk can tell is too much.
        for seconds in [i64::MIN, -1, 0, i64::MAX] {
            stat.st_mtime = seconds;
            assert!(lines.line(b"c", &stat).ends_with(b" c"));
        }
    }

    #[test]
    fn a_time_is_told_as_near_as_version_3_can() {
        assert_eq!([seconds(-1), seconds(7), seconds(i64::MAX)], [0, 7, u32::MAX]);
    }
}
