//! Copying a range from one open file to another: SFTP's `copy-data`.

use super::{Error, OpenFile, Result, StepLimit};
use sshome_store::Cause;

/// Bytes that are read at a time.
const READ_CHUNK_BYTES: usize = 1 << 20;

/// The copy of a range, in steps.
#[derive(Debug)]
pub struct CopyData {
    from: u64,
    to: u64,
    left: u64,
    done: u64,
    buffer: Vec<u8>,
}

impl CopyData {
    /// Begins. `length_wanted` is in bytes; 0 copies up to the current end of the source. Source and target may be the
    /// same file or the same handle.
    ///
    /// # Errors
    /// If the ranges overlap in one file, or the quota is exceeded. All later changes through the handle `target` then
    /// fail, as after a failed write.
    pub fn begin(
        source: &OpenFile,
        from_offset: u64,
        length_wanted: u64,
        target: &OpenFile,
        to_offset: u64,
    ) -> Result<CopyData> {
        CopyData::prepare(source, from_offset, length_wanted, target, to_offset)
            .map_err(|error| target.fail(error))
    }

    fn prepare(
        source: &OpenFile,
        from_offset: u64,
        length_wanted: u64,
        target: &OpenFile,
        to_offset: u64,
    ) -> Result<CopyData> {
        let there = source.info()?.size.saturating_sub(from_offset);
        // Fixed now: a copy to the file's own end would never end.
        let left = if length_wanted == 0 { there } else { length_wanted.min(there) };
        let to = if target.appends() { target.info()?.size } else { to_offset };
        if source.info()?.id == target.info()?.id && from_offset.abs_diff(to) < left {
            return Err(Error::Overlap(target.path().clone()));
        }
        let end = to.checked_add(left).ok_or_else(|| Error::file(target.path(), Cause::TooLarge))?;
        target.check_space(end)?;
        let chunk = usize::try_from(left).unwrap_or(READ_CHUNK_BYTES).min(READ_CHUNK_BYTES);
        Ok(CopyData { from: from_offset, to, left, done: 0, buffer: Vec::with_capacity(chunk) })
    }

    /// Executes one step, with the same files. Returns the bytes copied at the end: fewer than requested if the source
    /// ended early.
    ///
    /// # Errors
    /// If the source cannot be read, the quota is exceeded, or the disk fails. Earlier bytes are copied, and all later
    /// changes through the handle `target` fail.
    pub fn step(&mut self, source: &OpenFile, target: &OpenFile, limit: StepLimit) -> Result<Option<u64>> {
        let start = self.done;
        while self.left > 0 && !limit.is_reached(self.done - start) {
            self.buffer.clear();
            let most = usize::try_from(self.left).unwrap_or(READ_CHUNK_BYTES).min(READ_CHUNK_BYTES);
            let read = source.read_unmetered(self.from, &mut self.buffer, most);
            let read = read.map_err(|error| target.fail(error))? as u64;
            if read == 0 {
                self.left = 0;
                break;
            }
            target.write_at(self.to, &self.buffer)?;
            self.from += read;
            self.to += read;
            self.left -= read;
            self.done += read;
        }
        Ok((self.left == 0).then_some(self.done))
    }
}
