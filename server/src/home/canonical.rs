//! Where things really are, for whoever is told of them: one path, however it was spelled.

use super::resolve::stat_in;
use super::{Error, Home, Location, Result, file_id};
use crate::quota::FileId;
use rustix::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use rustix::fs::{Dir, FileType, Mode, OFlags};
use rustix::io::Errno;
use sshome_wire::{MAX_PATH, RemotePath};

/// What the kernel puts behind the path of a directory that was removed.
const DELETED: &[u8] = b" (deleted)";

/// Entries that are looked at in all, where a directory's name has to be looked for in the one above it.
const MAX_ENTRIES_SEARCHED: usize = 20_000;

impl Home {
    /// The path, without links, `.` and `..`, of a location as it is now. Takes no time where the path that led
    /// there was of that form, and otherwise about that of one system call.
    ///
    /// # Errors
    /// `ENOENT` if its directory was removed, `ENAMETOOLONG` if the path is no [`RemotePath`].
    pub fn canonical(&self, location: &Location) -> Result<RemotePath> {
        let path = match location.path() {
            Some(path) => return Ok(path.clone()),
            None => self.path_of(location.dir())?.join(location.name()),
        };
        path.map_err(|_| Errno::NAMETOOLONG.into())
    }

    /// The path, without links, `.` and `..`, that a path leads to. Its last name may be missing, as for
    /// `realpath` of OpenSSH's server. The kernel resolves a path anew when it is used: this is for showing.
    ///
    /// # Errors
    /// `ENOENT` if a directory on the way is missing, `ELOOP` after forty links.
    pub fn real_path(&self, path: &RemotePath) -> Result<RemotePath> {
        match self.locate_target(path) {
            Err(Error::IsDirectory) => {
                self.path_of(self.resolve(path.as_bytes(), OFlags::PATH | OFlags::DIRECTORY)?.as_fd())
            }
            located => self.canonical(&located?.0),
        }
    }

    /// The path of a directory that is open.
    ///
    /// # Errors
    /// `ENOENT` if it was removed, or is in the home no longer.
    pub(super) fn path_of(&self, directory: BorrowedFd<'_>) -> Result<RemotePath> {
        match self.told_path(directory) {
            Some(path) => Ok(path),
            None => self.climb(directory),
        }
    }

    /// What the kernel tells, if that is the directory's path in the home. Both are asked for anew: the home may
    /// have been renamed.
    fn told_path(&self, directory: BorrowedFd<'_>) -> Option<RemotePath> {
        let (top, path) = (link_of(self.top.as_fd())?, link_of(directory)?);
        let below = path.strip_prefix(top.strip_suffix(b"/").unwrap_or(&top))?;
        if !below.is_empty() && !below.starts_with(b"/") {
            return None;
        }
        let path = RemotePath::root().join(if below.is_empty() { b"/" } else { below }).ok()?;
        if path.as_bytes().ends_with(DELETED) {
            // A directory may be called so.
            let there = self.resolve(path.as_bytes(), OFlags::PATH).ok()?;
            let (there, here) = (rustix::fs::fstat(there).ok()?, rustix::fs::fstat(directory).ok()?);
            return (file_id(&there) == file_id(&here)).then_some(path);
        }
        Some(path)
    }

    /// Looks for each directory's name in the one above it.
    fn climb(&self, directory: BorrowedFd<'_>) -> Result<RemotePath> {
        let top = file_id(&rustix::fs::fstat(&self.top)?);
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let mut at = rustix::fs::openat(directory, c".", OFlags::PATH | flags, Mode::empty())?;
        let (mut names, mut length, mut searched) = (Vec::new(), 0, 0);
        loop {
            let id = file_id(&rustix::fs::fstat(&at)?);
            if id == top {
                break;
            }
            let above = rustix::fs::openat(&at, c"..", flags, Mode::empty())?;
            if file_id(&rustix::fs::fstat(&above)?) == id {
                return Err(Errno::NOENT.into());
            }
            let name = name_of(&above, id, &mut searched)?;
            length += name.len() + 1;
            names.push(name);
            at = above;
            if length > MAX_PATH {
                return Err(Errno::NAMETOOLONG.into());
            }
        }
        names.reverse();
        let path = RemotePath::root().join(&[b"/", &names.join(&b'/')[..]].concat());
        path.map_err(|_| Errno::NAMETOOLONG.into())
    }
}

/// The name that a directory has in another one. `searched` counts the entries that were looked at.
fn name_of(above: &OwnedFd, id: FileId, searched: &mut usize) -> Result<Vec<u8>> {
    for entry in Dir::read_from(above)? {
        let entry = entry?;
        *searched += 1;
        if *searched > MAX_ENTRIES_SEARCHED {
            return Err(Errno::NAMETOOLONG.into());
        }
        let name = entry.file_name().to_bytes();
        let may_be = matches!(entry.file_type(), FileType::Directory | FileType::Unknown);
        if may_be
            && name != b"."
            && name != b".."
            && stat_in(above, name).is_ok_and(|stat| file_id(&stat) == id)
        {
            return Ok(name.to_vec());
        }
    }
    Err(Errno::NOENT.into())
}

/// What the kernel calls an open directory.
fn link_of(handle: BorrowedFd<'_>) -> Option<Vec<u8>> {
    let link = format!("/proc/self/fd/{}", handle.as_raw_fd());
    Some(rustix::fs::readlink(link, Vec::new()).ok()?.into_bytes())
}
