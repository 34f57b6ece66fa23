//! Trees: copied, moved, removed, packed.

use super::{Mounted, sshd};
use sshome_e2e::foreign::program;
use sshome_e2e::tree::{contents, mode, names, on_disk, plant, set_mode};
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::{Path, PathBuf};

/// Checks that a copy of a tree is complete: paths, content, modes, times.
#[track_caller]
fn assert_copy(copy: &Path, tree: &Path) {
    assert_eq!(contents(copy).unwrap(), contents(tree).unwrap(), "{}", copy.display());
    let (found, wanted) = (attributes(copy), attributes(tree));
    let other = |(path, wanted): &(&PathBuf, &(u32, i64))| found.get(*path) != Some(*wanted);
    let others: Vec<_> =
        wanted.iter().filter(other).map(|(path, wanted)| (path, wanted, found.get(path))).collect();
    assert!(others.is_empty(), "{}: path, wanted, found: {others:?}", copy.display());
}

/// The modes of a tree, and its times in seconds, as in SFTP version 3.
fn attributes(top: &Path) -> BTreeMap<PathBuf, (u32, i64)> {
    let mut found = BTreeMap::new();
    let mut folders = vec![top.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            let stat = path.symlink_metadata().unwrap();
            if stat.is_dir() {
                folders.push(path.clone());
            }
            found.insert(path.strip_prefix(top).unwrap().to_owned(), (stat.mode(), stat.mtime()));
        }
    }
    found
}

