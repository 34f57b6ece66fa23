//! Frames of a delta that our client does not send, and changes that it does not make.

use super::MIB;
use bytes::{Bytes, BytesMut};
use sshome_delta::{DeltaStep, Encoder, Index};
use sshome_e2e::tree::noise;
use sshome_e2e::{Host, Peer, end_of};
use sshome_wire::{Chunk, CopyRange, Description, Frame, MAX_CHUNKS, MAX_COPY_BYTES, Put, Request, Status};
use std::fs;
use std::io::Write;

const KEY: [u8; 32] = [3; 32];

/// A server with a file `big`, and a conversation.
async fn world(old: &[u8]) -> (Host, Peer) {
    let host = Host::with_user("ann", "").await.unwrap();
    let mut peer = Peer::login(&host, "ann").await.unwrap();
    assert_eq!(peer.put("big", old).await.unwrap().status, Status::Done);
    (host, peer)
}

/// Asks for the description of a file, which succeeds.
async fn describe(peer: &mut Peer, path: &str) -> Index {
    let mut index = Index::default();
    peer.send(&Frame::Request(Request::Describe { path: path.into(), key: KEY })).await.unwrap();
    loop {
        match peer.next().await.unwrap() {
            Frame::Description(more) => index.extend(&more.chunks).unwrap(),
            Frame::Reply(reply) => {
                assert_eq!(reply.status, Status::Done, "{reply}");
                return index;
            }
            frame => panic!("{frame:?}"),
        }
    }
}

fn put(path: &str, size: usize) -> Frame {
    let (path, size) = (path.into(), Some(size as u64));
    Frame::Request(Request::PutDelta(Put { path, size, mtime: None, source: None, mode: None, resume: 0 }))
}

