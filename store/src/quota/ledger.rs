use super::credit::Credits;
use super::open_files::OpenFileEntry;
use super::{
    Amount, FileId, HeldFile, LedgerUsage, QuotaExceeded, QuotaLimits, UnreadableEntries, UsageChange,
};
use std::collections::HashMap;
use std::sync::atomic::AtomicU64;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The space that is freed when a name is removed or replaced.
#[derive(Debug)]
#[must_use]
pub enum FreedSpace {
    /// No bytes: a directory, or a file with other names.
    Nothing,
    /// The bytes of a symbolic link.
    Link(u64),
    /// The last name of a file. Its bytes are freed at its last close.
    File(HeldFile),
}

/// The quota accounting of one home, shared by all sessions of its user.
#[derive(Debug)]
pub struct Ledger {
    state: Mutex<LedgerState>,
    /// The number of the next reservation.
    pub(super) next: AtomicU64,
}

#[derive(Debug, Default)]
pub(super) struct LedgerState {
    limits: QuotaLimits,
    /// The entries that could not be counted. Unless this is empty, nothing more is stored.
    pub(super) unreadable: UnreadableEntries,
    /// Counts the changes.
    pub(super) change_count: u64,
    pub(super) used: Amount,
    /// The sum of all reservations.
    pub(super) staged: Amount,
    /// Bytes of `staged` that belong to partial uploads without a session.
    pub(super) partial: u64,
    pub(super) credits: Credits,
    pub(super) open: HashMap<FileId, OpenFileEntry>,
}

impl Ledger {
    /// A ledger with the result of a scan.
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

    /// Sets the limits for later reservations.
    pub fn set_limits(&self, limits: QuotaLimits) {
        self.state().limits = limits;
    }

    /// The current usage.
    #[must_use]
    pub fn usage(&self) -> LedgerUsage {
        self.state().taken()
    }

    /// The entries that the last scan could not read. Unless this is empty, nothing more is stored.
    #[must_use]
    pub fn unreadable(&self) -> UnreadableEntries {
        self.state().unreadable.clone()
    }

    /// Accounts for the removal of an entry and the space that it freed.
    pub fn removed(&self, freed: FreedSpace) {
        let mut state = self.state();
        state.apply(UsageChange { bytes: 0, entries: -1 });
        state.free(freed);
    }

    /// Ends the credit of a file that is about to get another name: replacing its old name will no longer free it.
    /// Requires the namespace lock.
    ///
    /// # Errors
    /// If the upload does not fit beside the file. The credit then continues.
    pub fn end_credit(&self, file: FileId) -> Result<(), QuotaExceeded> {
        let mut state = self.state();
        state.check(state.credits.lent_by(file), 0)?;
        state.credits.end(file);
        Ok(())
    }

    pub(super) fn state(&self) -> MutexGuard<'_, LedgerState> {
        // Each change is a few additions: a panic elsewhere leaves the ledger consistent.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl LedgerState {
    pub(super) fn taken(&self) -> LedgerUsage {
        LedgerUsage { used: self.used, staged: self.staged, credited: self.credits.lent() }
    }

    /// Fails if this amount does not fit. Zero always fits, so that a home that exceeds its limits can shrink.
    pub(super) fn check(&self, bytes: u64, entries: u64) -> Result<(), QuotaExceeded> {
        if bytes == 0 && entries == 0 {
            return Ok(());
        }
        if !self.unreadable.is_empty() {
            return Err(QuotaExceeded::Uncounted);
        }
        let charged = self.taken().charged();
        // Without a quota, the largest countable amount is the limit.
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

    /// Accounts for a change of what is stored.
    pub(super) fn apply(&mut self, change: UsageChange) {
        self.used.bytes = self.used.bytes.saturating_add_signed(change.bytes);
        self.used.entries = self.used.entries.saturating_add_signed(change.entries);
        self.change_count += 1;
    }

    /// Frees bytes, now or at the file's last close.
    pub(super) fn free(&mut self, freed: FreedSpace) {
        match freed {
            FreedSpace::Nothing => {}
            FreedSpace::Link(bytes) => self.used.bytes = self.used.bytes.saturating_sub(bytes),
            FreedSpace::File(last) => last.close_in(self, true),
        }
    }
}
