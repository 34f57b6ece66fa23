//! The quota with files that are written in place, case by case. After each case the accounting matches the disk.

use super::world::*;
use sshome_store::quota::Comparison;
use sshome_store::{MakeDirectory, StoreError};
use sshome_wire::Status;
use sshomed::service::{
    self, CopyData, Download, OpenFile, OpenMode, RecursiveRemoval, SetAttributes, StepLimit, User,
};
use std::os::unix::fs::MetadataExt;

const GIB: u64 = 1 << 30;

fn used(user: &User) -> u64 {
    service::usage(user).unwrap().usage.used
}

fn size(length: u64) -> SetAttributes {
    SetAttributes { size: Some(length), ..SetAttributes::default() }
}

#[test]
fn overwritten_bytes_are_not_counted_again() {
    let world = World::new("quota = 100");
    let user = world.user();
    let file = open(&user, "f", WRITE_OR_CREATE);
    file.write_at(0, &[1; 100]).unwrap();
    file.write_at(50, &[2; 50]).unwrap();
    assert!(is_over_quota(file.write_at(51, &[3; 50])));
    world.assert_accounting(0);
    assert_eq!(content(&user, "f"), [[1; 50], [2; 50]].concat());
}

#[test]
fn appending_ignores_the_offset_and_stops_at_the_quota() {
    let world = World::new("quota = 100");
    let user = world.user();
    let (one, two) = (open(&user, "f", APPEND_OR_CREATE), open(&user, "f", APPEND_OR_CREATE));
    one.write_at(0, &[1; 30]).unwrap();
    two.write_at(0, &[2; 30]).unwrap();
    one.write_at(7, &[3; 40]).unwrap();
    assert!(is_over_quota(two.write_at(0, &[4])));
    world.assert_accounting(0);
    assert_eq!(content(&user, "f"), [&[1; 30][..], &[2; 30], &[3; 40]].concat());
}

#[test]
fn truncation_frees_space_and_growth_takes_it() {
    let world = World::new("quota = 100");
    let user = world.user();
    let file = open(&user, "f", WRITE_OR_CREATE);
    file.write_at(0, &[1; 100]).unwrap();
    file.set_attributes(&user, &size(10)).unwrap();
    assert_eq!(used(&user), 10);
    service::set_attributes(&user, &path("f"), true, &size(90)).unwrap();
    assert!(is_over_quota(file.set_attributes(&user, &size(101))));
    world.assert_accounting(0);
    drop(open(&user, "f", TRUNCATE_OR_CREATE));
    assert_eq!(used(&user), 0);
    world.assert_accounting(0);
}

#[test]
fn a_write_far_beyond_the_quota_does_not_touch_the_file() {
    let world = World::new("quota = \"1 MiB\"");
    let user = world.user();
    put(&user, "f", b"content").unwrap();
    let before = open(&user, "f", READ_ONLY).info().unwrap();
    let file = open(&user, "f", WRITE_OR_CREATE);
    assert!(is_over_quota(file.write_at(10 * GIB, b"x")));
    assert!(is_over_quota(file.set_attributes(&user, &size(u64::MAX))));
    assert!(file.write_at(u64::MAX, b"x").is_err());
    let after = file.info().unwrap();
    assert_eq!((before.size, before.modified, before.changed), (after.size, after.modified, after.changed));
    world.assert_accounting(0);
}

#[test]
fn holes_count_in_full() {
    let world = World::new("quota = \"11 GiB\"");
    let user = world.user();
    let file = open(&user, "f", WRITE_OR_CREATE);
    file.write_at(10 * GIB, b"x").unwrap();
    assert_eq!(used(&user), 10 * GIB + 1);
    assert!(is_over_quota(file.write_at(11 * GIB, b"x")));
    world.assert_accounting(0);
}

#[test]
fn writes_that_the_disk_refuses_are_not_counted() {
    let world = World::new("quota = \"unlimited\"");
    let user = world.user();
    let file = open(&user, "f", WRITE_OR_CREATE);
    file.write_at(0, &[1; 100]).unwrap();
    // Most filesystems do not allow files of this length. If one does, the length counts.
    let most = i64::MAX as u64;
    let written = file.write_at(most - 10, &[1; 10]);
    world.assert_accounting(0);
    let set = file.set_attributes(&user, &size(most));
    world.assert_accounting(0);
    if written.is_ok() || set.is_ok() {
        println!(
            "skipped: writes_that_the_disk_refuses_are_not_counted: this disk takes files of any length"
        );
    }
}

