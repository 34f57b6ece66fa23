//! What goes through an open file, for who is told of it.

use super::super::{Result, User};
use super::OpenMode;
use crate::audit::{Direction, Transfer};
use sshome_wire::RemotePath;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

/// Dropped with the file, it tells what was done to it.
#[derive(Debug)]
pub(super) struct Traffic {
    /// None once somebody else has it.
    transfer: Option<Transfer>,
    writes: bool,
    staged: bool,
    changed: AtomicBool,
}

impl Traffic {
    pub(super) fn begin(user: &User, path: &RemotePath, mode: OpenMode, staged: bool) -> Traffic {
        let writes = mode.writes();
        let direction = if writes { Direction::Upload } else { Direction::Download };
        let transfer = Some(user.audit.transfer(direction, path, None));
        Traffic { transfer, writes, staged, changed: AtomicBool::new(mode.create || mode.truncate) }
    }

    /// Bytes were read. Of a file that is written to as well, what is written counts.
    pub(super) fn read(&self, bytes: usize) {
        if let Some(transfer) = self.transfer.as_ref().filter(|_| !self.writes) {
            transfer.moved(bytes as u64);
        }
    }

    /// A change was made, of so many bytes, or was refused.
    pub(super) fn changed(&self, result: &Result<()>, bytes: u64) {
        let Some(transfer) = &self.transfer else { return };
        match result {
            Ok(()) => {
                self.changed.store(true, Relaxed);
                transfer.moved(bytes);
            }
            Err(error) => transfer.refused(error),
        }
    }

    /// Hands the transfer on to who tells of its end.
    pub(super) fn hand_on(&mut self) -> Option<Transfer> {
        self.transfer.take()
    }
}

impl Drop for Traffic {
    fn drop(&mut self) {
        // A staged file that gets no name was cut off, which the transfer says itself.
        if let Some(transfer) = self.transfer.take().filter(|_| !self.staged) {
            transfer.closed(self.changed.load(Relaxed));
        }
    }
}
