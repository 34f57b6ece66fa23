//! The requests for stored digests, attributes and copies, frame by frame.

use sshome_e2e::tree::noise;
use sshome_e2e::{Host, Peer, end_of};
use sshome_wire::{Digest, Frame, Put, Reply, Request, Status, StoredFile, Time};
use std::fs;
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::PathBuf;

const TIME: Time = Time { seconds: 1_000_000_000, nanoseconds: 5 };

/// A server with a file `old`, and a conversation.
async fn world(settings: &str, old: &[u8]) -> (Host, Peer) {
    let host = Host::with_user("ann", settings).await.unwrap();
    let mut peer = Peer::login(&host, "ann").await.unwrap();
    assert_eq!(peer.put("old", old).await.unwrap().status, Status::Done);
    (host, peer)
}

fn remote(host: &Host, name: &str) -> PathBuf {
    host.home("ann").join(name)
}

fn request(directory: &str, names: &[&str]) -> Frame {
    let paths = names.iter().flat_map(|name| [name.as_bytes(), b"\0"].concat()).collect();
    Frame::Request(Request::StoredDigests { directory: directory.into(), paths })
}

/// Asks for stored digests. Returns the frames with files, and the reply.
async fn look_up(peer: &mut Peer, directory: &str, names: &[&str]) -> (Vec<Vec<StoredFile>>, Reply) {
    peer.send(&request(directory, names)).await.unwrap();
    let mut frames = Vec::new();
    loop {
        match peer.next().await.unwrap() {
            Frame::StoredFiles(files) => frames.push(files),
            Frame::Progress(_) => {}
            Frame::Reply(reply) => return (frames, reply),
            frame => panic!("{frame:?}"),
        }
    }
}

fn copy(name: &str, size: usize, from: &str, digest: Digest) -> Request {
    let (path, size) = (name.into(), Some(size as u64));
    let put = Put { path, size, mtime: Some(TIME), source: None, mode: Some(0o640), resume: 0 };
    Request::PutCopy { put: Box::new(put), from: from.into(), digest }
}

