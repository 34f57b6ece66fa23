//! An upload over an existing file that only compares: the data are compared with the file, and nothing is stored.
//!
//! A key that may not replace a file may still repeat a put of the same content, for example after a lost reply.

use super::{Download, Error, Result, User};
use sshome_store::{Cause, PublishItem, StoreError, StoreResult, Upload};
use sshome_wire::{Digest, RemotePath};
use std::fmt;

/// Bytes that are compared at a time.
const COMPARE_BYTES: usize = 256 << 10;

/// Marks an item whose content is stored already.
pub(super) struct AlreadyStored;

/// An upload that is compared with the existing file. A difference fails with [`Cause::Exists`].
pub(super) struct ContentComparison {
    path: RemotePath,
    existing: Download,
    /// Bytes of the existing file, and how many of them were compared.
    buffer: Vec<u8>,
    used: usize,
    /// Bytes that were compared in total.
    compared: u64,
}

impl ContentComparison {
    /// Begins the comparison with the file at a path.
    pub(super) fn begin(user: &User, path: &RemotePath) -> Result<ContentComparison> {
        let existing = Download::open(user, path)?;
        Ok(ContentComparison {
            path: path.clone(),
            existing,
            buffer: Vec::with_capacity(COMPARE_BYTES),
            used: 0,
            compared: 0,
        })
    }

    fn differs(&self) -> StoreError {
        StoreError::file(&self.path, Cause::Exists)
    }

    /// Compares the next bytes.
    fn compare(&mut self, mut data: &[u8]) -> StoreResult<()> {
        while !data.is_empty() {
            if self.used == self.buffer.len() {
                self.buffer.clear();
                self.used = 0;
                if self.existing.read(&mut self.buffer).map_err(|error| self.failed(error))? == 0 {
                    return Err(self.differs());
                }
            }
            let stored = self.buffer.get(self.used..).unwrap_or_default();
            let length = stored.len().min(data.len());
            let (now, later) = data.split_at(length);
            if stored.get(..length) != Some(now) {
                return Err(self.differs());
            }
            (data, self.used) = (later, self.used + length);
            self.compared += length as u64;
        }
        Ok(())
    }

    fn failed(&self, error: Error) -> StoreError {
        match error {
            Error::Store(error) => error,
            _ => self.differs(),
        }
    }
}

impl fmt::Debug for ContentComparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ContentComparison").field("path", &self.path).finish_non_exhaustive()
    }
}

impl Upload for ContentComparison {
    fn logged_path(&self) -> &RemotePath {
        &self.path
    }

    fn written(&self) -> u64 {
        self.compared
    }

    fn surviving(&self) -> u64 {
        0
    }

    fn write(&mut self, data: &[u8]) -> StoreResult<()> {
        self.compare(data)
    }

    fn discard_on_drop(&mut self) {}

    fn finish(mut self: Box<Self>, size: u64, digest: Option<Digest>) -> StoreResult<PublishItem> {
        if self.compared != size || self.existing.size() != size {
            return Err(self.differs());
        }
        let found = self.existing.finish().map_err(|error| self.failed(error))?;
        if digest.is_some_and(|digest| digest != found) {
            let why = "the data received differ from the data sent";
            return Err(StoreError::Mismatch { path: self.path, why });
        }
        Ok(PublishItem::new(self.path, size, Some(found), AlreadyStored))
    }
}
