//! Homes are opened at once, and counted in the background.
#![allow(clippy::unwrap_used, clippy::panic, reason = "that is how tests fail")]

use rustix::fs::{CWD, FileType, Mode, mknodat};
use sshome_store::conformance::CountHold;
use sshome_store::quota::{Comparison, QuotaLimits};
use sshome_store::{
    Cause, Ctx, Home, HomeSettings, HomeStore, MakeDirectory, PrepareError, PublishResult, Replace,
    StepLimit, StoreResult, Takeover, UploadPermissions, UploadSpec,
};
use sshome_store_posix::{CountPhase, PosixStore, STAGING_DIRECTORY};
use sshome_wire::RemotePath;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;

/// A store with homes in a folder, whose counts are held.
struct World {
    folder: TempDir,
    hold: CountHold<CountPhase>,
    store: Arc<dyn HomeStore>,
}

impl World {
    fn new() -> World {
        let hold = CountHold::held();
        World { folder: TempDir::with_prefix("sshome-counting-").unwrap(), store: observed(&hold), hold }
    }

    fn settings(&self, user: &str) -> HomeSettings {
        HomeSettings {
            user: user.to_owned(),
            root: self.root(user),
            make_root: true,
            unfit: None,
            writable: true,
            limits: QuotaLimits { bytes: Some(1 << 20), entries: None },
        }
    }

    fn root(&self, user: &str) -> PathBuf {
        self.folder.path().canonicalize().unwrap().join(user)
    }

    /// Makes a home with files of one byte.
    fn fill(&self, user: &str, files: &[&str]) {
        for file in files {
            let file = self.root(user).join(file);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, "x").unwrap();
        }
    }

    fn serve(&self, users: &[&str]) {
        let homes: Vec<_> = users.iter().map(|user| self.settings(user)).collect();
        self.store.serve(&homes).unwrap();
    }

    fn login(&self, user: &str) -> Arc<dyn Home> {
        self.store.open(&Ctx::default(), &self.settings(user)).unwrap()
    }

    /// Waits until a home has been counted, and compares its accounting with a scan.
    fn assert_counted(&self, user: &str, bytes: u64, entries: u64) {
        let home = self.login(user);
        home.counting().into_iter().for_each(|counting| counting.end.block());
        let used = home.usage().usage.used;
        assert_eq!((used.bytes, used.entries), (bytes, entries));
        let Comparison::Compared { recorded, found, .. } = self.store.count(user).unwrap() else {
            panic!("nothing changes it")
        };
        assert_eq!(recorded, found);
    }
}

fn observed(hold: &CountHold<CountPhase>) -> Arc<dyn HomeStore> {
    let hold = hold.clone();
    Arc::new(PosixStore::observed(move |user, phase| hold.pass(user, phase)))
}

fn path(name: &str) -> RemotePath {
    RemotePath::root().join(name.as_bytes()).unwrap()
}

fn put(home: &dyn Home, name: &str) -> StoreResult<()> {
    let permissions = UploadPermissions::Inherited(0o666);
    let spec =
        UploadSpec { size: Some(1), mtime: None, source: None, permissions, resume: 0, exclusive: false };
    let mut upload = home.begin_upload(&path(name), &spec, None, &Takeover::new(|| {}))?;
    upload.write(b"x")?;
    let item = upload.finish(1, None)?;
    match home.publish(vec![item], Vec::new()).items.pop().unwrap() {
        PublishResult::Done { .. } => Ok(()),
        other => panic!("{other:?}"),
    }
}

fn waits<T>(result: StoreResult<T>) -> bool {
    matches!(result.err().unwrap().cause(), Some(Cause::Counting { .. }))
}

#[test]
fn homes_whose_users_log_in_are_counted_first_and_two_at_a_time() {
    let world = World::new();
    world.serve(&["a", "b", "c", "d", "e"]);
    let mut first: Vec<_> = world.hold.reached(2).into_iter().map(|(user, _)| user).collect();
    first.sort();
    // All homes are on one disk.
    let (_e, _d) = (world.login("e"), world.login("d"));
    let _again = world.login("e");
    assert_eq!(world.hold.reached(2).len(), 2);
    // One of the two ends, and the next begins.
    let mut others = vec!["a", "b", "c", "d", "e"];
    others.retain(|user| !first.iter().any(|other| other == user));
    others.sort_by_key(|user| match *user {
        "e" => 0,
        "d" => 1,
        _ => 2,
    });
    for (number, user) in others.iter().enumerate() {
        // A count has two phases. Any of the held counts may pass, so all that have begun are let through.
        let mut moments = world.hold.reached(0).len();
        while world.hold.reached(moments).iter().filter(|(_, phase)| *phase == CountPhase::Begins).count()
            < 3 + number
        {
            world.hold.pass_one();
            moments += 1;
        }
        let reached = world.hold.reached(moments);
        let begins: Vec<_> = reached.iter().filter(|(_, phase)| *phase == CountPhase::Begins).collect();
        // The others come in any order: several threads have opened them.
        if ["e", "d"].contains(user) {
            assert_eq!(begins.last().unwrap().0, *user, "{reached:?}");
        }
    }
    world.hold.release();
    for user in ["a", "b", "c", "d", "e"] {
        world.assert_counted(user, 0, 0);
    }
}

