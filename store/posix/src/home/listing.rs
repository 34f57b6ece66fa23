//! Reading directories.

use super::stat::stat_in;
use super::{DescriptorPermit, Error, Home, Result, STAGING_DIRECTORY};
use rustix::fd::OwnedFd;
use rustix::fs::{Dir, FileType, Stat};
use rustix::io::Errno;
use sshome_wire::RemotePath;

/// An entry of a directory with its attributes; a link is not followed.
#[derive(Clone)]
pub struct DirectoryEntry {
    /// The name.
    pub name: Vec<u8>,
    /// Size, times, mode.
    pub stat: Stat,
    /// The target of a link; empty for anything else.
    pub target: Vec<u8>,
}

/// Reads one directory, without `.`, `..` and the staging folder.
#[derive(Debug)]
pub struct DirectoryReader {
    dir: Dir,
    _descriptor: DescriptorPermit,
}

impl DirectoryReader {
    fn new(handle: OwnedFd, permit: DescriptorPermit) -> Result<DirectoryReader> {
        Ok(DirectoryReader { dir: Dir::new(handle)?, _descriptor: permit })
    }

    /// The next entry; `None` at the end. Entries that are removed meanwhile are skipped.
    ///
    /// # Errors
    /// The kernel's.
    pub fn next_entry(&mut self) -> Result<Option<DirectoryEntry>> {
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
    pub fn stat(&self) -> Result<Stat> {
        Ok(rustix::fs::fstat(self.dir.fd()?)?)
    }

    fn read_entry(&self, name: &[u8]) -> Result<DirectoryEntry> {
        let dir = self.dir.fd()?;
        let stat = stat_in(dir, name)?;
        let target = match FileType::from_raw_mode(stat.st_mode) {
            FileType::Symlink => rustix::fs::readlinkat(dir, name, Vec::new())?.into_bytes(),
            _ => Vec::new(),
        };
        Ok(DirectoryEntry { name: name.to_vec(), stat, target })
    }
}

impl Home {
    /// Reads the directory at a path, links followed.
    ///
    /// # Errors
    /// `ENOTDIR` if it is not a directory.
    pub fn read_directory(&self, path: &RemotePath) -> Result<DirectoryReader> {
        let permit = self.descriptors(1)?;
        DirectoryReader::new(self.open_directory(path)?, permit)
    }
}
