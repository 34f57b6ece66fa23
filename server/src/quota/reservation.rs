//! Room that is set aside before it is used.

use super::ledger::{Books, Freed};
use super::{Change, Exceeded, FileId, Ledger, Use};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

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
        reservation.raise_to(bytes, entries)?;
        Ok(reservation)
    }

    /// Sets bytes aside that are on the disk already, whether they fit or not: those of a partial upload.
    /// `replaced` is as for [`Reservation::count_on`].
    pub fn reserve_anyway(self: &Arc<Ledger>, bytes: u64, replaced: Option<Replaced>) -> Reservation {
        let mut reservation = Reservation::none(self);
        let mut books = self.books();
        reservation.hold(&mut books, Use { bytes, entries: 0 });
        let replaced = reservation.lender(&books, replaced);
        reservation.borrow(&mut books, replaced);
        drop(books);
        reservation
    }
}

/// Room that was set aside and is not used yet. Dropping it gives it back.
///
/// What it holds is counted whole. Of a file that it will replace it borrows what it can: see the module
/// `credit`.
#[derive(Debug)]
#[must_use]
pub struct Reservation {
    ledger: Arc<Ledger>,
    /// Its own number, never given twice.
    number: u64,
    held: Use,
    /// The file that lends to it, unless that has ended since.
    lender: Option<FileId>,
    /// Whether it is of a partial upload that nobody works on.
    partial: bool,
}

impl Reservation {
    /// An empty one.
    pub fn none(ledger: &Arc<Ledger>) -> Reservation {
        let number = ledger.next.fetch_add(1, Relaxed);
        let ledger = Arc::clone(ledger);
        Reservation { ledger, number, held: Use::default(), lender: None, partial: false }
    }

