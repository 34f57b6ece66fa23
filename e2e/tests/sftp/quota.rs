//! The quota, to the byte. After each change the accounting matches a scan of the disk.

use crate::b;
use bytes::Bytes;
use sshome_e2e::Host;
use sshome_e2e::sftp::{ANEW, Refusal, SftpPeer};
use sshome_e2e::tree::on_disk;
use sshome_wire::sftp::{Extended, OpenFlags, SftpAttributes, SftpRequest, StatusCode};
use std::path::Path;

const MIB: u64 = 1 << 20;

/// A home of 10 MiB. SFTP reports free space in whole blocks; the accounting is compared through our own protocol,
/// which reports bytes.
async fn ann() -> (Host, SftpPeer) {
    let host = Host::with_user("ann", "quota = \"10 MiB\"").await.unwrap();
    let peer = SftpPeer::login(&host, "ann").await.unwrap();
    (host, peer)
}

async fn assert_books(host: &Host) {
    let home: &Path = &host.home("ann");
    let mut native = sshome_e2e::Peer::login(host, "ann").await.unwrap();
    let reply = native.ask(sshome_wire::Request::Df).await.unwrap();
    let sshome_wire::Payload::Usage(usage) = reply.payload else { panic!("{reply:?}") };
    assert_eq!((usage.used, usage.entries), on_disk(home), "the books differ from the disk");
    assert_eq!(usage.reserved, 0, "something is reserved and nothing is under way");
}

#[track_caller]
fn assert_exceeded(refusal: Option<Refusal>) {
    let (code, text) = refusal.expect("it is over the quota");
    assert_eq!(code, StatusCode::Failure);
    assert!(text.starts_with("Failure: quota exceeded: "), "{text}");
}

fn zeros(length: u64) -> Vec<u8> {
    vec![0; length as usize]
}

