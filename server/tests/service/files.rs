//! Open files, attributes, links, digests and uploads that are published when they are closed.

use super::world::*;
use rustix::fs::{CWD, Mode};
use sshome_store::MakeDirectory;
use sshome_store_posix::STAGING_DIRECTORY;
use sshome_wire::{Status, Time};
use sshomed::service::{
    self, DigestAlgorithm, DigestRange, Download, FileDigest, OpenFile, OpenMode, RecursiveRemoval,
    SetAttributes, StepLimit,
};
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

fn status<T: std::fmt::Debug>(result: service::Result<T>) -> Status {
    result.unwrap_err().status()
}

fn mode(bits: u32) -> SetAttributes {
    SetAttributes { mode: Some(bits), ..SetAttributes::default() }
}

fn mode_of(world: &World, name: &str) -> u32 {
    world.home().join(name).symlink_metadata().unwrap().permissions().mode() & 0o7777
}

#[test]
fn a_handle_allows_only_its_access_mode() {
    let world = World::new("");
    let user = world.user();
    assert_eq!(status(OpenFile::open(&user, &path("f"), READ_ONLY)), Status::NoSuchFile);
    let file = open(&user, "f", WRITE_OR_CREATE);
    file.write_at(3, b"data").unwrap();
    assert!(file.read_at(0, &mut Vec::with_capacity(9), 9).is_err());
    let read = open(&user, "f", READ_ONLY);
    assert!(read.write_at(0, b"x").is_err());
    let longer = SetAttributes { size: Some(9), ..SetAttributes::default() };
    assert!(read.set_attributes(&user, &longer).is_err());
    let mut buffer = b"kept".to_vec();
    buffer.reserve_exact(20);
    assert_eq!(read.read_at(2, &mut buffer, 3).unwrap(), 3);
    assert_eq!(buffer, b"kept\0da");
    assert_eq!(read.read_at(7, &mut buffer, 3).unwrap(), 0);
    assert_eq!(read.read_at(u64::MAX, &mut buffer, 3).unwrap(), 0);
    let new = OpenMode { exclusive: true, ..WRITE_OR_CREATE };
    assert!(OpenFile::open(&user, &path("f"), new).is_err());
    open(&user, "g", OpenMode { mode: Some(0o6640), ..new });
    assert_eq!(mode_of(&world, "g") & !0o640, 0);
}

#[test]
fn only_regular_files_are_opened_and_opening_never_blocks() {
    let world = World::new("");
    std::fs::create_dir(world.home().join("dir")).unwrap();
    rustix::fs::mkfifoat(CWD, world.home().join("pipe"), Mode::RWXU).unwrap();
    let world = world.restarted();
    let user = world.user();
    for mode in [READ_ONLY, WRITE_OR_CREATE, READ_WRITE_OR_CREATE, TRUNCATE_OR_CREATE, APPEND_OR_CREATE] {
        assert_eq!(status(OpenFile::open(&user, &path("dir"), mode)), Status::WrongType);
        assert_eq!(status(OpenFile::open(&user, &path("/"), mode)), Status::WrongType);
        let refused = OpenFile::open(&user, &path("pipe"), mode).unwrap_err().to_string();
        assert!(refused.contains("it is not a regular file"), "{refused}");
        let staging = format!("{STAGING_DIRECTORY}/f");
        assert_eq!(status(OpenFile::open(&user, &path(&staging), mode)), Status::PermissionDenied);
    }
    world.assert_accounting(0);
}

