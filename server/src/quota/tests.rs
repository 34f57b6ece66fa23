//! The ledger's rules.

use super::*;
use std::sync::Arc;

fn hold(ledger: &Arc<Ledger>, file: FileId, length: u64) -> Held {
    ledger.hold(file, || Ok::<_, std::convert::Infallible>(length)).unwrap()
}

fn ledger(quota: u64, max: u64, used: u64) -> Arc<Ledger> {
    let limits = Limits { bytes: Some(quota), entries: Some(max) };
    Arc::new(Ledger::new(limits, Use { bytes: used, entries: 0 }, true))
}

#[test]
fn two_reservations_never_share_free_bytes() {
    let ledger = ledger(100, 10, 30);
    let first = ledger.reserve(50, 1).unwrap();
    let refused = ledger.reserve(21, 1).unwrap_err();
    assert_eq!(refused, Exceeded::Bytes { needed: 21, left: 20, quota: 100 });
    drop(first);
    let _second = ledger.reserve(70, 1).unwrap();
}

#[test]
fn commit_books_what_changed_and_gives_the_rest_back() {
    let ledger = ledger(100, 10, 90);
    // Replaces 90 bytes by 95: only the difference was reserved.
    let reservation = ledger.reserve(5, 0).unwrap();
    reservation.commit(Change { bytes: 5, entries: 0 });
    assert_eq!(ledger.usage(), (Use { bytes: 95, entries: 0 }, Use::default()));
}

#[test]
fn a_home_over_its_limit_takes_nothing_but_gives_room_back() {
    let ledger = ledger(100, 10, 150);
    assert!(ledger.reserve(0, 1).is_err());
    let file = FileId { device: 1, inode: 2 };
    ledger.removed(Some(hold(&ledger, file, 60)));
    assert!(ledger.reserve(10, 0).is_ok());
}

#[test]
fn one_credit_is_given_once_and_none_for_an_open_file() {
    let ledger = ledger(100, 10, 90);
    let file = FileId { device: 1, inode: 2 };
    let replaced = Some(Replaced { file, bytes: 90 });
    let first = ledger.reserve_file(90, replaced).unwrap();
    assert_eq!((first.bytes(), first.credit()), (0, 90));
    assert!(ledger.reserve_file(90, replaced).is_err());
    drop(first);
    let held = hold(&ledger, file, 90);
    assert!(ledger.reserve_file(90, replaced).is_err());
    drop(held);
    let mut third = ledger.reserve_file(90, replaced).unwrap();
    // Opened since: it would stay on the disk beside the new one.
    let (held, old) = (hold(&ledger, file, 90), hold(&ledger, file, 90));
    assert!(third.cover(90, 0, Some(&old)).is_err());
    drop(held);
    third.cover(90, 0, Some(&old)).unwrap();
    third.commit_replacing(Change { bytes: 90, entries: 0 }, Some(old));
    assert_eq!(ledger.usage(), (Use { bytes: 90, entries: 0 }, Use::default()));
}

#[test]
fn what_was_not_counted_takes_nothing() {
    let ledger = Arc::new(Ledger::new(Limits::default(), Use::default(), false));
    assert_eq!(ledger.reserve(0, 1).unwrap_err(), Exceeded::Uncounted);
}

#[test]
fn no_announced_size_overflows_the_books() {
    let ledger = Arc::new(Ledger::new(Limits::default(), Use::default(), true));
    assert!(ledger.reserve(u64::MAX, 1).is_err());
    let _most = ledger.reserve(i64::MAX as u64, 1).unwrap();
    assert!(ledger.reserve(1, 1).is_err());
    assert_eq!(ledger.usage().1.bytes, i64::MAX as u64);
}

#[test]
fn entries_are_limited_too() {
    let ledger = ledger(100, 2, 0);
    let reservation = ledger.reserve(0, 2).unwrap();
    assert_eq!(ledger.reserve(0, 1).unwrap_err(), Exceeded::Entries { max: 2 });
    reservation.commit(Change { bytes: 0, entries: 1 });
    assert!(ledger.reserve(0, 1).is_ok());
}

#[test]
fn a_removed_file_counts_until_its_last_close() {
    let ledger = ledger(100, 10, 40);
    ledger.reserve(0, 1).unwrap().commit(Change { bytes: 0, entries: 1 });
    let file = FileId { device: 1, inode: 2 };
    let (first, second) = (hold(&ledger, file, 40), hold(&ledger, file, 40));
    ledger.removed(Some(hold(&ledger, file, 40)));
    assert_eq!(ledger.usage().0, Use { bytes: 40, entries: 0 });
    drop(first);
    // It may grow on, and goes as long as it has become.
    second.change().grow_to(100).unwrap();
    assert!(second.change().grow_to(101).is_err());
    assert_eq!(ledger.usage().0.bytes, 100);
    drop(second);
    assert_eq!(ledger.usage().0.bytes, 0);
    ledger.reserve(7, 1).unwrap().commit(Change { bytes: 7, entries: 1 });
    ledger.removed(Some(hold(&ledger, file, 7)));
    assert_eq!(ledger.usage().0.bytes, 0);
}

#[test]
fn all_handles_of_a_file_share_its_length() {
    let ledger = ledger(100, 10, 40);
    let file = FileId { device: 1, inode: 2 };
    let (first, second) = (hold(&ledger, file, 40), hold(&ledger, file, u64::MAX));
    first.change().grow_to(90).unwrap();
    second.change().grow_to(60).unwrap();
    assert_eq!((second.length(), ledger.usage().0.bytes), (90, 90));
    second.change().settle(10);
    assert_eq!((first.length(), ledger.usage().0.bytes), (10, 10));
    let version = first.version();
    let change = second.change();
    assert_eq!(first.version(), None);
    drop(change);
    assert_ne!(first.version(), version);
}

#[test]
fn a_home_over_its_limit_can_become_smaller() {
    let ledger = ledger(100, 10, 150);
    let file = FileId { device: 1, inode: 2 };
    let replaced = Some(Replaced { file, bytes: 150 });
    let mut smaller = ledger.reserve_file(120, replaced).unwrap();
    let old = hold(&ledger, file, 150);
    smaller.cover(120, 0, Some(&old)).unwrap();
    smaller.commit_replacing(Change { bytes: 120, entries: 0 }, Some(old));
    assert_eq!(ledger.usage(), (Use { bytes: 120, entries: 0 }, Use::default()));
    assert!(ledger.reserve_file(121, Some(Replaced { file, bytes: 120 })).is_err());
    let held = hold(&ledger, file, 120);
    held.change().grow_to(120).unwrap();
    assert!(held.change().grow_to(121).is_err());
}

#[test]
fn many_threads_never_go_over() {
    let ledger = ledger(1000, 1000, 0);
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for _ in 0..100 {
                    if let Ok(reservation) = ledger.reserve(7, 1) {
                        reservation.commit(Change { bytes: 7, entries: 1 });
                    }
                }
            });
        }
    });
    let (used, reserved) = ledger.usage();
    assert_eq!((used.bytes, used.entries, reserved), (994, 142, Use::default()));
}
