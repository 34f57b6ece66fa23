use super::credit::Credits;
use super::open_files::OpenFileEntry;
use super::{
    Amount, FileId, HeldFile, LedgerUsage, QuotaExceeded, QuotaLimits, UnreadableEntries, UsageChange,
};
use crate::{Counting, Signal};
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
    /// `None` once the home was counted.
    pub(super) counting: Option<CountState>,
    /// The entries that could not be counted. Unless this is empty, nothing more is stored.
    pub(super) unreadable: UnreadableEntries,
    /// Counts the changes.
    pub(super) change_count: u64,
    pub(super) used: Amount,
    /// The sum of all reservations.
    pub(super) staged: Amount,
    /// Counts the changes of reservations.
    pub(super) staged_changes: u64,
    /// Bytes of `staged` that belong to partial uploads without a session.
    pub(super) partial: u64,
    pub(super) credits: Credits,
    pub(super) open: HashMap<FileId, OpenFileEntry>,
}

/// The state of a home's first count. Until it ends, nothing is stored.
#[derive(Debug, Default)]
pub(super) struct CountState {
    removals_wait: bool,
    /// Dropped with the state, which ends the count.
    end: Signal,
}

impl Ledger {
    /// A ledger with the result of a scan.
    #[must_use]
    pub fn new(limits: QuotaLimits, found: Amount, unreadable: UnreadableEntries) -> Ledger {
        let state = LedgerState { limits, unreadable, used: found, ..LedgerState::default() };
        Ledger { state: Mutex::new(state), next: AtomicU64::new(0) }
    }

    /// A ledger of a home that is to be counted. Nothing is stored until [`end_count`](Ledger::end_count).
    #[must_use]
    pub fn uncounted(limits: QuotaLimits) -> Ledger {
        let ledger = Ledger::new(limits, Amount::default(), UnreadableEntries::default());
        ledger.uncount();
        ledger
    }

    /// Makes the home uncounted again, as after a restart.
    pub fn uncount(&self) {
        let mut state = self.state();
        state.used = Amount::default();
        state.counting.get_or_insert_default();
    }

    /// Whether the home is being counted.
    #[must_use]
    pub fn counting(&self) -> Option<Counting> {
        let state = self.state();
        let CountState { removals_wait, end } = state.counting.as_ref()?;
        Some(Counting { entries: state.used.entries, removals_wait: *removals_wait, end: end.wait() })
    }

    /// Fails while the home is being counted.
    ///
    /// # Errors
    /// [`QuotaExceeded::Counting`].
    pub fn check_counted(&self) -> Result<(), QuotaExceeded> {
        self.state().check_counted()
    }

    /// Fails while removals have to wait so that a count can be completed.
    ///
    /// # Errors
    /// [`QuotaExceeded::Counting`].
    pub fn check_removal(&self) -> Result<(), QuotaExceeded> {
        match self.state() {
            state if state.counting.as_ref().is_some_and(|counting| counting.removals_wait) => {
                state.check_counted()
            }
            _ => Ok(()),
        }
    }

    /// Makes removals wait for the end of the count.
    pub fn hold_removals(&self) {
        if let Some(counting) = &mut self.state().counting {
            counting.removals_wait = true;
        }
    }

    /// Records how much was counted so far.
    pub fn counted_so_far(&self, found: Amount) {
        let mut state = self.state();
        if state.counting.is_some() {
            state.used = found;
        }
    }

    /// Records that a name was moved: a scan may have missed it, or found it twice. Requires the namespace lock.
    pub fn moved(&self) {
        self.state().change_count += 1;
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
        self.check_counted()?;
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

    fn check_counted(&self) -> Result<(), QuotaExceeded> {
        match self.counting {
            Some(_) => Err(QuotaExceeded::Counting { entries: self.used.entries }),
            None => Ok(()),
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::quota::ScanResult;
    use std::convert::Infallible;
    use std::future::Future;
    use std::pin::pin;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering::SeqCst};
    use std::task::{Context, Wake, Waker};

    /// Counts the calls that find the ledger unlocked, and fails in any other.
    struct Unlocked {
        ledger: Arc<Ledger>,
        calls: AtomicU32,
    }

    impl Unlocked {
        fn call<T>(&self, result: T) -> Result<T, Infallible> {
            assert!(self.ledger.state.try_lock().is_ok(), "the ledger is locked");
            self.calls.fetch_add(1, SeqCst);
            Ok(result)
        }
    }

    impl Wake for Unlocked {
        fn wake(self: Arc<Self>) {
            let Ok(()) = self.call(());
        }
    }

    fn unlocked(ledger: Ledger) -> Arc<Unlocked> {
        Arc::new(Unlocked { ledger: Arc::new(ledger), calls: AtomicU32::new(0) })
    }

    #[test]
    fn the_ledger_is_not_locked_while_the_disk_is_read() {
        let limits = QuotaLimits::default();
        let unlocked = unlocked(Ledger::new(limits, Amount::default(), UnreadableEntries::default()));
        let Ok(_held) = unlocked.ledger.hold(FileId { device: 1, inode: 1 }, || unlocked.call(5));
        let (baseline, found) = (unlocked.ledger.begin_count(), ScanResult::default());
        let Ok(_) = unlocked.ledger.end_count(&baseline, found, || unlocked.call(0));
        assert_eq!(unlocked.calls.load(SeqCst), 2);
    }

    #[test]
    fn the_ledger_is_not_locked_while_waiting_sessions_are_woken() {
        let mut unreadable = UnreadableEntries::default();
        unreadable.add(|| (b"/d".to_vec(), "Permission denied".to_owned()));
        for unreadable in [UnreadableEntries::default(), unreadable] {
            let unlocked = unlocked(Ledger::uncounted(QuotaLimits::default()));
            let mut counted = pin!(unlocked.ledger.counting().unwrap().end.over());
            let waker = Waker::from(Arc::clone(&unlocked));
            assert!(counted.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
            let (baseline, found) =
                (unlocked.ledger.begin_count(), ScanResult { unreadable, ..ScanResult::default() });
            let Ok(_) = unlocked.ledger.end_count(&baseline, found, || Ok::<_, Infallible>(0));
            assert_eq!(unlocked.calls.load(SeqCst), 1);
        }
    }
}
