use super::credit::Credits;
use super::open_files::OpenFileEntry;
use super::{
    Amount, FileId, HeldFile, LedgerUsage, QuotaExceeded, QuotaLimits, UnreadableEntries, UsageChange,
};
use std::collections::HashMap;
use std::sync::atomic::AtomicU64;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// What goes with a name that is removed or replaced.
#[derive(Debug)]
#[must_use]
pub enum FreedSpace {
    /// No bytes: it was a directory, or the file has other names.
    Nothing,
    /// The bytes of a symbolic link.
    Link(u64),
    /// A file that this was the last name of. Its bytes are free at its last close, which may be now.
    File(HeldFile),
}

/// The books of one home, shared by all sessions of its user.
#[derive(Debug)]
pub struct Ledger {
    state: Mutex<LedgerState>,
    /// The number of the next reservation.
    pub(super) next: AtomicU64,
}

#[derive(Debug, Default)]
pub(super) struct LedgerState {
    limits: QuotaLimits,
    /// What could not be counted. While there is anything, nothing more is taken.
    pub(super) unreadable: UnreadableEntries,
    /// Counts what was booked.
    pub(super) change_count: u64,
    pub(super) used: Amount,
    /// What all reservations need.
    pub(super) staged: Amount,
    /// Of `staged`, bytes that partial uploads hold which nobody works on.
    pub(super) partial: u64,
    pub(super) credits: Credits,
    pub(super) open: HashMap<FileId, OpenFileEntry>,
}

impl Ledger {
    /// Opens the books with what a scan has found and with what it could not read.
    #[must_use]
    pub fn new(limits: QuotaLimits, found: Amount, unreadable: UnreadableEntries) -> Ledger {
        let state = LedgerState { limits, unreadable, used: found, ..LedgerState::default() };
        Ledger { state: Mutex::new(state), next: AtomicU64::new(0) }
    }

    /// The limits.
    #[must_use]
    pub fn limits(&self) -> QuotaLimits {
        self.state().limits
    }

    /// Sets other limits, which hold from the next reservation on.
    pub fn set_limits(&self, limits: QuotaLimits) {
        self.state().limits = limits;
    }

    /// What is stored, and what is staged besides.
    #[must_use]
    pub fn usage(&self) -> LedgerUsage {
        self.state().taken()
    }

    /// What the last scan could not read. While there is anything, nothing more is stored.
    #[must_use]
    pub fn unreadable(&self) -> UnreadableEntries {
        self.state().unreadable.clone()
    }

    /// Books the removal of an entry, and of what goes with it.
    pub fn removed(&self, freed: FreedSpace) {
        let mut state = self.state();
        state.apply(UsageChange { bytes: 0, entries: -1 });
        state.free(freed);
    }

    /// Ends what a file lends to an upload that was to replace it, since that will not free it any more: it
    /// gets another name. To be called before, under the lock on names.
    ///
    /// # Errors
    /// If the upload does not fit beside the file. Then nothing has changed.
    pub fn end_credit(&self, file: FileId) -> Result<(), QuotaExceeded> {
        let mut state = self.state();
        state.check(state.credits.lent_by(file), 0)?;
        state.credits.end(file);
        Ok(())
    }

    pub(super) fn state(&self) -> MutexGuard<'_, LedgerState> {
        // Each change is a few additions; a panic elsewhere leaves the books whole.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl LedgerState {
    pub(super) fn taken(&self) -> LedgerUsage {
        LedgerUsage { used: self.used, staged: self.staged, credited: self.credits.lent() }
    }

    /// Whether so much fits beside all that is charged. Nothing always fits, so that a home that is over
    /// its limits may still become smaller.
    pub(super) fn check(&self, bytes: u64, entries: u64) -> Result<(), QuotaExceeded> {
        if bytes == 0 && entries == 0 {
            return Ok(());
        }
        if !self.unreadable.is_empty() {
            return Err(QuotaExceeded::Uncounted);
        }
        let charged = self.taken().charged();
        // Without a limit, what can be counted is the limit.
        let quota = self.limits.bytes.unwrap_or(i64::MAX as u64);
        if charged.bytes.checked_add(bytes).is_none_or(|all| all > quota) {
            let left = quota.saturating_sub(charged.bytes);
            return Err(QuotaExceeded::Bytes { needed: bytes, left, quota, partial: self.partial });
        }
        match self.limits.entries {
            Some(max) if charged.entries.saturating_add(entries) > max => Err(QuotaExceeded::Entries { max }),
            _ => Ok(()),
        }
    }

    /// Books a change of what is stored.
    pub(super) fn apply(&mut self, change: UsageChange) {
        self.used.bytes = self.used.bytes.saturating_add_signed(change.bytes);
        self.used.entries = self.used.entries.saturating_add_signed(change.entries);
        self.change_count += 1;
    }

    /// Books that these bytes are free, or will be at the file's last close.
    pub(super) fn free(&mut self, freed: FreedSpace) {
        match freed {
            FreedSpace::Nothing => {}
            FreedSpace::Link(bytes) => self.used.bytes = self.used.bytes.saturating_sub(bytes),
            FreedSpace::File(last) => last.close_in(self, true),
        }
    }
}
