//! Resolving paths to handles and locations.

use super::directory::DirectoryInfo;
use super::{Error, HomeHandle, Location, Result, STAGING_DIRECTORY, file_id};
use rustix::fd::OwnedFd;
use rustix::fs::{FileType, Mode, OFlags, ResolveFlags, Stat};
use rustix::io::Errno;
use sshome_store::quota::FileId;
use sshome_wire::RemotePath;
use std::sync::{Arc, OnceLock};

/// Resolves as in a chroot, and never through the magic links of `/proc`, which can lead outside.
pub(super) const AS_IN_CHROOT: ResolveFlags = ResolveFlags::IN_ROOT.union(ResolveFlags::NO_MAGICLINKS);

/// Retries after `EAGAIN`: the kernel cannot resolve `..` safely during a rename.
const MAX_RESOLVE_RETRIES: u32 = 64;

/// Symbolic links that one path may lead through, as in the kernel.
const MAX_LINKS: u32 = 40;

impl HomeHandle {
    /// The attributes of the file at a path, links followed.
    ///
    /// # Errors
    /// `ENOENT` if it does not exist.
    pub(crate) fn stat(&self, path: &RemotePath) -> Result<Stat> {
        Ok(rustix::fs::fstat(self.open_target(path, OFlags::PATH)?)?)
    }

    /// The attributes of the file at a path. A link at its end is followed only if the path ends in a slash.
    ///
    /// # Errors
    /// `ENOENT` if it does not exist.
    pub(crate) fn stat_link(&self, path: &RemotePath) -> Result<Stat> {
        if path.names_directory() { self.stat(path) } else { self.locate(path)?.stat() }
    }

    /// The target of the symbolic link at a path.
    ///
    /// # Errors
    /// `EINVAL` if it is not a symbolic link.
    pub(crate) fn link_target(&self, path: &RemotePath) -> Result<Vec<u8>> {
        if path.names_directory() {
            self.stat(path)?;
            return Err(Errno::INVAL.into());
        }
        self.locate(path)?.read_link()
    }

    /// Opens a directory for reading, links followed.
    ///
    /// # Errors
    /// `ENOTDIR` if it is not a directory.
    pub(crate) fn open_directory(&self, path: &RemotePath) -> Result<OwnedFd> {
        self.open_target(path, OFlags::RDONLY | OFlags::DIRECTORY)
    }

    /// The location of a path, which need not exist: links on the way are followed, one at its end is not. For
    /// operations that change names: a slash at the end is kept, so that the kernel can check it.
    ///
    /// # Errors
    /// [`Error::Top`] for the home itself, [`Error::Dot`] for a path that ends in `.` or `..`; `ENOENT` if the
    /// directory is missing.
    pub(crate) fn locate(&self, path: &RemotePath) -> Result<Location> {
        self.location(path.as_bytes())
    }

    /// The location of a name in the directory at `above`, which must not be a link. `name` is one component, not
    /// `.` or `..`.
    ///
    /// # Errors
    /// The kernel's, if `above` is not a directory.
    pub(crate) fn locate_below(&self, above: &Location, name: &[u8]) -> Result<Location> {
        check_name(name)?;
        let dir = self.open_at(above, OFlags::PATH | OFlags::DIRECTORY)?;
        let path = above.path.as_ref().and_then(|path| path.join(name).ok());
        Ok(Location { path, ..Location::new(Arc::new(dir), name.to_vec()) })
    }

    /// As [`HomeHandle::locate`], but a link at the end is followed if the path ends in a slash.
    ///
    /// # Errors
    /// As [`HomeHandle::locate_target`] with a slash, otherwise as [`HomeHandle::locate`].
    pub(crate) fn locate_entry(&self, path: &RemotePath) -> Result<Location> {
        if path.names_directory() { Ok(self.locate_target(path)?.0) } else { self.locate(path) }
    }

