//! `sshomed` as an administrator sees it: its first start, its shutdown, and its refusals.

use sshome_e2e::tree::{mode, names, noise, set_mode};
use sshome_e2e::{Client, Host, HostBuilder, Outcome, Peer, Program, binary, end_of, until};
use sshome_wire::{Frame, Request, Status};
use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// A folder with only the shipped settings.
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
fn a_first_start_creates_missing_files() {
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
    assert!(second.err().contains("another sshomed runs here"), "{second}");
    program.ask_to_end().unwrap();
    assert_eq!(program.end().unwrap(), Some(0));
    let settings = fs::read(dir.path().join("etc/users.toml")).unwrap();
    let program = Program::serve(dir.path()).unwrap();
    assert_eq!(program.announced()[1], key, "it made another key");
    assert_eq!(fs::read(dir.path().join("home/alex/mine")).unwrap(), b"mine");
    assert_eq!(fs::read(dir.path().join("etc/users.toml")).unwrap(), settings);
}

/// All files of a folder with their lengths and modes.
fn everything(dir: &Path) -> Vec<(PathBuf, u64, u32)> {
    let mut found = Vec::new();
    let mut folders = vec![dir.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let (path, meta) = entry.map(|entry| (entry.path(), entry.metadata().unwrap())).unwrap();
            found.push((path.clone(), meta.len(), mode(&path).unwrap()));
            if meta.is_dir() {
                folders.push(path);
            }
        }
    }
    found.sort();
    found
}

#[test]
fn check_finds_obstacles_to_a_start_and_changes_nothing() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().to_string();
    let dir = fresh();
    let before = everything(dir.path());
    let sound = sshomed(dir.path(), &["check", "--listen", "127.0.0.1:0"]);
    assert_eq!(sound.code, Some(0), "{sound}");
    assert_eq!(everything(dir.path()), before);

    let refused = sshomed(dir.path(), &["check", "--listen", &port]);
    assert_eq!(refused.code, Some(1), "{refused}");
    let want = format!("error: cannot listen on {port}: Address already in use");
    assert!(
        refused.err().contains(&want) && refused.err().contains("another program listens there"),
        "{refused}"
    );
    assert!(!refused.out().contains("another sshomed"), "{refused}");
    let refused = sshomed(dir.path(), &["serve", "--listen", &port]);
    assert!(refused.code == Some(1) && refused.err().contains("another program listens there"), "{refused}");

    for (harm, path, says) in [
        ("a file", "home/alex", "the home of alex: Not a directory"),
        ("a folder", "log/audit", "log/audit is a directory"),
        ("a file", "run/control", "run/control is not a socket"),
        ("open to others", "run", "nobody else may write to it"),
    ] {
        let dir = fresh();
        let settings = dir.path().join("etc/users.toml");
        let text = fs::read_to_string(&settings).unwrap();
        fs::write(&settings, text.replace("#[server.log]", "[server.log]\nfile = \"log/audit\"")).unwrap();
        let path = dir.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        match harm {
            "a file" => fs::write(&path, "").unwrap(),
            _ => fs::create_dir(&path).unwrap(),
        }
        set_mode(path.parent().unwrap(), 0o700).unwrap();
        if harm == "open to others" {
            set_mode(&path, 0o777).unwrap();
        }
        let before = everything(dir.path());
        let refused = sshomed(dir.path(), &["check", "--listen", "127.0.0.1:0"]);
        assert!(refused.code == Some(1) && refused.err().contains(says), "{says}: {refused}");
        assert_eq!(everything(dir.path()), before);
    }
    let dir = fresh();
    let mut command = Command::new("sh");
    command.args(["-c", "ulimit -n 30 && exec \"$0\" --dir \"$1\" check --listen 127.0.0.1:0"]);
    let refused: Outcome = command.arg(binary("sshomed").unwrap()).arg(dir.path()).output().unwrap().into();
    let says = "the limit of descriptors is 30";
    assert!(refused.code == Some(1) && refused.err().contains(says), "{refused}");
}

#[test]
fn a_running_server_is_distinguished_from_a_taken_port() {
    let dir = fresh();
    let file = dir.path().join("etc/users.toml");
    let settings = fs::read_to_string(&file).unwrap();
    let metrics = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    fs::write(&file, settings.replace("#metrics = \"127.0.0.1:9222\"", &format!("metrics = \"{metrics}\"")))
        .unwrap();
    let program = Program::serve(dir.path()).unwrap();
    assert!(program.announced().contains(&format!("metrics at http://{metrics}/metrics")));
    let address = program.address().to_string();
    let process = format!("process {}", program.id());
    let checked = sshomed(dir.path(), &["check", "--listen", &address]);
    assert_eq!(checked.code, Some(0), "{checked}");
    assert!(
        checked.out().contains("another sshomed runs in this folder") && checked.out().contains(&process)
    );
    let second = sshomed(dir.path(), &["serve", "--listen", &address]);
    assert_eq!(second.code, Some(1), "{second}");
    assert!(second.err().contains("another sshomed runs in") && second.err().contains(&process), "{second}");
}

#[test]
fn a_demo_password_keeps_the_server_on_loopback() {
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
fn a_removed_user_can_no_longer_log_in() {
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
    assert!(removed.code == Some(0) && removed.out().contains("applied to the running server"), "{removed}");
    assert_eq!(log_in(&program, "alex").code, Some(5));
    program.ask_to_end().unwrap();
    assert_eq!(program.end().unwrap(), Some(0));
    let program = Program::serve(dir.path()).unwrap();
    assert_eq!(log_in(&program, "alex").code, Some(5));
    assert_eq!(log_in(&program, "zcl").code, Some(0));
    assert_eq!(fs::read(dir.path().join("home/alex/mine")).unwrap(), b"mine");
}

/// A server with this grace period in seconds.
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
async fn an_idle_session_does_not_delay_the_shutdown() {
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
async fn a_running_transfer_may_finish_before_the_shutdown() {
    let mut host = graceful(600);
    let mut program = host.start_apart().unwrap();
    let content = noise(8 << 20, "graceful");
    let mut peer = half_a_put(&host, &content).await;
    let mut waiting = Peer::login(&host, "ann").await.unwrap();
    program.ask_to_end().unwrap();
    // The shutdown has begun when an idle session has ended.
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
