//! Formats files in the style of `ls -l`.

use jiff::Timestamp;
use jiff::tz::TimeZone;
use sshome_ssh::{ls_mode, ls_time};
use sshome_store::{FileInfo, FileType};
use sshome_wire::display::Size;

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
    pub(crate) fn before_name(&self, info: &FileInfo, owner: &str, group: &str, readable: bool) -> String {
        let size = match readable {
            true => Size(info.size).to_string().replace(' ', ""),
            false => info.size.to_string(),
        };
        let (mode, time) = (mode(info), self.time(info.modified.seconds));
        format!("{mode} {:>3} {owner:<8} {group:<8} {size:>8} {time}", info.links)
    }

    /// A time in seconds since 1970. A time that the calendar cannot represent is shown as 1970.
    fn time(&self, seconds: i64) -> String {
        let text = |seconds| ls_time(seconds, self.now, &self.zone);
        text(seconds).or_else(|| text(0)).unwrap_or_default()
    }
}

/// A file's type and permissions, as `-rw-r--r--`.
pub(crate) fn mode(info: &FileInfo) -> String {
    let kind = match info.file_type {
        FileType::Regular => '-',
        FileType::Directory => 'd',
        FileType::Symlink => 'l',
        FileType::Fifo => 'p',
        FileType::Socket => 's',
        FileType::CharacterDevice => 'c',
        FileType::BlockDevice => 'b',
        _ => '?',
    };
    ls_mode(kind, info.mode)
}

#[cfg(test)]
mod tests {
    use super::*;
    use sshome_store::quota::FileId;
    use sshome_wire::Time;

    fn info(mode: u32) -> FileInfo {
        let time = Time { seconds: 1_000_000_000, nanoseconds: 0 };
        FileInfo {
            id: FileId { device: 1, inode: 2 },
            file_type: FileType::of_st_mode(mode),
            mode: mode & 0o7777,
            links: 2,
            owner: 5,
            group: 7,
            size: 1536,
            accessed: time,
            modified: time,
            changed: time,
        }
    }

    #[test]
    fn modes_match_ls() {
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
            assert_eq!(mode(&info(raw)), wanted, "{raw:o}");
        }
    }

    #[test]
    fn a_line_has_its_columns() {
        let lines = LsFormat { zone: TimeZone::UTC, now: 1_700_000_000 };
        let mut info = info(0o100_640);
        let line = |info: &FileInfo, readable| lines.before_name(info, "ann", "7", readable);
        assert_eq!(line(&info, false), "-rw-r-----   2 ann      7            1536 Sep  9  2001");
        assert_eq!(line(&info, true), "-rw-r-----   2 ann      7          1.5KiB Sep  9  2001");
        // Any time that a disk can report is formatted.
        for seconds in [i64::MIN, -1, 0, i64::MAX] {
            info.modified.seconds = seconds;
            assert!(line(&info, false).starts_with("-rw-r-----   2 "));
        }
    }
}