#[test]
fn links_are_resolved_as_in_a_chroot() {
    let world = World::new("");
    let outside = tempfile::NamedTempFile::new().unwrap();
    symlink(outside.path(), world.home().join("out")).unwrap();
    symlink("/new", world.home().join("in")).unwrap();
    symlink(STAGING_DIRECTORY, world.home().join("staging")).unwrap();
    let world = world.restarted();
    let user = world.user();
    assert!(OpenFile::open(&user, &path("out"), WRITE_OR_CREATE).is_err());
    let exclusive = OpenMode { exclusive: true, ..WRITE_OR_CREATE };
    assert!(OpenFile::open(&user, &path("in"), exclusive).is_err());
    open(&user, "in", WRITE_OR_CREATE).write_at(0, b"here").unwrap();
    assert_eq!(std::fs::read(world.home().join("new")).unwrap(), b"here");
    assert_eq!(status(OpenFile::open(&user, &path("staging/f"), WRITE_OR_CREATE)), Status::PermissionDenied);
    let denied = service::set_attributes(&user, &path("staging"), true, &mode(0o777));
    assert_eq!(status(denied), Status::PermissionDenied);
    assert!(service::set_attributes(&user, &path("out"), true, &mode(0o777)).is_err());
    assert_eq!(outside.as_file().metadata().unwrap().len(), 0);
    world.assert_accounting(0);
}

#[test]
fn set_id_bits_are_dropped_and_directories_stay_readable() {
    let world = World::new("");
    let user = world.user();
    let file = open(&user, "f", WRITE_OR_CREATE);
    file.set_attributes(&user, &mode(0o6711)).unwrap();
    assert_eq!(mode_of(&world, "f"), 0o711);
    service::set_attributes(&user, &path("f"), true, &mode(0)).unwrap();
    service::set_attributes(&user, &path("f"), true, &mode(0o4604)).unwrap();
    assert_eq!(mode_of(&world, "f"), 0o604);
    service::make_new_directory(&user, &path("dir"), Some(0o1002)).unwrap();
    service::set_attributes(&user, &path("dir"), true, &mode(0o2005)).unwrap();
    assert_eq!(mode_of(&world, "dir"), 0o505);
    service::set_attributes(&user, &path("/"), true, &mode(0o005)).unwrap();
    assert_eq!(mode_of(&world, ""), 0o705);
    assert!(service::make_new_directory(&user, &path("dir"), None).is_err());
    symlink("f", world.home().join("link")).unwrap();
    service::set_attributes(&user, &path("link"), true, &mode(0o600)).unwrap();
    assert!(service::set_attributes(&user, &path("link"), false, &mode(0o644)).is_err());
    assert_eq!(mode_of(&world, "f"), 0o600);
}

#[test]
fn a_directory_is_accessible_to_its_owner_until_it_is_finished() {
    let world = World::new("");
    let user = world.user();
    let mtime = Time { seconds: 1_000_000_000, nanoseconds: 5 };
    // Whether it is new.
    let make = |bits| {
        let how = MakeDirectory { mode: Some(bits), deferred: true, ..MakeDirectory::default() };
        !service::make_directory(&user, &path("d"), how).unwrap().made.is_empty()
    };
    let finish = || {
        let directory = service::hold_directory(&user, &path("d"), mtime).unwrap();
        service::finalize_directories(&user, vec![directory]).pop().unwrap().unwrap();
        assert_eq!(world.home().join("d").metadata().unwrap().mtime(), mtime.seconds);
        mode_of(&world, "d")
    };
    // The second put finds the directory as the first left it: interrupted, or finished.
    assert_eq!((make(0o555), make(0o555), mode_of(&world, "d")), (true, false, 0o755));
    assert_eq!((finish(), make(0o555), mode_of(&world, "d")), (0o555, false, 0o755));
    assert_eq!(finish(), 0o555);
    // A directory with a different mode keeps it, and so does one whose mode is changed meanwhile.
    assert_eq!((make(0o500), finish()), (false, 0o555));
    make(0o555);
    service::set_attributes(&user, &path("d"), true, &mode(0o750)).unwrap();
    assert_eq!(finish(), 0o750);
    service::set_attributes(&user, &path("d"), true, &mode(0o500)).unwrap();
    let mut removal = RecursiveRemoval::begin(&user, &path("d")).unwrap();
    assert!(removal.step(&user, StepLimit::entries(10)).unwrap() && !world.home().join("d").exists());
    world.assert_accounting(0);
}