#[tokio::test(flavor = "multi_thread")]
async fn stored_digests_of_files_are_listed_as_long_as_they_apply() {
    let (host, mut peer) = world("", b"old").await;
    fs::create_dir(remote(&host, "dir")).unwrap();
    fs::write(remote(&host, "dir/own"), "written by another program").unwrap();
    symlink("../old", remote(&host, "dir/link")).unwrap();
    let names = ["own", "missing", "link", "", "../old", "../dir", "no/such", "own/x"];
    let (frames, reply) = look_up(&mut peer, "dir", &names).await;
    assert_eq!(reply.status, Status::Done, "{reply}");
    let files = frames.concat();
    let found: Vec<_> = files.iter().map(|file| (file.number, file.size, file.digest)).collect();
    let digest = Some(end_of(b"old").digest);
    assert_eq!(found, [(0, 26, None), (2, 3, digest), (4, 3, digest)]);
    let seen = fs::metadata(remote(&host, "old")).unwrap();
    let mtime = Time { seconds: seen.mtime(), nanoseconds: seen.mtime_nsec() as u32 };
    assert_eq!((files[1].mtime, files[1].mode), (mtime, seen.mode() & 0o7777));
    // Nothing is read: a change that hides behind the old time is not noticed, any other is.
    fs::write(remote(&host, "old"), "OLD").unwrap();
    fs::File::open(remote(&host, "old")).unwrap().set_modified(seen.modified().unwrap()).unwrap();
    assert_eq!(look_up(&mut peer, "/", &["old"]).await.0.concat()[0].digest, digest);
    fs::write(remote(&host, "old"), "new").unwrap();
    assert_eq!(look_up(&mut peer, "/", &["old"]).await.0.concat()[0].digest, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn many_files_come_in_several_frames_and_a_cancel_ends_the_list() {
    let (_host, mut peer) = world("", b"old").await;
    let names = vec!["old"; 2500];
    let (frames, reply) = look_up(&mut peer, "", &names).await;
    assert_eq!(reply.status, Status::Done);
    assert!(frames.iter().all(|files| files.len() <= StoredFile::MAX_PER_FRAME) && frames.len() >= 3);
    let numbers: Vec<u32> = frames.concat().iter().map(|file| file.number).collect();
    assert_eq!(numbers, (0..2500).collect::<Vec<_>>());
    // 25 requests of 2500 paths cannot be answered before the cancel, which arrives with them, is found.
    for _ in 0..25 {
        peer.send(&request("", &names)).await.unwrap();
    }
    peer.send(&Frame::Cancel).await.unwrap();
    let mut statuses = Vec::new();
    while statuses.len() < 26 {
        if let Frame::Reply(reply) = peer.next().await.unwrap() {
            statuses.push(reply.status);
        }
    }
    assert_eq!(statuses[24..], [Status::Cancelled, Status::Done]);
    // A path without its NUL is not looked up.
    let wrong = Request::StoredDigests { directory: Vec::new(), paths: b"old\0old".to_vec() };
    peer.send(&Frame::Request(wrong)).await.unwrap();
    assert!(matches!(peer.next().await.unwrap(), Frame::StoredFiles(files) if files.len() == 1));
    assert_eq!(peer.reply().await.unwrap().status, Status::Done);
}

#[tokio::test(flavor = "multi_thread")]
async fn attributes_are_set_without_touching_the_content() {
    let (host, mut peer) = world("", b"old").await;
    let before = fs::metadata(remote(&host, "old")).unwrap();
    let set = |mode, mtime| Request::SetAttributes { path: b"old".to_vec(), mode, mtime };
    assert_eq!(peer.ask(set(Some(0o600), None)).await.unwrap().status, Status::Done);
    let after = fs::metadata(remote(&host, "old")).unwrap();
    assert_eq!((after.mode() & 0o7777, after.ino(), after.mtime()), (0o600, before.ino(), before.mtime()));
    assert_eq!(peer.ask(set(None, Some(TIME))).await.unwrap().status, Status::Done);
    let after = fs::metadata(remote(&host, "old")).unwrap();
    assert_eq!((after.mode() & 0o7777, after.mtime(), after.mtime_nsec()), (0o600, TIME.seconds, 5));
    let missing = Request::SetAttributes { path: b"no".to_vec(), mode: None, mtime: Some(TIME) };
    assert_eq!(peer.ask(missing).await.unwrap().status, Status::NoSuchFile);
}

#[tokio::test(flavor = "multi_thread")]
async fn content_is_copied_on_the_server_and_verified() {
    // Beyond 4 MiB, the copy takes several steps.
    for size in [3, 40 << 20] {
        let old = noise(size, "old");
        let (host, mut peer) = world("", &old).await;
        let digest = end_of(&old).digest;
        let reply = peer.ask(copy("new", size, "old", digest)).await.unwrap();
        assert_eq!(reply.status, Status::Done, "{reply}");
        assert!(fs::read(remote(&host, "new")).unwrap() == old);
        let seen = fs::metadata(remote(&host, "new")).unwrap();
        assert_eq!((seen.mode() & 0o7777, seen.mtime(), seen.mtime_nsec()), (0o640, TIME.seconds, 5));
        // The digest is stored, as for a put.
        assert_eq!(look_up(&mut peer, "", &["new"]).await.0.concat()[0].digest, Some(digest));
        let wrong = end_of(b"wrong").digest;
        for (name, size, from, digest, status) in [
            ("x", size, "old", wrong, Status::DigestMismatch),
            ("new", size, "old", wrong, Status::DigestMismatch),
            ("x", size + 1, "old", digest, Status::Changed),
            ("x", size, "missing", digest, Status::NoSuchFile),
            ("no/x", size, "old", digest, Status::NoSuchDirectory),
        ] {
            let reply = peer.ask(copy(name, size, from, digest)).await.unwrap();
            assert_eq!(reply.status, status, "{name} from {from}: {reply}");
        }
        assert!(!remote(&host, "x").exists());
        assert!(fs::read(remote(&host, "new")).unwrap() == old);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn copies_are_answered_in_order_among_puts_and_count_against_the_quota() {
    let (host, mut peer) = world("quota = \"10000\"", &[7; 3000]).await;
    let digest = end_of(&[7; 3000]).digest;
    // The source is replaced by a put of the same group.
    peer.begin_put("old", Some(4)).await.unwrap();
    peer.send_data(b"next").await.unwrap();
    peer.send(&Frame::End(end_of(b"next"))).await.unwrap();
    for (name, from, digest) in [("a", "old", digest), ("b", "old", end_of(b"no").digest), ("c", "a", digest)]
    {
        peer.send(&Frame::Request(copy(name, 3000, from, digest))).await.unwrap();
    }
    let mut statuses = Vec::new();
    for _ in 0..4 {
        statuses.push(peer.reply().await.unwrap().status);
    }
    // Either the old content was copied, or there was none any more; never anything else.
    assert_eq!((statuses[0], statuses[2]), (Status::Done, Status::DigestMismatch));
    let a = fs::read(remote(&host, "a"));
    assert!(if statuses[1] == Status::Done { a.unwrap() == [7; 3000] } else { a.is_err() }, "{statuses:?}");
    assert!(!remote(&host, "b").exists());
    assert_eq!(peer.put("big", &[1; 3000]).await.unwrap().status, Status::Done);
    let mut done = 0;
    let refused = loop {
        let reply =
            peer.ask(copy(&format!("n{done}"), 3000, "big", end_of(&[1; 3000]).digest)).await.unwrap();
        if reply.status != Status::Done {
            break reply;
        }
        done += 1;
    };
    assert_eq!(refused.status, Status::QuotaExceeded, "{refused}");
    assert!(done <= 2);
}
