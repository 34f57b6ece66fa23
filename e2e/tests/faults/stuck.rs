//! Clients that are slow, stuck or excessive, over each protocol. Their cost is bounded, other users are not affected,
//! and clients that exceed a limit are disconnected.

use crate::Killed;
use bytes::BytesMut;
use rustix::process::{Pid, Signal, kill_process_group};
use sshome_e2e::foreign::program;
use sshome_e2e::{Client, Exec, Host, HostBuilder, Peer, Program, Trusting, command, connect, run, until};
use sshome_wire::{Frame, Request, Status};
use std::fs::File;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Duration;

const MIB: u64 = 1 << 20;

/// A server in a separate process, with the users ann and zcl. ann has a file whose transfer takes a while.
fn server(limits: &str) -> (Host, Program) {
    let builder = HostBuilder::new().unwrap().limits(limits);
    let ann = "download-rate = \"30 MiB/s\"\nquota = \"1 GiB\"";
    let mut host = builder.user("ann", ann).unwrap().user("zcl", "").unwrap().prepare().unwrap();
    std::fs::create_dir_all(host.home("ann")).unwrap();
    File::create(host.home("ann").join("big")).unwrap().set_len(100 * MIB).unwrap();
    let server = host.start_apart().unwrap();
    (host, server)
}

async fn zcl_is_served(host: &Host) {
    let mut zcl = Peer::login(host, "zcl").await.unwrap();
    assert_eq!(zcl.put("f", b"still served").await.unwrap().status, Status::Done);
    assert_eq!(zcl.get("f").await.unwrap().unwrap(), b"still served");
}

