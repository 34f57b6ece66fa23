//! Room that is set aside before it is used.

use super::ledger::{FreedSpace, LedgerState};
use super::{Amount, FileId, Ledger, QuotaExceeded, UsageChange};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

/// A file that is to be replaced, and the bytes that this would free.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReplacedFile {
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
    pub fn reserve(self: &Arc<Ledger>, bytes: u64, entries: u64) -> Result<Reservation, QuotaExceeded> {
        let mut reservation = Reservation::empty(self);
        reservation.raise_to(bytes, entries)?;
        Ok(reservation)
    }

    /// Sets bytes aside that are on the disk already, whether they fit or not: those of a partial upload.
    /// `replaced` is as for [`Reservation::count_on`].
    pub fn reserve_existing(self: &Arc<Ledger>, bytes: u64, replaced: Option<ReplacedFile>) -> Reservation {
        let mut reservation = Reservation::empty(self);
        let mut state = self.state();
        reservation.hold(&mut state, Amount { bytes, entries: 0 });
        let replaced = reservation.lender(&state, replaced);
        reservation.borrow(&mut state, replaced);
        drop(state);
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
    held: Amount,
    /// The file that lends to it, unless that has ended since.
    lender: Option<FileId>,
    /// Whether it is of a partial upload that nobody works on.
    partial: bool,
}

impl Reservation {
    /// An empty one.
    pub fn empty(ledger: &Arc<Ledger>) -> Reservation {
        let number = ledger.next.fetch_add(1, Relaxed);
        let ledger = Arc::clone(ledger);
        Reservation { ledger, number, held: Amount::default(), lender: None, partial: false }
    }

    /// Bytes that are held, of which some may be lent.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.held.bytes
    }

    /// Whether a file lends to it.
    #[must_use]
    pub fn borrows_from(&self, file: FileId) -> bool {
        self.lender == Some(file) && self.ledger.state().credits.limit_for(file, self.number).is_some()
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
        look: impl FnOnce() -> Option<ReplacedFile>,
    ) -> Result<(), QuotaExceeded> {
        let ledger = Arc::clone(&self.ledger);
        let mut state = ledger.state();
        let lender = self.lender(&state, look());
        self.cover_from(&mut state, bytes, entries, lender)
    }

    /// Holds what is needed now for a file of `bytes` and so many new entries. `freed` is what goes with the
    /// name that the new one takes; a file lends if nobody else has it open.
    ///
    /// # Errors
    /// If what is lacking does not fit. Then nothing has changed.
    pub fn cover(&mut self, bytes: u64, entries: u64, freed: &FreedSpace) -> Result<(), QuotaExceeded> {
        let ledger = Arc::clone(&self.ledger);
        let mut state = ledger.state();
        let lender = match freed {
            FreedSpace::File(old) if !old.is_shared_in(&state) => {
                let replaced = ReplacedFile { file: old.file(), bytes: old.length_in(&state) };
                self.may_borrow(&state, replaced)
            }
            _ => None,
        };
        self.cover_from(&mut state, bytes, entries, lender)
    }

    /// Holds at least this much, whatever is held now.
    ///
    /// # Errors
    /// If what is lacking does not fit; what is held stays held.
    pub fn raise_to(&mut self, bytes: u64, entries: u64) -> Result<(), QuotaExceeded> {
        if bytes <= self.held.bytes && entries <= self.held.entries {
            return Ok(());
        }
        let ledger = Arc::clone(&self.ledger);
        let mut state = ledger.state();
        let lender = self.current(&state);
        self.cover_from(&mut state, bytes, entries, lender)
    }

    /// Gives back what is held beyond this much.
    pub fn shrink_to(&mut self, bytes: u64, entries: u64) {
        let ledger = Arc::clone(&self.ledger);
        let mut state = ledger.state();
        let held = Amount { bytes: self.held.bytes.min(bytes), entries: self.held.entries.min(entries) };
        let lender = self.current(&state);
        self.hold(&mut state, held);
        self.borrow(&mut state, lender);
    }

    /// Says whether it is of a partial upload that nobody works on.
    pub fn set_partial(&mut self, partial: bool) {
        let ledger = Arc::clone(&self.ledger);
        let mut state = ledger.state();
        let held = self.held;
        self.hold(&mut state, Amount::default());
        self.partial = partial;
        self.hold(&mut state, held);
    }

    /// Books what has really changed, and gives the room that was held back.
    pub fn commit(self, change: UsageChange) {
        self.commit_replacing(change, FreedSpace::Nothing);
    }

    /// As [`Reservation::commit`], where a name was taken, and `freed` went with it.
    pub fn commit_replacing(mut self, change: UsageChange, freed: FreedSpace) {
        // All under one lock, or another session could see, or take, what is in between.
        let ledger = Arc::clone(&self.ledger);
        let mut state = ledger.state();
        state.apply(change);
        state.free(freed);
        self.give_back(&mut state);
    }

    /// What can lend to it: none that somebody has open.
    fn lender(&self, state: &LedgerState, replaced: Option<ReplacedFile>) -> Option<ReplacedFile> {
        let replaced = replaced.filter(|replaced| !state.open.contains_key(&replaced.file))?;
        self.may_borrow(state, replaced)
    }

    fn may_borrow(&self, state: &LedgerState, replaced: ReplacedFile) -> Option<ReplacedFile> {
        (replaced.bytes > 0 && !state.credits.is_taken(replaced.file, self.number)).then_some(replaced)
    }

    /// What lends to it now.
    fn current(&self, state: &LedgerState) -> Option<ReplacedFile> {
        let file = self.lender?;
        let bytes = state.credits.limit_for(file, self.number)?;
        Some(ReplacedFile { file, bytes })
    }

    fn cover_from(
        &mut self,
        state: &mut LedgerState,
        bytes: u64,
        entries: u64,
        lender: Option<ReplacedFile>,
    ) -> Result<(), QuotaExceeded> {
        let held = Amount { bytes: self.held.bytes.max(bytes), entries: self.held.entries.max(entries) };
        let borrowed = |held: Amount, lender: Option<ReplacedFile>| {
            held.bytes - lender.map_or(0, |replaced| replaced.bytes.min(held.bytes))
        };
        let more = borrowed(held, lender).saturating_sub(borrowed(self.held, self.current(state)));
        state.check(more, held.entries - self.held.entries)?;
        self.hold(state, held);
        self.borrow(state, lender);
        Ok(())
    }

    fn hold(&mut self, state: &mut LedgerState, held: Amount) {
        let add = |sum: u64, old: u64, new: u64| sum.saturating_sub(old).saturating_add(new);
        state.staged.bytes = add(state.staged.bytes, self.held.bytes, held.bytes);
        state.staged.entries = add(state.staged.entries, self.held.entries, held.entries);
        if self.partial {
            state.partial = add(state.partial, self.held.bytes, held.bytes);
        }
        self.held = held;
    }

    /// Borrows of this file alone, for what is held.
    fn borrow(&mut self, state: &mut LedgerState, from: Option<ReplacedFile>) {
        if let Some(file) = self.lender.take() {
            state.credits.end_for(file, self.number);
        }
        if let Some(ReplacedFile { file, bytes }) = from {
            state.credits.lend(file, self.number, self.held.bytes, bytes);
            self.lender = Some(file);
        }
    }

    fn give_back(&mut self, state: &mut LedgerState) {
        self.borrow(state, None);
        self.hold(state, Amount::default());
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        if self.held == Amount::default() && self.lender.is_none() {
            return;
        }
        let ledger = Arc::clone(&self.ledger);
        let mut state = ledger.state();
        self.give_back(&mut state);
    }
}
