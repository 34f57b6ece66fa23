use super::Held;
use super::open::Open;
use sshome_wire::display::Size;
use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// How much a home may hold; none means no limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// Bytes.
    pub bytes: Option<u64>,
    /// Files, directories and links.
    pub entries: Option<u64>,
}

/// What a home holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Use {
    /// Bytes in files.
    pub bytes: u64,
    /// Files, directories and links.
    pub entries: u64,
}

/// By how much a home's content changes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Change {
    /// Bytes more, or less.
    pub bytes: i64,
    /// Entries more, or less.
    pub entries: i64,
}

/// Which file, whatever its names: device and inode.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct FileId {
    /// The device.
    pub device: u64,
    /// The inode.
    pub inode: u64,
}

/// Why a reservation was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Exceeded {
    /// Too many bytes.
    #[error("needs {}, {} of {} are left", Size(*needed), Size(*left), Size(*quota))]
    Bytes {
        /// Bytes that were asked for.
        needed: u64,
        /// Bytes that are left.
        left: u64,
        /// Bytes that are allowed in all.
        quota: u64,
    },
    /// What is there could not be counted, so nothing more is taken.
    #[error("cannot be taken: part of the home cannot be read and counted; the server's log says which")]
    Uncounted,
    /// Too many entries.
    #[error("the limit of {max} files, directories and links is reached")]
    Entries {
        /// Entries that are allowed in all.
        max: u64,
    },
}

/// The books of one home, shared by all sessions of its user.
#[derive(Debug)]
pub struct Ledger {
    books: Mutex<Books>,
}

#[derive(Debug, Default)]
pub(super) struct Books {
    limits: Limits,
    /// Whether what is there was counted whole. If it was not, nothing more is taken.
    pub(super) counted: bool,
    /// Counts what was booked.
    pub(super) bookings: u64,
    pub(super) used: Use,
    pub(super) reserved: Use,
    /// Files that a reservation counts on replacing.
    pub(super) credited: HashSet<FileId>,
    pub(super) open: HashMap<FileId, Open>,
}

impl Ledger {
    /// Opens the books with what a scan has found; `counted` says whether it has found all.
    #[must_use]
    pub fn new(limits: Limits, found: Use, counted: bool) -> Ledger {
        Ledger { books: Mutex::new(Books { limits, counted, used: found, ..Books::default() }) }
    }

    /// The limits.
    #[must_use]
    pub fn limits(&self) -> Limits {
        self.books().limits
    }

    /// Sets other limits, which hold from the next reservation on.
    pub fn set_limits(&self, limits: Limits) {
        self.books().limits = limits;
    }

    /// What is stored, and what is reserved besides.
    #[must_use]
    pub fn usage(&self) -> (Use, Use) {
        let books = self.books();
        (books.used, books.reserved)
    }

    /// Books the removal of an entry. `last` is the file whose last name it was, if it was one: its bytes
    /// are free at its last close, which may be now.
    pub fn removed(&self, last: Option<Held>) {
        let mut books = self.books();
        books.book(Change { bytes: 0, entries: -1 });
        if let Some(last) = last {
            last.close_in(&mut books, true);
        }
    }

    /// Whether so much fits beside all that is stored and reserved. Nothing always fits, so that a home
    /// that is over its limits may still become smaller.
    pub(super) fn check(&self, books: &Books, bytes: u64, entries: u64) -> Result<(), Exceeded> {
        if bytes == 0 && entries == 0 {
            return Ok(());
        }
        if !books.counted {
            return Err(Exceeded::Uncounted);
        }
        let taken = books.used.bytes.saturating_add(books.reserved.bytes);
        // Without a limit, what can be counted is the limit.
        let quota = books.limits.bytes.unwrap_or(i64::MAX as u64);
        if taken.checked_add(bytes).is_none_or(|all| all > quota) {
            return Err(Exceeded::Bytes { needed: bytes, left: quota.saturating_sub(taken), quota });
        }
        let taken = books.used.entries.saturating_add(books.reserved.entries);
        match books.limits.entries {
            Some(max) if taken.saturating_add(entries) > max => Err(Exceeded::Entries { max }),
            _ => Ok(()),
        }
    }

    pub(super) fn books(&self) -> MutexGuard<'_, Books> {
        // Each change is a few additions; a panic elsewhere leaves the books whole.
        self.books.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Books {
    /// Books a change of what is stored.
    pub(super) fn book(&mut self, change: Change) {
        self.used.bytes = self.used.bytes.saturating_add_signed(change.bytes);
        self.used.entries = self.used.entries.saturating_add_signed(change.entries);
        self.bookings += 1;
    }

    pub(super) fn give_back(&mut self, held: Use) {
        self.reserved.bytes = self.reserved.bytes.saturating_sub(held.bytes);
        self.reserved.entries = self.reserved.entries.saturating_sub(held.entries);
    }
}
