//! The size of a home as a filesystem: SFTP's `statvfs`.

use super::error::Context;
use super::{Result, User};
use sshome_wire::RemotePath;

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
    let disk = user.home.statvfs().of_file(&RemotePath::root())?;
    let charged = user.ledger.usage().charged();
    let limits = user.ledger.limits();
    let block = disk.f_frsize.max(1);
    let (blocks, blocks_free) = match limits.bytes {
        None => (disk.f_blocks, disk.f_bavail),
        Some(quota) => {
            let free = quota.saturating_sub(charged.bytes).min(disk.f_bavail.saturating_mul(block));
            (charged.bytes.saturating_add(free).div_ceil(block), free / block)
        }
    };
    let (entries, entries_free) = match limits.entries {
        None => (disk.f_files, disk.f_favail),
        Some(max) => {
            let left = max.saturating_sub(charged.entries);
            // A filesystem without a fixed number of inodes reports 0 of 0.
            (max, if disk.f_files == 0 { left } else { left.min(disk.f_favail) })
        }
    };
    Ok(HomeSpace {
        block,
        blocks,
        blocks_free,
        entries,
        entries_free,
        longest_name: disk.f_namemax,
        disk: disk.f_fsid,
        read_only: !user.may_write(),
    })
}
