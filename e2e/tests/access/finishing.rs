//! Restricted keys that may only add files: what they may do with their recent files, and remove by `deletable`.

use crate::world::{Became, host};
use bytes::Bytes;
use sshome_e2e::sftp::{ANEW, SftpPeer};
use sshome_e2e::tree::noise;
use sshome_e2e::{Host, HostBuilder, Peer, end_of, until};
use sshome_wire::sftp::{Extended, OpenFlags, Response, SftpAttributes, SftpRequest, StatusCode, Times};
use sshome_wire::{Frame, Put, Request, Status, Time};
use std::fs;

async fn ask(peer: &mut SftpPeer, request: SftpRequest) -> Became {
    match peer.ask(request).await.unwrap() {
        Response::Status { code: StatusCode::Ok, .. } => Became::Done,
        Response::Status { message, .. } => Became::refused(&String::from_utf8_lossy(&message)),
        _ => Became::Done,
    }
}

fn rename(from: &str, to: &str) -> SftpRequest {
    let (from, to) = (Bytes::from(from.to_owned()), Bytes::from(to.to_owned()));
    SftpRequest::Extended(Extended::PosixRename { from, to })
}

fn remove(path: &str) -> SftpRequest {
    SftpRequest::Remove { path: Bytes::from(path.to_owned()) }
}

fn touch(path: &str) -> SftpRequest {
    let times = Some(Times { atime: 1_000_000_000, mtime: 1_000_000_000 });
    let attributes = SftpAttributes { times, permissions: Some(0o440), ..SftpAttributes::default() };
    SftpRequest::Setstat { path: Bytes::from(path.to_owned()), attributes }
}

async fn put(peer: &mut SftpPeer, path: &str) {
    assert!(peer.put(path, b"new").await.unwrap().is_none(), "{path}");
}

