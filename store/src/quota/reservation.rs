//! Reservations: space that is reserved before it is used.

use super::ledger::{FreedSpace, LedgerState};
use super::{Amount, FileId, Ledger, QuotaExceeded, UsageChange};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

/// A file that will be replaced, and the bytes that this frees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReplacedFile {
    /// The file.
    pub file: FileId,
    /// Its bytes; 0 if it has other names.
    pub bytes: u64,
}

impl Ledger {
    /// Reserves bytes and entries.
    ///
    /// # Errors
    /// If they do not fit.
    pub fn reserve(self: &Arc<Ledger>, bytes: u64, entries: u64) -> Result<Reservation, QuotaExceeded> {
        let mut reservation = Reservation::empty(self);
        reservation.raise_to(bytes, entries)?;
        Ok(reservation)
    }

    /// Reserves the bytes of a partial upload, which are on the disk already, even if they do not fit. `replaced` lends, unless
    /// it is open or lends to a different reservation.
    pub fn reserve_existing(self: &Arc<Ledger>, bytes: u64, replaced: Option<ReplacedFile>) -> Reservation {
        let mut reservation = Reservation::empty(self);
        let mut state = self.state();
        reservation.hold(&mut state, Amount { bytes, entries: 0 });
        let closed = replaced.filter(|replaced| !state.open.contains_key(&replaced.file));
        let replaced = closed.and_then(|replaced| reservation.may_borrow(&state, replaced));
        reservation.borrow(&mut state, replaced);
        drop(state);
        reservation
    }
}

/// Reserved space. Dropping it releases the space.
///
/// The held amount counts in full. The reservation may borrow bytes from a file that it will replace: see the module
/// `credit`.
#[derive(Debug)]
#[must_use]
pub struct Reservation {
    ledger: Arc<Ledger>,
    /// A unique number.
    number: u64,
    held: Amount,
    /// The file that lends to it, unless the credit has ended.
    lender: Option<FileId>,
    /// Whether it belongs to a partial upload without a session.
    partial: bool,
}

impl Reservation {
    /// An empty reservation.
    pub fn empty(ledger: &Arc<Ledger>) -> Reservation {
        let number = ledger.next.fetch_add(1, Relaxed);
        let ledger = Arc::clone(ledger);
        Reservation { ledger, number, held: Amount::default(), lender: None, partial: false }
    }

    /// Bytes that are held, including borrowed ones.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.held.bytes
    }

    /// Whether the file lends to it.
    #[must_use]
    pub fn borrows_from(&self, file: FileId) -> bool {
        self.lender == Some(file) && self.ledger.state().credits.limit_for(file, self.number).is_some()
    }

    /// Raises the reservation to at least this amount, for a file of `bytes` and `entries` new entries. `freed` is the space of
    /// the name that it will replace, or replaces now: the file there lends, unless it is open elsewhere or lends to a different
    /// reservation. The previous credit ends. Requires the namespace lock if there is such a file.
    ///
    /// # Errors
    /// If it does not fit. The reservation is then unchanged.
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

    /// Raises the reservation to at least this amount.
    ///
    /// # Errors
    /// If it does not fit. The reservation is then unchanged.
    pub fn raise_to(&mut self, bytes: u64, entries: u64) -> Result<(), QuotaExceeded> {
        if bytes <= self.held.bytes && entries <= self.held.entries {
            return Ok(());
        }
        let ledger = Arc::clone(&self.ledger);
        let mut state = ledger.state();
        let lender = self.current(&state);
        self.cover_from(&mut state, bytes, entries, lender)
    }

    /// Releases what is held in excess of this amount.
    pub fn shrink_to(&mut self, bytes: u64, entries: u64) {
        let ledger = Arc::clone(&self.ledger);
        let mut state = ledger.state();
        let held = Amount { bytes: self.held.bytes.min(bytes), entries: self.held.entries.min(entries) };
        let lender = self.current(&state);
        self.hold(&mut state, held);
        self.borrow(&mut state, lender);
    }

    /// Sets whether it belongs to a partial upload without a session.
    pub fn set_partial(&mut self, partial: bool) {
        let ledger = Arc::clone(&self.ledger);
        let mut state = ledger.state();
        let held = self.held;
        self.hold(&mut state, Amount::default());
        self.partial = partial;
        self.hold(&mut state, held);
    }

    /// Accounts for the actual change, and releases the reservation.
    pub fn commit(self, change: UsageChange) {
        self.commit_replacing(change, FreedSpace::Nothing);
    }

    /// As [`Reservation::commit`], for a name that was replaced; `freed` is the replaced space.
    pub fn commit_replacing(mut self, change: UsageChange, freed: FreedSpace) {
        // Under one lock: other sessions must not see the state in between.
        let ledger = Arc::clone(&self.ledger);
        let mut state = ledger.state();
        state.apply(change);
        state.free(freed);
        self.give_back(&mut state);
    }

    /// The file, unless it has nothing to lend, or lends to a different reservation.
    fn may_borrow(&self, state: &LedgerState, replaced: ReplacedFile) -> Option<ReplacedFile> {
        (replaced.bytes > 0 && !state.credits.is_taken(replaced.file, self.number)).then_some(replaced)
    }

    /// The file that lends to it now.
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
        state.staged_changes += 1;
        self.held = held;
    }

    /// Borrows from this file alone, up to the held amount.
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
