//! The old content of a staged file that was not truncated when it was opened.

use super::super::error::Context;
use super::super::{PosixHome, StoreError, StoreResult, hold};
use crate::home::{Location, length};
use rustix::fs::{OFlags, Stat};
use rustix::io::Errno;
use sshome_store::StepLimit;
use sshome_wire::RemotePath;
use std::fs::File;
use std::ops::Range;

/// Separate ranges that may be written to a file with old content. Clients upload almost in order.
const MAX_RANGES: usize = 1024;

/// Bytes that are copied at a time if `copy_file_range` is not supported.
const BUFFER_BYTES: u64 = 256 << 10;

/// The old content of a staged file. What the client does not overwrite is copied when it closes the file; a client that
/// writes the whole file, like scp, causes no copy.
#[derive(Debug)]
pub(super) struct OldContent {
    /// The old file's attributes when it was opened.
    stat: Stat,
    /// Bytes from the start that are kept.
    length: u64,
    /// Ranges that were written by the client or copied, in order and separate.
    covered: Vec<Range<u64>>,
}

impl OldContent {
    pub(super) fn new(stat: Stat) -> OldContent {
        OldContent { stat, length: length(&stat), covered: Vec::new() }
    }

    /// Bytes from the start of the old file that are kept.
    pub(super) fn length(&self) -> u64 {
        self.length
    }

    /// Records that the file was truncated: old content beyond `length` is lost.
    pub(super) fn truncate(&mut self, length: u64) {
        self.length = self.length.min(length);
    }

    /// Records that a range was written; `None` if there are too many separate ranges.
    pub(super) fn cover(&mut self, range: Range<u64>) -> Option<()> {
        // Merges the ranges that it touches.
        let first = self.covered.partition_point(|other| other.end < range.start);
        let last = self.covered.partition_point(|other| other.start <= range.end);
        if first == last && self.covered.len() == MAX_RANGES {
            return None;
        }
        let merged = self
            .covered
            .drain(first..last)
            .fold(range, |merged, other| merged.start.min(other.start)..merged.end.max(other.end));
        self.covered.insert(first, merged);
        Some(())
    }

    /// The first range that is still to be copied.
    fn missing(&self) -> Option<Range<u64>> {
        let start = self.covered.first().filter(|first| first.start == 0).map_or(0, |first| first.end);
        let next = self.covered.iter().map(|range| range.start).find(|next| *next > start);
        let end = next.unwrap_or(self.length).min(self.length);
        (start < end).then_some(start..end)
    }

    /// Executes one step of copying the missing ranges to `staged`. Returns whether it is done.
    ///
    /// # Errors
    /// If the old file was changed or replaced since it was opened, or the disk's.
    pub(super) fn copy_to(
        &mut self,
        home: &PosixHome,
        path: &RemotePath,
        from: &Location,
        staged: &File,
        limit: StepLimit,
    ) -> StoreResult<bool> {
        let Some(missing) = self.missing() else { return Ok(true) };
        // Opened and recorded under one lock: a removal in between would treat the file as closed.
        let namespace = home.dir.lock_namespace();
        let (old, stat) = from.open_file(OFlags::RDONLY).of_file(path)?;
        let _held = hold(home, &old, &stat).of_file(path)?;
        drop(namespace);
        let copied = copy_range(&old, staged, missing.clone(), limit).of_file(path)?;
        let now = rustix::fs::fstat(&old).of_file(path)?;
        if copied == 0 || facts(&now) != facts(&self.stat) {
            return Err(StoreError::Changed(path.clone()));
        }
        self.cover(missing.start..missing.start + copied)
            .ok_or_else(|| StoreError::Scattered(path.clone()))?;
        Ok(self.missing().is_none())
    }
}

/// Bytes that one system call copies. A step may end between two calls.
const COPY_CHUNK_BYTES: u64 = 4 << 20;

/// Attributes that differ if the file was replaced or written to.
fn facts(stat: &Stat) -> impl PartialEq + use<> {
    (stat.st_dev, stat.st_ino, stat.st_size, stat.st_mtime, stat.st_mtime_nsec)
}

/// Copies a range to the same offset of another file. Returns the bytes copied: fewer if the step or the file ends.
fn copy_range(from: &File, to: &File, range: Range<u64>, limit: StepLimit) -> rustix::io::Result<u64> {
    let (mut read, mut written) = (range.start, range.start);
    while written < range.end && !limit.is_reached(written - range.start) {
        let left = limit.left(written - range.start).min(range.end - written).min(COPY_CHUNK_BYTES);
        let left = usize::try_from(left).unwrap_or(usize::MAX);
        let copied = match rustix::fs::copy_file_range(from, Some(&mut read), to, Some(&mut written), left) {
            Err(Errno::XDEV | Errno::INVAL | Errno::OPNOTSUPP | Errno::NOSYS) => {
                copy_chunk(from, to, written..range.end).inspect(|copied| {
                    (read, written) = (read + copied, written + copied);
                })?
            }
            copied => copied? as u64,
        };
        if copied == 0 {
            break;
        }
    }
    Ok(written - range.start)
}

fn copy_chunk(from: &File, to: &File, range: Range<u64>) -> rustix::io::Result<u64> {
    let wanted = usize::try_from((range.end - range.start).min(BUFFER_BYTES)).unwrap_or_default();
    let mut buffer = vec![0; wanted];
    let read = rustix::io::pread(from, &mut buffer[..], range.start)?;
    buffer.truncate(read);
    super::io::write_all(to, range.start, &[&buffer])?;
    Ok(read as u64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn base(length: u64) -> OldContent {
        let mut stat = rustix::fs::stat(".").unwrap();
        stat.st_size = length as i64;
        OldContent::new(stat)
    }

    #[test]
    fn sequential_writes_need_no_copy() {
        let mut base = base(100);
        for start in (0..100).step_by(10) {
            base.cover(start..start + 10).unwrap();
        }
        assert_eq!(base.missing(), None);
        assert_eq!((base.covered.len(), base.covered.first()), (1, Some(&(0..100))));
    }

    #[test]
    fn the_number_of_ranges_is_limited() {
        let mut base = base(1 << 20);
        for number in 0..MAX_RANGES as u64 {
            base.cover(number * 10..number * 10 + 5).unwrap();
        }
        assert_eq!(base.cover(500_000..500_001), None);
        base.cover(5..10).unwrap();
        base.cover(500_000..500_001).unwrap();
    }

    proptest! {
        #[test]
        fn the_missing_ranges_are_those_never_written(
            ranges in prop::collection::vec((0_u64..60, 1_u64..20), 0..12),
            cut in 0_u64..80,
        ) {
            let mut base = base(64);
            let mut written = [false; 100];
            for (start, length) in ranges {
                base.cover(start..start + length).unwrap();
                written[start as usize..(start + length) as usize].fill(true);
            }
            base.truncate(cut);
            while let Some(missing) = base.missing() {
                for at in missing.clone() {
                    prop_assert!(!std::mem::replace(&mut written[at as usize], true));
                }
                base.cover(missing).unwrap();
            }
            prop_assert!(written[..cut.min(64) as usize].iter().all(|written| *written));
        }
    }
}