#[test]
fn copy_data_is_counted_and_never_onto_itself() {
    let world = World::new("quota = 100");
    let user = world.user();
    let (source, target) = (open(&user, "f", READ_WRITE_OR_CREATE), open(&user, "g", READ_WRITE_OR_CREATE));
    source.write_at(0, &[1; 40]).unwrap();
    let copy = |from: &OpenFile, at, length, to: &OpenFile, offset| {
        let mut copy = CopyData::begin(from, at, length, to, offset)?;
        while copy.step(from, to, StepLimit::bytes(16))?.is_none() {}
        service::Result::Ok(())
    };
    copy(&source, 0, 0, &target, 0).unwrap();
    assert_eq!(content(&user, "g"), [1; 40]);
    // Up to the end of the file, and no further.
    copy(&target, 30, 0, &target, 40).unwrap();
    assert_eq!(used(&user), 90);
    world.assert_accounting(0);
    for (at, length, to) in [(0, 0, 0), (0, 0, 49), (0, 20, 10), (10, 20, 0)] {
        let again = open(&user, "g", READ_WRITE_OR_CREATE);
        assert!(copy(&target, at, length, &again, to).is_err(), "{at} {length} {to}");
    }
    assert!(is_over_quota(copy(&source, 0, 0, &target, 50).and(copy(&source, 0, 21, &target, 90))));
    world.assert_accounting(0);
}

