//! Attributes of directories that uploads ask for.

use super::Result;
use super::acl::{Acl, DEFAULT_ACL, read_acl};
use crate::quota::FileId;
use rustix::fd::{AsFd, AsRawFd, BorrowedFd};
use rustix::fs::{AtFlags, StatxFlags, makedev};
use std::sync::{Mutex, OnceLock, PoisonError};

/// The mode bit of a directory whose group new files get.
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

/// A mount and the device of what is in it: a filesystem can be mounted in several places, and one mount can
/// hold several devices, as with btrfs.
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

/// The group of files that this process creates. It does not change once homes are open.
pub(super) fn own_group() -> u32 {
    static GROUP: OnceLock<u32> = OnceLock::new();
    *GROUP.get_or_init(|| rustix::process::getegid().as_raw())
}

/// The default access control list of the directory that files were last stored in. It is read once for a batch
/// of files: reading it costs more than any other call for a small file.
#[derive(Debug, Default)]
pub(super) struct DefaultAclCache(Mutex<Option<(FileId, Option<Acl>)>>);

impl DefaultAclCache {
    /// The list of an open directory, `None` if it has none.
    pub(super) fn get(&self, id: FileId, dir: BorrowedFd<'_>) -> Result<Option<Acl>> {
        let mut cached = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((of, acl)) = &*cached
            && *of == id
        {
            return Ok(acl.clone());
        }
        let acl = read_acl(&format!("/proc/self/fd/{}", dir.as_raw_fd()).into(), DEFAULT_ACL)?;
        *cached = Some((id, acl.clone()));
        Ok(acl)
    }

    /// Forgets the list, which somebody may change before the next batch.
    pub(super) fn clear(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::MetadataExt;

    #[test]
    fn the_attributes_are_those_of_stat() {
        for path in ["/", "/proc", "/tmp"] {
            let dir = std::fs::File::open(path).unwrap();
            let (info, stat) = (DirectoryInfo::of(&dir).unwrap(), dir.metadata().unwrap());
            assert_eq!(info.id, FileId { device: stat.dev(), inode: stat.ino() }, "{path}");
            assert_eq!((info.mode, info.group), (stat.mode() & 0o7777, stat.gid()), "{path}");
        }
    }
}
