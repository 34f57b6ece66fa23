//! Values from a stat.

use super::{Error, Result};
use rustix::fd::AsFd;
use rustix::fs::{AtFlags, FileType, Stat};
use sshome_store::quota::{FileId, ReplacedFile};
use sshome_store::{FileInfo, FileType as StoredType};
use sshome_wire::Time;

/// The attributes in a stat.
#[must_use]
pub(crate) fn info(stat: &Stat) -> FileInfo {
    let time = |seconds, nanoseconds| Time { seconds, nanoseconds: nanoseconds as u32 };
    FileInfo {
        id: file_id(stat),
        file_type: StoredType::of_st_mode(stat.st_mode),
        mode: stat.st_mode & 0o7777,
        links: stat.st_nlink,
        owner: stat.st_uid,
        group: stat.st_gid,
        size: length(stat),
        accessed: time(stat.st_atime, stat.st_atime_nsec),
        modified: time(stat.st_mtime, stat.st_mtime_nsec),
        changed: time(stat.st_ctime, stat.st_ctime_nsec),
    }
}

/// The file that a stat is of.
#[must_use]
pub(crate) fn file_id(stat: &Stat) -> FileId {
    FileId { device: stat.st_dev, inode: stat.st_ino }
}

/// The bytes that are freed when one name of the file is removed: 0 if it has other names.
#[must_use]
pub(crate) fn freed_bytes(stat: &Stat) -> u64 {
    let file = FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile;
    if file && stat.st_nlink <= 1 { length(stat) } else { 0 }
}

/// The file, with the bytes that replacing it frees.
#[must_use]
pub(crate) fn replaced_file(stat: &Stat) -> ReplacedFile {
    ReplacedFile { file: file_id(stat), bytes: freed_bytes(stat) }
}

/// The file's length in bytes.
#[must_use]
pub(crate) fn length(stat: &Stat) -> u64 {
    u64::try_from(stat.st_size).unwrap_or(0)
}

/// Fails unless the stat is of a regular file.
///
/// # Errors
/// [`Error::IsDirectory`], or [`Error::Special`].
pub(crate) fn regular(stat: &Stat) -> Result<()> {
    match FileType::from_raw_mode(stat.st_mode) {
        FileType::RegularFile => Ok(()),
        FileType::Directory => Err(Error::IsDirectory),
        _ => Err(Error::Special),
    }
}

/// The attributes of `name` in `dir`; a link is not followed.
pub(super) fn stat_in(dir: impl AsFd, name: &[u8]) -> Result<Stat> {
    Ok(rustix::fs::statat(dir, name, AtFlags::SYMLINK_NOFOLLOW)?)
}
