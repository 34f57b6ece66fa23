use sshome_wire::display::Size;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

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
    limits: Limits,
    books: Mutex<Books>,
}

#[derive(Debug, Default)]
struct Books {
    used: Use,
    reserved: Use,
    open: HashMap<FileId, Open>,
}

/// A file that is open through us.
#[derive(Debug, Default)]
struct Open {
    times: u64,
    /// Bytes to give back at the last close: its last name is gone already.
    orphaned: u64,
}

impl Ledger {
    /// Opens the books with what a scan has found.
    #[must_use]
    pub fn new(limits: Limits, found: Use) -> Ledger {
        Ledger { limits, books: Mutex::new(Books { used: found, ..Books::default() }) }
    }

    /// The limits.
    #[must_use]
    pub fn limits(&self) -> Limits {
        self.limits
    }

    /// What is stored, and what is reserved besides.
    #[must_use]
    pub fn usage(&self) -> (Use, Use) {
        let books = self.books();
        (books.used, books.reserved)
    }

    /// Sets bytes and entries aside.
    ///
    /// # Errors
    /// If they do not fit. A home that is over its limits already takes nothing, not even nothing.
    pub fn reserve(self: &Arc<Ledger>, bytes: u64, entries: u64) -> Result<Reservation, Exceeded> {
        let mut reservation = Reservation { ledger: Arc::clone(self), held: Use::default() };
        reservation.grow(bytes, entries)?;
        Ok(reservation)
    }

    /// Sets bytes aside that are on the disk already, whether they fit or not.
    pub fn reserve_anyway(self: &Arc<Ledger>, bytes: u64) -> Reservation {
        self.books().reserved.bytes += bytes;
        Reservation { ledger: Arc::clone(self), held: Use { bytes, entries: 0 } }
    }

    /// Books a change that needed no room of its own: something was removed.
    pub fn book(&self, change: Change) {
        self.books().used.apply(change);
    }

    /// The last name of a file is gone: its bytes are free, now or when it is closed.
    pub fn released(&self, file: FileId, bytes: u64) {
        self.books().release(file, bytes);
    }

    /// Says that a file is open, until the result is dropped.
    pub fn hold(self: &Arc<Ledger>, file: FileId) -> Held {
        self.books().open.entry(file).or_default().times += 1;
        Held { ledger: Arc::clone(self), file }
    }

    fn books(&self) -> MutexGuard<'_, Books> {
        // Each change is a few additions; a panic elsewhere leaves the books whole.
        self.books.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Use {
    fn apply(&mut self, change: Change) {
        self.bytes = self.bytes.saturating_add_signed(change.bytes);
        self.entries = self.entries.saturating_add_signed(change.entries);
    }
}

/// Room that was set aside and is not used yet. Dropping it gives it back.
#[derive(Debug)]
#[must_use]
pub struct Reservation {
    ledger: Arc<Ledger>,
    held: Use,
}

impl Reservation {
    /// Bytes that are held.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.held.bytes
    }

    /// Sets more aside.
    ///
    /// # Errors
    /// If it does not fit; what is held stays held.
    pub fn grow(&mut self, bytes: u64, entries: u64) -> Result<(), Exceeded> {
        let limits = self.ledger.limits;
        let mut books = self.ledger.books();
        let taken = books.used.bytes.saturating_add(books.reserved.bytes);
        if let Some(quota) = limits.bytes
            && taken.saturating_add(bytes) > quota
        {
            return Err(Exceeded::Bytes { needed: bytes, left: quota.saturating_sub(taken), quota });
        }
        let taken = books.used.entries.saturating_add(books.reserved.entries);
        if let Some(max) = limits.entries
            && taken.saturating_add(entries) > max
        {
            return Err(Exceeded::Entries { max });
        }
        books.reserved.bytes += bytes;
        books.reserved.entries += entries;
        self.held.bytes += bytes;
        self.held.entries += entries;
        Ok(())
    }

    /// Holds at least this much, whatever is held now.
    ///
    /// # Errors
    /// If what is lacking does not fit.
    pub fn raise_to(&mut self, bytes: u64, entries: u64) -> Result<(), Exceeded> {
        let bytes = bytes.saturating_sub(self.held.bytes);
        let entries = entries.saturating_sub(self.held.entries);
        if bytes == 0 && entries == 0 { Ok(()) } else { self.grow(bytes, entries) }
    }

    /// Gives back what is held beyond this much.
    pub fn shrink_to(&mut self, bytes: u64, entries: u64) {
        let spare = Use {
            bytes: self.held.bytes.saturating_sub(bytes),
            entries: self.held.entries.saturating_sub(entries),
        };
        self.held.bytes -= spare.bytes;
        self.held.entries -= spare.entries;
        self.ledger.books().give_back(spare);
    }

