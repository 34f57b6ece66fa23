//! What a stat says of a file.

use super::{Error, Result};
use crate::quota::{FileId, ReplacedFile};
use rustix::fd::AsFd;
use rustix::fs::{AtFlags, FileType, Stat};

/// Which file a stat is of.
#[must_use]
pub fn file_id(stat: &Stat) -> FileId {
    FileId { device: stat.st_dev, inode: stat.st_ino }
}

/// The bytes and entries that go when one name of what `stat` tells of is removed: a file with
/// other names keeps its bytes.
#[must_use]
pub fn freed_bytes(stat: &Stat) -> u64 {
    let file = FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile;
    if file && stat.st_nlink <= 1 { length(stat) } else { 0 }
}

/// What replacing the file that `stat` tells of frees.
#[must_use]
pub fn replaced_file(stat: &Stat) -> ReplacedFile {
    ReplacedFile { file: file_id(stat), bytes: freed_bytes(stat) }
}

/// A stat's length in bytes.
#[must_use]
pub fn length(stat: &Stat) -> u64 {
    u64::try_from(stat.st_size).unwrap_or(0)
}

/// Refuses what is no regular file.
///
/// # Errors
/// [`Error::IsDirectory`], or [`Error::Special`].
pub fn regular(stat: &Stat) -> Result<()> {
    match FileType::from_raw_mode(stat.st_mode) {
        FileType::RegularFile => Ok(()),
        FileType::Directory => Err(Error::IsDirectory),
        _ => Err(Error::Special),
    }
}

/// What `name` in `dir` is, a link as itself.
pub(super) fn stat_in(dir: impl AsFd, name: &[u8]) -> Result<Stat> {
    Ok(rustix::fs::statat(dir, name, AtFlags::SYMLINK_NOFOLLOW)?)
}