    /// As [`HomeHandle::locate`], for a file that must not exist.
    ///
    /// # Errors
    /// As [`HomeHandle::locate`]; `EISDIR` if the path ends in a slash.
    pub(crate) fn locate_new_file(&self, path: &RemotePath) -> Result<Location> {
        match self.locate(path) {
            Err(Error::Top | Error::Dot) => Err(Error::IsDirectory),
            Ok(location) if location.slash => Err(Errno::ISDIR.into()),
            location => location,
        }
    }

    /// The location that a write to a path would reach, and the attributes of the existing entry. As
    /// [`HomeHandle::locate`], but a link at the end is followed, even if its target does not exist. If the path ends
    /// in a slash, its target is a directory.
    ///
    /// # Errors
    /// As [`HomeHandle::locate`], but [`Error::IsDirectory`] for the home itself, `.` and `..`; `ELOOP` after 40 links;
    /// `ENOENT` and `ENOTDIR` for a path that ends in a slash.
    pub(crate) fn locate_target(&self, path: &RemotePath) -> Result<(Location, Option<Stat>)> {
        let mut path = path.as_bytes().to_vec();
        let mut slash = false;
        for links in 0..=MAX_LINKS {
            let mut location = match self.location(&path) {
                Err(Error::Top | Error::Dot) => return Err(Error::IsDirectory),
                location => location?,
            };
            slash |= location.slash;
            let found = location.stat_if_any()?;
            let kind = found.map(|stat| FileType::from_raw_mode(stat.st_mode));
            if kind != Some(FileType::Symlink) {
                location.slash = slash;
                return match kind {
                    None if slash => Err(Errno::NOENT.into()),
                    Some(kind) if slash && kind != FileType::Directory => Err(Errno::NOTDIR.into()),
                    _ => Ok((location, found)),
                };
            }
            if links == 0 && matches!(self.resolve(&path, OFlags::PATH), Err(Error::Os(Errno::LOOP))) {
                // The kernel counts all links of a path together; each step here counts only its own.
                break;
            }
            let target = location.read_link()?;
            // The target is joined without normalising it: only the kernel can resolve `..` correctly.
            if target.first() == Some(&b'/') {
                path = target;
            } else {
                let end = path.iter().rposition(|byte| *byte != b'/').map_or(0, |last| last + 1);
                let name = path.get(..end).unwrap_or_default();
                let slash = name.iter().rposition(|byte| *byte == b'/').map_or(0, |at| at + 1);
                path.truncate(slash);
                path.extend_from_slice(&target);
            }
        }
        Err(Errno::LOOP.into())
    }

    /// Whether a location is in the directory `tree`, or anywhere below it.
    ///
    /// # Errors
    /// The kernel's.
    pub(crate) fn is_inside(&self, location: &Location, tree: FileId) -> Result<bool> {
        let top = file_id(&rustix::fs::fstat(&self.top)?);
        let mut at = Arc::clone(&location.dir);
        loop {
            let id = file_id(&rustix::fs::fstat(&at)?);
            if id == tree || id == top {
                return Ok(id == tree);
            }
            let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
            at = Arc::new(rustix::fs::openat(&at, c"..", flags, Mode::empty())?);
        }
    }

    /// As [`HomeHandle::locate`]. The path may also be the target of a link.
    fn location(&self, path: &[u8]) -> Result<Location> {
        let trimmed = path.iter().rposition(|byte| *byte != b'/').map_or(0, |last| last + 1);
        let (path, slashes) = path.split_at_checked(trimmed).unwrap_or((path, b""));
        let slash = path.iter().rposition(|byte| *byte == b'/');
        let name = path.get(slash.map_or(0, |at| at + 1)..).unwrap_or_default();
        if name.is_empty() {
            return Err(Error::Top);
        }
        check_name(name)?;
        let parent = slash.and_then(|at| path.get(..at)).unwrap_or_default();
        let (dir, info, is_plain) = self.resolve_directory(parent)?;
        if name == b"." || name == b".." {
            return Err(Error::Dot);
        }
        let path = if is_plain { RemotePath::root().join(path).ok() } else { None };
        let (dir, info, name) = (Arc::new(dir), OnceLock::from(info), name.to_vec());
        Ok(Location { dir, info, name, slash: !slashes.is_empty(), path })
    }