/// A tree of odd names, modes, old times, and a file with two names.
fn plant_with_modes(top: &Path) {
    fs::create_dir(top).unwrap();
    plant(top).unwrap();
    fs::hard_link(top.join("large"), top.join("odd/another name")).unwrap();
    for (name, mode) in [("empty", 0o600), ("large", 0o755), ("folder 2", 0o700), ("folder 3/file-1", 0o444)]
    {
        set_mode(top.join(name), mode).unwrap();
    }
    let old = std::time::UNIX_EPOCH + std::time::Duration::from_secs(1_000_000_000);
    for name in ["large", "folder 4/file-1", "folder 5"] {
        fs::File::open(top.join(name)).unwrap().set_modified(old).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn cp_copies_both_ways() {
    let Some(home) = Mounted::new("cp_copies_both_ways", "").await else { return };
    plant_with_modes(&home.here("tree"));
    home.does("cp", &[&"-a", &"tree", &home.there("copy")]);
    home.does("cp", &[&"-a", &home.there("copy"), &"back"]);
    for copy in [home.there("copy"), home.stored("copy"), home.here("back")] {
        assert_copy(&copy, &home.here("tree"));
    }
    // On the server's disk they are two names of one file, too. sshfs does not show that.
    let inode = |name| fs::metadata(home.stored("copy").join(name)).unwrap().ino();
    assert_eq!(inode("large"), inode("odd/another name"));
}

#[tokio::test(flavor = "multi_thread")]
async fn mv_and_rm_work() {
    let Some(home) = Mounted::new("mv_and_rm_work", "").await else { return };
    plant_with_modes(&home.here("tree"));
    let wanted = contents(&home.here("tree")).unwrap();
    home.does("cp", &[&"-a", &"tree", &home.there("a")]);
    home.does("mkdir", &[&"-p", &home.there("deep/er")]);
    home.does("mv", &[&home.there("a"), &home.there("deep/er")]);
    assert_eq!(contents(&home.stored("deep/er/a")).unwrap(), wanted);
    // Onto an existing name: a file is replaced, a folder with entries is not.
    home.does("mv", &[&home.there("deep/er/a/large"), &home.there("deep/er/a/empty")]);
    assert_eq!(fs::metadata(home.stored("deep/er/a/empty")).unwrap().len(), 5_000_000);
    assert_eq!(mode(home.stored("deep/er/a/empty")).unwrap(), 0o755);
    home.does("mkdir", &[&home.there("x")]);
    home.refuses("mv", &[&"-T", &home.there("x"), &home.there("deep/er/a")]);
    // From one disk to another.
    home.does("mv", &[&home.there("deep"), &home.here("moved")]);
    assert!(!home.stored("deep").exists());
    home.does("mv", &[&home.here("moved"), &home.there("deep")]);
    assert_eq!(names(&home.stored("deep")).unwrap(), [b"er"]);
    home.does("rm", &[&"-r", &home.there("deep"), &home.there("x")]);
    assert_eq!(on_disk(&home.host.home("ann")), (0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn tar_packs_and_unpacks() {
    let Some(home) = Mounted::new("tar_packs_and_unpacks", "").await else { return };
    plant_with_modes(&home.here("tree"));
    // An archive that is unpacked in the home, one that is made of files in the home, and one that is stored there.
    home.does("tar", &[&"-cf", &"in.tar", &"tree"]);
    home.does("tar", &[&"-xpf", &"in.tar", &"-C", &home.there("")]);
    home.does("tar", &[&"-czf", &home.there("out.tgz"), &"-C", &home.there(""), &"tree"]);
    home.does("mkdir", &[&"back"]);
    home.does("tar", &[&"-xpzf", &home.there("out.tgz"), &"-C", &"back"]);
    for copy in [home.stored("tree"), home.here("back/tree")] {
        assert_copy(&copy, &home.here("tree"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_rsync_transfers_nothing() {
    let test = "a_second_rsync_transfers_nothing";
    let Some(_) = program("rsync", test) else { return };
    let Some(home) = Mounted::new(test, "").await else { return };
    plant_with_modes(&home.here("tree"));
    let rsync =
        || home.does("rsync", &[&"-rlptgo", &"--delete", &"--itemize-changes", &"tree", &home.there("")]);
    assert!(!rsync().is_empty());
    assert_eq!(rsync(), "");
    fs::remove_file(home.here("tree/empty")).unwrap();
    fs::write(home.here("tree/large"), b"shorter now").unwrap();
    let changes = rsync();
    assert!(changes.contains("*deleting   tree/empty\n") && changes.contains(" tree/large\n"), "{changes}");
    assert_copy(&home.stored("tree"), &home.here("tree"));
}

#[tokio::test(flavor = "multi_thread")]
async fn several_connections_and_no_cache_work() {
    let test = "several_connections_and_no_cache_work";
    for options in [&["max_conns=4"][..], &["cache=no", "sshfs_sync"], &["direct_io"]] {
        let Some(home) = Mounted::with_options(test, "", options).await else { return };
        plant_with_modes(&home.here("tree"));
        home.does("cp", &[&"-a", &"tree", &home.there("copy")]);
        home.does("cp", &[&"-a", &home.there("copy"), &"back"]);
        let wanted = contents(&home.here("tree")).unwrap();
        assert_eq!(contents(&home.stored("copy")).unwrap(), wanted, "{options:?}");
        assert_eq!(contents(&home.here("back")).unwrap(), wanted, "{options:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_of_many_files_works() {
    let Some(home) = Mounted::new("a_folder_of_many_files_works", "").await else { return };
    fs::create_dir(home.stored("many")).unwrap();
    for number in 0..3000 {
        fs::write(home.stored("many").join(format!("{number:0100}")), b"").unwrap();
    }
    assert_eq!(home.does("ls", &[&"-f", &home.there("many")]).lines().count(), 3002);
    assert_eq!(home.does("find", &[&home.there("many"), &"-name", &"*7"]).lines().count(), 300);
    home.does("rm", &[&"-r", &home.there("many")]);
    assert_eq!(names(&home.stored("")).unwrap(), [b".sshome-staging"]);
}

/// With every server, sshfs sets the attributes of a link's target instead of the link's own, and fails if the target
/// is missing.
#[tokio::test(flavor = "multi_thread")]
async fn links_are_copied_as_by_sshd() {
    let test = "links_are_copied_as_by_sshd";
    let Some(home) = Mounted::new(test, "").await else { return };
    let links = [
        ("a", "f"),
        ("b", "d/../f"),
        ("c", "/nowhere/at all"),
        ("d/e", "../f"),
        ("d/g", "nothing"),
        ("h", "h"),
    ];
    fs::create_dir_all(home.here("tree/d")).unwrap();
    fs::write(home.here("tree/f"), b"content").unwrap();
    links.iter().for_each(|(name, target)| symlink(target, home.here("tree").join(name)).unwrap());
    home.does("tar", &[&"-cf", &"tree.tar", &"tree"]);
    let copy = |top: &Path| {
        fs::create_dir(top.join("tar")).unwrap();
        let outcomes = [
            home.command("cp", &[&"-a", &"tree", &top]).output().unwrap(),
            home.command("tar", &[&"-xpf", &"tree.tar", &"-C", &top.join("tar")]).output().unwrap(),
        ];
        for (name, target) in links {
            for tree in ["tree", "tar/tree"] {
                assert_eq!(
                    fs::read_link(top.join(tree).join(name)).unwrap(),
                    Path::new(target),
                    "{tree}/{name}"
                );
            }
        }
        assert_eq!(fs::read(top.join("tree/d/e")).unwrap(), b"content");
        outcomes.map(|outcome| {
            let said = String::from_utf8(outcome.stderr).unwrap().replace(top.to_str().unwrap(), "TOP");
            (outcome.status.code(), said)
        })
    };
    let ours = copy(&home.there(""));
    let Some(theirs) = sshd(test).await else { return };
    assert_eq!(ours, copy(&theirs.mount.path().join("")));
}

#[tokio::test(flavor = "multi_thread")]
async fn absolute_links_stay_in_the_home_with_transform_symlinks() {
    let test = "absolute_links_stay_in_the_home_with_transform_symlinks";
    for option in ["transform_symlinks", "follow_symlinks"] {
        let Some(home) = Mounted::with_options(test, "", &[option]).await else { return };
        fs::create_dir(home.stored("d")).unwrap();
        fs::write(home.stored("f"), b"content").unwrap();
        symlink("/f", home.stored("d/l")).unwrap();
        assert_eq!(home.does("cat", &[&home.there("d/l")]), "content", "{option}");
    }
}
