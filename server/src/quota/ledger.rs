use super::credit::Credits;
use super::open_files::Open;
use super::{Change, Exceeded, FileId, Held, Limits, Taken, Unreadable, Use};
use std::collections::HashMap;
use std::sync::atomic::AtomicU64;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// What goes with a name that is removed or replaced.
#[derive(Debug)]
#[must_use]
pub enum Freed {
    /// No bytes: it was a directory, or the file has other names.
    Nothing,
    /// The bytes of a symbolic link.
    Link(u64),
    /// A file that this was the last name of. Its bytes are free at its last close, which may be now.
    File(Held),
}

/// The books of one home, shared by all sessions of its user.
#[derive(Debug)]
pub struct Ledger {
    books: Mutex<Books>,
    /// The number of the next reservation.
    pub(super) next: AtomicU64,
}

#[derive(Debug, Default)]
pub(super) struct Books {
    limits: Limits,
    /// What could not be counted. While there is anything, nothing more is taken.
    pub(super) unreadable: Unreadable,
    /// Counts what was booked.
    pub(super) bookings: u64,
    pub(super) used: Use,
    /// What all reservations need.
    pub(super) staged: Use,
    /// Of `staged`, bytes that partial uploads hold which nobody works on.
    pub(super) partial: u64,
    pub(super) credits: Credits,
    pub(super) open: HashMap<FileId, Open>,
}

impl Ledger {
    /// Opens the books with what a scan has found and with what it could not read.
    #[must_use]
    pub fn new(limits: Limits, found: Use, unreadable: Unreadable) -> Ledger {
        let books = Books { limits, unreadable, used: found, ..Books::default() };
        Ledger { books: Mutex::new(books), next: AtomicU64::new(0) }
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

    /// What is stored, and what is staged besides.
    #[must_use]
    pub fn usage(&self) -> Taken {
        self.books().taken()
    }

    /// What the last scan could not read. While there is anything, nothing more is stored.
    #[must_use]
    pub fn unreadable(&self) -> Unreadable {
        self.books().unreadable.clone()
    }

    /// Books the removal of an entry, and of what goes with it.
    pub fn removed(&self, freed: Freed) {
        let mut books = self.books();
        books.book(Change { bytes: 0, entries: -1 });
        books.free(freed);
    }

    /// Ends what a file lends to an upload that was to replace it, since that will not free it any more: it
    /// gets another name. To be called before, under the lock on names.
    ///
    /// # Errors
    /// If the upload does not fit beside the file. Then nothing has changed.
    pub fn end_credit(&self, file: FileId) -> Result<(), Exceeded> {
        let mut books = self.books();
        books.check(books.credits.lent_by(file), 0)?;
        books.credits.end(file);
        Ok(())
    }

    pub(super) fn books(&self) -> MutexGuard<'_, Books> {
        // Each change is a few additions; a panic elsewhere leaves the books whole.
        self.books.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Books {
    pub(super) fn taken(&self) -> Taken {
        Taken { used: self.used, staged: self.staged, credited: self.credits.lent() }
    }

    /// Whether so much fits beside all that is charged. Nothing always fits, so that a home that is over
    /// its limits may still become smaller.
    pub(super) fn check(&self, bytes: u64, entries: u64) -> Result<(), Exceeded> {
        if bytes == 0 && entries == 0 {
            return Ok(());
        }
        if !self.unreadable.is_empty() {
            return Err(Exceeded::Uncounted);
        }
        let charged = self.taken().charged();
        // Without a limit, what can be counted is the limit.
        let quota = self.limits.bytes.unwrap_or(i64::MAX as u64);
        if charged.bytes.checked_add(bytes).is_none_or(|all| all > quota) {
            let left = quota.saturating_sub(charged.bytes);
            return Err(Exceeded::Bytes { needed: bytes, left, quota, partial: self.partial });
        }
        match self.limits.entries {
            Some(max) if charged.entries.saturating_add(entries) > max => Err(Exceeded::Entries { max }),
            _ => Ok(()),
        }
    }

    /// Books a change of what is stored.
    pub(super) fn book(&mut self, change: Change) {
        self.used.bytes = self.used.bytes.saturating_add_signed(change.bytes);
        self.used.entries = self.used.entries.saturating_add_signed(change.entries);
        self.bookings += 1;
    }

    /// Books that these bytes are free, or will be at the file's last close.
    pub(super) fn free(&mut self, freed: Freed) {
        match freed {
            Freed::Nothing => {}
            Freed::Link(bytes) => self.used.bytes = self.used.bytes.saturating_sub(bytes),
            Freed::File(last) => last.close_in(self, true),
        }
    }
}
