//! The quota, case by case. After each case the accounting equals the result of a walk.

use super::NewHost;
use super::world::*;
use crate::quota::QuotaLimits;
use crate::{Cause, MakeDirectory, OpenMode, Replace};

const GIB: u64 = 1 << 30;

pub fn overwritten_bytes_are_not_counted_again(host: NewHost<'_>) {
    let world = World::with_quota(host, 100);
    let user = world.user();
    let file = user.open("f", WRITE_OR_CREATE);
    file.write_at(Some(0), &[&[1; 100]]).unwrap();
    file.write_at(Some(50), &[&[2; 50]]).unwrap();
    assert!(is_over_quota(file.write_at(Some(51), &[&[3; 50]])));
    file.check_space(100).unwrap();
    assert!(is_over_quota(file.check_space(101)));
    world.assert_accounting(0);
    assert_eq!(user.content("f"), [[1; 50], [2; 50]].concat());
}

pub fn appending_writes_at_the_end_and_stops_at_the_quota(host: NewHost<'_>) {
    let world = World::with_quota(host, 100);
    let (one, two) = (world.user().open("f", APPEND_OR_CREATE), world.user().open("f", APPEND_OR_CREATE));
    one.write_at(None, &[&[1; 30]]).unwrap();
    two.write_at(None, &[&[2; 30]]).unwrap();
    one.write_at(None, &[&[3; 40]]).unwrap();
    assert!(is_over_quota(two.write_at(None, &[b"4"])));
    world.assert_accounting(0);
    assert_eq!(world.user().content("f"), [&[1; 30][..], &[2; 30], &[3; 40]].concat());
}

pub fn truncation_frees_space_and_growth_takes_it(host: NewHost<'_>) {
    let world = World::with_quota(host, 100);
    let user = world.user();
    user.put("f", &[1; 100]).unwrap();
    user.set_size("f", 10).unwrap();
    assert_eq!(user.used(), 10);
    user.set_size("f", 90).unwrap();
    assert!(is_over_quota(user.set_size("f", 101)));
    assert_eq!(user.content("f"), [&[1; 10][..], &[0; 80]].concat());
    world.assert_accounting(0);
    let file = user.open("f", TRUNCATE_OR_CREATE);
    user.close(file).unwrap();
    assert_eq!(user.used(), 0);
    world.assert_accounting(0);
}

pub fn a_write_far_beyond_the_quota_does_not_touch_the_file(host: NewHost<'_>) {
    let world = World::with_quota(host, MIB);
    let user = world.user();
    user.put("f", b"content").unwrap();
    let before = user.info("f").unwrap();
    let file = user.open("f", WRITE_OR_CREATE);
    assert!(is_over_quota(file.write_at(Some(10 * GIB), &[b"x"])));
    assert!(file.set_length(u64::MAX).is_err());
    assert_eq!(cause(file.write_at(Some(u64::MAX), &[b"x"])), Cause::TooLarge);
    assert_eq!(user.info("f").unwrap(), before);
    drop(file);
    world.assert_accounting(0);
}

pub fn holes_count_in_full(host: NewHost<'_>) {
    let world = World::with_quota(host, 11 * GIB);
    let user = world.user();
    let file = user.open("f", WRITE_OR_CREATE);
    file.write_at(Some(10 * GIB), &[b"x"]).unwrap();
    assert_eq!(user.used(), 10 * GIB + 1);
    assert!(is_over_quota(file.write_at(Some(11 * GIB), &[b"x"])));
    world.assert_accounting(0);
}

pub fn writes_that_the_disk_refuses_are_not_counted(host: NewHost<'_>) {
    let world = World::new(host);
    let user = world.user();
    user.put("f", &[1; 100]).unwrap();
    let max = i64::MAX as u64;
    // Most disks cannot store such a long file. If one can, the file counts.
    let file = user.open("f", WRITE_OR_CREATE);
    let _ = file.write_at(Some(max - 10), &[&[1; 10]]);
    drop(file);
    world.assert_accounting(0);
    let _ = user.set_size("f", max);
    world.assert_accounting(0);
}

pub fn the_number_of_entries_is_limited(host: NewHost<'_>) {
    let world = World::with_limits(host, QuotaLimits { bytes: None, entries: Some(2) });
    let user = world.user();
    user.put("f", b"f").unwrap();
    user.make_directory("d");
    assert!(is_over_quota(user.put("g", b"g")));
    assert!(is_over_quota(user.try_open("g", WRITE_OR_CREATE)));
    assert!(is_over_quota(user.home.open_file(&path("g"), TRUNCATE_OR_CREATE, true)));
    assert!(is_over_quota(user.home.make_directory(&path("e"), MakeDirectory::default())));
    assert!(is_over_quota(user.home.make_symlink(&path("l"), b"f")));
    // A replacement needs no new entry.
    user.put("f", b"more").unwrap();
    user.home.rename(&path("f"), &path("d/f"), Replace::Never).unwrap();
    let refused =
        user.home.make_directory(&path("d/x/y"), MakeDirectory { parents: true, ..MakeDirectory::default() });
    assert!(is_over_quota(refused));
    user.remove("d/f").unwrap();
    user.put("g", b"g").unwrap();
    world.assert_accounting(0);
}

