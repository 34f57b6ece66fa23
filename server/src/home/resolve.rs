//! From paths to handles.

use super::{Error, Home, Result, STAGING, file_id};
use crate::quota::FileId;
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{AtFlags, FileType, Mode, OFlags, ResolveFlags, Stat};
use rustix::io::Errno;
use sshome_wire::RemotePath;
use std::fs::File;
use std::sync::Arc;

/// As in a chroot, and never through `/proc`'s links, which lead anywhere.
const AS_IN_CHROOT: ResolveFlags = ResolveFlags::IN_ROOT.union(ResolveFlags::NO_MAGICLINKS);

/// The kernel gives up on `..` while a rename is under way and wants to be asked again.
const RETRIES: u32 = 64;

/// As many links in a row as the kernel follows.
const MAX_LINKS: u32 = 40;

/// A name in a directory that is held open: where something is, or could be.
#[derive(Debug, Clone)]
pub struct Location {
    dir: Arc<OwnedFd>,
    name: Vec<u8>,
}

impl Location {
    /// The directory.
    #[must_use]
    pub fn dir(&self) -> BorrowedFd<'_> {
        self.dir.as_fd()
    }

    /// The name in it: one component, not `.` or `..`.
    #[must_use]
    pub fn name(&self) -> &[u8] {
        &self.name
    }

    /// Which directory it is in.
    ///
    /// # Errors
    /// If the kernel does not tell.
    pub fn dir_id(&self) -> Result<FileId> {
        Ok(file_id(&rustix::fs::fstat(&self.dir)?))
    }

    pub(super) fn new(dir: Arc<OwnedFd>, name: Vec<u8>) -> Location {
        Location { dir, name }
    }
}

impl Home {
    /// What a path stands for, links followed.
    ///
    /// # Errors
    /// `ENOENT` if nothing is there.
    pub fn stat(&self, path: &RemotePath) -> Result<Stat> {
        Ok(rustix::fs::fstat(self.open_target(path, OFlags::PATH)?)?)
    }

    /// What a path stands for; a link at its end is told of as itself.
    ///
    /// # Errors
    /// `ENOENT` if nothing is there.
    pub fn stat_link(&self, path: &RemotePath) -> Result<Stat> {
        match self.locate(path) {
            Err(Error::Top) => Ok(rustix::fs::fstat(&self.top)?),
            location => location?.stat(),
        }
    }

    /// Where a link at the path's end points; empty if it is none.
    ///
    /// # Errors
    /// The kernel's.
    pub fn link_target(&self, path: &RemotePath) -> Result<Vec<u8>> {
        match self.locate(path)?.read_link() {
            Err(Error::Os(Errno::INVAL)) => Ok(Vec::new()),
            target => target,
        }
    }

    /// Opens a regular file for reading, links followed.
    ///
    /// # Errors
    /// [`Error::IsDirectory`] and [`Error::Special`] for what is none.
    pub fn open_file(&self, path: &RemotePath) -> Result<(File, Stat)> {
        match self.locate_target(path) {
            Err(Error::Top) => Err(Error::IsDirectory),
            location => location?.open_file(OFlags::RDONLY),
        }
    }

    /// Opens a directory for reading, links followed.
    ///
    /// # Errors
    /// `ENOTDIR` if it is none.
    pub fn open_directory(&self, path: &RemotePath) -> Result<OwnedFd> {
        self.open_target(path, OFlags::RDONLY | OFlags::DIRECTORY)
    }

    /// Where a path's last name is, or could be: links on the way are followed, one at its end is not.
    ///
    /// # Errors
    /// [`Error::Top`] for the home itself; `ENOENT` if the directory is missing.
    pub fn locate(&self, path: &RemotePath) -> Result<Location> {
        self.location(path.as_bytes())
    }

