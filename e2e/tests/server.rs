//! `sshomed` as an administrator sees it: its first start, its end, and what it refuses.

use sshome_e2e::tree::{mode, names, noise};
use sshome_e2e::{Client, Host, HostBuilder, Outcome, Peer, Program, binary, end_of, until};
use sshome_wire::{Frame, Request, Status};
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// A folder with the settings that come with sshome, and nothing else.
fn fresh() -> TempDir {
    let dir = TempDir::with_prefix("sshome-fresh-").unwrap();
    fs::create_dir(dir.path().join("etc")).unwrap();
    let shipped = concat!(env!("CARGO_MANIFEST_DIR"), "/../etc/users.toml");
    fs::copy(shipped, dir.path().join("etc/users.toml")).unwrap();
    dir
}

fn sshomed(dir: &Path, arguments: &[&str]) -> Outcome {
    let mut command = Command::new(binary("sshomed").unwrap());
    command.arg("--dir").arg(dir).args(arguments).output().unwrap().into()
}

#[test]
fn a_first_start_makes_what_is_missing() {
    let dir = fresh();
    let program = Program::serve(dir.path()).unwrap();
    let [listening, key, login] = program.announced() else { panic!("{:?}", program.announced()) };
    let port = program.address().port();
    assert_eq!(listening, &format!("listening on 127.0.0.1:{port}"));
    assert!(key.contains("SHA256:"), "{key}");
    assert_eq!(login, &format!("log in with: sshome -P {port} alex@127.0.0.1"));
    assert_eq!(mode(dir.path().join("keys/host_ed25519")).unwrap(), 0o600);
    assert_eq!(names(&dir.path().join("home")).unwrap(), [b"alex".to_vec(), b"zcl".to_vec()]);
    for (user, password) in [("alex", "alex-demo"), ("zcl", "zcl-demo")] {
        let client = Client::of(dir.path(), program.address(), user).unwrap();
        fs::write(client.work().join("f"), user).unwrap();
        let mut command = client.answering(password).unwrap();
        let outcome: Outcome = command.arg(client.destination()).args(["put", "f"]).output().unwrap().into();
        assert_eq!(outcome.code, Some(0), "{outcome}");
        assert_eq!(fs::read_to_string(dir.path().join("home").join(user).join("f")).unwrap(), user);
    }
}

#[test]
fn a_second_start_changes_nothing_and_a_second_server_is_refused() {
    let dir = fresh();
    let mut program = Program::serve(dir.path()).unwrap();
    let key = program.announced()[1].clone();
    fs::write(dir.path().join("home/alex/mine"), "mine").unwrap();
    let second = sshomed(dir.path(), &["serve", "--listen", "127.0.0.1:0"]);
    assert_eq!((second.code, second.stdout.len()), (Some(1), 0), "{second}");
    assert!(second.err().contains("is served by another sshomed"), "{second}");
    program.ask_to_end().unwrap();
    assert_eq!(program.end().unwrap(), Some(0));
    let settings = fs::read(dir.path().join("etc/users.toml")).unwrap();
    let program = Program::serve(dir.path()).unwrap();
    assert_eq!(program.announced()[1], key, "it made another key");
    assert_eq!(fs::read(dir.path().join("home/alex/mine")).unwrap(), b"mine");
    assert_eq!(fs::read(dir.path().join("etc/users.toml")).unwrap(), settings);
}

#[test]
fn a_demo_password_keeps_the_server_at_home() {
    let dir = fresh();
    for address in ["0.0.0.0:0", "[::]:0"] {
        for command in ["serve", "check"] {
            let refused = sshomed(dir.path(), &[command, "--listen", address]);
            assert_eq!((refused.code, refused.stdout.len()), (Some(1), 0), "{refused}");
            assert!(refused.err().contains("alex has a demo password"), "{refused}");
            assert!(refused.err().contains("zcl has a demo password"), "{refused}");
        }
    }
    assert!(!dir.path().join("keys/host_ed25519").exists() && !dir.path().join("home").exists());
    // One of several addresses is enough.
    let refused = sshomed(dir.path(), &["serve", "--listen", "127.0.0.1:0", "--listen", "0.0.0.0:0"]);
    assert_eq!(refused.code, Some(1), "{refused}");
    assert_eq!(sshomed(dir.path(), &["check", "--listen", "127.0.0.2:0"]).code, Some(0));
}

