//! Local disks that ignore case, or store times in steps.

use crate::world::World;
use sshome_e2e::CoarseDisk;
use std::fs;
use std::time::{Duration, UNIX_EPOCH};

/// A world whose local tree is on a disk like FAT.
async fn world(test: &str) -> Option<(World, CoarseDisk)> {
    let world = World::new().await;
    // The disk has no links.
    fs::remove_file(world.remote("link")).unwrap();
    fs::create_dir(world.local("")).unwrap();
    let disk = CoarseDisk::mounted_on(test, world.local(""))?;
    Some((world, disk))
}

fn names(folder: &std::path::Path) -> Vec<String> {
    sshome_e2e::tree::paths(folder)
}

#[tokio::test(flavor = "multi_thread")]
async fn times_are_compared_as_the_disk_stores_them() {
    let Some((world, disk)) = world("times_are_compared_as_the_disk_stores_them").await else { return };
    let set = |seconds| {
        let time = UNIX_EPOCH + Duration::new(seconds, 123_456_789);
        fs::File::open(world.remote("a")).unwrap().set_modified(time).unwrap();
    };
    set(1_000_000_001);
    world.pull(&[]);
    let seen = fs::metadata(disk.path().join("a")).unwrap().modified().unwrap();
    assert_eq!(seen, UNIX_EPOCH + Duration::from_secs(1_000_000_000));
    let again = world.pull(&[]);
    assert!(again.starts_with("0 files, "), "{again}");
    set(1_000_000_003);
    let later = world.pull(&[]);
    assert!(later.starts_with("1 file, "), "{later}");
    assert_eq!(names(disk.path()), ["a", "b", "d", "d/c", "d/e", "d/e/f", "empty"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_listed_name_folds_to_is_compared_and_not_deleted() {
    let test = "what_a_listed_name_folds_to_is_compared_and_not_deleted";
    let Some((world, disk)) = world(test).await else { return };
    world.pull(&[]);
    for name in ["a", "d"] {
        fs::rename(world.remote(name), world.remote(&name.to_uppercase())).unwrap();
    }
    let pulled = world.pull(&["--delete"]);
    assert!(pulled.starts_with("0 files, ") && !pulled.contains("deleted"), "{pulled}");
    world.write("A", b"other");
    world.write_local("Old", b"");
    world.pull(&["--delete"]);
    assert_eq!(fs::read(disk.path().join("a")).unwrap(), b"other");
    assert_eq!(names(disk.path()), ["a", "b", "d", "d/c", "d/e", "d/e/f", "empty"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_names_that_fold_to_one_only_the_first_is_stored() {
    let Some((world, disk)) = world("of_two_names_that_fold_to_one_only_the_first_is_stored").await else {
        return;
    };
    world.write("B", b"the other b");
    world.write("D/c", b"the other c");
    fs::write(disk.path().join("extra"), "").unwrap();
    // Both are new.
    let pulled = world.run(&["-i", "--delete", "t", "t"]);
    assert_eq!(pulled.code, Some(1), "{pulled}");
    assert_eq!(pulled.err().matches("this disk takes its name for that of").count(), 2, "{pulled}");
    // Only one of each is fetched, and the disk is tried without a trace.
    let listed = pulled.out().to_ascii_lowercase();
    assert_eq!((listed.matches("t/b\n").count(), listed.matches("t/d/\n").count()), (1, 1), "{pulled}");
    assert!(!names(disk.path()).iter().any(|name| name.contains("sshome-part")), "{pulled}");
    let all = names(disk.path());
    assert!(all.contains(&"extra".to_owned()), "{all:?}");
    let contents = |name| fs::read(disk.path().join(name)).unwrap();
    let (b, c) = (contents("b"), contents("d/c"));
    assert!(b == b"b" || b == b"the other b");
    // One exists.
    let pulled = world.run(&["--delete", "t", "t"]);
    assert_eq!(pulled.code, Some(1), "{pulled}");
    assert!(pulled.err().contains("this disk takes its name for that of"), "{pulled}");
    assert_eq!((contents("b"), contents("d/c"), names(disk.path())), (b, c, all));
}
