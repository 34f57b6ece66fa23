//! The books against what is on the disk.

use super::{FileId, Ledger, Unreadable, Use};
use std::collections::{HashMap, HashSet};

/// The state of the books when a scan began. A scan can be compared with them only if nothing was booked
/// meanwhile.
#[derive(Clone, Debug)]
pub struct Opening {
    bookings: Option<u64>,
    lenders: HashSet<FileId>,
}

impl Opening {
    /// Whether an upload counts on replacing this file, so that its length is to be found.
    #[must_use]
    pub fn wants(&self, file: FileId) -> bool {
        self.lenders.contains(&file)
    }
}

/// What a scan has found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// What is there.
    pub used: Use,
    /// What could not be read.
    pub unreadable: Unreadable,
    /// The lengths of the files that the opening [wants](Opening::wants), unless they have several names.
    pub lenders: HashMap<FileId, u64>,
}

/// The result of a comparison.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Comparison {
    /// The books were changed while the disk was read: nothing can be said.
    Busy,
    /// Part of the home could not be read. What was booked stays, and nothing more is taken.
    Unreadable(Unreadable),
    /// The books agree now with what was found.
    Compared {
        /// What was booked.
        booked: Use,
        /// What is there, with removed files that are still open.
        found: Use,
        /// The staged bytes beside those that were booked.
        staged: StagedBytes,
    },
}

/// What uploads and partial uploads have on the disk, beside what is booked for them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StagedBytes {
    /// Bytes on the disk.
    pub found: u64,
    /// Bytes that partial uploads hold. They are all on the disk.
    pub least: u64,
    /// Bytes that all uploads have reserved. Part of them may not have been sent yet.
    pub most: u64,
}

impl StagedBytes {
    /// How many bytes too many are booked; less than 0 if there are too few.
    #[must_use]
    pub fn off(&self) -> i64 {
        let booked = self.found.clamp(self.least, self.most);
        i64::try_from(i128::from(booked) - i128::from(self.found)).unwrap_or(i64::MAX)
    }
}

impl Ledger {
    /// To be called before a scan, under the lock on names.
    #[must_use]
    pub fn begin_count(&self) -> Opening {
        let books = self.books();
        let bookings = books.is_at_rest().then_some(books.bookings);
        Opening { bookings, lenders: books.credits.files().collect() }
    }

