//! What is in a directory.

use super::super::LocalStat;
use super::UnixDirectory;
use rustix::fs::{AtFlags, Dir, FileType, Mode, Stat};
use rustix::io::Errno;
use sshome_wire::{Entry, FileKind, Time};
use std::collections::BTreeMap;
use std::io;

impl UnixDirectory {
    /// The entries, each with its attributes or why they cannot be read. One that is removed meanwhile is left out.
    ///
    /// # Errors
    /// If the directory cannot be read to its end.
    pub(in crate::transfer) fn entries(&self) -> io::Result<BTreeMap<Vec<u8>, io::Result<LocalStat>>> {
        let mut found = BTreeMap::new();
        for entry in Dir::read_from(&self.handle)? {
            let name = entry?.file_name().to_bytes().to_vec();
            if name == b"." || name == b".." {
                continue;
            }
            if let Some(stat) = self.stat(&name).transpose() {
                found.insert(name, stat);
            }
        }
        Ok(found)
    }

    /// The attributes of an entry; `None` if it does not exist. A link is not followed.
    pub(in crate::transfer) fn stat(&self, name: &[u8]) -> io::Result<Option<LocalStat>> {
        let stat = match rustix::fs::statat(&self.handle, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => stat,
            Err(Errno::NOENT) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let kind = match FileType::from_raw_mode(stat.st_mode) {
            FileType::RegularFile => FileKind::File,
            FileType::Directory => FileKind::Directory,
            FileType::Symlink => FileKind::Symlink,
            _ => FileKind::Special,
        };
        let target = if kind == FileKind::Symlink { self.read_link(name)? } else { Vec::new() };
        let entry = Entry {
            name: name.to_vec(),
            kind,
            size: u64::try_from(stat.st_size).unwrap_or(0),
            mtime: mtime(&stat),
            mode: Mode::from_raw_mode(stat.st_mode).bits() & 0o7777,
            links: 1,
            target,
        };
        Ok(Some(LocalStat { entry, identity: identity(&stat) }))
    }

    /// The directory's own modification time.
    pub(in crate::transfer) fn mtime(&self) -> io::Result<Time> {
        Ok(mtime(&rustix::fs::fstat(&self.handle)?))
    }
}

// The types of the fields differ between systems.
#[allow(clippy::unnecessary_cast, clippy::cast_sign_loss, clippy::cast_possible_truncation)]
fn mtime(stat: &Stat) -> Time {
    Time { seconds: stat.st_mtime as i64, nanoseconds: stat.st_mtime_nsec as u32 }
}

#[allow(clippy::unnecessary_cast, clippy::cast_sign_loss, clippy::unnecessary_wraps)]
fn identity(stat: &Stat) -> Option<(u64, u64)> {
    Some((stat.st_dev as u64, stat.st_ino as u64))
}
