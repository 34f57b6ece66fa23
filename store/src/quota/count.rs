//! Comparing the ledger with a scan of the disk.

use super::ledger::LedgerState;
use super::{Amount, FileId, Ledger, UnreadableEntries};
use std::collections::{HashMap, HashSet};
use std::sync::MutexGuard;

/// How often the staged files are measured if reservations change each time.
const MAX_MEASUREMENTS: u32 = 4;

/// The state of the ledger when a scan began. The scan can be compared with the ledger only if that did not change
/// meanwhile.
#[derive(Clone, Debug)]
pub struct ScanBaseline {
    change_count: Option<u64>,
    lenders: HashSet<FileId>,
}

impl ScanBaseline {
    /// Whether an upload has a credit for replacing this file, so that the scan must record its length.
    #[must_use]
    pub fn wants(&self, file: FileId) -> bool {
        self.lenders.contains(&file)
    }
}

/// The result of a scan.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ScanResult {
    /// The amount that is stored.
    pub used: Amount,
    /// The entries that could not be read.
    pub unreadable: UnreadableEntries,
    /// The lengths of the files that the baseline [wants](ScanBaseline::wants), except those with several names.
    pub lenders: HashMap<FileId, u64>,
}

/// The result of comparing the ledger with a scan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Comparison {
    /// The ledger changed during the scan: they cannot be compared.
    Busy,
    /// Part of the home could not be read. The ledger is unchanged, and nothing more is stored.
    Unreadable(UnreadableEntries),
    /// The ledger was set to the result of the scan.
    Compared {
        /// The amount in the ledger before.
        recorded: Amount,
        /// The amount that the scan found, including removed files that are still open.
        found: Amount,
        /// The staged bytes on the disk and in the ledger.
        staged: StagedBytes,
    },
}

/// The bytes of uploads and partial uploads, on the disk and in the ledger.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StagedBytes {
    /// Bytes on the disk.
    pub found: u64,
    /// Bytes of partial uploads in the ledger. They are all on the disk.
    pub partial: u64,
    /// Bytes that all uploads have reserved. Some may not have arrived yet.
    pub reserved: u64,
}

impl StagedBytes {
    /// Bytes in the ledger in excess of those on the disk; negative if the ledger has too few.
    #[must_use]
    pub fn discrepancy(&self) -> i64 {
        let recorded = self.found.clamp(self.partial, self.reserved);
        i64::try_from(i128::from(recorded) - i128::from(self.found)).unwrap_or(i64::MAX)
    }
}

impl Ledger {
    /// Begins a scan. Requires the namespace lock.
    #[must_use]
    pub fn begin_count(&self) -> ScanBaseline {
        let state = self.state();
        let change_count = state.is_at_rest().then_some(state.change_count);
        ScanBaseline { change_count, lenders: state.credits.files().collect() }
    }

    /// Compares the ledger with a scan, and corrects it. Ends the first count of a home unless it is busy. `staged` measures
    /// the staged files, in bytes; it is called again if reservations changed meanwhile. Requires the namespace lock.
    ///
    /// # Errors
    /// That of `staged`.
    pub fn end_count<E>(
        &self,
        baseline: &ScanBaseline,
        scanned: ScanResult,
        staged: impl FnMut() -> Result<u64, E>,
    ) -> Result<Comparison, E> {
        let (mut state, staged) = self.measure(staged);
        let is_busy = baseline.change_count != Some(state.change_count) || !state.is_at_rest();
        if is_busy && (state.counting.is_some() || scanned.unreadable.is_empty()) {
            return Ok(Comparison::Busy);
        }
        state.unreadable = scanned.unreadable.clone();
        if !scanned.unreadable.is_empty() {
            let first = state.counting.take();
            // The first count says at least how much could be read.
            if first.is_some() {
                state.used = scanned.used;
            }
            // Dropping `first` wakes those who wait for the count.
            drop(state);
            return Ok(Comparison::Unreadable(scanned.unreadable));
        }
        let Some(found) = staged.transpose()? else { return Ok(Comparison::Busy) };
        let staged = StagedBytes { found, partial: state.partial, reserved: state.staged.bytes };
        let found = Amount { bytes: scanned.used.bytes + state.orphaned(), entries: scanned.used.entries };
        let mut recorded = std::mem::replace(&mut state.used, found);
        // A scan does not find a removed file that is still open; its length is known.
        for file in &baseline.lenders {
            if !state.open.contains_key(file) {
                state.credits.shrink(*file, scanned.lenders.get(file).copied().unwrap_or(0));
            }
        }
        let first = state.counting.take();
        drop(state);
        if first.is_some() {
            // Nothing was recorded before.
            recorded = found;
        }
        Ok(Comparison::Compared { recorded, found, staged })
    }

