//! Amounts of bytes and entries, their limits, and the error of exceeding them.

use sshome_wire::display::{Size, apart};
use std::fmt;

/// How much a home may hold; `None` for no limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct QuotaLimits {
    /// Bytes.
    pub bytes: Option<u64>,
    /// Files, directories and links.
    pub entries: Option<u64>,
}

/// An amount of bytes and entries.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Amount {
    /// Bytes in files, and in the targets of symbolic links.
    pub bytes: u64,
    /// Files, directories and links.
    pub entries: u64,
}

/// How much of a home's limits is used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LedgerUsage {
    /// Stored files.
    pub used: Amount,
    /// Reservations of uploads and partial uploads.
    pub staged: Amount,
    /// Bytes of `staged` that replace bytes of `used`: uploads that will replace files.
    pub credited: u64,
}

impl LedgerUsage {
    /// The amount that counts against the limits. It exceeds them only if they were lowered, or files were added from
    /// outside.
    #[must_use]
    pub fn charged(&self) -> Amount {
        let bytes = self.used.bytes.saturating_add(self.staged.bytes).saturating_sub(self.credited);
        Amount { bytes, entries: self.used.entries.saturating_add(self.staged.entries) }
    }
}

/// The change of a home's usage.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct UsageChange {
    /// Bytes added; negative if removed.
    pub bytes: i64,
    /// Entries added; negative if removed.
    pub entries: i64,
}

/// The identity of a file, independent of its names: device and inode.
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
        /// Bytes that were requested.
        needed: u64,
        /// Bytes that are left.
        left: u64,
        /// Bytes that are allowed in all.
        quota: u64,
        /// Bytes that partial uploads hold.
        partial: u64,
    },
    /// The home is being counted, so nothing is stored yet.
    #[error("cannot be stored yet: this home is being counted, {} so far", crate::entries(*.entries))]
    Counting {
        /// Entries that were counted so far.
        entries: u64,
    },
    /// The home could not be counted, so nothing more is stored.
    #[error(
        "cannot be stored: part of this home cannot be read and counted; the server's log and `sshomed status` name it"
    )]
    Uncounted,
    /// Too many entries.
    #[error("cannot be created: the limit of {max} files, directories and links is reached")]
    Entries {
        /// Entries that are allowed in all.
        max: u64,
    },
}

/// The bytes that are needed and those that are left.
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
            // A new name needs no bytes, but is refused as well.
            write!(f, "cannot be created: the home exceeds its quota of {quota}")?;
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
