//! Modes that users ask for.

use rustix::fs::{FileType, Mode, Stat};

/// What the server needs to count what is in a directory.
pub(super) const MIN_DIRECTORY_MODE: u32 = 0o500;

/// What becomes of a mode that a user asks for: no set-id bits, and a directory stays one that its
/// owner can look into, or it could not be counted. Its set-group and sticky bits are the administrator's, and
/// stay as they are.
#[must_use]
pub fn permissions(stat: &Stat, mode: u32) -> Mode {
    let kept = match FileType::from_raw_mode(stat.st_mode) {
        FileType::Directory => MIN_DIRECTORY_MODE | stat.st_mode & 0o3000,
        _ => 0,
    };
    Mode::from_raw_mode(mode & 0o777 | kept)
}
