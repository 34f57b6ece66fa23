//! Credits: what files lend to the uploads that will replace them.
//!
//! An upload that will replace a file needs only the difference: the file's bytes are freed when the upload is published.
//! Until then both are on the disk, and the file *lends* its bytes. A file lends to one reservation at a time, never more
//! than its length, and never more than the reservation needs.

use super::FileId;
use std::collections::HashMap;

/// The credit from one file.
#[derive(Debug)]
struct Credit {
    /// The number of the reservation that it lends to. It tells a removed file from a new one with the same inode.
    owner: u64,
    /// Bytes that the reservation needs.
    need: u64,
    /// The minimum length of the file, in bytes, since it began to lend.
    limit: u64,
}

impl Credit {
    fn lent(&self) -> u64 {
        self.need.min(self.limit)
    }
}

/// All credits of a home.
#[derive(Debug, Default)]
pub(super) struct Credits {
    by_file: HashMap<FileId, Credit>,
    /// Bytes that all files lend.
    lent: u64,
}

impl Credits {
    /// Bytes that all files lend.
    pub(super) fn lent(&self) -> u64 {
        self.lent
    }

    /// Bytes that a file lends.
    pub(super) fn lent_by(&self, file: FileId) -> u64 {
        self.by_file.get(&file).map_or(0, Credit::lent)
    }

    /// The bytes that a reservation can borrow from a file; `None` if the file does not lend to it.
    pub(super) fn limit_for(&self, file: FileId, owner: u64) -> Option<u64> {
        self.by_file.get(&file).filter(|credit| credit.owner == owner).map(|credit| credit.limit)
    }

    /// Whether a file lends to a different reservation.
    pub(super) fn is_taken(&self, file: FileId, owner: u64) -> bool {
        self.by_file.get(&file).is_some_and(|credit| credit.owner != owner)
    }

    /// Lends up to `limit` bytes of a file to a reservation that needs `need` bytes. The file must not lend to a different
    /// one.
    pub(super) fn lend(&mut self, file: FileId, owner: u64, need: u64, limit: u64) {
        self.end(file);
        let credit = Credit { owner, need, limit };
        self.lent += credit.lent();
        self.by_file.insert(file, credit);
    }

    /// Records that a file has at most `bytes` now. Its reservation pays for the difference itself.
    pub(super) fn shrink(&mut self, file: FileId, bytes: u64) {
        if let Some(credit) = self.by_file.get_mut(&file) {
            let before = credit.lent();
            credit.limit = credit.limit.min(bytes);
            self.lent -= before - credit.lent();
        }
    }

    /// Ends a file's credit.
    pub(super) fn end(&mut self, file: FileId) {
        if let Some(credit) = self.by_file.remove(&file) {
            self.lent -= credit.lent();
        }
    }

    /// Ends a file's credit if it lends to this reservation.
    pub(super) fn end_for(&mut self, file: FileId, owner: u64) {
        if self.limit_for(file, owner).is_some() {
            self.end(file);
        }
    }

    /// The files that lend.
    pub(super) fn files(&self) -> impl Iterator<Item = FileId> {
        self.by_file.keys().copied()
    }
}