    /// Bytes that are held, of which some may be lent.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.held.bytes
    }

    /// Whether a file lends to it.
    #[must_use]
    pub fn borrows_from(&self, file: FileId) -> bool {
        self.lender == Some(file) && self.ledger.books().credits.limit_for(file, self.number).is_some()
    }

    /// Holds at least this much, where a file will be replaced that lends what it can: none that is open or
    /// lends to another reservation. What lent before does so no longer. `look` tells what will be replaced;
    /// it is asked under the books' lock, so that what it tells of cannot change. To be called under the lock
    /// on names if there is such a file.
    ///
    /// # Errors
    /// If it does not fit. Then nothing has changed.
    pub fn count_on(
        &mut self,
        bytes: u64,
        entries: u64,
        look: impl FnOnce() -> Option<Replaced>,
    ) -> Result<(), Exceeded> {
        let ledger = Arc::clone(&self.ledger);
        let mut books = ledger.books();
        let lender = self.lender(&books, look());
        self.cover_from(&mut books, bytes, entries, lender)
    }

    /// Holds what is needed now for a file of `bytes` and so many new entries. `freed` is what goes with the
    /// name that the new one takes; a file lends if nobody else has it open.
    ///
    /// # Errors
    /// If what is lacking does not fit. Then nothing has changed.
    pub fn cover(&mut self, bytes: u64, entries: u64, freed: &Freed) -> Result<(), Exceeded> {
        let ledger = Arc::clone(&self.ledger);
        let mut books = ledger.books();
        let lender = match freed {
            Freed::File(old) if !old.is_shared_in(&books) => {
                let replaced = Replaced { file: old.file(), bytes: old.length_in(&books) };
                self.may_borrow(&books, replaced)
            }
            _ => None,
        };
        self.cover_from(&mut books, bytes, entries, lender)
    }

    /// Holds at least this much, whatever is held now.
    ///
    /// # Errors
    /// If what is lacking does not fit; what is held stays held.
    pub fn raise_to(&mut self, bytes: u64, entries: u64) -> Result<(), Exceeded> {
        if bytes <= self.held.bytes && entries <= self.held.entries {
            return Ok(());
        }
        let ledger = Arc::clone(&self.ledger);
        let mut books = ledger.books();
        let lender = self.current(&books);
        self.cover_from(&mut books, bytes, entries, lender)
    }

    /// Gives back what is held beyond this much.
    pub fn shrink_to(&mut self, bytes: u64, entries: u64) {
        let ledger = Arc::clone(&self.ledger);
        let mut books = ledger.books();
        let held = Use { bytes: self.held.bytes.min(bytes), entries: self.held.entries.min(entries) };
        let lender = self.current(&books);
        self.hold(&mut books, held);
        self.borrow(&mut books, lender);
    }

    /// Says whether it is of a partial upload that nobody works on.
    pub fn set_partial(&mut self, partial: bool) {
        let ledger = Arc::clone(&self.ledger);
        let mut books = ledger.books();
        let held = self.held;
        self.hold(&mut books, Use::default());
        self.partial = partial;
        self.hold(&mut books, held);
    }

    /// Books what has really changed, and gives the room that was held back.
    pub fn commit(self, change: Change) {
        self.commit_replacing(change, Freed::Nothing);
    }

    /// As [`Reservation::commit`], where a name was taken, and `freed` went with it.
    pub fn commit_replacing(mut self, change: Change, freed: Freed) {
        // All under one lock, or another session could see, or take, what is in between.
        let ledger = Arc::clone(&self.ledger);
        let mut books = ledger.books();
        books.book(change);
        books.free(freed);
        self.give_back(&mut books);
    }

    /// What can lend to it: none that somebody has open.
    fn lender(&self, books: &Books, replaced: Option<Replaced>) -> Option<Replaced> {
        let replaced = replaced.filter(|replaced| !books.open.contains_key(&replaced.file))?;
        self.may_borrow(books, replaced)
    }

    fn may_borrow(&self, books: &Books, replaced: Replaced) -> Option<Replaced> {
        (replaced.bytes > 0 && !books.credits.is_taken(replaced.file, self.number)).then_some(replaced)
    }

    /// What lends to it now.
    fn current(&self, books: &Books) -> Option<Replaced> {
        let file = self.lender?;
        let bytes = books.credits.limit_for(file, self.number)?;
        Some(Replaced { file, bytes })
    }

    fn cover_from(
        &mut self,
        books: &mut Books,
        bytes: u64,
        entries: u64,
        lender: Option<Replaced>,
    ) -> Result<(), Exceeded> {
        let held = Use { bytes: self.held.bytes.max(bytes), entries: self.held.entries.max(entries) };
        let borrowed = |held: Use, lender: Option<Replaced>| {
            held.bytes - lender.map_or(0, |replaced| replaced.bytes.min(held.bytes))
        };
        let more = borrowed(held, lender).saturating_sub(borrowed(self.held, self.current(books)));
        books.check(more, held.entries - self.held.entries)?;
        self.hold(books, held);
        self.borrow(books, lender);
        Ok(())
    }

    fn hold(&mut self, books: &mut Books, held: Use) {
        let add = |sum: u64, old: u64, new: u64| sum.saturating_sub(old).saturating_add(new);
        books.staged.bytes = add(books.staged.bytes, self.held.bytes, held.bytes);
        books.staged.entries = add(books.staged.entries, self.held.entries, held.entries);
        if self.partial {
            books.partial = add(books.partial, self.held.bytes, held.bytes);
        }
        self.held = held;
    }

    /// Borrows of this file alone, for what is held.
    fn borrow(&mut self, books: &mut Books, from: Option<Replaced>) {
        if let Some(file) = self.lender.take() {
            books.credits.end_for(file, self.number);
        }
        if let Some(Replaced { file, bytes }) = from {
            books.credits.lend(file, self.number, self.held.bytes, bytes);
            self.lender = Some(file);
        }
    }

    fn give_back(&mut self, books: &mut Books) {
        self.borrow(books, None);
        self.hold(books, Use::default());
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        if self.held == Use::default() && self.lender.is_none() {
            return;
        }
        let ledger = Arc::clone(&self.ledger);
        let mut books = ledger.books();
        self.give_back(&mut books);
    }
}