/// Clients send many requests ahead, and some look only at the last answer.
#[test]
fn after_a_failed_change_all_others_through_the_handle_fail() {
    for uploads in ["in-place", "atomic"] {
        let world = World::new(&format!("quota = 100\nsftp-uploads = \"{uploads}\""));
        let user = world.user();
        put(&user, "other", &[1; 60]).unwrap();
        let copy = |file: &OpenFile| {
            let source = open(&user, "other", READ_ONLY);
            CopyData::begin(&source, 0, 0, file, 0).map(drop)
        };
        type Change<'a> = &'a dyn Fn(&OpenFile) -> service::Result<()>;
        let failures: [Change<'_>; 3] =
            [&|file| file.write_at(90, &[2; 11]), &|file| file.set_attributes(&user, &size(101)), &copy];
        for (number, fail) in failures.into_iter().enumerate() {
            let file = open(&user, &format!("f{number}"), TRUNCATE_OR_CREATE);
            file.write_at(0, &[2; 10]).unwrap();
            if uploads == "atomic" && number == 2 {
                // For a staged file, the space is checked when it is written.
                continue;
            }
            assert!(is_over_quota(fail(&file)), "{number}");
            service::remove(&user, &path("other")).unwrap();
            // Now there is space.
            assert!(is_over_quota(file.write_at(10, &[2])), "{number}");
            assert!(is_over_quota(file.set_attributes(&user, &size(10))), "{number}");
            assert!(is_over_quota(file.sync()), "{number}");
            assert!(is_over_quota(file.finish(&user)), "{number}");
            put(&user, "other", &[1; 60]).unwrap();
            let there = world.home().join(format!("f{number}"));
            assert_eq!(there.exists(), uploads == "in-place", "{number}");
            if there.exists() {
                service::remove(&user, &path(&format!("f{number}"))).unwrap();
            }
        }
    }
}

#[test]
fn a_hard_link_takes_an_entry_and_no_bytes() {
    let world = World::new("quota = 100\nmax-files = 2");
    let user = world.user();
    let file = open(&user, "f", WRITE_OR_CREATE);
    file.write_at(0, &[1; 60]).unwrap();
    service::hard_link(&user, &path("f"), &path("g")).unwrap();
    assert!(is_over_quota(service::hard_link(&user, &path("f"), &path("h"))));
    open(&user, "g", WRITE_OR_CREATE).write_at(60, &[1; 40]).unwrap();
    assert!(is_over_quota(file.write_at(100, &[1])));
    world.assert_accounting(0);
    service::remove(&user, &path("f")).unwrap();
    world.assert_accounting(0);
    service::remove(&user, &path("g")).unwrap();
    world.assert_accounting(100);
    drop(file);
    world.assert_accounting(0);
}

#[test]
fn a_removed_file_counts_and_grows_until_it_is_closed() {
    let world = World::new("quota = 100");
    let user = world.user();
    let (one, two) = (open(&user, "f", WRITE_OR_CREATE), open(&user, "f", READ_WRITE_OR_CREATE));
    one.write_at(0, &[1; 40]).unwrap();
    service::remove(&user, &path("f")).unwrap();
    two.write_at(40, &[1; 40]).unwrap();
    world.assert_accounting(80);
    assert!(is_over_quota(put(&user, "g", &[2; 21])));
    put(&user, "g", &[2; 20]).unwrap();
    drop(one);
    world.assert_accounting(80);
    drop(two);
    world.assert_accounting(0);
}

#[test]
fn a_file_that_is_replaced_while_it_is_open_counts_until_it_is_closed() {
    for empty in [true, false] {
        let world = World::new("quota = 100");
        let user = world.user();
        let (old, new) = (open(&user, "f", WRITE_OR_CREATE), open(&user, "g", WRITE_OR_CREATE));
        let before = if empty { 0 } else { 30 };
        old.write_at(0, &vec![1; before]).unwrap();
        new.write_at(0, &[1; 20]).unwrap();
        service::rename_exact(&user, &path("g"), &path("f"), true).unwrap();
        old.write_at(30, &[1; 10]).unwrap();
        world.assert_accounting(40);
        put(&user, "f", &[3; 25]).unwrap();
        // The file that replaced it is open as well.
        world.assert_accounting(60);
        drop((old, new));
        world.assert_accounting(0);
        assert_eq!(used(&user), 25);
    }
}

#[test]
fn a_home_over_its_quota_may_become_smaller() {
    let world = World::new("quota = 100");
    let user = world.user();
    put(&user, "f", &[1; 100]).unwrap();
    // As after a lowered quota: the excess is written from outside, and is counted when the server starts.
    std::fs::write(world.home().join("g"), [1; 50]).unwrap();
    drop(user);
    let world = world.restarted();
    let user = world.user();
    assert!(is_over_quota(put(&user, "h", &[1])));
    assert!(is_over_quota(OpenFile::open(&user, &path("h"), WRITE_OR_CREATE)));
    put(&user, "f", &[1; 90]).unwrap();
    let file = open(&user, "g", WRITE_OR_CREATE);
    file.write_at(0, &[2; 50]).unwrap();
    assert!(is_over_quota(file.write_at(50, &[2])));
    open(&user, "g", WRITE_OR_CREATE).set_attributes(&user, &size(5)).unwrap();
    put(&user, "h", &[1]).unwrap();
    world.assert_accounting(0);
}

#[test]
fn a_read_only_account_reads_and_changes_nothing() {
    let world = World::new("quota = 100\naccess = \"read-only\"");
    std::fs::write(world.home().join("f"), b"content").unwrap();
    let user = world.user();
    assert_eq!(content(&user, "f"), b"content");
    let refused = |result: service::Result<()>| {
        assert_eq!(result.unwrap_err().to_string(), "this account is read-only");
    };
    for mode in [
        WRITE_OR_CREATE,
        TRUNCATE_OR_CREATE,
        APPEND_OR_CREATE,
        OpenMode { truncate: true, ..READ_ONLY },
        OpenMode { create: true, ..READ_ONLY },
    ] {
        refused(OpenFile::open(&user, &path("f"), mode).map(drop));
    }
    let f = path("f");
    let nothing = SetAttributes::default();
    refused(open(&user, "f", READ_ONLY).set_attributes(&user, &nothing));
    refused(service::set_attributes(&user, &f, true, &nothing));
    refused(service::rename_exact(&user, &f, &path("g"), true));
    refused(service::rename(&user, &f, &path("g")));
    refused(service::hard_link(&user, &f, &path("g")));
    refused(service::make_symlink(&user, &path("g"), b"f").map(drop));
    refused(service::make_new_directory(&user, &path("g"), None));
    refused(service::remove_directory(&user, &path("g")));
    refused(service::remove(&user, &f));
    service::space(&user).unwrap();
    service::real_path(&user, &f).unwrap();
}

#[test]
fn a_get_of_a_file_rewritten_with_its_old_time_fails() {
    let world = World::new("");
    let user = world.user();
    let file = world.home().join("f");
    std::fs::write(&file, [1; 50]).unwrap();
    let before = std::fs::metadata(&file).unwrap();
    let mut download = Download::begin(&user, &path("f")).unwrap();
    let mut buffer = Vec::with_capacity(25);
    download.read(&mut buffer).unwrap();
    // Wait for the kernel's clock of change times to advance.
    while std::fs::metadata(&file).unwrap().ctime_nsec() == before.ctime_nsec() {
        std::fs::write(&file, [2; 50]).unwrap();
        let written = std::fs::File::options().write(true).open(&file).unwrap();
        written.set_modified(before.modified().unwrap()).unwrap();
    }
    buffer.clear();
    download.read(&mut buffer).unwrap();
    assert!(matches!(download.finish(), Err(service::Error::Store(StoreError::Changed(_)))));
    // A get of a file whose last name is removed is whole.
    let mut download = Download::begin(&user, &path("f")).unwrap();
    std::fs::remove_file(&file).unwrap();
    buffer.clear();
    download.read(&mut buffer).unwrap();
    buffer.clear();
    download.read(&mut buffer).unwrap();
    download.finish().unwrap();
}

#[test]
fn a_missing_directory_is_reported() {
    let world = World::new("");
    let user = world.user();
    let no_directory = |result: service::Result<()>| {
        let error = result.unwrap_err();
        assert_eq!((error.status(), error.to_string()), (Status::NoSuchDirectory, "/no".to_owned()));
    };
    put(&user, "f", b"1").unwrap();
    no_directory(put(&user, "no/such/f", b"1"));
    no_directory(service::make_new_directory(&user, &path("no/such"), None));
    no_directory(service::make_symlink(&user, &path("no/l"), b"x").map(drop));
    no_directory(service::rename(&user, &path("f"), &path("no/f")));
    no_directory(service::hard_link(&user, &path("f"), &path("no/f")));
    no_directory(OpenFile::open(&user, &path("no/f"), WRITE_OR_CREATE).map(drop));
    // A dangling link exists itself.
    std::os::unix::fs::symlink("gone/x", world.home().join("l")).unwrap();
    let error = put(&user, "l", b"1").unwrap_err();
    assert_eq!((error.status(), error.to_string()), (Status::NoSuchDirectory, "/l".to_owned()));
}

#[test]
fn a_get_of_a_file_written_in_place_fails_or_is_correct() {
    let world = World::new("quota = 100");
    let user = world.user();
    let file = open(&user, "f", WRITE_OR_CREATE);
    file.write_at(0, &[1; 50]).unwrap();
    let before = file.info().unwrap();
    let mut download = Download::begin(&user, &path("f")).unwrap();
    let mut buffer = Vec::with_capacity(25);
    download.read(&mut buffer).unwrap();
    file.write_at(0, &[2; 50]).unwrap();
    // The times are the same.
    let modified = before.modified;
    let times = SetAttributes { times: Some((modified, modified)), ..SetAttributes::default() };
    file.set_attributes(&user, &times).unwrap();
    while {
        buffer.clear();
        download.read(&mut buffer).unwrap() > 0
    } {}
    assert!(matches!(download.finish(), Err(service::Error::Store(StoreError::Changed(_)))));
}

#[test]
fn trees_of_any_depth_are_counted_copied_and_removed() {
    let world = World::new("");
    let user = world.user();
    let deep = "d/".repeat(1500);
    service::make_directory(&user, &path(&deep), MakeDirectory { parents: true, ..MakeDirectory::default() })
        .unwrap();
    put(&user, &format!("{deep}f"), b"content").unwrap();
    let mut copy = service::Copy::begin(&user, &path("d"), &path("c"), true).unwrap();
    while !copy.step(&user, StepLimit::bytes(1 << 20)).unwrap() {}
    // Deeper than the longest path.
    service::rename_exact(&user, &path("c"), &path(&format!("{deep}c")), false).unwrap();
    assert!(matches!(
        world.count(),
        Comparison::Compared { recorded, found, .. } if recorded == found && found.entries == 3002
    ));
    let mut removal = RecursiveRemoval::begin(&user, &path("d")).unwrap();
    while !removal.step(&user, StepLimit::entries(100)).unwrap() {}
    assert_eq!(service::usage(&user).unwrap().usage.entries, 0);
    world.assert_accounting(0);
}

#[test]
fn links_count_with_the_length_of_their_targets() {
    let world = World::new("quota = 10000");
    let user = world.user();
    service::make_symlink(&user, &path("l"), &[b'x'; 4000]).unwrap();
    service::make_symlink(&user, &path("m"), &[b'x'; 4000]).unwrap();
    assert!(is_over_quota(service::make_symlink(&user, &path("n"), &[b'x'; 4000])));
    assert_eq!(service::usage(&user).unwrap().usage.used, 8000);
    service::hard_link(&user, &path("l"), &path("k")).unwrap();
    service::remove(&user, &path("l")).unwrap();
    assert_eq!(service::usage(&user).unwrap().usage.used, 8000, "it has another name");
    put(&user, "f", &[1; 100]).unwrap();
    service::rename_exact(&user, &path("f"), &path("k"), true).unwrap();
    assert_eq!(service::usage(&user).unwrap().usage.used, 4100);
    world.assert_accounting(0);
    drop(user);
    world.restarted().assert_accounting(0);
}
