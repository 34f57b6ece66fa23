//! Clients that violate the protocol, or try to exhaust the server.

use bytes::{BufMut, Bytes, BytesMut};
use sshome_e2e::{Host, Peer, end_of, hello};
use sshome_wire::{Frame, FrameKind, Hello, MAX_FRAME, Put, Reply, Request, Status};

fn raw(length: u32, kind: u8, body: &[u8]) -> Bytes {
    let mut bytes = BytesMut::new();
    bytes.put_u32(length);
    bytes.put_u8(kind);
    bytes.put_slice(body);
    bytes.freeze()
}

/// The last reply before the end of the channel.
async fn last_words(peer: &mut Peer) -> Reply {
    let mut last = None;
    while let Some(frame) = peer.next_or_end().await.unwrap() {
        match frame {
            Frame::Reply(reply) => last = Some(reply),
            other => panic!("{other:?}"),
        }
    }
    last.expect("the channel ended without a word")
}

async fn assert_serves(host: &Host) {
    let mut peer = Peer::login(host, "ann").await.unwrap();
    assert_eq!(peer.ask(Request::Pwd).await.unwrap().status, Status::Done);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_invalid_frame_gets_one_error_and_ends_the_channel() {
    let host = Host::with_user("ann", "").await.unwrap();
    let end = FrameKind::End as u8;
    let cases: [(Bytes, &str); 7] = [
        (raw(0, 1, b""), "length 0"),
        (raw(MAX_FRAME + 1, FrameKind::Data as u8, b""), "over the limit"),
        (raw(u32::MAX, FrameKind::Request as u8, b""), "over the limit"),
        (raw(1, 99, b""), "unknown kind of frame 99"),
        (raw(5, end, b"abcd"), "does not decode"),
        (raw(3, FrameKind::Cancel as u8, b"xx"), "does not decode"),
        (raw(2, FrameKind::Request as u8, &[200]), "does not decode"),
    ];
    for (bytes, what) in cases {
        let mut peer = Peer::login(&host, "ann").await.unwrap();
        peer.send_raw(bytes).await.unwrap();
        let reply = last_words(&mut peer).await;
        assert_eq!(reply.status, Status::BadCommand);
        assert!(reply.message.contains(what), "{reply} does not say {what}");
    }
    assert_serves(&host).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn frames_out_of_order_end_the_channel() {
    let host = Host::with_user("ann", "").await.unwrap();
    let put = || {
        Frame::Request(Request::Put(Put {
            path: b"f".to_vec(),
            size: None,
            mtime: None,
            source: None,
            mode: None,
            resume: 0,
        }))
    };
    let cases: [(Vec<Frame>, &str); 7] = [
        (vec![Frame::Data(Bytes::from_static(b"x"))], "outside of a put"),
        (vec![Frame::End(end_of(b""))], "outside of a put"),
        (vec![Frame::Abort], "outside of a put"),
        (vec![Frame::Hello(hello())], "second hello"),
        (vec![put(), Frame::Request(Request::Pwd)], "middle of a put"),
        (vec![Frame::Reply(Reply::new(Status::Done, ""))], "the server's to send"),
        (vec![put(), put()], "middle of a put"),
    ];
    for (frames, what) in cases {
        let mut peer = Peer::login(&host, "ann").await.unwrap();
        for frame in frames {
            peer.send(&frame).await.unwrap();
        }
        let reply = last_words(&mut peer).await;
        assert_eq!(reply.status, Status::BadCommand);
        assert!(reply.message.contains(what), "{reply} does not say {what}");
    }
    let mut early = Peer::silent(&host, "ann").await.unwrap();
    early.send(&Frame::Request(Request::Pwd)).await.unwrap();
    assert!(last_words(&mut early).await.message.contains("hello"));
    let mut old = Peer::silent(&host, "ann").await.unwrap();
    old.send(&Frame::Hello(Hello { version: 7, ..hello() })).await.unwrap();
    assert!(last_words(&mut old).await.message.contains("version 7"));
    assert_eq!(std::fs::read_dir(host.home("ann").join(".sshome-staging")).unwrap().count(), 0);
    assert_serves(&host).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn endless_requests_are_cut_off() {
    let host = Host::with_user("ann", "").await.unwrap();
    let mut peer = Peer::login(&host, "ann").await.unwrap();
    // A get blocks the queue, because the client does not read it.
    let content = vec![0; 80 << 20];
    assert_eq!(peer.put("big", &content).await.unwrap().status, Status::Done);
    let mut flood = BytesMut::new();
    Frame::Request(Request::Get { path: b"big".to_vec(), known: 0 }).encode(&mut flood).unwrap();
    for _ in 0..10_000 {
        Frame::Request(Request::Pwd).encode(&mut flood).unwrap();
    }
    peer.send_raw(flood.freeze()).await.unwrap();
    let mut last = None;
    while let Some(frame) = peer.next_or_end().await.unwrap() {
        last = Some(frame);
    }
    assert!(matches!(last, Some(Frame::Reply(reply)) if reply.status == Status::Busy));
    assert_serves(&host).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_reads_nothing_harms_no_other() {
    let host = Host::with_user("ann", "").await.unwrap();
    let mut peer = Peer::login(&host, "ann").await.unwrap();
    assert_eq!(peer.put("big", &vec![1; 100 << 20]).await.unwrap().status, Status::Done);
    let mut idle = Vec::new();
    for _ in 0..4 {
        let mut stuck = Peer::login(&host, "ann").await.unwrap();
        stuck.send(&Frame::Request(Request::Get { path: b"big".to_vec(), known: 0 })).await.unwrap();
        idle.push(stuck);
    }
    assert_eq!(peer.put("small", b"still served").await.unwrap().status, Status::Done);
    assert_eq!(peer.get("small").await.unwrap().unwrap(), b"still served");
}

/// Both directions of one connection at full speed: a deadlock, if either side stops reading.
#[tokio::test(flavor = "multi_thread")]
async fn both_directions_at_once_on_one_connection() {
    let host = Host::with_user("ann", "").await.unwrap();
    let mut down = Peer::login(&host, "ann").await.unwrap();
    let content: Vec<u8> = (0..160u32 << 20).map(|i| (i >> 8) as u8).collect();
    assert_eq!(down.put("down", &content).await.unwrap().status, Status::Done);
    let mut up = down.beside().await.unwrap();
    let sent = content.clone();
    let (got, put) = tokio::join!(
        tokio::spawn(async move { down.get("down").await.unwrap().unwrap() }),
        tokio::spawn(async move { up.put("up", &sent).await.unwrap() }),
    );
    assert!(got.unwrap() == content);
    assert_eq!(put.unwrap().status, Status::Done);
    assert!(std::fs::read(host.home("ann").join("up")).unwrap() == content);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_vanishes_leaves_nothing_behind() {
    let host = Host::with_user("ann", "quota = \"10 MiB\"").await.unwrap();
    for _ in 0..5 {
        let mut peer = Peer::login(&host, "ann").await.unwrap();
        peer.begin_put("f", Some(9 << 20)).await.unwrap();
        peer.send_data(&vec![1; 1 << 20]).await.unwrap();
        peer.vanish().await.unwrap();
    }
    // The space is released as soon as the server has noticed that they are gone.
    let mut peer = Peer::login(&host, "ann").await.unwrap();
    while peer.put("g", &vec![2; 10 << 20]).await.unwrap().status == Status::QuotaExceeded {}
    assert_eq!(std::fs::read_dir(host.home("ann").join(".sshome-staging")).unwrap().count(), 0);
    assert!(!host.home("ann").join("f").exists());
}

/// The server shuts down cleanly whatever its clients do. Each of these clients once made it hang.
#[tokio::test(flavor = "multi_thread")]
async fn the_server_shuts_down_although_clients_are_stuck() {
    let mut host = Host::with_user("ann", "").await.unwrap();
    let mut peer = Peer::login(&host, "ann").await.unwrap();
    assert_eq!(peer.put("big", &vec![1; 100 << 20]).await.unwrap().status, Status::Done);
    // One requests a file and vanishes before it has read it.
    let mut killed = Peer::login(&host, "ann").await.unwrap();
    killed.send(&Frame::Request(Request::Get { path: b"big".to_vec(), known: 0 })).await.unwrap();
    assert!(matches!(killed.next().await.unwrap(), Frame::Header(_)));
    drop(killed);
    // One requests a file and never reads it.
    let mut stuck = Peer::login(&host, "ann").await.unwrap();
    stuck.send(&Frame::Request(Request::Get { path: b"big".to_vec(), known: 0 })).await.unwrap();
    // One opens a channel, starts nothing on it and sends data.
    let silent = peer.open_silent().await.unwrap();
    for _ in 0..200 {
        // The server may have closed it already.
        let _ = silent.data_bytes(Bytes::from_static(b"x")).await;
    }
    assert_eq!(peer.ask(Request::Pwd).await.unwrap().status, Status::Done);
    host.stop().await.unwrap();
}