#[test]
fn times_are_set_and_owners_are_not() {
    let world = World::new("");
    let user = world.user();
    put(&user, "f", b"content").unwrap();
    symlink("f", world.home().join("link")).unwrap();
    let meta = |name: &str| world.home().join(name).symlink_metadata().unwrap();
    let time = |seconds| Time { seconds, nanoseconds: 5 };
    let times = SetAttributes { times: Some((time(1), time(2))), ..SetAttributes::default() };
    service::set_attributes(&user, &path("link"), false, &times).unwrap();
    assert_eq!((meta("link").atime(), meta("link").mtime(), meta("link").mtime_nsec()), (1, 2, 5));
    assert_ne!(meta("f").mtime(), 2);
    service::set_attributes(&user, &path("link"), true, &times).unwrap();
    assert_eq!((meta("f").mtime(), meta("f").mtime_nsec()), (2, 5));
    service::set_attributes(&user, &path("/"), true, &times).unwrap();
    let (uid, gid) = (meta("f").uid(), meta("f").gid());
    let owner = |uid| SetAttributes { owner: Some((uid, gid)), ..SetAttributes::default() };
    service::set_attributes(&user, &path("f"), true, &owner(uid)).unwrap();
    let along = SetAttributes { mode: Some(0o640), ..owner(uid + 1) };
    service::set_attributes(&user, &path("f"), true, &along).unwrap();
    open(&user, "f", READ_ONLY).set_attributes(&user, &along).unwrap();
    let alone = service::set_attributes(&user, &path("f"), true, &owner(uid + 1));
    assert_eq!(status(alone), Status::PermissionDenied);
    assert_eq!((meta("f").uid(), mode_of(&world, "f")), (uid, 0o640));
}

#[test]
fn a_rename_targets_exactly_the_given_name() {
    let world = World::new("");
    let user = world.user();
    let rename = |from, to, replace| service::rename_exact(&user, &path(from), &path(to), replace);
    put(&user, "f", b"f").unwrap();
    put(&user, "g", b"g").unwrap();
    for name in ["dir", "empty", "full"] {
        service::make_new_directory(&user, &path(name), None).unwrap();
    }
    put(&user, "full/h", b"h").unwrap();
    assert!(rename("f", "g", false).is_err());
    assert!(rename("f", "dir", true).is_err());
    assert!(rename("dir", "full", true).is_err());
    assert!(rename("dir", "f", true).is_err());
    assert!(rename("dir", "dir/in", true).is_err());
    assert!(rename("none", "g", true).is_err());
    rename("f", "g", true).unwrap();
    rename("full", "empty", true).unwrap();
    assert_eq!((content(&user, "g"), content(&user, "empty/h")), (b"f".to_vec(), b"h".to_vec()));
    // rename(2) keeps both names of one file; `mv` keeps one.
    service::hard_link(&user, &path("g"), &path("h")).unwrap();
    rename("g", "h", true).unwrap();
    world.assert_accounting(0);
    service::make_symlink(&user, &path("here"), b".").unwrap();
    service::rename(&user, &path("here/g"), &path("g")).unwrap();
    assert_eq!(content(&user, "g"), b"f");
    service::rename(&user, &path("g"), &path("h")).unwrap();
    assert_eq!(status(service::stat(&user, &path("g"), false).map(drop)), Status::NoSuchFile);
    world.assert_accounting(0);
}

#[test]
fn files_and_symbolic_links_can_have_hard_links() {
    let world = World::new("");
    let user = world.user();
    service::make_new_directory(&user, &path("dir"), None).unwrap();
    service::make_symlink(&user, &path("link"), b"dir").unwrap();
    put(&user, "f", b"f").unwrap();
    for (from, to) in
        [("dir", "g"), ("none", "g"), ("f", "link"), ("f", "no/g"), ("f", STAGING_DIRECTORY), ("link", "f")]
    {
        assert!(service::hard_link(&user, &path(from), &path(to)).is_err(), "{from} {to}");
    }
    assert_eq!(service::read_link(&user, &path("link")).unwrap(), b"dir");
    assert!(service::read_link(&user, &path("f")).is_err());
    service::hard_link(&user, &path("link"), &path("other")).unwrap();
    assert_eq!(service::read_link(&user, &path("other")).unwrap(), b"dir");
    world.assert_accounting(0);
    service::rename(&user, &path("other"), &path("f")).unwrap();
    service::remove(&user, &path("link")).unwrap();
    world.assert_accounting(0);
}

