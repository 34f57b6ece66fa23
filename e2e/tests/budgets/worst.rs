//! One user does their worst on a hundred connections, the default limit. Strangers try to log in meanwhile, and
//! another user is served throughout.

use crate::{assert_serves, open_directories, sessions, start};
use bytes::{Bytes, BytesMut};
use russh::client::{Config, Handle, Msg, connect};
use russh::keys::PrivateKeyWithHashAlg;
use russh::{Channel, ChannelMsg};
use sshome_e2e::sftp::SftpPeer;
use sshome_e2e::{Host, Program, Trusting, connect_with, hello, until};
use sshome_wire::sftp::{ClientPacket, SFTP_VERSION, SftpRequest};
use sshome_wire::{Frame, Request, SUBSYSTEM};
use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use tokio::task::JoinSet;

/// The default of `sessions-per-user`.
const CONNECTIONS: usize = 100;

/// The limit of channels of one user on all connections (`server/src/session/memory.rs`).
const MAX_CHANNELS: usize = 256;

/// The server's memory limit while one user does their worst, in bytes: 64 MiB for the user, 64 KiB and an answer for
/// each channel; the rest is for connections and the program itself.
const MAX_MEMORY: u64 = 400 << 20;

/// The server's limit of threads meanwhile: one for each new channel, 16 working ones for each of two users, and those
/// of the runtime.
const MAX_THREADS: usize = MAX_CHANNELS + 2 * 16 + 32;

/// The longest line of the log, in bytes.
const MAX_LINE: usize = 1024;

/// All attacking tasks. They end when it is dropped.
type Attack = JoinSet<()>;

/// Holds something for as long as the attack lasts.
fn hold<T: Send + 'static>(attack: &mut Attack, held: T) {
    attack.spawn(async move {
        let _held = held;
        std::future::pending::<()>().await;
    });
}

/// A connection of a client that does not read: its window has one byte.
async fn deaf(host: &Host) -> Handle<Trusting> {
    connect_with(host, "ann", 1, 65_535).await.unwrap()
}

/// Starts a subsystem. Returns whether the server started it; `false` if it ended the session first.
async fn start_subsystem(channel: &mut Channel<Msg>, name: &str) -> bool {
    channel.request_subsystem(true, name).await.unwrap();
    while let Some(message) = channel.wait().await {
        if matches!(message, ChannelMsg::Success) {
            return true;
        }
    }
    false
}

