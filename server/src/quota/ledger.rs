use sshome_wire::display::Size;
use std::collections::{HashMap, HashSet};
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
    limits: Limits,
    /// Whether what is there was counted whole. If it was not, nothing more is taken.
    counted: bool,
    books: Mutex<Books>,
}

#[derive(Debug, Default)]
struct Books {
    used: Use,
    reserved: Use,
    /// Files that a reservation counts on replacing.
    credited: HashSet<FileId>,
    open: HashMap<FileId, Open>,
}

/// A file that is open through us.
#[derive(Debug, Default)]
struct Open {
    times: u64,
    /// Bytes to give back at the last close: its last name is gone already.
    orphaned: u64,
}

/// A file that is to be replaced, and the bytes that this would free.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Replaced {
    /// The file.
    pub file: FileId,
    /// Its bytes; 0 if it has other names.
    pub bytes: u64,
}

impl Ledger {
    /// Opens the books with what a scan has found; `counted` says whether it has found all.
    #[must_use]
    pub fn new(limits: Limits, found: Use, counted: bool) -> Ledger {
        Ledger { limits, counted, books: Mutex::new(Books { used: found, ..Books::default() }) }
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
        let mut reservation = Reservation::none(self);
        reservation.grow(bytes, entries)?;
        Ok(reservation)
    }

    /// Sets aside what a file of `bytes` needs. What it replaces counts in its favour, if nobody has
    /// that open and no other reservation counts on it.
    ///
    /// # Errors
    /// If it does not fit.
    pub fn reserve_file(
        self: &Arc<Ledger>,
        bytes: u64,
        replaced: Option<Replaced>,
    ) -> Result<Reservation, Exceeded> {
        let mut reservation = Reservation::none(self);
        reservation.count_on(replaced);
        reservation.grow(bytes.saturating_sub(reservation.credit()), u64::from(replaced.is_none()))?;
        Ok(reservation)
    }

    /// Sets bytes aside that are on the disk already, whether they fit or not.
    pub fn reserve_anyway(self: &Arc<Ledger>, bytes: u64) -> Reservation {
        self.books().reserved.bytes += bytes;
        let mut reservation = Reservation::none(self);
        reservation.held.bytes = bytes;
        reservation
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
    /// The file whose bytes count in its favour.
    credit: Option<Replaced>,
}

impl Reservation {
    fn none(ledger: &Arc<Ledger>) -> Reservation {
        Reservation { ledger: Arc::clone(ledger), held: Use::default(), credit: None }
    }

    /// Bytes that what is replaced will give back.
    #[must_use]
    pub fn credit(&self) -> u64 {
        self.credit.map_or(0, |replaced| replaced.bytes)
    }

    /// Counts on a file that will be replaced, if nobody else does.
    pub fn count_on(&mut self, replaced: Option<Replaced>) {
        let mut books = self.ledger.books();
        if let Some(old) = self.credit.take() {
            books.credited.remove(&old.file);
        }
        if let Some(replaced) = replaced
            && !books.open.contains_key(&replaced.file)
            && books.credited.insert(replaced.file)
        {
            self.credit = Some(replaced);
        }
    }

    /// Holds what is needed to put a file of `bytes` in place of `replaced` now.
    ///
    /// # Errors
    /// If what is lacking does not fit.
    pub fn cover(&mut self, bytes: u64, replaced: Option<Replaced>) -> Result<(), Exceeded> {
        let open = |replaced: &Replaced| self.ledger.books().open.contains_key(&replaced.file);
        let freed = replaced.filter(|replaced| !open(replaced)).map_or(0, |replaced| replaced.bytes);
        self.raise_to(bytes.saturating_sub(freed), u64::from(replaced.is_none()))
    }

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
        if !self.ledger.counted {
            return Err(Exceeded::Uncounted);
        }
        let mut books = self.ledger.books();
        let taken = books.used.bytes.saturating_add(books.reserved.bytes);
        // Without a limit, what can be counted is the limit.
        let quota = limits.bytes.unwrap_or(i64::MAX as u64);
        if taken.checked_add(bytes).is_none_or(|all| all > quota) {
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

    /// As [`Reservation::commit`], where a file was replaced.
    pub fn commit_replacing(mut self, change: Change, replaced: Option<Replaced>) {
        // All under one lock, or another session could see, or take, what is in between.
        let held = std::mem::take(&mut self.held);
        let mut books = self.ledger.books();
        books.used.apply(change);
        if let Some(replaced) = replaced.filter(|replaced| replaced.bytes > 0) {
            books.release(replaced.file, replaced.bytes);
        }
        books.give_back(held);
        if let Some(credit) = self.credit.take() {
            books.credited.remove(&credit.file);
        }
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
        let mut books = self.ledger.books();
        books.give_back(self.held);
        if let Some(credit) = self.credit {
            books.credited.remove(&credit.file);
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
        Arc::new(Ledger::new(limits, Use { bytes: used, entries: 0 }, true))
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
    fn one_credit_is_given_once_and_none_for_an_open_file() {
        let ledger = ledger(100, 10, 90);
        let file = FileId { device: 1, inode: 2 };
        let replaced = Some(Replaced { file, bytes: 90 });
        let first = ledger.reserve_file(90, replaced).unwrap();
        assert_eq!((first.bytes(), first.credit()), (0, 90));
        assert!(ledger.reserve_file(90, replaced).is_err());
        drop(first);
        let held = ledger.hold(file);
        assert!(ledger.reserve_file(90, replaced).is_err());
        drop(held);
        let mut third = ledger.reserve_file(90, replaced).unwrap();
        // Opened since: it would stay on the disk beside the new one.
        let held = ledger.hold(file);
        assert!(third.cover(90, replaced).is_err());
        drop(held);
        third.cover(90, replaced).unwrap();
        third.commit_replacing(Change { bytes: 90, entries: 0 }, replaced);
        assert_eq!(ledger.usage(), (Use { bytes: 90, entries: 0 }, Use::default()));
    }

    #[test]
    fn what_was_not_counted_takes_nothing() {
        let ledger = Arc::new(Ledger::new(Limits::default(), Use::default(), false));
        assert_eq!(ledger.reserve(0, 1).unwrap_err(), Exceeded::Uncounted);
    }

    #[test]
    fn no_announced_size_overflows_the_books() {
        let ledger = Arc::new(Ledger::new(Limits::default(), Use::default(), true));
        assert!(ledger.reserve(u64::MAX, 1).is_err());
        let _most = ledger.reserve(i64::MAX as u64, 1).unwrap();
        assert!(ledger.reserve(1, 1).is_err());
        assert_eq!(ledger.usage().1.bytes, i64::MAX as u64);
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
