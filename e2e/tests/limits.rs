//! Every limit of `[server.limits]` is reached, by an unmodified `ssh` where that is possible.

use russh::keys::ssh_key::LineEnding;
use russh::keys::{Algorithm, PrivateKey};
use rustix::process::{Pid, Signal, kill_process};
use sshome_e2e::tree::noise;
use sshome_e2e::{Client, Host, HostBuilder, Outcome, Peer, until};
use sshome_wire::{Request, Status};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

/// A host with the users ann and zcl.
async fn host(limits: &str) -> Host {
    let builder = HostBuilder::new().unwrap().limits(limits);
    builder.user("ann", "").unwrap().user("zcl", "").unwrap().start().await.unwrap()
}

/// Whether OpenSSH's client is installed. If not, the skipped test is reported.
fn ssh(test: &str) -> Option<()> {
    match Command::new("ssh").arg("-V").stderr(Stdio::null()).status() {
        Ok(_) => Some(()),
        Err(error) => {
            eprintln!("skipped: {test}: ssh: {error}");
            None
        }
    }
}

/// `ssh` that starts our subsystem as a user, from an address of this machine.
fn command(host: &Host, user: &str, from: &str, keys: &[PathBuf]) -> Command {
    let mut command = Command::new("ssh");
    command.args(["-F", "none", "-T", "-b", from, "-p", &host.address().port().to_string()]);
    for option in [
        "BatchMode=yes",
        "IdentitiesOnly=yes",
        "IdentityAgent=none",
        "StrictHostKeyChecking=no",
        "UserKnownHostsFile=/dev/null",
    ] {
        command.args(["-o", option]);
    }
    for key in keys {
        command.arg("-i").arg(key);
    }
    command.arg(format!("{user}@127.0.0.1")).args(["-s", "sshome"]);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// Logs in, starts the subsystem and leaves.
fn visit(host: &Host, user: &str, from: &str) -> Outcome {
    command(host, user, from, &[host.key_file()]).output().unwrap().into()
}

/// The output of a server to a silent client, until it disconnects.
fn heard(host: &Host) -> String {
    let mut text = Vec::new();
    let mut stream = TcpStream::connect(host.address()).unwrap();
    // A server that closes before it has read all data resets the connection.
    let _ = stream.read_to_end(&mut text);
    String::from_utf8_lossy(&text).into_owned()
}

/// The first line that a server sends.
fn heard_first(host: &Host) -> String {
    let mut line = String::new();
    drop(BufReader::new(TcpStream::connect(host.address()).unwrap()).read_line(&mut line));
    line
}

/// A connection that reads the greeting, and sends nothing.
fn stranger(host: &Host) -> TcpStream {
    let mut stream = TcpStream::connect(host.address()).unwrap();
    let mut start = [0; 4];
    stream.read_exact(&mut start).unwrap();
    assert_eq!(&start, b"SSH-");
    stream
}

fn wrong_key(host: &Host, name: &str) -> PathBuf {
    let file = host.dir().join(name);
    let key = PrivateKey::random(&mut rand::rng(), Algorithm::Ed25519).unwrap();
    key.write_openssh_file(&file, LineEnding::LF).unwrap();
    file
}

#[tokio::test(flavor = "multi_thread")]
async fn login_grace() {
    let host = host("login-grace = 1\nexempt = []\npenalty-too-long = 600").await;
    assert!(heard(&host).starts_with("SSH-2.0-sshomed"));
    // It costs more than the threshold.
    until("the address is refused", || heard(&host).starts_with("Not now"));
}

#[tokio::test(flavor = "multi_thread")]
async fn login_grace_ends_a_connection_that_only_greets() {
    let host = host("login-grace = 1").await;
    let mut stream = stranger(&host);
    stream.write_all(b"SSH-2.0-test\r\n").unwrap();
    let mut rest = Vec::new();
    // Closed or reset: the connection has ended.
    let _ = stream.read_to_end(&mut rest);
    // Sessions that have logged in stay.
    let mut peer = Peer::login(&host, "ann").await.unwrap();
    assert!(heard(&host).starts_with("SSH-2.0-sshomed"));
    assert_eq!(peer.ask(Request::Pwd).await.unwrap().status, Status::Done);
}

#[tokio::test(flavor = "multi_thread")]
async fn max_startups() {
    let Some(()) = ssh("max_startups") else { return };
    let host = host("max-startups = \"2:100:2\"").await;
    let strangers = [stranger(&host), stranger(&host)];
    let told = "Not now: too many connections are waiting to log in, try again in a minute\r\n";
    assert_eq!(heard(&host), told);
    let refused = visit(&host, "ann", "127.0.0.1");
    assert_eq!(refused.code, Some(255), "{refused}");
    let client = Client::new(&host, "ann").unwrap();
    let ours = client.run(["pwd"]).unwrap();
    assert_eq!(ours.code, Some(3), "{ours}");
    assert!(
        ours.err().contains("refuses the connection: Not now: too many connections are waiting"),
        "{ours}"
    );
    drop(strangers);
    until("there is room again", || visit(&host, "ann", "127.0.0.1").code == Some(0));
    // Sessions that have logged in do not count.
    let _peers = [Peer::login(&host, "ann").await.unwrap(), Peer::login(&host, "ann").await.unwrap()];
    until("they do not count", || visit(&host, "ann", "127.0.0.1").code == Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn max_startups_drops_some_before_it_drops_all() {
    let host = host("max-startups = \"1:50:1000\"").await;
    let _stranger = stranger(&host);
    let mut seen = [0; 2];
    until("some are refused and some are not", || {
        let mut start = [0; 4];
        TcpStream::connect(host.address()).unwrap().read_exact(&mut start).unwrap();
        seen[usize::from(&start == b"SSH-")] += 1;
        seen.iter().all(|times| *times > 0)
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_per_address() {
    let Some(()) = ssh("connections_per_address") else { return };
    let host = host("connections-per-address = 1\nexempt = []").await;
    let peer = Peer::login(&host, "ann").await.unwrap();
    let refused = visit(&host, "ann", "127.0.0.1");
    assert_eq!(refused.code, Some(255), "{refused}");
    let other = visit(&host, "ann", "127.0.0.2");
    assert_eq!(other.code, Some(0), "{other}");
    peer.vanish().await.unwrap();
    until("there is room again", || visit(&host, "ann", "127.0.0.1").code == Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn login_attempts() {
    let Some(()) = ssh("login_attempts") else { return };
    for (limits, code) in [("login-attempts = 3", 255), ("login-attempts = 6", 0)] {
        let host = host(limits).await;
        let keys = [wrong_key(&host, "a"), wrong_key(&host, "b"), wrong_key(&host, "c"), host.key_file()];
        let outcome: Outcome = command(&host, "ann", "127.0.0.1", &keys).output().unwrap().into();
        assert_eq!(outcome.code, Some(code), "{limits}: {outcome}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn penalties() {
    let Some(()) = ssh("penalties") else { return };
    let settings = "penalty-failed-login = 4\npenalty-no-login = 0\npenalty-threshold = 3\npenalty-max = 4";
    let host = host(&format!("{settings}\nexempt = [\"127.0.0.3\"]")).await;
    let wrong = wrong_key(&host, "wrong");
    let fail = |from: &str| -> Outcome {
        command(&host, "ann", from, std::slice::from_ref(&wrong)).output().unwrap().into()
    };
    let denied = fail("127.0.0.2");
    assert!(denied.code == Some(255) && denied.err().contains("Permission denied"), "{denied}");
    until("the right key is refused as well", || {
        fail("127.0.0.2");
        visit(&host, "ann", "127.0.0.2").code == Some(255)
    });
    assert_eq!(visit(&host, "ann", "127.0.0.1").code, Some(0));
    for _ in 0..2 {
        assert!(fail("127.0.0.3").err().contains("Permission denied"));
        assert_eq!(visit(&host, "ann", "127.0.0.3").code, Some(0));
    }
    until("it is forgotten", || visit(&host, "ann", "127.0.0.2").code == Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn penalty_no_login() {
    let Some(()) = ssh("penalty_no_login") else { return };
    let settings = "penalty-no-login = 4\npenalty-failed-login = 0\npenalty-threshold = 3\npenalty-max = 4";
    let host = host(&format!("{settings}\nexempt = []")).await;
    let port = host.address().port().to_string();
    // It connects, reads the host key and leaves.
    let scanned =
        Command::new("ssh-keyscan").args(["-t", "ed25519", "-p", &port, "127.0.0.1"]).output().unwrap();
    assert!(String::from_utf8_lossy(&scanned.stdout).contains("ssh-ed25519"), "{scanned:?}");
    until("its address is refused", || heard_first(&host).starts_with("Not now"));
    assert_eq!(visit(&host, "ann", "127.0.0.2").code, Some(0));
    until("it is forgotten", || visit(&host, "ann", "127.0.0.1").code == Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn penalty_max() {
    let Some(()) = ssh("penalty_max") else { return };
    // Without the limit it would take a day.
    let host =
        host("penalty-failed-login = 86400\npenalty-threshold = 1\npenalty-max = 3\nexempt = []").await;
    let wrong = [wrong_key(&host, "wrong")];
    assert_eq!(command(&host, "ann", "127.0.0.1", &wrong).output().unwrap().status.code(), Some(255));
    until("the address is refused", || heard_first(&host).starts_with("Not now"));
    until("it is forgotten", || visit(&host, "ann", "127.0.0.1").code == Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_per_user() {
    let Some(()) = ssh("sessions_per_user") else { return };
    let host = host("sessions-per-user = 1").await;
    let mut peer = Peer::login(&host, "ann").await.unwrap();
    let refused = visit(&host, "ann", "127.0.0.1");
    assert_eq!(refused.code, Some(255), "{refused}");
    assert!(refused.err().contains("ann has 1 sessions, which is the limit"), "{refused}");
    assert_eq!(visit(&host, "zcl", "127.0.0.1").code, Some(0));
    let ours = Client::new(&host, "ann").unwrap().run(["pwd"]).unwrap();
    assert!(ours.code == Some(3) && ours.err().contains("ann has 1 sessions"), "{ours}");
    assert_eq!(peer.ask(Request::Pwd).await.unwrap().status, Status::Done);
    peer.vanish().await.unwrap();
    until("there is room again", || visit(&host, "ann", "127.0.0.1").code == Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn idle_timeout() {
    let limits = "idle-timeout = 1\nkeepalive-interval = 1";
    let builder = HostBuilder::new().unwrap().limits(limits);
    let host = builder.user("ann", "download-rate = \"1 MiB/s\"").unwrap().start().await.unwrap();
    let content = noise(3 << 20, "slow");
    std::fs::write(host.home("ann").join("f"), &content).unwrap();
    let mut peer = Peer::login(&host, "ann").await.unwrap();
    // It takes longer than the time-out.
    assert!(peer.get("f").await.unwrap().unwrap() == content);
    // Keepalives alone do not keep it.
    let end = peer.next_or_end().await;
    assert!(!matches!(end, Ok(Some(_))), "{end:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn idle_timeout_of_other_peoples_clients() {
    let Some(()) = ssh("idle_timeout_of_other_peoples_clients") else { return };
    let host = host("idle-timeout = 1").await;
    let mut idle = command(&host, "ann", "127.0.0.1", &[host.key_file()]);
    let mut idle = Killed(idle.stdin(Stdio::piped()).spawn().unwrap());
    let mut code = None;
    until("it is ended", || {
        code = idle.0.try_wait().unwrap();
        code.is_some()
    });
    assert_eq!(code.unwrap().code(), Some(255));
}

/// A program that is killed with the test.
struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn keepalives_find_a_peer_that_is_gone() {
    let Some(()) = ssh("keepalives_find_a_peer_that_is_gone") else { return };
    let host = host("sessions-per-user = 1\nkeepalive-interval = 1\nkeepalive-count = 1").await;
    let mut command = command(&host, "ann", "127.0.0.1", &[host.key_file()]);
    let mut stopped = Killed(command.stdin(Stdio::piped()).spawn().unwrap());
    let mut hello = [0; 5];
    stopped.0.stdout.take().unwrap().read_exact(&mut hello).unwrap();
    kill_process(Pid::from_child(&stopped.0), Signal::STOP).unwrap();
    until("its place is free again", || visit(&host, "ann", "127.0.0.1").code == Some(0));
}
