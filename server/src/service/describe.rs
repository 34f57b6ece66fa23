//! Delta uploads: the old version of a file is described, and parts of it are copied into the new one.

use super::{Error, OpenMode, Result, StepLimit, User};
use sshome_delta::{ChunkKey, Describer};
use sshome_store::quota::FileId;
use sshome_store::{FileHandle, FileInfo, StoreError};
use sshome_wire::{Chunk, CopyRange, MAX_CHUNKS, MAX_COPY_BYTES, RemotePath, Time};

/// Bytes of a range that are copied at a time.
const COPY_BYTES: usize = 256 << 10;

/// A file that was described to the client. It is not held open: an open file lends no bytes to the upload that replaces it.
#[derive(Clone, Debug)]
pub struct DescribedFile {
    path: RemotePath,
    info: FileInfo,
}

impl DescribedFile {
    /// Opens the file for copies.
    ///
    /// # Errors
    /// If it is no longer what was described.
    pub(super) fn open(&self, user: &User) -> Result<DeltaBase> {
        let base = DeltaBase::open(user, &self.path).ok();
        let same = base.filter(|base| DeltaBase::version_of(&base.info) == DeltaBase::version_of(&self.info));
        same.ok_or_else(|| StoreError::Changed(self.path.clone()).into())
    }
}

/// The old version of a file that a delta copies from, open, with its version.
#[derive(Debug)]
pub(super) struct DeltaBase {
    path: RemotePath,
    file: Box<dyn FileHandle>,
    /// [`FileHandle::version`] at the beginning.
    version: Option<u64>,
    info: FileInfo,
}

impl DeltaBase {
    fn open(user: &User, path: &RemotePath) -> Result<DeltaBase> {
        user.require_read()?;
        let file = user.home.open_file(path, OpenMode::READ_ONLY, false)?;
        // Before the attributes: what is written in between is noticed.
        let version = file.version();
        Ok(DeltaBase { path: path.clone(), version, info: file.info()?, file })
    }

    /// What differs if a file was replaced or changed.
    fn version_of(info: &FileInfo) -> (FileId, u64, Time, Time) {
        (info.id, info.size, info.modified, info.changed)
    }

    /// Passes the bytes of a range to `each`, in order.
    ///
    /// # Errors
    /// If the range is empty, too long or not in the file, the file has become shorter, or the disk's. Those of `each`.
    pub(super) fn copy(&self, range: CopyRange, mut each: impl FnMut(&[u8]) -> Result<()>) -> Result<()> {
        let end = range.offset.checked_add(range.length).filter(|end| *end <= self.info.size);
        let Some(end) = end.filter(|_| (1..=MAX_COPY_BYTES).contains(&range.length)) else {
            return Err(Error::BadCopy(self.path.clone()));
        };
        let mut position = range.offset;
        let mut buffer = Vec::with_capacity(COPY_BYTES);
        while position < end {
            buffer.clear();
            let left = usize::try_from(end - position).unwrap_or(COPY_BYTES);
            if self.file.read_at(position, &mut buffer, left.min(COPY_BYTES))? == 0 {
                return Err(self.changed());
            }
            position += buffer.len() as u64;
            each(&buffer)?;
        }
        Ok(())
    }

    /// Fails if the file was or may have been written to since it was opened.
    pub(super) fn check_unchanged(&self) -> Result<()> {
        let now = self.file.info()?;
        let written = self.version.is_none() || self.version != self.file.version();
        match written || (now.size, now.modified) != (self.info.size, self.info.modified) {
            true => Err(self.changed()),
            false => Ok(()),
        }
    }

    fn changed(&self) -> Error {
        StoreError::Changed(self.path.clone()).into()
    }
}

/// A file that is being described.
#[derive(Debug)]
pub struct Describing {
    base: DeltaBase,
    describer: Describer,
    position: u64,
    chunks: u32,
}

impl Describing {
    /// Opens the file.
    ///
    /// # Errors
    /// If it is not a regular file, or may not be read, or is too long.
    pub fn begin(user: &User, path: &RemotePath, key: ChunkKey) -> Result<Describing> {
        let base = DeltaBase::open(user, path)?;
        let describer = Describer::new(key, base.info.size);
        let describer = describer.ok_or_else(|| Error::TooLongToDescribe(path.clone()))?;
        Ok(Describing { base, describer, position: 0, chunks: 0 })
    }

    /// Executes one step, and appends the chunks that it finds. Returns the described file after the last.
    ///
    /// # Errors
    /// If the file was written to meanwhile or has too many chunks, or the disk's.
    pub fn advance(&mut self, limit: StepLimit, chunks: &mut Vec<Chunk>) -> Result<Option<DescribedFile>> {
        let (start, before) = (self.position, chunks.len());
        let at_end = loop {
            let buffer = self.describer.buffer();
            // Only to the end that the file had when it was opened.
            let left = usize::try_from(self.base.info.size - self.position).unwrap_or(usize::MAX);
            if left == 0 {
                break true;
            }
            let room = (buffer.capacity() - buffer.len()).min(left);
            let read = self.base.file.read_at(self.position, buffer, room)?;
            if read == 0 {
                return Err(self.base.changed());
            }
            self.position += read as u64;
            chunks.extend(std::iter::from_fn(|| self.describer.next(false)));
            if limit.is_reached(self.position - start) {
                break false;
            }
        };
        if at_end {
            chunks.extend(std::iter::from_fn(|| self.describer.next(true)));
        }
        self.chunks = self.chunks.saturating_add(u32::try_from(chunks.len() - before).unwrap_or(u32::MAX));
        if self.chunks > MAX_CHUNKS {
            return Err(Error::TooLongToDescribe(self.base.path.clone()));
        }
        if !at_end {
            return Ok(None);
        }
        self.base.check_unchanged()?;
        Ok(Some(DescribedFile { path: self.base.path.clone(), info: self.base.info }))
    }
}
