//! The books against what is on the disk.

use super::{Ledger, Use};

/// Where the books were when a scan began. A scan can be compared with them only if nothing was booked
/// meanwhile.
#[derive(Clone, Copy, Debug)]
pub struct Opening(Option<u64>);

/// What came of a comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Comparison {
    /// The books were changed while the disk was read: nothing can be said.
    Busy,
    /// The books are closed: this is what they said, and they say now what was found.
    Compared {
        /// What was booked.
        booked: Use,
        /// What is there, with what is still open though its last name is gone.
        found: Use,
    },
}

impl Ledger {
    /// To be called before a scan, under the lock on names.
    #[must_use]
    pub fn begin_count(&self) -> Opening {
        let books = self.books();
        Opening(books.is_at_rest().then_some(books.bookings))
    }

    /// Compares the books with what a scan has found, and corrects them; `counted` says whether it has
    /// found all. To be called under the lock on names. Reservations stay as they are.
    #[must_use]
    pub fn end_count(&self, opening: Opening, scanned: Use, counted: bool) -> Comparison {
        let mut books = self.books();
        if opening.0 != Some(books.bookings) || !books.is_at_rest() {
            return Comparison::Busy;
        }
        let found = Use { bytes: scanned.bytes + books.orphaned(), entries: scanned.entries };
        let booked = std::mem::replace(&mut books.used, found);
        books.counted = counted;
        Comparison::Compared { booked, found }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::quota::{Change, Exceeded, FileId, Limits};
    use std::convert::Infallible;
    use std::sync::Arc;

    const FOUND: Use = Use { bytes: 100, entries: 2 };

    fn ledger() -> Arc<Ledger> {
        let limits = Limits { bytes: Some(1000), entries: None };
        Arc::new(Ledger::new(limits, Use { bytes: 70, entries: 2 }, true))
    }

    #[test]
    fn what_drifted_is_corrected_and_what_is_reserved_stays() {
        let ledger = ledger();
        let room = ledger.reserve(50, 1).unwrap();
        let opening = ledger.begin_count();
        let booked = Use { bytes: 70, entries: 2 };
        assert_eq!(ledger.end_count(opening, FOUND, true), Comparison::Compared { booked, found: FOUND });
        assert_eq!(ledger.usage(), (FOUND, Use { bytes: 50, entries: 1 }));
        drop(room);
    }

    #[test]
    fn what_was_booked_meanwhile_makes_it_worthless() {
        let ledger = ledger();
        let opening = ledger.begin_count();
        ledger.reserve(10, 0).unwrap().commit(Change { bytes: 10, entries: 0 });
        assert_eq!(ledger.end_count(opening, FOUND, true), Comparison::Busy);
        let held = ledger.hold(FileId { device: 1, inode: 1 }, || Ok::<_, Infallible>(5)).unwrap();
        let change = held.change();
        let opening = ledger.begin_count();
        drop(change);
        assert_eq!(ledger.end_count(opening, FOUND, true), Comparison::Busy, "it was being written to");
    }

    #[test]
    fn a_removed_file_that_is_open_still_counts() {
        let ledger = ledger();
        let id = FileId { device: 1, inode: 1 };
        let reading = ledger.hold(id, || Ok::<_, Infallible>(30)).unwrap();
        let last = ledger.hold(id, || Ok::<_, Infallible>(30)).unwrap();
        ledger.removed(Some(last));
        let opening = ledger.begin_count();
        let comparison = ledger.end_count(opening, Use { bytes: 40, entries: 1 }, true);
        let same = Use { bytes: 70, entries: 1 };
        assert_eq!(comparison, Comparison::Compared { booked: same, found: same });
        drop(reading);
        assert_eq!(ledger.usage().0.bytes, 40);
    }

    #[test]
    fn other_limits_hold_at_once_and_a_home_that_is_counted_at_last_takes_something() {
        let ledger = Arc::new(Ledger::new(Limits::default(), FOUND, false));
        assert_eq!(ledger.reserve(1, 0).unwrap_err(), Exceeded::Uncounted);
        let opening = ledger.begin_count();
        assert!(matches!(ledger.end_count(opening, FOUND, true), Comparison::Compared { .. }));
        drop(ledger.reserve(1, 0).unwrap());
        ledger.set_limits(Limits { bytes: Some(100), entries: None });
        assert!(ledger.reserve(1, 0).is_err());
    }
}
