//! One user at their worst on a hundred connections, and another one who is served meanwhile.

use bytes::{Bytes, BytesMut};
use russh::client::{Handle, Msg};
use russh::{Channel, ChannelMsg};
use sshome_e2e::sftp::{ANEW, SftpPeer};
use sshome_e2e::{Host, HostBuilder, Peer, Program, Trusting, connect_with, hello, until};
use sshome_wire::sftp::{ClientPacket, OpenFlags, Request as SftpRequest, Response, StatusCode, VERSION};
use sshome_wire::{Frame, Request, SUBSYSTEM, Status};
use std::process::Command;
use std::time::Duration;
use tokio::task::JoinSet;

/// What the server may have in memory while one user does their worst, in bytes: 64 MiB are held for the user,
/// 64 KiB and an answer for each channel, and the rest is what connections and the program itself take.
const MOST_MEMORY: u64 = 400 << 20;

/// A server of its own, with ann and bob, that may have so many descriptors.
fn start(descriptors: usize, settings: &str) -> (Host, Program) {
    let builder = HostBuilder::new().unwrap().user("ann", settings).unwrap().user("bob", "").unwrap();
    let mut host = builder.prepare().unwrap();
    let mut command = Command::new("prlimit");
    command.arg(format!("--nofile={descriptors}"));
    let server = host.start_through(command).unwrap();
    (host, server)
}

/// Logs in, lists and stores, as if nobody else were there.
async fn assert_serves(host: &Host, user: &str) {
    let served = async {
        let mut peer = Peer::login(host, user).await.unwrap();
        let (_, reply) = peer.list("/", false).await.unwrap();
        assert_eq!(reply.status, Status::Done, "{reply}");
        let content = vec![7; 3 << 20];
        assert_eq!(peer.put("stored", &content).await.unwrap().status, Status::Done);
        assert!(peer.get("stored").await.unwrap().unwrap() == content);
        let mut sftp = SftpPeer::login(host, user).await.unwrap();
        assert_eq!(sftp.put("by-sftp", &content).await.unwrap(), None);
    };
    tokio::time::timeout(Duration::from_secs(60), served).await.expect("somebody else is in the way");
}

/// The number of a user's sessions.
fn sessions(host: &Host, user: &str) -> usize {
    let status = host.administrator().json(&["status"]);
    status["sessions"].as_array().unwrap().iter().filter(|session| session["user"] == user).count()
}

/// A connection of a client that reads nothing of what it is sent: its window has room for one byte.
async fn deaf(host: &Host) -> Handle<Trusting> {
    connect_with(host, "ann", 1, 65_535).await.unwrap()
}

async fn start_subsystem(connection: &Handle<Trusting>, name: &str) -> Channel<Msg> {
    let mut channel = connection.channel_open_session().await.unwrap();
    channel.request_subsystem(true, name).await.unwrap();
    while !matches!(channel.wait().await, Some(ChannelMsg::Success)) {}
    channel
}

/// About a MiB of requests that are answered at some length.
fn sftp_requests() -> Bytes {
    let mut requests = Vec::new();
    ClientPacket::Init { version: VERSION, extensions: Vec::new() }.encode(&mut requests).unwrap();
    for id in 0..40_000 {
        let request = SftpRequest::Realpath { path: Bytes::from_static(b"a/b/c") };
        ClientPacket::Request { id, request }.encode(&mut requests).unwrap();
    }
    requests.into()
}

/// Frames after a hello.
fn native(requests: &[Request]) -> Bytes {
    let mut frames = BytesMut::new();
    Frame::Hello(hello()).encode(&mut frames).unwrap();
    for request in requests {
        Frame::Request(request.clone()).encode(&mut frames).unwrap();
    }
    frames.freeze()
}

/// Sends requests into ten channels of each connection and reads no answer.
async fn fill_memory(host: &Host, connections: usize, all: &mut JoinSet<()>) {
    let requests = sftp_requests();
    for _ in 0..connections {
        let connection = deaf(host).await;
        let mut channels = Vec::new();
        for _ in 0..10 {
            channels.push(start_subsystem(&connection, "sftp").await);
        }
        for channel in channels {
            let requests = requests.clone();
            all.spawn(async move {
                // The server stops to read some time.
                while channel.data_bytes(requests.clone()).await.is_ok() {}
            });
        }
        all.spawn(async move {
            let _connection = connection;
            std::future::pending::<()>().await;
        });
    }
}

/// Starts work on each connection that puts nothing out and takes long.
async fn keep_busy(host: &Host, connections: usize, requests: Bytes, all: &mut JoinSet<()>) {
    for _ in 0..connections {
        let connection = deaf(host).await;
        let channel = start_subsystem(&connection, SUBSYSTEM).await;
        channel.data_bytes(requests.clone()).await.unwrap();
        all.spawn(async move {
            let _both = (connection, channel);
            std::future::pending::<()>().await;
        });
    }
}

