//! The ledger's rules.

use super::*;
use std::sync::Arc;

fn hold(ledger: &Arc<Ledger>, file: FileId, length: u64) -> HeldFile {
    ledger.hold(file, || Ok::<_, std::convert::Infallible>(length)).unwrap()
}

/// Reserves space for a file of `bytes` that replaces a file.
fn reserve_file(
    ledger: &Arc<Ledger>,
    bytes: u64,
    replaced: Option<ReplacedFile>,
) -> Result<Reservation, QuotaExceeded> {
    let mut reservation = Reservation::empty(ledger);
    let freed = match replaced {
        Some(replaced) => FreedSpace::File(hold(ledger, replaced.file, replaced.bytes)),
        None => FreedSpace::Nothing,
    };
    reservation.cover(bytes, u64::from(replaced.is_none()), &freed)?;
    Ok(reservation)
}

/// `bytes` are stored, and nothing is staged.
fn used(bytes: u64) -> LedgerUsage {
    LedgerUsage { used: Amount { bytes, entries: 0 }, ..LedgerUsage::default() }
}

fn charged(ledger: &Ledger) -> u64 {
    ledger.usage().charged().bytes
}

fn ledger(quota: u64, max: u64, used: u64) -> Arc<Ledger> {
    let limits = QuotaLimits { bytes: Some(quota), entries: Some(max) };
    Arc::new(Ledger::new(limits, Amount { bytes: used, entries: 0 }, UnreadableEntries::default()))
}

#[test]
fn two_reservations_never_share_free_bytes() {
    let ledger = ledger(100, 10, 30);
    let first = ledger.reserve(50, 1).unwrap();
    let refused = ledger.reserve(21, 1).unwrap_err();
    assert_eq!(refused, QuotaExceeded::Bytes { needed: 21, left: 20, quota: 100, partial: 0 });
    drop(first);
    let _second = ledger.reserve(70, 1).unwrap();
}

#[test]
fn commit_accounts_for_the_change_and_releases_the_rest() {
    let ledger = ledger(100, 10, 90);
    // Replaces 90 bytes by 95: only the difference was reserved.
    let reservation = ledger.reserve(5, 0).unwrap();
    reservation.commit(UsageChange { bytes: 5, entries: 0 });
    assert_eq!(ledger.usage(), used(95));
}

#[test]
fn a_home_over_its_limit_refuses_reservations_but_frees_space() {
    let ledger = ledger(100, 10, 150);
    let refused = ledger.reserve(0, 1).unwrap_err();
    assert_eq!(refused.to_string(), "cannot be created: the home exceeds its quota of 100 B");
    let file = FileId { device: 1, inode: 2 };
    ledger.removed(FreedSpace::File(hold(&ledger, file, 60)));
    assert!(ledger.reserve(10, 0).is_ok());
}

#[test]
fn a_file_lends_to_one_upload_and_an_open_file_to_none() {
    let ledger = ledger(100, 10, 90);
    let file = FileId { device: 1, inode: 2 };
    let replaced = Some(ReplacedFile { file, bytes: 90 });
    let first = reserve_file(&ledger, 90, replaced).unwrap();
    assert_eq!((ledger.usage().staged.bytes, ledger.usage().credited, charged(&ledger)), (90, 90, 90));
    assert!(reserve_file(&ledger, 90, replaced).is_err());
    drop(first);
    let held = hold(&ledger, file, 90);
    assert!(reserve_file(&ledger, 90, replaced).is_err());
    drop(held);
    let mut third = reserve_file(&ledger, 90, replaced).unwrap();
    // It was opened meanwhile, so it would stay on the disk beside the new file.
    let (held, old) = (hold(&ledger, file, 90), FreedSpace::File(hold(&ledger, file, 90)));
    assert!(third.cover(90, 0, &old).is_err());
    drop(held);
    third.cover(90, 0, &old).unwrap();
    third.commit_replacing(UsageChange { bytes: 90, entries: 0 }, old);
    assert_eq!(ledger.usage(), used(90));
}

#[test]
fn nothing_is_stored_in_a_home_that_could_not_be_counted() {
    let mut unreadable = UnreadableEntries::default();
    unreadable.add(|| (b"/d".to_vec(), "Permission denied".to_owned()));
    let ledger = Arc::new(Ledger::new(QuotaLimits::default(), Amount::default(), unreadable));
    assert_eq!(ledger.reserve(0, 1).unwrap_err(), QuotaExceeded::Uncounted);
}

#[test]
fn no_announced_size_overflows_the_ledger() {
    let ledger =
        Arc::new(Ledger::new(QuotaLimits::default(), Amount::default(), UnreadableEntries::default()));
    assert!(ledger.reserve(u64::MAX, 1).is_err());
    let _most = ledger.reserve(i64::MAX as u64, 1).unwrap();
    assert!(ledger.reserve(1, 1).is_err());
    assert_eq!(ledger.usage().staged.bytes, i64::MAX as u64);
}