pub fn links_count_with_the_length_of_their_targets(host: NewHost<'_>) {
    let mut world = World::with_quota(host, 10_000);
    let user = world.user();
    let target = "x".repeat(4000);
    user.make_symlink("l", &target);
    user.make_symlink("m", &target);
    assert!(is_over_quota(user.home.make_symlink(&path("n"), target.as_bytes())));
    assert_eq!((user.used(), user.info("l").unwrap().size), (8000, 4000));
    user.put("f", &[1; 100]).unwrap();
    user.home.rename(&path("f"), &path("l"), Replace::Always).unwrap();
    assert_eq!(user.used(), 4100);
    user.remove("m").unwrap();
    assert_eq!(user.used(), 100);
    world.assert_accounting(0);
    drop(user);
    world.restart();
    world.assert_accounting(0);
    assert_eq!(world.user().used(), 100);
}

pub fn a_hard_link_takes_an_entry_and_no_bytes(host: NewHost<'_>) {
    let world = World::with_limits(host, QuotaLimits { bytes: Some(100), entries: Some(2) });
    let user = world.user();
    user.put("f", &[1; 60]).unwrap();
    user.home.hard_link(&path("f"), &path("g"), false).unwrap();
    assert!(is_over_quota(user.home.hard_link(&path("f"), &path("h"), false)));
    assert_eq!(user.used(), 60);
    world.assert_accounting(0);
    // Replacing one of two names frees nothing.
    assert!(is_over_quota(user.put("f", &[2; 41])));
    user.remove("f").unwrap();
    assert_eq!((user.used(), user.content("g")), (60, vec![1; 60]));
    world.assert_accounting(0);
    user.remove("g").unwrap();
    assert_eq!(user.used(), 0);
    world.assert_accounting(0);
}

pub fn a_removed_file_counts_until_it_is_closed(host: NewHost<'_>) {
    let world = World::with_quota(host, 100);
    let user = world.user();
    let (one, two) = (user.open("f", WRITE_OR_CREATE), world.user().open("f", READ_WRITE_OR_CREATE));
    one.write_at(Some(0), &[&[1; 40]]).unwrap();
    user.remove("f").unwrap();
    two.write_at(Some(40), &[&[1; 40]]).unwrap();
    world.assert_accounting(80);
    assert!(is_over_quota(user.put("g", &[2; 21])));
    user.put("g", &[2; 20]).unwrap();
    drop(one);
    world.assert_accounting(80);
    drop(two);
    world.assert_accounting(0);
}

pub fn a_replaced_file_counts_until_it_is_closed(host: NewHost<'_>) {
    for empty in [true, false] {
        let world = World::with_quota(host, 100);
        let user = world.user();
        let (old, new) = (user.open("f", WRITE_OR_CREATE), world.user().open("g", WRITE_OR_CREATE));
        old.write_at(Some(0), &[&vec![1; if empty { 0 } else { 30 }]]).unwrap();
        new.write_at(Some(0), &[&[1; 20]]).unwrap();
        user.home.rename(&path("g"), &path("f"), Replace::Always).unwrap();
        old.write_at(Some(30), &[&[1; 10]]).unwrap();
        world.assert_accounting(40);
        user.put("f", &[3; 25]).unwrap();
        // The file that was renamed over the first one is also still open.
        world.assert_accounting(60);
        drop((old, new));
        world.assert_accounting(0);
        assert_eq!(user.used(), 25);
    }
}

pub fn a_home_over_its_quota_may_become_smaller(host: NewHost<'_>) {
    let world = World::with_quota(host, 150);
    let user = world.user();
    user.put("f", &[1; 100]).unwrap();
    user.put("g", &[1; 50]).unwrap();
    world.store().set_limits("ann", QuotaLimits { bytes: Some(100), entries: None });
    assert_eq!(user.home.usage().limits.bytes, Some(100));
    assert!(is_over_quota(user.put("h", &[1])));
    assert!(is_over_quota(user.try_open("h", WRITE_OR_CREATE)));
    user.put("f", &[1; 90]).unwrap();
    let file = user.open("g", OpenMode { create: false, ..WRITE_OR_CREATE });
    file.write_at(Some(0), &[&[2; 50]]).unwrap();
    assert!(is_over_quota(file.write_at(Some(50), &[&[2]])));
    file.set_length(5).unwrap();
    user.put("h", &[1]).unwrap();
    drop(file);
    world.assert_accounting(0);
}

pub fn a_replacement_needs_space_for_the_difference_only(host: NewHost<'_>) {
    let world = World::with_quota(host, 100);
    let user = world.user();
    user.put("f", &[1; 90]).unwrap();
    let mut upload = user.begin("f", &spec_of(Some(95))).unwrap();
    let usage = user.usage();
    assert_eq!((usage.used.bytes, usage.staged.bytes, usage.credited), (90, 95, 90));
    assert!(is_over_quota(user.put("g", &[2; 6])));
    upload.write(&[2; 95]).unwrap();
    let item = upload.finish(95, None).unwrap();
    user.publish(item).unwrap();
    world.assert_accounting(0);
    // The space of a removed file goes to the upload that was to replace it.
    let upload = user.begin("f", &spec_of(Some(100))).unwrap();
    user.remove("f").unwrap();
    assert_eq!(user.usage().charged().bytes, 100);
    assert!(is_over_quota(user.put("g", &[2])));
    drop(upload);
    user.put("g", &[2; 100]).unwrap();
    world.assert_accounting(0);
}
