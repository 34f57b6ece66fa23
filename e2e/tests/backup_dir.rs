//! `push` and `pull` with `--backup-dir`: old versions are kept, and nothing else changes.

use sshome_e2e::tree::{described, paths};
use sshome_e2e::{Client, CoarseDisk, Host, Outcome};
use std::fs;
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::{Path, PathBuf};

/// A server and a client, with a tree `t` on both sides: `a`, `d/b` and the link `l` differ, `x/y` exists only in the old one.
struct World {
    host: Host,
    client: Client,
}

impl World {
    /// `pulls`: the new tree is on the server.
    async fn new(settings: &str, pulls: bool) -> World {
        let host = Host::with_user("ann", settings).await.unwrap();
        let client = Client::new(&host, "ann").unwrap();
        let world = World { host, client };
        let (new, old) = match pulls {
            true => (world.remote("t"), world.local("t")),
            false => (world.local("t"), world.remote("t")),
        };
        for (top, text, target) in [(&new, "new", "d"), (&old, "old version", "a")] {
            write(&top.join("a"), text);
            write(&top.join("d/b"), text);
            symlink(target, top.join("l")).unwrap();
            fs::File::open(top.join("a")).unwrap().set_modified(std::time::UNIX_EPOCH).unwrap();
        }
        write(&old.join("x/y"), "extra");
        world
    }

    fn local(&self, name: &str) -> PathBuf {
        self.client.work().join(name)
    }

    fn remote(&self, name: &str) -> PathBuf {
        self.host.home("ann").join(name)
    }

    fn run(&self, command: &str, options: &[&str]) -> Outcome {
        self.client.run([&[command], options, &["t", "t"]].concat()).unwrap()
    }

    fn done(&self, command: &str, options: &[&str]) -> String {
        let done = self.run(command, options);
        assert_eq!(done.code, Some(0), "{done}");
        done.out().lines().last().unwrap_or_default().to_owned()
    }
}

fn write(path: &Path, content: &str) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, content).unwrap();
}

fn read(path: PathBuf) -> String {
    fs::read_to_string(path).unwrap()
}

