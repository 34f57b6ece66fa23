//! Rate limits of a user. Only minimum times are measured.

use sshome_e2e::tree::noise;
use sshome_e2e::{Client, Host, Peer};
use sshome_wire::{Frame, Request, Status};
use std::time::{Duration, Instant};

const MIB: usize = 1 << 20;

/// The minimum time for this number of bytes at 4 MiB/s. A burst of 0.2 s, and a piece of each connection, are free.
fn at_least(bytes: usize, connections: usize) -> Duration {
    let at_once = 4 * MIB / 5 + connections * MIB / 2;
    Duration::from_secs_f64((bytes - at_once) as f64 / (4 * MIB) as f64)
}

#[tokio::test(flavor = "multi_thread")]
async fn uploads_keep_to_the_rate_over_all_connections() {
    let host = Host::with_user("ann", "upload-rate = \"4 MiB/s\"").await.unwrap();
    let mut peers = Vec::new();
    for _ in 0..2 {
        peers.push(Peer::login(&host, "ann").await.unwrap());
    }
    let content = noise(4 * MIB, "up");
    let begun = Instant::now();
    let puts = peers.into_iter().enumerate().map(|(number, mut peer)| {
        let content = content.clone();
        tokio::spawn(async move { peer.put(format!("f{number}"), &content).await.unwrap().status })
    });
    for put in puts.collect::<Vec<_>>() {
        assert_eq!(put.await.unwrap(), Status::Done);
    }
    let took = begun.elapsed();
    assert!(took >= at_least(8 * MIB, 2), "{took:?}");
    assert_eq!(std::fs::read(host.home("ann").join("f1")).unwrap(), content);
    // The other direction is not limited, and a real client works as usual.
    let client = Client::new(&host, "ann").unwrap();
    client.succeed(["get", "f0"]).unwrap();
    assert_eq!(std::fs::read(client.work().join("f0")).unwrap(), content);
}

#[tokio::test(flavor = "multi_thread")]
async fn downloads_keep_to_the_rate_over_all_connections() {
    let host = Host::with_user("ann", "download-rate = \"4 MiB/s\"").await.unwrap();
    let content = noise(4 * MIB, "down");
    std::fs::write(host.home("ann").join("f"), &content).unwrap();
    let mut peers = Vec::new();
    for _ in 0..2 {
        peers.push(Peer::login(&host, "ann").await.unwrap());
    }
    let begun = Instant::now();
    let gets = peers.into_iter().map(|mut peer| tokio::spawn(async move { peer.get("f").await.unwrap() }));
    for get in gets.collect::<Vec<_>>() {
        assert!(get.await.unwrap().unwrap() == content);
    }
    let took = begun.elapsed();
    assert!(took >= at_least(8 * MIB, 2), "{took:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancel_works_and_the_session_stays() {
    let settings = "upload-rate = \"4 MiB/s\"\ndownload-rate = \"4 MiB/s\"";
    let host = Host::with_user("ann", settings).await.unwrap();
    let content = noise(64 * MIB, "long");
    std::fs::write(host.home("ann").join("f"), &content).unwrap();
    let mut peer = Peer::login(&host, "ann").await.unwrap();
    let begun = Instant::now();
    peer.send(&Frame::Request(Request::Get { path: b"f".to_vec(), known: 0 })).await.unwrap();
    assert!(matches!(peer.next().await.unwrap(), Frame::Header(_)));
    peer.send(&Frame::Cancel).await.unwrap();
    let mut received = 0;
    loop {
        match peer.next().await.unwrap() {
            Frame::Data(data) => received += data.len(),
            Frame::End(end) => break assert_eq!(end.status, Status::Cancelled),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(peer.reply().await.unwrap().status, Status::Done);
    eprintln!("a get was cancelled after {received} bytes and {:?}", begun.elapsed());
    // Output that was already queued still arrives, but no more.
    assert!(received <= 8 * MIB, "{received}");

    let begun = Instant::now();
    peer.begin_put("g", Some(content.len() as u64)).await.unwrap();
    peer.send_data(&content[..MIB]).await.unwrap();
    peer.send(&Frame::Cancel).await.unwrap();
    assert_eq!(peer.reply().await.unwrap().status, Status::Cancelled);
    assert_eq!(peer.reply().await.unwrap().status, Status::Done);
    eprintln!("a put was cancelled after {:?}", begun.elapsed());
    assert_eq!(peer.ask(Request::Pwd).await.unwrap().status, Status::Done);
    assert_eq!(peer.put("small", b"x").await.unwrap().status, Status::Done);
}