#[test]
fn the_number_of_entries_is_limited() {
    let ledger = ledger(100, 2, 0);
    let reservation = ledger.reserve(0, 2).unwrap();
    assert_eq!(ledger.reserve(0, 1).unwrap_err(), QuotaExceeded::Entries { max: 2 });
    reservation.commit(UsageChange { bytes: 0, entries: 1 });
    assert!(ledger.reserve(0, 1).is_ok());
}

#[test]
fn a_removed_file_counts_until_its_last_close() {
    let ledger = ledger(100, 10, 40);
    ledger.reserve(0, 1).unwrap().commit(UsageChange { bytes: 0, entries: 1 });
    let file = FileId { device: 1, inode: 2 };
    let (first, second) = (hold(&ledger, file, 40), hold(&ledger, file, 40));
    ledger.removed(FreedSpace::File(hold(&ledger, file, 40)));
    assert_eq!(ledger.usage().used, Amount { bytes: 40, entries: 0 });
    drop(first);
    // It may still grow, and its last close frees its final length.
    second.change().grow_to(100).unwrap();
    assert!(second.change().grow_to(101).is_err());
    assert_eq!(ledger.usage().used.bytes, 100);
    drop(second);
    assert_eq!(ledger.usage().used.bytes, 0);
    ledger.reserve(7, 1).unwrap().commit(UsageChange { bytes: 7, entries: 1 });
    ledger.removed(FreedSpace::File(hold(&ledger, file, 7)));
    assert_eq!(ledger.usage().used.bytes, 0);
}

#[test]
fn all_handles_of_a_file_share_its_length() {
    let ledger = ledger(100, 10, 40);
    let file = FileId { device: 1, inode: 2 };
    let (first, second) = (hold(&ledger, file, 40), hold(&ledger, file, u64::MAX));
    first.change().grow_to(90).unwrap();
    second.change().grow_to(60).unwrap();
    assert_eq!((second.length(), ledger.usage().used.bytes), (90, 90));
    second.change().settle(10);
    assert_eq!((first.length(), ledger.usage().used.bytes), (10, 10));
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
    let replaced = Some(ReplacedFile { file, bytes: 150 });
    let mut smaller = reserve_file(&ledger, 120, replaced).unwrap();
    let old = FreedSpace::File(hold(&ledger, file, 150));
    smaller.cover(120, 0, &old).unwrap();
    smaller.commit_replacing(UsageChange { bytes: 120, entries: 0 }, old);
    assert_eq!(ledger.usage(), used(120));
    assert!(reserve_file(&ledger, 121, Some(ReplacedFile { file, bytes: 120 })).is_err());
    let held = hold(&ledger, file, 120);
    held.change().grow_to(120).unwrap();
    assert!(held.change().grow_to(121).is_err());
}

#[test]
fn many_threads_never_exceed_the_quota() {
    let ledger = ledger(1000, 1000, 0);
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for _ in 0..100 {
                    if let Ok(reservation) = ledger.reserve(7, 1) {
                        reservation.commit(UsageChange { bytes: 7, entries: 1 });
                    }
                }
            });
        }
    });
    let LedgerUsage { used, staged, .. } = ledger.usage();
    assert_eq!((used.bytes, used.entries, staged), (994, 142, Amount::default()));
}

const F: FileId = FileId { device: 1, inode: 2 };

/// F has 90 of 100 bytes, and an upload of 80 bytes that will replace it has reserved its space.
fn lending() -> (Arc<Ledger>, Reservation) {
    let ledger = ledger(100, 10, 90);
    let upload = reserve_file(&ledger, 80, Some(ReplacedFile { file: F, bytes: 90 })).unwrap();
    assert_eq!((charged(&ledger), ledger.usage().credited), (90, 80));
    (ledger, upload)
}

#[test]
fn a_removed_file_ends_its_credit() {
    let (ledger, mut upload) = lending();
    ledger.removed(FreedSpace::File(hold(&ledger, F, 90)));
    assert_eq!((charged(&ledger), ledger.usage().credited), (80, 0));
    assert!(ledger.reserve(21, 0).is_err());
    // A new file with the same inode lends to another upload, and the first upload does not end that credit.
    ledger.reserve(20, 1).unwrap().commit(UsageChange { bytes: 20, entries: 1 });
    let other = reserve_file(&ledger, 20, Some(ReplacedFile { file: F, bytes: 20 })).unwrap();
    assert_eq!((charged(&ledger), ledger.usage().credited), (100, 20));
    upload.shrink_to(70, 0);
    assert!(!upload.borrows_from(F) && other.borrows_from(F));
    drop(upload);
    assert_eq!((charged(&ledger), ledger.usage().credited), (20, 20));
}

