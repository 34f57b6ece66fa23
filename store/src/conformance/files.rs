//! Open files and attributes.

use super::NewHost;
use super::world::*;
use crate::{Cause, FileType, OpenMode, SetAttributes, StoreError};
use sshome_wire::Time;

pub fn a_handle_allows_only_its_access_mode(host: NewHost<'_>) {
    let world = World::new(host);
    let user = world.user();
    assert_eq!(cause(user.try_open("f", READ_ONLY)), Cause::NotFound);
    assert_eq!(cause(user.try_open("f", OpenMode { create: false, ..WRITE_OR_CREATE })), Cause::NotFound);
    let file = user.open("f", WRITE_OR_CREATE);
    assert_eq!(file.logged_path(), &path("f"));
    file.write_at(Some(3), &[b"da", b"", b"ta"]).unwrap();
    assert_eq!(cause(file.read_at(0, &mut Vec::with_capacity(9), 9)), Cause::NotOpenForThis);
    file.sync().unwrap();
    user.close(file).unwrap();
    let read = user.open("f", READ_ONLY);
    assert_eq!(cause(read.write_at(Some(0), &[b"x"])), Cause::NotOpenForThis);
    assert_eq!(cause(read.set_length(9)), Cause::NotOpenForThis);
    // It reads into the spare capacity only.
    let mut buffer = Vec::with_capacity(20);
    buffer.extend_from_slice(b"kept");
    assert_eq!(read.read_at(2, &mut buffer, 3).unwrap(), 3);
    assert_eq!(buffer, b"kept\0da");
    assert_eq!(read.read_at(7, &mut buffer, 3).unwrap(), 0);
    assert_eq!(read.read_at(u64::MAX, &mut buffer, 3).unwrap(), 0);
    assert_eq!((read.info().unwrap().size, read.info().unwrap().file_type), (7, FileType::Regular));
    assert_eq!(read.info().unwrap().id, user.info("f").unwrap().id);
    let new = OpenMode { exclusive: true, ..WRITE_OR_CREATE };
    assert_eq!(cause(user.try_open("f", new)), Cause::Exists);
    let file = user.open("g", OpenMode { mode: Some(0o6640), ..new });
    user.close(file).unwrap();
    assert_eq!(user.mode_of("g") & !0o640, 0);
    drop(read);
    world.assert_accounting(0);
}

pub fn only_regular_files_are_opened(host: NewHost<'_>) {
    let world = World::new(host);
    let user = world.user();
    user.make_directory("dir");
    user.make_symlink("loop", "loop");
    for mode in [READ_ONLY, WRITE_OR_CREATE, READ_WRITE_OR_CREATE, TRUNCATE_OR_CREATE] {
        for staged in [false, mode.is_upload()] {
            let open = |name: &str| user.home.open_file(&path(name), mode, staged);
            assert_eq!(cause(open("dir")), Cause::IsDirectory);
            assert_eq!(cause(open("/")), Cause::IsDirectory);
            assert_eq!(cause(open("dir/..")), Cause::IsDirectory);
            assert_eq!(cause(open("loop")), Cause::TooManyLinks);
            assert_eq!(cause(open("dir/no/f")), Cause::NotFound);
        }
    }
    world.assert_accounting(0);
}

pub fn a_write_through_a_dangling_link_creates_its_target(host: NewHost<'_>) {
    let world = World::new(host);
    let user = world.user();
    user.make_directory("d");
    user.make_symlink("l", "/d/./m");
    user.make_symlink("d/m", "new");
    for (staged, content) in [(false, b"1"), (true, b"2")] {
        let file = user.home.open_file(&path("l"), TRUNCATE_OR_CREATE, staged).unwrap();
        assert_eq!(file.logged_path(), &path("d/new"));
        file.write_at(Some(0), &[content]).unwrap();
        user.close(file).unwrap();
        assert_eq!(user.content("d/new"), content);
    }
    user.put("l", b"3").unwrap();
    assert_eq!(user.content("d/new"), b"3");
    assert!(user.info("l").unwrap().is_symlink() && user.info("d/m").unwrap().is_symlink());
    world.assert_accounting(0);
}

pub fn set_id_bits_are_dropped(host: NewHost<'_>) {
    let world = World::new(host);
    let user = world.user();
    let file = user.open("f", WRITE_OR_CREATE);
    file.set_attributes(&SetAttributes { mode: Some(0o6711), ..SetAttributes::default() }).unwrap();
    user.close(file).unwrap();
    assert_eq!(user.mode_of("f"), 0o711);
    user.set_mode("f", 0).unwrap();
    assert_eq!(user.set_mode("f", 0o4604).unwrap(), path("f"));
    assert_eq!(user.mode_of("f"), 0o604);
    user.make_directory("dir");
    user.set_mode("dir", 0o2005).unwrap();
    // A directory stays readable for its owner, so that it can be counted.
    assert_eq!(user.mode_of("dir") & 0o4777, 0o505);
    user.make_symlink("link", "f");
    user.set_mode("link", 0o600).unwrap();
    let wanted = SetAttributes { mode: Some(0o644), ..SetAttributes::default() };
    assert_eq!(cause(user.home.set_attributes(&path("link"), false, &wanted)), Cause::Unsupported);
    assert_eq!(user.mode_of("f"), 0o600);
    assert_eq!(cause(user.set_mode("none", 0o600)), Cause::NotFound);
}

