//! Owner, group, mode and access control list of a staged file: the same as if it had been created in its directory, or as
//! if the file that it replaces had been written in place.
//!
//! The kernel's rules for new files are `posix_acl_create` in fs/posix_acl.c and `inode_init_owner` in fs/inode.c.

use super::acl::{ACCESS_ACL, Acl, read_acl};
use super::directory::{SET_GROUP, own_group};
use super::{HomeHandle, Location, Result, StagedFile};
use rustix::fs::{FileType, Gid, Mode, Stat, Uid};
use rustix::io::Errno;
use sshome_store::UploadPermissions;
use std::fs::File;
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;
use std::sync::OnceLock;

/// The attributes that the staged file is to have.
struct InheritedAttributes {
    owner: u32,
    group: u32,
    acl: Option<Acl>,
    mode: u32,
}

impl StagedFile {
    /// Gives the staged file the attributes of the file that it replaces, or of a new file at the target. `own` is the
    /// staged file's stat. `replaces` says whether the target existed when the upload began; a file that appears later
    /// does not count.
    ///
    /// # Errors
    /// The kernel's. It is no error if this process may not set the owner or the group; a file with the wrong group then
    /// grants that group no more than others.
    pub(crate) fn inherit(
        &self,
        home: &HomeHandle,
        own: &Stat,
        (target, replaces): (&Location, bool),
        permissions: UploadPermissions,
    ) -> Result<()> {
        let file = self.file();
        let new = match permissions {
            UploadPermissions::Inherited(mode) | UploadPermissions::Exact(mode) => mode & 0o777,
        };
        let old = if replaces { target.stat_if_any()? } else { None };
        let old = old.filter(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile);
        let mut inherited = match old {
            Some(old) => InheritedAttributes::replacing(target, &old)?,
            None => InheritedAttributes::created_at(home, target, own.st_uid, new)?,
        };
        if let UploadPermissions::Exact(_) = permissions {
            inherited.mode = new;
        }
        if !set_owner(file, own, &inherited) {
            inherited.restrict_group();
        }
        match &inherited.acl {
            Some(acl) => {
                rustix::fs::fsetxattr(file, ACCESS_ACL, &acl.encode(), rustix::fs::XattrFlags::empty())?
            }
            None if home.stages_with_acl() => match rustix::fs::fremovexattr(file, ACCESS_ACL) {
                Ok(()) | Err(Errno::NODATA | Errno::OPNOTSUPP) => {}
                Err(error) => return Err(error.into()),
            },
            None => {}
        }
        Ok(rustix::fs::fchmod(file, Mode::from_raw_mode(inherited.mode))?)
    }
}

impl InheritedAttributes {
    fn replacing(target: &Location, old: &Stat) -> Result<InheritedAttributes> {
        let acl = read_acl(&path_in_proc(target), ACCESS_ACL)?;
        Ok(InheritedAttributes { owner: old.st_uid, group: old.st_gid, acl, mode: old.st_mode & 0o777 })
    }

    fn created_at(
        home: &HomeHandle,
        target: &Location,
        owner: u32,
        mode: u32,
    ) -> Result<InheritedAttributes> {
        let directory = target.dir_info()?;
        let group = if directory.mode & SET_GROUP == 0 { own_group() } else { directory.group };
        Ok(match home.default_acls.get(directory.id, target.dir())? {
            Some(default) => {
                let (acl, mode) = default.of_new_file(mode);
                InheritedAttributes { owner, group, acl, mode }
            }
            None => InheritedAttributes { owner, group, acl: None, mode: mode & !umask() },
        })
    }

    /// Grants the group, which is the wrong one, no more than others.
    fn restrict_group(&mut self) {
        match &mut self.acl {
            Some(acl) => acl.restrict_group(),
            None => self.mode &= !0o070 | (self.mode & 0o007) << 3,
        }
    }
}

/// Sets owner and group if they differ and this process may. Returns whether the group is right.
fn set_owner(file: &File, own: &Stat, wanted: &InheritedAttributes) -> bool {
    let owner = (own.st_uid != wanted.owner).then(|| Uid::from_raw(wanted.owner));
    let group = (own.st_gid != wanted.group).then(|| Gid::from_raw(wanted.group));
    if owner.is_none() && group.is_none() || rustix::fs::fchown(file, owner, group).is_ok() {
        return true;
    }
    group.is_none() || rustix::fs::fchown(file, None, group).is_ok()
}

/// The path in `/proc` of a file in a directory. Extended attributes below an `O_PATH` handle can only be read by path.
fn path_in_proc(target: &Location) -> PathBuf {
    let mut path = format!("/proc/self/fd/{}/", target.dir().as_raw_fd()).into_bytes();
    path.extend_from_slice(target.name());
    std::ffi::OsString::from_vec(path).into()
}

/// The umask that this process was started with. Call it before confinement: it is read from /proc, which a confined
/// process cannot read; the only other way is to set it.
pub fn umask() -> u32 {
    static UMASK: OnceLock<u32> = OnceLock::new();
    *UMASK.get_or_init(|| {
        let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("Umask:"));
        line.and_then(|mask| u32::from_str_radix(mask.trim(), 8).ok()).unwrap_or(0o022)
    })
}