#[tokio::test(flavor = "multi_thread")]
async fn writing_overwriting_and_appending_stop_at_the_quota() {
    let (host, mut peer) = ann().await;
    // To the byte, in pieces.
    assert_eq!(peer.put("f", &zeros(10 * MIB)).await.unwrap(), None);
    assert_books(&host).await;
    let file = peer.open("f", OpenFlags::WRITE).await.unwrap().unwrap();
    // Overwriting needs no space. One byte more does not fit, and a write that does not fit writes nothing.
    assert_eq!(peer.write(&file, MIB, &[1; 30_000]).await.unwrap(), None);
    for (offset, data) in [(10 * MIB, &[2][..]), (10 * MIB - 2, &[2; 3])] {
        let another = peer.open("f", OpenFlags::WRITE).await.unwrap().unwrap();
        assert_exceeded(peer.write(&another, offset, data).await.unwrap());
    }
    assert_eq!(std::fs::read(host.home("ann").join("f")).unwrap()[(10 * MIB - 2) as usize..], [0, 0]);
    assert_books(&host).await;
    let append = peer.open("f", OpenFlags::WRITE | OpenFlags::APPEND).await.unwrap().unwrap();
    assert_exceeded(peer.write(&append, 0, &[3]).await.unwrap());
    let append = peer.open("f", OpenFlags::WRITE | OpenFlags::APPEND).await.unwrap().unwrap();
    let size = |size| SftpAttributes { size: Some(size), ..SftpAttributes::default() };
    peer.done(SftpRequest::Fsetstat { handle: file.clone(), attributes: size(MIB) }).await.unwrap();
    assert_books(&host).await;
    assert_eq!(peer.write(&append, 0, &[3; 1000]).await.unwrap(), None);
    assert_books(&host).await;
    // Extended by setting its size: the hole counts.
    let longer = SftpRequest::Setstat { path: b("f"), attributes: size(10 * MIB) };
    peer.done(longer).await.unwrap();
    assert_books(&host).await;
    let refusal = peer.refusal(SftpRequest::Setstat { path: b("f"), attributes: size(10 * MIB + 1) }).await;
    assert_exceeded(refusal.unwrap());
    assert_books(&host).await;
    // Truncated by opening.
    let anew = peer.open("f", ANEW).await.unwrap().unwrap();
    assert_books(&host).await;
    assert_eq!(peer.write(&anew, 0, &[4; 10]).await.unwrap(), None);
    assert_books(&host).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_far_beyond_the_end_is_refused() {
    let (host, mut peer) = ann().await;
    for offset in [10 << 30, u64::MAX - 1, i64::MAX as u64, 10 * MIB] {
        let file = peer.open("f", ANEW).await.unwrap().unwrap();
        let refusal = peer.write(&file, offset, b"x").await.unwrap();
        assert_eq!(refusal.unwrap().0, StatusCode::Failure, "{offset}");
        assert_books(&host).await;
    }
    let file = peer.open("f", ANEW).await.unwrap().unwrap();
    assert_exceeded(peer.write(&file, 10 << 30, b"x").await.unwrap());
    let file = peer.open("f", ANEW).await.unwrap().unwrap();
    assert_eq!(peer.write(&file, 10 * MIB - 1, b"x").await.unwrap(), None);
    assert_books(&host).await;
}

/// OpenSSH's clients send many WRITEs ahead and check only the last status. If space becomes free after one was
/// refused, later ones must not make a file with a hole.
#[tokio::test(flavor = "multi_thread")]
async fn after_a_refused_write_the_handle_fails() {
    let (host, mut peer) = ann().await;
    let append = OpenFlags::WRITE | OpenFlags::CREAT | OpenFlags::APPEND;
    for flags in [ANEW, ANEW | OpenFlags::READ, OpenFlags::WRITE | OpenFlags::CREAT, append] {
        assert_eq!(peer.put("other", &zeros(10 * MIB - 1500)).await.unwrap(), None);
        let file = peer.open("f", flags).await.unwrap().unwrap();
        assert_eq!(peer.write(&file, 0, &[1; 1000]).await.unwrap(), None);
        let refusal = peer.write(&file, 1000, &[2; 1000]).await.unwrap();
        assert_exceeded(refusal.clone());
        peer.done(SftpRequest::Remove { path: b("other") }).await.unwrap();
        assert_eq!(peer.write(&file, 2 * MIB, &[3; 1000]).await.unwrap(), refusal);
        let attributes = SftpAttributes { size: Some(2 * MIB), ..SftpAttributes::default() };
        let size = SftpRequest::Fsetstat { handle: file.clone(), attributes };
        assert_eq!(peer.refusal(size).await.unwrap(), refusal);
        let fsync = SftpRequest::Extended(Extended::Fsync { handle: file.clone() });
        assert_eq!(peer.refusal(fsync).await.unwrap(), refusal);
        let from = peer.open("f", OpenFlags::READ).await.unwrap().unwrap();
        let (to, to_offset) = (file.clone(), 3 * MIB);
        let copy = Extended::CopyData { from: from.clone(), from_offset: 0, length: 10, to, to_offset };
        assert_eq!(peer.refusal(SftpRequest::Extended(copy)).await.unwrap(), refusal);
        peer.close(from).await.unwrap();
        // Requests that do not change the content still work, and the close reports the failure again.
        peer.done(SftpRequest::Fsetstat { handle: file.clone(), attributes: SftpAttributes::default() })
            .await
            .unwrap();
        assert_eq!(peer.refusal(SftpRequest::Close { handle: file }).await.unwrap(), refusal);
        assert_eq!(std::fs::read(host.home("ann").join("f")).unwrap(), [1; 1000]);
        assert_books(&host).await;
        peer.done(SftpRequest::Remove { path: b("f") }).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn copies_links_and_renames_are_accounted_for() {
    let (host, mut peer) = ann().await;
    assert_eq!(peer.put("f", &zeros(6 * MIB)).await.unwrap(), None);
    let from = peer.open("f", OpenFlags::READ).await.unwrap().unwrap();
    let copy = |length, to: &Bytes| {
        let (from, to) = (from.clone(), to.clone());
        SftpRequest::Extended(Extended::CopyData { from, from_offset: 0, length, to, to_offset: 0 })
    };
    let to = peer.open("g", ANEW).await.unwrap().unwrap();
    assert_exceeded(peer.refusal(copy(0, &to)).await.unwrap());
    assert_books(&host).await;
    let to = peer.open("g", ANEW).await.unwrap().unwrap();
    peer.done(copy(4 * MIB, &to)).await.unwrap();
    assert_books(&host).await;
    // A second name takes no space.
    peer.done(SftpRequest::Extended(Extended::Hardlink { from: b("f"), to: b("h") })).await.unwrap();
    assert_books(&host).await;
    peer.done(SftpRequest::Remove { path: b("f") }).await.unwrap();
    assert_books(&host).await;
    peer.close(from.clone()).await.unwrap();
    peer.close(to.clone()).await.unwrap();
    // The space of a replaced file is free.
    peer.done(SftpRequest::Extended(Extended::PosixRename { from: b("g"), to: b("h") })).await.unwrap();
    assert_books(&host).await;
    assert_eq!(peer.put("i", &zeros(6 * MIB)).await.unwrap(), None);
    assert_books(&host).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_removed_file_counts_while_it_is_open() {
    let (host, mut peer) = ann().await;
    let file = peer.open("f", ANEW).await.unwrap().unwrap();
    assert_eq!(peer.write(&file, 4 * MIB - 1, b"x").await.unwrap(), None);
    peer.done(SftpRequest::Remove { path: b("f") }).await.unwrap();
    // It can still grow into the free space.
    assert_eq!(peer.write(&file, 8 * MIB - 1, b"x").await.unwrap(), None);
    assert_exceeded(peer.put("g", &zeros(3 * MIB)).await.unwrap());
    peer.done(SftpRequest::Remove { path: b("g") }).await.unwrap();
    peer.close(file).await.unwrap();
    assert_books(&host).await;
    assert_eq!(peer.put("g", &zeros(10 * MIB)).await.unwrap(), None);
    assert_books(&host).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_handles_on_one_file_share_its_space() {
    let (host, mut peer) = ann().await;
    let mut other = SftpPeer::login(&host, "ann").await.unwrap();
    let one = peer.open("f", ANEW).await.unwrap().unwrap();
    let two = other.open("f", OpenFlags::WRITE).await.unwrap().unwrap();
    for end in 1..=10 {
        // Both extend it to the same length, which counts once.
        assert_eq!(peer.write(&one, end * MIB - 1, b"1").await.unwrap(), None);
        assert_eq!(other.write(&two, end * MIB - 1, b"2").await.unwrap(), None);
    }
    assert_books(&host).await;
    assert_exceeded(peer.write(&one, 10 * MIB, b"1").await.unwrap());
    let attributes = SftpAttributes { size: Some(0), ..SftpAttributes::default() };
    other.done(SftpRequest::Fsetstat { handle: two, attributes }).await.unwrap();
    assert_books(&host).await;
    let one = peer.open("f", OpenFlags::WRITE).await.unwrap().unwrap();
    assert_eq!(peer.write(&one, 10 * MIB - 1, b"1").await.unwrap(), None);
    assert_books(&host).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn eight_writers_fill_the_quota_to_the_byte() {
    let (host, _) = ann().await;
    let mut writers = tokio::task::JoinSet::new();
    for writer in 0..8 {
        let mut peer = SftpPeer::login(&host, "ann").await.unwrap();
        writers.spawn(async move {
            let name = format!("f{writer}");
            let file = peer.open(name, ANEW).await.unwrap().unwrap();
            let mut written = 0;
            // Odd sizes, so that the limit is inside a write.
            while peer.write(&file, written, &[writer; 9_973]).await.unwrap().is_none() {
                written += 9_973;
            }
            assert_exceeded(peer.refusal(SftpRequest::Close { handle: file }).await.unwrap());
            written
        });
    }
    let written: u64 = writers.join_all().await.into_iter().sum();
    assert!(written <= 10 * MIB && written > 10 * MIB - 9_973, "{written}");
    assert_eq!(on_disk(&host.home("ann")).0, written);
    assert_books(&host).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_number_of_entries_is_limited() {
    let host = Host::with_user("ann", "max-files = 3").await.unwrap();
    let mut peer = SftpPeer::login(&host, "ann").await.unwrap();
    assert_eq!(peer.put("f", b"1").await.unwrap(), None);
    peer.done(SftpRequest::Mkdir { path: b("d"), attributes: SftpAttributes::default() }).await.unwrap();
    peer.done(SftpRequest::Symlink { target: b("f"), path: b("l") }).await.unwrap();
    let link = SftpRequest::Extended(Extended::Hardlink { from: b("f"), to: b("h") });
    for request in [
        link,
        SftpRequest::Mkdir { path: b("e"), attributes: SftpAttributes::default() },
        SftpRequest::Symlink { target: b("f"), path: b("m") },
        SftpRequest::Open { path: b("g"), flags: ANEW, attributes: SftpAttributes::default() },
    ] {
        assert_exceeded(peer.refusal(request).await.unwrap());
    }
    assert_books(&host).await;
    assert_eq!(peer.put(Bytes::from_static(b"f"), b"replaced").await.unwrap(), None);
    assert_books(&host).await;
}
