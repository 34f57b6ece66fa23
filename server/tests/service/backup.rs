//! Keeping old versions, and what they cost.

use crate::world::{World, content, path, put};
use sshome_store::StepLimit;
use sshome_wire::Time;
use sshomed::service::{self, Backup, SetAttributes, User, publish};
use std::fs;
use std::os::unix::fs::MetadataExt;

/// Keeps a version to its end.
fn back_up(user: &User, from: &str, to: &str, removes: bool) -> service::Result<()> {
    match service::back_up(user, &path(from), &path(to), removes)? {
        Backup::Named(names) => publish(user, Vec::new(), names).1,
        Backup::Copying(mut copy) => {
            while !copy.step(user, StepLimit::bytes(1))? {}
            Ok(())
        }
    }
}

fn usage(user: &User) -> (u64, u64) {
    let usage = service::usage(user).unwrap().usage;
    (usage.used, usage.entries)
}

#[test]
fn a_backup_costs_its_size_and_an_entry_once_its_original_is_replaced() {
    let world = World::new("quota = 100\nmax-files = 5");
    let user = world.user();
    put(&user, "f", &[1; 40]).unwrap();
    back_up(&user, "f", "old/deep/f", false).unwrap();
    assert_eq!(usage(&user), (40, 4));
    // The replaced file gives no credit.
    assert!(put(&user, "f", &[2; 61]).is_err());
    assert_eq!(content(&user, "f"), [1; 40]);
    put(&user, "f", &[2; 60]).unwrap();
    assert_eq!((usage(&user), content(&user, "old/deep/f")), ((100, 4), vec![1; 40]));
    world.assert_accounting(0);
    // Entries are limited, too.
    put(&user, "g", b"").unwrap();
    assert!(back_up(&user, "g", "old/g", false).is_err());
    world.assert_accounting(0);
}

#[test]
fn a_newer_backup_replaces_the_older_one_and_an_interrupted_one_is_repeated() {
    let world = World::new("quota = 100");
    let user = world.user();
    for (version, length) in [(1, 10), (2, 20), (3, 30)] {
        put(&user, "f", &vec![version; length]).unwrap();
        // The put that should follow failed: the same is kept again.
        for _ in 0..2 {
            back_up(&user, "f", "old/f", false).unwrap();
        }
        assert_eq!(fs::metadata(world.home().join("f")).unwrap().nlink(), 2);
        assert_eq!((content(&user, "old/f"), usage(&user)), (vec![version; length], (length as u64, 3)));
        world.assert_accounting(0);
    }
}

#[test]
fn a_removed_file_keeps_only_the_name_of_its_backup() {
    let world = World::new("quota = 100");
    let user = world.user();
    for version in [1, 2] {
        put(&user, "f", &[version; 10]).unwrap();
        back_up(&user, "f", "old/f", true).unwrap();
        assert!(!world.home().join("f").exists());
        assert_eq!((content(&user, "old/f"), usage(&user)), (vec![version; 10], (10, 2)));
        world.assert_accounting(0);
    }
    // It has both names already.
    put(&user, "f", &[3; 10]).unwrap();
    back_up(&user, "f", "old/f", false).unwrap();
    back_up(&user, "f", "old/f", true).unwrap();
    assert_eq!((world.home().join("f").exists(), content(&user, "old/f")), (false, vec![3; 10]));
    world.assert_accounting(0);
    // A link itself is moved.
    service::make_symlink(&user, &path("l"), b"old/f").map(drop).unwrap();
    back_up(&user, "l", "old/l", true).unwrap();
    assert!(world.home().join("old/l").is_symlink() && content(&user, "old/f") == [3; 10]);
}

#[test]
fn directories_are_no_backups_and_have_none() {
    let world = World::new("");
    let user = world.user();
    put(&user, "f", b"f").unwrap();
    for name in ["d", "old/f"] {
        fs::create_dir_all(world.home().join(name)).unwrap();
    }
    for removes in [false, true] {
        for (from, to) in [("d", "old/d"), ("f", "old/f"), ("no", "old/no"), ("f", "/"), ("f", "f/f")] {
            assert!(back_up(&user, from, to, removes).is_err(), "{from} {to} {removes}");
        }
    }
    assert_eq!(content(&user, "f"), b"f");
}

#[test]
fn without_hard_links_a_file_is_copied_with_its_time() {
    let world = World::new("quota = 100");
    let user = world.user_without_hard_links();
    let times = Some((Time::default(), Time { seconds: 7, nanoseconds: 0 }));
    for version in [1, 2] {
        put(&user, "f", &[version; 40]).unwrap();
        let aged = SetAttributes { times, ..SetAttributes::default() };
        service::set_attributes(&user, &path("f"), true, &aged).unwrap();
        back_up(&user, "f", "old/f", false).unwrap();
        assert_eq!((content(&user, "old/f"), usage(&user)), (vec![version; 40], (80, 3)));
        assert_eq!(service::stat(&user, &path("old/f"), false).unwrap().info.modified.seconds, 7);
    }
    // There is no room for both.
    put(&user, "g", &[3; 20]).unwrap();
    assert!(back_up(&user, "g", "old/g", false).is_err());
    // A rename needs none.
    back_up(&user, "g", "old/g", true).unwrap();
    assert_eq!(content(&user, "old/g"), [3; 20]);
}
