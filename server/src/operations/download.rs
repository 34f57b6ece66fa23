//! Handing a file out: `get`.

use super::error::Context;
use super::{Error, Result, User, hold};
use crate::audit::Transfer;
use crate::home::{DescriptorPermit, Location, StoredDigest, length};
use crate::metrics::TransferDirection;
use crate::quota::HeldFile;
use rustix::fs::Stat;
use sshome_wire::{BLOCK, BlockHasher, Digest, RemotePath};
use std::fs::File;

/// A file that is being sent.
#[derive(Debug)]
pub struct Download {
    path: RemotePath,
    /// The file counts for as long as it is held, even if its name goes. Above the file: see [`HeldFile`].
    held: HeldFile,
    /// What [`HeldFile::version`] said at the beginning.
    version: Option<u64>,
    file: File,
    stat: Stat,
    position: u64,
    hasher: BlockHasher,
    /// The digest that it carries, once that is what is told: then nothing more is digested.
    carried: Option<Digest>,
    /// None where nothing goes to the client.
    transfer: Option<Transfer>,
    _descriptor: DescriptorPermit,
}

impl Download {
    /// Opens a file that is to be sent.
    ///
    /// # Errors
    /// If it is none, or may not be read.
    pub fn begin(user: &User, path: &RemotePath) -> Result<Download> {
        let (download, location) = Download::open_located(user, path)?;
        let size = Some(download.size());
        let transfer = user.audit.transfer(TransferDirection::Download, &user.logged(&location, path), size);
        Ok(Download { transfer: Some(transfer), ..download })
    }

    /// Opens a file that stays here: it is to be digested or copied.
    ///
    /// # Errors
    /// As [`Download::begin`].
    pub(super) fn open(user: &User, path: &RemotePath) -> Result<Download> {
        Ok(Download::open_located(user, path)?.0)
    }

    fn open_located(user: &User, path: &RemotePath) -> Result<(Download, Location)> {
        let permit = user.home.descriptors(1).of_file(path)?;
        // Opened and held as one: a removal in between would take it for closed.
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

    /// What the file was when it was opened.
    #[must_use]
    pub fn stat(&self) -> &Stat {
        &self.stat
    }

    /// Bytes that were read so far.
    #[must_use]
    pub fn position(&self) -> u64 {
        self.position
    }

    /// The file's length in bytes when it was opened.
    #[must_use]
    pub fn size(&self) -> u64 {
        length(&self.stat)
    }

    /// Appends the next bytes to `buffer`, up to its capacity and up to the size that the file had
    /// when it was opened. None at the end.
    ///
    /// # Errors
    /// If the disk reports one, or the file has become shorter.
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
        // A file that grows while it is read is sent as long as it was; `finish` then tells.
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

    /// Goes on after these blocks, as if no more had been read, for somebody who digests what arrives and
    /// compares. A file that carries its digest is then not digested here a second time: what has changed
    /// on the disk is seen at the other end.
    pub fn resume_after(&mut self, blocks: Vec<Digest>) {
        self.position = blocks.len() as u64 * BLOCK;
        self.hasher = BlockHasher::after(blocks);
        self.carried = self.stored();
    }

    /// The digest of all that was read, from the first byte on, or the one that the file carries (see
    /// [`Download::resume_after`]). The file is sent.
    ///
    /// # Errors
    /// If the file was written to since it was opened, or may have been, or is not what was once stored.
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
            // Another program may have written to it and set its time back. Without a digest to compare with, that
            // cannot be told from a new name or mode. Removing its last name is no such change.
            None if changed(&now) != changed(&self.stat) && now.st_nlink > 0 => {
                Err(Error::Changed(self.path.clone()))
            }
            _ => Ok(digest),
        }
    }

    /// The digest of all that was read and digested, whatever became of the file.
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
