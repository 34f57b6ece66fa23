//! The native protocol, frame by frame.

use sshome_e2e::{Host, Peer, end_of};
use sshome_wire::{Frame, Payload, Request, Status};

fn path(path: &str) -> Vec<u8> {
    path.as_bytes().to_vec()
}

fn noise(length: usize, seed: u8) -> Vec<u8> {
    let mut bytes = vec![0; length];
    blake3::Hasher::new().update(&[seed]).finalize_xof().fill(&mut bytes);
    bytes
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_survives_a_round_trip() {
    let mut host = Host::with_user("ann", "quota = \"10 MiB\"").await.unwrap();
    let mut peer = Peer::login(&host, "ann").await.unwrap();
    let content = noise(3_000_000, 1);
    assert_eq!(peer.put("big", &content).await.unwrap().status, Status::Done);
    assert!(std::fs::read(host.home("ann").join("big")).unwrap() == content);
    assert!(peer.get("/big").await.unwrap().unwrap() == content);
    assert_eq!(peer.put("empty", b"").await.unwrap().status, Status::Done);
    assert_eq!(peer.get("empty").await.unwrap().unwrap(), b"");
    let df = peer.ask(Request::Df).await.unwrap();
    let Payload::Usage(usage) = df.payload else { panic!("{df:?}") };
    assert_eq!((usage.used, usage.reserved, usage.entries), (3_000_000, 0, 2));
    host.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn each_request_about_names_has_its_status() {
    let host = Host::with_user("ann", "").await.unwrap();
    let mut peer = Peer::login(&host, "ann").await.unwrap();
    let mkdir = |name: &str, parents| Request::Mkdir { path: path(name), parents, mode: None };
    let mut statuses = Vec::new();
    for request in [
        mkdir("a", false),
        mkdir("a", false),
        mkdir("x/y", false),
        mkdir("x/y/z", true),
        Request::Cd { path: path("a") },
        Request::Cd { path: path("nowhere") },
        Request::Stat { path: path("nothing"), follow: true },
        Request::Rm { path: path("/x"), recursive: false },
        Request::Rmdir { path: path("/x") },
        Request::Rm { path: path("/"), recursive: true },
        Request::Mv { from: path("/a"), to: path("/a/b") },
        Request::Cp { from: path("/x"), to: path("/x/y/copy"), recursive: true },
        Request::Cp { from: path("/x"), to: path("/copy"), recursive: true },
        Request::Rm { path: path("/x"), recursive: true },
        Request::Rmdir { path: path("/copy/y/z") },
        Request::Sync,
    ] {
        statuses.push(peer.ask(request).await.unwrap().status.code());
    }
    assert_eq!(statuses, [204, 203, 403, 204, 204, 403, 402, 408, 404, 406, 404, 404, 204, 204, 204, 204]);
    let pwd = peer.ask(Request::Pwd).await.unwrap();
    assert_eq!(pwd.payload, Payload::Path(path("/a")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_put_that_differs_from_its_announcement_publishes_nothing() {
    let host = Host::with_user("ann", "").await.unwrap();
    let mut peer = Peer::login(&host, "ann").await.unwrap();
    assert_eq!(peer.put("f", b"old").await.unwrap().status, Status::Done);
    for (sent, end) in
        [(&b"other"[..], end_of(b"wrong")), (b"oth", end_of(b"other")), (b"others", end_of(b"other"))]
    {
        peer.begin_put("f", Some(5)).await.unwrap();
        peer.send_data(sent).await.unwrap();
        peer.send(&Frame::End(end)).await.unwrap();
        assert_eq!(peer.reply().await.unwrap().status, Status::DigestMismatch);
        assert_eq!(peer.get("f").await.unwrap().unwrap(), b"old");
    }
    let staging = host.home("ann").join(".sshome-staging");
    assert_eq!(std::fs::read_dir(staging).unwrap().count(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn thousands_of_small_files_are_sent_without_waiting() {
    let host = Host::with_user("ann", "").await.unwrap();
    let mut peer = Peer::login(&host, "ann").await.unwrap();
    for round in 0..3u32 {
        for i in 0..1000u32 {
            let content = format!("file {i}").into_bytes();
            peer.begin_put(format!("f{i}-{round}"), Some(content.len() as u64)).await.unwrap();
            peer.send_data(&content).await.unwrap();
            peer.send(&Frame::End(end_of(&content))).await.unwrap();
        }
        for _ in 0..1000 {
            assert_eq!(peer.reply().await.unwrap().status, Status::Done);
        }
    }
    let (frames, reply) = peer.list("", true).await.unwrap();
    assert_eq!(reply.status, Status::Done);
    assert_eq!(frames.iter().map(|frame| frame.entries.len()).sum::<usize>(), 3000);
    assert_eq!(peer.get("f7-2").await.unwrap().unwrap(), b"file 7");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancel_overtakes_requests_and_keeps_the_session() {
    let host = Host::with_user("ann", "").await.unwrap();
    let mut peer = Peer::login(&host, "ann").await.unwrap();
    let content = noise(40 << 20, 2);
    assert_eq!(peer.put("big", &content).await.unwrap().status, Status::Done);
    let cd = Request::Mkdir { path: path("d"), parents: false, mode: None };
    assert_eq!(peer.ask(cd).await.unwrap().status, Status::Done);
    assert_eq!(peer.ask(Request::Cd { path: path("d") }).await.unwrap().status, Status::Done);
    peer.send(&Frame::Request(Request::Get { path: path("/big"), known: 0 })).await.unwrap();
    peer.send(&Frame::Request(Request::Pwd)).await.unwrap();
    let mut read = 0;
    loop {
        match peer.next().await.unwrap() {
            Frame::Data(data) => {
                if read == 0 {
                    peer.send(&Frame::Cancel).await.unwrap();
                }
                read += data.len();
            }
            Frame::Header(_) => {}
            Frame::End(end) => {
                assert_eq!(end.status, Status::Cancelled);
                break;
            }
            other => panic!("{other:?}"),
        }
    }
    assert!(read < content.len(), "all of it came in spite of the cancel");
    assert_eq!(peer.reply().await.unwrap().status, Status::Cancelled);
    assert_eq!(peer.reply().await.unwrap().status, Status::Done);
    assert_eq!(peer.ask(Request::Pwd).await.unwrap().payload, Payload::Path(path("/d")));
    // A put that is cancelled halfway ends with the cancel.
    peer.begin_put("part", Some(1000)).await.unwrap();
    peer.send_data(&[7; 500]).await.unwrap();
    peer.send(&Frame::Cancel).await.unwrap();
    assert_eq!(peer.reply().await.unwrap().status, Status::Cancelled);
    assert_eq!(peer.reply().await.unwrap().status, Status::Done);
    assert_eq!(peer.get("part").await.unwrap().unwrap_err().0, Status::NoSuchFile);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_read_only_account_changes_nothing() {
    let host = Host::with_user("ann", "access = \"read-only\"").await.unwrap();
    std::fs::write(host.home("ann").join("f"), b"there").unwrap();
    let mut peer = Peer::login(&host, "ann").await.unwrap();
    assert_eq!(peer.put("g", b"no").await.unwrap().status, Status::PermissionDenied);
    for request in [
        Request::Mkdir { path: path("d"), parents: true, mode: None },
        Request::Rm { path: path("f"), recursive: true },
        Request::Rmdir { path: path("f") },
        Request::Mv { from: path("f"), to: path("g") },
        Request::Cp { from: path("f"), to: path("g"), recursive: false },
    ] {
        assert_eq!(peer.ask(request).await.unwrap().status, Status::PermissionDenied);
    }
    assert_eq!(peer.get("f").await.unwrap().unwrap(), b"there");
    assert_eq!(std::fs::read_dir(host.home("ann")).unwrap().count(), 1);
}