#[test]
fn removals_repeat_a_count_until_they_have_to_wait() {
    let world = World::new();
    world.fill("ann", &["f1", "f2", "f3", "f4", "d/f", "g"]);
    world.serve(&["ann"]);
    let home = world.login("ann");
    for number in 1..=3 {
        world.hold.pass_one();
        world.hold.wait_for(2 * number);
        // The scan may or may not have found it.
        home.remove_file(&path(&format!("f{number}"))).unwrap();
        assert!(waits(put(&*home, "new")));
        world.hold.pass_one();
        world.hold.wait_for(2 * number + 1);
    }
    // The fourth count is not disturbed.
    assert!(home.counting().unwrap().removals_wait);
    assert!(waits(home.remove_file(&path("f4"))) && waits(home.remove_directory(&path("d"))));
    assert!(waits(home.remove_tree(&path("d"), &mut |_, _| {}).map(drop)));
    world.hold.release();
    world.assert_counted("ann", 3, 4);
    home.remove_file(&path("f4")).unwrap();
    put(&*home, "new").unwrap();
    world.assert_counted("ann", 3, 4);
}

#[test]
fn a_removal_in_progress_pauses_when_removals_have_to_wait() {
    let world = World::new();
    world.fill("ann", &["d/1", "d/2", "d/3", "f1", "f2", "f3"]);
    world.serve(&["ann"]);
    let home = world.login("ann");
    let mut removal = home.remove_tree(&path("d"), &mut |_, _| {}).unwrap();
    let mut step = |entries| removal.step(StepLimit::entries(entries), &mut |_, _| {}, &mut |_| {});
    for number in 1..=3 {
        world.hold.pass_one();
        world.hold.wait_for(2 * number);
        home.remove_file(&path(&format!("f{number}"))).unwrap();
        if number == 1 {
            assert_eq!(step(1), Ok(false));
        }
        world.hold.pass_one();
        world.hold.wait_for(2 * number + 1);
    }
    assert!(waits(step(10)));
    world.hold.release();
    home.counting().into_iter().for_each(|counting| counting.end.block());
    while !step(10).unwrap() {}
    world.assert_counted("ann", 0, 0);
}

#[test]
fn a_rename_during_a_scan_prevents_the_comparison() {
    let world = World::new();
    world.fill("ann", &["d/f"]);
    world.serve(&["ann"]);
    world.hold.release();
    world.assert_counted("ann", 1, 2);
    let home = world.login("ann");
    let how = MakeDirectory::default();
    home.make_directory(&path("e"), how).unwrap();
    // The scan may find the file in both directories, or in neither.
    let scanned = scanned_while(&world, || {
        home.rename(&path("d/f"), &path("e/f"), Replace::Never).unwrap();
    });
    assert_eq!(scanned, Comparison::Busy);
    assert!(matches!(scanned_while(&world, || {}), Comparison::Compared { .. }));
}

/// Counts a home while something is done.
fn scanned_while(world: &World, act: impl Fn()) -> Comparison {
    let before = world.hold.reached(0).len();
    world.hold.hold();
    std::thread::scope(|scope| {
        let counted = scope.spawn(|| world.store.count("ann").unwrap());
        world.hold.pass_one();
        assert_eq!(world.hold.reached(before + 2).last().unwrap().1, CountPhase::Scanned);
        act();
        world.hold.release();
        counted.join().unwrap()
    })
}

#[test]
fn a_store_dropped_during_a_count_releases_its_homes() {
    let world = World::new();
    world.fill("ann", &["f"]);
    world.serve(&["ann"]);
    world.hold.wait_for(1);
    let World { folder, hold, store } = world;
    drop(store);
    // The thread that counts is still held.
    let world = World { folder, store: observed(&CountHold::default()), hold };
    world.serve(&["ann"]);
    world.assert_counted("ann", 1, 1);
    world.hold.release();
}

