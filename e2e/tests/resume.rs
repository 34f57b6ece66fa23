//! Transfers that are cut and resumed.

use sshome_e2e::{Host, Peer, end_of};
use sshome_wire::{
    BLOCK_BYTES, BlockHasher, Blocks, Digest, Frame, Part, Payload, Put, Reply, Request, Status, Time, Usage,
};

const SOURCE: Time = Time { seconds: 1_700_000_000, nanoseconds: 5 };
const SIZE: usize = 5 * BLOCK_BYTES as usize + 12_345;

fn noise(length: usize, seed: u8) -> Vec<u8> {
    let mut bytes = vec![0; length];
    blake3::Hasher::new().update(&[seed]).finalize_xof().fill(&mut bytes);
    bytes
}

fn digests(content: &[u8]) -> Vec<Digest> {
    let mut hasher = BlockHasher::new();
    hasher.update(content);
    hasher.blocks().to_vec()
}

fn put(path: &str, size: usize, resume: u32) -> Frame {
    let put = Put {
        path: path.into(),
        size: Some(size as u64),
        mtime: None,
        source: Some(SOURCE),
        mode: None,
        resume,
    };
    Frame::Request(Request::Put(put))
}

/// Asks for the partial upload of a file: its digests, if it exists.
async fn status(peer: &mut Peer, path: &str, size: usize, mtime: Time) -> Option<Vec<Digest>> {
    peer.send(&Frame::Request(Request::PartStatus { path: path.into(), size: size as u64, mtime }))
        .await
        .unwrap();
    let mut found = Vec::new();
    loop {
        match peer.next().await.unwrap() {
            Frame::Blocks(blocks) => found.extend(blocks.digests),
            Frame::Progress(_) => {}
            Frame::Reply(Reply { status: Status::Resuming, .. }) => return Some(found),
            Frame::Reply(Reply { status: Status::EnoughSpace, .. }) => return None,
            other => panic!("{other:?}"),
        }
    }
}

/// Sends the beginning of a file and vanishes. Returns when the server has noticed.
async fn cut_put(host: &Host, content: &[u8], sent: usize) {
    let mut peer = Peer::login(host, "ann").await.unwrap();
    peer.send(&put("f", content.len(), 0)).await.unwrap();
    peer.send_data(&content[..sent]).await.unwrap();
    // The data arrives later: wait until the staged file has all of it.
    let staging = host.home("ann").join(".sshome-staging");
    let arrived = || {
        let files = std::fs::read_dir(&staging).into_iter().flatten();
        files.map(|file| file.unwrap().metadata().map_or(0, |meta| meta.len())).max().unwrap_or(0)
    };
    while arrived() < sent as u64 {
        tokio::task::yield_now().await;
    }
    peer.vanish().await.unwrap();
    let mut other = Peer::login(host, "ann").await.unwrap();
    while parts(&mut other).await.is_empty() && sent >= BLOCK_BYTES as usize {}
}

async fn parts(peer: &mut Peer) -> Vec<Part> {
    peer.send(&Frame::Request(Request::Parts)).await.unwrap();
    let mut all = Vec::new();
    loop {
        match peer.next().await.unwrap() {
            Frame::Parts(parts) => all.extend(parts),
            Frame::Reply(reply) if reply.status == Status::Done => return all,
            other => panic!("{other:?}"),
        }
    }
}

