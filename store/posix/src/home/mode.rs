//! File modes that users may set.

use rustix::fs::{FileType, Mode, Stat};

/// The permissions that the server needs to count a directory's entries.
pub(super) const MIN_DIRECTORY_MODE: u32 = 0o500;

/// The mode that a file gets when a user asks for `mode`. Set-id bits are dropped. A directory stays readable for its owner,
/// so that it can be counted, and keeps its set-group and sticky bits, which belong to the administrator.
#[must_use]
pub(crate) fn permissions(stat: &Stat, mode: u32) -> Mode {
    let kept = match FileType::from_raw_mode(stat.st_mode) {
        FileType::Directory => MIN_DIRECTORY_MODE | stat.st_mode & 0o3000,
        _ => 0,
    };
    Mode::from_raw_mode(mode & 0o777 | kept)
}
