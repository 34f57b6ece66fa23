use super::credit::Credits;
use super::open::Open;
use super::{Held, Unreadable};
use sshome_wire::display::{Size, apart};
use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::AtomicU64;
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
    /// Bytes in files, and in the targets of symbolic links.
    pub bytes: u64,
    /// Files, directories and links.
    pub entries: u64,
}

/// What is taken of a home's limits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Taken {
    /// What is stored.
    pub used: Use,
    /// What uploads and partial uploads have on the disk or have reserved.
    pub staged: Use,
    /// Bytes of `staged` that take the place of bytes of `used`: those of files that will be replaced.
    pub credited: u64,
}

impl Taken {
    /// What counts against the limits. It exceeds them only if they were lowered, or files were added from
    /// outside.
    #[must_use]
    pub fn charged(&self) -> Use {
        let bytes = self.used.bytes.saturating_add(self.staged.bytes).saturating_sub(self.credited);
        Use { bytes, entries: self.used.entries.saturating_add(self.staged.entries) }
    }
}

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
    #[error("needs {}", Lacking { needed: *needed, left: *left, quota: *quota, partial: *partial })]
    Bytes {
        /// Bytes that were asked for.
        needed: u64,
        /// Bytes that are left.
        left: u64,
        /// Bytes that are allowed in all.
        quota: u64,
        /// Bytes that partial uploads hold.
        partial: u64,
    },
    /// What is there could not be counted, so nothing more is taken.
    #[error(
        "cannot be stored: part of this home cannot be read and counted; the server's log and `sshomed status` name it"
    )]
    Uncounted,
    /// Too many entries.
    #[error("cannot be made: the limit of {max} files, directories and links is reached")]
    Entries {
        /// Entries that are allowed in all.
        max: u64,
    },
}

/// What is needed beside what is left.
struct Lacking {
    needed: u64,
    left: u64,
    quota: u64,
    partial: u64,
}

impl fmt::Display for Lacking {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (needed, left) = apart(self.needed, self.left);
        write!(f, "{needed}, {left} of {} are left", Size(self.quota))?;
        match self.partial {
            0 => Ok(()),
            held => write!(
                f,
                "; partial uploads hold {}: df -v lists them, rm --partial NAME removes one",
                Size(held)
            ),
        }
    }
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