/// The old versions that each command leaves in the backup directory.
fn assert_kept(backup: &Path) {
    assert_eq!(paths(backup), ["a", "d", "d/b", "l", "x", "x/y"]);
    assert_eq!(read(backup.join("a")), "old version");
    assert_eq!(read(backup.join("d/b")), "old version");
    assert_eq!(fs::read_link(backup.join("l")).unwrap(), Path::new("a"));
    assert_eq!(read(backup.join("x/y")), "extra");
    assert_eq!(fs::metadata(backup.join("a")).unwrap().mtime(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_push_or_pull_replaces_or_deletes_is_kept() {
    for command in ["push", "pull"] {
        let world = World::new("", command == "pull").await;
        let side = |name| if command == "pull" { world.local(name) } else { world.remote(name) };
        let options = ["--delete", "--backup-dir", "old"];
        let before = described(&side("t"));
        world.done(command, &[&options[..], &["-n"]].concat());
        assert!(!side("old").exists() && described(&side("t")) == before);
        let summary = world.done(command, &options);
        assert!(summary.starts_with("2 files, ") && summary.ends_with(", 2 deleted"), "{summary}");
        assert_kept(&side("old"));
        assert_eq!(described(&world.local("t")), described(&world.remote("t")));
        // No old version is the file that replaced it.
        assert_eq!(fs::metadata(side("t/a")).unwrap().nlink(), 1);
        assert!(world.done(command, &options).starts_with("0 files, "));
        // A newer old version replaces the older one.
        let source = if command == "pull" { world.remote("t/a") } else { world.local("t/a") };
        write(&source, "newer version");
        world.done(command, &options);
        assert_eq!((read(side("t/a")), read(side("old/a"))), ("newer version".into(), "new".into()));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_directory_in_the_destination_is_neither_transferred_nor_deleted() {
    for command in ["push", "pull"] {
        let world = World::new("", command == "pull").await;
        let side = |name| if command == "pull" { world.local(name) } else { world.remote(name) };
        let source = if command == "pull" { world.remote("t") } else { world.local("t") };
        // Also in a directory that is deleted, but for it.
        for backup in ["t/old", "t/x/z/old"] {
            let options = ["--delete-excluded", "--backup-dir", backup];
            world.done(command, &options);
            world.done(command, &options);
            assert_eq!(read(side(backup).join("a")), "old version", "{backup}");
            for name in ["a", "d/b"] {
                write(&side("t").join(name), "old version");
            }
            write(&side("t/x/y"), "extra");
        }
        assert!(!side("t/old").exists());
        write(&source.join("x/z/old/stray"), "stray");
        let skipped = world.run(command, &["--backup-dir", "t/x/z/old"]);
        assert!(skipped.err().contains("--backup-dir has its name"), "{skipped}");
        assert!(!side("t/x/z/old/stray").exists());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_kept_is_not_replaced() {
    for command in ["push", "pull"] {
        let world = World::new("", command == "pull").await;
        let side = |name| if command == "pull" { world.local(name) } else { world.remote(name) };
        // A directory has the name of an old version, or a file that of its directory.
        fs::create_dir_all(side("old/a")).unwrap();
        write(&side("old/d"), "");
        fs::create_dir_all(side("old/l")).unwrap();
        let before = described(&side("t/d"));
        let failed = world.run(command, &["--delete", "--backup-dir", "old"]);
        assert_eq!(failed.code, Some(1), "{failed}");
        assert_eq!(failed.err().matches("old version cannot be kept").count(), 3, "{failed}");
        assert_eq!((read(side("t/a")), described(&side("t/d"))), ("old version".into(), before));
        assert_eq!(fs::read_link(side("t/l")).unwrap(), Path::new("a"));
        assert!(side("t/x/y").exists(), "{failed}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn old_versions_count_against_the_quota() {
    let host = Host::with_user("ann", "quota = 30").await.unwrap();
    let client = Client::new(&host, "ann").unwrap();
    let world = World { host, client };
    for text in ["ten bytes.", "8 bytes."] {
        for name in ["a", "b"] {
            write(&world.local("t").join(name), text);
        }
        if text.len() == 10 {
            world.done("push", &[]);
        }
    }
    let failed = world.run("push", &["--delete", "--backup-dir", "old"]);
    assert!(failed.code == Some(1) && failed.err().contains("quota exceeded"), "{failed}");
    let mut stored = [read(world.remote("t/a")), read(world.remote("t/b"))];
    stored.sort();
    assert_eq!(stored, ["8 bytes.", "ten bytes."]);
    let usage = world.client.run(["df"]).unwrap();
    assert!(usage.out().contains(" 28\n"), "{usage}");
}

#[tokio::test(flavor = "multi_thread")]
async fn files_and_several_sources_are_kept_by_their_names() {
    let world = World::new("", false).await;
    write(&world.local("u/f"), "new");
    write(&world.remote("all/u/f"), "old version");
    write(&world.remote("all/t/a"), "old version");
    let pushed = world.client.run(["push", "--backup-dir", "old", "t", "u", "all"]).unwrap();
    assert_eq!(pushed.code, Some(0), "{pushed}");
    assert_eq!(paths(&world.remote("old")), ["t", "t/a", "u", "u/f"]);
    let pulled = world.client.run(["pull", "--backup-dir", "old", "all/u", "all/t", "."]).unwrap();
    assert_eq!(pulled.code, Some(0), "{pulled}");
    assert!(!world.local("old/u").exists(), "{pulled}");
    write(&world.remote("all/u/f"), "newer version");
    let pulled = world.client.run(["pull", "--backup-dir", "old", "all/u/f", "u/f"]).unwrap();
    assert_eq!(pulled.code, Some(0), "{pulled}");
    assert_eq!(
        (read(world.local("old/f")), read(world.local("u/f"))),
        ("new".into(), "newer version".into())
    );
    write(&world.local("u/f"), "newest");
    let pushed = world.client.run(["push", "--backup-dir", "old", "u/f", "all/u/"]).unwrap();
    assert_eq!(pushed.code, Some(0), "{pushed}");
    assert_eq!(read(world.remote("old/f")), "newer version");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unsuitable_backup_directory_is_refused_before_anything_is_changed() {
    for command in ["push", "pull"] {
        let world = World::new("", command == "pull").await;
        let side = |name| if command == "pull" { world.local(name) } else { world.remote(name) };
        let before = described(&side("t"));
        for backup in ["t", ".", "t/a", "t/."] {
            let refused = world.run(command, &["--delete", "--backup-dir", backup]);
            assert!(refused.code == Some(1) && refused.err().contains("--backup-dir"), "{backup}: {refused}");
        }
        assert_eq!(described(&side("t")), before);
        assert_eq!(world.run(command, &["--backup-dir", ""]).code, Some(2));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn on_a_disk_without_hard_links_old_versions_are_copied() {
    let test = "on_a_disk_without_hard_links_old_versions_are_copied";
    let world = World::new("", true).await;
    fs::remove_file(world.remote("t/l")).unwrap();
    fs::remove_dir_all(world.local("t")).unwrap();
    fs::create_dir(world.local("t")).unwrap();
    let Some(disk) = CoarseDisk::mounted_on(test, world.local("t")) else { return };
    write(&disk.path().join("a"), "old version");
    fs::File::open(disk.path().join("a")).unwrap().set_modified(std::time::UNIX_EPOCH).unwrap();
    write(&disk.path().join("x"), "extra");
    world.done("pull", &["--delete", "--backup-dir", "t/old"]);
    assert_eq!(paths(disk.path()), ["a", "d", "d/b", "old", "old/a", "old/x"]);
    let kept = disk.path().join("old/a");
    assert_eq!((read(kept.clone()), fs::metadata(kept).unwrap().mtime()), ("old version".into(), 0));
    assert_eq!(read(disk.path().join("a")), "new");
    // Another disk cannot take what is deleted.
    let refused = world.run("pull", &["--backup-dir", "old"]);
    assert!(refused.code == Some(1) && refused.err().contains("on the same disk"), "{refused}");
}
