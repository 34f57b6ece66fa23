//! What `ls` and `stat` tell of files.

use alloc::vec::Vec;
use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize};

/// A point in time: seconds since 1970-01-01 UTC, negative before it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Time {
    /// Whole seconds.
    pub seconds: i64,
    /// Nanoseconds after the second; 999,999,999 at most. More does not decode: to the system calls
    /// that set times, some larger numbers are commands of their own.
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

/// What sort of thing a name stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum FileKind {
    /// A regular file.
    File,
    /// A directory.
    Directory,
    /// A symbolic link.
    Symlink,
    /// A socket, a pipe or a device: seen, never transferred.
    Special,
}

/// One name and what is behind it. A symbolic link is told of as itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// The name: bytes, as the disk has them. A receiver checks it before it uses it as a path.
    pub name: Vec<u8>,
    /// What it is.
    pub kind: FileKind,
    /// Length in bytes.
    pub size: u64,
    /// When the content last changed.
    pub mtime: Time,
    /// Permission bits, `0o7777` at most.
    pub mode: u32,
    /// How many names the file has.
    pub links: u64,
    /// Where a symbolic link points: bytes, as they stand in it. Empty for anything else.
    pub target: Vec<u8>,
}

/// Some entries of one directory, in no order. `ls` sends as many of these as it takes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entries {
    /// The directory, relative to the one that was asked for; empty for that one itself. A
    /// directory comes before those inside it, and all its frames come one after the other.
    pub directory: Vec<u8>,
    /// The entries, `.` and `..` left out.
    pub entries: Vec<Entry>,
}
