//! The privileges that the server drops before it serves, and its messages to the service manager.
//!
//! Some tests need root and some a kernel with Landlock; otherwise they are reported as skipped.

mod landlock;
mod service_manager;

use russh::keys::{Algorithm, PrivateKey};
use rustix::process::{Pid, Signal, geteuid, kill_process};
use sshome_e2e::sftp::SftpPeer;
use sshome_e2e::tree::mode;
use sshome_e2e::{Host, HostBuilder, Outcome, Peer, Program, binary, copy_program, foreign, has_root, until};
use sshome_wire::{Request, Status};
use std::fs;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

/// An account that every Linux has and nothing uses.
const ACCOUNT: &str = "daemon";

/// The user and group of the account.
fn account() -> (u32, u32) {
    let accounts = fs::read_to_string("/etc/passwd").unwrap();
    let line = accounts.lines().find_map(|line| line.strip_prefix("daemon:x:")).unwrap();
    let mut numbers = line.split(':').map_while(|number| number.parse().ok());
    (numbers.next().unwrap(), numbers.next().unwrap())
}

/// A server that will run as the account, in a folder that the account may traverse.
fn host_of_account() -> Host {
    let builder = HostBuilder::new().unwrap().setting(&format!("account = \"{ACCOUNT}\""));
    let host = builder.log("file = \"log/audit\"\nmax-size = \"4 KiB\"").user("ann", "").unwrap();
    let host = host.prepare().unwrap();
    fs::set_permissions(host.dir(), fs::Permissions::from_mode(0o755)).unwrap();
    host
}

/// A host whose log says how the server is confined.
fn telling(settings: &str) -> HostBuilder {
    HostBuilder::new().unwrap().setting(settings).log("file = \"log/audit\"")
}

/// A server's log, at least up to the first counted home.
fn log(host: &Host) -> String {
    let read = || fs::read_to_string(host.dir().join("log/audit")).unwrap_or_default();
    until("its start is logged", || read().contains("home counted"));
    read()
}

/// The error of a server that does not start.
fn refusal(host: &Host) -> String {
    let mut command = Command::new(binary("sshomed").unwrap());
    command.args(["serve", "--listen", "127.0.0.1:0", "--dir"]).arg(host.dir());
    let outcome: Outcome = command.output().unwrap().into();
    assert_eq!((outcome.code, outcome.stdout.len()), (Some(1), 0), "{outcome}");
    outcome.err()
}

fn edit(host: &Host, change: impl FnOnce(String) -> String) {
    let file = host.dir().join("etc/users.toml");
    fs::write(&file, change(fs::read_to_string(&file).unwrap())).unwrap();
}

fn reload(host: &Host) -> Outcome {
    host.administrator().run(&["reload"])
}

/// The settings of a user with the host's key.
fn user(host: &Host, name: &str, settings: &str) -> String {
    let key = host.key().public_key().to_openssh().unwrap();
    format!("\n[users.{name}]\nauthorized-keys = [\"{key}\"]\n{settings}\n")
}