/// Runs a client. Returns the largest growth of the server's memory, in bytes.
async fn cost(host: &Host, server: &Program, doing: impl Future<Output = ()>) -> u64 {
    zcl_is_served(host).await;
    let before = server.memory().unwrap();
    doing.await;
    zcl_is_served(host).await;
    server.peak().unwrap().saturating_sub(before)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_stops_reading_costs_little_and_is_disconnected() {
    let test = "whoever_stops_reading";
    let (Some(ssh), Some(sftp)) = (program("ssh", test), program("sftp", test)) else { return };
    let (host, server) = server("keepalive-interval = 1\nkeepalive-count = 2");
    let administrator = host.administrator();
    let client = Client::new(&host, "ann").unwrap();
    let mut by_sftp = client.foreign(sftp);
    by_sftp.args(client.openssh_options()).args(["-P", &client.port()]);
    by_sftp.arg(format!("{}:big", client.destination()));
    let mut by_exec = client.ssh(ssh);
    by_exec.args(["get", "big"]);
    let mut ours = client.command().unwrap();
    ours.arg(client.destination()).args(["get", "big", "ours"]);
    let mut commands = [by_sftp, by_exec, ours];
    let grown = cost(&host, &server, async {
        let stuck: Vec<Killed> = commands.iter_mut().map(Killed::start).collect();
        until("all of them read", || {
            let status = administrator.json(&["status"]);
            let sessions = status["sessions"].as_array().unwrap();
            sessions.iter().filter(|it| it["transfers"][0]["done"].as_u64() > Some(0)).count() == stuck.len()
        });
        for it in &stuck {
            // sftp starts ssh as a child process.
            kill_process_group(Pid::from_child(&it.0), Signal::STOP).unwrap();
        }
        zcl_is_served(&host).await;
        let gone = || {
            let status = administrator.json(&["status"]);
            status["sessions"].as_array().unwrap().iter().all(|it| it["user"] != "ann")
        };
        until("they are gone", gone);
    })
    .await;
    println!("three clients that stopped reading cost {} KiB at most", grown >> 10);
    // The data in flight of each: its window, and the output that waits for the socket.
    assert!(grown < 3 * 70 * MIB, "{grown}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_one_byte_at_a_time_is_disconnected() {
    let (host, _server) = server("login-grace = 5");
    let mut stream = TcpStream::connect(host.address()).unwrap();
    let mut bytes = b"SSH-2.0-slow\r\n\x00\x00\x10\x00".iter().copied().chain(std::iter::repeat(0));
    // Each is soon answered or accepted, but the connection still ends.
    until("it is cut off", || {
        let sent = stream.write_all(&[bytes.next().unwrap()]);
        std::thread::sleep(Duration::from_millis(50));
        sent.is_err()
    });
    zcl_is_served(&host).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_sends_one_byte_at_a_time_delays_nobody() {
    let (host, _server) = server("");
    let exec = Exec::start(&host, "ann", "put slow").await.unwrap();
    let mut native = Peer::login(&host, "ann").await.unwrap();
    let mut request = BytesMut::new();
    let mkdir = Request::Mkdir { path: b"slow folder".to_vec(), parents: false, mode: None };
    Frame::Request(mkdir).encode(&mut request).unwrap();
    for byte in request {
        exec.send(&[byte]).await.unwrap();
        native.send_raw(vec![byte].into()).await.unwrap();
        zcl_is_served(&host).await;
    }
    exec.end().await.unwrap();
    assert_eq!(exec.finish().await.unwrap().code, Some(0));
    assert_eq!(native.reply().await.unwrap().status, Status::Done);
    assert!(host.home("ann").join("slow folder").is_dir());
}

#[tokio::test(flavor = "multi_thread")]
async fn endless_channels_are_refused_and_cost_nothing() {
    let (host, server) = server("");
    let grown = cost(&host, &server, async {
        let mut all = Vec::new();
        for _ in 0..5 {
            let connection = connect(&host, "ann").await.unwrap();
            let mut channels = Vec::new();
            while let Ok(channel) = connection.channel_open_session().await {
                channels.push(channel);
                assert!(channels.len() <= 10, "there is no end to them");
            }
            assert_eq!(channels.len(), 10);
            all.push((connection, channels));
        }
        zcl_is_served(&host).await;
        // One after the other, it may have any number.
        let connection = connect(&host, "ann").await.unwrap();
        for _ in 0..1000 {
            connection.channel_open_session().await.unwrap().close().await.unwrap();
        }
        drop(all);
    })
    .await;
    println!("50 channels at once, and 1000 one by one, cost {} KiB", grown >> 10);
    assert!(grown < 40 * MIB, "{grown}");
}

#[tokio::test(flavor = "multi_thread")]
async fn announced_lengths_and_endless_input_take_no_memory() {
    let (host, server) = server("");
    let grown = cost(&host, &server, async {
        // A frame of 4 GiB, over both protocols; `length` is all that is needed.
        let mut native = Peer::login(&host, "ann").await.unwrap();
        native.send_raw(vec![0xff, 0xff, 0xff, 0xff, 2].into()).await.unwrap();
        while native.next_or_end().await.unwrap().is_some() {}
        let connection = connect(&host, "ann").await.unwrap();
        let mut channel = connection.channel_open_session().await.unwrap();
        channel.request_subsystem(true, "sftp").await.unwrap();
        channel.data_bytes(vec![0xff, 0xff, 0xff, 0xff, 1]).await.unwrap();
        while channel.wait().await.is_some() {}
        // An endless record of scp, and input for a command that reads none.
        let endless = vec![b'C'; 64 * MIB as usize];
        for (line, code) in [("scp -t .", 1), ("ls", 0)] {
            assert_eq!(run(&host, "ann", line, &endless).await.unwrap().code, Some(code), "{line}");
        }
        // A longer line than any shell accepts.
        drop(Exec::start(&host, "ann", command("stat", [vec![b'x'; 200_000]])).await);
    })
    .await;
    println!("what is announced, and what never ends, cost {} KiB", grown >> 10);
    assert!(grown < 60 * MIB, "{grown}");
}

#[tokio::test(flavor = "multi_thread")]
async fn excessive_requests_cost_little() {
    let (host, server) = server("");
    let mut flood = BytesMut::new();
    Frame::Request(Request::Get { path: b"big".to_vec(), known: 0 }).encode(&mut flood).unwrap();
    for _ in 0..100_000 {
        Frame::Request(Request::Stat { path: vec![b'x'; 200], follow: true }).encode(&mut flood).unwrap();
    }
    let grown = cost(&host, &server, async {
        let mut peers = Vec::new();
        for _ in 0..2 {
            let mut peer = Peer::login(&host, "ann").await.unwrap();
            peer.send_raw(flood.clone().freeze()).await.unwrap();
            peers.push(peer);
        }
        zcl_is_served(&host).await;
        for mut peer in peers {
            let mut last = None;
            while let Some(frame) = peer.next_or_end().await.unwrap() {
                last = Some(frame);
            }
            assert!(matches!(&last, Some(Frame::Reply(reply)) if reply.status == Status::Busy), "{last:?}");
        }
    })
    .await;
    println!("twice 100,000 requests that wait for one another cost {} KiB", grown >> 10);
    assert!(grown < 2 * 70 * MIB, "{grown}");
}

/// If a client does not read one channel, its other channels stop, which is its own fault. When it reads again, all of
/// them continue.
#[tokio::test(flavor = "multi_thread")]
async fn a_channel_that_is_not_read_harms_its_own_connection_only() {
    let (host, server) = server("");
    let grown = cost(&host, &server, async {
        let mut unread = Peer::login(&host, "ann").await.unwrap();
        let mut read = unread.beside().await.unwrap();
        assert_eq!(read.ask(Request::Pwd).await.unwrap().status, Status::Done);
        unread.send(&Frame::Request(Request::Get { path: b"big".to_vec(), known: 0 })).await.unwrap();
        assert!(matches!(unread.next().await.unwrap(), Frame::Header(_)));
        // Other connections, even of the same user.
        for user in ["zcl", "ann"] {
            let mut other = Peer::login(&host, user).await.unwrap();
            assert_eq!(other.put("other", b"x").await.unwrap().status, Status::Done);
        }
        read.send(&Frame::Request(Request::Pwd)).await.unwrap();
        let (got, reply) = tokio::join!(
            async { while !matches!(unread.next().await.unwrap(), Frame::End(_)) {} },
            read.reply()
        );
        assert_eq!((got, reply.unwrap().status), ((), Status::Done));
    })
    .await;
    println!("a channel that is not read costs {} KiB", grown >> 10);
    assert!(grown < 110 * MIB, "{grown}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_logins_is_refused_and_delays_nobody() {
    let (host, server) = server("exempt = []\npenalty-failed-login = 60\nlogin-attempts = 3");
    let host = Arc::new(host);
    let mut zcl = Peer::login(&host, "zcl").await.unwrap();
    let before = server.memory().unwrap();
    let flood: Vec<_> = (0..60).map(|number| tokio::spawn(guess(Arc::clone(&host), number))).collect();
    let mut served = 0;
    while !flood.iter().all(tokio::task::JoinHandle::is_finished) {
        assert_eq!(zcl.put("f", b"still served").await.unwrap().status, Status::Done);
        served += 1;
    }
    for guessed in flood {
        assert!(!guessed.await.unwrap(), "somebody has guessed");
    }
    // The address had no penalty when the flood began; now it has.
    let mut words = String::new();
    drop(TcpStream::connect(host.address()).unwrap().read_to_string(&mut words));
    assert!(words.starts_with("Not now"), "{words}");
    assert!(served > 0 && zcl.ask(Request::Pwd).await.unwrap().status == Status::Done);
    let grown = server.peak().unwrap().saturating_sub(before);
    println!(
        "60 connections that guess passwords cost {} KiB, and zcl was served {served} times",
        grown >> 10
    );
    // Four passwords at a time, 19 MiB each.
    assert!(grown < 160 * MIB, "{grown}");
}

/// Tries some passwords. Returns whether one was accepted.
async fn guess(host: Arc<Host>, number: u32) -> bool {
    let config = Arc::new(russh::client::Config::default());
    // A connection that is refused or cut does not count.
    let Ok(mut connection) = russh::client::connect(config, host.address(), Trusting).await else {
        return false;
    };
    for attempt in 0..3 {
        match connection.authenticate_password("ann", format!("{number} {attempt}")).await {
            Ok(answer) if answer.success() => return true,
            Ok(_) => {}
            Err(_) => return false,
        }
    }
    false
}
