//! Room that is set aside before it is used.

use super::{Change, Exceeded, FileId, Held, Ledger, Use};
use std::sync::Arc;

/// A file that is to be replaced, and the bytes that this would free.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Replaced {
    /// The file.
    pub file: FileId,
    /// Its bytes; 0 if it has other names.
    pub bytes: u64,
}

impl Ledger {
    /// Sets bytes and entries aside.
    ///
    /// # Errors
    /// If they do not fit. A home that is over its limits already takes nothing that needs room.
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

    /// Holds what is needed now for a file of `bytes` and so many new entries. `old` is the file whose last
    /// name the new one takes; it counts in favour if nobody else has it open.
    ///
    /// # Errors
    /// If what is lacking does not fit.
    pub fn cover(&mut self, bytes: u64, entries: u64, old: Option<&Held>) -> Result<(), Exceeded> {
        let freed = old.filter(|old| !old.is_shared()).map_or(0, Held::length);
        self.raise_to(bytes.saturating_sub(freed), entries)
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
        let mut books = self.ledger.books();
        self.ledger.check(&books, bytes, entries)?;
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

    /// As [`Reservation::commit`], where the last name of `old` was taken.
    pub fn commit_replacing(mut self, change: Change, old: Option<Held>) {
        // All under one lock, or another session could see, or take, what is in between.
        let held = std::mem::take(&mut self.held);
        let mut books = self.ledger.books();
        books.book(change);
        if let Some(old) = old {
            old.close_in(&mut books, true);
        }
        books.give_back(held);
        if let Some(credit) = self.credit.take() {
            books.credited.remove(&credit.file);
        }
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