pub fn times_are_set_and_owners_are_not(host: NewHost<'_>) {
    let world = World::new(host);
    let user = world.user();
    user.put("f", b"content").unwrap();
    user.make_symlink("link", "f");
    let time = |seconds| Time { seconds, nanoseconds: 5 };
    let times = SetAttributes { times: Some((time(1), time(2))), ..SetAttributes::default() };
    let set =
        |name: &str, follow, wanted: &SetAttributes| user.home.set_attributes(&path(name), follow, wanted);
    set("link", false, &times).unwrap();
    let info = user.info("link").unwrap();
    assert_eq!((info.accessed, info.modified), (time(1), time(2)));
    assert_ne!(user.info("f").unwrap().modified, time(2));
    set("link", true, &times).unwrap();
    assert_eq!(user.info("f").unwrap().modified, time(2));
    let info = user.info("f").unwrap();
    let owner = |owner| SetAttributes { owner: Some((owner, info.group)), ..SetAttributes::default() };
    set("f", true, &owner(info.owner)).unwrap();
    set("f", true, &owner(u32::MAX)).unwrap();
    // Other owners are ignored beside other attributes: many clients always send them.
    let along = SetAttributes { mode: Some(0o640), ..owner(info.owner + 1) };
    set("f", true, &along).unwrap();
    user.open("f", READ_ONLY).set_attributes(&along).unwrap();
    for alone in [
        owner(info.owner + 1),
        SetAttributes { owner: Some((info.owner + 1, u32::MAX)), ..Default::default() },
    ] {
        assert!(matches!(set("f", true, &alone), Err(StoreError::Owner(_))));
        assert!(matches!(user.open("f", READ_ONLY).set_attributes(&alone), Err(StoreError::Owner(_))));
    }
    assert_eq!((user.info("f").unwrap().owner, user.mode_of("f")), (info.owner, 0o640));
    let size = SetAttributes { size: Some(1), ..times };
    set("f", true, &size).unwrap();
    assert_eq!(user.content("f"), b"content", "a length is set through a handle");
}

pub fn the_first_write_removes_the_stored_digest(host: NewHost<'_>) {
    let world = World::new(host);
    let user = world.user();
    let stored = |name| {
        let file = user.open(name, READ_ONLY);
        file.stored_digest(&file.info().unwrap())
    };
    user.put("f", b"content").unwrap();
    if stored("f").is_none() {
        println!("skipped: the_first_write_removes_the_stored_digest: this store keeps none");
        return;
    }
    assert_eq!(stored("f"), Some(digest_of(b"content")));
    let modified = user.info("f").unwrap().modified;
    let times = SetAttributes { times: Some((modified, modified)), ..SetAttributes::default() };
    let file = user.open("f", WRITE_OR_CREATE);
    file.set_attributes(&times).unwrap();
    assert!(stored("f").is_some());
    file.write_at(Some(0), &[b"C"]).unwrap();
    file.set_attributes(&times).unwrap();
    assert!(stored("f").is_none(), "though the times are as before");
    user.put("f", b"content").unwrap();
    assert!(stored("f").is_some());
    user.set_size("f", 7).unwrap();
    assert!(stored("f").is_none());
}

pub fn each_change_makes_a_new_version(host: NewHost<'_>) {
    let world = World::new(host);
    let user = world.user();
    let file = user.open("f", WRITE_OR_CREATE);
    file.write_at(Some(0), &[b"1"]).unwrap();
    // The version is the same through another channel.
    let other = world.user();
    let read = other.open("f", READ_ONLY);
    let first = read.version().unwrap();
    assert_eq!(read.version(), Some(first));
    file.write_at(Some(0), &[b"1"]).unwrap();
    let second = read.version().unwrap();
    other.set_size("f", 1).unwrap();
    let third = read.version().unwrap();
    assert!(first != second && second != third && first != third);
    // A file that takes over the name is a different file.
    user.put("f", b"2").unwrap();
    assert_eq!(read.version(), Some(third));
    assert_eq!(content_of(&*read), b"1");
}

pub fn a_removed_file_can_be_read_to_its_end(host: NewHost<'_>) {
    let world = World::with_quota(host, 120);
    let user = world.user();
    user.put("f", &[1; 60]).unwrap();
    let file = world.user().open("f", READ_ONLY);
    user.remove("f").unwrap();
    assert_eq!((file.info().unwrap().links, content_of(&*file)), (0, vec![1; 60]));
    let counts = user.counts_open_files;
    assert_eq!(user.used(), if counts { 60 } else { 0 });
    assert_eq!(user.put("f", &[2; 70]).is_err(), counts);
    user.put("g", &[3; 40]).unwrap();
    let replaced = user.open("g", READ_ONLY);
    user.put("g", &[4; 20]).unwrap();
    assert_eq!(content_of(&*replaced), [3; 40]);
    drop((file, replaced));
    world.assert_accounting(0);
}
