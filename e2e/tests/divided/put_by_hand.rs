//! Uploads over several connections, by frames that our client does not send.

use super::MIB;
use super::client::{noise, until};
use bytes::Bytes;
use russh::keys::{Algorithm, PrivateKey};
use sshome_e2e::{Host, HostBuilder, Peer, end_of};
use sshome_wire::{
    BLOCK_BYTES, BlockHasher, Digest, End, Frame, Part, Payload, Put, Reply, Request, Status, Time, UploadId,
    Usage,
};
use std::fs;

/// Four blocks, of which the last one is short.
pub(super) const SIZE: usize = 13 * MIB + 5;

const BLOCK: usize = BLOCK_BYTES as usize;

fn block(content: &[u8], number: usize) -> &[u8] {
    &content[number * BLOCK..content.len().min((number + 1) * BLOCK)]
}

pub(super) fn put(content: &[u8]) -> Put {
    let (size, source) = (Some(content.len() as u64), Some(Time { seconds: 7, nanoseconds: 0 }));
    Put { path: b"/big".to_vec(), size, mtime: source, source, mode: None, resume: 0 }
}

/// Opens an upload. Returns its id and the digests of the blocks that the server has.
pub(super) async fn open(peer: &mut Peer, put: Put) -> Result<(UploadId, Vec<Digest>), Reply> {
    peer.send(&Frame::Request(Request::OpenUpload(put))).await.unwrap();
    let mut digests = Vec::new();
    loop {
        match peer.next().await.unwrap() {
            Frame::Blocks(blocks) => digests.extend(blocks.digests),
            Frame::Progress(_) => {}
            Frame::Reply(Reply { payload: Payload::Upload(id), .. }) => return Ok((id, digests)),
            Frame::Reply(reply) => return Err(reply),
            frame => panic!("{frame:?}"),
        }
    }
}

/// Sends blocks with this data. Returns the answer, and the acknowledged bytes.
async fn send(peer: &mut Peer, id: UploadId, (block, blocks): (u32, u32), data: &[u8]) -> (Reply, Vec<u64>) {
    peer.send(&Frame::Request(Request::PutBlocks { id, block, blocks })).await.unwrap();
    peer.send_data(data).await.unwrap();
    peer.send(&Frame::End(end_of(data))).await.unwrap();
    let mut stored = Vec::new();
    loop {
        match peer.next().await.unwrap() {
            Frame::Stored(more) => stored.push(more.bytes),
            Frame::Reply(reply) => return (reply, stored),
            frame => panic!("{frame:?}"),
        }
    }
}

pub(super) async fn send_block(peer: &mut Peer, id: UploadId, content: &[u8], number: usize) -> Status {
    send(peer, id, (number as u32, 1), block(content, number)).await.0.status
}

async fn finish(peer: &mut Peer, id: UploadId, end: End) -> Reply {
    peer.ask(Request::FinishUpload { id, end }).await.unwrap()
}

pub(super) async fn usage(peer: &mut Peer) -> Usage {
    match peer.ask(Request::Df).await.unwrap().payload {
        Payload::Usage(usage) => usage,
        other => panic!("{other:?}"),
    }
}

pub(super) async fn parts(peer: &mut Peer) -> Vec<Part> {
    peer.send(&Frame::Request(Request::Parts)).await.unwrap();
    let mut parts = Vec::new();
    loop {
        match peer.next().await.unwrap() {
            Frame::Parts(more) => parts.extend(more),
            Frame::Reply(_) => return parts,
            frame => panic!("{frame:?}"),
        }
    }
}

fn assert_stored(host: &Host, content: &[u8]) {
    assert!(fs::read(host.home("ann").join("big")).unwrap() == content);
}

/// A server, two connections, and the content.
async fn world() -> (Host, Peer, Peer, Vec<u8>) {
    let host = Host::with_user("ann", "quota = \"40 MiB\"").await.unwrap();
    let (first, second) =
        (Peer::login(&host, "ann").await.unwrap(), Peer::login(&host, "ann").await.unwrap());
    (host, first, second, noise(SIZE, 6))
}

