//! Where a file is while it is on its way.

use super::{Error, Home, Location, Names, Result, file_id};
use crate::quota::FileId;
use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{AtFlags, Mode, OFlags};
use rustix::io::Errno;
use std::fs::File;
use std::sync::Arc;

/// The folder at the home's top that transfers are staged in, so that publishing is one rename on
/// one filesystem. No path of any subsystem reaches it, and no listing shows it.
pub const STAGING: &str = ".sshome-staging";

/// The opened staging folder.
#[derive(Debug)]
pub(super) struct Area {
    dir: Arc<OwnedFd>,
    id: FileId,
}

impl Area {
    /// Opens the folder below `top`; makes it if it is missing and `make` is set.
    pub(super) fn open(top: impl AsFd, make: bool) -> Result<Option<Area>> {
        if make {
            match rustix::fs::mkdirat(&top, STAGING, Mode::RWXU) {
                Ok(()) | Err(Errno::EXIST) => {}
                Err(error) => return Err(error.into()),
            }
        }
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let dir = match rustix::fs::openat(top, STAGING, flags, Mode::empty()) {
            Err(Errno::NOENT) => return Ok(None),
            result => result?,
        };
        let id = file_id(&rustix::fs::fstat(&dir)?);
        Ok(Some(Area { dir: Arc::new(dir), id }))
    }

    pub(super) fn id(&self) -> FileId {
        self.id
    }

    /// Removes what a server that was killed has left. No session may be in the home.
    pub(super) fn clear(&self) -> Result<u64> {
        let mut removed = 0;
        for item in rustix::fs::Dir::read_from(&self.dir)? {
            let item = item?;
            let name = item.file_name();
            if name.to_bytes() != b"." && name.to_bytes() != b".." {
                rustix::fs::unlinkat(&self.dir, name, AtFlags::empty())?;
                removed += 1;
            }
        }
        Ok(removed)
    }
}

/// A file that nobody sees yet. Dropping it removes it.
#[derive(Debug)]
pub struct Staged {
    area: Arc<OwnedFd>,
    name: String,
    file: File,
    published: bool,
}

impl Home {
    /// Makes an empty staged file of a random name, readable by the owner alone.
    ///
    /// # Errors
    /// The kernel's; `EROFS` in a home that was opened without a staging folder.
    pub fn stage(&self) -> Result<Staged> {
        let area = self.staging.as_ref().ok_or(Error::Os(Errno::ROFS))?;
        let name = format!("{:032x}", rand::random::<u128>());
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = rustix::fs::openat(&area.dir, name.as_str(), flags, Mode::RUSR | Mode::WUSR)?;
        Ok(Staged { area: Arc::clone(&area.dir), name, file: File::from(file), published: false })
    }
}

impl Staged {
    /// The file.
    #[must_use]
    pub fn file(&self) -> &File {
        &self.file
    }

    /// Gives the file its name, in place of what has it now.
    ///
    /// # Errors
    /// The kernel's, `rename(2)`; the staged file is then removed.
    pub fn publish(mut self, to: &Location, _names: &Names<'_>) -> Result<()> {
        rustix::fs::renameat(&self.area, self.name.as_str(), to.dir(), to.name())?;
        self.published = true;
        Ok(())
    }
}

impl Drop for Staged {
    fn drop(&mut self) {
        // What cannot be removed now is removed at the next start.
        if !self.published
            && let Err(error) = rustix::fs::unlinkat(&self.area, self.name.as_str(), AtFlags::empty())
        {
            tracing::warn!(name = self.name, %error, "a staged file could not be removed");
        }
    }
}
