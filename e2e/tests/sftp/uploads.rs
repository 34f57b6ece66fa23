//! `sftp-uploads = "atomic"`: staged at OPEN, published at CLOSE, and never after a lost connection.

use crate::b;
use bytes::Bytes;
use sshome_e2e::sftp::{ANEW, SftpPeer};
use sshome_e2e::tree::{mode, names, noise, set_mode};
use sshome_e2e::{Host, Peer, until};
use sshome_wire::sftp::{OpenFlags, Response, SftpAttributes, SftpRequest, StatusCode};
use std::time::Duration;

const MIB: usize = 1 << 20;
const ATOMIC: &str = "quota = \"10 MiB\"\nsftp-uploads = \"atomic\"";

#[tokio::test(flavor = "multi_thread")]
async fn a_staged_file_appears_when_it_is_closed() {
    let host = Host::with_user("ann", ATOMIC).await.unwrap();
    let file = host.home("ann").join("f");
    let mut peer = SftpPeer::login(&host, "ann").await.unwrap();
    std::fs::write(&file, b"before").unwrap();
    set_mode(&file, 0o604).unwrap();
    let handle = peer.open("f", ANEW).await.unwrap().unwrap();
    assert_eq!(peer.write(&handle, 0, b"after").await.unwrap(), None);
    assert_eq!(std::fs::read(&file).unwrap(), b"before");
    peer.close(handle).await.unwrap();
    assert_eq!((std::fs::read(&file).unwrap(), mode(&file).unwrap()), (b"after".to_vec(), 0o604));
    // Writing out of order has the same result.
    let content = noise(MIB, "order");
    let handle = peer.open("g", ANEW).await.unwrap().unwrap();
    for at in [2, 0, 7, 6, 3, 1, 5, 4] {
        let part = &content[at * MIB / 8..(at + 1) * MIB / 8];
        assert_eq!(peer.write(&handle, (at * MIB / 8) as u64, part).await.unwrap(), None);
    }
    assert_eq!(peer.stat("g").await.unwrap().unwrap_err().0, StatusCode::NoSuchFile);
    peer.close(handle).await.unwrap();
    // Our own protocol reads it completely.
    let mut native = Peer::login(&host, "ann").await.unwrap();
    assert!(native.get("g").await.unwrap().unwrap() == content);
    // A file that is opened without CREAT is changed in place.
    let handle = peer.open("g", OpenFlags::WRITE).await.unwrap().unwrap();
    assert_eq!(peer.write(&handle, 0, b"in place").await.unwrap(), None);
    assert_eq!(&std::fs::read(host.home("ann").join("g")).unwrap()[..8], b"in place");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_connection_publishes_nothing() {
    let host = Host::with_user("ann", ATOMIC).await.unwrap();
    let home = host.home("ann");
    let mut peer = SftpPeer::login(&host, "ann").await.unwrap();
    assert_eq!(peer.put("f", b"before").await.unwrap(), None);
    let free = peer.statvfs().await.unwrap().bavail;
    let staged = || names(&home.join(".sshome-staging")).unwrap().len();
    for end in ["connection", "channel", "eof"] {
        let mut peer = SftpPeer::login(&host, "ann").await.unwrap();
        let handle = peer.open("f", ANEW).await.unwrap().unwrap();
        assert_eq!(peer.write(&handle, 0, &noise(2 * MIB, end)[..100_000]).await.unwrap(), None);
        assert_eq!(staged(), 1);
        match end {
            "connection" => peer.vanish().await.unwrap(),
            "channel" => peer.close_channel().await.unwrap(),
            _ => peer.eof().await.unwrap(),
        }
        until("what was staged is gone", || staged() == 0);
        assert_eq!(std::fs::read(home.join("f")).unwrap(), b"before", "{end}");
    }
    // The reservation is released just after the staged file is deleted.
    let released = async { while peer.statvfs().await.unwrap().bavail != free {} };
    assert!(
        tokio::time::timeout(Duration::from_secs(60), released).await.is_ok(),
        "the upload is still reserved"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_that_is_refused_leaves_the_old_file() {
    let host = Host::with_user("ann", ATOMIC).await.unwrap();
    let file = host.home("ann").join("f");
    let mut peer = SftpPeer::login(&host, "ann").await.unwrap();
    assert_eq!(peer.put("f", &vec![1; 9 * MIB]).await.unwrap(), None);
    // Replacing needs only the difference.
    assert_eq!(peer.put("f", &vec![2; 10 * MIB]).await.unwrap(), None);
    let handle = peer.open("f", ANEW).await.unwrap().unwrap();
    assert_eq!(peer.write(&handle, 0, b"first").await.unwrap(), None);
    let refusal = peer.write(&handle, 10 * MIB as u64, b"x").await.unwrap().unwrap();
    assert_eq!(refusal.0, StatusCode::Failure);
    assert!(refusal.1.starts_with("Failure: quota exceeded: "), "{}", refusal.1);
    // Later writes do not complete it, and closing does not publish it.
    assert_eq!(peer.write(&handle, 5, b"second").await.unwrap(), Some(refusal.clone()));
    let closed = peer.refusal(SftpRequest::Close { handle: handle.clone() }).await.unwrap();
    assert_eq!(closed, Some(refusal));
    assert!(std::fs::read(&file).unwrap() == vec![2; 10 * MIB]);
    assert!(peer.refusal(SftpRequest::Close { handle }).await.unwrap().is_some());
    peer.done(SftpRequest::Remove { path: b("f") }).await.unwrap();
}

/// As scp writes: without TRUNC, and with the length set at the end. As others write: with APPEND, or anywhere in the
/// file.
#[tokio::test(flavor = "multi_thread")]
async fn an_upload_that_does_not_empty_the_file_is_staged_too() {
    let host = Host::with_user("ann", "quota = \"10 MiB\"\nsftp-uploads = \"atomic\"").await.unwrap();
    let file = host.home("ann").join("f");
    let mut peer = SftpPeer::login(&host, "ann").await.unwrap();
    let over = OpenFlags::WRITE | OpenFlags::CREAT;
    let size = |handle: &Bytes, size| {
        let attributes = SftpAttributes { size: Some(size), ..SftpAttributes::default() };
        SftpRequest::Fsetstat { handle: handle.clone(), attributes }
    };
    let old = noise(6 * MIB, "old");
    assert_eq!(peer.put("f", &old).await.unwrap(), None);
    // Shorter than the old file, so it needs no additional space.
    let new = noise(4 * MIB, "new");
    let handle = peer.open("f", over).await.unwrap().unwrap();
    for (number, piece) in new.chunks(200_000).enumerate() {
        assert_eq!(peer.write(&handle, 200_000 * number as u64, piece).await.unwrap(), None);
    }
    assert!(std::fs::read(&file).unwrap() == old);
    peer.done(size(&handle, 4 * MIB as u64)).await.unwrap();
    assert!(std::fs::read(&file).unwrap() == old);
    peer.close(handle).await.unwrap();
    assert!(std::fs::read(&file).unwrap() == new);
    // In the middle, beyond the end, and at the end. Data that is not overwritten stays.
    let mut wanted = new.clone();
    let handle = peer.open("f", over).await.unwrap().unwrap();
    for (offset, content) in [(MIB, "one"), (3 * MIB + 5, "two"), (5 * MIB, "three")] {
        let content = noise(1000, content);
        assert_eq!(peer.write(&handle, offset as u64, &content).await.unwrap(), None);
        wanted.resize(wanted.len().max(offset + 1000), 0);
        wanted[offset..offset + 1000].copy_from_slice(&content);
    }
    let Response::Attrs(told) = peer.ask(SftpRequest::Fstat { handle: handle.clone() }).await.unwrap() else {
        panic!()
    };
    assert_eq!(told.size, Some(wanted.len() as u64));
    assert!(std::fs::read(&file).unwrap() == new);
    peer.close(handle).await.unwrap();
    assert!(std::fs::read(&file).unwrap() == wanted);
    for flags in [over | OpenFlags::APPEND, over | OpenFlags::APPEND | OpenFlags::TRUNC] {
        if flags.contains(OpenFlags::TRUNC) {
            wanted.clear();
        }
        let before = std::fs::read(&file).unwrap();
        let handle = peer.open("f", flags).await.unwrap().unwrap();
        for piece in [&b"more"[..], b" and more"] {
            assert_eq!(peer.write(&handle, 0, piece).await.unwrap(), None);
            wanted.extend_from_slice(piece);
        }
        assert!(std::fs::read(&file).unwrap() == before);
        peer.close(handle).await.unwrap();
        assert!(std::fs::read(&file).unwrap() == wanted);
    }
    // An upload that is refused in part, and one whose connection is lost, leave the old file.
    let handle = peer.open("f", over).await.unwrap().unwrap();
    assert_eq!(peer.write(&handle, 0, b"new").await.unwrap(), None);
    assert!(peer.write(&handle, 10 * MIB as u64, b"x").await.unwrap().is_some());
    assert!(peer.refusal(size(&handle, 3)).await.unwrap().is_some());
    assert!(peer.refusal(SftpRequest::Close { handle }).await.unwrap().is_some());
    assert!(std::fs::read(&file).unwrap() == wanted);
    // The old content has changed meanwhile: a mixture would be neither the old file nor the new one.
    let handle = peer.open("f", over).await.unwrap().unwrap();
    assert_eq!(peer.write(&handle, 2, b"new").await.unwrap(), None);
    std::fs::write(&file, b"changed from outside").unwrap();
    assert!(peer.refusal(SftpRequest::Close { handle }).await.unwrap().is_some());
    assert_eq!(std::fs::read(&file).unwrap(), b"changed from outside");
    let handle = peer.open("f", over).await.unwrap().unwrap();
    assert_eq!(peer.write(&handle, 0, b"new").await.unwrap(), None);
    peer.vanish().await.unwrap();
    let staging = host.home("ann").join(".sshome-staging");
    until("what was staged is gone", || names(&staging).unwrap().is_empty());
    assert_eq!(std::fs::read(&file).unwrap(), b"changed from outside");
}

/// As Go's library creates files: it may read what it has written.
#[tokio::test(flavor = "multi_thread")]
async fn a_file_truncated_for_reading_and_writing_is_staged() {
    let host = Host::with_user("ann", ATOMIC).await.unwrap();
    let mut peer = SftpPeer::login(&host, "ann").await.unwrap();
    assert_eq!(peer.put("f", b"old").await.unwrap(), None);
    let handle = peer.open("f", ANEW | OpenFlags::READ).await.unwrap().unwrap();
    assert_eq!(peer.write(&handle, 0, b"new content").await.unwrap(), None);
    assert_eq!(peer.read(&handle, 4, 100).await.unwrap().unwrap(), b"content");
    assert_eq!(std::fs::read(host.home("ann").join("f")).unwrap(), b"old");
    peer.close(handle).await.unwrap();
    assert_eq!(std::fs::read(host.home("ann").join("f")).unwrap(), b"new content");
}