    /// Opens a directory. Returns also whether the path leads there without links and `..`, so that it is the
    /// directory's real path.
    fn resolve_directory(&self, path: &[u8]) -> Result<(OwnedFd, DirectoryInfo, bool)> {
        let flags = OFlags::PATH | OFlags::DIRECTORY;
        let plain = if path.split(|byte| *byte == b'/').any(|name| name == b"..") {
            Err(Error::Os(Errno::LOOP))
        } else {
            self.open_beneath(path, flags, AS_IN_CHROOT | ResolveFlags::NO_SYMLINKS)
        };
        let (dir, is_plain) = match plain {
            Err(Error::Os(Errno::LOOP)) => (self.open_beneath(path, flags, AS_IN_CHROOT)?, false),
            plain => (plain?, true),
        };
        // One call for all attributes that are needed, now and later.
        let info = DirectoryInfo::of(&dir)?;
        if self.is_staging(info.id) { Err(Error::Reserved) } else { Ok((dir, info, is_plain)) }
    }

    /// Opens the file at a path, links followed. Its directory is opened first: no link may lead into the staging
    /// folder.
    pub(super) fn open_target(&self, path: &RemotePath, flags: OFlags) -> Result<OwnedFd> {
        Ok(self.open_located(path, flags)?.0)
    }

    /// The same, with the location. `None` for the home itself and for paths that end in `.` or `..`, which have no
    /// name of their own.
    pub(super) fn open_located(
        &self,
        path: &RemotePath,
        flags: OFlags,
    ) -> Result<(OwnedFd, Option<Location>)> {
        match self.locate_target(path) {
            Err(Error::IsDirectory) => Ok((self.resolve(path.as_bytes(), flags)?, None)),
            located => {
                let location = located?.0;
                Ok((self.open_at(&location, flags)?, Some(location)))
            }
        }
    }

    /// Opens the entry at a location; a link is not followed.
    pub(super) fn open_at(&self, location: &Location, flags: OFlags) -> Result<OwnedFd> {
        let kind = if location.slash { OFlags::DIRECTORY } else { OFlags::empty() };
        let flags = flags | kind | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        self.refuse_staging(rustix::fs::openat(location.dir(), location.name(), flags, Mode::empty())?)
    }

    /// Opens the file at a path, links followed, with one call.
    pub(super) fn resolve(&self, path: &[u8], flags: OFlags) -> Result<OwnedFd> {
        self.refuse_staging(self.open_beneath(path, flags, AS_IN_CHROOT)?)
    }

    /// The one call that turns a path into a handle. The result may be the staging folder.
    fn open_beneath(&self, path: &[u8], flags: OFlags, how: ResolveFlags) -> Result<OwnedFd> {
        for name in path.split(|byte| *byte == b'/') {
            check_name(name)?;
        }
        let first = path.iter().position(|byte| *byte != b'/').unwrap_or(path.len());
        let relative = match path.get(first..) {
            Some(rest) if !rest.is_empty() => rest,
            _ => b".",
        };
        let flags = flags | OFlags::CLOEXEC;
        let mut tries = 0;
        loop {
            match rustix::fs::openat2(&self.top, relative, flags, Mode::empty(), how) {
                Err(Errno::AGAIN) if tries < MAX_RESOLVE_RETRIES => tries += 1,
                result => return Ok(result?),
            }
        }
    }

    /// Refuses the staging folder, whatever path a link led through.
    fn refuse_staging(&self, handle: OwnedFd) -> Result<OwnedFd> {
        if self.is_staging(file_id(&rustix::fs::fstat(&handle)?)) { Err(Error::Reserved) } else { Ok(handle) }
    }
}

fn check_name(name: &[u8]) -> Result<()> {
    if name == STAGING_DIRECTORY.as_bytes() { Err(Error::Reserved) } else { Ok(()) }
}
