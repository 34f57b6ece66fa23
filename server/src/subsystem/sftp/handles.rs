use super::directory_handle::Folder;
use super::status::Refused;
use crate::operations::OpenFile;
use bytes::Bytes;
use sshome_wire::sftp::StatusCode;
use std::collections::HashMap;

/// Files and directories that one channel may have open at a time.
pub(super) const MOST: usize = 512;

/// What a channel has open. A handle is a number that is never given twice, so one that was closed, or
/// was never given, is known as such.
#[derive(Default)]
pub(super) struct Handles {
    open: HashMap<u64, Open>,
    given: u64,
}

/// What a handle stands for.
pub(super) enum Open {
    File(OpenFile),
    Folder(Folder),
}

impl Handles {
    pub(super) fn is_empty(&self) -> bool {
        self.open.is_empty()
    }

    /// Says whether there is room for one more: to be asked before anything is opened or made.
    pub(super) fn check_room(&self) -> Result<(), Refused> {
        if self.open.len() < MOST {
            return Ok(());
        }
        let text = format!("{MOST} files and directories are open; close some of them");
        Err(Refused::new(StatusCode::Failure, text))
    }

    pub(super) fn add(&mut self, open: Open) -> Bytes {
        self.given += 1;
        self.open.insert(self.given, open);
        Bytes::copy_from_slice(&self.given.to_be_bytes())
    }

    pub(super) fn close(&mut self, handle: &[u8]) -> Result<Open, Refused> {
        number(handle).and_then(|number| self.open.remove(&number)).ok_or_else(unknown)
    }

    pub(super) fn file(&self, handle: &[u8]) -> Result<&OpenFile, Refused> {
        match self.get(handle)? {
            Open::File(file) => Ok(file),
            Open::Folder(_) => Err(Refused::new(StatusCode::Failure, "the handle is a directory's")),
        }
    }

    pub(super) fn folder(&mut self, handle: &[u8]) -> Result<&mut Folder, Refused> {
        match number(handle).and_then(|number| self.open.get_mut(&number)) {
            Some(Open::Folder(folder)) => Ok(folder),
            Some(Open::File(_)) => Err(Refused::new(StatusCode::Failure, "the handle is a file's")),
            None => Err(unknown()),
        }
    }

    pub(super) fn get(&self, handle: &[u8]) -> Result<&Open, Refused> {
        number(handle).and_then(|number| self.open.get(&number)).ok_or_else(unknown)
    }
}

fn number(handle: &[u8]) -> Option<u64> {
    Some(u64::from_be_bytes(handle.try_into().ok()?))
}

fn unknown() -> Refused {
    Refused::new(StatusCode::Failure, "no such handle is open")
}
