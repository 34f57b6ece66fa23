//! Requests for ranges that our client does not send.

use super::MIB;
use super::client::noise;
use sshome_e2e::{Host, HostBuilder, Peer};
use sshome_wire::{
    BLOCK_BYTES, BlockHasher, Digest, End, FileVersion, Frame, RangeHeader, Reply, Request, Status,
};
use std::fs;
use std::io::Write;

const SIZE: usize = 9 * MIB + 77;

/// The answer to a get of a range.
struct RangeAnswer {
    header: RangeHeader,
    data: Vec<u8>,
    digests: Vec<Digest>,
    end: End,
}

fn range(block: u32, blocks: u32, expect: Option<FileVersion>, data: bool) -> Request {
    Request::GetRange { path: b"/big".to_vec(), block, blocks, expect, data }
}

async fn get(peer: &mut Peer, request: Request) -> Result<RangeAnswer, Reply> {
    peer.send(&Frame::Request(request)).await.unwrap();
    let header = match peer.next().await.unwrap() {
        Frame::RangeHeader(header) => header,
        Frame::Reply(reply) => return Err(reply),
        frame => panic!("{frame:?}"),
    };
    let (mut data, mut digests) = (Vec::new(), Vec::new());
    loop {
        match peer.next().await.unwrap() {
            Frame::Data(more) => data.extend_from_slice(&more),
            Frame::Blocks(more) => digests.extend(more.digests),
            Frame::Progress(_) => {}
            Frame::End(end) => return Ok(RangeAnswer { header, data, digests, end }),
            frame => panic!("{frame:?}"),
        }
    }
}

async fn version(peer: &mut Peer) -> FileVersion {
    get(peer, range(0, 0, None, false)).await.ok().unwrap().header.version
}

async fn world() -> (Host, Peer, Vec<u8>) {
    let host = Host::with_user("ann", "").await.unwrap();
    let mut peer = Peer::login(&host, "ann").await.unwrap();
    let content = noise(SIZE, 4);
    assert_eq!(peer.put("/big", &content).await.unwrap().status, Status::Done);
    (host, peer, content)
}

