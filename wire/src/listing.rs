//! Attributes of files, as in the answers to `ls` and `stat`.

use alloc::vec::Vec;
use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize};

/// A point in time: seconds since 1970-01-01 UTC, negative before it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Time {
    /// Whole seconds.
    pub seconds: i64,
    /// Nanoseconds after the second; 999,999,999 at most. Larger numbers do not decode: the system calls that set times
    /// give some of them a special meaning.
    #[serde(deserialize_with = "below_a_second")]
    pub nanoseconds: u32,
}

fn below_a_second<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u32, D::Error> {
    let nanoseconds = u32::deserialize(deserializer)?;
    if nanoseconds < 1_000_000_000 {
        Ok(nanoseconds)
    } else {
        Err(D::Error::custom("a second or more in nanoseconds"))
    }
}

/// The type of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum FileKind {
    /// A regular file.
    File,
    /// A directory.
    Directory,
    /// A symbolic link.
    Symlink,
    /// A socket, a pipe or a device: listed, never transferred.
    Special,
}

/// A name with its attributes. Those of a symbolic link are the link's own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// The name as on the disk: bytes. A receiver must check it before it uses it as a path.
    pub name: Vec<u8>,
    /// Its type.
    pub kind: FileKind,
    /// Length in bytes.
    pub size: u64,
    /// When the content last changed.
    pub mtime: Time,
    /// Permission bits, `0o7777` at most.
    pub mode: u32,
    /// The number of hard links.
    pub links: u64,
    /// The target of a symbolic link, as stored: bytes. Empty for other types.
    pub target: Vec<u8>,
}

/// Part of the entries of one directory, unordered. `ls` sends any number of these.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entries {
    /// The directory, relative to the requested one; empty for that one itself. A directory precedes its
    /// subdirectories, and its frames are consecutive.
    pub directory: Vec<u8>,
    /// The entries, without `.` and `..`.
    pub entries: Vec<Entry>,
}
