//! Every extension.

use crate::b;
use bytes::Bytes;
use sshome_e2e::sftp::{ANEW, SftpPeer, refused};
use sshome_e2e::tree::noise;
use sshome_e2e::{Host, until};
use sshome_wire::sftp::{
    CheckFile, CheckedFile, Extended, Extension, OpenFlags, Response, SftpAttributes, SftpLimits,
    SftpRequest, StatusCode, Subject, Times, UsersGroups, Vendor,
};
use std::os::unix::fs::MetadataExt;

const MIB: usize = 1 << 20;

#[tokio::test(flavor = "multi_thread")]
async fn announced_extensions_work() {
    let host = Host::with_user("ann", "").await.unwrap();
    let mut peer = SftpPeer::login(&host, "ann").await.unwrap();
    let announced: Vec<(String, Bytes)> = peer
        .extensions()
        .iter()
        .map(|extension| (String::from_utf8(extension.name.to_vec()).unwrap(), extension.data.clone()))
        .collect();
    for (name, version) in [
        ("posix-rename@openssh.com", "1"),
        ("statvfs@openssh.com", "2"),
        ("fstatvfs@openssh.com", "2"),
        ("hardlink@openssh.com", "1"),
        ("fsync@openssh.com", "1"),
        ("lsetstat@openssh.com", "1"),
        ("limits@openssh.com", "1"),
        ("expand-path@openssh.com", "1"),
        ("users-groups-by-id@openssh.com", "1"),
        ("copy-data", "1"),
        ("home-directory", "1"),
        ("check-file-name", "1"),
        ("check-file-handle", "1"),
    ] {
        assert!(announced.contains(&(name.to_owned(), b(version))), "{name} in {announced:?}");
    }
    assert!(announced.iter().any(|(name, _)| name == "vendor-id"));
    let ours = Vendor { vendor: b("v"), product: b("\x1b[2J"), version: b("1"), build: 1 };
    peer.done(SftpRequest::Extended(Extended::VendorId(ours))).await.unwrap();
    let unknown = Extended::Unknown(Extension { name: b("x@example.com"), data: b("any") });
    let refusal = peer.refusal(SftpRequest::Extended(unknown)).await.unwrap().unwrap();
    assert_eq!(refusal.0, StatusCode::OpUnsupported);
}