/// The names in ann's home, without the staging folder.
fn names(host: &Host) -> Vec<String> {
    let entries = fs::read_dir(host.home("ann")).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<_> = names.filter(|name| !name.starts_with(".sshome")).collect();
    names.sort();
    names
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_file_may_be_renamed_once_from_any_connection_of_its_key() {
    for access in ["append-only", "upload-only"] {
        let host = host(access, "").await;
        let mut first = SftpPeer::login(&host, "ann").await.unwrap();
        let mut second = SftpPeer::login(&host, "ann").await.unwrap();
        put(&mut first, "f.partial").await;
        put(&mut first, "taken").await;
        assert_eq!(ask(&mut second, rename("f.partial", "taken")).await, Became::Protected);
        assert_eq!(ask(&mut second, touch("f.partial")).await, Became::Done);
        assert_eq!(ask(&mut second, rename("f.partial", "f")).await, Became::Done);
        // It has its final name: it can neither be renamed again nor removed.
        for request in [rename("f", "g"), rename("f", "f.partial"), remove("f")] {
            assert_eq!(ask(&mut second, request).await, Became::Protected);
        }
        assert_eq!(ask(&mut second, touch("f")).await, Became::Done);
        let hard_link = Extended::Hardlink { from: Bytes::from("f"), to: Bytes::from("g") };
        assert_eq!(ask(&mut second, SftpRequest::Extended(hard_link)).await, Became::Protected);
        assert_eq!(names(&host), ["f", "taken"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_file_may_be_removed_under_its_temporary_name_only() {
    let host = host("append-only", "").await;
    let mut peer = SftpPeer::login(&host, "ann").await.unwrap();
    for name in ["x-restic-temp-1", "kept", "moved"] {
        put(&mut peer, name).await;
    }
    // A temporary name that it gets by a rename does not count.
    assert_eq!(ask(&mut peer, rename("moved", "moved.partial")).await, Became::Done);
    assert_eq!(ask(&mut peer, remove("moved.partial")).await, Became::Protected);
    assert_eq!(ask(&mut peer, remove("kept")).await, Became::Protected);
    assert_eq!(ask(&mut peer, remove("x-restic-temp-1")).await, Became::Done);
    // Nor does a temporary file of somebody else, or one that somebody else has changed.
    fs::write(host.home("ann").join("other.partial"), "old").unwrap();
    assert_eq!(ask(&mut peer, remove("other.partial")).await, Became::Protected);
    put(&mut peer, "mine.partial").await;
    fs::write(host.home("ann").join("mine.partial"), "changed").unwrap();
    for request in [remove("mine.partial"), rename("mine.partial", "mine"), touch("mine.partial")] {
        assert_eq!(ask(&mut peer, request).await, Became::Protected);
    }
    assert_eq!(names(&host), ["kept", "mine.partial", "moved.partial", "other.partial"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_folder_may_be_touched_and_removed_while_it_is_empty() {
    let host = host("upload-only", "").await;
    let mut peer = SftpPeer::login(&host, "ann").await.unwrap();
    let make = |path: &'static str| SftpRequest::Mkdir {
        path: Bytes::from(path),
        attributes: SftpAttributes { permissions: Some(0o755), ..SftpAttributes::default() },
    };
    let rmdir = |path: &'static str| SftpRequest::Rmdir { path: Bytes::from(path) };
    assert_eq!(ask(&mut peer, make("d")).await, Became::Done);
    assert_eq!(ask(&mut peer, make("e")).await, Became::Done);
    put(&mut peer, "d/f").await;
    let attributes = SftpAttributes { permissions: Some(0o750), ..SftpAttributes::default() };
    let chmod = SftpRequest::Setstat { path: Bytes::from("d"), attributes };
    assert_eq!(ask(&mut peer, chmod).await, Became::Done);
    assert_eq!(ask(&mut peer, rmdir("d")).await, Became::Failed, "it is not empty");
    assert_eq!(ask(&mut peer, rmdir("e")).await, Became::Done);
    // Another folder under the same name is not the key's.
    fs::create_dir(host.home("ann").join("e")).unwrap();
    fs::create_dir(host.home("ann").join("e2")).unwrap();
    assert_eq!(ask(&mut peer, rmdir("e2")).await, Became::Protected);
    assert_eq!(names(&host), ["d", "e", "e2"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_appears_when_it_is_closed_unless_another_was_first() {
    let host = host("append-only", "").await;
    let mut peer = SftpPeer::login(&host, "ann").await.unwrap();
    let first = peer.open("f", ANEW).await.unwrap().unwrap();
    let second = peer.open("f", ANEW).await.unwrap().unwrap();
    assert!(peer.write(&first, 0, b"first").await.unwrap().is_none());
    assert!(peer.write(&second, 0, b"second!").await.unwrap().is_none());
    let attributes = SftpAttributes { size: Some(5), ..SftpAttributes::default() };
    let cut = SftpRequest::Fsetstat { handle: first.clone(), attributes };
    assert_eq!(ask(&mut peer, cut).await, Became::Done);
    assert!(names(&host).is_empty());
    peer.close(first).await.unwrap();
    assert_eq!(ask(&mut peer, SftpRequest::Close { handle: second }).await, Became::Protected);
    assert_eq!(fs::read(host.home("ann").join("f")).unwrap(), b"first");
    // A file that is not closed leaves nothing.
    peer.open("g", OpenFlags(OpenFlags::WRITE.0 | OpenFlags::CREAT.0)).await.unwrap().unwrap();
    peer.vanish().await.unwrap();
    assert_eq!(names(&host), ["f"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_resumes_its_own_partial_uploads_and_no_others() {
    let mtime = Time { seconds: 1_000_000_000, nanoseconds: 0 };
    for access in ["append-only", "upload-only"] {
        let host = HostBuilder::new().unwrap();
        let limits = format!("access = \"{access}\"");
        let mut host = host.restricted_user("ann", "", &limits).unwrap().prepare().unwrap();
        let content = noise(9 << 20, access);
        let put = |resume| {
            let (path, size) = (b"big".to_vec(), Some(content.len() as u64));
            Request::Put(Put { path, size, mtime: None, source: Some(mtime), mode: None, resume })
        };
        host.start().await.unwrap();
        let mut peer = Peer::login(&host, "ann").await.unwrap();
        peer.send(&Frame::Request(put(0))).await.unwrap();
        peer.send_data(&content[..5 << 20]).await.unwrap();
        let used = || host.administrator().json(&["status"])["homes"][0]["reserved"].as_u64().unwrap();
        until("the data have arrived", || {
            host.administrator().json(&["status"])["sessions"][0]["transfers"][0]["done"] == 5 << 20
        });
        peer.vanish().await.unwrap();
        until("the partial upload is kept", || used() == 4 << 20);
        let ask = Request::PartStatus { path: b"big".to_vec(), size: 9 << 20, mtime };
        let mut peer = Peer::login(&host, "ann").await.unwrap();
        peer.send(&Frame::Request(ask.clone())).await.unwrap();
        let status = loop {
            match peer.next().await.unwrap() {
                Frame::Reply(reply) => break reply.status,
                _ => continue,
            }
        };
        assert_eq!(status, Status::Resuming, "{access}");
        drop(peer);
        // After a restart, the server does not know whose file it is.
        host.stop().await.unwrap();
        host.start().await.unwrap();
        let mut peer = Peer::login(&host, "ann").await.unwrap();
        assert_eq!(peer.ask(ask).await.unwrap().status, Status::EnoughSpace, "{access}");
        peer.send(&Frame::Request(put(0))).await.unwrap();
        peer.send_data(&content).await.unwrap();
        peer.send(&Frame::End(end_of(&content))).await.unwrap();
        assert_eq!(peer.reply().await.unwrap().status, Status::Done, "{access}");
        assert_eq!(fs::read(host.home("ann").join("big")).unwrap(), content);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn deletable_patterns_match_the_resolved_path() {
    let host = host("append-only", "deletable = [\"locks/*\"]\ntemporary-names = []").await;
    let mut peer = SftpPeer::login(&host, "ann").await.unwrap();
    let home = host.home("ann");
    for folder in ["locks", "data", "locks/full", "locks/empty", "locks/deep"] {
        fs::create_dir(home.join(folder)).unwrap();
    }
    for file in ["locks/a", "locks/b", "data/c", "locks/full/f", "locks/deep/f"] {
        fs::write(home.join(file), "old").unwrap();
    }
    std::os::unix::fs::symlink("../data", home.join("locks/link")).unwrap();
    std::os::unix::fs::symlink("locks", home.join("way")).unwrap();
    let rmdir = |path: &'static str| SftpRequest::Rmdir { path: Bytes::from(path) };
    for (request, want) in [
        (remove("data/c"), Became::Protected),
        (remove("locks/link/c"), Became::Protected),
        (remove("locks/../data/c"), Became::Protected),
        (remove("locks/deep/f"), Became::Protected),
        (rename("locks/a", "locks/z"), Became::Protected),
        (remove("locks/a"), Became::Done),
        (remove("way/b"), Became::Done),
        (remove("locks/full"), Became::Protected),
        (rmdir("locks/full"), Became::Failed),
        (rmdir("locks/empty"), Became::Done),
        (rmdir("locks"), Became::Protected),
        (remove("locks/link"), Became::Done),
    ] {
        assert_eq!(ask(&mut peer, request.clone()).await, want, "{request:?}");
    }
    put(&mut peer, "f.partial").await;
    assert_eq!(ask(&mut peer, remove("f.partial")).await, Became::Protected, "no name is temporary");
    assert!(home.join("data/c").exists() && home.join("locks/full/f").exists());
    let refused = sshome_e2e::run(&host, "ann", "rm -r locks/full", b"").await.unwrap();
    assert!(refused.err().contains("this key may not change what exists"), "{refused}");
}
