//! A directory that an SFTP client has open.

use super::status::SftpError;
use crate::service::{self, OpenDirectory, User};
use sshome_store::{DirectoryEntry as Entry, FileInfo};

/// An open directory. `.` and `..` come first, as in other servers.
pub(super) struct DirectoryHandle {
    directory: OpenDirectory,
    dots: &'static [&'static [u8]],
}

impl DirectoryHandle {
    pub(super) fn open(user: &User, path: &sshome_wire::RemotePath) -> Result<DirectoryHandle, SftpError> {
        Ok(DirectoryHandle { directory: service::open_directory(user, path)?, dots: &[b".", b".."] })
    }

    pub(super) fn info(&self) -> Result<FileInfo, SftpError> {
        Ok(self.directory.info()?)
    }

    pub(super) fn next_entry(&mut self, user: &User) -> Result<Option<Entry>, SftpError> {
        let Some((dot, rest)) = self.dots.split_first() else { return Ok(self.directory.next_entry()?) };
        self.dots = rest;
        let info = match *dot {
            b"." => self.info()?,
            // By its path, which cannot lead above the home.
            dot => service::stat(user, &self.directory.path().join(dot)?, true)?.info,
        };
        Ok(Some(Entry { name: dot.to_vec(), info, target: Vec::new() }))
    }
}
