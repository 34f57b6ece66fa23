//! Sending a file: `get`.

use super::error::Context;
use super::{Error, Result, User, hold};
use crate::audit::Transfer;
use crate::home::{DescriptorPermit, Location, StoredDigest, length};
use crate::metrics::TransferDirection;
use crate::quota::HeldFile;
use rustix::fs::Stat;
use sshome_wire::{BLOCK_BYTES, BlockHasher, Digest, RemotePath};
use std::fs::File;

/// A file that is being sent.
#[derive(Debug)]
pub struct Download {
    path: RemotePath,
    /// The file counts while it is open, even after its name is removed. Declared before `file`, so that it is dropped
    /// first: see [`HeldFile`].
    held: HeldFile,
    /// [`HeldFile::version`] at the beginning.
    version: Option<u64>,
    file: File,
    stat: Stat,
    position: u64,
    hasher: BlockHasher,
    /// The stored digest, if it is reported without digesting the data again.
    carried: Option<Digest>,
    /// `None` if the data are not sent to the client.
    transfer: Option<Transfer>,
    _descriptor: DescriptorPermit,
}

impl Download {
    /// Opens a file to send it.
    ///
    /// # Errors
    /// If it is not a regular file, or may not be read.
    pub fn begin(user: &User, path: &RemotePath) -> Result<Download> {
        let (download, location) = Download::open_located(user, path)?;
        let size = Some(download.size());
        let transfer = user.audit.transfer(TransferDirection::Download, &user.logged(&location, path), size);
        Ok(Download { transfer: Some(transfer), ..download })
    }

    /// Opens a file to digest or copy it on the server.
    ///
    /// # Errors
    /// As [`Download::begin`].
    pub(super) fn open(user: &User, path: &RemotePath) -> Result<Download> {
        Ok(Download::open_located(user, path)?.0)
    }

    fn open_located(user: &User, path: &RemotePath) -> Result<(Download, Location)> {
        let permit = user.home.descriptors(1).of_file(path)?;
        // Opened and recorded under one lock: a removal in between would treat the file as closed.
        let namespace = user.home.lock_namespace();
        let (file, stat, location) = user.home.open_file(path).of_file(path)?;
        let held = hold(user, &file, &stat).of_file(path)?;
        drop(namespace);
        let (version, hasher) = (held.version(), BlockHasher::new());
        let path = path.clone();
        let download = Download {
            path,
            held,
            version,
            file,
            stat,
            position: 0,
            hasher,
            carried: None,
            transfer: None,
            _descriptor: permit,
        };
        Ok((download, location))
    }

    /// The file's attributes when it was opened.
    #[must_use]
    pub fn stat(&self) -> &Stat {
        &self.stat
    }

    /// Bytes read so far.
    #[must_use]
    pub fn position(&self) -> u64 {
        self.position
    }

    /// The file's length in bytes when it was opened.
    #[must_use]
    pub fn size(&self) -> u64 {
        length(&self.stat)
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
        let spare = rustix::buffer::spare_capacity(buffer);
        let read = rustix::io::pread(&self.file, spare, self.position).of_file(&self.path)?;
        if read == 0 {
            return Err(Error::Changed(self.path.clone()));
        }
        // A file that grows meanwhile is sent in its old length; `finish` reports the change.
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
        let now = rustix::fs::fstat(&self.file).of_file(&self.path)?;
        let same = |a: &Stat, b: &Stat| {
            (a.st_size, a.st_mtime, a.st_mtime_nsec) == (b.st_size, b.st_mtime, b.st_mtime_nsec)
        };
        let written = self.version.is_none() || self.version != self.held.version();
        if written || !same(&now, &self.stat) || self.position != self.size() {
            return Err(Error::Changed(self.path.clone()));
        }
        if let Some(carried) = self.carried {
            return Ok(carried);
        }
        let digest = self.hasher.finish();
        let changed = |stat: &Stat| (stat.st_ctime, stat.st_ctime_nsec);
        match self.stored() {
            Some(stored) if stored != digest => Err(Error::Rotten(self.path.clone())),
            // Another program may have written to it and reset its mtime. Without a stored digest that looks like a new
            // name or mode. Removing its last name is not such a change.
            None if changed(&now) != changed(&self.stat) && now.st_nlink > 0 => {
                Err(Error::Changed(self.path.clone()))
            }
            _ => Ok(digest),
        }
    }

    /// The digest of the data that were read, even if the file has changed.
    #[must_use]
    pub fn digest(&self) -> Digest {
        self.hasher.finish()
    }

    /// The digest that was stored when the file was published, if it still applies.
    #[must_use]
    pub fn stored(&self) -> Option<Digest> {
        StoredDigest::read(&self.file, &self.stat)
    }
}