#[test]
fn a_file_lends_until_its_last_close() {
    let (ledger, mut upload) = lending();
    let reader = hold(&ledger, F, 90);
    ledger.removed(FreedSpace::File(hold(&ledger, F, 90)));
    assert_eq!((charged(&ledger), ledger.usage().credited), (90, 80));
    // The file has no name to replace, but is still on the disk.
    assert!(upload.cover(80, 1, &FreedSpace::Nothing).is_err());
    drop(reader);
    assert_eq!((charged(&ledger), ledger.usage().credited), (80, 0));
    upload.cover(80, 1, &FreedSpace::Nothing).unwrap();
}

#[test]
fn a_file_lends_no_more_than_its_length() {
    let (ledger, upload) = lending();
    let writer = hold(&ledger, F, 90);
    writer.change().settle(30);
    assert_eq!((charged(&ledger), ledger.usage().credited), (80, 30));
    // It may grow if there is space, but does not lend more.
    writer.change().grow_to(50).unwrap();
    assert!(writer.change().grow_to(51).is_err());
    assert_eq!((charged(&ledger), ledger.usage().credited), (100, 30));
    drop(upload);
    assert_eq!(charged(&ledger), 50);
}

#[test]
fn renaming_a_file_ends_its_credit_if_the_upload_fits_without_it() {
    let (ledger, mut upload) = lending();
    let refused = ledger.end_credit(F).unwrap_err();
    assert_eq!(refused, QuotaExceeded::Bytes { needed: 80, left: 10, quota: 100, partial: 0 });
    assert_eq!((charged(&ledger), ledger.usage().credited), (90, 80));
    upload.shrink_to(10, 0);
    ledger.end_credit(F).unwrap();
    assert_eq!((charged(&ledger), ledger.usage().credited), (100, 0));
    assert!(upload.raise_to(11, 0).is_err());
    drop(upload);
    assert_eq!(charged(&ledger), 90);
}

#[test]
fn a_growing_upload_borrows_up_to_the_length_of_the_file() {
    let ledger = ledger(100, 10, 90);
    let mut upload = reserve_file(&ledger, 0, Some(ReplacedFile { file: F, bytes: 90 })).unwrap();
    for (bytes, credited) in [(40, 40), (90, 90), (100, 90)] {
        upload.raise_to(bytes, 0).unwrap();
        assert_eq!((charged(&ledger), ledger.usage().credited), (bytes.max(90), credited));
    }
    assert!(upload.raise_to(101, 0).is_err());
    upload.shrink_to(30, 0);
    assert_eq!((charged(&ledger), ledger.usage().credited), (90, 30));
}

#[test]
fn replacing_a_file_first_ends_the_credit_of_another_upload() {
    let ledger = ledger(200, 10, 90);
    let replaced = Some(ReplacedFile { file: F, bytes: 90 });
    let first = reserve_file(&ledger, 80, replaced).unwrap();
    let mut second = reserve_file(&ledger, 60, replaced).unwrap();
    assert_eq!((charged(&ledger), ledger.usage().credited), (150, 80));
    let old = FreedSpace::File(hold(&ledger, F, 90));
    second.cover(60, 0, &old).unwrap();
    second.commit_replacing(UsageChange { bytes: 60, entries: 0 }, old);
    assert_eq!((charged(&ledger), ledger.usage().credited), (140, 0));
    drop(first);
    assert_eq!(ledger.usage(), used(60));
}

#[test]
fn existing_bytes_are_reserved_in_full_and_borrow() {
    let ledger = ledger(100, 10, 90);
    let replaced = Some(ReplacedFile { file: F, bytes: 90 });
    let mut first = ledger.reserve_existing(80, replaced);
    first.set_partial(true);
    let second = ledger.reserve_existing(30, replaced);
    assert_eq!((ledger.usage().staged.bytes, charged(&ledger)), (110, 120));
    let refused = ledger.reserve(1, 0).unwrap_err();
    assert_eq!(refused, QuotaExceeded::Bytes { needed: 1, left: 0, quota: 100, partial: 80 });
    assert!(
        refused
            .to_string()
            .ends_with("; partial uploads hold 80 B: df -v lists them, rm --partial NAME removes one")
    );
    drop((first, second));
    assert_eq!(ledger.usage(), used(90));
}

#[test]
fn a_link_counts_with_the_length_of_its_target() {
    let ledger = ledger(100, 10, 0);
    ledger.reserve(40, 1).unwrap().commit(UsageChange { bytes: 40, entries: 1 });
    ledger.removed(FreedSpace::Link(40));
    assert_eq!(ledger.usage(), LedgerUsage::default());
}