    /// Books what has really changed, and gives the room that was held back.
    pub fn commit(self, change: Change) {
        self.commit_replacing(change, None);
    }

    /// As [`Reservation::commit`], where a file lost its last name: which one, and its bytes.
    pub fn commit_replacing(mut self, change: Change, replaced: Option<(FileId, u64)>) {
        // All under one lock, or another session could see, or take, what is in between.
        let held = std::mem::take(&mut self.held);
        let mut books = self.ledger.books();
        books.used.apply(change);
        if let Some((file, bytes)) = replaced {
            books.release(file, bytes);
        }
        books.give_back(held);
    }
}

impl Books {
    fn release(&mut self, file: FileId, bytes: u64) {
        match self.open.get_mut(&file) {
            Some(open) => open.orphaned = bytes,
            None => self.used.bytes = self.used.bytes.saturating_sub(bytes),
        }
    }

    fn give_back(&mut self, held: Use) {
        self.reserved.bytes = self.reserved.bytes.saturating_sub(held.bytes);
        self.reserved.entries = self.reserved.entries.saturating_sub(held.entries);
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        if self.held != Use::default() {
            self.ledger.books().give_back(self.held);
        }
    }
}

/// A file that is open; see [`Ledger::hold`].
#[derive(Debug)]
#[must_use]
pub struct Held {
    ledger: Arc<Ledger>,
    file: FileId,
}

impl Drop for Held {
    fn drop(&mut self) {
        let mut books = self.ledger.books();
        let Some(open) = books.open.get_mut(&self.file) else { return };
        open.times -= 1;
        if open.times == 0 {
            let orphaned = open.orphaned;
            books.open.remove(&self.file);
            books.used.bytes = books.used.bytes.saturating_sub(orphaned);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ledger(quota: u64, max: u64, used: u64) -> Arc<Ledger> {
        let limits = Limits { bytes: Some(quota), entries: Some(max) };
        Arc::new(Ledger::new(limits, Use { bytes: used, entries: 0 }))
    }

    #[test]
    fn two_reservations_never_share_free_bytes() {
        let ledger = ledger(100, 10, 30);
        let first = ledger.reserve(50, 1).unwrap();
        let refused = ledger.reserve(21, 1).unwrap_err();
        assert_eq!(refused, Exceeded::Bytes { needed: 21, left: 20, quota: 100 });
        drop(first);
        let _second = ledger.reserve(70, 1).unwrap();
    }

    #[test]
    fn commit_books_what_changed_and_gives_the_rest_back() {
        let ledger = ledger(100, 10, 90);
        // Replaces 90 bytes by 95: only the difference was reserved.
        let reservation = ledger.reserve(5, 0).unwrap();
        reservation.commit(Change { bytes: 5, entries: 0 });
        assert_eq!(ledger.usage(), (Use { bytes: 95, entries: 0 }, Use::default()));
    }

    #[test]
    fn a_home_over_its_limit_takes_nothing_but_gives_room_back() {
        let ledger = ledger(100, 10, 150);
        assert!(ledger.reserve(0, 0).is_err());
        ledger.book(Change { bytes: -60, entries: 0 });
        assert!(ledger.reserve(10, 0).is_ok());
    }

    #[test]
    fn entries_are_limited_too() {
        let ledger = ledger(100, 2, 0);
        let reservation = ledger.reserve(0, 2).unwrap();
        assert_eq!(ledger.reserve(0, 1).unwrap_err(), Exceeded::Entries { max: 2 });
        reservation.commit(Change { bytes: 0, entries: 1 });
        assert!(ledger.reserve(0, 1).is_ok());
    }

    #[test]
    fn a_removed_file_counts_until_its_last_close() {
        let ledger = ledger(100, 10, 40);
        let file = FileId { device: 1, inode: 2 };
        let (first, second) = (ledger.hold(file), ledger.hold(file));
        ledger.released(file, 40);
        assert_eq!(ledger.usage().0.bytes, 40);
        drop(first);
        assert_eq!(ledger.usage().0.bytes, 40);
        drop(second);
        assert_eq!(ledger.usage().0.bytes, 0);
        ledger.book(Change { bytes: 7, entries: 0 });
        ledger.released(file, 7);
        assert_eq!(ledger.usage().0.bytes, 0);
    }

    #[test]
    fn many_threads_never_go_over() {
        let ledger = ledger(1000, 1000, 0);
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    for _ in 0..100 {
                        if let Ok(reservation) = ledger.reserve(7, 1) {
                            reservation.commit(Change { bytes: 7, entries: 1 });
                        }
                    }
                });
            }
        });
        let (used, reserved) = ledger.usage();
        assert_eq!((used.bytes, used.entries, reserved), (994, 142, Use::default()));
    }
}