#[tokio::test(flavor = "multi_thread")]
async fn blocks_of_two_connections_become_the_file() {
    let (host, mut one, mut other, content) = world().await;
    let (id, kept) = open(&mut one, put(&content)).await.unwrap();
    assert!(kept.is_empty());
    let mut third = Peer::login(&host, "ann").await.unwrap();
    assert_eq!(usage(&mut third).await.reserved, SIZE as u64);
    let (reply, stored) = send(&mut other, id, (2, 2), &content[2 * BLOCK..]).await;
    assert_eq!((reply.status, stored), (Status::Done, vec![BLOCK_BYTES, (SIZE - 2 * BLOCK) as u64]));
    assert!(!host.home("ann").join("big").exists());
    assert_eq!(send(&mut one, id, (0, 2), &content[..2 * BLOCK]).await.0.status, Status::Done);
    let reply = finish(&mut other, id, end_of(&content)).await;
    assert_eq!(reply.status, Status::Done, "{reply}");
    assert_stored(&host, &content);
    let usage = usage(&mut third).await;
    assert_eq!((usage.used, usage.reserved), (SIZE as u64, 0));
    assert_eq!(finish(&mut one, id, end_of(&content)).await.status, Status::Failed, "it is over");
    // The digest is stored with the file.
    let hashed = third.ask(Request::Hash { path: b"/big".to_vec(), verify: true }).await.unwrap();
    assert!(
        matches!(hashed.payload, Payload::Hash(hashed) if hashed.stored == Some(end_of(&content).digest))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_same_user_with_the_same_key_joins() {
    let key = PrivateKey::random(&mut rand::rng(), Algorithm::Ed25519).unwrap();
    let builder = HostBuilder::new().unwrap().key(&key.public_key().to_openssh().unwrap());
    let host = builder.user("ann", "").unwrap().user("bob", "").unwrap().start().await.unwrap();
    let content = noise(SIZE, 6);
    let mut ann = Peer::login(&host, "ann").await.unwrap();
    let (id, _) = open(&mut ann, put(&content)).await.unwrap();
    assert_eq!(send_block(&mut ann, id, &content, 0).await, Status::Done);
    let mut strangers = [
        (Peer::login(&host, "bob").await.unwrap(), id),
        (Peer::login_with(&host, "ann", &key).await.unwrap(), id),
        (Peer::login(&host, "ann").await.unwrap(), UploadId([0; 16])),
    ];
    for (peer, id) in &mut strangers {
        assert_eq!(send_block(peer, *id, &content, 1).await, Status::Failed);
        assert_eq!(finish(peer, *id, end_of(&content)).await.status, Status::Failed);
        let given_up = End { status: Status::Changed, ..end_of(&content) };
        assert_eq!(finish(peer, *id, given_up).await.status, Status::Failed);
    }
    // With another key, the same source is another upload, and does not end this one.
    let (other, kept) = open(&mut strangers[1].0, put(&content)).await.unwrap();
    assert!(other != id && kept.is_empty());
    for number in 1..4 {
        assert_eq!(send_block(&mut ann, id, &content, number).await, Status::Done);
    }
    assert_eq!(finish(&mut ann, id, end_of(&content)).await.status, Status::Done);
    assert_stored(&host, &content);
    assert!(!host.home("bob").join("big").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_block_that_arrives_twice_is_compared() {
    let (host, mut one, mut other, content) = world().await;
    let (id, _) = open(&mut one, put(&content)).await.unwrap();
    for number in 0..4 {
        assert_eq!(send_block(&mut one, id, &content, number).await, Status::Done);
    }
    assert_eq!(send_block(&mut other, id, &content, 1).await, Status::Done);
    let mut wrong = content.clone();
    wrong[BLOCK + 9] ^= 1;
    assert_eq!(send_block(&mut other, id, &wrong, 1).await, Status::DigestMismatch);
    other.send(&Frame::Abort).await.unwrap();
    assert_eq!(finish(&mut one, id, end_of(&content)).await.status, Status::Done);
    assert_stored(&host, &content);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_does_not_fit_into_the_blocks_is_refused_and_the_upload_continues() {
    let (host, mut one, _, content) = world().await;
    let (id, _) = open(&mut one, put(&content)).await.unwrap();
    let whole = |count: usize| vec![1; count * BLOCK];
    for (range, data) in [
        ((4, 1), whole(1)),
        ((u32::MAX, u32::MAX), whole(1)),
        ((3, 2), whole(1)),
        ((0, 0), Vec::new()),
        ((0, 1), whole(2)),
        ((3, 1), whole(1)),
        ((0, 2), whole(1)),
        ((1, 1), vec![1; 5]),
    ] {
        let (reply, _) = send(&mut one, id, range, &data).await;
        assert_eq!(reply.status, Status::DigestMismatch, "{range:?}: {reply}");
    }
    // Aborted by the sender.
    one.send(&Frame::Request(Request::PutBlocks { id, block: 2, blocks: 1 })).await.unwrap();
    one.send(&Frame::Data(Bytes::from_static(b"x"))).await.unwrap();
    one.send(&Frame::Abort).await.unwrap();
    assert_eq!(one.reply().await.unwrap().status, Status::Cancelled);
    // What was complete in a request that was refused counts: blocks 0 and 3 have ones.
    let reply = finish(&mut one, id, end_of(&content)).await;
    assert_eq!(reply.status, Status::DigestMismatch, "blocks are missing: {reply}");
    for number in 1..3 {
        assert_eq!(send_block(&mut one, id, &content, number).await, Status::Done);
    }
    let new = [&whole(1), &content[BLOCK..3 * BLOCK], &whole(1)[..SIZE - 3 * BLOCK]].concat();
    assert_eq!(send_block(&mut one, id, &new, 3).await, Status::Done);
    assert_eq!(finish(&mut one, id, end_of(&new)).await.status, Status::Done);
    assert_stored(&host, &new);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_with_a_wrong_digest_or_given_up_by_its_sender_leaves_nothing() {
    let (host, mut one, mut other, content) = world().await;
    let changed = End { status: Status::Changed, message: "it changed".into(), ..end_of(&content) };
    for (end, status) in [(end_of(&noise(SIZE, 7)), Status::DigestMismatch), (changed, Status::Changed)] {
        let (id, kept) = open(&mut one, put(&content)).await.unwrap();
        assert!(kept.is_empty());
        for number in 0..4 {
            assert_eq!(send_block(&mut one, id, &content, number).await, Status::Done);
        }
        let short = End { size: SIZE as u64 - 1, ..end_of(&content) };
        assert_eq!(finish(&mut one, id, short).await.status, Status::DigestMismatch);
        assert_eq!(finish(&mut one, id, end).await.status, status);
        assert_eq!(send_block(&mut one, id, &content, 0).await, Status::Failed);
        let usage = usage(&mut other).await;
        assert_eq!((usage.used, usage.reserved, parts(&mut other).await.len()), (0, 0, 0));
    }
    assert!(!host.home("ann").join("big").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_connection_that_leaves_keeps_what_has_arrived() {
    let (host, mut one, mut other, content) = world().await;
    let (id, _) = open(&mut one, put(&content)).await.unwrap();
    assert_eq!(send_block(&mut other, id, &content, 2).await, Status::Done);
    let mut third = Peer::login(&host, "ann").await.unwrap();
    one.vanish().await.unwrap();
    // The second still has it.
    assert_eq!(send_block(&mut other, id, &content, 0).await, Status::Done);
    assert_eq!(usage(&mut third).await.reserved, SIZE as u64);
    // In the middle of a block.
    other.send(&Frame::Request(Request::PutBlocks { id, block: 1, blocks: 1 })).await.unwrap();
    other.send_data(&content[BLOCK..BLOCK + 1000]).await.unwrap();
    other.vanish().await.unwrap();
    until(async || usage(&mut third).await.reserved == 3 * BLOCK_BYTES).await;
    let part = parts(&mut third).await.pop().unwrap();
    assert_eq!((part.path.as_slice(), part.length, part.size), (&b"/big"[..], 3 * BLOCK_BYTES, SIZE as u64));
    assert_eq!(send_block(&mut third, id, &content, 1).await, Status::Failed, "it has ended");
    let (id, kept) = open(&mut third, put(&content)).await.unwrap();
    let mut hasher = BlockHasher::new();
    hasher.update(&content);
    let right: Vec<bool> = kept.iter().zip(hasher.blocks()).map(|(a, b)| a == b).collect();
    assert_eq!(right, [true, false, true]);
    for number in [1, 3] {
        assert_eq!(send_block(&mut third, id, &content, number).await, Status::Done);
    }
    assert_eq!(finish(&mut third, id, end_of(&content)).await.status, Status::Done);
    assert_stored(&host, &content);
    let usage = usage(&mut third).await;
    assert_eq!((usage.used, usage.reserved), (SIZE as u64, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_upload_of_the_source_takes_an_older_one_over() {
    let (host, mut one, mut other, content) = world().await;
    let (id, _) = open(&mut one, put(&content)).await.unwrap();
    assert_eq!(send_block(&mut one, id, &content, 0).await, Status::Done);
    one.send(&Frame::Request(Request::PutBlocks { id, block: 1, blocks: 1 })).await.unwrap();
    one.send_data(&vec![9; BLOCK - 1]).await.unwrap();
    // To another target, or of another version of the source, are other uploads.
    let elsewhere = Put { path: b"/other".to_vec(), ..put(&content) };
    let later = Put { source: Some(Time { seconds: 8, nanoseconds: 0 }), ..put(&content) };
    for different in [elsewhere, later] {
        assert!(open(&mut other, different).await.unwrap().1.is_empty());
    }
    let (new, kept) = open(&mut other, put(&content)).await.unwrap();
    let mut hasher = BlockHasher::at(0);
    hasher.update(block(&content, 0));
    assert!(new != id && kept == hasher.subtrees());
    for number in [1, 2, 3] {
        assert_eq!(send_block(&mut other, new, &content, number).await, Status::Done);
    }
    // What still arrives for the older one is dropped.
    one.send_data(&[9]).await.unwrap();
    assert_eq!(one.reply().await.unwrap().status, Status::Failed);
    one.send(&Frame::Abort).await.unwrap();
    assert_eq!(send_block(&mut one, id, &content, 1).await, Status::Failed);
    assert_eq!(finish(&mut other, new, end_of(&content)).await.status, Status::Done);
    assert_stored(&host, &content);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_leaves_with_a_cancel() {
    let (_host, mut one, mut other, content) = world().await;
    let (id, _) = open(&mut one, put(&content)).await.unwrap();
    assert_eq!(send_block(&mut one, id, &content, 0).await, Status::Done);
    one.send(&Frame::Request(Request::PutBlocks { id, block: 1, blocks: 1 })).await.unwrap();
    one.send(&Frame::Cancel).await.unwrap();
    assert_eq!(one.reply().await.unwrap().status, Status::Cancelled);
    assert_eq!(one.reply().await.unwrap().status, Status::Done);
    assert_eq!(usage(&mut other).await.reserved, BLOCK_BYTES);
    assert_eq!(send_block(&mut other, id, &content, 1).await, Status::Failed);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_takes_part_in_several_uploads_and_does_other_things_meanwhile() {
    let (host, mut one, mut other, content) = world().await;
    let second = noise(SIZE, 7);
    let (id, _) = open(&mut one, put(&content)).await.unwrap();
    assert_eq!(send_block(&mut one, id, &content, 0).await, Status::Done);
    let (second_id, _) = open(&mut one, Put { path: b"/second".to_vec(), ..put(&second) }).await.unwrap();
    assert_eq!(one.put("small", b"small").await.unwrap().status, Status::Done);
    for number in 0..4 {
        assert_eq!(send_block(&mut one, second_id, &second, number).await, Status::Done);
    }
    assert_eq!(finish(&mut one, second_id, end_of(&second)).await.status, Status::Done);
    for number in 1..4 {
        assert_eq!(send_block(&mut one, id, &content, number).await, Status::Done);
    }
    assert_eq!(finish(&mut one, id, end_of(&content)).await.status, Status::Done);
    assert_stored(&host, &content);
    assert!(fs::read(host.home("ann").join("second")).unwrap() == second);
    let usage = usage(&mut other).await;
    assert_eq!((usage.used, usage.reserved), (2 * SIZE as u64 + 5, 0));
}

/// A client that begins uploads and forgets them does not hold them all.
#[tokio::test(flavor = "multi_thread")]
async fn a_connection_leaves_the_oldest_of_too_many_uploads() {
    let host = Host::with_user("ann", "").await.unwrap();
    let mut one = Peer::login(&host, "ann").await.unwrap();
    let mut other = Peer::login(&host, "ann").await.unwrap();
    let content = noise(BLOCK + 1, 6);
    let mut ids = Vec::new();
    for number in 0..65 {
        let path = format!("/{number}").into_bytes();
        ids.push(open(&mut one, Put { path, ..put(&content) }).await.unwrap().0);
    }
    assert_eq!(send_block(&mut other, ids[0], &content, 0).await, Status::Failed);
    assert_eq!(send_block(&mut other, ids[1], &content, 0).await, Status::Done);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_quota_is_exact_to_the_byte() {
    let host = Host::with_user("ann", &format!("quota = {SIZE}")).await.unwrap();
    let mut one = Peer::login(&host, "ann").await.unwrap();
    let mut other = Peer::login(&host, "ann").await.unwrap();
    let content = noise(SIZE, 6);
    // One byte too many.
    let longer = [&content[..], b"x"].concat();
    assert_eq!(open(&mut one, put(&longer)).await.unwrap_err().status, Status::QuotaExceeded);
    assert_eq!(usage(&mut other).await.reserved, 0);
    let (id, _) = open(&mut one, put(&content)).await.unwrap();
    other.begin_put("/small", Some(1)).await.unwrap();
    assert_eq!(other.reply().await.unwrap().status, Status::QuotaExceeded);
    other.send(&Frame::Abort).await.unwrap();
    for number in 0..4 {
        assert_eq!(send_block(&mut one, id, &content, number).await, Status::Done);
    }
    assert_eq!(finish(&mut one, id, end_of(&content)).await.status, Status::Done);
    assert_eq!(usage(&mut other).await.used, SIZE as u64);
    // The old file lends its bytes to the new one.
    let new = noise(SIZE, 7);
    let (id, _) = open(&mut one, put(&new)).await.unwrap();
    assert_eq!(send_block(&mut one, id, &new, 1).await, Status::Done);
    one.vanish().await.unwrap();
    until(async || parts(&mut other).await.len() == 1).await;
    let (id, kept) = open(&mut other, put(&new)).await.unwrap();
    assert_eq!(kept.len(), 2);
    for number in [0, 2, 3] {
        assert_eq!(send_block(&mut other, id, &new, number).await, Status::Done);
    }
    assert_eq!(finish(&mut other, id, end_of(&new)).await.status, Status::Done);
    assert_stored(&host, &new);
    let usage = usage(&mut other).await;
    assert_eq!((usage.used, usage.reserved), (SIZE as u64, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_that_cannot_be_divided_is_refused() {
    let (_host, mut one, _, content) = world().await;
    let small = put(&content[..BLOCK]);
    let unknown = Put { size: None, ..put(&content) };
    let changing = Put { source: None, ..put(&content) };
    for put in [small, unknown, changing] {
        assert_eq!(open(&mut one, put).await.unwrap_err().status, Status::BadCommand);
    }
    let missing = Put { path: b"/missing/big".to_vec(), ..put(&content) };
    assert_eq!(open(&mut one, missing).await.unwrap_err().status, Status::NoSuchDirectory);
    assert_eq!(usage(&mut one).await.reserved, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kick_ends_the_upload_of_all_connections() {
    let (host, mut one, mut other, content) = world().await;
    let (id, _) = open(&mut one, put(&content)).await.unwrap();
    assert_eq!(send_block(&mut other, id, &content, 1).await, Status::Done);
    assert_eq!(host.administrator().run(&["kick", "ann"]).code, Some(0));
    assert!(one.next_or_end().await.unwrap().is_none() && other.next_or_end().await.unwrap().is_none());
    let mut again = Peer::login(&host, "ann").await.unwrap();
    until(async || parts(&mut again).await.len() == 1).await;
    assert_eq!(usage(&mut again).await.reserved, 2 * BLOCK_BYTES);
    assert_eq!(send_block(&mut again, id, &content, 0).await, Status::Failed);
}
