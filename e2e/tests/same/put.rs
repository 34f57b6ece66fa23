//! `put -r` and `get -r` of trees that the other side has already.

use super::World;
use sshome_e2e::tree::{age, mode, noise, set_mode};
use std::fs;
use std::os::unix::fs::MetadataExt;

/// A tree of 20 files of 50,000 bytes.
fn tree(world: &World) {
    for number in 0..20 {
        world.write(&format!("d{}/{number}", number % 3), &noise(50_000, format!("{number}")));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repeated_put_sends_only_what_is_different() {
    let world = World::new("").await;
    tree(&world);
    let (line, sent) = world.run(&["put", "-r", "t"]);
    assert!(line.starts_with("20 files, ") && sent > 1_000_000, "{sent} bytes: {line}");
    let inode = fs::metadata(world.remote("d0/0")).unwrap().ino();
    let (line, sent) = world.run(&["put", "-r", "t"]);
    assert!(line.starts_with("0 files, 0 B") && line.ends_with(", 20 unchanged"), "{line}");
    assert!(sent < 50_000, "{sent} bytes");
    assert_eq!(fs::metadata(world.remote("d0/0")).unwrap().ino(), inode);
    // Different content of the same length, a file without a stored digest, and a new one.
    world.write("d1/1", &noise(50_000, "other"));
    fs::write(world.remote("d2/2"), fs::read(world.local("d2/2")).unwrap()).unwrap();
    world.write("d2/new", b"new");
    let (line, _) = world.run(&["put", "-r", "-j", "3", "t"]);
    assert!(line.starts_with("3 files, ") && line.contains(", 18 unchanged"), "{line}");
    world.assert_same_contents();
    let (line, sent) = world.run(&["put", "-r", "--all", "t"]);
    assert!(line.starts_with("21 files, ") && sent > 1_000_000, "{sent} bytes: {line}");
    // One that is named without -r is sent.
    assert!(world.run(&["put", "t/d0/0", "t/d0/0"]).0.starts_with("1 file, "));
    let events = world.client.run(["--json", "put", "-r", "t"]).unwrap();
    assert!(events.out().contains("\"unchanged\":21") && events.out().contains("\"status\":202"), "{events}");
}

#[tokio::test(flavor = "multi_thread")]
async fn modes_and_times_are_set_as_a_transfer_would() {
    let world = World::new("").await;
    tree(&world);
    world.run(&["put", "-rp", "t"]);
    world.assert_same();
    let inode = fs::metadata(world.remote("d0/0")).unwrap().ino();
    age(&world.local("d0/0"), 5);
    set_mode(world.local("d1/1"), 0o600).unwrap();
    let (line, _) = world.run(&["put", "-r", "t"]);
    assert!(line.ends_with(", 20 unchanged"), "{line}");
    assert_ne!(mode(world.remote("d1/1")).unwrap(), 0o600);
    let (line, sent) = world.run(&["put", "-rp", "t"]);
    assert!(line.ends_with(", 20 unchanged") && sent < 50_000, "{sent} bytes: {line}");
    world.assert_same();
    assert_eq!(fs::metadata(world.remote("d0/0")).unwrap().ino(), inode);
    // The same for a get.
    age(&world.remote("d0/0"), 9);
    set_mode(world.remote("d1/1"), 0o640).unwrap();
    let inode = fs::metadata(world.local("d0/0")).unwrap().ino();
    let (line, received) = world.run(&["get", "-rp", "t"]);
    assert!(line.ends_with(", 20 unchanged") && received < 50_000, "{received} bytes: {line}");
    world.assert_same();
    assert_eq!(fs::metadata(world.local("d0/0")).unwrap().ino(), inode);
    let (line, received) = world.run(&["get", "-rpf", "--all", "t"]);
    assert!(line.starts_with("20 files, ") && received > 1_000_000, "{received} bytes: {line}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_get_does_not_make_the_server_read_what_has_a_stored_digest() {
    let world = World::new("").await;
    tree(&world);
    world.run(&["put", "-r", "t"]);
    // Damage that only reading would find.
    let time = fs::metadata(world.remote("d0/0")).unwrap().modified().unwrap();
    fs::write(world.remote("d0/0"), noise(50_000, "damage")).unwrap();
    fs::File::open(world.remote("d0/0")).unwrap().set_modified(time).unwrap();
    // A file without a stored digest is read, and compared.
    fs::write(world.remote("d1/1"), noise(50_000, "other")).unwrap();
    let (line, _) = world.run(&["get", "-rf", "t"]);
    assert!(line.starts_with("1 file, ") && line.contains(", 19 unchanged"), "{line}");
    assert!(fs::read(world.local("d1/1")).unwrap() == noise(50_000, "other"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_only_adds_may_repeat_its_puts() {
    for (access, code) in [("append-only", 0), ("upload-only", 1)] {
        let world = World::with_access(access).await;
        tree(&world);
        let first = world.client.run(["put", "-rp", "t"]).unwrap();
        assert_eq!(first.code, Some(0), "{first}");
        age(&world.local("d0/0"), 5);
        let again = world.client.run(["put", "-rp", "t"]).unwrap();
        assert_eq!(again.code, Some(code), "{again}");
        // An upload-only key does not learn what exists.
        assert_eq!(again.out().contains("20 unchanged"), access == "append-only", "{again}");
    }
}
