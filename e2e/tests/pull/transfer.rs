//! What is fetched, and where to.

use crate::world::World;
use sshome_e2e::tree::{age, described, mode, noise, set_mode};
use std::fs;
use std::os::unix::fs::{MetadataExt, symlink};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

#[tokio::test(flavor = "multi_thread")]
async fn the_first_pull_fetches_everything_and_the_next_one_nothing() {
    let world = World::new().await;
    assert!(world.pull(&[]).starts_with("4 files, "));
    world.assert_same();
    let inodes = || ["a", "d/e/f", "link"].map(|name| fs::symlink_metadata(world.local(name)).unwrap().ino());
    let before = inodes();
    let again = world.pull(&[]);
    assert!(again.starts_with("0 files, ") && again.ends_with(", 5 unchanged"), "{again}");
    assert_eq!(inodes(), before);
    // A trailing slash makes no difference.
    let slashes = world.run(&["t/", "t/"]);
    assert!(slashes.out().contains("0 files, "), "{slashes}");
    world.assert_same();
    assert!(!world.local("t").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn only_what_differs_is_fetched_and_each_change_is_listed() {
    let world = World::new().await;
    world.pull(&[]);
    world.write("b", b"other");
    world.write("d/new/g", b"g");
    age(&world.remote("d/c"), 5);
    fs::remove_file(world.remote("link")).unwrap();
    symlink("b", world.remote("link")).unwrap();
    let top = world.local("");
    let top = top.to_str().unwrap();
    let expected =
        ["create d/new/", "create d/new/g", "update ", "update b", "update d/", "update d/c", "update link"]
            .map(|line| line.replacen(' ', &format!(" {top}"), 1));
    for options in [&["-n"][..], &["-i"]] {
        let before = described(&world.local(""));
        let listed = world.run(&[options, &["t", "t"]].concat());
        let mut lines: Vec<_> = listed.out().lines().map(str::to_owned).collect();
        lines.pop();
        lines.sort();
        assert_eq!(lines, expected, "{listed}");
        assert_eq!(described(&world.local("")) == before, options == ["-n"]);
    }
    world.assert_same();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_makes_nothing() {
    let world = World::new().await;
    let listed = world.run(&["-n", "t", "new/deep/t"]);
    assert_eq!((listed.code, listed.out().lines().count()), (Some(0), 10), "{listed}");
    assert_eq!(fs::read_dir(world.client.work()).unwrap().count(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn digests_find_what_times_hide() {
    let world = World::new().await;
    age(&world.remote("b"), 5);
    world.pull(&[]);
    let time = fs::metadata(world.remote("b")).unwrap().modified().unwrap();
    fs::write(world.remote("b"), "B").unwrap();
    fs::File::open(world.remote("b")).unwrap().set_modified(time).unwrap();
    assert!(world.pull(&[]).starts_with("0 files, "));
    assert!(world.pull(&["-c"]).starts_with("1 file, "));
    assert_eq!(fs::read(world.local("b")).unwrap(), b"B");
    // Another time, the same content: digests fetch nothing.
    age(&world.remote("a"), 5);
    assert!(world.pull(&["--checksum"]).starts_with("0 files, "));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_goes_where_its_name_says() {
    let world = World::new().await;
    world.write("a", &noise(9 << 20, "a"));
    for (arguments, target) in [
        (&["t/a", "x/y"][..], "x/y"),
        (&["t/a", "into/"], "into/a"),
        (&["t/a", "into"], "into/a"),
        (&["t/a", "t/b", "many"], "many/b"),
        (&["t/d", "t/a", "both"], "both/d/e/f"),
        (&["t/?", "matched"], "matched/b"),
    ] {
        let pulled = world.run(arguments);
        assert_eq!(pulled.code, Some(0), "{pulled}");
        assert!(world.client.work().join(target).is_file(), "{target}: {pulled}");
    }
    let again = world.run(&["t/a", "x/y"]);
    assert!(again.out().ends_with(", 1 unchanged\n"), "{again}");
    let seen = |path: &std::path::Path| fs::metadata(path).unwrap().modified().unwrap();
    assert_eq!(seen(&world.remote("a")), seen(&world.client.work().join("x/y")));
}

#[tokio::test(flavor = "multi_thread")]
async fn no_two_sources_become_the_same_name() {
    let world = World::new().await;
    world.write("1/d/one", b"1");
    world.write("2/d/two", b"2");
    for sources in [["t/1/d", "t/2/d"], ["t", "./t"]] {
        let refused = world.run(&["--delete", sources[0], sources[1], "many"]);
        assert_eq!(refused.code, Some(1), "{refused}");
        assert!(refused.err().contains("several sources would become it"), "{refused}");
        assert!(!world.client.work().join("many").exists());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn checksums_trust_stored_digests_and_the_server_reads_files_without_one() {
    let world = World::new().await;
    world.pull(&[]);
    world.client.succeed(["put", "t/a", "t/a"]).unwrap();
    // It is damaged behind its old time, which only reading would find. The digest of the other one is computed.
    let time = fs::metadata(world.remote("a")).unwrap().modified().unwrap();
    fs::write(world.remote("a"), "A").unwrap();
    fs::File::open(world.remote("a")).unwrap().set_modified(time).unwrap();
    fs::write(world.remote("b"), "B").unwrap();
    let line = world.pull(&["-c"]);
    assert!(
        line.starts_with("1 file, ")
            && line.ends_with(", 4 unchanged, 1 compared by the server's stored digests"),
        "{line}"
    );
    assert_eq!(["a", "b"].map(|name| fs::read(world.local(name)).unwrap()), [b"a", b"B"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_source_or_a_destination_that_is_named_may_be_a_link() {
    let world = World::new().await;
    let work = world.client.work();
    fs::create_dir(work.join("real")).unwrap();
    symlink("real", work.join("link")).unwrap();
    symlink("t", world.host.home("ann").join("source")).unwrap();
    for (source, target, found) in [
        ("source", "link", "real/d/e/f"),
        ("/", "home", "home/t/a"),
        ("t", ".", "d/e/f"),
        ("t/.", "in/.", "in/a"),
    ] {
        let pulled = world.run(&[source, target]);
        assert_eq!(pulled.code, Some(0), "{pulled}");
        assert!(work.join(found).is_file(), "{found}: {pulled}");
    }
    assert!(fs::symlink_metadata(work.join("link")).unwrap().is_symlink());
    assert_eq!(fs::read_link(work.join("home/source")).unwrap(), std::path::Path::new("t"));
    // The top of the home has no name to be stored under.
    let refused = world.run(&["/", "t", "many"]);
    assert!(refused.code == Some(1) && refused.err().contains("has no name"), "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_local_link_is_not_followed() {
    let world = World::new().await;
    let outside = world.client.work().join("outside");
    fs::create_dir(&outside).unwrap();
    fs::write(outside.join("a"), "theirs").unwrap();
    fs::create_dir(world.local("")).unwrap();
    symlink("../outside", world.local("d")).unwrap();
    symlink("../outside/a", world.local("a")).unwrap();
    let pulled = world.run(&["--delete", "t", "t"]);
    assert_eq!(pulled.code, Some(1), "{pulled}");
    assert!(pulled.err().contains("a local file or link has this directory's name"), "{pulled}");
    // The link gave way to the file.
    assert_eq!(fs::read(world.local("a")).unwrap(), b"a");
    assert!(fs::symlink_metadata(world.local("a")).unwrap().is_file());
    assert_eq!(described(&outside).len(), 1);
    assert_eq!(fs::read(outside.join("a")).unwrap(), b"theirs");
    // The same for the directory of one of several sources.
    symlink("outside", world.client.work().join("t2")).unwrap();
    fs::create_dir(world.host.home("ann").join("t2")).unwrap();
    let pulled = world.run(&["t2", "t/b", "."]);
    assert!(pulled.code == Some(1) && pulled.err().contains("t2 is not a directory"), "{pulled}");
}

#[tokio::test(flavor = "multi_thread")]
async fn directories_that_are_closed_are_filled_and_closed_again() {
    let world = World::new().await;
    let close = |mode| ["d/e", "d"].iter().for_each(|name| set_mode(world.remote(name), mode).unwrap());
    close(0o500);
    world.pull(&[]);
    assert_eq!(mode(world.local("d")).unwrap(), 0o500);
    close(0o700);
    world.write("d/e/f", b"longer");
    fs::remove_file(world.remote("d/c")).unwrap();
    close(0o500);
    assert!(world.pull(&["--delete"]).ends_with(", 1 deleted"));
    world.assert_same();
    assert_eq!(["d", "d/e"].map(|name| mode(world.local(name)).unwrap()), [0o500; 2]);
    ["d", "d/e"].iter().for_each(|name| set_mode(world.local(name), 0o700).unwrap());
    close(0o700);
}

#[tokio::test(flavor = "multi_thread")]
async fn several_connections_fetch_the_same() {
    let world = World::new().await;
    for number in 0..40 {
        world.write(&format!("many/{}/{number}", number % 4), &noise(300_000, format!("{number}")));
    }
    assert!(world.pull(&["-j", "3"]).starts_with("44 files, "));
    world.assert_same();
}

#[tokio::test(flavor = "multi_thread")]
async fn it_is_a_command_of_a_script_and_programs_get_an_event_for_each_change() {
    let world = World::new().await;
    let script = world.client.script("cd t\npull d d\n").unwrap();
    assert!(script.code == Some(0) && world.client.work().join("d/e/f").is_file(), "{script}");
    let pulled = world.client.run(["--json", "pull", "t", "t"]).unwrap();
    let events: Vec<serde_json::Value> =
        pulled.out().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let changes: Vec<_> = events.iter().filter(|event| event["event"] == "change").collect();
    assert_eq!((changes.len(), pulled.code), (9, Some(0)), "{pulled}");
    let local = world.local("d/c");
    let is_c =
        |event: &&&serde_json::Value| event["name"] == "/t/d/c" && event["local"] == local.to_str().unwrap();
    assert_eq!(changes.iter().filter(is_c).count(), 1, "{pulled}");
    let files =
        events.iter().filter(|event| event["event"] == "file" && event["direction"] == "pull").count();
    assert_eq!(files, 4, "{pulled}");
    let again = world.client.run(["--json", "pull", "t", "t"]).unwrap();
    let summary: serde_json::Value = serde_json::from_str(again.out().lines().last().unwrap()).unwrap();
    assert_eq!((&summary["files"], &summary["unchanged"]), (&0.into(), &5.into()), "{again}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_was_changed_just_now_is_compared_again_by_its_digest() {
    let world = World::new().await;
    world.pull(&[]);
    let (now, long_ago) = (SystemTime::now() + Duration::from_millis(1900), UNIX_EPOCH);
    world.write("a", b"A");
    world.write("b", b"B");
    for (name, time) in [("a", now), ("b", long_ago)] {
        for path in [world.local(name), world.remote(name)] {
            fs::File::open(path).unwrap().set_modified(time).unwrap();
        }
    }
    // Size and time are the same.
    let pulled = world.pull(&[]);
    assert!(pulled.starts_with("1 file, ") && pulled.ends_with(", 4 unchanged"), "{pulled}");
    assert_eq!(fs::read(world.local("a")).unwrap(), b"A");
    assert_eq!(fs::read(world.local("b")).unwrap(), b"b");
}
