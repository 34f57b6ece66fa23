//! `push`: only differences are sent, and nothing is deleted that should stay.

use sshome_e2e::tree::{age, described, noise, paths};
use sshome_e2e::{Client, CoarseDisk, Host, HostBuilder, Outcome};
use std::fs;
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::PathBuf;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// A server, a client, and a local tree `t` with files, a link and directories.
struct World {
    host: Host,
    client: Client,
}

impl World {
    async fn new() -> World {
        let host = Host::with_user("ann", "").await.unwrap();
        let client = Client::new(&host, "ann").unwrap();
        let world = World { host, client };
        for name in ["a", "b", "d/c", "d/e/f"] {
            world.write(name, name.as_bytes());
        }
        fs::create_dir(world.local("empty")).unwrap();
        symlink("a", world.local("link")).unwrap();
        world
    }

    fn local(&self, name: &str) -> PathBuf {
        self.client.work().join("t").join(name)
    }

    fn remote(&self, name: &str) -> PathBuf {
        self.host.home("ann").join("t").join(name)
    }

    fn write(&self, name: &str, content: &[u8]) {
        let path = self.local(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    fn run(&self, arguments: &[&str]) -> Outcome {
        self.client.run([&["push"], arguments].concat()).unwrap()
    }

    /// Pushes `t`. Returns the last line of the output.
    fn push(&self, options: &[&str]) -> String {
        let pushed = self.run(&[options, &["t", "t"]].concat());
        assert_eq!(pushed.code, Some(0), "{pushed}");
        pushed.out().lines().last().unwrap_or_default().to_owned()
    }

    fn assert_same(&self) {
        assert_eq!(described(&self.local("")), described(&self.remote("")));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_push_sends_everything_and_the_next_one_nothing() {
    let world = World::new().await;
    assert!(world.push(&[]).starts_with("4 files, "));
    world.assert_same();
    let before: Vec<u64> =
        ["a", "d/e/f"].map(|name| fs::metadata(world.remote(name)).unwrap().ino()).to_vec();
    let again = world.push(&[]);
    assert!(again.starts_with("0 files, ") && again.ends_with(", 5 unchanged"), "{again}");
    let after: Vec<u64> = ["a", "d/e/f"].map(|name| fs::metadata(world.remote(name)).unwrap().ino()).to_vec();
    assert_eq!(before, after);
    // A trailing slash makes no difference.
    let slashes = world.run(&["t/", "t/"]);
    assert!(slashes.out().contains("0 files, "), "{slashes}");
    world.assert_same();
}

#[tokio::test(flavor = "multi_thread")]
async fn only_what_differs_is_sent_and_each_change_is_listed() {
    let world = World::new().await;
    world.push(&[]);
    world.write("b", b"other");
    world.write("d/new/g", b"g");
    age(&world.local("d/c"), 5);
    fs::remove_file(world.local("link")).unwrap();
    symlink("b", world.local("link")).unwrap();
    let expected = [
        "create /t/d/new/",
        "create /t/d/new/g",
        "update /t/",
        "update /t/b",
        "update /t/d/",
        "update /t/d/c",
        "update /t/link",
    ];
    for options in [&["-n"][..], &["-i"]] {
        let before = described(&world.remote(""));
        let listed = world.run(&[options, &["t", "t"]].concat());
        let mut lines: Vec<_> = listed.out().lines().map(str::to_owned).collect();
        lines.pop();
        lines.sort();
        assert_eq!(lines, expected, "{listed}");
        assert_eq!(described(&world.remote("")) == before, options == ["-n"]);
    }
    world.assert_same();
}

#[tokio::test(flavor = "multi_thread")]
async fn checksums_find_changes_that_times_hide() {
    let world = World::new().await;
    age(&world.local("b"), 5);
    world.push(&[]);
    let time = fs::metadata(world.local("b")).unwrap().modified().unwrap();
    fs::write(world.local("b"), "B").unwrap();
    fs::File::open(world.local("b")).unwrap().set_modified(time).unwrap();
    assert!(world.push(&[]).starts_with("0 files, "));
    assert!(world.push(&["-c"]).starts_with("1 file, "));
    // Another time, the same content: digests send nothing.
    age(&world.local("a"), 5);
    assert!(world.push(&["--checksum"]).starts_with("0 files, "));
}

#[tokio::test(flavor = "multi_thread")]
async fn checksums_trust_stored_digests_and_read_files_without_one() {
    let world = World::new().await;
    world.push(&[]);
    for name in ["a", "b", "d/c", "d/e/f"] {
        age(&world.local(name), 5);
    }
    // One is damaged behind its old time, which only reading would find; two have no valid digest any more.
    let time = fs::metadata(world.remote("a")).unwrap().modified().unwrap();
    fs::write(world.remote("a"), "A").unwrap();
    fs::File::open(world.remote("a")).unwrap().set_modified(time).unwrap();
    fs::write(world.remote("b"), "B").unwrap();
    age(&world.remote("d/c"), 7);
    let line = world.push(&["-c", "-n"]);
    assert!(line.starts_with("0 files, "), "{line}");
    assert!(line.ends_with(", 4 unchanged, 2 compared by the server's stored digests"), "{line}");
    let listed = world.run(&["-c", "-i", "t", "t"]);
    assert!(listed.out().contains("update /t/b\n") && !listed.out().contains("/t/a\n"), "{listed}");
    assert_eq!(fs::read(world.remote("a")).unwrap(), b"A");
    assert_eq!(fs::read(world.remote("b")).unwrap(), b"b");
    // A file that was named is compared in the same way.
    let named = world.run(&["-c", "t/a", "t/a"]);
    assert!(named.out().ends_with(", 1 unchanged, 1 compared by the server's stored digests\n"), "{named}");
    let summary = world.client.run(["--json", "push", "-c", "t/a", "t/a"]).unwrap();
    assert!(summary.out().contains("\"compared_by_stored_digest\":1"), "{summary}");
}

#[tokio::test(flavor = "multi_thread")]
async fn extra_entries_are_deleted_only_on_request_and_excluded_ones_stay() {
    let world = World::new().await;
    world.push(&[]);
    fs::create_dir_all(world.remote("old/deep")).unwrap();
    for name in ["old/deep/x", "old/y", "d/z", "d/keep.log", "old/deep/keep.log"] {
        fs::write(world.remote(name), name).unwrap();
    }
    world.push(&[]);
    assert!(world.remote("old/deep/x").exists());
    let exclude = ["--delete", "--exclude", "*.log"];
    let dry = world.run(&[&["-n"][..], &exclude, &["t", "t"]].concat());
    assert_eq!(dry.out().lines().filter(|line| line.starts_with("delete ")).count(), 3, "{dry}");
    assert!(world.push(&exclude).ends_with(", 3 deleted"));
    assert!(world.remote("d/keep.log").exists() && world.remote("old/deep/keep.log").exists());
    assert!(!world.remote("old/deep/x").exists() && !world.remote("old/y").exists());
    assert!(world.push(&["--delete"]).ends_with(", 4 deleted"));
    world.assert_same();
    // An excluded name that exists on both sides.
    world.write("both.log", b"1");
    world.push(&[]);
    assert!(world.push(&["--delete-excluded", "--exclude", "*.log"]).ends_with(", 1 deleted"));
    assert!(!world.remote("both.log").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn no_two_sources_become_the_same_name() {
    let world = World::new().await;
    let work = world.client.work();
    for name in ["1/d/one", "2/d/two"] {
        fs::create_dir_all(work.join(name).parent().unwrap()).unwrap();
        fs::write(work.join(name), name).unwrap();
    }
    for sources in [["1/d", "2/d"], ["t", "./t"]] {
        let refused = world.run(&["--delete", sources[0], sources[1], "many"]);
        assert_eq!(refused.code, Some(1), "{refused}");
        assert!(refused.err().contains("several sources would become /many/"), "{refused}");
        assert!(!world.host.home("ann").join("many").exists());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_destination_may_be_the_home_or_a_link() {
    let world = World::new().await;
    let home = world.host.home("ann");
    fs::create_dir(home.join("real")).unwrap();
    symlink("real", home.join("link")).unwrap();
    for target in ["link", "/", ".", "new/."] {
        let pushed = world.run(&["--max-delete", "0", "--delete", "t", target]);
        let is_home = matches!(target, "/" | ".");
        assert_eq!(pushed.code, Some(i32::from(is_home)), "{target}: {pushed}");
        // The folders of the other cases are extra.
        assert_eq!(pushed.err().contains("--max-delete"), is_home, "{target}: {pushed}");
    }
    assert!(
        home.join("d/e/f").is_file() && home.join("real/d/e/f").is_file() && home.join("new/a").is_file()
    );
    assert!(fs::symlink_metadata(home.join("link")).unwrap().is_symlink());
    // A source that is a link is the directory behind it, with its mode.
    symlink("t", world.client.work().join("source")).unwrap();
    world.run(&["source", "fromlink"]);
    assert_eq!(fs::metadata(home.join("fromlink")).unwrap().mode() & 0o777, 0o755);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_incomplete_source_is_reported() {
    let world = World::new().await;
    world.push(&[]);
    world.write("a.new", b"a get saved it");
    world.write("c.new/file", b"a directory of any name");
    let pushed = world.run(&["t", "t"]);
    assert!(pushed.code == Some(0) && pushed.err().contains("a.new: it belongs to"), "{pushed}");
    assert!(!world.remote("a.new").exists() && world.remote("c.new/file").exists());
    // What does not take part leaves a source empty.
    let work = world.client.work();
    fs::create_dir(work.join("empty")).unwrap();
    for name in ["x.o", ".x.sshome-part"] {
        fs::write(work.join("empty").join(name), "").unwrap();
    }
    let refused = world.run(&["--delete", "--exclude", "*.o", "empty", "t"]);
    assert_eq!(refused.code, Some(1), "{refused}");
    assert!(
        refused.err().contains("nothing in it is to be transferred") && world.remote("a").exists(),
        "{refused}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_deleted_if_anything_is_wrong() {
    let world = World::new().await;
    world.push(&[]);
    let refused = |arguments: &[&str], why: &str| {
        let before = paths(&world.host.home("ann")).len();
        let outcome = world.run(arguments);
        assert_eq!(outcome.code, Some(1), "{outcome}");
        assert!(outcome.err().contains(why), "{outcome}");
        assert_eq!(paths(&world.host.home("ann")).len(), before, "{outcome}");
    };
    let work = world.client.work();
    refused(&["--delete", "missing", "t"], "missing");
    refused(&["--delete", "t/a", "t"], "is not a directory");
    // An unmounted disk is an empty directory.
    fs::create_dir(work.join("unmounted")).unwrap();
    refused(&["--delete", "unmounted", "t"], "is a disk not mounted?");
    // Too many entries.
    for number in 0..150 {
        fs::write(world.remote(&number.to_string()), "").unwrap();
    }
    refused(&["--delete", "t", "t"], "--max-delete 150 allows that");
    refused(&["--delete", "--max-delete", "149", "t", "t"], "--max-delete 150 allows that");
    // One file fails.
    fs::create_dir(work.join("other")).unwrap();
    fs::create_dir(work.join("other/1")).unwrap();
    refused(&["--delete", "--max-delete", "1000", "other", "t"], "nothing is deleted: first fix what failed");
    refused(&["--max-delete", "9", "t", "t"], "--max-delete needs --delete");
    let allowed = world.push(&["--delete", "--max-delete", "150"]);
    assert!(allowed.ends_with(", 150 deleted"), "{allowed}");
    world.assert_same();
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
    ] {
        let pushed = world.run(arguments);
        assert_eq!(pushed.code, Some(0), "{pushed}");
        assert!(world.host.home("ann").join(target).is_file(), "{target}: {pushed}");
    }
    let again = world.run(&["t/a", "x/y"]);
    assert!(again.out().ends_with(", 1 unchanged\n"), "{again}");
}

#[tokio::test(flavor = "multi_thread")]
async fn programs_get_an_event_for_each_change() {
    let world = World::new().await;
    let pushed = world.client.run(["--json", "push", "t", "t"]).unwrap();
    let events: Vec<serde_json::Value> =
        pushed.out().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let changes = events.iter().filter(|event| event["event"] == "change").count();
    assert_eq!((changes, pushed.code), (9, Some(0)), "{pushed}");
    let again = world.client.run(["--json", "push", "t", "t"]).unwrap();
    let summary: serde_json::Value = serde_json::from_str(again.out().lines().last().unwrap()).unwrap();
    assert_eq!((&summary["files"], &summary["unchanged"]), (&0.into(), &5.into()), "{again}");
}

/// A world whose key has this access.
async fn restricted(access: &str) -> World {
    let limits = format!("access = \"{access}\"");
    let host = HostBuilder::new().unwrap().restricted_user("ann", "", &limits).unwrap();
    let host = host.start().await.unwrap();
    let client = Client::new(&host, "ann").unwrap();
    let world = World { host, client };
    for name in ["a", "b", "d/c"] {
        world.write(name, name.as_bytes());
    }
    world
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_that_may_only_add_does_not_try_to_change_anything() {
    let world = restricted("append-only").await;
    let notice = "this login may only add files";
    let first = world.run(&["--delete", "--backup-dir", "old", "t", "t"]);
    assert!(first.code == Some(0) && first.err().matches(notice).count() == 1, "{first}");
    world.assert_same();
    world.write("b", b"other");
    world.write("d/new", b"new");
    symlink("a", world.local("d/link")).unwrap();
    fs::write(world.remote("extra"), "extra").unwrap();
    symlink("b", world.remote("d/link")).unwrap();
    for name in ["", "d"] {
        age(&world.remote(name), 5);
    }
    let again = world.run(&["--delete", "t", "t"]);
    assert!(again.code == Some(0) && again.out().starts_with("1 file, "), "{again}");
    assert!(again.err().contains("2 files or links differ and were kept"), "{again}");
    assert_eq!(fs::read(world.remote("b")).unwrap(), b"b");
    assert_eq!(fs::read_link(world.remote("d/link")).unwrap(), PathBuf::from("b"));
    assert!(world.remote("extra").exists() && world.remote("d/new").exists());
    let file = world.run(&["t/b", "t/b"]);
    assert!(file.code == Some(0) && file.err().contains("1 file or link differs"), "{file}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_that_can_push_nothing_is_refused_before_anything_is_sent() {
    for (access, why) in [("read-only", "push can store nothing"), ("upload-only", "push cannot compare")] {
        let world = restricted(access).await;
        let refused = world.run(&["t", "t"]);
        assert!(refused.code == Some(1) && refused.err().contains(why), "{refused}");
        assert!(!world.remote("").exists());
        let listed = world.run(&["-n", "t", "t"]);
        assert_eq!(listed.code == Some(0), access == "read-only", "{listed}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_was_changed_just_now_is_compared_again_by_its_digest() {
    let world = World::new().await;
    world.push(&[]);
    let (now, long_ago) = (SystemTime::now() + Duration::from_millis(1900), UNIX_EPOCH);
    world.write("a", b"A");
    world.write("b", b"B");
    for (name, time) in [("a", now), ("b", long_ago)] {
        for path in [world.local(name), world.remote(name)] {
            fs::File::open(path).unwrap().set_modified(time).unwrap();
        }
    }
    // Size and time are the same.
    let pushed = world.push(&[]);
    assert!(pushed.starts_with("1 file, ") && pushed.ends_with(", 4 unchanged"), "{pushed}");
    assert_eq!(fs::read(world.remote("a")).unwrap(), b"A");
    assert_eq!(fs::read(world.remote("b")).unwrap(), b"b");
    assert!(world.push(&[]).starts_with("0 files, "));
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_names_that_fold_to_one_on_the_server_only_the_first_is_sent() {
    let mut host = HostBuilder::new().unwrap().user("ann", "").unwrap().prepare().unwrap();
    fs::create_dir_all(host.home("ann")).unwrap();
    let test = "of_two_names_that_fold_to_one_on_the_server_only_the_first_is_sent";
    let Some(_disk) = CoarseDisk::mounted_on(test, host.home("ann")) else { return };
    host.start().await.unwrap();
    let client = Client::new(&host, "ann").unwrap();
    let world = World { host, client };
    for name in ["a", "A", "d/f", "D/f", "plain"] {
        world.write(name, name.as_bytes());
    }
    for _ in 0..2 {
        let pushed = world.run(&["--delete", "t", "t"]);
        assert_eq!(pushed.code, Some(1), "{pushed}");
        assert_eq!(pushed.err().matches("the server takes its name for that of").count(), 2, "{pushed}");
        assert_eq!(paths(&world.remote("")).len(), 4, "{:?}", paths(&world.remote("")));
    }
    let all = paths(&world.host.home("ann"));
    assert!(!all.iter().any(|path| path.contains("sshome-part")), "{all:?}");
    // What the server has under the other name is not replaced or deleted.
    fs::remove_file(world.local("a")).unwrap();
    fs::remove_file(world.local("A")).unwrap();
    fs::remove_dir_all(world.local("D")).unwrap();
    let held = paths(&world.remote("")).into_iter().find(|name| name.eq_ignore_ascii_case("a")).unwrap();
    let other = if held == "a" { "A" } else { "a" };
    world.write(other, b"the other");
    let pushed = world.run(&["--delete", "t", "t"]);
    assert!(pushed.code == Some(1) && world.remote(&held).exists(), "{pushed}");
}