    /// Calls `staged` without the ledger's lock, since it reads the disk, until no reservation has changed meanwhile. `None`
    /// if they do not stop changing.
    fn measure<E>(
        &self,
        mut staged: impl FnMut() -> Result<u64, E>,
    ) -> (MutexGuard<'_, LedgerState>, Option<Result<u64, E>>) {
        let mut tries = 0;
        loop {
            let before = self.state().staged_changes;
            let found = staged();
            let state = self.state();
            tries += 1;
            if state.staged_changes == before {
                return (state, Some(found));
            }
            if tries == MAX_MEASUREMENTS {
                return (state, None);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::quota::{FreedSpace, QuotaExceeded, QuotaLimits, Reservation, UsageChange};
    use std::convert::Infallible;
    use std::sync::Arc;

    const FOUND: Amount = Amount { bytes: 100, entries: 2 };

    fn ledger() -> Arc<Ledger> {
        let limits = QuotaLimits { bytes: Some(1000), entries: None };
        Arc::new(Ledger::new(limits, Amount { bytes: 70, entries: 2 }, UnreadableEntries::default()))
    }

    fn end(ledger: &Ledger, baseline: &ScanBaseline, used: Amount, staged: u64) -> Comparison {
        let found = ScanResult { used, ..ScanResult::default() };
        ledger.end_count(baseline, found, || Ok::<_, Infallible>(staged)).unwrap()
    }

    #[test]
    fn differences_are_corrected_and_reservations_stay() {
        let ledger = ledger();
        let room = ledger.reserve(50, 1).unwrap();
        let baseline = ledger.begin_count();
        let recorded = Amount { bytes: 70, entries: 2 };
        let staged = StagedBytes { found: 20, partial: 0, reserved: 50 };
        let compared = Comparison::Compared { recorded, found: FOUND, staged };
        assert_eq!(end(&ledger, &baseline, FOUND, 20), compared);
        let taken = ledger.usage();
        assert_eq!((taken.used, taken.staged), (FOUND, Amount { bytes: 50, entries: 1 }));
        drop(room);
    }

    #[test]
    fn staged_bytes_are_compared_with_the_ledger() {
        let ledger = ledger();
        let mut partial = ledger.reserve_existing(40, None);
        partial.set_partial(true);
        let _upload = ledger.reserve(50, 1).unwrap();
        for (found, discrepancy) in [(39, 1), (40, 0), (90, 0), (91, -1)] {
            let comparison = end(&ledger, &ledger.begin_count(), FOUND, found);
            let Comparison::Compared { staged, .. } = comparison else { panic!("{comparison:?}") };
            assert_eq!(staged.discrepancy(), discrepancy, "{found}");
        }
    }

    #[test]
    fn staged_files_are_measured_again_if_an_upload_ended_meanwhile() {
        let ledger = ledger();
        let mut uploads: Vec<_> = (0..2).map(|_| ledger.reserve(20, 0).unwrap()).collect();
        let baseline = ledger.begin_count();
        let mut found = vec![0, 20, 40];
        let staged = || {
            // Measured before the upload ends.
            let found = found.pop().unwrap();
            uploads.pop();
            Ok::<_, Infallible>(found)
        };
        let comparison =
            ledger.end_count(&baseline, ScanResult { used: FOUND, ..ScanResult::default() }, staged).unwrap();
        let Comparison::Compared { staged, .. } = comparison else { panic!("{comparison:?}") };
        assert_eq!(staged, StagedBytes { found: 0, partial: 0, reserved: 0 });
        // They change without end.
        let restless = || Ok::<_, Infallible>(ledger.reserve(1, 0).map(|room| room.bytes()).unwrap());
        let baseline = ledger.begin_count();
        let found = ScanResult { used: FOUND, ..ScanResult::default() };
        assert_eq!(ledger.end_count(&baseline, found, restless).unwrap(), Comparison::Busy);
    }

    #[test]
    fn a_change_during_the_scan_prevents_the_comparison() {
        let ledger = ledger();
        let baseline = ledger.begin_count();
        ledger.reserve(10, 0).unwrap().commit(UsageChange { bytes: 10, entries: 0 });
        assert_eq!(end(&ledger, &baseline, FOUND, 0), Comparison::Busy);
        let held = ledger.hold(FileId { device: 1, inode: 1 }, || Ok::<_, Infallible>(5)).unwrap();
        let change = held.change();
        let baseline = ledger.begin_count();
        drop(change);
        assert_eq!(end(&ledger, &baseline, FOUND, 0), Comparison::Busy, "it was being written to");
    }

    #[test]
    fn a_removed_file_that_is_open_still_counts() {
        let ledger = ledger();
        let id = FileId { device: 1, inode: 1 };
        let reading = ledger.hold(id, || Ok::<_, Infallible>(30)).unwrap();
        let last = ledger.hold(id, || Ok::<_, Infallible>(30)).unwrap();
        ledger.removed(FreedSpace::File(last));
        let comparison = end(&ledger, &ledger.begin_count(), Amount { bytes: 40, entries: 1 }, 0);
        let same = Amount { bytes: 70, entries: 1 };
        let staged = StagedBytes { found: 0, partial: 0, reserved: 0 };
        assert_eq!(comparison, Comparison::Compared { recorded: same, found: same, staged });
        drop(reading);
        assert_eq!(ledger.usage().used.bytes, 40);
    }

    #[test]
    fn a_file_that_was_removed_from_outside_lends_nothing() {
        let ledger = ledger();
        let file = FileId { device: 1, inode: 1 };
        let mut upload = Reservation::empty(&ledger);
        let replaced = ledger.hold(file, || Ok::<_, Infallible>(70)).unwrap();
        upload.cover(60, 0, &FreedSpace::File(replaced)).unwrap();
        assert_eq!(ledger.usage().charged().bytes, 70);
        let baseline = ledger.begin_count();
        assert!(baseline.wants(file));
        let _ = end(&ledger, &baseline, Amount { bytes: 0, entries: 1 }, 0);
        assert_eq!(ledger.usage().charged().bytes, 60);
    }

    #[test]
    fn nothing_is_stored_in_an_unreadable_home_until_it_can_be_scanned() {
        let mut unreadable = UnreadableEntries::default();
        (0..20).for_each(|_| unreadable.add(|| (b"/d".to_vec(), "Permission denied".to_owned())));
        assert_eq!((unreadable.count, unreadable.first.len()), (20, UnreadableEntries::MAX_NAMED));
        let ledger = ledger();
        let baseline = ledger.begin_count();
        let found = ScanResult { unreadable: unreadable.clone(), ..ScanResult::default() };
        let comparison = ledger.end_count(&baseline, found, || Ok::<_, Infallible>(0)).unwrap();
        assert_eq!(comparison, Comparison::Unreadable(unreadable.clone()));
        assert_eq!(ledger.usage().used, Amount { bytes: 70, entries: 2 }, "the ledger is unchanged");
        assert_eq!(ledger.unreadable(), unreadable);
        assert_eq!(ledger.reserve(1, 0).unwrap_err(), QuotaExceeded::Uncounted);
        let comparison = end(&ledger, &ledger.begin_count(), FOUND, 0);
        assert!(matches!(comparison, Comparison::Compared { .. }));
        drop(ledger.reserve(1, 0).unwrap());
        ledger.set_limits(QuotaLimits { bytes: Some(100), entries: None });
        assert!(ledger.reserve(1, 0).is_err());
    }
}