#[test]
fn a_user_who_is_removed_cannot_log_in_any_more() {
    let dir = fresh();
    let log_in = |program: &Program, user: &str| {
        let client = Client::of(dir.path(), program.address(), user).unwrap();
        let mut command = client.answering(&format!("{user}-demo")).unwrap();
        Outcome::from(command.arg(client.destination()).arg("pwd").output().unwrap())
    };
    let mut program = Program::serve(dir.path()).unwrap();
    assert_eq!(log_in(&program, "alex").code, Some(0));
    fs::write(dir.path().join("home/alex/mine"), "mine").unwrap();
    let removed = sshomed(dir.path(), &["user", "remove", "alex"]);
    assert_eq!(removed.code, Some(0), "{removed}");
    program.ask_to_end().unwrap();
    assert_eq!(program.end().unwrap(), Some(0));
    let program = Program::serve(dir.path()).unwrap();
    assert_eq!(log_in(&program, "alex").code, Some(5));
    assert_eq!(log_in(&program, "zcl").code, Some(0));
    assert_eq!(fs::read(dir.path().join("home/alex/mine")).unwrap(), b"mine");
}

/// A server whose grace period is so many seconds.
fn graceful(seconds: u32) -> Host {
    let host = HostBuilder::new().unwrap().user("ann", "").unwrap().prepare().unwrap();
    let settings = host.dir().join("etc/users.toml");
    let text = fs::read_to_string(&settings).unwrap();
    let wanted = format!("shutdown-grace = {seconds}\n");
    let changed = text.replace("shutdown-grace = 1\n", &wanted);
    assert!(changed.contains(&wanted), "{changed}");
    fs::write(&settings, changed).unwrap();
    host
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idle_session_does_not_keep_the_server() {
    let mut host = graceful(600);
    let mut program = host.start_apart().unwrap();
    let mut idle = Peer::login(&host, "ann").await.unwrap();
    assert_eq!(idle.ask(Request::Pwd).await.unwrap().status, Status::Done);
    let silent = Peer::silent(&host, "ann").await.unwrap();
    let begun = Instant::now();
    program.ask_to_end().unwrap();
    assert_eq!(program.end().unwrap(), Some(0));
    assert!(begun.elapsed() < Duration::from_secs(30), "it waited {:?}", begun.elapsed());
    while let Ok(Some(_)) = idle.next_or_end().await {}
    drop(silent);
}

/// Begins a put and sends half of it; returns once that is on the server's disk.
async fn half_a_put(host: &Host, content: &[u8]) -> Peer {
    let mut peer = Peer::login(host, "ann").await.unwrap();
    peer.begin_put("f", Some(content.len() as u64)).await.unwrap();
    let half = &content[..content.len() / 2];
    peer.send_data(half).await.unwrap();
    let staging = host.home("ann").join(".sshome-staging");
    until("half of it is staged", || {
        let mut files = fs::read_dir(&staging).unwrap();
        files.any(|file| file.unwrap().metadata().unwrap().len() >= half.len() as u64 / 2)
    });
    peer
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transfer_under_way_may_finish() {
    let mut host = graceful(600);
    let mut program = host.start_apart().unwrap();
    let content = noise(8 << 20, "graceful");
    let mut peer = half_a_put(&host, &content).await;
    let mut waiting = Peer::login(&host, "ann").await.unwrap();
    program.ask_to_end().unwrap();
    // The end has begun when a session that does nothing is over.
    while let Ok(Some(_)) = waiting.next_or_end().await {}
    peer.send_data(&content[content.len() / 2..]).await.unwrap();
    peer.send(&Frame::End(end_of(&content))).await.unwrap();
    assert_eq!(peer.reply().await.unwrap().status, Status::Done);
    assert_eq!(program.end().unwrap(), Some(0));
    assert!(fs::read(host.home("ann").join("f")).unwrap() == content);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transfer_that_does_not_finish_is_cut_off() {
    let mut host = graceful(1);
    let mut program = host.start_apart().unwrap();
    let peer = half_a_put(&host, &noise(8 << 20, "cut")).await;
    program.ask_to_end().unwrap();
    assert_eq!(program.end().unwrap(), Some(0));
    drop(peer);
    assert_eq!(names(&host.home("ann")).unwrap(), [b".sshome-staging"]);
    assert!(names(&host.home("ann").join(".sshome-staging")).unwrap().is_empty());
}