/// Begins a delta of `size` bytes that copies a range.
async fn copy(peer: &mut Peer, size: usize, offset: u64, length: u64) {
    peer.send(&put("big", size)).await.unwrap();
    peer.send(&Frame::Copy(CopyRange { offset, length })).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_described_file_is_put_as_copies_and_data() {
    let old = noise(3 * MIB, "old");
    let new = [&noise(1000, "head"), &old[MIB..], &noise(1000, "tail")].concat();
    let (host, mut peer) = world(&old).await;
    let index = describe(&mut peer, "big").await;
    assert_eq!(index.bytes(), old.len() as u64);
    // It is the described file that is copied, under whatever name the new one gets.
    peer.send(&put("other", new.len())).await.unwrap();
    let mut encoder = Encoder::new(KEY, index);
    encoder.buffer().extend_from_slice(&new);
    while let Some(step) = encoder.next(true) {
        let frame = match step {
            DeltaStep::Copy(range) => Frame::Copy(range),
            DeltaStep::Literal(bytes) => Frame::Data(Bytes::copy_from_slice(bytes)),
        };
        peer.send(&frame).await.unwrap();
    }
    peer.send(&Frame::End(end_of(&new))).await.unwrap();
    assert_eq!(peer.reply().await.unwrap().status, Status::Done);
    assert!(fs::read(host.home("ann").join("other")).unwrap() == new);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_that_was_not_described_ends_the_put_and_nothing_else() {
    let old = noise(2 * MIB, "old");
    let (host, mut peer) = world(&old).await;
    copy(&mut peer, old.len(), 0, 100).await;
    assert_eq!(peer.reply().await.unwrap().status, Status::BadCommand, "without a description");
    peer.send(&Frame::Abort).await.unwrap();
    let size = old.len() as u64;
    let wrong = [(0, 0), (size, 1), (size - 1, 2), (u64::MAX, 2), (0, MAX_COPY_BYTES + 1), (5, u64::MAX)];
    for (offset, length) in wrong {
        describe(&mut peer, "big").await;
        copy(&mut peer, old.len(), offset, length).await;
        let reply = peer.reply().await.unwrap();
        assert_eq!(reply.status, Status::BadCommand, "{offset} {length}: {reply}");
        peer.send(&Frame::Abort).await.unwrap();
    }
    // A description serves one put.
    describe(&mut peer, "big").await;
    peer.send(&put("copy", MIB)).await.unwrap();
    peer.send(&Frame::Copy(CopyRange { offset: 0, length: MIB as u64 })).await.unwrap();
    peer.send(&Frame::End(end_of(&old[..MIB]))).await.unwrap();
    assert_eq!(peer.reply().await.unwrap().status, Status::Done);
    copy(&mut peer, old.len(), 0, 100).await;
    assert_eq!(peer.reply().await.unwrap().status, Status::BadCommand, "a second time");
    peer.send(&Frame::Abort).await.unwrap();
    assert_eq!(peer.ask(Request::Pwd).await.unwrap().status, Status::Done);
    assert!(fs::read(host.home("ann").join("big")).unwrap() == old);
}

#[tokio::test(flavor = "multi_thread")]
async fn copies_beyond_the_announced_size_are_refused() {
    let old = noise(2 * MIB, "old");
    let (host, mut peer) = world(&old).await;
    describe(&mut peer, "big").await;
    copy(&mut peer, 100, 0, 101).await;
    assert!(peer.reply().await.unwrap().status.is_error());
    assert!(fs::read(host.home("ann").join("big")).unwrap() == old);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_was_written_to_since_it_was_described_is_not_mixed_into_a_new_one() {
    let old = noise(2 * MIB, "old");
    let (host, mut peer) = world(&old).await;
    describe(&mut peer, "big").await;
    peer.send(&put("copy", MIB)).await.unwrap();
    peer.send(&Frame::Copy(CopyRange { offset: 0, length: MIB as u64 })).await.unwrap();
    let mut file = fs::File::options().append(true).open(host.home("ann").join("big")).unwrap();
    file.write_all(b"more").unwrap();
    peer.send(&Frame::End(end_of(&old[..MIB]))).await.unwrap();
    assert_eq!(peer.reply().await.unwrap().status, Status::Changed);
    assert!(!host.home("ann").join("copy").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_was_replaced_or_removed_since_it_was_described_is_not_copied_from() {
    let old = noise(2 * MIB, "old");
    let (host, mut peer) = world(&old).await;
    let mut other = Peer::login(&host, "ann").await.unwrap();
    let replace = other.put("big", &old).await.unwrap();
    assert_eq!(replace.status, Status::Done);
    for change in ["replace", "remove"] {
        describe(&mut peer, "big").await;
        let changed = match change {
            "replace" => other.put("big", &old).await.unwrap(),
            _ => other.ask(Request::Rm { path: b"big".to_vec(), recursive: false }).await.unwrap(),
        };
        assert_eq!(changed.status, Status::Done);
        copy(&mut peer, MIB, 0, MIB as u64).await;
        assert_eq!(peer.reply().await.unwrap().status, Status::Changed, "{change}");
        peer.send(&Frame::Abort).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn only_files_are_described() {
    let (_host, mut peer) = world(b"").await;
    assert!(describe(&mut peer, "big").await.is_empty());
    for path in ["/", "missing"] {
        let reply = peer.ask(Request::Describe { path: path.into(), key: KEY }).await.unwrap();
        assert!(reply.status.is_error(), "{path}: {reply}");
    }
}

fn get(path: &str, known: u32, chunks: u32) -> Frame {
    Frame::Request(Request::GetDelta { path: path.into(), known, chunks, key: KEY })
}

fn description(chunks: Vec<Chunk>) -> Frame {
    Frame::Description(Description { chunks })
}

/// A chunk that no file has.
const ODD: Chunk = Chunk { digest: [9; 10], length: 5000 };

#[tokio::test(flavor = "multi_thread")]
async fn a_false_description_costs_nothing_but_its_length() {
    let content = noise(2 * MIB, "content");
    let (_host, mut peer) = world(&content).await;
    peer.send(&get("big", 0, 5000)).await.unwrap();
    for _ in 0..5 {
        peer.send(&description(vec![ODD; 1000])).await.unwrap();
    }
    let mut received = Vec::new();
    loop {
        match peer.next().await.unwrap() {
            Frame::Header(header) => assert_eq!((header.size, header.offset), (content.len() as u64, 0)),
            Frame::Data(data) => received.extend_from_slice(&data),
            Frame::End(end) => {
                break assert_eq!((end.status, end.digest), (Status::Done, end_of(&content).digest));
            }
            frame => panic!("{frame:?}"),
        }
    }
    assert!(received == content);
}

#[tokio::test(flavor = "multi_thread")]
async fn descriptions_that_were_not_announced_or_are_impossible_end_the_conversation() {
    let (host, _) = world(b"content").await;
    let cases = [
        vec![description(vec![ODD])],
        vec![get("big", 0, MAX_CHUNKS + 1)],
        vec![get("big", 0, 1), description(vec![ODD, ODD])],
        vec![get("big", 0, 1), description(vec![])],
        vec![get("big", 0, 2), description(vec![Chunk { length: 0, ..ODD }, ODD])],
        vec![get("big", 1, 1), description(vec![ODD])],
        vec![get("big", 0, 1), Frame::Request(Request::Pwd)],
    ];
    for frames in cases {
        let mut peer = Peer::login(&host, "ann").await.unwrap();
        for frame in &frames {
            peer.send(frame).await.unwrap();
        }
        assert_eq!(peer.reply().await.unwrap().status, Status::BadCommand, "{frames:?}");
        assert!(peer.next_or_end().await.unwrap().is_none(), "{frames:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_may_hold_four_descriptions_and_a_cancelled_get_returns_its_own() {
    let (host, mut fifth) = world(b"content").await;
    let mut peers = Vec::new();
    for _ in 0..4 {
        let mut peer = Peer::login(&host, "ann").await.unwrap();
        // Both arrive together, so the answer to the first shows that the second was read.
        let mut bytes = BytesMut::new();
        Frame::Request(Request::Pwd).encode(&mut bytes).unwrap();
        get("big", 0, 1).encode(&mut bytes).unwrap();
        peer.send_raw(bytes.freeze()).await.unwrap();
        assert_eq!(peer.reply().await.unwrap().status, Status::Done);
        peers.push(peer);
    }
    let ask = async |peer: &mut Peer| {
        peer.send(&get("big", 0, 1)).await.unwrap();
        peer.send(&description(vec![ODD])).await.unwrap();
        peer.next().await.unwrap()
    };
    let Frame::Reply(refused) = ask(&mut fifth).await else { panic!("it was not refused") };
    assert_eq!(refused.status, Status::Failed);
    assert!(refused.message.contains("as many descriptions"), "{refused}");
    peers[0].send(&Frame::Cancel).await.unwrap();
    assert_eq!(peers[0].reply().await.unwrap().status, Status::Cancelled);
    assert!(matches!(ask(&mut fifth).await, Frame::Header(_)));
}
