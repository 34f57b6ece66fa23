//! The local disk, accessed through directory handles.
//!
//! A name from the server is only used as a single component below a handle, and links are not followed. No file or
//! link planted in the destination makes it write outside.

#[cfg(any(not(unix), test))]
#[cfg_attr(unix, allow(dead_code, reason = "on Unix only the tests use it"))]
mod portable;
#[cfg(test)]
mod tests;
#[cfg(unix)]
mod unix;

#[cfg(not(unix))]
pub(super) use portable::{
    PortableDirectory as LocalDirectory, begin_writeback, open_files, open_source, read_at, write_at,
};
#[cfg(unix)]
pub(super) use unix::{
    UnixDirectory as LocalDirectory, begin_writeback, open_files, open_source, read_at, write_at,
};

use super::names;
use sshome_wire::{Entry, FileKind, Time};
use std::fs::{File, FileTimes, Metadata, Permissions};
use std::io;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The time that [`time_step`] sets: each part of it is the last one before a larger unit.
const STEP_PROBE: Time = Time { seconds: 1_000_000_001, nanoseconds: 999_999_999 };

/// The steps in which filesystems store times.
const TIME_STEPS: [Duration; 8] = [
    Duration::from_nanos(1),
    Duration::from_nanos(100),
    Duration::from_micros(1),
    Duration::from_millis(1),
    Duration::from_millis(10),
    Duration::from_millis(100),
    Duration::from_secs(1),
    Duration::from_secs(2),
];

/// The type of a local name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LocalEntry {
    /// A regular file: its length in bytes and its permission bits.
    File { size: u64, mode: u32 },
    /// A directory.
    Directory,
    /// A symbolic link or a special file.
    Other,
}

/// An entry of a local directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct LocalStat {
    /// Its attributes, in the terms of a listing of the server.
    pub(super) entry: Entry,
    /// The numbers of its filesystem and of itself on it; `None` if the system has none.
    pub(super) identity: Option<(u64, u64)>,
}

/// The entry of a file with these attributes.
pub(super) fn entry(name: Vec<u8>, metadata: &Metadata, target: Vec<u8>) -> Entry {
    let kind = match metadata.file_type() {
        kind if kind.is_file() => FileKind::File,
        kind if kind.is_dir() => FileKind::Directory,
        kind if kind.is_symlink() => FileKind::Symlink,
        _ => FileKind::Special,
    };
    let mode = mode(metadata).unwrap_or(0o644);
    Entry { name, kind, size: metadata.len(), mtime: mtime(metadata), mode, links: 1, target }
}

/// The steps in which a filesystem stores modification times, found by setting one: a nanosecond on most, 2 s on FAT.
/// Its directory keeps its own time.
///
/// # Errors
/// If no file can be made there.
pub(super) fn time_step(directory: &LocalDirectory) -> io::Result<Duration> {
    let name = names::unguessable_part(b"time");
    let before = directory.mtime()?;
    let file = directory.create(&name)?;
    let stored = set_mtime(&file, STEP_PROBE).and_then(|()| Ok(mtime(&file.metadata()?)));
    drop(file);
    directory.remove(&name)?;
    directory.finish(None, before)?;
    let lost = distance(STEP_PROBE, stored?);
    let step = TIME_STEPS.into_iter().find(|step| lost < step.as_nanos());
    step.ok_or_else(|| io::Error::other("the disk does not store times"))
}

/// Sets a file's permission bits, if the system has them.
#[cfg_attr(not(unix), allow(unused_variables))]
pub(super) fn set_mode(file: &File, mode: u32) -> io::Result<()> {
    #[cfg(unix)]
    file.set_permissions(<Permissions as std::os::unix::fs::PermissionsExt>::from_mode(mode))?;
    Ok(())
}

/// Sets a file's modification time.
pub(super) fn set_mtime(file: &File, mtime: Time) -> io::Result<()> {
    let nanoseconds = Duration::from_nanos(mtime.nanoseconds.into());
    let whole = Duration::from_secs(mtime.seconds.unsigned_abs());
    let second =
        if mtime.seconds < 0 { UNIX_EPOCH.checked_sub(whole) } else { UNIX_EPOCH.checked_add(whole) };
    let Some(time) = second.and_then(|second| second.checked_add(nanoseconds)) else {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "the time is out of range"));
    };
    file.set_times(FileTimes::new().set_modified(time))
}

/// How far two points in time are from each other, in nanoseconds.
pub(super) fn distance(one: Time, other: Time) -> u128 {
    let nanoseconds = |time: Time| i128::from(time.seconds) * 1_000_000_000 + i128::from(time.nanoseconds);
    nanoseconds(one).abs_diff(nanoseconds(other))
}

/// A file's modification time.
pub(crate) fn mtime(metadata: &Metadata) -> Time {
    let time = metadata.modified().unwrap_or(UNIX_EPOCH);
    since_epoch(time)
}

/// A file's permission bits; `None` if the system has none.
pub(super) fn mode(metadata: &Metadata) -> Option<u32> {
    #[cfg(unix)]
    let mode = Some(std::os::unix::fs::MetadataExt::mode(metadata) & 0o777);
    #[cfg(not(unix))]
    let mode = None;
    mode
}

/// The identity of a directory, independent of the path to it; `None` if the system has none.
#[cfg_attr(not(unix), allow(unused_variables))]
pub(super) fn identity(metadata: &Metadata) -> Option<(u64, u64)> {
    #[cfg(unix)]
    let identity = {
        use std::os::unix::fs::MetadataExt;
        Some((metadata.dev(), metadata.ino()))
    };
    #[cfg(not(unix))]
    let identity = None;
    identity
}

/// The version of a file, which shows whether it was written to, even if its modification time was set back: the time
/// of the last change of its attributes cannot be set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Version {
    pub(super) size: u64,
    pub(super) mtime: Time,
    /// The time of the last change of its content or attributes: seconds and nanoseconds; 0 if the system has none.
    changed: (i64, i64),
}

/// A file's version.
pub(super) fn version(metadata: &Metadata) -> Version {
    #[cfg(unix)]
    let changed = {
        use std::os::unix::fs::MetadataExt;
        (metadata.ctime(), metadata.ctime_nsec())
    };
    #[cfg(not(unix))]
    let changed = (0, 0);
    Version { size: metadata.len(), mtime: mtime(metadata), changed }
}

impl Version {
    /// Whether its size and modification time equal those of another version. If the versions still differ, the file
    /// was renamed, linked or got a new mode, or it was written to and its time was set back.
    pub(super) fn looks_like(&self, other: &Version) -> bool {
        (self.size, self.mtime) == (other.size, other.mtime)
    }
}

/// Another client writes an unfinished file.
fn busy() -> io::Error {
    io::Error::new(io::ErrorKind::ResourceBusy, "another sshome is writing this file; wait for it or stop it")
}

/// A time of the system.
pub(super) fn since_epoch(time: SystemTime) -> Time {
    let (seconds, nanoseconds) = match time.duration_since(UNIX_EPOCH) {
        Ok(after) => (i64::try_from(after.as_secs()).unwrap_or(i64::MAX), after.subsec_nanos()),
        Err(error) => {
            let before = error.duration();
            let seconds = i64::try_from(before.as_secs()).unwrap_or(i64::MAX);
            match before.subsec_nanos() {
                0 => (-seconds, 0),
                nanoseconds => (-seconds - 1, 1_000_000_000 - nanoseconds),
            }
        }
    };
    Time { seconds, nanoseconds }
}
