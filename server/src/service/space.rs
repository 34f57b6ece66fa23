//! The size of a home as a filesystem: SFTP's `statvfs`.

use super::{Result, User};
use sshome_store::HomeUsage;

/// The size and the free space of a home, limited by the quota.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HomeSpace {
    /// Block size in bytes.
    pub block: u64,
    /// Blocks in total.
    pub blocks: u64,
    /// Blocks that are free for the user, limited by the disk.
    pub blocks_free: u64,
    /// Entries in total.
    pub entries: u64,
    /// Entries that are left.
    pub entries_free: u64,
    /// The maximum length of a name in bytes.
    pub longest_name: u64,
    /// The filesystem id of the disk.
    pub disk: u64,
    /// Whether the user may not write.
    pub read_only: bool,
}

/// The size and the free space of the home.
///
/// # Errors
/// The kernel's.
pub fn space(user: &User) -> Result<HomeSpace> {
    let disk = user.home.disk_space()?;
    let HomeUsage { usage, limits, .. } = user.home.usage();
    let charged = usage.charged();
    let block = disk.block;
    let (blocks, blocks_free) = match limits.bytes {
        None => (disk.blocks, disk.blocks_free),
        Some(quota) => {
            let free = quota.saturating_sub(charged.bytes).min(disk.bytes_free());
            (charged.bytes.saturating_add(free).div_ceil(block), free / block)
        }
    };
    let (entries, entries_free) = match limits.entries {
        None => (disk.entries, disk.entries_free),
        Some(max) => {
            let left = max.saturating_sub(charged.entries);
            (max, if disk.entries == 0 { left } else { left.min(disk.entries_free) })
        }
    };
    Ok(HomeSpace {
        block,
        blocks,
        blocks_free,
        entries,
        entries_free,
        longest_name: disk.longest_name,
        disk: disk.id,
        read_only: !user.access().adds(),
    })
}
