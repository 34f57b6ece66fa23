//! What is deleted, and all that is not.

use crate::world::World;
use rustix::fs::{CWD, Mode, mkfifoat};
use sshome_e2e::Faulty;
use sshome_e2e::tree::{paths, set_mode};
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

#[tokio::test(flavor = "multi_thread")]
async fn extra_entries_are_deleted_only_on_request_and_excluded_ones_stay() {
    let world = World::new().await;
    world.pull(&[]);
    for name in ["old/deep/x", "old/y", "d/z", "d/keep.log", "old/deep/keep.log"] {
        world.write_local(name, name.as_bytes());
    }
    world.pull(&[]);
    assert!(world.local("old/deep/x").exists());
    let exclude = ["--delete", "--exclude", "*.log"];
    let dry = world.run(&[&["-n"][..], &exclude, &["t", "t"]].concat());
    assert_eq!(dry.out().lines().filter(|line| line.starts_with("delete ")).count(), 3, "{dry}");
    assert!(world.local("old/deep/x").exists());
    assert!(world.pull(&exclude).ends_with(", 3 deleted"));
    assert!(world.local("d/keep.log").exists() && world.local("old/deep/keep.log").exists());
    assert!(!world.local("old/deep/x").exists() && !world.local("old/y").exists());
    assert!(world.pull(&["--delete"]).ends_with(", 4 deleted"));
    world.assert_same();
    // An excluded name that exists on both sides.
    world.write("both.log", b"1");
    world.pull(&[]);
    assert!(world.pull(&["--delete-excluded", "--exclude", "*.log"]).ends_with(", 1 deleted"));
    assert!(!world.local("both.log").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_below_an_excluded_directory_is_deleted() {
    let world = World::new().await;
    world.pull(&[]);
    for name in ["cache/x", "d/cache/deep/y", "old/cache/z", "old/w"] {
        world.write_local(name, b"");
    }
    assert!(world.pull(&["--delete", "--exclude", "cache/"]).ends_with(", 1 deleted"));
    for name in ["cache/x", "d/cache/deep/y", "old/cache/z"] {
        assert!(world.local(name).exists(), "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_get_has_left_is_never_deleted() {
    let world = World::new().await;
    world.pull(&[]);
    let left = [".a.sshome-part", "a.new", "gone.new.3", "old/.x.sshome-part", "old/y.new"];
    for name in left.iter().chain(&["old/z"]) {
        world.write_local(name, b"");
    }
    for deletes in ["--delete", "--delete-excluded"] {
        let pulled = world.run(&[deletes, "t", "t"]);
        assert_eq!(pulled.code, Some(0), "{pulled}");
        assert!(pulled.err().contains("gone.new.3: not deleted: a get may have saved it"), "{pulled}");
        assert!(left.iter().all(|name| world.local(name).exists()) && !world.local("old/z").exists());
    }
    // Names like these are not fetched: they would replace what a get has saved.
    world.write("b.new", b"");
    world.write(".c.sshome-part", b"");
    let pulled = world.run(&["t", "t"]);
    assert!(pulled.code == Some(0) && pulled.err().contains("rename it to pull it"), "{pulled}");
    assert!(!world.local("b.new").exists() && !world.local(".c.sshome-part").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_is_deleted_and_not_its_target() {
    let world = World::new().await;
    world.pull(&[]);
    let outside = world.client.work().join("outside");
    fs::create_dir(&outside).unwrap();
    fs::write(outside.join("file"), "").unwrap();
    world.write_local("old/x", b"");
    for name in ["to-a-directory", "old/to-a-directory"] {
        symlink(&outside, world.local(name)).unwrap();
    }
    symlink(outside.join("file"), world.local("to-a-file")).unwrap();
    assert!(world.pull(&["--delete"]).ends_with(", 5 deleted"));
    world.assert_same();
    assert!(outside.join("file").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_deleted_if_anything_is_wrong() {
    let world = World::new().await;
    world.pull(&[]);
    let refused = |arguments: &[&str], why: &str| {
        let before = paths(&world.client.work()).len();
        let outcome = world.run(arguments);
        assert_eq!(outcome.code, Some(1), "{outcome}");
        assert!(outcome.err().contains(why), "{why}: {outcome}");
        assert_eq!(paths(&world.client.work()).len(), before, "{outcome}");
    };
    refused(&["--delete", "missing", "t"], "/missing: it does not exist on the server");
    refused(&["--delete", "t/a", "t"], "is not a directory: --delete needs one");
    // An empty source, and one where nothing takes part.
    let home = world.host.home("ann");
    fs::create_dir(home.join("unmounted")).unwrap();
    refused(&["--delete", "unmounted", "t"], "is a disk not mounted?");
    fs::write(home.join("unmounted/x.o"), "").unwrap();
    fs::write(home.join("unmounted/.x.sshome-part"), "").unwrap();
    refused(&["--delete", "--exclude", "*.o", "unmounted", "t"], "nothing in it is to be transferred");
    // Too many entries.
    for number in 0..150 {
        world.write_local(&number.to_string(), b"");
    }
    refused(&["--delete", "t", "t"], "--max-delete 150 allows that");
    refused(&["--delete", "--max-delete", "149", "t", "t"], "--max-delete 150 allows that");
    refused(&["--max-delete", "9", "t", "t"], "--max-delete needs --delete");
    // One name fails: it is a directory here, and a file there.
    let all = ["--delete", "--max-delete", "1000"];
    world.write("5/file", b"");
    refused(&[&all[..], &["t", "t"]].concat(), "nothing is deleted: first fix what failed");
    fs::remove_dir_all(world.remote("5")).unwrap();
    let refused_while_closed = |closed: &Path, why: &str| {
        let (before, permissions) = (paths(&world.local("")), fs::metadata(closed).unwrap().permissions());
        set_mode(closed, 0).unwrap();
        let outcome = world.run(&[&all[..], &["t", "t"]].concat());
        fs::set_permissions(closed, permissions).unwrap();
        assert!(outcome.code == Some(1) && outcome.err().contains(why), "{why}: {outcome}");
        assert_eq!(paths(&world.local("")), before, "{outcome}");
    };
    // A directory cannot be listed, here or there; of a file the content cannot be read.
    for closed in [world.remote("d/e"), world.local("d/e"), world.remote("d/new")] {
        if closed.ends_with("new") {
            fs::write(&closed, "new").unwrap();
        }
        refused_while_closed(&closed, "nothing is deleted: first fix what failed");
    }
    fs::remove_file(world.remote("d/new")).unwrap();
    // A name is seen, and nothing else of it.
    world.write_local("empty/x", b"");
    set_mode(world.local("empty"), 0o400).unwrap();
    let outcome = world.run(&[&all[..], &["t", "t"]].concat());
    set_mode(world.local("empty"), 0o700).unwrap();
    assert!(outcome.err().contains("nothing is deleted: first fix what failed"), "{outcome}");
    assert!(world.local("empty/x").exists() && world.local("149").exists());
    fs::remove_file(world.local("empty/x")).unwrap();
    // So does an extra directory that cannot be listed.
    world.write_local("old/deep/x", b"");
    refused_while_closed(&world.local("old/deep"), "nothing is deleted: a directory could not be listed");
    let allowed = world.pull(&["--delete", "--max-delete", "153"]);
    assert!(allowed.ends_with(", 153 deleted"), "{allowed}");
    world.assert_same();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_is_mounted_in_an_extra_directory_is_left_alone() {
    let world = World::new().await;
    world.pull(&[]);
    fs::create_dir_all(world.local("old/disk")).unwrap();
    world.write_local("old/x", b"");
    let test = "a_disk_that_is_mounted_in_an_extra_directory_is_left_alone";
    let Some(disk) = Faulty::mounted_on(test, &world.local("old/disk")) else { return };
    fs::write(disk.path().join("precious"), "").unwrap();
    let pulled = world.run(&["--delete", "t", "t"]);
    assert_eq!(pulled.code, Some(0), "{pulled}");
    assert!(pulled.err().contains("another disk is mounted there"), "{pulled}");
    assert!(disk.path().join("precious").exists() && !world.local("old/x").exists(), "{pulled}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_takes_no_part_on_the_server_protects_its_counterpart() {
    let world = World::new().await;
    for name in ["large", "pipe", "b.new"] {
        world.write_local(name, b"local");
    }
    world.write("large", b"longer than ten bytes");
    world.write("b.new", b"remote");
    mkfifoat(CWD, world.remote("pipe"), Mode::RUSR).unwrap();
    world.write_local("extra", b"");
    let pulled = world.pull(&["--delete", "--max-size", "10"]);
    assert!(pulled.ends_with(", 1 deleted"), "{pulled}");
    for name in ["large", "pipe", "b.new"] {
        assert_eq!(fs::read(world.local(name)).unwrap(), b"local", "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_directories_of_the_sources_lose_entries() {
    let world = World::new().await;
    let work = world.client.work();
    for name in ["in/unrelated", "in/other/file", "in/d/extra", "in/e/extra", "beside"] {
        fs::create_dir_all(work.join(name).parent().unwrap()).unwrap();
        fs::write(work.join(name), "").unwrap();
    }
    let pulled = world.run(&["--delete", "t/d", "t/d/e", "in"]);
    assert!(pulled.code == Some(0) && pulled.out().ends_with(", 2 deleted\n"), "{pulled}");
    assert_eq!(
        paths(&work),
        [
            "beside",
            "in",
            "in/d",
            "in/d/c",
            "in/d/e",
            "in/d/e/f",
            "in/e",
            "in/e/f",
            "in/other",
            "in/other/file",
            "in/unrelated"
        ]
    );
}
