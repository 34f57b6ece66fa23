//! The file that is being written.

use super::local_part::LocalPart;
use crate::transfer::local::{LocalDirectory, begin_writeback};
use sshome_wire::{BLOCK_BYTES, BlockHasher, Digest, Header};
use std::fs::File;
use std::io::{self, Seek, SeekFrom, Write};
use std::rc::Rc;

/// Short chunks are merged up to this many bytes before they are hashed and written: hashing whole subtrees is twice as
/// fast as hashing packets.
const BUFFER_BYTES: usize = 256 << 10;

/// A chunk of this many bytes is not merged: copying it would cost more.
const UNBUFFERED_BYTES: usize = 32 << 10;

/// Writeback is started each time this many bytes were written, while more are received.
const WRITEBACK_BYTES: u64 = 8 << 20;

/// Merges short pieces of data.
#[derive(Default)]
pub(super) struct MergeBuffer(Vec<u8>);

impl MergeBuffer {
    /// Passes the next bytes to `out`, or keeps them until there are more. `announced` is how many there are in all.
    pub(super) fn push(
        &mut self,
        mut data: &[u8],
        announced: u64,
        mut out: impl FnMut(&[u8]) -> io::Result<()>,
    ) -> io::Result<()> {
        if self.0.is_empty() && data.len() >= UNBUFFERED_BYTES {
            return out(data);
        }
        if self.0.capacity() == 0 {
            // The buffer is as long as a small file, and never longer than its limit, whatever was announced.
            self.0.reserve_exact(usize::try_from(announced).unwrap_or(BUFFER_BYTES).min(BUFFER_BYTES));
        }
        while !data.is_empty() {
            let (now, rest) = data.split_at(data.len().min(BUFFER_BYTES - self.0.len()));
            self.0.extend_from_slice(now);
            data = rest;
            if self.0.len() == BUFFER_BYTES {
                self.flush(&mut out)?;
            }
        }
        Ok(())
    }

    /// Passes what was kept to `out`.
    pub(super) fn flush(&mut self, mut out: impl FnMut(&[u8]) -> io::Result<()>) -> io::Result<()> {
        let passed = if self.0.is_empty() { Ok(()) } else { out(&self.0) };
        self.0.clear();
        passed
    }
}

/// An unfinished file.
pub(super) struct PartFile {
    pub(super) directory: Rc<LocalDirectory>,
    /// Its name until it is published.
    pub(super) part: Vec<u8>,
    /// Its lock excludes other clients.
    pub(super) handle: File,
    hasher: BlockHasher,
    buffer: MergeBuffer,
    written: u64,
    /// Bytes whose writeback was started.
    written_back: u64,
}

impl PartFile {
    /// An empty file.
    pub(super) fn new(directory: Rc<LocalDirectory>, part: Vec<u8>, handle: File) -> PartFile {
        let (hasher, buffer) = (BlockHasher::new(), MergeBuffer::default());
        PartFile { directory, part, handle, hasher, buffer, written: 0, written_back: 0 }
    }

    /// Resumes a partial file at the offset where the server begins; `None` if that is not a block boundary.
    ///
    /// # Errors
    /// If the file cannot be truncated there.
    pub(super) fn resume(
        directory: Rc<LocalDirectory>,
        known: LocalPart,
        header: &Header,
    ) -> io::Result<Option<PartFile>> {
        let LocalPart { part, mut handle, mut digests } = known;
        let blocks = usize::try_from(header.offset / BLOCK_BYTES).unwrap_or(usize::MAX);
        let is_after_a_block = header.offset.is_multiple_of(BLOCK_BYTES) && blocks <= digests.len();
        // At least one byte has to follow: the digest of the whole file needs it.
        if !is_after_a_block || (header.offset > 0 && header.offset >= header.size) {
            return Ok(None);
        }
        handle.set_len(header.offset)?;
        handle.seek(SeekFrom::Start(header.offset))?;
        digests.truncate(blocks);
        let (hasher, written) = (BlockHasher::after(digests), header.offset);
        let buffer = MergeBuffer::default();
        Ok(Some(PartFile { directory, part, handle, hasher, buffer, written, written_back: written }))
    }

    /// Writes the next bytes of a file of the `announced` length.
    pub(super) fn write(&mut self, data: &[u8], announced: u64) -> io::Result<()> {
        let mut buffer = std::mem::take(&mut self.buffer);
        let written = buffer.push(data, announced, |data| self.write_out(data));
        self.buffer = buffer;
        written
    }

    /// The digest of the whole file, after its last byte.
    pub(super) fn finish(&mut self) -> io::Result<Digest> {
        self.write_buffer()?;
        Ok(self.hasher.finish())
    }

    /// Removes it.
    pub(super) fn discard(self) {
        // The next get of this name removes what remains.
        let _ = self.directory.remove(&self.part);
    }

    /// Leaves it for the next get of this name, if it is long enough to be resumed.
    pub(super) fn keep(mut self) {
        // Bytes that cannot be written are downloaded again.
        let _ = self.write_buffer();
        if self.written <= BLOCK_BYTES {
            self.discard();
        }
    }

    fn write_buffer(&mut self) -> io::Result<()> {
        let mut buffer = std::mem::take(&mut self.buffer);
        let written = buffer.flush(|data| self.write_out(data));
        self.buffer = buffer;
        written
    }

    fn write_out(&mut self, data: &[u8]) -> io::Result<()> {
        self.handle.write_all(data)?;
        self.hasher.update(data);
        self.written += data.len() as u64;
        if self.written - self.written_back >= WRITEBACK_BYTES {
            begin_writeback(&self.handle, self.written_back, self.written - self.written_back);
            self.written_back = self.written;
        }
        Ok(())
    }
}
