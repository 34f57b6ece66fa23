//! The protocol of streams, frame by frame.

use crate::{MIB, assert_books, df, host};
use sshome_e2e::tree::noise;
use sshome_e2e::{Peer, end_of};
use sshome_wire::{
    BLOCK_BYTES, BlockHasher, Digest, End, Frame, Part, Put, Reply, Request, Status, Stored, StreamId,
};
use std::fs;

const ID: StreamId = StreamId([7; 16]);

fn begin(path: &str, resume: u32) -> Frame {
    let path = path.as_bytes().to_vec();
    let put = Put { path, size: None, mtime: None, source: None, mode: None, resume };
    Frame::Request(Request::PutStream { id: ID, put })
}

/// The server's output up to its answer: the stored bytes, and the answer.
async fn answer(peer: &mut Peer) -> (u64, Reply) {
    let mut stored = 0;
    loop {
        match peer.next().await.unwrap() {
            Frame::Stored(Stored { bytes }) => stored = bytes,
            Frame::Reply(reply) => return (stored, reply),
            other => panic!("{other:?}"),
        }
    }
}

/// Reads until the server has stored this number of bytes.
async fn stored(peer: &mut Peer, wanted: u64) {
    loop {
        match peer.next().await.unwrap() {
            Frame::Stored(Stored { bytes }) if bytes == wanted => return,
            Frame::Stored(Stored { bytes }) => assert!(bytes < wanted),
            other => panic!("{other:?}"),
        }
    }
}

/// The digests of the blocks that the server has.
async fn status(peer: &mut Peer, path: &str) -> (Vec<Digest>, Status) {
    let request = Request::StreamStatus { path: path.as_bytes().to_vec(), id: ID };
    peer.send(&Frame::Request(request)).await.unwrap();
    let mut digests = Vec::new();
    loop {
        match peer.next().await.unwrap() {
            Frame::Blocks(blocks) => digests.extend(blocks.digests),
            Frame::Progress(_) => {}
            Frame::Reply(reply) => return (digests, reply.status),
            other => panic!("{other:?}"),
        }
    }
}

async fn parts(peer: &mut Peer) -> Vec<Part> {
    peer.send(&Frame::Request(Request::Parts)).await.unwrap();
    let mut parts = Vec::new();
    loop {
        match peer.next().await.unwrap() {
            Frame::Parts(more) => parts.extend(more),
            Frame::Reply(_) => return parts,
            other => panic!("{other:?}"),
        }
    }
}

fn blocks(content: &[u8]) -> Vec<Digest> {
    let mut hasher = BlockHasher::new();
    hasher.update(content);
    hasher.blocks().to_vec()
}