/// About a MiB of requests with long answers.
fn sftp_requests() -> Bytes {
    let mut requests = Vec::new();
    ClientPacket::Init { version: SFTP_VERSION, extensions: Vec::new() }.encode(&mut requests).unwrap();
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

/// Endless input of a channel.
#[derive(Clone)]
enum Flood {
    /// Requests whose answers nobody reads.
    Requests(Bytes),
    /// Data for a command that waits until its output is read.
    Data,
}

impl Flood {
    async fn send(self, mut channel: Channel<Msg>) {
        let bytes = match self {
            Flood::Requests(requests) => {
                if !start_subsystem(&mut channel, "sftp").await {
                    return;
                }
                requests
            }
            Flood::Data => {
                channel.exec(false, "cat huge").await.unwrap();
                Bytes::from(vec![7; 1 << 20])
            }
        };
        // At some point the server stops reading.
        while channel.data_bytes(bytes.clone()).await.is_ok() {}
    }
}

/// Opens ten channels on each connection and sends into each. Returns the number of refused channels.
async fn flood(attack: &mut Attack, connections: Vec<Handle<Trusting>>, floods: &[Flood]) -> usize {
    let (mut refused, mut opened) = (0, Vec::new());
    // All are opened first, since the server soon stops reading from these connections.
    for _ in 0..10 {
        for (connection, flood) in connections.iter().zip(floods.iter().cycle()) {
            match connection.channel_open_session().await {
                Ok(channel) => opened.push((flood.clone(), channel)),
                Err(_) => refused += 1,
            }
        }
    }
    for (flood, channel) in opened {
        attack.spawn(flood.send(channel));
    }
    hold(attack, connections);
    refused
}

/// Starts work on each connection, and does not read the answers.
async fn keep_busy(attack: &mut Attack, connections: Vec<Handle<Trusting>>, requests: &Bytes) {
    for connection in connections {
        let mut channel = connection.channel_open_session().await.unwrap();
        assert!(start_subsystem(&mut channel, SUBSYSTEM).await);
        channel.data_bytes(requests.clone()).await.unwrap();
        hold(attack, (connection, channel));
    }
}

fn hashes() -> Bytes {
    native(&vec![Request::Hash { path: b"huge".to_vec(), verify: false }; 50])
}

/// Each request is a line of the log.
fn directories_made_and_removed() -> Bytes {
    let mut requests = Vec::new();
    for number in 0..1000 {
        let path = format!("d{number}").into_bytes();
        requests.push(Request::Mkdir { path: path.clone(), parents: false, mode: None });
        requests.push(Request::Rmdir { path });
    }
    native(&requests)
}

/// Tries to log in repeatedly, with a name of 50,000 bytes. `refused` counts the refusals.
async fn stranger(address: std::net::SocketAddr, key: PrivateKeyWithHashAlg, refused: Arc<AtomicUsize>) {
    let name = "stranger\" source=\"192.0.2.1\\ ".repeat(1800);
    loop {
        // Some connections are dropped before the login: there are too many.
        let Ok(mut connection) = connect(Arc::new(Config::default()), address, Trusting).await else {
            continue;
        };
        if let Ok(result) = connection.authenticate_publickey(&name, key.clone()).await {
            assert!(!result.success());
            refused.fetch_add(1, Relaxed);
        }
    }
}

/// Every line of the log is complete and short, and all actions of bob are in it.
fn assert_log(host: &Host, logins: usize) {
    let log = || fs::read_to_string(host.dir().join("log/audit")).unwrap();
    let lines_of_bob = |text: &str, message: &str| {
        let lines = text.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
        lines.filter(|line| line["user"] == "bob" && line["message"] == message).count()
    };
    until("all logins of bob are logged", || lines_of_bob(&log(), "logged in") == logins);
    let text = log();
    assert_eq!(lines_of_bob(&text, "published"), logins / 2);
    let longest = text.lines().max_by_key(|line| line.len()).unwrap();
    assert!(longest.len() <= MAX_LINE, "{longest}");
    assert!(text.contains("stranger") && !text.contains("lines were lost"));
}

/// Checks the server's memory, threads and descriptors during the attack.
fn assert_within_budgets(host: &Host, server: &Program) {
    assert_eq!(sessions(host, "ann"), CONNECTIONS);
    let [peak, threads] = [server.peak().unwrap(), server.threads().unwrap() as u64];
    assert!(peak < MAX_MEMORY, "{} MiB", peak >> 20);
    assert!(threads < MAX_THREADS as u64, "{threads} threads");
}

/// Opens directories on all connections. Returns the number of connections on which the budget refused one.
async fn take_descriptors(attack: &mut Attack, peers: Vec<SftpPeer>) -> usize {
    let mut opening = JoinSet::new();
    for peer in peers {
        opening.spawn(open_directories(peer, 60));
    }
    let mut refused = 0;
    while let Some(opened) = opening.join_next().await {
        let (peer, _, refusal) = opened.unwrap();
        if let Some((_, message)) = refusal {
            assert!(message.contains("files and directories open"), "{message}");
            refused += 1;
        }
        hold(attack, peer);
    }
    refused
}

/// Uses everything that ann may use, on a hundred connections.
async fn attack(host: &Host, attack: &mut Attack, strangers: &Arc<AtomicUsize>) {
    let mut connections = Vec::new();
    for _ in 0..CONNECTIONS - 15 {
        connections.push(deaf(host).await);
    }
    let mut takers = Vec::new();
    for _ in 0..15 {
        takers.push(SftpPeer::login(host, "ann").await.unwrap());
    }
    assert_eq!(sessions(host, "ann"), CONNECTIONS);
    assert!(SftpPeer::login(host, "ann").await.is_err(), "there is one session more than there may be");
    for _ in 0..4 {
        let key = PrivateKeyWithHashAlg::new(Arc::new(host.key().clone()), None);
        attack.spawn(stranger(host.address(), key, Arc::clone(strangers)));
    }
    let mut next = |count| connections.split_off(connections.len() - count);
    keep_busy(attack, next(15), &hashes()).await;
    keep_busy(attack, next(15), &native(&[Request::Get { path: b"huge".to_vec(), known: 0 }])).await;
    keep_busy(attack, next(15), &directories_made_and_removed()).await;
    // Forty connections could have 400 channels. There are 256, less one for each of the others.
    let refused = flood(attack, next(40), &[Flood::Requests(sftp_requests()), Flood::Data]).await;
    assert_eq!(refused, 400 - (MAX_CHANNELS - 60));
    assert!(take_descriptors(attack, takers).await > 0, "all that was asked for was given");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_user_at_their_worst_harms_no_other() {
    // During the test, nobody is disconnected for not reading.
    let limits = "keepalive-interval = 600";
    let (host, mut server) = start(4096, limits, "max-files = 100000");
    assert_serves(&host, "bob").await;
    let (idle, memory) = (server.descriptors().unwrap(), server.memory().unwrap());
    fs::File::create(host.home("ann").join("huge")).unwrap().set_len(1 << 40).unwrap();
    let host = Arc::new(host);
    let (mut all, refused, mut logins) = (Attack::new(), Arc::default(), 2);
    // Bob works while it begins, and when all of it runs.
    {
        let begins = attack(&host, &mut all, &refused);
        tokio::pin!(begins);
        let mut begun = false;
        while !begun {
            let serves = assert_serves(&host, "bob");
            tokio::pin!(serves);
            tokio::select! {
                () = &mut begins, if !begun => {
                    begun = true;
                    serves.await;
                }
                () = &mut serves => {}
            }
            logins += 2;
        }
    }
    until("much is held", || server.memory().unwrap() > memory + (40 << 20));
    let before = refused.load(Relaxed);
    for _ in 0..2 {
        assert_within_budgets(&host, &server);
        assert_serves(&host, "bob").await;
        logins += 2;
    }
    assert_within_budgets(&host, &server);
    until("strangers are refused meanwhile", || refused.load(Relaxed) > before);
    // Work without a client ends, and releases everything.
    let kicked = host.administrator().run(&["kick", "ann"]);
    assert_eq!(kicked.code, Some(0), "{kicked}");
    until("all sessions have ended", || sessions(&host, "ann") == 0);
    all.shutdown().await;
    until("all is closed", || server.descriptors().unwrap() <= idle + 2);
    assert_serves(&host, "ann").await;
    assert_log(&host, logins);
    // The same work does not prevent a shutdown.
    let mut all = Attack::new();
    let mut connections = Vec::new();
    for _ in 0..20 {
        connections.push(deaf(&host).await);
    }
    keep_busy(&mut all, connections, &hashes()).await;
    server.ask_to_end().unwrap();
    assert_eq!(server.end().unwrap(), Some(0));
}
