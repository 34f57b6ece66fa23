//! The old version of a file on the local disk: described, so that the server sends only what it does not have.

use super::plan::Plan;
use super::prepare::follows;
use super::store::Store;
use crate::transfer::local::LocalEntry;
use sshome_delta::{ChunkKey, Describer, MIN_DELTA_BYTES};
use sshome_wire::{Chunk, CopyRange, MAX_CHUNKS, MAX_COPY_BYTES};
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

/// Bytes that are copied at a time.
const COPY_BYTES: u64 = 256 << 10;

/// An old version of a file, open for copies.
#[derive(Debug)]
pub(super) struct LocalVersion {
    file: File,
    /// Its described length in bytes.
    bytes: u64,
}

/// The description of an old version.
pub(super) struct LocalDescription {
    pub(super) version: LocalVersion,
    pub(super) chunks: Vec<Chunk>,
    pub(super) key: ChunkKey,
}

/// Whether there is an old version that is worth a description.
pub(super) fn is_there(plan: &Arc<Plan>, number: usize) -> bool {
    let look = || {
        let planned = plan.files.get(number)?;
        let directory = Store::new(Arc::clone(plan)).directory(planned.place).ok()?;
        directory.look(planned.local_name(), follows(plan, planned)).ok()?
    };
    matches!(look(), Some(LocalEntry::File { size, .. }) if size >= MIN_DELTA_BYTES)
}

/// Describes the local file that a file of the plan will replace. `None` if there is none that is worth it, it cannot be read,
/// or the transfer is cancelled.
pub(super) fn describe(
    plan: &Arc<Plan>,
    number: usize,
    cancel: &CancellationToken,
) -> Option<LocalDescription> {
    let planned = plan.files.get(number)?;
    let directory = Store::new(Arc::clone(plan)).directory(planned.place).ok()?;
    let mut file = directory.read(planned.local_name(), follows(plan, planned)).ok()?;
    let seen = file.metadata().ok()?;
    if !seen.is_file() || seen.len() < MIN_DELTA_BYTES {
        return None;
    }
    let key = rand::random();
    let (mut describer, mut chunks, mut bytes) = (Describer::new(key, seen.len())?, Vec::new(), 0);
    loop {
        let buffer = describer.buffer();
        let room = (buffer.capacity() - buffer.len()) as u64;
        let read = (&mut file).take(room.min(seen.len() - bytes)).read_to_end(buffer).ok()? as u64;
        bytes += read;
        chunks.extend(std::iter::from_fn(|| describer.next(read == 0)));
        if cancel.is_cancelled() || chunks.len() as u64 > u64::from(MAX_CHUNKS) {
            return None;
        }
        if read == 0 {
            return Some(LocalDescription { version: LocalVersion { file, bytes }, chunks, key });
        }
    }
}

impl LocalVersion {
    /// Passes the bytes of a range to `each`, in order.
    ///
    /// # Errors
    /// `InvalidInput` if it was not described; `UnexpectedEof` if the file has become shorter; those of `each`.
    pub(super) fn copy(
        &mut self,
        range: CopyRange,
        mut each: impl FnMut(&[u8]) -> io::Result<()>,
    ) -> io::Result<()> {
        let end = range.offset.checked_add(range.length).filter(|end| *end <= self.bytes);
        if end.is_none() || !(1..=MAX_COPY_BYTES).contains(&range.length) {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        self.file.seek(SeekFrom::Start(range.offset))?;
        let (mut left, mut buffer) = (range.length, Vec::new());
        while left > 0 {
            buffer.clear();
            let read = (&mut self.file).take(left.min(COPY_BYTES)).read_to_end(&mut buffer)? as u64;
            if read == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            left -= read;
            each(&buffer)?;
        }
        Ok(())
    }
}
