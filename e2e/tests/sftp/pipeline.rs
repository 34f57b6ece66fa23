//! Many outstanding requests.

use crate::b;
use bytes::Bytes;
use sshome_e2e::Host;
use sshome_e2e::sftp::{ANEW, Sender, SftpPeer, joined, refused};
use sshome_e2e::tree::noise;
use sshome_wire::sftp::{ClientPacket, Data, OpenFlags, Response, SftpRequest, StatusCode};
use std::sync::Arc;

const MIB: usize = 1 << 20;

async fn write_all(sender: &mut Sender, handle: &Bytes, content: &[u8], size: usize) {
    for (data, offset) in content.chunks(size).zip((0..).step_by(size)) {
        let data = Data::from(Bytes::copy_from_slice(data));
        sender.request(SftpRequest::Write { handle: handle.clone(), offset, data }).await.unwrap();
    }
}

async fn ask_for_all(sender: &mut Sender, handle: &Bytes, length: usize, size: usize) {
    for offset in (0..length).step_by(size) {
        let (offset, length) = (offset as u64, size as u32);
        sender.request(SftpRequest::Read { handle: handle.clone(), offset, length }).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_arrive_in_the_order_of_their_requests() {
    let host = Host::with_user("ann", "").await.unwrap();
    let mut peer = SftpPeer::login(&host, "ann").await.unwrap();
    let file = peer.open("f", ANEW | OpenFlags::READ).await.unwrap().unwrap();
    // Each read sees what was written before it, and not what comes after.
    let mut last = 0;
    for round in 0..500_u32 {
        let data = Data::from(Bytes::copy_from_slice(&round.to_be_bytes()));
        peer.send(SftpRequest::Write { handle: file.clone(), offset: 0, data }).await.unwrap();
        last = peer.send(SftpRequest::Read { handle: file.clone(), offset: 0, length: 100 }).await.unwrap();
    }
    for round in 0..500_u32 {
        let (written, status) = peer.next().await.unwrap().unwrap();
        assert_eq!(refused(status).unwrap().0, StatusCode::Ok);
        let (read, data) = peer.next().await.unwrap().unwrap();
        assert_eq!((written, read), (last - 999 + 2 * round, last - 998 + 2 * round));
        let Response::Data(data) = data else { panic!("{data:?}") };
        assert_eq!(joined(&data), round.to_be_bytes());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_write_is_not_hidden_by_later_ones() {
    let host = Host::with_user("ann", "quota = \"1 MiB\"").await.unwrap();
    let mut peer = SftpPeer::login(&host, "ann").await.unwrap();
    let file = peer.open("f", ANEW).await.unwrap().unwrap();
    for offset in [0, 10 << 30, 10, 20] {
        let data = Data::from(b("0123456789"));
        peer.send(SftpRequest::Write { handle: file.clone(), offset, data }).await.unwrap();
    }
    let mut codes = Vec::new();
    for _ in 0..4 {
        codes.push(refused(peer.next().await.unwrap().unwrap().1).unwrap().0);
    }
    // Otherwise the last answer, which is the only one that some clients check, would hide it.
    assert_eq!(codes, [StatusCode::Ok, StatusCode::Failure, StatusCode::Failure, StatusCode::Failure]);
    assert_eq!(std::fs::metadata(host.home("ann").join("f")).unwrap().len(), 10);
}

/// The receiver's window is 64 MiB, and everything is requested at once.
#[tokio::test(flavor = "multi_thread")]
async fn both_directions_work_at_full_speed() {
    const LENGTH: usize = 100 * MIB;
    let host = Host::with_user("ann", "quota = \"1 GiB\"").await.unwrap();
    let content = Arc::new(noise(LENGTH, "both"));
    std::fs::write(host.home("ann").join("there"), &*content).unwrap();
    let mut peer = SftpPeer::login(&host, "ann").await.unwrap();
    let from = peer.open("there", OpenFlags::READ).await.unwrap().unwrap();
    let to = peer.open("new", ANEW).await.unwrap().unwrap();
    let (sender, receiver) = peer.split();
    let sending = async {
        // Alternating reads and writes, without waiting for answers.
        let mut writes = content.chunks(32768).zip((0..).step_by(32768));
        for offset in (0..LENGTH as u64).step_by(32768) {
            let read = SftpRequest::Read { handle: from.clone(), offset, length: 32768 };
            sender.request(read).await.unwrap();
            let (data, offset) = writes.next().unwrap();
            let data = Data::from(Bytes::copy_from_slice(data));
            sender.request(SftpRequest::Write { handle: to.clone(), offset, data }).await.unwrap();
        }
    };
    let receiving = async {
        let mut got: Vec<u8> = Vec::with_capacity(LENGTH);
        for _ in 0..LENGTH / 32768 {
            match receiver.next().await.unwrap().unwrap().1 {
                Response::Data(data) => got.extend(data.pieces().flatten()),
                other => panic!("{other:?}"),
            }
            assert_eq!(refused(receiver.next().await.unwrap().unwrap().1).unwrap().0, StatusCode::Ok);
        }
        got
    };
    let ((), got) = tokio::join!(sending, receiving);
    assert!(got == *content);
    peer.close(to).await.unwrap();
    assert!(std::fs::read(host.home("ann").join("new")).unwrap() == *content);
}

#[tokio::test(flavor = "multi_thread")]
async fn any_number_of_requests_of_any_size_works() {
    const LENGTH: usize = 3 * MIB + 12345;
    let host = Host::with_user("ann", "").await.unwrap();
    let content = noise(LENGTH, "sizes");
    let mut peer = SftpPeer::login(&host, "ann").await.unwrap();
    for size in [1000, 32768, 65536, 100_000, 261_120] {
        let file = peer.open("f", ANEW | OpenFlags::READ).await.unwrap().unwrap();
        let count = LENGTH.div_ceil(size);
        let (sender, receiver) = peer.split();
        let sending = async {
            write_all(sender, &file, &content, size).await;
            ask_for_all(sender, &file, LENGTH, size).await;
        };
        let receiving = async {
            for _ in 0..count {
                assert_eq!(refused(receiver.next().await.unwrap().unwrap().1).unwrap().0, StatusCode::Ok);
            }
            let mut got: Vec<u8> = Vec::new();
            for _ in 0..count {
                let Response::Data(data) = receiver.next().await.unwrap().unwrap().1 else { panic!() };
                got.extend(data.pieces().flatten());
            }
            got
        };
        let ((), got) = tokio::join!(sending, receiving);
        assert!(got == content, "requests of {size}");
        peer.close(file).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_before_the_end_are_answered() {
    let host = Host::with_user("ann", "").await.unwrap();
    let content = noise(20 * MIB, "end");
    std::fs::write(host.home("ann").join("f"), &content).unwrap();
    let mut peer = SftpPeer::login(&host, "ann").await.unwrap();
    let file = peer.open("f", OpenFlags::READ).await.unwrap().unwrap();
    let (sender, receiver) = peer.split();
    let sending = async {
        ask_for_all(sender, &file, content.len(), 100_000).await;
        sender.eof().await.unwrap();
    };
    // At the same time, because unread data of a channel would keep the client's library from sending.
    let receiving = async {
        let mut got: Vec<u8> = Vec::new();
        while let Some((_, response)) = receiver.next().await.unwrap() {
            let Response::Data(data) = response else { panic!("{response:?}") };
            got.extend(data.pieces().flatten());
        }
        got
    };
    let ((), got) = tokio::join!(sending, receiving);
    assert!(got == content);
}

/// Waiting requests are kept as requests: the 400 MiB that they ask for are not in memory.
#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_requests_and_does_not_read_costs_little() {
    const ASKED: u64 = 400 << 20;
    let mut host =
        sshome_e2e::HostBuilder::new().unwrap().user("ann", "quota = \"3 GiB\"").unwrap().prepare().unwrap();
    let program = host.start_apart().unwrap();
    let mut peer = SftpPeer::login(&host, "ann").await.unwrap();
    let file = peer.open("f", ANEW | OpenFlags::READ).await.unwrap().unwrap();
    assert_eq!(peer.write(&file, ASKED - 1, b"x").await.unwrap(), None);
    let before = program.memory().unwrap();
    let mut requests = Vec::new();
    for offset in (0..ASKED).step_by(261_120) {
        let request = SftpRequest::Read { handle: file.clone(), offset, length: 261_120 };
        ClientPacket::Request { id: 1, request }.encode(&mut requests).unwrap();
    }
    ClientPacket::Request { id: 2, request: SftpRequest::Fstat { handle: file } }
        .encode(&mut requests)
        .unwrap();
    // In one go: a peer that does not read cannot send for long.
    peer.send_raw(requests).await.unwrap();
    let mut other = SftpPeer::login(&host, "ann").await.unwrap();
    assert!(other.get("none").await.unwrap().is_err());
    // At most the peer's whole window may be in flight.
    let grown = program.memory().unwrap().saturating_sub(before);
    assert!(grown < 120 * MIB as u64, "{} MiB", grown >> 20);
    let mut length = 0;
    while let Some((_, response)) = peer.next().await.unwrap() {
        match response {
            Response::Data(data) => length += data.len(),
            Response::Attrs(_) => break,
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(length as u64, ASKED);
}
