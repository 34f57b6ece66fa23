//! Reading and writing at an offset.

use rustix::io::Errno;
use std::fs::File;
use std::io::IoSlice;

/// The offset at which a write ends.
pub(super) fn end_of(offset: u64, data: &[&[u8]]) -> rustix::io::Result<u64> {
    let length = data.iter().map(|piece| piece.len() as u64).sum();
    let end = offset.checked_add(length).filter(|end| i64::try_from(*end).is_ok());
    end.ok_or(Errno::FBIG)
}

/// Appends up to `max_bytes` bytes at `offset` to `buffer`, limited by its capacity.
pub(super) fn read_at(
    file: &File,
    offset: u64,
    buffer: &mut Vec<u8>,
    max_bytes: usize,
) -> rustix::io::Result<usize> {
    let before = buffer.len();
    let max_bytes = max_bytes.min(buffer.capacity() - before);
    if max_bytes == 0 || i64::try_from(offset).is_err() {
        return Ok(0);
    }
    if max_bytes == buffer.capacity() - before {
        return rustix::io::pread(file, rustix::buffer::spare_capacity(buffer), offset);
    }
    // Reading fewer bytes than the capacity requires initialised memory without `unsafe`.
    buffer.resize(before + max_bytes, 0);
    let read = rustix::io::pread(file, buffer.get_mut(before..).unwrap_or_default(), offset);
    buffer.truncate(before + read.unwrap_or(0));
    read
}

/// Writes all of `data` at `offset`.
pub(super) fn write_all(file: &File, mut offset: u64, data: &[&[u8]]) -> rustix::io::Result<()> {
    // The kernel's limit of slices for one call (IOV_MAX).
    for pieces in data.chunks(1024) {
        let mut pieces: Vec<IoSlice<'_>> = pieces.iter().map(|piece| IoSlice::new(piece)).collect();
        let mut left = &mut pieces[..];
        // Skips empty slices.
        IoSlice::advance_slices(&mut left, 0);
        while !left.is_empty() {
            let written = rustix::io::pwritev(file, left, offset)?;
            if written == 0 {
                return Err(Errno::IO);
            }
            offset += written as u64;
            IoSlice::advance_slices(&mut left, written);
        }
    }
    Ok(())
}
