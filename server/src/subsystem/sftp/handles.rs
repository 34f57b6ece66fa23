use super::directory_handle::DirectoryHandle;
use super::status::SftpError;
use crate::operations::OpenFile;
use bytes::Bytes;
use sshome_wire::sftp::StatusCode;
use std::collections::HashMap;

/// Files and directories that one channel may have open at a time.
pub(super) const MAX_OPEN_HANDLES: usize = 512;

/// What a channel has open. A handle is a number that is never given twice, so one that was closed, or
/// was never given, is known as such.
#[derive(Default)]
pub(super) struct SftpHandles {
    open: HashMap<u64, OpenHandle>,
    given: u64,
}

/// What a handle stands for.
pub(super) enum OpenHandle {
    File(OpenFile),
    Directory(DirectoryHandle),
}

impl SftpHandles {
    pub(super) fn is_empty(&self) -> bool {
        self.open.is_empty()
    }

    /// Says whether there is room for one more: to be asked before anything is opened or made.
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

    pub(super) fn file(&self, handle: &[u8]) -> Result<&OpenFile, SftpError> {
        match self.get(handle)? {
            OpenHandle::File(file) => Ok(file),
            OpenHandle::Directory(_) => {
                Err(SftpError::new(StatusCode::Failure, "the handle is a directory's"))
            }
        }
    }

    pub(super) fn directory(&mut self, handle: &[u8]) -> Result<&mut DirectoryHandle, SftpError> {
        match number(handle).and_then(|number| self.open.get_mut(&number)) {
            Some(OpenHandle::Directory(directory)) => Ok(directory),
            Some(OpenHandle::File(_)) => Err(SftpError::new(StatusCode::Failure, "the handle is a file's")),
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
