//! Amounts of bytes and entries, their limits, and what exceeds them.

use sshome_wire::display::{Size, apart};
use std::fmt;

/// How much a home may hold; none means no limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct QuotaLimits {
    /// Bytes.
    pub bytes: Option<u64>,
    /// Files, directories and links.
    pub entries: Option<u64>,
}

/// What a home holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Amount {
    /// Bytes in files, and in the targets of symbolic links.
    pub bytes: u64,
    /// Files, directories and links.
    pub entries: u64,
}

/// What is taken of a home's limits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LedgerUsage {
    /// What is stored.
    pub used: Amount,
    /// What uploads and partial uploads have on the disk or have reserved.
    pub staged: Amount,
    /// Bytes of `staged` that take the place of bytes of `used`: those of files that will be replaced.
    pub credited: u64,
}

impl LedgerUsage {
    /// What counts against the limits. It exceeds them only if they were lowered, or files were added from
    /// outside.
    #[must_use]
    pub fn charged(&self) -> Amount {
        let bytes = self.used.bytes.saturating_add(self.staged.bytes).saturating_sub(self.credited);
        Amount { bytes, entries: self.used.entries.saturating_add(self.staged.entries) }
    }
}

/// By how much a home's content changes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct UsageChange {
    /// Bytes more, or less.
    pub bytes: i64,
    /// Entries more, or less.
    pub entries: i64,
}

/// Which file, whatever its names: device and inode.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct FileId {
    /// The device.
    pub device: u64,
    /// The inode.
    pub inode: u64,
}

/// Why a reservation was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum QuotaExceeded {
    /// Too many bytes.
    #[error("{}", MissingSpace { needed: *needed, left: *left, quota: *quota, partial: *partial })]
    Bytes {
        /// Bytes that were asked for.
        needed: u64,
        /// Bytes that are left.
        left: u64,
        /// Bytes that are allowed in all.
        quota: u64,
        /// Bytes that partial uploads hold.
        partial: u64,
    },
    /// What is there could not be counted, so nothing more is taken.
    #[error(
        "cannot be stored: part of this home cannot be read and counted; the server's log and `sshomed status` name it"
    )]
    Uncounted,
    /// Too many entries.
    #[error("cannot be made: the limit of {max} files, directories and links is reached")]
    Entries {
        /// Entries that are allowed in all.
        max: u64,
    },
}

/// What is needed beside what is left.
struct MissingSpace {
    needed: u64,
    left: u64,
    quota: u64,
    partial: u64,
}

impl fmt::Display for MissingSpace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let quota = Size(self.quota);
        if self.needed == 0 {
            // A new name needs no bytes, and is refused nevertheless.
            write!(f, "cannot be made: the home is over its quota of {quota}")?;
        } else {
            let (needed, left) = apart(self.needed, self.left);
            write!(f, "needs {needed}, {left} of {quota} are left")?;
        }
        match self.partial {
            0 => Ok(()),
            held => write!(
                f,
                "; partial uploads hold {}: df -v lists them, rm --partial NAME removes one",
                Size(held)
            ),
        }
    }
}
