//! `push` of content that the server has under another name.

use super::World;
use sshome_e2e::tree::{age, noise};
use std::fs;
use std::os::unix::fs::MetadataExt;

const SIZE: usize = 200_000;

/// A tree of four files that was pushed.
async fn pushed() -> World {
    let world = World::new("").await;
    for name in ["a", "b", "d/c", "d/e/f"] {
        world.write(name, &noise(SIZE, name));
    }
    world.run(&["push", "t", "t"]);
    world
}

fn rename(world: &World, from: &str, to: &str) {
    fs::create_dir_all(world.local(to).parent().unwrap()).unwrap();
    fs::rename(world.local(from), world.local(to)).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_was_renamed_or_copied_is_copied_on_the_server() {
    let world = pushed().await;
    rename(&world, "a", "new/name");
    fs::copy(world.local("b"), world.local("copy")).unwrap();
    let (line, sent) = world.run(&["push", "--delete", "t", "t"]);
    assert!(line.starts_with("2 files, 390.6 KiB"), "{line}");
    assert!(line.contains(", 390.6 KiB of it copied on the server, 3 unchanged, 1 deleted"), "{line}");
    assert!(sent < 100_000, "{sent} bytes");
    world.assert_same();
    // It is a file of its own, with a stored digest.
    let inodes = ["b", "copy"].map(|name| fs::metadata(world.remote(name)).unwrap().ino());
    assert_ne!(inodes[0], inodes[1]);
    age(&world.local("copy"), 5);
    assert!(world.run(&["push", "-c", "t", "t"]).0.contains("5 compared by the server's stored digests"));
    // Content that is new is sent.
    world.write("copy", &noise(SIZE, "new"));
    let (line, sent) = world.run(&["push", "t", "t"]);
    assert!(!line.contains("copied") && sent > SIZE as u64, "{sent} bytes: {line}");
    world.assert_same();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_copy_on_the_server_replaces_is_kept() {
    let world = pushed().await;
    rename(&world, "a", "b");
    let (line, sent) = world.run(&["push", "--delete", "--backup-dir", "old", "t", "t"]);
    assert!(line.contains(", 195.3 KiB of it copied on the server, 2 unchanged, 1 deleted"), "{line}");
    assert!(sent < 100_000, "{sent} bytes");
    world.assert_same();
    for name in ["a", "b"] {
        assert_eq!(fs::read(world.remote("../old").join(name)).unwrap(), noise(SIZE, name), "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_directory_that_was_renamed_is_copied_with_everything_in_it() {
    let world = pushed().await;
    rename(&world, "d", "renamed");
    let (line, sent) = world.run(&["push", "-j", "2", "t", "t"]);
    assert!(line.starts_with("2 files, ") && line.contains("390.6 KiB of it copied on the server"), "{line}");
    assert!(sent < 100_000, "{sent} bytes");
    // What exists only on the server stays.
    assert!(world.remote("d/e/f").is_file());
    world.run(&["push", "--delete", "t", "t"]);
    world.assert_same();
    // Its single file is found in the same way when the tree is pushed to another place.
    let (_, sent) = world.run(&["push", "t/renamed/c", "t/c"]);
    assert!(sent > SIZE as u64, "only what the push lists is found: {sent} bytes");
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_attributes_of_a_file_that_was_touched_are_set() {
    let world = pushed().await;
    age(&world.local("a"), 5);
    let inode = fs::metadata(world.remote("a")).unwrap().ino();
    let (line, sent) = world.run(&["push", "t", "t"]);
    assert!(
        line.starts_with("0 files, ") && line.contains(", 4 unchanged") && sent < 100_000,
        "{sent} bytes: {line}"
    );
    assert_eq!(fs::metadata(world.remote("a")).unwrap().ino(), inode);
    world.assert_same();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_longer_what_its_digest_says_is_sent() {
    let world = pushed().await;
    // The only file with the content is damaged: the copy is refused.
    let time = fs::metadata(world.remote("a")).unwrap().modified().unwrap();
    fs::write(world.remote("a"), noise(SIZE, "damage")).unwrap();
    fs::File::open(world.remote("a")).unwrap().set_modified(time).unwrap();
    rename(&world, "a", "renamed");
    let (line, sent) = world.run(&["push", "--delete", "t", "t"]);
    assert!(
        line.starts_with("1 file, ") && !line.contains("copied") && sent > SIZE as u64,
        "{sent} bytes: {line}"
    );
    world.assert_same();
    // Two files exchange their names: each is the other's source, and one is replaced first.
    rename(&world, "b", "x");
    rename(&world, "d/c", "b");
    rename(&world, "x", "d/c");
    age(&world.local("b"), 3);
    age(&world.local("d/c"), 4);
    world.run(&["push", "t", "t"]);
    world.assert_same();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_only_adds_copies_too_and_programs_get_the_sums() {
    let world = World::with_access("append-only").await;
    world.write("a", &noise(SIZE, "a"));
    world.run(&["push", "t", "t"]);
    rename(&world, "a", "b");
    world.write("c", b"new");
    let pushed = world.client.run(["--json", "push", "t", "t"]).unwrap();
    let last: serde_json::Value = serde_json::from_str(pushed.out().lines().last().unwrap()).unwrap();
    let expected = [("copied", 200_000), ("sent", 3), ("bytes", 200_003), ("files", 2), ("matched", 0)];
    expected.iter().for_each(|(name, number)| assert_eq!(last[name], *number, "{name}: {pushed}"));
    assert_eq!(fs::read(world.remote("b")).unwrap(), noise(SIZE, "a"));
}
