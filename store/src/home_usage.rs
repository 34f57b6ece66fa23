//! What a home holds, and the disk that it is on.

use crate::quota::{Ledger, LedgerUsage, QuotaLimits};

/// What a home holds, and may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HomeUsage {
    /// What it holds.
    pub usage: LedgerUsage,
    /// What it may hold.
    pub limits: QuotaLimits,
    /// Whether it is being counted: what it holds is then what was counted so far.
    pub is_counting: bool,
}

/// The size of a disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DiskSpace {
    /// Block size in bytes.
    pub block: u64,
    /// Blocks in total.
    pub blocks: u64,
    /// Blocks that are free for the server.
    pub blocks_free: u64,
    /// Entries in total; 0 if their number is not fixed.
    pub entries: u64,
    /// Entries that are free for the server.
    pub entries_free: u64,
    /// The maximum length of a name in bytes.
    pub longest_name: u64,
    /// The identity of the disk.
    pub id: u64,
}

impl HomeUsage {
    /// The usage that this ledger records.
    #[must_use]
    pub fn of(ledger: &Ledger) -> HomeUsage {
        let is_counting = ledger.counting().is_some();
        HomeUsage { usage: ledger.usage(), limits: ledger.limits(), is_counting }
    }
}

impl DiskSpace {
    /// Bytes that are free for the server.
    #[must_use]
    pub fn bytes_free(&self) -> u64 {
        self.blocks_free.saturating_mul(self.block)
    }
}
