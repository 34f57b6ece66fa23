//! Each request of the native protocol with each access.

use crate::world::{ACCESSES, Became, Scene, host};
use sshome_e2e::{Client, Peer, end_of};
use sshome_wire::{BLOCK_BYTES, CopyRange, Frame, Payload, Put, Reply, Request, Status, StreamId, Time};
use std::fs;

/// A request in a scene.
enum Step {
    Ask(Request),
    Put(&'static str, &'static [u8]),
    Stream(&'static str),
    Get(&'static str),
    List(&'static str),
    /// The description of `old`.
    Describe,
    /// Of `old`.
    GetDelta,
    /// A put of this name that copies from `old`.
    PutDelta(&'static str),
    /// A range of `old`.
    GetRange,
    /// An upload in blocks.
    PutBlocks(&'static str),
    /// Of `old`.
    StoredDigests,
    /// A put of this name with the content of `old`.
    PutCopy(&'static str),
}
use Step::{
    Ask, Describe, Get, GetDelta, GetRange, List, PutBlocks, PutCopy, PutDelta, StoredDigests, Stream,
};

type Operation = (&'static str, &'static str, fn(&dyn Fn(&str) -> Vec<u8>) -> Step);

const TIME: Time = Time { seconds: 1_000_000_000, nanoseconds: 0 };

/// The name, its result with each access, and the request.
const OPERATIONS: &[Operation] = &[
    ("pwd", "yyyy", |_| Ask(Request::Pwd)),
    ("cd", "yyyy", |at| Ask(Request::Cd { path: at("dir") })),
    ("cd back", "yyyy", |_| Ask(Request::Cd { path: b"/".to_vec() })),
    ("ls", "yyyd", |_| List("dir")),
    ("ls of a file", "yyyd", |_| List("old")),
    ("stat", "yyyy", |at| Ask(Request::Stat { path: at("old"), follow: true })),
    ("stat of a link", "yyyy", |at| Ask(Request::Stat { path: at("link"), follow: false })),
    ("mkdir", "ydyy", |at| Ask(Request::Mkdir { path: at("new/deep"), parents: true, mode: Some(0o555) })),
    ("get", "yyyd", |_| Get("old")),
    ("put", "ydyy", |_| Step::Put("new", b"new")),
    ("put over", "ydpp", |_| Step::Put("old", b"new")),
    ("put over, longer", "ydpp", |_| Step::Put("old", b"longer")),
    ("put again", "ydyp", |_| Step::Put("old", b"old")),
    ("put over a link", "ydpp", |_| Step::Put("link", b"old")),
    ("describe", "yyyd", |_| Describe),
    ("get-delta", "yyyd", |_| GetDelta),
    ("put-delta", "ydyd", |_| PutDelta("new")),
    ("put-delta over", "ydpd", |_| PutDelta("dir/f")),
    ("put-delta again", "ydyd", |_| PutDelta("old")),
    ("get-range", "yyyd", |_| GetRange),
    ("put-blocks", "ydyy", |_| PutBlocks("new")),
    ("put-blocks over", "ydpp", |_| PutBlocks("old")),
    ("stored-digests", "yyyd", |_| StoredDigests),
    ("put-copy", "ydyd", |_| PutCopy("new")),
    ("put-copy over", "ydpd", |_| PutCopy("dir/f")),
    ("put-copy again", "ydyd", |_| PutCopy("old")),
    ("set-attributes", "ydpp", |at| {
        Ask(Request::SetAttributes { path: at("old"), mode: Some(0o600), mtime: Some(TIME) })
    }),
    ("stream", "ydyy", |_| Stream("new")),
    ("stream over", "ydpp", |_| Stream("old")),
    ("rm", "ydpp", |at| Ask(Request::Rm { path: at("old"), recursive: false })),
    ("rm of a link", "ydpp", |at| Ask(Request::Rm { path: at("link"), recursive: false })),
    ("rm -r", "ydpp", |at| Ask(Request::Rm { path: at("dir"), recursive: true })),
    ("rm -r of a file", "ydpp", |at| Ask(Request::Rm { path: at("old"), recursive: true })),
    ("rmdir", "ydpp", |at| Ask(Request::Rmdir { path: at("empty") })),
    ("mv", "ydpp", |at| Ask(Request::Mv { from: at("old"), to: at("new") })),
    ("mv over", "ydpp", |at| Ask(Request::Mv { from: at("old"), to: at("dir/f") })),
    ("mv of a folder", "ydpp", |at| Ask(Request::Mv { from: at("dir"), to: at("new") })),
    ("cp", "ydyd", |at| Ask(Request::Cp { from: at("old"), to: at("new"), recursive: false })),
    ("cp over", "ydpd", |at| Ask(Request::Cp { from: at("old"), to: at("dir/f"), recursive: false })),
    ("cp -r", "ydyd", |at| Ask(Request::Cp { from: at("dir"), to: at("new"), recursive: true })),
    ("back-up", "ydpp", |at| Ask(Request::BackUp { from: at("old"), to: at("kept/old"), remove: false })),
    ("back-up over", "ydpp", |at| Ask(Request::BackUp { from: at("old"), to: at("dir/f"), remove: false })),
    ("back-up, moved", "ydpp", |at| Ask(Request::BackUp { from: at("old"), to: at("kept"), remove: true })),
    ("hash", "yyyd", |at| Ask(Request::Hash { path: at("old"), verify: false })),
    ("df", "yyyy", |_| Ask(Request::Df)),
    ("sync", "yyyy", |_| Ask(Request::Sync)),
    ("part-status", "yyyy", |at| Ask(Request::PartStatus { path: at("new"), size: 9 << 20, mtime: TIME })),
    ("stream-status", "yyyy", |at| Ask(Request::StreamStatus { path: at("new"), id: StreamId([7; 16]) })),
    ("parts", "yyyy", |_| Ask(Request::Parts)),
    ("discard", "ydpp", |at| Ask(Request::Discard { path: Some(at("old")) })),
    ("discard all", "ydpp", |_| Ask(Request::Discard { path: None })),
    ("symlink", "ydyy", |at| Ask(Request::Symlink { path: at("new"), target: b"old".to_vec() })),
    ("symlink over", "xdpp", |at| Ask(Request::Symlink { path: at("old"), target: b"dir".to_vec() })),
    ("finish-directory", "ydpp", |at| Ask(Request::FinishDirectory { path: at("dir"), mtime: TIME })),
    ("real-path", "yyyy", |at| Ask(Request::RealPath { path: at("link") })),
    ("keys", "yyyd", |_| Ask(Request::Keys)),
    ("install-key", "yddd", |_| Ask(Request::InstallKey { line: ED25519_KEY.to_owned() })),
    ("remove-key", "yddd", |_| Ask(Request::RemoveKey { fingerprint: PRINT.to_owned() })),
];

const ED25519_KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOTi1bVt18LCvBKeba5g5VjVECu5ppYGuP7NLLS3qMWa";
const PRINT: &str = "SHA256:zjhfP8W1OUPMfRjpJ0SbMKesRVxWgMdSXMflFijHWXA";

/// Asks for the description of `old`.
async fn described(peer: &mut Peer, scene: &Scene) -> Reply {
    let request = Request::Describe { path: scene.path("old").into(), key: [0; 32] };
    peer.send(&Frame::Request(request)).await.unwrap();
    loop {
        match peer.next().await.unwrap() {
            Frame::Description(_) => {}
            Frame::Reply(reply) => return reply,
            frame => panic!("{frame:?}"),
        }
    }
}

/// Stores a file of two blocks of zeros.
async fn put_blocks(peer: &mut Peer, name: &str) -> Reply {
    let content = vec![0; BLOCK_BYTES as usize + 1];
    let (path, size) = (name.as_bytes().to_vec(), Some(content.len() as u64));
    let put = Put { path, size, mtime: None, source: Some(TIME), mode: None, resume: 0 };
    let opened = peer.ask(Request::OpenUpload(put)).await.unwrap();
    let Payload::Upload(id) = opened.payload else { return opened };
    peer.send(&Frame::Request(Request::PutBlocks { id, block: 0, blocks: 2 })).await.unwrap();
    peer.send_data(&content).await.unwrap();
    peer.send(&Frame::End(end_of(&content))).await.unwrap();
    while !matches!(peer.next().await.unwrap(), Frame::Reply(_)) {}
    peer.ask(Request::FinishUpload { id, end: end_of(&content) }).await.unwrap()
}

async fn run(peer: &mut Peer, scene: &Scene, step: Step) -> Became {
    let of = |reply: Reply| match reply.status.is_error() {
        true => Became::refused(&reply.message),
        false => Became::Done,
    };
    match step {
        Ask(request) => of(peer.ask(request).await.unwrap()),
        Step::Put(name, content) => of(peer.put(scene.path(name), content).await.unwrap()),
        Get(name) => match peer.get(scene.path(name)).await.unwrap() {
            Ok(_) => Became::Done,
            Err((_, message)) => Became::refused(&message),
        },
        List(name) => of(peer.list(scene.path(name), false).await.unwrap().1),
        Describe => of(described(peer, scene).await),
        PutBlocks(name) => of(put_blocks(peer, &scene.path(name)).await),
        GetDelta | GetRange => {
            let path = scene.path("old").into_bytes();
            let request = match step {
                GetRange => Request::GetRange { path, block: 0, blocks: 1, expect: None, data: true },
                _ => Request::GetDelta { path, known: 0, chunks: 0, key: [0; 32] },
            };
            peer.send(&Frame::Request(request)).await.unwrap();
            loop {
                match peer.next().await.unwrap() {
                    Frame::Header(_) | Frame::RangeHeader(_) | Frame::Data(_) | Frame::Blocks(_) => {}
                    Frame::End(end) => return of(Reply::new(end.status, end.message)),
                    Frame::Reply(reply) => return of(reply),
                    frame => panic!("{frame:?}"),
                }
            }
        }
        PutDelta(name) => {
            let described = described(peer, scene).await;
            if described.status.is_error() {
                return of(described);
            }
            let (path, size) = (scene.path(name).into_bytes(), Some(3));
            let put = Put { path, size, mtime: None, source: None, mode: None, resume: 0 };
            peer.send(&Frame::Request(Request::PutDelta(put))).await.unwrap();
            peer.send(&Frame::Copy(CopyRange { offset: 0, length: 3 })).await.unwrap();
            peer.send(&Frame::End(end_of(b"old"))).await.unwrap();
            of(peer.reply().await.unwrap())
        }
        StoredDigests => {
            let (directory, paths) = (scene.path("").into(), b"old\0".to_vec());
            peer.send(&Frame::Request(Request::StoredDigests { directory, paths })).await.unwrap();
            loop {
                match peer.next().await.unwrap() {
                    Frame::StoredFiles(files) => assert_eq!(files.len(), 1),
                    Frame::Reply(reply) => return of(reply),
                    frame => panic!("{frame:?}"),
                }
            }
        }
        PutCopy(name) => {
            let (path, size) = (scene.path(name).into_bytes(), Some(3));
            let put = Put { path, size, mtime: None, source: None, mode: None, resume: 0 };
            let (from, digest) = (scene.path("old").into(), end_of(b"old").digest);
            of(peer.ask(Request::PutCopy { put: Box::new(put), from, digest }).await.unwrap())
        }
        Stream(name) => {
            let path = scene.path(name).into_bytes();
            let put = Put { path, size: None, mtime: None, source: None, mode: None, resume: 0 };
            peer.send(&Frame::Request(Request::PutStream { id: StreamId([9; 16]), put })).await.unwrap();
            peer.send_data(b"new").await.unwrap();
            peer.send(&Frame::End(end_of(b"new"))).await.unwrap();
            of(peer.reply().await.unwrap())
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_access_allows_its_native_requests_only() {
    for (access, name) in ACCESSES.into_iter().enumerate() {
        let host = host(name, "").await;
        let mut peer = Peer::login(&host, "ann").await.unwrap();
        for (number, (operation, letters, step)) in OPERATIONS.iter().enumerate() {
            let scene = Scene::plant(&host, number);
            let step = step(&|name| scene.path(name).into_bytes());
            let became = run(&mut peer, &scene, step).await;
            scene.check(operation, access, became, letters);
            if *operation == "cd" {
                assert_eq!(peer.ask(Request::Cd { path: b"/".to_vec() }).await.unwrap().status, Status::Done);
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_that_know_413_get_it_and_others_get_406() {
    let host = host("append-only", "").await;
    let scene = Scene::plant(&host, 0);
    let rm = Request::Rm { path: scene.path("old").into_bytes(), recursive: false };
    let mut peer = Peer::login(&host, "ann").await.unwrap();
    assert_eq!(peer.ask(rm).await.unwrap().status, Status::PermissionDenied);
    let client = Client::new(&host, "ann").unwrap();
    let refused = client.run(["rm", &scene.path("old")]).unwrap();
    assert!(refused.code == Some(1) && refused.err().contains("(413)"), "{refused}");
    fs::write(client.work().join("old"), "new").unwrap();
    let refused = client.run(["put", "old", &scene.path("old")]).unwrap();
    assert!(refused.code == Some(1) && refused.err().contains("(413)"), "{refused}");
    assert_eq!(fs::read(host.home("ann").join(scene.path("old"))).unwrap(), b"old");
}
