use super::directory_handle::DirectoryHandle;
use super::status::SftpError;
use crate::service::OpenFile;
use bytes::Bytes;
use sshome_wire::sftp::StatusCode;
use std::collections::HashMap;
use std::sync::Arc;

/// The largest number of open files and directories of one channel.
pub(super) const MAX_OPEN_HANDLES: usize = 512;

/// The open files and directories of a channel. A handle is a number that is used once, so a stale or invented handle is
/// detected.
#[derive(Default)]
pub(super) struct SftpHandles {
    open: HashMap<u64, OpenHandle>,
    given: u64,
}

/// An open file or directory.
pub(super) enum OpenHandle {
    /// A request in progress shares it.
    File(Arc<OpenFile>),
    Directory(DirectoryHandle),
}

impl SftpHandles {
    pub(super) fn is_empty(&self) -> bool {
        self.open.is_empty()
    }

    /// Checks that one more can be opened. Call it before opening or creating anything.
    pub(super) fn check_room(&self) -> Result<(), SftpError> {
        if self.open.len() < MAX_OPEN_HANDLES {
            return Ok(());
        }
        let text = format!("{MAX_OPEN_HANDLES} files and directories are open; close some of them");
        Err(SftpError::new(StatusCode::Failure, text))
    }

    pub(super) fn add(&mut self, open: OpenHandle) -> Bytes {
        self.given += 1;
        self.open.insert(self.given, open);
        Bytes::copy_from_slice(&self.given.to_be_bytes())
    }

    pub(super) fn close(&mut self, handle: &[u8]) -> Result<OpenHandle, SftpError> {
        number(handle).and_then(|number| self.open.remove(&number)).ok_or_else(unknown)
    }

    pub(super) fn file(&self, handle: &[u8]) -> Result<&Arc<OpenFile>, SftpError> {
        match self.get(handle)? {
            OpenHandle::File(file) => Ok(file),
            OpenHandle::Directory(_) => {
                Err(SftpError::new(StatusCode::Failure, "the handle is of a directory"))
            }
        }
    }

    pub(super) fn directory(&mut self, handle: &[u8]) -> Result<&mut DirectoryHandle, SftpError> {
        match number(handle).and_then(|number| self.open.get_mut(&number)) {
            Some(OpenHandle::Directory(directory)) => Ok(directory),
            Some(OpenHandle::File(_)) => Err(SftpError::new(StatusCode::Failure, "the handle is of a file")),
            None => Err(unknown()),
        }
    }

    pub(super) fn get(&self, handle: &[u8]) -> Result<&OpenHandle, SftpError> {
        number(handle).and_then(|number| self.open.get(&number)).ok_or_else(unknown)
    }
}

fn number(handle: &[u8]) -> Option<u64> {
    Some(u64::from_be_bytes(handle.try_into().ok()?))
}

fn unknown() -> SftpError {
    SftpError::new(StatusCode::Failure, "no such handle is open")
}