    /// Where writing to a path would write: as [`Home::locate`], but a link at the end is followed,
    /// also one that points at nothing yet.
    ///
    /// # Errors
    /// As [`Home::locate`]; `ELOOP` after forty links.
    pub fn locate_target(&self, path: &RemotePath) -> Result<Location> {
        let mut path = path.as_bytes().to_vec();
        for _ in 0..MAX_LINKS {
            let location = self.location(&path)?;
            let is_link = location
                .stat_if_any()?
                .is_some_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::Symlink);
            if !is_link {
                return Ok(location);
            }
            let target = location.read_link()?;
            // The text is put together without any normalising, so that the kernel resolves its
            // `..` where they really are.
            if target.first() == Some(&b'/') {
                path = target;
            } else {
                let slash = path.iter().rposition(|byte| *byte == b'/').map_or(0, |at| at + 1);
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
    pub fn is_inside(&self, location: &Location, tree: FileId) -> Result<bool> {
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

    /// As [`Home::locate`], of a path that need not be in normal form.
    fn location(&self, path: &[u8]) -> Result<Location> {
        let trimmed = path.iter().rposition(|byte| *byte != b'/').map_or(0, |last| last + 1);
        let path = path.get(..trimmed).unwrap_or_default();
        let slash = path.iter().rposition(|byte| *byte == b'/');
        let name = path.get(slash.map_or(0, |at| at + 1)..).unwrap_or_default();
        if name.is_empty() {
            return Err(Error::Top);
        }
        if name == b"." || name == b".." {
            // Only a link's text can end so; whatever it is, it is a directory.
            return Err(Error::IsDirectory);
        }
        check_name(name)?;
        let parent = slash.and_then(|at| path.get(..at)).unwrap_or_default();
        let dir = self.resolve(parent, OFlags::PATH | OFlags::DIRECTORY)?;
        Ok(Location { dir: Arc::new(dir), name: name.to_vec() })
    }

    /// Opens what a path stands for, links followed. Not in one call: the directory that it is in
    /// has to be seen, since no link may lead into the staging folder.
    pub(super) fn open_target(&self, path: &RemotePath, flags: OFlags) -> Result<OwnedFd> {
        match self.locate_target(path) {
            // The home itself, or a link whose text ends in `..`.
            Err(Error::Top | Error::IsDirectory) => self.resolve(path.as_bytes(), flags),
            location => self.open_at(&location?, flags),
        }
    }

    /// Opens what is at a location, a link there as itself.
    pub(super) fn open_at(&self, location: &Location, flags: OFlags) -> Result<OwnedFd> {
        let flags = flags | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        self.refuse_staging(rustix::fs::openat(location.dir(), location.name(), flags, Mode::empty())?)
    }

    /// The one call that turns a path into a handle.
    fn resolve(&self, path: &[u8], flags: OFlags) -> Result<OwnedFd> {
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
        let handle = loop {
            match rustix::fs::openat2(&self.top, relative, flags, Mode::empty(), AS_IN_CHROOT) {
                Err(Errno::AGAIN) if tries < RETRIES => tries += 1,
                result => break result?,
            }
        };
        self.refuse_staging(handle)
    }

    /// A link can spell the staging folder's name in ways that no look at the path sees.
    fn refuse_staging(&self, handle: OwnedFd) -> Result<OwnedFd> {
        if self.is_staging(&rustix::fs::fstat(&handle)?) { Err(Error::Reserved) } else { Ok(handle) }
    }
}

/// Refuses what is no regular file.
///
/// # Errors
/// [`Error::IsDirectory`], or [`Error::Special`].
pub fn regular(stat: &Stat) -> Result<()> {
    match FileType::from_raw_mode(stat.st_mode) {
        FileType::RegularFile => Ok(()),
        FileType::Directory => Err(Error::IsDirectory),
        _ => Err(Error::Special),
    }
}

fn check_name(name: &[u8]) -> Result<()> {
    if name == STAGING.as_bytes() { Err(Error::Reserved) } else { Ok(()) }
}

/// What `name` in `dir` is, a link as itself.
pub(super) fn stat_in(dir: impl AsFd, name: &[u8]) -> Result<Stat> {
    Ok(rustix::fs::statat(dir, name, AtFlags::SYMLINK_NOFOLLOW)?)
}