#[tokio::test(flavor = "multi_thread")]
async fn posix_rename_hardlink_and_lsetstat_work() {
    let host = Host::with_user("ann", "").await.unwrap();
    let home = host.home("ann");
    let mut peer = SftpPeer::login(&host, "ann").await.unwrap();
    for name in ["a", "b"] {
        assert_eq!(peer.put(name, name.as_bytes()).await.unwrap(), None);
    }
    let done =
        async |peer: &mut SftpPeer, extended| peer.done(SftpRequest::Extended(extended)).await.unwrap();
    done(&mut peer, Extended::PosixRename { from: b("a"), to: b("b") }).await;
    assert_eq!(std::fs::read(home.join("b")).unwrap(), b"a");
    assert!(!home.join("a").exists());
    done(&mut peer, Extended::Hardlink { from: b("b"), to: b("c") }).await;
    assert_eq!(std::fs::metadata(home.join("c")).unwrap().nlink(), 2);
    let taken = SftpRequest::Extended(Extended::Hardlink { from: b("b"), to: b("c") });
    assert_eq!(peer.refusal(taken).await.unwrap().unwrap().0, StatusCode::Failure);
    std::os::unix::fs::symlink("b", home.join("l")).unwrap();
    let before = std::fs::metadata(home.join("b")).unwrap().mtime();
    let times = Some(Times { atime: 1_000_000_000, mtime: 1_000_000_001 });
    let attributes = SftpAttributes { times, ..SftpAttributes::default() };
    done(&mut peer, Extended::Lsetstat { path: b("l"), attributes }).await;
    assert_eq!(std::fs::symlink_metadata(home.join("l")).unwrap().mtime(), 1_000_000_001);
    assert_eq!(std::fs::metadata(home.join("b")).unwrap().mtime(), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn announced_limits_are_enforced() {
    let host = Host::with_user("ann", "").await.unwrap();
    let mut peer = SftpPeer::login(&host, "ann").await.unwrap();
    let Response::Extended(body) = peer.extended(Extended::Limits).await.unwrap() else { panic!() };
    let limits = SftpLimits::decode(body).unwrap();
    assert_eq!((limits.packet, limits.read, limits.write), (256 << 10, 255 << 10, 255 << 10));
    let content = noise(limits.write as usize, "limits");
    let file = peer.open("f", ANEW | OpenFlags::READ).await.unwrap().unwrap();
    assert_eq!(peer.write(&file, 0, &content).await.unwrap(), None);
    // The longest DATA arrives in one packet, and a request for more gets no more.
    assert!(peer.read(&file, 0, limits.read as u32).await.unwrap().unwrap() == content);
    assert!(peer.read(&file, 0, u32::MAX).await.unwrap().unwrap() == content);
    for _ in 1..limits.handles {
        assert!(peer.open("f", OpenFlags::READ).await.unwrap().is_ok());
    }
    let refusal = peer.open("f", OpenFlags::READ).await.unwrap().unwrap_err();
    assert_eq!(refusal.0, StatusCode::Failure);
    assert!(refusal.1.contains("close some"), "{}", refusal.1);
    let refusal = peer.open("new", ANEW).await.unwrap().unwrap_err();
    assert_eq!(refusal.0, StatusCode::Failure);
    assert!(!host.home("ann").join("new").exists());
    peer.close(file).await.unwrap();
    assert!(peer.open("f", OpenFlags::READ).await.unwrap().is_ok());
}

#[tokio::test(flavor = "multi_thread")]
async fn statvfs_shows_the_quota() {
    let host = Host::with_user("ann", "quota = \"10 MiB\"\nmax-files = 20").await.unwrap();
    let mut peer = SftpPeer::login(&host, "ann").await.unwrap();
    assert_eq!(peer.put("f", &vec![1; 4 * MIB]).await.unwrap(), None);
    let there = peer.statvfs().await.unwrap();
    assert_eq!(there.blocks * there.frsize, 10 << 20);
    assert_eq!(there.bavail * there.frsize, 6 << 20);
    assert_eq!((there.files, there.favail), (20, 19));
    let handle = peer.open("f", OpenFlags::READ).await.unwrap().unwrap();
    let Response::Extended(body) = peer.extended(Extended::Fstatvfs { handle }).await.unwrap() else {
        panic!()
    };
    assert_eq!(sshome_wire::sftp::Statvfs::decode(body).unwrap(), there);
    let missing = peer.extended(Extended::Statvfs { path: b("none") }).await.unwrap();
    assert_eq!(refused(missing).unwrap().0, StatusCode::NoSuchFile);
}

#[tokio::test(flavor = "multi_thread")]
async fn users_groups_by_id_and_expand_path_work() {
    let host = Host::with_user("ann", "").await.unwrap();
    let mut peer = SftpPeer::login(&host, "ann").await.unwrap();
    let meta = std::fs::metadata(host.home("ann")).unwrap();
    let ask = Extended::UsersGroupsById { users: vec![meta.uid(), 54321], groups: vec![54321, meta.gid()] };
    let Response::Extended(body) = peer.extended(ask).await.unwrap() else { panic!() };
    let names = UsersGroups::decode(body).unwrap();
    assert_eq!(names, UsersGroups { users: vec![b("ann"), b("")], groups: vec![b(""), b("ann")] });
    for (path, real) in
        [("~", "/"), ("~/x", "/x"), ("~ann", "/"), ("~ann/x", "/x"), ("x", "/x"), ("/~", "/~")]
    {
        let Response::Name(names) = peer.extended(Extended::ExpandPath { path: b(path) }).await.unwrap()
        else {
            panic!("{path}")
        };
        assert_eq!(&names[0].name[..], real.as_bytes(), "{path}");
    }
    let stranger = peer.extended(Extended::ExpandPath { path: b("~root/x") }).await.unwrap();
    assert_eq!(refused(stranger).unwrap().0, StatusCode::NoSuchFile);
    for user in ["ann", ""] {
        let home = peer.extended(Extended::HomeDirectory { user: b(user) }).await.unwrap();
        assert!(matches!(&home, Response::Name(names) if names[0].name == "/"), "{home:?}");
    }
    let stranger = peer.extended(Extended::HomeDirectory { user: b("root") }).await.unwrap();
    assert_eq!(refused(stranger).unwrap().0, StatusCode::NoSuchFile);
}

#[tokio::test(flavor = "multi_thread")]
async fn copy_data_copies_ranges_of_open_files() {
    let host = Host::with_user("ann", "").await.unwrap();
    let home = host.home("ann");
    let content = noise(40 * MIB, "copied");
    std::fs::write(home.join("f"), &content).unwrap();
    let mut peer = SftpPeer::login(&host, "ann").await.unwrap();
    let from = peer.open("f", OpenFlags::READ | OpenFlags::WRITE).await.unwrap().unwrap();
    let to = peer.open("g", ANEW).await.unwrap().unwrap();
    let copy = |from: &Bytes, from_offset, length, to: &Bytes, to_offset| {
        let (from, to) = (from.clone(), to.clone());
        SftpRequest::Extended(Extended::CopyData { from, from_offset, length, to, to_offset })
    };
    // The whole file. Requests that arrive meanwhile wait.
    peer.send(copy(&from, 0, 0, &to, 0)).await.unwrap();
    peer.send(SftpRequest::Fstat { handle: to.clone() }).await.unwrap();
    assert_eq!(refused(peer.next().await.unwrap().unwrap().1).unwrap().0, StatusCode::Ok);
    let Response::Attrs(attributes) = peer.next().await.unwrap().unwrap().1 else { panic!() };
    assert_eq!(attributes.size, Some(40 << 20));
    assert!(std::fs::read(home.join("g")).unwrap() == content);
    // A range into a hole.
    let hole = peer.open("h", ANEW).await.unwrap().unwrap();
    peer.done(copy(&from, 5, 10, &hole, 3)).await.unwrap();
    assert_eq!(std::fs::read(home.join("h")).unwrap(), [&[0; 3], &content[5..15]].concat());
    // Within one file, but not onto itself.
    peer.done(copy(&from, 0, 10, &from, 20)).await.unwrap();
    assert_eq!(std::fs::read(home.join("f")).unwrap()[20..30], content[..10]);
    let same = peer.open("f", OpenFlags::WRITE).await.unwrap().unwrap();
    for target in [&from, &same] {
        assert!(peer.refusal(copy(&from, 0, 0, target, 0)).await.unwrap().is_some());
        assert!(peer.refusal(copy(&from, 0, 10, target, 5)).await.unwrap().is_some());
    }
    assert_eq!(std::fs::metadata(home.join("f")).unwrap().len(), 40 << 20);
    let closed = peer.refusal(copy(&b("12345678"), 0, 0, &to, 0)).await.unwrap().unwrap();
    assert_eq!(closed.0, StatusCode::Failure);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_copy_ends_with_its_channel() {
    let host = Host::with_user("ann", "quota = \"1 TiB\"").await.unwrap();
    let home = host.home("ann");
    let mut peer = SftpPeer::login(&host, "ann").await.unwrap();
    let from = peer.open("f", ANEW | OpenFlags::READ).await.unwrap().unwrap();
    let attributes = SftpAttributes { size: Some(200 << 30), ..SftpAttributes::default() };
    peer.done(SftpRequest::Fsetstat { handle: from.clone(), attributes }).await.unwrap();
    let to = peer.open("g", ANEW).await.unwrap().unwrap();
    let copy = Extended::CopyData { from, from_offset: 0, length: 0, to, to_offset: 0 };
    peer.send(SftpRequest::Extended(copy)).await.unwrap();
    until("it copies", || std::fs::metadata(home.join("g")).unwrap().len() > 0);
    let mut other = SftpPeer::login(&host, "ann").await.unwrap();
    for path in ["f", "g"] {
        other.done(SftpRequest::Remove { path: b(path) }).await.unwrap();
    }
    // Both count until the last close.
    let used = async |peer: &mut SftpPeer| peer.statvfs().await.map(|home| home.blocks - home.bfree).unwrap();
    assert!(used(&mut other).await > 1000);
    peer.close_channel().await.unwrap();
    while used(&mut other).await > 1 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn check_file_returns_digests() {
    let host = Host::with_user("ann", "").await.unwrap();
    let mut peer = SftpPeer::login(&host, "ann").await.unwrap();
    assert_eq!(peer.put("f", b"abc").await.unwrap(), None);
    let handle = peer.open("f", OpenFlags::READ).await.unwrap().unwrap();
    let check = |subject, algorithms: &'static str, offset, length, block_size| {
        Extended::CheckFile(CheckFile { subject, algorithms: b(algorithms), offset, length, block_size })
    };
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    for subject in [Subject::Path(b("f")), Subject::Handle(handle.clone())] {
        // The first supported one.
        let asked = check(subject, "crc32,md5,sha1", 0, 0, 0);
        let Response::Extended(body) = peer.extended(asked).await.unwrap() else { panic!() };
        let checked = CheckedFile::decode(body).unwrap();
        assert_eq!(
            (&checked.algorithm[..], &*hex(&checked.digests)),
            (&b"md5"[..], "900150983cd24fb0d6963f7d28e17f72")
        );
    }
    let named = check(Subject::HandleNamed(handle.clone()), "sha1", 0, 0, 0);
    let Response::Extended(body) = peer.extended(named).await.unwrap() else { panic!() };
    assert_eq!(body[..14], *b"\0\0\0\ncheck-file");
    assert_eq!(
        hex(&CheckedFile::decode(body.slice(14..)).unwrap().digests),
        "a9993e364706816aba3e25717850c26c9cd0d89d"
    );
    // Blocks of a range.
    let content = noise(1000, "blocks");
    assert_eq!(peer.put("g", &content).await.unwrap(), None);
    let asked = check(Subject::Path(b("g")), "blake3", 100, 700, 256);
    let Response::Extended(body) = peer.extended(asked).await.unwrap() else { panic!() };
    let blocks: Vec<u8> =
        content[100..800].chunks(256).flat_map(|block| *blake3::hash(block).as_bytes()).collect();
    assert_eq!(CheckedFile::decode(body).unwrap().digests, blocks);
    for (asked, code) in [
        (check(Subject::Path(b("f")), "md5", 0, 0, 255), StatusCode::BadMessage),
        (check(Subject::Path(b("f")), "crc32", 0, 0, 0), StatusCode::OpUnsupported),
        (check(Subject::Path(b("none")), "md5", 0, 0, 0), StatusCode::NoSuchFile),
        (check(Subject::Handle(b("x")), "md5", 0, 0, 0), StatusCode::Failure),
    ] {
        let shown = format!("{asked:?}");
        assert_eq!(refused(peer.extended(asked).await.unwrap()).unwrap().0, code, "{shown}");
    }
}
