//! Files as `ls -l` shows them.

use crate::home::{Attributes, length};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use rustix::fs::{FileType, Stat};
use sshome_wire::display::Size;

/// Half a year: what is older, or newer than now, is shown with its year in place of the time of day.
const RECENT: i64 = 366 * 24 * 3600 / 2;

/// What stands before a file's name: type and mode, links, owner and group, size, time. `owner` is
/// both owner and group: a home has one. `readable` shows the size in the largest unit that fits.
pub(crate) fn long(attributes: &Attributes, owner: &str, readable: bool) -> String {
    let stat = &attributes.stat;
    let size = match readable {
        true => Size(length(stat)).to_string().replace(' ', ""),
        false => length(stat).to_string(),
    };
    let (links, mode) = (stat.st_nlink, mode(stat));
    format!("{mode} {links:>3} {owner:<8} {owner:<8} {size:>10} {}", date(stat.st_mtime, Timestamp::now()))
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
    let mut text = String::from(kind);
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

/// A time in the server's own time zone, in seconds since 1970: with the time of day if it is recent.
fn date(seconds: i64, now: Timestamp) -> String {
    let Ok(time) = Timestamp::from_second(seconds) else { return format!("{seconds:>12}") };
    let recent = (0..RECENT).contains(&(now.as_second() - seconds));
    let format = if recent { "%b %e %H:%M" } else { "%b %e  %Y" };
    time.to_zoned(TimeZone::system()).strftime(format).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stat(mode: u32) -> Stat {
        let mut stat = rustix::fs::stat("/").unwrap();
        (stat.st_mode, stat.st_nlink, stat.st_size, stat.st_mtime) = (mode, 2, 1536, 86_400 * 200);
        stat
    }

    #[test]
    fn modes_are_those_of_ls() {
        for (raw, wanted) in [
            (0o100_644, "-rw-r--r--"),
            (0o040_755, "drwxr-xr-x"),
            (0o120_777, "lrwxrwxrwx"),
            (0o104_711, "-rws--x--x"),
            (0o102_660, "-rw-rwS---"),
            (0o041_777, "drwxrwxrwt"),
            (0o010_000, "p---------"),
        ] {
            assert_eq!(mode(&stat(raw)), wanted);
        }
    }

    #[test]
    fn a_line_has_its_columns_and_an_old_time_its_year() {
        let attributes = Attributes { name: b"f".to_vec(), stat: stat(0o100_600), target: Vec::new() };
        let line = long(&attributes, "ann", false);
        assert!(line.starts_with("-rw-------   2 ann      ann            1536 "), "{line}");
        assert!(line.ends_with("  1970"), "{line}");
        assert!(long(&attributes, "ann", true).contains("1.5KiB"));
        let now = Timestamp::from_second(86_400 * 200 + 60).unwrap();
        assert!(date(86_400 * 200, now).contains(':'));
        assert!(!date(86_400 * 200 + 61, now).contains(':'));
    }
}
