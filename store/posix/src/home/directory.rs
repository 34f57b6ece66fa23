//! Attributes of directories that uploads need.

use super::Result;
use super::acl::{Acl, DEFAULT_ACL, read_acl};
use rustix::fd::{AsFd, AsRawFd, BorrowedFd};
use rustix::fs::{AtFlags, StatxFlags, makedev};
use sshome_store::quota::FileId;
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

/// The set-group bit: new files get the directory's group.
pub(super) const SET_GROUP: u32 = 0o2000;

/// Attributes of a directory, read with one call.
#[derive(Clone, Copy, Debug)]
pub(super) struct DirectoryInfo {
    pub(super) id: FileId,
    pub(super) mount: MountId,
    /// Permissions, with the set-group bit.
    pub(super) mode: u32,
    pub(super) group: u32,
}

/// A mount and a device in it. A filesystem can be mounted in several places, and one mount can contain several devices, as
/// with btrfs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct MountId {
    /// 0 on kernels before 5.8, which do not report it.
    number: u64,
    device: u64,
}

impl DirectoryInfo {
    pub(super) fn of(dir: impl AsFd) -> Result<DirectoryInfo> {
        let wanted = StatxFlags::INO | StatxFlags::MODE | StatxFlags::GID | StatxFlags::MNT_ID;
        let stat = rustix::fs::statx(dir, c"", AtFlags::EMPTY_PATH, wanted)?;
        let device = makedev(stat.stx_dev_major, stat.stx_dev_minor);
        Ok(DirectoryInfo {
            id: FileId { device, inode: stat.stx_ino },
            mount: MountId { number: stat.stx_mnt_id, device },
            mode: u32::from(stat.stx_mode) & 0o7777,
            group: stat.stx_gid,
        })
    }
}

/// The group of files that this process creates. It is constant once homes are open.
pub(super) fn own_group() -> u32 {
    static GROUP: OnceLock<u32> = OnceLock::new();
    *GROUP.get_or_init(|| rustix::process::getegid().as_raw())
}

/// A cached list is read again after this time: a file may stay open for hours before its batch is published.
const MAX_ACL_AGE: Duration = Duration::from_secs(1);

/// Caches the default access control list of the directory that the last file was stored in. It is read once for each batch:
/// for a small file, reading it is the most expensive call.
#[derive(Debug, Default)]
pub(super) struct DefaultAclCache(Mutex<Option<CachedAcl>>);

#[derive(Debug)]
struct CachedAcl {
    directory: FileId,
    acl: Option<Acl>,
    read: Instant,
}

impl DefaultAclCache {
    /// The list of an open directory, `None` if it has none.
    pub(super) fn get(&self, id: FileId, dir: BorrowedFd<'_>) -> Result<Option<Acl>> {
        let mut cached = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(cached) = &*cached
            && cached.directory == id
            && cached.read.elapsed() < MAX_ACL_AGE
        {
            return Ok(cached.acl.clone());
        }
        let acl = read_acl(&format!("/proc/self/fd/{}", dir.as_raw_fd()).into(), DEFAULT_ACL)?;
        *cached = Some(CachedAcl { directory: id, acl: acl.clone(), read: Instant::now() });
        Ok(acl)
    }

    /// Drops the list, which may change before the next batch.
    pub(super) fn clear(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::MetadataExt;

    #[test]
    fn attributes_match_stat() {
        for path in ["/", "/proc", "/tmp"] {
            let dir = std::fs::File::open(path).unwrap();
            let (info, stat) = (DirectoryInfo::of(&dir).unwrap(), dir.metadata().unwrap());
            assert_eq!(info.id, FileId { device: stat.dev(), inode: stat.ino() }, "{path}");
            assert_eq!((info.mode, info.group), (stat.mode() & 0o7777, stat.gid()), "{path}");
        }
    }
}
