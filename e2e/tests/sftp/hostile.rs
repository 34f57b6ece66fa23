//! Packets that no client would send.

use crate::b;
use bytes::Bytes;
use sshome_e2e::Host;
use sshome_e2e::sftp::{ANEW, SftpPeer, refused};
use sshome_wire::sftp::{
    ClientPacket, Data, MAX_PACKET, OpenFlags, Response, SftpAttributes, SftpRequest, StatusCode,
};

/// A packet of this kind with id 7, and `body` as it is.
fn packed(kind: u8, body: &[u8]) -> Vec<u8> {
    let length = body.len() as u32 + 5;
    [&length.to_be_bytes()[..], &[kind, 0, 0, 0, 7], body].concat()
}

fn encoded(request: SftpRequest) -> Vec<u8> {
    let mut out = Vec::new();
    ClientPacket::Request { id: 7, request }.encode(&mut out).unwrap();
    out
}

fn string(length: usize) -> Vec<u8> {
    [&(length as u32).to_be_bytes()[..], &vec![b'x'; length]].concat()
}

async fn next_code(peer: &mut SftpPeer) -> StatusCode {
    let (id, response) = peer.next().await.unwrap().unwrap();
    assert_eq!(id, 7);
    refused(response).unwrap().0
}

#[tokio::test(flavor = "multi_thread")]
async fn a_packet_over_the_limit_ends_the_channel_and_nothing_after_it_is_done() {
    let host = Host::with_user("ann", "").await.unwrap();
    for length in [MAX_PACKET + 1, 1 << 24, u32::MAX, 0] {
        let mut peer = SftpPeer::login(&host, "ann").await.unwrap();
        // A request in the place where its body would be, and one after it.
        let inside = encoded(SftpRequest::Mkdir { path: b("inside"), attributes: SftpAttributes::default() });
        peer.send_raw([&length.to_be_bytes()[..], &inside.repeat(20_000)].concat()).await.unwrap();
        assert!(peer.next().await.unwrap().is_none(), "{length}");
    }
    assert!(!host.home("ann").join("inside").exists());
    // The longest one is read.
    let mut peer = SftpPeer::login(&host, "ann").await.unwrap();
    peer.send_raw(packed(17, &vec![0xff; MAX_PACKET as usize - 5])).await.unwrap();
    assert_eq!(next_code(&mut peer).await, StatusCode::BadMessage);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_undecodable_request_is_answered_and_the_next_is_served() {
    let host = Host::with_user("ann", "").await.unwrap();
    let mut peer = SftpPeer::login(&host, "ann").await.unwrap();
    let string_of_4_gib = [0xff, 0xff, 0xff, 0xff, b'x'];
    for (packet, code) in [
        (packed(17, &string(4097)), StatusCode::BadMessage),
        (packed(17, &string(4096)), StatusCode::BadMessage),
        (packed(4, &string(257)), StatusCode::BadMessage),
        (packed(4, &string(256)), StatusCode::Failure),
        (packed(17, &string_of_4_gib), StatusCode::BadMessage),
        (packed(17, &[]), StatusCode::BadMessage),
        // Data after the last field is ignored.
        (packed(17, &[&string(1)[..], b"and more"].concat()), StatusCode::NoSuchFile),
        (
            packed(9, &[&string(1)[..], &[0x80, 0, 0, 0, 0xff, 0xff, 0xff, 0xff]].concat()),
            StatusCode::BadMessage,
        ),
        (packed(6, &[&string(8)[..], &[0; 8], &string_of_4_gib].concat()), StatusCode::BadMessage),
        (packed(99, b"?"), StatusCode::OpUnsupported),
        (packed(101, b"?"), StatusCode::OpUnsupported),
        (packed(200, &string(9)), StatusCode::OpUnsupported),
        (packed(200, &[&string(9)[..], &[7; 100_000]].concat()), StatusCode::OpUnsupported),
    ] {
        let shown = format!("{:?}", &packet[..packet.len().min(20)]);
        peer.send_raw(packet).await.unwrap();
        assert_eq!(next_code(&mut peer).await, code, "{shown}");
    }
    assert_eq!(peer.put("f", b"still here").await.unwrap(), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_without_an_id_ends_the_channel() {
    let host = Host::with_user("ann", "").await.unwrap();
    let stat = encoded(SftpRequest::Stat { path: b("/") });
    let init = [0, 0, 0, 5, 1, 0, 0, 0, 3].to_vec();
    for first in [
        stat.clone(),                   // before INIT
        [0, 0, 0, 3, 1, 0, 0].to_vec(), // half an INIT
    ] {
        let mut peer = SftpPeer::silent(&host, "ann").await.unwrap();
        peer.send_raw([first.clone(), stat.clone()].concat()).await.unwrap();
        assert!(peer.next().await.unwrap().is_none(), "{first:?}");
    }
    for then in [init, [0, 0, 0, 4, 17, 0, 0, 0].to_vec(), [0, 0, 0, 1, 5].to_vec()] {
        let mut peer = SftpPeer::login(&host, "ann").await.unwrap();
        peer.send_raw([then.clone(), stat.clone()].concat()).await.unwrap();
        assert!(peer.next().await.unwrap().is_none(), "{then:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn any_version_with_anything_behind_it_is_answered_with_ours() {
    let host = Host::with_user("ann", "").await.unwrap();
    let with = |version, rest: &[u8]| packed(1, &[&[0, 0, 0, version], rest].concat());
    for init in [
        with(0, b""),
        with(1, b""),
        with(2, b""),
        with(6, b""),
        with(3, b"\0\0\0\x01n\0\0\0\x01d"),
        with(3, b"?"),
        with(3, b"\0\0\0\x01n"),
        with(3, b"\xff\xff\xff\xff and more"),
    ] {
        let mut peer = SftpPeer::silent(&host, "ann").await.unwrap();
        peer.send_raw(init.clone()).await.unwrap();
        assert_eq!(peer.version().await.unwrap(), 3, "{init:?}");
        assert_eq!(peer.put("f", b"content").await.unwrap(), None, "{init:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn only_open_handles_are_valid() {
    let host = Host::with_user("ann", "").await.unwrap();
    let mut peer = SftpPeer::login(&host, "ann").await.unwrap();
    let file = peer.open("f", ANEW | OpenFlags::READ).await.unwrap().unwrap();
    let Response::Handle(folder) = peer.ask(SftpRequest::Opendir { path: b("/") }).await.unwrap() else {
        panic!()
    };
    let closed = peer.open("g", ANEW).await.unwrap().unwrap();
    peer.close(closed.clone()).await.unwrap();
    // A new handle is never a reused one.
    let new = peer.open("g", ANEW).await.unwrap().unwrap();
    assert_ne!(new, closed);
    let longer = Bytes::from([&file[..], b"\0"].concat());
    for handle in [closed, longer, file.slice(1..), Bytes::new(), Bytes::from(vec![0xff; 256])] {
        for request in [
            SftpRequest::Read { handle: handle.clone(), offset: 0, length: 1 },
            SftpRequest::Write { handle: handle.clone(), offset: 0, data: b("x").into() },
            SftpRequest::Fstat { handle: handle.clone() },
            SftpRequest::Fsetstat { handle: handle.clone(), attributes: SftpAttributes::default() },
            SftpRequest::Readdir { handle: handle.clone() },
            SftpRequest::Close { handle: handle.clone() },
        ] {
            let shown = format!("{request:?}");
            assert_eq!(peer.refusal(request).await.unwrap().unwrap().0, StatusCode::Failure, "{shown}");
        }
    }
    // Each handle only works for its kind.
    let read = SftpRequest::Read { handle: folder.clone(), offset: 0, length: 1 };
    assert_eq!(peer.refusal(read).await.unwrap().unwrap().0, StatusCode::Failure);
    let readdir = SftpRequest::Readdir { handle: file.clone() };
    assert_eq!(peer.refusal(readdir).await.unwrap().unwrap().0, StatusCode::Failure);
    // Handles of one channel are invalid on another.
    let mut other = SftpPeer::login(&host, "ann").await.unwrap();
    assert_eq!(other.read(&file, 0, 1).await.unwrap().unwrap_err().0, StatusCode::Failure);
}

#[tokio::test(flavor = "multi_thread")]
async fn empty_data_do_not_loop() {
    let host = Host::with_user("ann", "").await.unwrap();
    let mut peer = SftpPeer::login(&host, "ann").await.unwrap();
    let file = peer.open("f", ANEW | OpenFlags::READ).await.unwrap().unwrap();
    let (sender, receiver) = peer.split();
    let sending = async {
        for _ in 0..1000 {
            let data = Data::from(Bytes::new());
            sender.request(SftpRequest::Write { handle: file.clone(), offset: 1 << 40, data }).await.unwrap();
            sender.request(SftpRequest::Read { handle: file.clone(), offset: 0, length: 0 }).await.unwrap();
        }
    };
    // Meanwhile, because unread answers would stop the connection, and so the sender.
    let receiving = async {
        for _ in 0..1000 {
            assert_eq!(refused(receiver.next().await.unwrap().unwrap().1).unwrap().0, StatusCode::Ok);
            // There is never an empty DATA.
            assert_eq!(refused(receiver.next().await.unwrap().unwrap().1).unwrap().0, StatusCode::Eof);
        }
    };
    tokio::join!(sending, receiving);
    assert_eq!(peer.get("f").await.unwrap().unwrap(), b"");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_byte_at_a_time_is_served() {
    let host = Host::with_user("ann", "").await.unwrap();
    let mut peer = SftpPeer::login(&host, "ann").await.unwrap();
    let request = encoded(SftpRequest::Mkdir { path: b("d"), attributes: SftpAttributes::default() });
    for byte in request {
        peer.send_raw(vec![byte]).await.unwrap();
    }
    assert_eq!(next_code(&mut peer).await, StatusCode::Ok);
    assert!(host.home("ann").join("d").is_dir());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_vanishes_leaves_nothing_open() {
    let host = Host::with_user("ann", "quota = \"10 MiB\"").await.unwrap();
    let mut other = SftpPeer::login(&host, "ann").await.unwrap();
    let empty = other.statvfs().await.unwrap().bavail;
    let mut peer = SftpPeer::login(&host, "ann").await.unwrap();
    let file = peer.open("f", ANEW).await.unwrap().unwrap();
    assert_eq!(peer.write(&file, (1 << 20) - 1, b"x").await.unwrap(), None);
    peer.done(SftpRequest::Remove { path: b("f") }).await.unwrap();
    // It counts as long as it is open.
    assert!(other.statvfs().await.unwrap().bavail < empty);
    peer.vanish().await.unwrap();
    while other.statvfs().await.unwrap().bavail < empty {
        tokio::task::yield_now().await;
    }
}
