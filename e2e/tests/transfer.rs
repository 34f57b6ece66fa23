//! Puts and gets by `sshome`, as a user runs it.

use rustix::fs::{CWD, FileType, Mode, mknodat};
use sshome_e2e::tree::{ODD_NAMES, contents, mode, names, noise, plant, set_mode};
use sshome_e2e::{Client, Host, Outcome};
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

async fn host() -> Host {
    Host::with_user("ann", "").await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn one_file_round_trips() {
    let host = host().await;
    let client = Client::new(&host, "ann").unwrap();
    let content = noise(3_000_000, "one");
    fs::write(client.work().join("a file"), &content).unwrap();
    let said = client.succeed(["put", "a file"]).unwrap();
    assert!(said.starts_with("1 file, 2.9 MiB in "), "{said}");
    assert!(fs::read(host.home("ann").join("a file")).unwrap() == content);
    client.succeed(["get", "a file", "back"]).unwrap();
    assert!(fs::read(client.work().join("back")).unwrap() == content);
    client.succeed(["put", "back", "other name"]).unwrap();
    assert!(fs::read(host.home("ann").join("other name")).unwrap() == content);
    assert_eq!(names(&client.work()).unwrap(), [&b"a file"[..], b"back"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tree_of_odd_names_survives_a_round_trip() {
    let host = host().await;
    let client = Client::new(&host, "ann").unwrap();
    let tree = client.work().join("tree");
    plant(&tree).unwrap();
    let planted = contents(&tree).unwrap();
    symlink("empty", tree.join("link")).unwrap();
    symlink("/etc", tree.join("link out")).unwrap();
    mknodat(CWD, tree.join("pipe"), FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();

    let put = client.run(["put", "-r", "tree"]).unwrap();
    assert_eq!(put.code, Some(0), "{put}");
    assert!(put.err().ends_with("tree/pipe: it is not a regular file\n"), "{put}");
    assert_eq!(put.err().lines().count(), 1, "{put}");
    let remote = host.home("ann").join("tree");
    assert!(contents(&remote).unwrap() == planted);
    assert_eq!(links(&remote), ["empty", "/etc"].map(PathBuf::from));

    let pipe = host.home("ann").join("tree/pipe");
    mknodat(CWD, pipe, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
    let get = client.run(["get", "-r", "tree", "back"]).unwrap();
    assert_eq!(get.code, Some(0), "{get}");
    assert_eq!(get.err(), "sshome: /tree/pipe: it is not a regular file\n", "{get}");
    let back = client.work().join("back");
    assert!(contents(&back).unwrap() == planted);
    assert_eq!(links(&back), ["empty", "/etc"].map(PathBuf::from));
    assert!(!back.join("pipe").exists());
    // Again, into the same folder: everything exists.
    fs::create_dir(client.work().join("in")).unwrap();
    fs::rename(&back, client.work().join("in/tree")).unwrap();
    let files = planted.values().flatten().count() + links(&remote).len();
    let again = client.succeed(["get", "-r", "tree", "in"]).unwrap();
    assert!(again.starts_with("0 files, ") && again.contains(&format!(", {files} unchanged")), "{again}");
    fs::rename(client.work().join("in/tree"), &back).unwrap();
    assert!(contents(&back).unwrap() == planted, "a second get changed something");
    // An existing folder gets the tree under its name.
    client.succeed(["put", "-r", "back", "tree"]).unwrap();
    assert!(contents(&host.home("ann").join("tree/back")).unwrap() == planted);
}

/// The targets of the tree's links.
fn links(tree: &Path) -> [PathBuf; 2] {
    ["link", "link out"].map(|name| fs::read_link(tree.join(name)).unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn every_odd_name_can_be_named() {
    let host = host().await;
    let client = Client::new(&host, "ann").unwrap();
    for name in ODD_NAMES {
        let name = OsStr::from_bytes(name);
        fs::write(client.work().join(name), name.as_bytes()).unwrap();
        let argument = |command: &'static str| {
            // A backslash keeps a star from matching on the server.
            let escaped: Vec<u8> = name.as_bytes().iter().fold(Vec::new(), |mut out, byte| {
                out.extend(b"*?[".contains(byte).then_some(b'\\'));
                out.push(*byte);
                out
            });
            let name = if command == "put" { name.as_bytes().to_vec() } else { escaped };
            [OsStr::new(command).to_owned(), "--".into(), OsStr::from_bytes(&name).to_owned()]
        };
        client.succeed(argument("put")).unwrap();
        assert_eq!(fs::read(host.home("ann").join(name)).unwrap(), name.as_bytes());
        fs::remove_file(client.work().join(name)).unwrap();
        client.succeed(argument("get")).unwrap();
        assert_eq!(fs::read(client.work().join(name)).unwrap(), name.as_bytes());
        client.succeed(argument("rm")).unwrap();
    }
    assert_eq!(names(&host.home("ann")).unwrap(), [b".sshome-staging"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn times_and_modes_are_kept_with_p_only() {
    let host = host().await;
    let client = Client::new(&host, "ann").unwrap();
    let begun = SystemTime::now() - Duration::from_secs(5);
    let long_ago = SystemTime::UNIX_EPOCH + Duration::new(1_000_000_000, 123_456_789);
    let tree = client.work().join("tree");
    fs::create_dir_all(tree.join("private")).unwrap();
    for (name, bits) in [("plain", 0o640), ("tool", 0o755), ("private/read-only", 0o400)] {
        fs::write(tree.join(name), name).unwrap();
        fs::File::open(tree.join(name)).unwrap().set_modified(long_ago).unwrap();
        set_mode(tree.join(name), bits).unwrap();
    }
    set_mode(tree.join("private"), 0o700).unwrap();
    client.succeed(["put", "-r", "-p", "tree", "kept"]).unwrap();
    client.succeed(["put", "-r", "tree", "new"]).unwrap();
    client.succeed(["get", "-r", "-p", "kept"]).unwrap();
    client.succeed(["get", "-r", "kept", "new"]).unwrap();
    for place in [host.home("ann"), client.work()] {
        for (name, bits) in [("plain", 0o640), ("tool", 0o755), ("private/read-only", 0o400)] {
            let kept = place.join("kept").join(name);
            assert_eq!(mode(&kept).unwrap(), bits, "{}", kept.display());
            assert_eq!(fs::metadata(&kept).unwrap().modified().unwrap(), long_ago, "{}", kept.display());
            let new = place.join("new").join(name);
            assert!(fs::metadata(&new).unwrap().modified().unwrap() >= begun, "{}", new.display());
        }
        assert_eq!(mode(place.join("kept/private")).unwrap(), 0o700);
    }
    for name in ["plain", "tool", "private/read-only"] {
        assert_eq!(mode(host.home("ann").join("new").join(name)).unwrap(), 0o644);
        let got = mode(client.work().join("new").join(name)).unwrap();
        assert_eq!(got & 0o7022, 0, "{name} can be written by others: {got:o}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn existing_folders_keep_their_modes() {
    let host = host().await;
    let client = Client::new(&host, "ann").unwrap();
    let (there, here) = (host.home("ann").join("tree/sub"), client.work().join("tree/sub"));
    fs::create_dir_all(&there).unwrap();
    fs::create_dir_all(&here).unwrap();
    fs::write(here.join("f"), "f").unwrap();
    for flags in ["-r", "-rp"] {
        set_mode(&there, 0o750).unwrap();
        set_mode(there.parent().unwrap(), 0o711).unwrap();
        set_mode(&here, 0o777).unwrap();
        client.succeed(["put", flags, "tree"]).unwrap();
        assert_eq!(
            (mode(&there).unwrap(), mode(there.parent().unwrap()).unwrap()),
            (0o750, 0o711),
            "{flags}"
        );
        client.succeed(["get", flags, "tree"]).unwrap();
        assert_eq!(mode(&here).unwrap(), 0o777, "{flags}");
    }
    // A replaced file keeps its mode, too.
    set_mode(there.join("f"), 0o604).unwrap();
    fs::write(here.join("f"), "g").unwrap();
    client.succeed(["put", "-r", "tree"]).unwrap();
    assert_eq!(mode(there.join("f")).unwrap(), 0o604);
}

#[tokio::test(flavor = "multi_thread")]
async fn globs_and_several_names_work_on_both_sides() {
    let host = host().await;
    let client = Client::new(&host, "ann").unwrap();
    for name in ["a.txt", "b.txt", "c.bin", ".d.txt"] {
        fs::write(client.work().join(name), name).unwrap();
    }
    let script = "mkdir texts\nput *.txt texts\nput '*.txt'\n";
    let put = client.script(script).unwrap();
    assert_eq!(put.code, Some(1), "a quoted star is a name: {put}");
    assert_eq!(names(&host.home("ann").join("texts")).unwrap(), [b"a.txt", b"b.txt"]);

    fs::create_dir(client.work().join("got")).unwrap();
    client.succeed(["get", "texts/[ab].t?t", "got"]).unwrap();
    assert_eq!(names(&client.work().join("got")).unwrap(), [b"a.txt", b"b.txt"]);
    client.succeed(["put", "c.bin", ".d.txt", "texts"]).unwrap();
    fs::create_dir(client.work().join("two")).unwrap();
    client.succeed(["get", "texts/c.bin", "texts/.d.txt", "two"]).unwrap();
    assert_eq!(names(&client.work().join("two")).unwrap(), [&b".d.txt"[..], b"c.bin"]);
    for (arguments, why) in [
        (&["get", "texts/a.txt", "texts/b.txt", "nowhere"][..], "is not a directory"),
        (&["put", "a.txt", "b.txt", "nowhere"], "nowhere"),
        (&["get", "texts/*.png"], "no match for texts/*.png"),
    ] {
        let outcome = client.run(arguments).unwrap();
        assert_eq!(outcome.code, Some(1), "{outcome}");
        assert!(outcome.err().contains(why), "{outcome}");
    }
    assert!(!client.work().join("nowhere").exists() && !host.home("ann").join("nowhere").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_get_leaves_existing_files_alone() {
    let host = host().await;
    let client = Client::new(&host, "ann").unwrap();
    let (there, here) = (host.home("ann").join("f"), client.work().join("f"));
    let read = |name: &str| fs::read_to_string(client.work().join(name)).unwrap();
    fs::write(&there, "first").unwrap();
    fs::write(&here, "first").unwrap();
    let before = fs::metadata(&here).unwrap();
    let said = client.succeed(["get", "f"]).unwrap();
    assert!(said.contains("0 files") && said.contains("1 unchanged"), "{said}");
    assert_eq!(fs::metadata(&here).unwrap().ino(), before.ino());

    for (content, saved) in [("other", "f.new"), ("later", "f.new.1"), ("later", "f.new.1")] {
        fs::write(&there, content).unwrap();
        let said = client.succeed(["get", "f"]).unwrap();
        assert!(said.contains(&format!("{saved}: ")) && said.contains("has other content"), "{said}");
        assert_eq!((read("f"), read(saved)), ("first".to_owned(), content.to_owned()));
    }
    client.succeed(["get", "--force", "f"]).unwrap();
    assert_eq!((read("f"), read("f.new")), ("later".to_owned(), "other".to_owned()));
    assert_ne!(fs::metadata(&here).unwrap().ino(), before.ino(), "it was not replaced by a rename");
    assert_eq!(names(&client.work()).unwrap(), [&b"f"[..], b"f.new", b"f.new.1"]);
    // The longest name has no room for `.new`.
    let long = "n".repeat(255);
    fs::write(host.home("ann").join(&long), "theirs").unwrap();
    fs::write(client.work().join(&long), "ours").unwrap();
    let failed = client.run(["get", &long]).unwrap();
    assert!(failed.code == Some(1) && failed.err().contains(".new is too long a name: "), "{failed}");
    assert_eq!(read(&long), "ours");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_failure_does_not_stop_the_rest() {
    let host = host().await;
    let client = Client::new(&host, "ann").unwrap();
    let tree = client.work().join("tree");
    fs::create_dir(&tree).unwrap();
    for i in 0..50 {
        fs::write(tree.join(format!("f{i}")), format!("{i}")).unwrap();
    }
    // A folder is in the place of a file, locally and on the server.
    fs::create_dir_all(host.home("ann").join("tree/f7")).unwrap();
    let put = client.run(["put", "-r", "tree"]).unwrap();
    assert_eq!(put.code, Some(1), "{put}");
    assert!(put.out().starts_with("49 files, ") && put.out().contains("1 failed"), "{put}");
    assert!(put.err().starts_with("sshome: wrong type: /tree/f7 is a directory"), "{put}");
    assert_eq!(put.err().lines().count(), 1, "{put}");
    assert_eq!(contents(&host.home("ann").join("tree")).unwrap().values().flatten().count(), 49);

    fs::create_dir_all(client.work().join("back/f9")).unwrap();
    fs::remove_dir(host.home("ann").join("tree/f7")).unwrap();
    let get = client.script("get -r tree/f* back\n").unwrap();
    assert_eq!(get.code, Some(1), "{get}");
    assert!(get.out().starts_with("48 files, "), "{get}");
    assert!(get.err().starts_with("sshome: /tree/f9: a local directory has this name"), "{get}");
    let arrived = contents(&client.work().join("back")).unwrap();
    let want = contents(&host.home("ann").join("tree")).unwrap();
    assert!(want.iter().all(|(name, hash)| name == Path::new("f9") || arrived.get(name) == Some(hash)));
    assert_eq!((arrived.len(), arrived.get(Path::new("f9"))), (49, Some(&None)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_local_directory_is_reported() {
    let host = host().await;
    let client = Client::new(&host, "ann").unwrap();
    fs::create_dir(host.home("ann").join("d")).unwrap();
    fs::write(host.home("ann").join("d/f"), "f").unwrap();
    for (arguments, what) in [(&["get", "d/f", "none/g"][..], "/d/f"), (&["get", "-r", "d", "none/d"], "/d")]
    {
        let failed = client.run(arguments).unwrap();
        assert_eq!(failed.code, Some(1), "{failed}");
        let said = format!("sshome: {what}: the local directory ");
        assert!(
            failed.err().starts_with(&said) && failed.err().contains("/work/none does not exist"),
            "{failed}"
        );
    }
    // Entries below it have no failures.
    fs::create_dir_all(host.home("ann").join("d/sub/deep")).unwrap();
    symlink("f", host.home("ann").join("d/sub/link")).unwrap();
    fs::write(client.work().join("file"), "").unwrap();
    let failed = client.run(["get", "-r", "d", "file"]).unwrap();
    assert!(failed.err().starts_with("sshome: /d: ") && failed.err().lines().count() == 1, "{failed}");
    assert!(failed.err().contains("/work/file exists locally and is not a directory;"), "{failed}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_special_file_given_by_name_is_a_failure() {
    let host = host().await;
    let client = Client::new(&host, "ann").unwrap();
    for folder in [client.work(), host.home("ann")] {
        mknodat(CWD, folder.join("fifo"), FileType::Fifo, Mode::RUSR, 0).unwrap();
    }
    for arguments in [["put", "fifo"], ["put", "/dev/zero"], ["get", "fifo"]] {
        let failed = client.run(arguments).unwrap();
        assert!(failed.code == Some(1) && failed.err().contains("regular file"), "{failed}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn failures_with_one_cause_share_one_line() {
    let host = host().await;
    let client = Client::new(&host, "ann").unwrap();
    let tree = client.work().join("tree");
    fs::create_dir(&tree).unwrap();
    for i in 0..300 {
        fs::write(tree.join(format!("f{i}")), "x").unwrap();
    }
    let put = client.run(["put", "-r", "tree", "nodir/x"]).unwrap();
    assert_eq!((put.code, put.err().lines().count()), (Some(1), 1), "{put}");
    let said = put.err();
    assert!(said.contains("no such directory") && said.contains("/nodir"), "{put}");
    assert!(said.ends_with("; and 300 more for the same reason\n"), "{put}");
    // Programs get an event for each.
    let mut command = client.command().unwrap();
    command.arg("--json").arg(client.destination()).args(["put", "-r", "tree", "nodir/x"]);
    let outcome = Outcome::from(command.output().unwrap());
    assert_eq!(outcome.out().matches("\"event\":\"failed\"").count(), 301, "{outcome}");
    let one = client.run(["put", "tree/f1", "nodir/x"]).unwrap();
    assert!(one.err().contains("/nodir") && !one.err().contains("no such directory: /nodir/x"), "{one}");
    fs::create_dir(host.home("ann").join("dir")).unwrap();
    for directory in ["/", "dir"] {
        let get = client.run(["get", directory]).unwrap();
        assert!(get.code == Some(1) && get.err().contains("is a directory: use get -r"), "{get}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn planted_links_are_not_followed_out() {
    let host = host().await;
    let client = Client::new(&host, "ann").unwrap();
    fs::create_dir_all(host.home("ann").join("tree/sub")).unwrap();
    fs::write(host.home("ann").join("tree/sub/f"), "from the server").unwrap();
    fs::write(host.home("ann").join("tree/g"), "from the server").unwrap();
    let outside = client.home().join("outside");
    fs::create_dir(&outside).unwrap();
    fs::write(outside.join("g"), "mine").unwrap();
    fs::create_dir(client.work().join("tree")).unwrap();
    symlink(&outside, client.work().join("tree/sub")).unwrap();
    for flags in ["-r", "-rf"] {
        let link = client.work().join("tree/g");
        drop(fs::remove_file(&link));
        symlink(outside.join("g"), &link).unwrap();
        let get = client.run(["get", flags, "tree"]).unwrap();
        assert_eq!(get.code, Some(1), "{get}");
        assert!(get.err().contains("sub exists locally and is not a directory"), "{get}");
        assert_eq!(names(&outside).unwrap(), [b"g"], "{flags}");
        assert_eq!(fs::read(outside.join("g")).unwrap(), b"mine", "{flags}");
    }
    assert_eq!(fs::read(client.work().join("tree/g.new")).unwrap(), b"from the server");
    assert_eq!(fs::read(client.work().join("tree/g")).unwrap(), b"from the server");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_over_the_quota_is_refused_and_the_rest_arrives() {
    let host = Host::with_user("ann", "quota = \"1 MiB\"").await.unwrap();
    let client = Client::new(&host, "ann").unwrap();
    fs::create_dir(client.work().join("tree")).unwrap();
    for (name, length) in [("a", 1000), ("big", 3 << 20), ("z", 1000)] {
        fs::write(client.work().join("tree").join(name), noise(length, name)).unwrap();
    }
    let put = client.run(["put", "-r", "tree"]).unwrap();
    assert_eq!(put.code, Some(1), "{put}");
    assert!(put.err().starts_with("sshome: /tree/big: quota exceeded: "), "{put}");
    assert!(
        put.err().contains(" needs 3.0 MiB, ") && put.err().ends_with(" of 1.0 MiB are left (405)\n"),
        "{put}"
    );
    assert_eq!(names(&host.home("ann").join("tree")).unwrap(), [b"a", b"z"]);
    let df = client.succeed(["df"]).unwrap();
    assert!(df.lines().any(|line| line.split_whitespace().eq(["used", "2000"])), "{df}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_abandoned_partial_file_is_replaced_and_one_in_use_is_left_alone() {
    let host = host().await;
    let client = Client::new(&host, "ann").unwrap();
    fs::write(host.home("ann").join("f"), "whole").unwrap();
    let part = client.work().join(".f.sshome-part");
    fs::write(&part, "wholly different").unwrap();
    let other = fs::File::open(&part).unwrap();
    other.lock().unwrap();
    client.succeed(["get", "f"]).unwrap();
    assert_eq!(fs::read(client.work().join("f")).unwrap(), b"whole");
    assert_eq!(fs::read(&part).unwrap(), b"wholly different");
    drop(other);
    fs::remove_file(client.work().join("f")).unwrap();
    client.succeed(["get", "f"]).unwrap();
    assert_eq!(fs::read(client.work().join("f")).unwrap(), b"whole");
    assert_eq!(names(&client.work()).unwrap(), [b"f"]);
}