#[test]
fn a_real_path_contains_no_links() {
    let world = World::new("");
    let user = world.user();
    std::fs::create_dir_all(world.home().join("a/b")).unwrap();
    for (target, name) in
        [("a/b", "rel"), ("/a", "a/b/abs"), ("../../../a", "up"), ("loop", "loop"), ("/none/x", "lost")]
    {
        symlink(target, world.home().join(name)).unwrap();
    }
    let real = |name: &str| service::real_path(&user, &path(name)).map(|path| path.as_bytes().to_vec());
    for (name, is) in [
        ("/", "/"),
        ("a/b", "/a/b"),
        ("rel", "/a/b"),
        ("rel/abs/b/new", "/a/b/new"),
        ("up/b", "/a/b"),
        ("new", "/new"),
    ] {
        assert_eq!(real(name).unwrap(), is.as_bytes(), "{name}");
    }
    for name in ["none/new", "lost", "loop"] {
        assert!(real(name).is_err(), "{name}");
    }
}

#[test]
fn digests_match_other_programs() {
    let world = World::new("");
    let user = world.user();
    put(&user, "f", b"abcabcab").unwrap();
    let file = open(&user, "f", READ_ONLY);
    let digest = |algorithm, offset, length, block| {
        let mut digest = FileDigest::begin(&file, algorithm, DigestRange { offset, length, block })?;
        loop {
            if let Some(digests) = digest.step(&file, StepLimit::bytes(1))? {
                return service::Result::Ok(hex(&digests));
            }
        }
    };
    // The digests of "abc", from RFC 1321, FIPS 180-2, and BLAKE3's own test.
    let abc = [
        (DigestAlgorithm::Md5, "900150983cd24fb0d6963f7d28e17f72"),
        (DigestAlgorithm::Sha1, "a9993e364706816aba3e25717850c26c9cd0d89d"),
        (DigestAlgorithm::Sha256, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
        (DigestAlgorithm::Blake3, "6437b3ac38465133ffb63b75273a8db548c558465d79db03fd359c6cd5bd9d85"),
    ];
    for (algorithm, hex) in abc {
        assert_eq!(digest(algorithm, 3, 3, 0).unwrap(), hex);
        assert_eq!(digest(algorithm, 0, 6, 3).unwrap(), [hex, hex].concat());
        assert_eq!(hex.len(), algorithm.digest_length() * 2);
        assert_eq!(DigestAlgorithm::by_name(algorithm.name().as_bytes()), Some(algorithm));
    }
    assert!(
        digest(DigestAlgorithm::Sha512, 0, 3, 0).unwrap().starts_with("ddaf35a193617abacc417349ae204131")
    );
    assert_eq!(digest(DigestAlgorithm::Md5, 8, 0, 0).unwrap(), "d41d8cd98f00b204e9800998ecf8427e");
    assert_eq!(digest(DigestAlgorithm::Md5, 6, 0, 1).unwrap().len(), 64);
    assert_eq!(digest(DigestAlgorithm::Md5, u64::MAX, u64::MAX, 1).unwrap().len(), 32);
    open(&user, "f", WRITE_OR_CREATE).write_at(1 << 20, b"x").unwrap();
    assert!(digest(DigestAlgorithm::Md5, 0, 0, 16).is_err());
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn space_is_the_quota_and_no_more_than_the_disk() {
    let world = World::new("quota = \"1 MiB\"\nmax-files = 10");
    let user = world.user();
    put(&user, "f", &[1; 300_000]).unwrap();
    let space = service::space(&user).unwrap();
    assert_eq!(space.blocks * space.block, 1 << 20);
    assert_eq!(space.blocks_free, ((1 << 20) - 300_000) / space.block);
    assert_eq!((space.entries, space.entries_free, space.read_only), (10, 9, false));
    let world = World::new("quota = \"8000 PiB\"");
    let (space, disk) = (service::space(&world.user()).unwrap(), rustix::fs::statvfs(world.home()).unwrap());
    assert!(space.blocks_free <= disk.f_blocks);
}

#[test]
fn an_atomic_upload_appears_when_it_is_closed() {
    let world = World::new("quota = 100\nsftp-uploads = \"atomic\"");
    let user = world.user();
    put(&user, "f", &[1; 80]).unwrap();
    service::set_attributes(&user, &path("f"), true, &mode(0o640)).unwrap();
    let file = open(&user, "f", OpenMode { mode: Some(0o600), ..TRUNCATE_OR_CREATE });
    file.write_at(0, &[2; 50]).unwrap();
    file.write_at(50, &[2; 50]).unwrap();
    assert_eq!(file.info().unwrap().size, 100);
    assert_eq!(content(&user, "f"), [1; 80]);
    file.finish(&user).unwrap();
    assert_eq!(content(&user, "f"), [2; 100]);
    assert_eq!(mode_of(&world, "f"), 0o640);
    assert!(Download::begin(&user, &path("f")).unwrap().stored().is_some());
    world.assert_accounting(0);
    // Written out of order: published without a digest.
    let file = open(&user, "f", TRUNCATE_OR_CREATE);
    file.write_at(30, b"").unwrap();
    file.write_at(10, &[3; 10]).unwrap();
    file.write_at(0, &[3; 10]).unwrap();
    file.set_attributes(&user, &mode(0o4711)).unwrap();
    file.finish(&user).unwrap();
    assert_eq!((content(&user, "f"), mode_of(&world, "f")), (vec![3; 20], 0o711));
    assert!(Download::begin(&user, &path("f")).unwrap().stored().is_none());
    world.assert_accounting(0);
}

#[test]
fn an_atomic_upload_that_is_dropped_leaves_nothing() {
    let world = World::new("quota = 100\nsftp-uploads = \"atomic\"");
    let user = world.user();
    put(&user, "f", &[1; 80]).unwrap();
    for name in ["f", "new"] {
        let file = open(&user, name, TRUNCATE_OR_CREATE);
        file.write_at(0, &[2; 20]).unwrap();
        drop(file);
    }
    // If a client continues after a refused write, the file is incomplete.
    let file = open(&user, "f", TRUNCATE_OR_CREATE);
    assert!(is_over_quota(file.write_at(0, &[2; 101])));
    assert!(is_over_quota(file.write_at(0, &[2; 20])));
    assert!(is_over_quota(file.finish(&user)));
    assert_eq!(content(&user, "f"), [1; 80]);
    assert_eq!(world.scan(), (80, 1));
    assert_eq!(std::fs::read_dir(world.home().join(STAGING_DIRECTORY)).unwrap().count(), 0);
    world.assert_accounting(0);
    // An exclusive upload must still find the name free when it is published.
    let (one, two) = (OpenMode { exclusive: true, ..TRUNCATE_OR_CREATE }, TRUNCATE_OR_CREATE);
    let (one, two) = (open(&user, "g", one), open(&user, "g", two));
    two.finish(&user).unwrap();
    assert!(one.finish(&user).is_err());
    world.assert_accounting(0);
    // A file that may not be created is changed in place.
    open(&user, "f", OpenMode { create: false, ..WRITE_OR_CREATE }).write_at(0, &[4]).unwrap();
    assert_eq!(content(&user, "f")[0], 4);
}

#[test]
fn the_first_write_removes_the_stored_digest() {
    let world = World::new("");
    let user = world.user();
    let stored = |name| Download::begin(&user, &path(name)).unwrap().stored();
    put(&user, "f", b"content").unwrap();
    if stored("f").is_none() {
        println!("skipped: the_first_write_removes_the_stored_digest: no extended attributes here");
        return;
    }
    let before = open(&user, "f", READ_ONLY).info().unwrap();
    let modified = before.modified;
    let times = SetAttributes { times: Some((modified, modified)), ..SetAttributes::default() };
    let file = open(&user, "f", WRITE_OR_CREATE);
    file.set_attributes(&user, &times).unwrap();
    assert!(stored("f").is_some());
    file.write_at(0, b"C").unwrap();
    file.set_attributes(&user, &times).unwrap();
    assert!(stored("f").is_none());
}