/// A field of each of a process's threads in /proc.
fn status(program: &Program, field: &str) -> Vec<String> {
    let tasks = fs::read_dir(format!("/proc/{}/task", program.id())).unwrap();
    let of_task = |task: fs::DirEntry| {
        let text = fs::read_to_string(task.path().join("status")).ok()?;
        let line = text.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'))?;
        Some(line.split_whitespace().collect::<Vec<_>>().join(" "))
    };
    tasks.flatten().filter_map(of_task).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn privileges_are_dropped_in_all_threads_as_root() {
    if !has_root("privileges_are_dropped_in_all_threads_as_root") {
        return;
    }
    let ((uid, gid), mut host) = (account(), host_of_account());
    let program = host.start_apart().unwrap();
    let mut peer = Peer::login(&host, "ann").await.unwrap();
    assert_eq!(peer.put("f", b"1").await.unwrap().status, Status::Done);
    assert!(status(&program, "Uid").len() > 1);
    for (field, want) in [
        ("Uid", format!("{uid} {uid} {uid} {uid}")),
        ("Gid", format!("{gid} {gid} {gid} {gid}")),
        ("NoNewPrivs", "1".into()),
        ("CapPrm", "0000000000000000".into()),
        ("CapEff", "0000000000000000".into()),
    ] {
        let threads = status(&program, field);
        assert!(threads.iter().all(|thread| *thread == want), "{field}: {threads:?}");
    }
    assert!(status(&program, "Groups").iter().all(|groups| !groups.split(' ').any(|group| group == "0")));
    // If files in /proc of another account's process belong to root, the process leaves no core dump.
    assert_eq!(fs::metadata(format!("/proc/{}/environ", program.id())).unwrap().uid(), 0);
    let limits = fs::read_to_string(format!("/proc/{}/limits", program.id())).unwrap();
    let core = limits.lines().find(|line| line.starts_with("Max core file size")).unwrap();
    assert_eq!(core.split_whitespace().nth(4), Some("0"), "{core}");
    assert!(log(&host).contains(&format!("confined: account {ACCOUNT}, ")), "{}", log(&host));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_dropped_its_privileges_serves_as_root() {
    if !has_root("a_server_that_dropped_its_privileges_serves_as_root") {
        return;
    }
    let ((uid, _), mut host) = (account(), host_of_account());
    let mut program = host.start_apart().unwrap();
    let owner = |path: &str| fs::metadata(host.dir().join(path)).unwrap().uid();
    let mut peer = Peer::login(&host, "ann").await.unwrap();
    let folder = Request::Mkdir { path: "/d".into(), parents: false, mode: None };
    assert_eq!(peer.ask(folder).await.unwrap().status, Status::Done);
    assert_eq!(peer.put("d/f", b"content").await.unwrap().status, Status::Done);
    assert_eq!(peer.get("d/f").await.unwrap().unwrap(), b"content");
    let key = PrivateKey::random(&mut rand::rng(), Algorithm::Ed25519).unwrap();
    let line = key.public_key().to_openssh().unwrap();
    assert_eq!(peer.ask(Request::InstallKey { line }).await.unwrap().status, Status::Done);
    for path in ["home/ann/d/f", "keys/authorized/ann", "run/control", "log/audit"] {
        assert_eq!(owner(path), uid, "{path}");
    }
    // It was read at the start, and need not be readable any more.
    let host_key = host.dir().join("keys/host_ed25519");
    assert_eq!((owner("keys/host_ed25519"), mode(&host_key).unwrap()), (0, 0o600));

    edit(&host, |text| text + &user(&host, "bob", ""));
    let done = reload(&host);
    assert_eq!(done.code, Some(0), "{done}");
    let mut bob = Peer::login(&host, "bob").await.unwrap();
    assert_eq!(bob.put("f", b"1").await.unwrap().status, Status::Done);
    assert_eq!(owner("home/bob"), uid);
    edit(&host, |text| text + &user(&host, "eve", ""));
    kill_process(Pid::from_raw(program.id() as i32).unwrap(), Signal::HUP).unwrap();
    until("SIGHUP makes eve's home", || host.home("eve").exists());

    for number in 0..40 {
        assert_eq!(bob.put(format!("f{number}"), b"1").await.unwrap().status, Status::Done);
    }
    until("the log is rotated", || host.dir().join("log/audit.1").exists());
    assert_eq!(owner("log/audit.1"), uid);
    drop((peer, bob));
    program.ask_to_end().unwrap();
    assert_eq!(program.end().unwrap(), Some(0));
    assert!(!host.dir().join("run/control").exists());
    let mut again = host.start_apart().unwrap();
    let mut peer = Peer::login(&host, "ann").await.unwrap();
    assert_eq!(peer.get("d/f").await.unwrap().unwrap(), b"content");
    again.kill().unwrap();
}

#[test]
fn wrong_owners_are_reported_and_not_changed_as_root() {
    if !has_root("wrong_owners_are_reported_and_not_changed_as_root") {
        return;
    }
    let ((uid, gid), mut host) = (account(), host_of_account());
    let home = host.home("ann");
    fs::create_dir_all(&home).unwrap();
    fs::set_permissions(&home, fs::Permissions::from_mode(0o700)).unwrap();
    fs::create_dir(host.dir().join("run")).unwrap();
    let said = refusal(&host);
    for folder in ["home", "home/ann", "run"] {
        let path = host.dir().join(folder);
        let want = format!("{0}: belongs to root: chown -R {ACCOUNT}: {0}\n", path.display());
        assert!(format!("{said}\n").contains(&want), "{want} in {said}");
        assert_eq!(fs::metadata(path).unwrap().uid(), 0, "{folder}");
    }
    for folder in ["home", "home/ann", "run"] {
        chown(host.dir().join(folder), Some(uid), Some(gid)).unwrap();
    }
    // A reload reads the settings as the account.
    let settings = host.dir().join("etc/users.toml");
    fs::set_permissions(&settings, fs::Permissions::from_mode(0o600)).unwrap();
    let said = refusal(&host);
    assert!(
        said.contains("but not after dropping privileges (account daemon, ") && said.contains("chgrp"),
        "{said}"
    );
    fs::set_permissions(&settings, fs::Permissions::from_mode(0o644)).unwrap();
    fs::set_permissions(host.dir(), fs::Permissions::from_mode(0o700)).unwrap();
    let said = refusal(&host);
    assert!(said.contains(&format!("chmod o+x {}", host.dir().display())), "{said}");
    fs::set_permissions(host.dir(), fs::Permissions::from_mode(0o755)).unwrap();
    host.start_apart().unwrap();
}

/// The program where the account can run it, and as the account.
fn as_account(host: &Host) -> Command {
    use std::os::unix::process::CommandExt;
    let (uid, gid) = account();
    let program = host.dir().join("sshomed");
    if !program.exists() {
        copy_program("sshomed", host.dir()).unwrap();
    }
    let mut command = Command::new(program);
    command.uid(uid).gid(gid).args(["--dir"]).arg(host.dir());
    command
}

/// Gives only the server's folder and its settings to the account.
fn give_folder(host: &Host) {
    let (uid, gid) = account();
    for path in ["", "etc", "etc/users.toml"] {
        chown(host.dir().join(path), Some(uid), Some(gid)).unwrap();
    }
}

#[test]
fn root_starts_nothing_in_the_folder_of_another_account_as_root() {
    if !has_root("root_starts_nothing_in_the_folder_of_another_account_as_root") {
        return;
    }
    let mut host = HostBuilder::new().unwrap().user("ann", "").unwrap().prepare().unwrap();
    give_folder(&host);
    let said = refusal(&host);
    let want = format!("belongs to {ACCOUNT}, and this is root");
    assert!(said.contains(&want) && said.contains(&format!("`runuser -u {ACCOUNT} -- ")), "{said}");
    for made in ["home", "keys", "run"] {
        assert!(!host.dir().join(made).exists(), "{made}");
    }
    let checked = host.administrator().run(&["check", "--listen", "127.0.0.1:0"]);
    assert!(checked.code == Some(1) && checked.err().contains(&want), "{checked}");
    // With the account in the settings, root may run it.
    edit(&host, |text| text.replacen("[server]\n", &format!("[server]\naccount = \"{ACCOUNT}\"\n"), 1));
    host.start_apart().unwrap();
}

#[test]
fn files_of_an_earlier_start_as_root_are_listed_with_the_remedy_as_root() {
    if !has_root("files_of_an_earlier_start_as_root_are_listed_with_the_remedy_as_root") {
        return;
    }
    let mut host = HostBuilder::new().unwrap().user("ann", "").unwrap().prepare().unwrap();
    drop(host.start_apart().unwrap());
    give_folder(&host);
    for command in ["serve", "check"] {
        let refused: Outcome =
            as_account(&host).args([command, "--listen", "127.0.0.1:0"]).output().unwrap().into();
        assert_eq!(refused.code, Some(1), "{refused}");
        let said = refused.err();
        assert!(!said.contains("users.toml:"), "it blames a line of the settings: {said}");
        for folder in ["home", "run", "keys"] {
            let path = host.dir().join(folder);
            let want = format!("{0}: belongs to root: chown -R {ACCOUNT}: {0}", path.display());
            assert!(said.contains(&want), "{want} in {said}");
        }
        // Nothing is reported twice, and nobody is advised to become root.
        assert!(!said.contains("chmod") && !said.contains("sudo"), "{said}");
    }
    let refused: Outcome =
        as_account(&host).args(["serve", "--listen", "127.0.0.1:0"]).output().unwrap().into();
    for line in refused.err().lines().filter(|line| line.contains(": chown ")) {
        let command = format!("chown {}", line.split_once(": chown ").unwrap().1);
        assert!(Command::new("sh").args(["-c", &command]).status().unwrap().success(), "{command}");
    }
    let checked: Outcome =
        as_account(&host).args(["check", "--listen", "127.0.0.1:0"]).output().unwrap().into();
    assert_eq!(checked.code, Some(0), "{checked}");
}

#[test]
fn settings_that_were_left_to_root_are_reported_with_the_remedy_as_root() {
    if !has_root("settings_that_were_left_to_root_are_reported_with_the_remedy_as_root") {
        return;
    }
    let mut host = host_of_account();
    let _program = host.start_apart().unwrap();
    let file = host.dir().join("etc/users.toml");
    let new = host.dir().join("etc/new");
    fs::copy(&file, &new).unwrap();
    fs::set_permissions(&new, fs::Permissions::from_mode(0o600)).unwrap();
    fs::rename(&new, &file).unwrap();
    let remedy = format!("it is root:root, mode 0600, and this process runs as {ACCOUNT}: chown {ACCOUNT}: ");
    let refused = || host.administrator().json(&["status"])["settings_refused"].to_string();
    until("it is noticed", || refused().contains(&remedy));
    until("it is logged", || log(&host).contains(&remedy));
    chown(&file, Some(account().0), None).unwrap();
    until("it is noticed that it can be read", || refused() == "null");
    let set_mode = |mode| fs::set_permissions(&file, fs::Permissions::from_mode(mode)).unwrap();
    set_mode(0);
    let remedy = format!("its mode denies its owner, {ACCOUNT}, access: chmod u+r ");
    until("the mode is noticed", || refused().contains(&remedy));
    set_mode(0o600);
    until("it is noticed that its owner can read it", || refused() == "null");
}

/// The names of its groups are read before it is confined: afterwards it cannot read /etc/group.
#[tokio::test(flavor = "multi_thread")]
async fn a_confined_server_knows_the_names_of_its_groups_as_root() {
    if !has_root("a_confined_server_knows_the_names_of_its_groups_as_root") {
        return;
    }
    const GAMES: u32 = 60;
    let mut host = HostBuilder::new().unwrap().user("ann", "").unwrap().prepare().unwrap();
    give_folder(&host);
    copy_program("sshomed", host.dir()).unwrap();
    // The first argument is a program that the account may be unable to run.
    let script = format!(
        "shift; exec setpriv --reuid={ACCOUNT} --regid={ACCOUNT} --groups={GAMES} {}/sshomed \"$@\"",
        host.dir().display()
    );
    let mut command = Command::new("sh");
    command.args(["-c", &script, "sh"]);
    let _program = host.start_through(command).unwrap();
    fs::write(host.home("ann").join("shared"), "").unwrap();
    chown(host.home("ann").join("shared"), None, Some(GAMES)).unwrap();
    let listed = SftpPeer::login(&host, "ann").await.unwrap().list("/").await.unwrap().unwrap();
    let line = &listed.iter().find(|entry| &entry.name[..] == b"shared").unwrap().long_name;
    let columns: Vec<_> = str::from_utf8(line).unwrap().split_whitespace().collect();
    assert_eq!(columns[3], "games", "{columns:?}");
    let file = host.dir().join("etc/users.toml");
    chown(&file, Some(0), Some(GAMES)).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    let refused = || host.administrator().json(&["status"])["settings_refused"].to_string();
    until("it is noticed", || refused().contains("it is root:games, mode 0600"));
}

#[test]
fn an_unusable_account_is_refused() {
    for (name, want) in [
        ("no-such-account", "no account no-such-account"),
        ("root", "root keeps all privileges"),
        (if geteuid().is_root() { "\\u001b[2J" } else { ACCOUNT }, "account"),
    ] {
        let host = HostBuilder::new().unwrap().setting(&format!("account = \"{name}\""));
        let said = refusal(&host.prepare().unwrap());
        assert!(said.contains(want) && !said.contains('\x1b'), "{name}: {said}");
    }
}
