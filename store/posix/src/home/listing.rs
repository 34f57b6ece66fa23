//! Reading directories.

use super::stat::{info, stat_in};
use super::{DescriptorPermit, Error, HomeHandle, Result, STAGING_DIRECTORY};
use rustix::fd::OwnedFd;
use rustix::fs::{Dir, FileType};
use rustix::io::Errno;
use sshome_store::{DirectoryEntry, FileInfo};
use sshome_wire::RemotePath;

/// Reads one directory, without `.`, `..` and the staging folder.
#[derive(Debug)]
pub(crate) struct DirectoryStream {
    dir: Dir,
    _descriptor: DescriptorPermit,
}

impl DirectoryStream {
    fn new(handle: OwnedFd, permit: DescriptorPermit) -> Result<DirectoryStream> {
        Ok(DirectoryStream { dir: Dir::new(handle)?, _descriptor: permit })
    }

    /// The next entry; `None` at the end. Entries that are removed meanwhile are skipped.
    ///
    /// # Errors
    /// The kernel's.
    pub(crate) fn next_entry(&mut self) -> Result<Option<DirectoryEntry>> {
        while let Some(item) = self.dir.read() {
            let item = item?;
            let name = item.file_name().to_bytes();
            if name == b"." || name == b".." || name == STAGING_DIRECTORY.as_bytes() {
                continue;
            }
            match self.read_entry(name) {
                Ok(found) => return Ok(Some(found)),
                Err(Error::Os(Errno::NOENT)) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(None)
    }

    /// The attributes of the directory.
    ///
    /// # Errors
    /// The kernel's.
    pub(crate) fn info(&self) -> Result<FileInfo> {
        Ok(info(&rustix::fs::fstat(self.dir.fd()?)?))
    }

    fn read_entry(&self, name: &[u8]) -> Result<DirectoryEntry> {
        let dir = self.dir.fd()?;
        let stat = stat_in(dir, name)?;
        let target = match FileType::from_raw_mode(stat.st_mode) {
            FileType::Symlink => rustix::fs::readlinkat(dir, name, Vec::new())?.into_bytes(),
            _ => Vec::new(),
        };
        Ok(DirectoryEntry { name: name.to_vec(), info: info(&stat), target })
    }
}

impl HomeHandle {
    /// Reads the directory at a path, links followed.
    ///
    /// # Errors
    /// `ENOTDIR` if it is not a directory.
    pub(crate) fn read_directory(&self, path: &RemotePath) -> Result<DirectoryStream> {
        let permit = self.descriptors(1)?;
        DirectoryStream::new(self.open_directory(path)?, permit)
    }
}