    /// Compares the books with what a scan has found, and corrects them. `staged` measures the staged files,
    /// in bytes; it is asked under the books' lock. To be called under the lock on names.
    ///
    /// # Errors
    /// What `staged` says.
    pub fn end_count<E>(
        &self,
        opening: &Opening,
        scanned: Found,
        staged: impl FnOnce() -> Result<u64, E>,
    ) -> Result<Comparison, E> {
        let mut books = self.books();
        books.unreadable = scanned.unreadable.clone();
        if !scanned.unreadable.is_empty() {
            return Ok(Comparison::Unreadable(scanned.unreadable));
        }
        if opening.bookings != Some(books.bookings) || !books.is_at_rest() {
            return Ok(Comparison::Busy);
        }
        let staged = StagedBytes { found: staged()?, least: books.partial, most: books.staged.bytes };
        let found = Use { bytes: scanned.used.bytes + books.orphaned(), entries: scanned.used.entries };
        let booked = std::mem::replace(&mut books.used, found);
        // A removed file that is still open is not found, and its length is known.
        for file in &opening.lenders {
            if !books.open.contains_key(file) {
                books.credits.shrink(*file, scanned.lenders.get(file).copied().unwrap_or(0));
            }
        }
        Ok(Comparison::Compared { booked, found, staged })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::quota::{Change, Exceeded, Freed, Limits, Replaced, Reservation};
    use std::convert::Infallible;
    use std::sync::Arc;

    const FOUND: Use = Use { bytes: 100, entries: 2 };

    fn ledger() -> Arc<Ledger> {
        let limits = Limits { bytes: Some(1000), entries: None };
        Arc::new(Ledger::new(limits, Use { bytes: 70, entries: 2 }, Unreadable::default()))
    }

    fn end(ledger: &Ledger, opening: &Opening, used: Use, staged: u64) -> Comparison {
        let found = Found { used, ..Found::default() };
        ledger.end_count(opening, found, || Ok::<_, Infallible>(staged)).unwrap()
    }

    #[test]
    fn what_drifted_is_corrected_and_what_is_reserved_stays() {
        let ledger = ledger();
        let room = ledger.reserve(50, 1).unwrap();
        let opening = ledger.begin_count();
        let booked = Use { bytes: 70, entries: 2 };
        let staged = StagedBytes { found: 20, least: 0, most: 50 };
        let compared = Comparison::Compared { booked, found: FOUND, staged };
        assert_eq!(end(&ledger, &opening, FOUND, 20), compared);
        let taken = ledger.usage();
        assert_eq!((taken.used, taken.staged), (FOUND, Use { bytes: 50, entries: 1 }));
        drop(room);
    }

    #[test]
    fn staged_bytes_are_compared_with_what_is_booked_for_them() {
        let ledger = ledger();
        let mut partial = ledger.reserve_anyway(40, None);
        partial.set_partial(true);
        let _upload = ledger.reserve(50, 1).unwrap();
        for (found, off) in [(39, 1), (40, 0), (90, 0), (91, -1)] {
            let comparison = end(&ledger, &ledger.begin_count(), FOUND, found);
            let Comparison::Compared { staged, .. } = comparison else { panic!("{comparison:?}") };
            assert_eq!(staged.off(), off, "{found}");
        }
    }

    #[test]
    fn what_was_booked_meanwhile_makes_it_worthless() {
        let ledger = ledger();
        let opening = ledger.begin_count();
        ledger.reserve(10, 0).unwrap().commit(Change { bytes: 10, entries: 0 });
        assert_eq!(end(&ledger, &opening, FOUND, 0), Comparison::Busy);
        let held = ledger.hold(FileId { device: 1, inode: 1 }, || Ok::<_, Infallible>(5)).unwrap();
        let change = held.change();
        let opening = ledger.begin_count();
        drop(change);
        assert_eq!(end(&ledger, &opening, FOUND, 0), Comparison::Busy, "it was being written to");
    }

    #[test]
    fn a_removed_file_that_is_open_still_counts() {
        let ledger = ledger();
        let id = FileId { device: 1, inode: 1 };
        let reading = ledger.hold(id, || Ok::<_, Infallible>(30)).unwrap();
        let last = ledger.hold(id, || Ok::<_, Infallible>(30)).unwrap();
        ledger.removed(Freed::File(last));
        let comparison = end(&ledger, &ledger.begin_count(), Use { bytes: 40, entries: 1 }, 0);
        let same = Use { bytes: 70, entries: 1 };
        let staged = StagedBytes { found: 0, least: 0, most: 0 };
        assert_eq!(comparison, Comparison::Compared { booked: same, found: same, staged });
        drop(reading);
        assert_eq!(ledger.usage().used.bytes, 40);
    }

    #[test]
    fn a_file_that_was_removed_from_outside_lends_nothing() {
        let ledger = ledger();
        let file = FileId { device: 1, inode: 1 };
        let mut upload = Reservation::none(&ledger);
        upload.count_on(60, 0, || Some(Replaced { file, bytes: 70 })).unwrap();
        assert_eq!(ledger.usage().charged().bytes, 70);
        let opening = ledger.begin_count();
        assert!(opening.wants(file));
        let _ = end(&ledger, &opening, Use { bytes: 0, entries: 1 }, 0);
        assert_eq!(ledger.usage().charged().bytes, 60);
    }

    #[test]
    fn a_home_that_cannot_be_read_takes_nothing_until_it_can() {
        let mut unreadable = Unreadable::default();
        (0..20).for_each(|_| unreadable.add(|| (b"/d".to_vec(), "Permission denied".to_owned())));
        assert_eq!((unreadable.count, unreadable.first.len()), (20, Unreadable::MAX_NAMED));
        let ledger = ledger();
        let opening = ledger.begin_count();
        let found = Found { unreadable: unreadable.clone(), ..Found::default() };
        let comparison = ledger.end_count(&opening, found, || Ok::<_, Infallible>(0)).unwrap();
        assert_eq!(comparison, Comparison::Unreadable(unreadable.clone()));
        assert_eq!(ledger.usage().used, Use { bytes: 70, entries: 2 }, "what was booked stays");
        assert_eq!(ledger.unreadable(), unreadable);
        assert_eq!(ledger.reserve(1, 0).unwrap_err(), Exceeded::Uncounted);
        let comparison = end(&ledger, &ledger.begin_count(), FOUND, 0);
        assert!(matches!(comparison, Comparison::Compared { .. }));
        drop(ledger.reserve(1, 0).unwrap());
        ledger.set_limits(Limits { bytes: Some(100), entries: None });
        assert!(ledger.reserve(1, 0).is_err());
    }
}
