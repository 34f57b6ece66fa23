//! Sending a file: `get`.

mod range;

pub use range::{BlockRange, RangeDownload};

use super::{Error, OpenMode, Result, User};
use crate::audit::Transfer;
use crate::metrics::TransferDirection;
use sshome_store::{FileHandle, FileInfo, StoreError};
use sshome_wire::{BLOCK_BYTES, BlockHasher, Digest, RemotePath};

/// A file that is being sent.
#[derive(Debug)]
pub struct Download {
    path: RemotePath,
    file: Box<dyn FileHandle>,
    /// [`FileHandle::version`] at the beginning.
    version: Option<u64>,
    info: FileInfo,
    position: u64,
    hasher: BlockHasher,
    /// The stored digest, if it is reported without digesting the data again.
    carried: Option<Digest>,
    /// `None` if the data are not sent to the client.
    transfer: Option<Transfer>,
}

impl Download {
    /// Opens a file to send it.
    ///
    /// # Errors
    /// If it is not a regular file, or may not be read.
    pub fn begin(user: &User, path: &RemotePath) -> Result<Download> {
        let download = Download::open(user, path)?;
        let (path, size) = (download.file.logged_path(), Some(download.size()));
        let transfer = user.audit.transfer(TransferDirection::Download, path, size);
        Ok(Download { transfer: Some(transfer), ..download })
    }

    /// Opens a file to digest or copy it on the server.
    ///
    /// # Errors
    /// As [`Download::begin`].
    pub(super) fn open(user: &User, path: &RemotePath) -> Result<Download> {
        user.require_read()?;
        let file = user.home.open_file(path, OpenMode::READ_ONLY, false)?;
        // Read before the attributes, so that a write in between is noticed.
        let version = file.version();
        Ok(Download {
            path: path.clone(),
            version,
            info: file.info()?,
            file,
            position: 0,
            hasher: BlockHasher::new(),
            carried: None,
            transfer: None,
        })
    }

    /// The file's attributes when it was opened.
    #[must_use]
    pub fn info(&self) -> &FileInfo {
        &self.info
    }

    /// Bytes read so far.
    #[must_use]
    pub fn position(&self) -> u64 {
        self.position
    }

    /// The file's length in bytes when it was opened.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.info.size
    }

    /// Appends the next bytes to `buffer`, up to its capacity and up to the size that the file had when it was opened.
    /// Returns 0 at the end.
    ///
    /// # Errors
    /// The disk's, or if the file has become shorter.
    pub fn read(&mut self, buffer: &mut Vec<u8>) -> Result<usize> {
        let left = self.size() - self.position;
        let before = buffer.len();
        let room = buffer.capacity() - before;
        if left == 0 || room == 0 {
            return Ok(0);
        }
        let read = self.file.read_at(self.position, buffer, room)?;
        if read == 0 {
            return Err(self.changed());
        }
        // A file that grows meanwhile is sent with its old length, and `finish` reports the change.
        let read = (read as u64).min(left) as usize;
        buffer.truncate(before + read);
        if self.carried.is_none() {
            self.hasher.update(buffer.get(before..).unwrap_or_default());
        }
        self.position += read as u64;
        if let Some(transfer) = &self.transfer {
            transfer.moved(read as u64);
        }
        Ok(read)
    }

    /// The digests of the whole blocks that were read.
    #[must_use]
    pub fn blocks(&self) -> Vec<Digest> {
        self.hasher.whole_blocks()
    }

    /// Continues after these blocks, for a client that digests the data and compares. A file with a stored digest is not
    /// digested again by the server: the client detects changes on the disk.
    pub fn resume_after(&mut self, blocks: Vec<Digest>) {
        self.position = blocks.len() as u64 * BLOCK_BYTES;
        self.hasher = BlockHasher::after(blocks);
        self.carried = self.stored();
    }

    /// Ends the download. Returns the digest of the whole file, or its stored digest (see [`Download::resume_after`]).
    ///
    /// # Errors
    /// If the file was or may have been written to since it was opened, or differs from its stored digest.
    pub fn finish(&mut self) -> Result<Digest> {
        let digest = self.check();
        if let Some(transfer) = self.transfer.take() {
            match &digest {
                Ok(digest) => transfer.read(*digest),
                Err(error) => transfer.failed(error),
            }
        }
        digest
    }

    fn check(&self) -> Result<Digest> {
        let now = self.file.info()?;
        let written = self.version.is_none() || self.version != self.file.version();
        let same = (now.size, now.modified) == (self.info.size, self.info.modified);
        if written || !same || self.position != self.size() {
            return Err(self.changed());
        }
        if let Some(carried) = self.carried {
            return Ok(carried);
        }
        let digest = self.hasher.finish();
        match self.stored() {
            Some(stored) if stored != digest => Err(Error::Rotten(self.path.clone())),
            // Another program may have written to it and reset its mtime. Without a stored digest that looks like a new
            // name or mode. Removing its last name is not such a change.
            None if now.changed != self.info.changed && now.links > 0 => Err(self.changed()),
            _ => Ok(digest),
        }
    }

    fn changed(&self) -> Error {
        StoreError::Changed(self.path.clone()).into()
    }

    /// The digest of the data that were read, even if the file has changed.
    #[must_use]
    pub fn digest(&self) -> Digest {
        self.hasher.finish()
    }

    /// The digest that was stored when the file was published, if it still applies.
    #[must_use]
    pub fn stored(&self) -> Option<Digest> {
        self.file.stored_digest(&self.info)
    }
}