async fn df(peer: &mut Peer) -> Usage {
    match peer.ask(Request::Df).await.unwrap().payload {
        Payload::Usage(usage) => usage,
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_put_resumes_after_the_matching_blocks() {
    let host = Host::with_user("ann", "quota = \"40 MiB\"").await.unwrap();
    let content = noise(SIZE, 1);
    cut_put(&host, &content, 3 * BLOCK_BYTES as usize + 99).await;
    let mut peer = Peer::login(&host, "ann").await.unwrap();
    assert!(!host.home("ann").join("f").exists());
    assert_eq!(df(&mut peer).await.reserved, 3 * BLOCK_BYTES);
    // With a different size or time it is a different source.
    assert_eq!(status(&mut peer, "f", SIZE + 1, SOURCE).await, None);
    assert_eq!(status(&mut peer, "f", SIZE, Time { seconds: 1, nanoseconds: 0 }).await, None);
    let found = status(&mut peer, "f", SIZE, SOURCE).await.unwrap();
    assert_eq!(found, digests(&content)[..3]);
    // Leased: nobody else gets it.
    let mut other = Peer::login(&host, "ann").await.unwrap();
    assert_eq!(status(&mut other, "f", SIZE, SOURCE).await, None);
    peer.send(&put("f", SIZE, 3)).await.unwrap();
    peer.send_data(&content[3 * BLOCK_BYTES as usize..]).await.unwrap();
    peer.send(&Frame::End(end_of(&content))).await.unwrap();
    assert_eq!(peer.reply().await.unwrap().status, Status::Done);
    assert!(peer.get("f").await.unwrap().unwrap() == content);
    let usage = df(&mut peer).await;
    assert_eq!((usage.used, usage.reserved), (SIZE as u64, 0));
    assert_eq!(std::fs::read_dir(host.home("ann").join(".sshome-staging")).unwrap().count(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_partial_upload_survives_the_server_and_its_corrupt_blocks_are_found() {
    let mut host = Host::with_user("ann", "quota = \"40 MiB\"").await.unwrap();
    let content = noise(SIZE, 2);
    cut_put(&host, &content, 4 * BLOCK_BYTES as usize).await;
    host.stop().await.unwrap();
    // A byte flips in the third block while the server is down.
    let staging = host.home("ann").join(".sshome-staging");
    let part = std::fs::read_dir(&staging).unwrap().map(|file| file.unwrap().path());
    let part = part.max_by_key(|file| file.metadata().unwrap().len()).unwrap();
    let mut bytes = std::fs::read(&part).unwrap();
    bytes[2 * BLOCK_BYTES as usize + 7] ^= 1;
    std::fs::write(&part, bytes).unwrap();
    host.start().await.unwrap();
    let mut peer = Peer::login(&host, "ann").await.unwrap();
    assert_eq!(df(&mut peer).await.reserved, 4 * BLOCK_BYTES);
    let found = status(&mut peer, "f", SIZE, SOURCE).await.unwrap();
    let ours = digests(&content);
    let agreed = found.iter().zip(&ours).take_while(|(a, b)| a == b).count();
    assert_eq!((agreed, found.len()), (2, 4));
    peer.send(&put("f", SIZE, 2)).await.unwrap();
    peer.send_data(&content[2 * BLOCK_BYTES as usize..]).await.unwrap();
    peer.send(&Frame::End(end_of(&content))).await.unwrap();
    assert_eq!(peer.reply().await.unwrap().status, Status::Done);
    assert!(peer.get("f").await.unwrap().unwrap() == content);
}

#[tokio::test(flavor = "multi_thread")]
async fn resuming_after_a_corrupt_block_publishes_nothing() {
    let host = Host::with_user("ann", "").await.unwrap();
    let content = noise(SIZE, 3);
    cut_put(&host, &content, 4 * BLOCK_BYTES as usize).await;
    let other = noise(SIZE, 4);
    let mut peer = Peer::login(&host, "ann").await.unwrap();
    assert_eq!(status(&mut peer, "f", SIZE, SOURCE).await.unwrap().len(), 4);
    // For a client that does not compare, the digest of the whole file detects it.
    peer.send(&put("f", SIZE, 4)).await.unwrap();
    peer.send_data(&other[4 * BLOCK_BYTES as usize..]).await.unwrap();
    peer.send(&Frame::End(end_of(&other))).await.unwrap();
    assert_eq!(peer.reply().await.unwrap().status, Status::DigestMismatch);
    assert!(!host.home("ann").join("f").exists());
    // More blocks than exist, and a partial upload that was not queried before.
    peer.send(&put("f", SIZE, 1)).await.unwrap();
    assert_eq!(peer.reply().await.unwrap().status, Status::Failed);
    peer.send(&Frame::Abort).await.unwrap();
    assert!(parts(&mut peer).await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn parts_are_listed_discarded_and_gone_when_the_file_is_whole() {
    let host = Host::with_user("ann", "").await.unwrap();
    let content = noise(SIZE, 5);
    cut_put(&host, &content, 2 * BLOCK_BYTES as usize).await;
    let mut peer = Peer::login(&host, "ann").await.unwrap();
    let listed = parts(&mut peer).await;
    assert_eq!((listed.len(), &listed[0].path[..], listed[0].length), (1, &b"/f"[..], 2 * BLOCK_BYTES));
    let discard = |path: Option<&str>| Request::Discard { path: path.map(Into::into) };
    assert_eq!(peer.ask(discard(Some("g"))).await.unwrap().message, "0 removed");
    assert_eq!(peer.ask(discard(Some("f"))).await.unwrap().message, "1 removed");
    assert_eq!(df(&mut peer).await.reserved, 0);
    // Sent as a whole, without a query: its partial upload is deleted.
    cut_put(&host, &content, 2 * BLOCK_BYTES as usize).await;
    assert_eq!(peer.put("f", b"something else").await.unwrap().status, Status::Done);
    assert!(parts(&mut peer).await.is_empty());
    assert_eq!(std::fs::read_dir(host.home("ann").join(".sshome-staging")).unwrap().count(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn abandoned_partial_uploads_expire() {
    let mut host = Host::with_user("ann", "").await.unwrap();
    let content = noise(SIZE, 8);
    cut_put(&host, &content, 2 * BLOCK_BYTES as usize).await;
    let staging = host.home("ann").join(".sshome-staging");
    let age_by = |days: u64| {
        for file in std::fs::read_dir(&staging).unwrap() {
            let file = std::fs::File::options().write(true).open(file.unwrap().path()).unwrap();
            let then = std::time::SystemTime::now() - std::time::Duration::from_secs(days * 24 * 3600);
            file.set_modified(then).unwrap();
        }
    };
    host.stop().await.unwrap();
    age_by(6);
    host.start().await.unwrap();
    let mut peer = Peer::login(&host, "ann").await.unwrap();
    assert_eq!(parts(&mut peer).await.len(), 1);
    host.stop().await.unwrap();
    age_by(8);
    host.start().await.unwrap();
    let mut peer = Peer::login(&host, "ann").await.unwrap();
    while !parts(&mut peer).await.is_empty() {}
    assert_eq!(df(&mut peer).await.reserved, 0);
    assert_eq!(std::fs::read_dir(&staging).unwrap().count(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_get_resumes_after_the_matching_blocks() {
    let host = Host::with_user("ann", "").await.unwrap();
    let mut peer = Peer::login(&host, "ann").await.unwrap();
    let content = noise(SIZE, 6);
    assert_eq!(peer.put("f", &content).await.unwrap().status, Status::Done);
    let all = digests(&content);
    let mut wrong = all.clone();
    wrong[1].0[0] ^= 1;
    // More digests than the file has blocks to compare do no harm.
    let more = [all.clone(), all.clone()].concat();
    for (known, agreed) in [(&all[..], 5), (&all[..2], 2), (&wrong, 1), (&more, 5)] {
        let request = Request::Get { path: b"f".to_vec(), known: known.len() as u32 };
        peer.send(&Frame::Request(request)).await.unwrap();
        for digests in known.chunks(3) {
            peer.send(&Frame::Blocks(Blocks { digests: digests.to_vec() })).await.unwrap();
        }
        let mut got = Vec::new();
        let end = loop {
            match peer.next().await.unwrap() {
                Frame::Progress(_) => {}
                Frame::Header(header) => {
                    assert_eq!((header.offset, header.size), (agreed * BLOCK_BYTES, SIZE as u64));
                }
                Frame::Data(data) => got.extend_from_slice(&data),
                Frame::End(end) => break end,
                other => panic!("{other:?}"),
            }
        };
        assert_eq!(end, end_of(&content));
        assert!(got == content[(agreed * BLOCK_BYTES) as usize..]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancelled_put_can_be_resumed() {
    let host = Host::with_user("ann", "").await.unwrap();
    let content = noise(SIZE, 7);
    let mut peer = Peer::login(&host, "ann").await.unwrap();
    peer.send(&put("f", SIZE, 0)).await.unwrap();
    peer.send_data(&content[..2 * BLOCK_BYTES as usize + 1]).await.unwrap();
    peer.send(&Frame::Cancel).await.unwrap();
    assert_eq!(peer.reply().await.unwrap().status, Status::Cancelled);
    assert_eq!(peer.reply().await.unwrap().status, Status::Done);
    // The cancel drops the data that was not checked yet.
    let kept = status(&mut peer, "f", SIZE, SOURCE).await.unwrap_or_default().len();
    assert!(kept <= 2);
    peer.send(&put("f", SIZE, kept as u32)).await.unwrap();
    peer.send_data(&content[kept * BLOCK_BYTES as usize..]).await.unwrap();
    peer.send(&Frame::End(end_of(&content))).await.unwrap();
    assert_eq!(peer.reply().await.unwrap().status, Status::Done);
    assert!(peer.get("f").await.unwrap().unwrap() == content);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_puts_never_share_a_part() {
    let host = Host::with_user("ann", "").await.unwrap();
    let content = noise(SIZE, 8);
    cut_put(&host, &content, 3 * BLOCK_BYTES as usize).await;
    let mut first = Peer::login(&host, "ann").await.unwrap();
    let kept = status(&mut first, "f", SIZE, SOURCE).await.unwrap().len();
    assert!(kept > 0);
    // For a different session it does not exist, and resuming it is refused.
    let mut second = Peer::login(&host, "ann").await.unwrap();
    assert_eq!(status(&mut second, "f", SIZE, SOURCE).await, None);
    second.send(&put("f", SIZE, kept as u32)).await.unwrap();
    assert!(second.reply().await.unwrap().status.is_error());
    second.send(&Frame::Abort).await.unwrap();
    let other = noise(SIZE, 9);
    assert_eq!(second.put("f", &other).await.unwrap().status, Status::Done);
    // The session that has it continues.
    first.send(&put("f", SIZE, kept as u32)).await.unwrap();
    first.send_data(&content[kept * BLOCK_BYTES as usize..]).await.unwrap();
    first.send(&Frame::End(end_of(&content))).await.unwrap();
    assert_eq!(first.reply().await.unwrap().status, Status::Done);
    assert!(first.get("f").await.unwrap().unwrap() == content);
    assert_eq!(parts(&mut first).await.len(), 0);
}
