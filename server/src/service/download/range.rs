//! Sending a range of a file, for a client that gets the file over several connections.

use super::Download;
use crate::metrics::TransferDirection;
use crate::service::{Result, User};
use sshome_store::FileInfo;
use sshome_wire::{BLOCK_BYTES, BlockHasher, Digest, FileVersion, RangeHeader, RemotePath};

/// Whole blocks of a file, and its last one.
#[derive(Clone, Copy, Debug)]
pub struct BlockRange {
    /// The number of the first one.
    pub first: u32,
    /// Their number. Those beyond the end of the file do not count.
    pub count: u32,
}

/// A range of a file that is being sent. Its blocks are digested, unlike those of a whole file: the client assembles ranges
/// and needs to know which one is wrong.
#[derive(Debug)]
pub struct RangeDownload {
    file: Download,
    version: FileVersion,
    /// The end of the range, in bytes from the start of the file.
    end: u64,
    hasher: BlockHasher,
}

impl RangeDownload {
    /// Opens a file to send a range of it, or only the digests of its blocks.
    ///
    /// # Errors
    /// If it is not a regular file, may not be read, or is not the expected version.
    pub fn begin(
        user: &User,
        path: &RemotePath,
        range: BlockRange,
        expect: Option<FileVersion>,
        data: bool,
    ) -> Result<RangeDownload> {
        let mut file = Download::open(user, path)?;
        let version = version_of(&file.info);
        if expect.is_some_and(|expected| expected != version) {
            return Err(file.changed());
        }
        let (first, count) = (u64::from(range.first), u64::from(range.count));
        file.position = first.saturating_mul(BLOCK_BYTES).min(file.size());
        let end = (first + count).saturating_mul(BLOCK_BYTES).min(file.size());
        if data && file.position < end {
            let size = end - file.position;
            let path = file.file.logged_path();
            file.transfer = Some(user.audit.transfer(TransferDirection::Download, path, Some(size)));
        }
        Ok(RangeDownload { file, version, end, hasher: BlockHasher::at(first) })
    }

    /// What the client has to know about the file.
    #[must_use]
    pub fn header(&self) -> RangeHeader {
        let info = &self.file.info;
        RangeHeader { version: self.version, mode: info.mode, stored: self.file.stored() }
    }

    /// The bytes of the range that were not read yet.
    #[must_use]
    pub fn left(&self) -> u64 {
        self.end.saturating_sub(self.file.position)
    }

    /// Appends the next bytes to `buffer`, up to its capacity. Returns 0 at the end of the range.
    ///
    /// # Errors
    /// The disk's, or if the file has become shorter.
    pub fn read(&mut self, buffer: &mut Vec<u8>) -> Result<usize> {
        let before = buffer.len();
        let left = usize::try_from(self.left()).unwrap_or(usize::MAX);
        let room = (buffer.capacity() - before).min(left);
        if room == 0 {
            return Ok(0);
        }
        let read = self.file.file.read_at(self.file.position, buffer, room)?;
        if read == 0 {
            return Err(self.file.changed());
        }
        self.hasher.update(buffer.get(before..).unwrap_or_default());
        self.file.position += read as u64;
        if let Some(transfer) = &self.file.transfer {
            transfer.moved(read as u64);
        }
        Ok(read)
    }

    /// Takes the digests of the blocks that were read completely since the last call.
    pub fn take_digests(&mut self) -> Vec<Digest> {
        let mut digests = self.hasher.take_blocks();
        if self.left() == 0 {
            digests.extend(self.hasher.subtrees());
            self.hasher = BlockHasher::new();
        }
        digests
    }

    /// Ends the download. Returns the length of the whole file in bytes.
    ///
    /// # Errors
    /// If the file was or may have been written to since it was opened.
    pub fn finish(&mut self) -> Result<u64> {
        let checked = self.check();
        if let Some(transfer) = self.file.transfer.take() {
            match &checked {
                Ok(()) => transfer.closed(false),
                Err(error) => transfer.failed(error),
            }
        }
        checked.map(|()| self.file.size())
    }

    fn check(&self) -> Result<()> {
        let now = self.file.file.info()?;
        let written = self.file.version.is_none() || self.file.version != self.file.file.version();
        // Without a name it is not what the client gets next, but it is what it has got so far.
        let same = version_of(&now) == self.version || now.links == 0;
        if written || !same { Err(self.file.changed()) } else { Ok(()) }
    }
}

/// The version of a file. The time of its last change of any kind tells it from what it was before a write that set the
/// modification time back, and its identity from a file that has taken its name.
fn version_of(info: &FileInfo) -> FileVersion {
    let mut hasher = BlockHasher::new();
    for number in [info.id.device, info.id.inode] {
        hasher.update(&number.to_le_bytes());
    }
    hasher.update(&info.changed.seconds.to_le_bytes());
    hasher.update(&info.changed.nanoseconds.to_le_bytes());
    let mut id = [0; 16];
    id.iter_mut().zip(hasher.finish().0).for_each(|(to, from)| *to = from);
    FileVersion { size: info.size, mtime: info.modified, id }
}