/// Opens directories until that is refused.
async fn open_directories(
    mut peer: SftpPeer,
    most: usize,
) -> (SftpPeer, usize, Option<(StatusCode, String)>) {
    for opened in 0..most {
        match peer.ask(SftpRequest::Opendir { path: Bytes::from_static(b"/") }).await.unwrap() {
            Response::Handle(_) => {}
            Response::Status { code, message } => {
                return (peer, opened, Some((code, String::from_utf8_lossy(&message).into_owned())));
            }
            other => panic!("{other:?}"),
        }
    }
    (peer, most, None)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_who_takes_all_descriptors_is_told_so_and_nobody_else_is_refused() {
    let (host, server) = start(1024, "");
    assert_serves(&host, "bob").await;
    let idle = server.descriptors().unwrap();
    let mut peers = Vec::new();
    let mut opened = 0;
    let refusal = loop {
        let peer = SftpPeer::login(&host, "ann").await.unwrap();
        let (peer, count, refusal) = open_directories(peer, 100).await;
        peers.push(peer);
        opened += count;
        assert!(opened < 1024 / 4, "{opened} of 1024");
        if let Some(refusal) = refusal {
            break refusal;
        }
    };
    assert_eq!(refusal.0, StatusCode::Failure);
    assert!(refusal.1.contains("files and directories open"), "{refusal:?}");
    // Whatever else needs some is refused in the same words.
    let mut native = Peer::login(&host, "bob").await.unwrap();
    for peer in &mut peers {
        let refused = peer.open("new", ANEW).await.unwrap().unwrap_err();
        assert!(refused.1.contains("files and directories open"), "{refused:?}");
    }
    assert_eq!(native.ask(Request::Pwd).await.unwrap().status, Status::Done);
    assert_serves(&host, "bob").await;
    assert_eq!(sessions(&host, "ann"), peers.len());
    drop((peers, native));
    until("all is closed", || server.descriptors().unwrap() <= idle + 2);
    assert_serves(&host, "ann").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_sends_requests_without_end_is_not_disconnected() {
    const REQUESTS: u32 = 250_000;
    // It is read slowly, so that nearly all of them wait.
    let host = Host::with_user("ann", "download-rate = \"1 MiB/s\"").await.unwrap();
    let mut peer = SftpPeer::login(&host, "ann").await.unwrap();
    assert_eq!(peer.put("f", &vec![7; 64 << 10]).await.unwrap(), None);
    let handle = peer.open("f", OpenFlags::READ).await.unwrap().unwrap();
    let (sender, receiver) = peer.split();
    let sends = async {
        let mut ids = Vec::new();
        for number in 0..REQUESTS {
            let length = if number < 100 { 32 << 10 } else { 1 };
            let read = SftpRequest::Read { handle: handle.clone(), offset: 0, length };
            ids.push(sender.request(read).await.unwrap());
        }
        ids
    };
    let hears = async {
        let mut answered = Vec::new();
        while answered.len() < 120 {
            let (id, response) = receiver.next().await.unwrap().expect("the channel ended");
            assert!(matches!(response, Response::Data(_)), "{response:?}");
            answered.push(id);
        }
        answered
    };
    let (sent, answered) = tokio::join!(sends, hears);
    assert_eq!(answered, sent[..answered.len()]);
    let (id, _) = receiver.next().await.unwrap().expect("the channel ended");
    assert_eq!(id, sent[answered.len()]);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_user_at_their_worst_harms_no_other() {
    let (host, mut server) = start(4096, "max-files = 100000");
    for user in ["ann", "bob"] {
        assert_serves(&host, user).await;
    }
    let idle = server.descriptors().unwrap();
    std::fs::File::create(host.home("ann").join("huge")).unwrap().set_len(1 << 40).unwrap();
    let mut all = JoinSet::new();
    fill_memory(&host, 10, &mut all).await;
    let huge = || b"huge".to_vec();
    let hashes = native(&vec![Request::Hash { path: huge(), verify: false }; 50]);
    keep_busy(&host, 20, hashes, &mut all).await;
    let gets = native(&[Request::Get { path: huge(), known: 0 }]);
    keep_busy(&host, 20, gets, &mut all).await;
    let mut lines = Vec::new();
    for number in 0..1000 {
        let path = format!("d{number}").into_bytes();
        lines.push(Request::Mkdir { path: path.clone(), parents: false, mode: None });
        lines.push(Request::Rmdir { path });
    }
    keep_busy(&host, 20, native(&lines), &mut all).await;
    let mut takers = Vec::new();
    let mut refused = 0;
    for _ in 0..20 {
        // When there are none left, the channel itself is refused.
        match SftpPeer::login(&host, "ann").await {
            Ok(peer) => {
                let (peer, _, refusal) = open_directories(peer, 40).await;
                refused += usize::from(refusal.is_some());
                takers.push(peer);
            }
            Err(_) => refused += 1,
        }
    }
    assert!(refused > 0, "all that was asked for was given");
    until("much is held", || server.memory().unwrap() > 64 << 20);
    assert_serves(&host, "bob").await;
    assert!(sessions(&host, "ann") >= 70);
    assert_serves(&host, "bob").await;
    let peak = server.peak().unwrap();
    assert!(peak < MOST_MEMORY, "{} MiB", peak >> 20);
    // Work that nobody waits for any more ends, and gives all back.
    let kicked = host.administrator().run(&["kick", "ann"]);
    assert_eq!(kicked.code, Some(0), "{kicked}");
    until("all sessions have ended", || sessions(&host, "ann") == 0);
    all.shutdown().await;
    drop(takers);
    until("all is closed", || server.descriptors().unwrap() <= idle + 2);
    assert_serves(&host, "ann").await;
    // The same work does not keep the server from its end.
    let mut all = JoinSet::new();
    keep_busy(&host, 20, native(&vec![Request::Hash { path: huge(), verify: false }; 50]), &mut all).await;
    server.ask_to_end().unwrap();
    assert_eq!(server.end().unwrap(), Some(0));
}