#[tokio::test(flavor = "multi_thread")]
async fn ranges_have_their_data_and_digests_that_make_up_the_digest_of_the_file() {
    let (_host, mut peer, content) = world().await;
    let first = get(&mut peer, range(0, 0, None, true)).await.ok().unwrap();
    let RangeHeader { version, mode, stored } = first.header;
    assert_eq!((version.size, mode), (SIZE as u64, 0o644));
    assert_eq!(stored.unwrap().0, *blake3::hash(&content).as_bytes());
    assert_eq!((first.data.len(), first.digests.len(), first.end.status), (0, 0, Status::Done));
    let block = BLOCK_BYTES as usize;
    let mut all = Vec::new();
    for (at, count, bytes) in [(0, 2, &content[..2 * block]), (2, 1, &content[2 * block..])] {
        for data in [true, false] {
            let answer = get(&mut peer, range(at, count, Some(version), data)).await.ok().unwrap();
            assert!(answer.data == if data { bytes } else { b"" }, "{at} {data}");
            assert_eq!((answer.end.status, answer.end.size), (Status::Done, SIZE as u64));
            let mut hasher = BlockHasher::at(at.into());
            hasher.update(bytes);
            assert_eq!(answer.digests, hasher.subtrees(), "{at} {data}");
            all = if data { [all, answer.digests].concat() } else { all };
        }
    }
    assert_eq!(BlockHasher::after(all).finish(), stored.unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_range_ends_at_the_end_of_the_file() {
    let (_host, mut peer, content) = world().await;
    for (block, blocks) in [(2, 2), (2, u32::MAX), (3, 5), (u32::MAX, u32::MAX)] {
        let answer = get(&mut peer, range(block, blocks, None, true)).await.ok().unwrap();
        let from = (block as usize).saturating_mul(BLOCK_BYTES as usize).min(SIZE);
        assert!(answer.data == content[from..], "{block} {blocks}");
        assert_eq!((answer.digests.len(), answer.end.status), (usize::from(block == 2), Status::Done));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn another_version_is_refused() {
    let (host, mut peer, content) = world().await;
    let big = host.home("ann").join("big");
    type Change = fn(&std::path::Path, &[u8]);
    let changes: [(&str, Change); 3] = [
        ("replaced", |big, content| {
            // Of the same length and time.
            let time = big.metadata().unwrap().modified().unwrap();
            let other = big.with_file_name("other");
            fs::write(&other, content).unwrap();
            fs::File::options().write(true).open(&other).unwrap().set_modified(time).unwrap();
            fs::rename(other, big).unwrap();
        }),
        ("written to, with the old time", |big, _| {
            let time = big.metadata().unwrap().modified().unwrap();
            let mut file = fs::File::options().write(true).open(big).unwrap();
            file.write_all(b"x").unwrap();
            file.set_modified(time).unwrap();
        }),
        ("shorter", |big, _| {
            fs::File::options().write(true).open(big).unwrap().set_len(5 * MIB as u64).unwrap();
        }),
    ];
    for (what, change) in changes {
        let known = version(&mut peer).await;
        assert!(get(&mut peer, range(1, 1, Some(known), true)).await.is_ok());
        change(&big, &content);
        let refused = get(&mut peer, range(1, 1, Some(known), true)).await.err().unwrap();
        assert_eq!(refused.status, Status::Changed, "{what}: {refused}");
        assert_ne!(version(&mut peer).await, known, "{what}");
    }
    assert_eq!(get(&mut peer, range(0, 1, None, true)).await.ok().unwrap().header.stored, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_changes_while_its_range_is_sent_ends_with_410() {
    let (host, mut peer, _) = world().await;
    let big = host.home("ann").join("big");
    fs::File::options().write(true).open(&big).unwrap().set_len(200 * MIB as u64).unwrap();
    let known = version(&mut peer).await;
    // More than fits into the window: the server is not done when the file changes.
    peer.send(&Frame::Request(range(0, u32::MAX, Some(known), true))).await.unwrap();
    assert!(matches!(peer.next().await.unwrap(), Frame::RangeHeader(_)));
    fs::File::options().append(true).open(&big).unwrap().write_all(b"more").unwrap();
    let end = loop {
        match peer.next().await.unwrap() {
            Frame::End(end) => break end,
            Frame::Data(_) | Frame::Blocks(_) => {}
            frame => panic!("{frame:?}"),
        }
    };
    assert_eq!(end.status, Status::Changed, "{end:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn only_files_that_the_login_may_read_have_ranges() {
    let host = HostBuilder::new().unwrap().restricted_user("ann", "", r#"access = "upload-only""#).unwrap();
    let host = host.start().await.unwrap();
    let mut peer = Peer::login(&host, "ann").await.unwrap();
    assert_eq!(peer.put("/big", b"x").await.unwrap().status, Status::Done);
    let refused = get(&mut peer, range(0, 1, None, true)).await.err().unwrap();
    assert_eq!(refused.status, Status::PermissionDenied, "{refused}");
    let (host, mut peer, _) = world().await;
    fs::create_dir(host.home("ann").join("d")).unwrap();
    for (path, status) in [("/d", Status::WrongType), ("/missing", Status::NoSuchFile)] {
        let request = Request::GetRange { path: path.into(), block: 0, blocks: 1, expect: None, data: true };
        let refused = get(&mut peer, request).await.err().unwrap();
        assert_eq!(refused.status, status, "{path}: {refused}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancelled_range_ends_with_411() {
    let (host, mut peer, _) = world().await;
    fs::File::options().write(true).open(host.home("ann").join("big")).unwrap().set_len(1 << 30).unwrap();
    peer.send(&Frame::Request(range(0, u32::MAX, None, true))).await.unwrap();
    assert!(matches!(peer.next().await.unwrap(), Frame::RangeHeader(_)));
    peer.send(&Frame::Cancel).await.unwrap();
    loop {
        match peer.next().await.unwrap() {
            Frame::End(end) => break assert_eq!(end.status, Status::Cancelled),
            Frame::Data(_) | Frame::Blocks(_) => {}
            frame => panic!("{frame:?}"),
        }
    }
    assert_eq!(peer.reply().await.unwrap().status, Status::Done);
}