#[test]
fn the_first_of_two_homes_with_one_root_is_served() {
    let world = World::new();
    let one = world.settings("ann");
    let homes: Vec<_> =
        (0..20).map(|number| HomeSettings { user: format!("u{number:02}"), ..one.clone() }).collect();
    world.store.serve(&homes).unwrap();
    let served: Vec<_> = world.store.usages().into_iter().map(|(user, _)| user).collect();
    assert_eq!(served, ["u00"]);
    assert_eq!(world.store.problems().len(), 19);
    let other = PosixStore::default();
    let locked = (&other as &dyn HomeStore).serve(&homes);
    assert!(matches!(locked, Err(PrepareError::Locked { .. })));
    world.hold.release();
}

#[test]
fn removing_a_home_stops_its_count() {
    let world = World::new();
    world.fill("ann", &["f"]);
    world.serve(&["ann"]);
    world.hold.wait_for(1);
    world.store.remove("ann");
    world.hold.release();
    // Its lock is free again.
    world.serve(&["ann"]);
    world.assert_counted("ann", 1, 1);
}

#[test]
fn records_of_other_versions_and_their_files_are_kept() {
    let world = World::new();
    world.fill("ann", &["f"]);
    let staging = world.root("ann").join(STAGING_DIRECTORY);
    fs::create_dir(&staging).unwrap();
    // A newer version, a file that is not a record, a record without its file, and two that did not reach the disk.
    let records = [
        ("newer", &b"sshome\0\x09whatever"[..]),
        ("foreign", b"something else"),
        ("alone", b"\x01"),
        ("torn", b"ssh"),
        ("empty", b""),
    ];
    for (name, record) in records {
        fs::write(staging.join(format!("{name}.part")), record).unwrap();
        if name != "alone" {
            fs::write(staging.join(name), [1; 100]).unwrap();
        }
    }
    fs::write(staging.join("unrecorded"), "x").unwrap();
    world.serve(&["ann"]);
    world.hold.release();
    let mut left: Vec<_> = fs::read_dir(&staging)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    left.sort();
    assert_eq!(left, ["alone.part", "foreign", "foreign.part", "newer", "newer.part"]);
    let home = world.login("ann");
    let listed = home.partial_uploads();
    let mut listed: Vec<_> =
        listed.iter().map(|partial| (partial.path.to_string(), partial.length)).collect();
    listed.sort();
    let path_of = |name: &str| format!("/{STAGING_DIRECTORY}/{name}");
    let wanted = [("alone", 0), ("foreign", 100), ("newer", 100)];
    assert_eq!(listed, wanted.map(|(name, length)| (path_of(name), length)));
    assert_eq!(home.usage().usage.staged.bytes, 200);
    // They expire like other partial uploads.
    assert_eq!(world.store.expire_partial_uploads(Duration::from_secs(3600), Duration::from_secs(3600)), 0);
    let old = fs::File::options().write(true).open(staging.join("foreign")).unwrap();
    old.set_modified(std::time::SystemTime::UNIX_EPOCH).unwrap();
    world.store.remove("ann");
    drop(home);
    world.serve(&["ann"]);
    assert_eq!(world.store.expire_partial_uploads(Duration::from_secs(3600), Duration::from_secs(3600)), 1);
    assert!(!staging.join("torn").exists() && !staging.join("torn.part").exists());
    assert!(staging.join("newer").exists());
}

#[test]
fn strange_entries_in_a_staging_folder_lock_nobody_out() {
    let world = World::new();
    world.fill("ann", &["f"]);
    let staging = world.root("ann").join(STAGING_DIRECTORY);
    fs::create_dir(&staging).unwrap();
    // A pipe that nobody writes to, directories, a link, and a name that is not text.
    mknodat(CWD, staging.join("pipe.part"), FileType::Fifo, Mode::from_raw_mode(0o600), 0).unwrap();
    fs::write(staging.join("pipe"), "x").unwrap();
    fs::create_dir(staging.join("directory")).unwrap();
    fs::create_dir(staging.join("record.part")).unwrap();
    std::os::unix::fs::symlink("/etc/passwd", staging.join("link.part")).unwrap();
    fs::write(staging.join(std::ffi::OsStr::from_bytes(b"\xff\x1b.part")), "").unwrap();
    world.serve(&["ann"]);
    world.hold.release();
    let home = world.login("ann");
    home.counting().into_iter().for_each(|counting| counting.end.block());
    assert_eq!(home.usage().usage.used.entries, 1);
    assert!(staging.join("directory").is_dir());
}
