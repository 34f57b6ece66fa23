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
