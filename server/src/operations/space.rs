//! What a home is as a filesystem: SFTP's `statvfs`.

use super::error::Context;
use super::{Result, User};
use sshome_wire::RemotePath;

/// How large a home is, and what is left of it. Where the quota ends before the disk, it is the size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HomeSpace {
    /// The unit of the blocks below, in bytes.
    pub block: u64,
    /// Blocks in all.
    pub blocks: u64,
    /// Blocks that are free to the user: never more than the disk has.
    pub blocks_free: u64,
    /// Entries in all.
    pub entries: u64,
    /// Entries that are left.
    pub entries_free: u64,
    /// Bytes that a name can have.
    pub longest_name: u64,
    /// Which disk it is on.
    pub disk: u64,
    /// Whether the user may not write.
    pub read_only: bool,
}

/// Tells how large the home is.
///
/// # Errors
/// If the kernel does not tell.
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
            // A disk that has no fixed number of them tells 0 of 0.
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
