//! Every packet of the draft.

use crate::b;
use bytes::Bytes;
use sshome_e2e::Host;
use sshome_e2e::sftp::{ANEW, SftpPeer};
use sshome_e2e::tree::mode;
use sshome_wire::sftp::{OpenFlags, Owner, Response, SftpAttributes, SftpRequest, StatusCode, Times};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, symlink};

async fn ann() -> (Host, SftpPeer) {
    let host = Host::with_user("ann", "").await.unwrap();
    let peer = SftpPeer::login(&host, "ann").await.unwrap();
    (host, peer)
}

fn code<T: std::fmt::Debug>(result: Result<T, (StatusCode, String)>) -> StatusCode {
    result.unwrap_err().0
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_is_written_read_and_described() {
    let (host, mut peer) = ann().await;
    let file = peer.open("f", ANEW | OpenFlags::READ).await.unwrap().unwrap();
    assert_eq!(peer.write(&file, 0, b"0123456789").await.unwrap(), None);
    assert_eq!(peer.write(&file, 3, b"abc").await.unwrap(), None);
    assert_eq!(peer.read(&file, 0, 100).await.unwrap().unwrap(), b"012abc6789");
    assert_eq!(peer.read(&file, 4, 2).await.unwrap().unwrap(), b"bc");
    assert_eq!(peer.read(&file, 10, 1).await.unwrap().unwrap(), b"");
    assert_eq!(peer.read(&file, u64::MAX, 1).await.unwrap().unwrap(), b"");
    // In place: the data is visible before the close.
    assert_eq!(std::fs::read(host.home("ann").join("f")).unwrap(), b"012abc6789");
    // A hole reads as zeros.
    assert_eq!(peer.write(&file, 12, b"x").await.unwrap(), None);
    assert_eq!(peer.read(&file, 9, 9).await.unwrap().unwrap(), b"9\0\0x");
    let Response::Attrs(attributes) = peer.ask(SftpRequest::Fstat { handle: file.clone() }).await.unwrap()
    else {
        panic!("no attributes")
    };
    assert_eq!(attributes.size, Some(13));
    peer.close(file.clone()).await.unwrap();
    assert_eq!(peer.read(&file, 0, 1).await.unwrap().unwrap_err().0, StatusCode::Failure);
    let told = peer.stat("f").await.unwrap().unwrap();
    let meta = std::fs::metadata(host.home("ann").join("f")).unwrap();
    let times = Times { atime: meta.atime() as u32, mtime: meta.mtime() as u32 };
    let owner = Owner { uid: meta.uid(), gid: meta.gid() };
    let permissions = Some(meta.mode());
    let wanted = SftpAttributes {
        size: Some(13),
        owner: Some(owner),
        permissions,
        times: Some(times),
        extended: vec![],
    };
    assert_eq!(told, wanted);
}

#[tokio::test(flavor = "multi_thread")]
async fn open_obeys_its_flags() {
    let (host, mut peer) = ann().await;
    let read = OpenFlags::READ;
    let write = OpenFlags::WRITE;
    assert_eq!(code(peer.open("f", read).await.unwrap()), StatusCode::NoSuchFile);
    assert_eq!(code(peer.open("f", write).await.unwrap()), StatusCode::NoSuchFile);
    let made = peer.open("f", write | OpenFlags::CREAT | OpenFlags::EXCL).await.unwrap().unwrap();
    assert_eq!(peer.write(&made, 0, b"abc").await.unwrap(), None);
    // A handle that is not open for an operation refuses it.
    assert_eq!(peer.read(&made, 0, 1).await.unwrap().unwrap_err().0, StatusCode::PermissionDenied);
    peer.close(made).await.unwrap();
    let taken = peer.open("f", write | OpenFlags::CREAT | OpenFlags::EXCL).await.unwrap();
    assert_eq!(code(taken), StatusCode::Failure);
    let file = peer.open("f", read).await.unwrap().unwrap();
    assert_eq!(peer.write(&file, 0, b"x").await.unwrap().unwrap().0, StatusCode::PermissionDenied);
    peer.close(file).await.unwrap();
    // Appending ignores the offset.
    let file = peer.open("f", write | OpenFlags::APPEND).await.unwrap().unwrap();
    assert_eq!(peer.write(&file, 0, b"de").await.unwrap(), None);
    assert_eq!(peer.write(&file, 1, b"f").await.unwrap(), None);
    peer.close(file).await.unwrap();
    assert_eq!(peer.get("f").await.unwrap().unwrap(), b"abcdef");
    let file = peer.open("f", write | OpenFlags::TRUNC).await.unwrap().unwrap();
    assert_eq!(std::fs::read(host.home("ann").join("f")).unwrap(), b"");
    peer.close(file).await.unwrap();
    // Permissions of a new file, without set-id bits.
    let attributes = SftpAttributes { permissions: Some(0o4750), ..SftpAttributes::default() };
    let open = SftpRequest::Open { path: b("g"), flags: ANEW, attributes };
    assert!(matches!(peer.ask(open).await.unwrap(), Response::Handle(_)));
    assert_eq!(mode(host.home("ann").join("g")).unwrap() & 0o7000, 0);
    assert_eq!(mode(host.home("ann").join("g")).unwrap() & 0o700, 0o700);
    std::fs::create_dir(host.home("ann").join("d")).unwrap();
    assert_eq!(code(peer.open("d", read).await.unwrap()), StatusCode::Failure);
    assert_eq!(code(peer.open("f/x", read).await.unwrap()), StatusCode::NoSuchFile);
}

#[tokio::test(flavor = "multi_thread")]
async fn directories_are_made_listed_and_removed() {
    let (host, mut peer) = ann().await;
    let attributes = SftpAttributes { permissions: Some(0o750), ..SftpAttributes::default() };
    peer.done(SftpRequest::Mkdir { path: b("d"), attributes: attributes.clone() }).await.unwrap();
    assert_eq!(mode(host.home("ann").join("d")).unwrap(), 0o750);
    let again = peer.refusal(SftpRequest::Mkdir { path: b("d"), attributes }).await.unwrap().unwrap();
    assert_eq!(again.0, StatusCode::Failure);
    // More names than fit into one answer, and names that are not UTF-8.
    let mut wanted: Vec<Vec<u8>> = (0..1000).map(|n| format!("name {n}").into_bytes()).collect();
    wanted.push(b"\xff\n\x1b".to_vec());
    wanted.push(vec![b'n'; 255]);
    for name in &wanted {
        std::fs::write(host.home("ann").join("d").join(std::ffi::OsStr::from_bytes(name)), b"12345").unwrap();
    }
    wanted.extend([b".".to_vec(), b"..".to_vec()]);
    wanted.sort();
    let names = peer.list("d").await.unwrap().unwrap();
    let mut listed: Vec<Vec<u8>> = names.iter().map(|name| name.name.to_vec()).collect();
    listed.sort();
    assert_eq!(listed, wanted);
    let one = names.iter().find(|name| name.name == "name 7").unwrap();
    let line = String::from_utf8(one.long_name.to_vec()).unwrap();
    let fields: Vec<&str> = line.split_whitespace().collect();
    assert_eq!(fields[..5], ["-rw-r--r--", "1", "ann", "ann", "5"], "{line}");
    assert!(line.ends_with(" name 7"), "{line}");
    assert_eq!(one.attributes.size, Some(5));
    let full = peer.refusal(SftpRequest::Rmdir { path: b("d") }).await.unwrap().unwrap();
    assert_eq!(full.0, StatusCode::Failure);
    std::fs::remove_dir_all(host.home("ann").join("d")).unwrap();
    peer.done(SftpRequest::Mkdir { path: b("d"), attributes: SftpAttributes::default() }).await.unwrap();
    assert_eq!(peer.list("d").await.unwrap().unwrap().len(), 2);
    peer.done(SftpRequest::Rmdir { path: b("d") }).await.unwrap();
    assert_eq!(code(peer.list("d").await.unwrap()), StatusCode::NoSuchFile);
    assert_eq!(peer.put("f", b"").await.unwrap(), None);
    assert_eq!(code(peer.list("f").await.unwrap()), StatusCode::NoSuchFile);
    let file = peer.refusal(SftpRequest::Rmdir { path: b("f") }).await.unwrap().unwrap();
    assert_eq!(file.0, StatusCode::NoSuchFile);
}

#[tokio::test(flavor = "multi_thread")]
async fn files_are_removed_and_renamed() {
    let (host, mut peer) = ann().await;
    let home = host.home("ann");
    for name in ["a", "b"] {
        assert_eq!(peer.put(name, name.as_bytes()).await.unwrap(), None);
    }
    let rename = |from, to| SftpRequest::Rename { from: b(from), to: b(to) };
    // The draft's rename replaces nothing.
    let taken = peer.refusal(rename("a", "b")).await.unwrap().unwrap();
    assert_eq!(taken.0, StatusCode::Failure);
    assert_eq!(std::fs::read(home.join("b")).unwrap(), b"b");
    peer.done(rename("a", "c")).await.unwrap();
    assert_eq!(peer.refusal(rename("a", "d")).await.unwrap().unwrap().0, StatusCode::NoSuchFile);
    std::fs::create_dir(home.join("d")).unwrap();
    assert_eq!(peer.refusal(rename("c", "d")).await.unwrap().unwrap().0, StatusCode::Failure);
    peer.done(rename("d", "e")).await.unwrap();
    assert!(home.join("e").is_dir() && home.join("c").is_file());
    peer.done(SftpRequest::Remove { path: b("c") }).await.unwrap();
    let gone = peer.refusal(SftpRequest::Remove { path: b("c") }).await.unwrap().unwrap();
    assert_eq!(gone.0, StatusCode::NoSuchFile);
    let folder = peer.refusal(SftpRequest::Remove { path: b("e") }).await.unwrap().unwrap();
    assert_eq!(folder.0, StatusCode::Failure);
}

#[tokio::test(flavor = "multi_thread")]
async fn attributes_are_set() {
    let (host, mut peer) = ann().await;
    let file = host.home("ann").join("f");
    assert_eq!(peer.put("f", b"0123456789").await.unwrap(), None);
    let none = SftpAttributes::default;
    let set = |attributes| SftpRequest::Setstat { path: b("f"), attributes };
    peer.done(set(SftpAttributes { permissions: Some(0o100_640), ..none() })).await.unwrap();
    assert_eq!(mode(&file).unwrap(), 0o640);
    let times = Some(Times { atime: 1_000_000_000, mtime: 1_100_000_000 });
    peer.done(set(SftpAttributes { times, ..none() })).await.unwrap();
    assert_eq!(peer.stat("f").await.unwrap().unwrap().times, times);
    peer.done(set(SftpAttributes { size: Some(4), ..none() })).await.unwrap();
    assert_eq!(std::fs::read(&file).unwrap(), b"0123");
    peer.done(set(SftpAttributes { size: Some(6), ..none() })).await.unwrap();
    assert_eq!(std::fs::read(&file).unwrap(), b"0123\0\0");
    // Set-id bits are dropped silently, because scp -p sends them. So is an owner that comes with other attributes.
    peer.done(set(SftpAttributes { permissions: Some(0o6755), ..none() })).await.unwrap();
    assert_eq!(mode(&file).unwrap(), 0o755);
    let owner = Some(Owner { uid: 4711, gid: 4711 });
    peer.done(set(SftpAttributes { owner, permissions: Some(0o700), ..none() })).await.unwrap();
    let alone = peer.refusal(set(SftpAttributes { owner, ..none() })).await.unwrap().unwrap();
    assert_eq!(alone.0, StatusCode::PermissionDenied);
    // An id of -1, or the ids that the file already has, change nothing.
    let meta = std::fs::metadata(&file).unwrap();
    let open = peer.open("f", OpenFlags::WRITE).await.unwrap().unwrap();
    for (uid, gid, allowed) in [
        (u32::MAX, u32::MAX, true),
        (meta.uid(), u32::MAX, true),
        (u32::MAX, meta.gid(), true),
        (meta.uid(), meta.gid(), true),
        (4711, u32::MAX, false),
        (u32::MAX, 4711, false),
    ] {
        let attributes = SftpAttributes { owner: Some(Owner { uid, gid }), ..none() };
        let by_handle = SftpRequest::Fsetstat { handle: open.clone(), attributes: attributes.clone() };
        for request in [set(attributes), by_handle] {
            let refusal = peer.refusal(request).await.unwrap();
            assert_eq!(refusal.is_none(), allowed, "{uid} {gid}: {refusal:?}");
        }
    }
    let now = std::fs::metadata(&file).unwrap();
    assert_eq!((now.uid(), now.gid()), (meta.uid(), meta.gid()));
    let handle = peer.open("f", OpenFlags::WRITE).await.unwrap().unwrap();
    let attributes = SftpAttributes { size: Some(1), permissions: Some(0o600), times, ..none() };
    peer.done(SftpRequest::Fsetstat { handle, attributes }).await.unwrap();
    assert_eq!((std::fs::read(&file).unwrap(), mode(&file).unwrap()), (b"0".to_vec(), 0o600));
    let missing = SftpRequest::Setstat { path: b("none"), attributes: none() };
    assert_eq!(peer.refusal(missing).await.unwrap().unwrap().0, StatusCode::NoSuchFile);
}

#[tokio::test(flavor = "multi_thread")]
async fn links_are_read_and_resolved() {
    let (host, mut peer) = ann().await;
    let home = host.home("ann");
    std::fs::create_dir_all(home.join("a/b")).unwrap();
    symlink("/a", home.join("to-a")).unwrap();
    // The target comes first.
    peer.done(SftpRequest::Symlink { target: b("any \"text\""), path: b("l") }).await.unwrap();
    assert_eq!(std::fs::read_link(home.join("l")).unwrap().as_os_str(), "any \"text\"");
    let Response::Name(names) = peer.ask(SftpRequest::Readlink { path: b("l") }).await.unwrap() else {
        panic!()
    };
    assert_eq!((names.len(), &names[0].name[..]), (1, &b"any \"text\""[..]));
    assert_eq!(code(peer.stat("l").await.unwrap()), StatusCode::NoSuchFile);
    let Response::Attrs(link) = peer.ask(SftpRequest::Lstat { path: b("l") }).await.unwrap() else {
        panic!()
    };
    assert_eq!(link.permissions.unwrap() & 0o170_000, 0o120_000);
    for (path, real) in [
        ("", "/"),
        (".", "/"),
        ("..", "/"),
        ("to-a/b/../b", "/a/b"),
        ("/a/./b//", "/a/b"),
        ("a/not there", "/a/not there"),
    ] {
        let Response::Name(names) = peer.ask(SftpRequest::Realpath { path: b(path) }).await.unwrap() else {
            panic!("{path}")
        };
        assert_eq!((names.len(), &names[0].name[..]), (1, real.as_bytes()), "{path}");
    }
    let missing = peer.refusal(SftpRequest::Realpath { path: b("x/y") }).await.unwrap().unwrap();
    assert_eq!(missing.0, StatusCode::NoSuchFile);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_read_only_user_changes_nothing() {
    let host = Host::with_user("ann", "access = \"read-only\"").await.unwrap();
    let home = host.home("ann");
    std::fs::write(home.join("f"), b"here").unwrap();
    std::fs::create_dir(home.join("d")).unwrap();
    let mut peer = SftpPeer::login(&host, "ann").await.unwrap();
    let attributes = || SftpAttributes { permissions: Some(0o700), ..SftpAttributes::default() };
    let f = || b("f");
    let handle = peer.open("f", OpenFlags::READ).await.unwrap().unwrap();
    for flags in [ANEW, OpenFlags::WRITE, OpenFlags::WRITE | OpenFlags::APPEND, OpenFlags(0x19)] {
        assert_eq!(code(peer.open("f", flags).await.unwrap()), StatusCode::PermissionDenied, "{flags:?}");
    }
    use sshome_wire::sftp::Extended;
    for request in [
        SftpRequest::Setstat { path: f(), attributes: attributes() },
        SftpRequest::Fsetstat { handle: handle.clone(), attributes: attributes() },
        SftpRequest::Remove { path: f() },
        SftpRequest::Mkdir { path: b("e"), attributes: attributes() },
        SftpRequest::Rmdir { path: b("d") },
        SftpRequest::Rename { from: f(), to: b("g") },
        SftpRequest::Symlink { target: f(), path: b("l") },
        SftpRequest::Extended(Extended::PosixRename { from: f(), to: b("g") }),
        SftpRequest::Extended(Extended::Hardlink { from: f(), to: b("g") }),
        SftpRequest::Extended(Extended::Lsetstat { path: f(), attributes: attributes() }),
        SftpRequest::Write { handle: handle.clone(), offset: 0, data: b("x").into() },
    ] {
        let shown = format!("{request:?}");
        let refusal = peer.refusal(request).await.unwrap().expect(&shown);
        assert_eq!(refusal.0, StatusCode::PermissionDenied, "{shown}");
    }
    // Nothing else is refused.
    assert_eq!(peer.get("f").await.unwrap().unwrap(), b"here");
    assert_eq!(peer.list(".").await.unwrap().unwrap().len(), 4);
    assert_eq!(peer.statvfs().await.unwrap().flag & 1, 1);
    peer.done(SftpRequest::Extended(Extended::Fsync { handle: handle.clone() })).await.unwrap();
    peer.close(handle).await.unwrap();
    assert_eq!(std::fs::read_dir(&home).unwrap().count(), 2);
    assert_eq!(std::fs::read(home.join("f")).unwrap(), b"here");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_is_too_long_is_an_error() {
    let (_host, mut peer) = ann().await;
    let refusal = peer.put(vec![b'n'; 256], b"").await.unwrap().unwrap();
    assert_eq!(refusal.0, StatusCode::BadMessage);
    assert!(refusal.1.ends_with("the name is too long"), "{}", refusal.1);
    let nul = peer.refusal(SftpRequest::Remove { path: Bytes::from_static(b"a\0b") }).await.unwrap().unwrap();
    assert_eq!(nul.0, StatusCode::BadMessage);
}

/// Programs look for the texts of OpenSSH's server in messages.
#[tokio::test(flavor = "multi_thread")]
async fn messages_begin_with_those_of_openssh() {
    let host = Host::with_user("ann", "quota = \"1 MiB\"").await.unwrap();
    let mut peer = SftpPeer::login(&host, "ann").await.unwrap();
    assert_eq!(peer.put("f", b"content").await.unwrap(), None);
    peer.done(SftpRequest::Mkdir { path: b("d"), attributes: SftpAttributes::default() }).await.unwrap();
    let file = peer.open("f", OpenFlags::READ).await.unwrap().unwrap();
    let owner = SftpAttributes { owner: Some(Owner { uid: 4711, gid: 4711 }), ..SftpAttributes::default() };
    let size = SftpAttributes { size: Some(2 << 20), ..SftpAttributes::default() };
    for (request, text) in [
        (SftpRequest::Lstat { path: b("/x") }, "No such file: /x"),
        (SftpRequest::Opendir { path: b("none") }, "No such file: no such directory: /none"),
        (
            SftpRequest::Mkdir { path: b("none/d"), attributes: SftpAttributes::default() },
            "No such file: no such directory: /none",
        ),
        (SftpRequest::Stat { path: b("f/x") }, "No such file: wrong type: /f/x: not a directory"),
        (
            SftpRequest::Setstat { path: b("f"), attributes: owner },
            "Permission denied: /f: the owner cannot be changed: all files belong to the server",
        ),
        (SftpRequest::Setstat { path: b("f"), attributes: size }, "Failure: quota exceeded: f needs 2.0 MiB"),
        (
            SftpRequest::Mkdir { path: b("d"), attributes: SftpAttributes::default() },
            "Failure: /d exists already",
        ),
        (SftpRequest::Remove { path: b("d") }, "Failure: wrong type: /d is a directory"),
        (SftpRequest::Read { handle: file.clone(), offset: 7, length: 1 }, "End of file"),
        (
            SftpRequest::Write { handle: file.clone(), offset: 7, data: b("x").into() },
            "Permission denied: /f: the handle was not opened for this",
        ),
        (SftpRequest::Close { handle: b("none") }, "Failure: no such handle is open"),
        (SftpRequest::Lstat { path: b("\0") }, "Bad message: "),
    ] {
        let shown = format!("{request:?}");
        let (_, told) = peer.refusal(request).await.unwrap().unwrap();
        assert!(told.starts_with(text), "{shown}: {told}");
    }
    let closed = peer.ask(SftpRequest::Close { handle: file }).await.unwrap();
    assert_eq!(sshome_e2e::sftp::refused(closed).unwrap(), (StatusCode::Ok, "Success".to_owned()));
}
