//! The transfer of an open file for the log: bytes moved, and the first change that failed.

use super::super::{Error, Result, User};
use crate::audit::Transfer;
use crate::metrics::TransferDirection;
use sshome_store::OpenMode;
use sshome_wire::RemotePath;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};

/// The transfer of an open file. Dropping it without closing it logs the transfer as cut, or as failed if a change
/// failed.
#[derive(Debug)]
pub(super) struct OpenTransfer {
    /// `None` once it was taken.
    transfer: Option<Transfer>,
    writes: bool,
    /// Whether the content is published at the close. Before that the home is as it was.
    staged: bool,
    changed: AtomicBool,
    /// The first error of a change of the content. The file lacks that change, and some clients check only the last reply,
    /// so every later change fails with the same error.
    failure: OnceLock<Arc<Error>>,
}

impl OpenTransfer {
    pub(super) fn begin(user: &User, path: &RemotePath, mode: OpenMode, staged: bool) -> OpenTransfer {
        let writes = mode.writes();
        let direction = if writes { TransferDirection::Upload } else { TransferDirection::Download };
        let transfer = Some(user.audit.transfer(direction, path, None));
        let changed = AtomicBool::new(mode.create || mode.truncate);
        OpenTransfer { transfer, writes, staged, changed, failure: OnceLock::new() }
    }

    /// Whether the end of the transfer is logged as a change of the content.
    pub(super) fn is_upload(&self) -> bool {
        self.staged || self.changed.load(Relaxed)
    }

    /// Counts bytes that were read. For files that are also written to, only written bytes count.
    pub(super) fn read(&self, bytes: usize) {
        if let Some(transfer) = self.transfer.as_ref().filter(|_| !self.writes) {
            transfer.moved(bytes as u64);
        }
    }

    /// Fails with the error of the first failed change.
    pub(super) fn check(&self) -> Result<()> {
        self.failure.get().map_or(Ok(()), |failure| Err(Error::Earlier(Arc::clone(failure))))
    }

    /// Records the result of a change of `bytes` bytes.
    pub(super) fn changed(&self, result: Result<()>, bytes: u64) -> Result<()> {
        result.map_err(|error| self.fail(error))?;
        self.changed.store(true, Relaxed);
        if let Some(transfer) = &self.transfer {
            transfer.moved(bytes);
        }
        Ok(())
    }

    /// Records a failed change.
    pub(super) fn fail(&self, error: Error) -> Error {
        if let Some(transfer) = &self.transfer {
            transfer.refused(&error);
        }
        Error::Earlier(Arc::clone(self.failure.get_or_init(|| Arc::new(error))))
    }

    /// Logs that the client closed the file.
    ///
    /// # Errors
    /// If a change of it failed.
    pub(super) fn closed(mut self) -> Result<()> {
        if let Some(transfer) = self.take_transfer()? {
            transfer.closed(self.changed.load(Relaxed));
        }
        Ok(())
    }

    /// Takes the transfer out: the caller logs its end.
    ///
    /// # Errors
    /// If a change of the file failed, which is logged.
    pub(super) fn take_transfer(&mut self) -> Result<Option<Transfer>> {
        let transfer = self.transfer.take();
        let Some(failure) = self.failure.get() else { return Ok(transfer) };
        if let Some(transfer) = transfer {
            transfer.failed(failure);
        }
        Err(Error::Earlier(Arc::clone(failure)))
    }
}

impl Drop for OpenTransfer {
    fn drop(&mut self) {
        if let Some(transfer) = self.transfer.take() {
            transfer.cut(self.changed.load(Relaxed) && !self.staged);
        }
    }
}