#[tokio::test(flavor = "multi_thread")]
async fn whole_blocks_are_acknowledged_once_a_byte_follows() {
    let host = host().await;
    let mut peer = Peer::login(&host, "ann").await.unwrap();
    for (length, last) in
        [(0, 0), (1, 0), (BLOCK_BYTES, 0), (BLOCK_BYTES + 1, BLOCK_BYTES), (3 * BLOCK_BYTES, 2 * BLOCK_BYTES)]
    {
        let content = noise(length as usize, "acknowledged");
        peer.send(&begin("f", 0)).await.unwrap();
        peer.send_data(&content).await.unwrap();
        peer.send(&Frame::End(end_of(&content))).await.unwrap();
        let (stored, reply) = answer(&mut peer).await;
        assert_eq!((stored, reply.status), (last, Status::Done), "{length}: {reply}");
        assert!(fs::read(host.home("ann").join("f")).unwrap() == content);
        assert_books(&host, content.len()).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_connection_resumes_a_stream_and_ends_the_hanging_one() {
    let host = host().await;
    let content = noise(10 * MIB, "taken over");
    let mut hanging = Peer::login(&host, "ann").await.unwrap();
    hanging.send(&begin("f", 0)).await.unwrap();
    hanging.send_data(&content[..9 * MIB]).await.unwrap();
    stored(&mut hanging, 2 * BLOCK_BYTES).await;
    let mut peer = Peer::login(&host, "ann").await.unwrap();
    // A stream can have only one writer.
    peer.send(&begin("f", 0)).await.unwrap();
    assert_eq!(answer(&mut peer).await.1.status, Status::Busy);
    peer.send(&Frame::Abort).await.unwrap();
    assert_eq!(status(&mut peer, "f").await, (blocks(&content[..9 * MIB]), Status::Resuming));
    while hanging.next_or_end().await.unwrap().is_some() {}
    // A file that is published meanwhile does not affect it.
    let mut other = Peer::login(&host, "ann").await.unwrap();
    assert_eq!(other.put("f", b"old").await.unwrap().status, Status::Done);
    peer.send(&begin("f", 1)).await.unwrap();
    peer.send_data(&content[BLOCK_BYTES as usize..]).await.unwrap();
    peer.send(&Frame::End(end_of(&content))).await.unwrap();
    assert_eq!(answer(&mut peer).await.1.status, Status::Done);
    assert!(fs::read(host.home("ann").join("f")).unwrap() == content);
    assert_books(&host, content.len()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_partial_stream_belongs_to_its_client() {
    let host = host().await;
    let content = noise(9 * MIB, "left");
    let mut peer = Peer::login(&host, "ann").await.unwrap();
    peer.send(&begin("f", 0)).await.unwrap();
    peer.send_data(&content).await.unwrap();
    stored(&mut peer, 2 * BLOCK_BYTES).await;
    peer.vanish().await.unwrap();
    let mut peer = Peer::login(&host, "ann").await.unwrap();
    let mut left = parts(&mut peer).await;
    while left.is_empty() {
        left = parts(&mut peer).await;
    }
    assert_eq!((left[0].path.as_slice(), left[0].length, left[0].size), (&b"/f"[..], 2 * BLOCK_BYTES, 0));
    assert_eq!(df(&mut peer).await.reserved, 2 * BLOCK_BYTES);
    // Not for a different name, and not for a put of a file.
    assert_eq!(status(&mut peer, "g").await, (vec![], Status::EnoughSpace));
    assert_eq!(status(&mut peer, "f").await.1, Status::Resuming);
    let path = b"f".to_vec();
    let put = Put { path, size: Some(9), mtime: None, source: None, mode: None, resume: 1 };
    peer.send(&Frame::Request(Request::Put(put))).await.unwrap();
    assert_eq!(answer(&mut peer).await.1.status, Status::Failed);
    peer.send(&Frame::Abort).await.unwrap();
    let discarded = peer.ask(Request::Discard { path: None }).await.unwrap();
    assert_eq!(discarded.message, "1 removed");
    assert_books(&host, 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_abandoned_stream_leaves_nothing() {
    let host = host().await;
    let content = noise(9 * MIB, "given up");
    let failed = End { status: Status::Failed, ..end_of(&content) };
    let wrong = end_of(b"something else");
    for end in [Frame::Abort, Frame::Cancel, Frame::End(failed), Frame::End(wrong)] {
        let mut peer = Peer::login(&host, "ann").await.unwrap();
        peer.send(&begin("f", 0)).await.unwrap();
        peer.send_data(&content).await.unwrap();
        stored(&mut peer, 2 * BLOCK_BYTES).await;
        peer.send(&end).await.unwrap();
        assert!(answer(&mut peer).await.1.status.is_error(), "{end:?}");
        if end == Frame::Cancel {
            assert_eq!(answer(&mut peer).await.1.status, Status::Done);
        }
        assert!(parts(&mut peer).await.is_empty(), "{end:?}");
        assert_books(&host, 0).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_sends_nothing_loses_nothing() {
    let host = host().await;
    let content = noise(9 * MIB, "nothing more");
    let mut peer = Peer::login(&host, "ann").await.unwrap();
    peer.send(&begin("f", 0)).await.unwrap();
    peer.send_data(&content).await.unwrap();
    stored(&mut peer, 2 * BLOCK_BYTES).await;
    for _ in 0..3 {
        let mut next = Peer::login(&host, "ann").await.unwrap();
        assert_eq!(status(&mut next, "f").await, (blocks(&content), Status::Resuming));
        next.send(&begin("f", 2)).await.unwrap();
        peer = next;
    }
    peer.send_data(&content[2 * BLOCK_BYTES as usize..]).await.unwrap();
    peer.send(&Frame::End(end_of(&content))).await.unwrap();
    assert_eq!(answer(&mut peer).await.1.status, Status::Done);
    assert_books(&host, content.len()).await;
}
