//! Changes of etc/users.toml while the server serves.

use russh::keys::{Algorithm, PrivateKey};
use rustix::process::{Pid, Signal, kill_process};
use sshome_e2e::tree::noise;
use sshome_e2e::{Host, HostBuilder, Peer, until};
use sshome_wire::{Request, Status};
use std::fs;
use std::time::{Duration, Instant};

async fn host() -> Host {
    let builder = HostBuilder::new().unwrap().user("ann", "").unwrap().user("zcl", "").unwrap();
    builder.start().await.unwrap()
}

/// Changes the file by replacing it, as editors do.
fn edit(host: &Host, change: impl FnOnce(String) -> String) {
    let file = host.dir().join("etc/users.toml");
    let text = change(fs::read_to_string(&file).unwrap());
    let new = host.dir().join("etc/.users.toml.edited");
    fs::write(&new, text).unwrap();
    fs::rename(&new, &file).unwrap();
}

/// The same, with an explicit reload.
fn reload(host: &Host, change: impl FnOnce(String) -> String) -> sshome_e2e::Outcome {
    edit(host, change);
    host.administrator().run(&["reload"])
}

fn setting<'a>(user: &'a str, line: &'a str) -> impl FnOnce(String) -> String + 'a {
    move |text| text.replace(&format!("[users.{user}]\n"), &format!("[users.{user}]\n{line}\n"))
}

async fn works(peer: &mut Peer) -> bool {
    peer.ask(Request::Pwd).await.is_ok_and(|reply| reply.status == Status::Done)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_is_noticed_and_sessions_continue() {
    let host = host().await;
    let mut peer = Peer::login(&host, "ann").await.unwrap();
    peer.begin_put("big", Some(3 << 20)).await.unwrap();
    edit(&host, |text| {
        text + &fs::read_to_string(host.dir().join("etc/users.toml"))
            .unwrap()
            .split("[users.zcl]")
            .last()
            .map(|rest| format!("\n[users.new]{rest}"))
            .unwrap()
    });
    let administrator = host.administrator();
    until("the new user has a home", || {
        administrator.json(&["status"])["homes"].as_array().unwrap().len() == 3
    });
    let mut new = Peer::login(&host, "new").await.unwrap();
    assert_eq!(new.put("f", b"new").await.unwrap().status, Status::Done);
    assert!(host.home("new").join("f").exists());
    let content = noise(3 << 20, "big");
    peer.send_data(&content).await.unwrap();
    peer.send(&sshome_wire::Frame::End(sshome_e2e::end_of(&content))).await.unwrap();
    assert_eq!(peer.reply().await.unwrap().status, Status::Done);
}

#[tokio::test(flavor = "multi_thread")]
async fn only_removed_disabled_and_keyless_users_are_disconnected() {
    for change in ["enabled = false", "removed", "other key"] {
        let host = host().await;
        let mut ann = Peer::login(&host, "ann").await.unwrap();
        let mut zcl = Peer::login(&host, "zcl").await.unwrap();
        let other = PrivateKey::random(&mut rand::rng(), Algorithm::Ed25519).unwrap();
        let other = other.public_key().to_openssh().unwrap();
        let done = reload(&host, |text| {
            let (before, ann) = text.split_once("[users.ann]").unwrap();
            let (ann, zcl) = ann.split_once("[users.zcl]").unwrap();
            let ann = match change {
                "removed" => String::new(),
                "other key" => format!("[users.ann]\nauthorized-keys = [\"{other}\"]\n"),
                line => format!("[users.ann]{ann}{line}\n"),
            };
            format!("{before}{ann}[users.zcl]{zcl}")
        });
        assert_eq!(done.code, Some(0), "{change}: {done}");
        assert!(done.out().contains("1 session was ended"), "{change}: {done}");
        assert!(!works(&mut ann).await, "{change}");
        assert!(works(&mut zcl).await, "{change}");
        assert!(Peer::login(&host, "ann").await.is_err(), "{change}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn quota_and_access_apply_immediately() {
    let host = host().await;
    let mut peer = Peer::login(&host, "ann").await.unwrap();
    assert_eq!(peer.put("a", &[1; 2000]).await.unwrap().status, Status::Done);
    let done = reload(&host, setting("ann", "quota = 3000"));
    assert_eq!(done.code, Some(0), "{done}");
    assert_eq!(peer.put("b", &[1; 2000]).await.unwrap().status, Status::QuotaExceeded);
    assert_eq!(peer.put("c", &[1; 900]).await.unwrap().status, Status::Done);
    let done = reload(&host, setting("ann", "access = \"read-only\""));
    assert!(done.out().contains("1 session was ended"), "{done}");
    let mut peer = Peer::login(&host, "ann").await.unwrap();
    assert_eq!(peer.put("d", b"").await.unwrap().status, Status::PermissionDenied);
    assert_eq!(peer.get("a").await.unwrap().unwrap(), [1; 2000]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broken_or_unchangeable_file_changes_nothing_and_is_reported() {
    let host = host().await;
    let mut peer = Peer::login(&host, "ann").await.unwrap();
    let text = fs::read_to_string(host.dir().join("etc/users.toml")).unwrap();
    let elsewhere = tempfile::tempdir().unwrap();
    let root = format!("quota = 10\nroot = \"{}\"", elsewhere.path().display());
    for (line, wants) in [
        ("quota = \"much\"", &["users.toml:", "users.ann.quota"][..]),
        (&root, &["restart needed", "users.ann.root", "the previous settings stay in force"]),
        ("quota = 10", &["restart needed", "server.log"]),
    ] {
        // A table comes after the users'.
        let table = if wants.contains(&"server.log") { "\n[server.log]\nreads = false\n" } else { "" };
        let refused = reload(&host, |text| setting("ann", line)(text) + table);
        assert_eq!(refused.code, Some(1), "{line}: {refused}");
        assert!(wants.iter().all(|want| refused.err().contains(want)), "{line}: {refused}");
        assert_eq!(peer.put("f", &[1; 100]).await.unwrap().status, Status::Done, "{line}");
        edit(&host, |_| text.clone());
    }
    // Without sessions the root may change.
    peer.vanish().await.unwrap();
    let administrator = host.administrator();
    until("the session is gone", || {
        administrator.json(&["status"])["sessions"].as_array().unwrap().is_empty()
    });
    let done = reload(&host, setting("ann", &format!("root = \"{}\"", elsewhere.path().display())));
    assert_eq!(done.code, Some(0), "{done}");
    let mut peer = Peer::login(&host, "ann").await.unwrap();
    assert_eq!(peer.put("there", b"1").await.unwrap().status, Status::Done);
    assert!(elsewhere.path().join("there").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_home_is_unlocked_when_its_user_is_removed() {
    let host = host().await;
    let before = fs::read_to_string(host.dir().join("etc/users.toml")).unwrap();
    let done = reload(&host, setting("ann", "enabled = false"));
    assert_eq!(done.code, Some(0), "{done}");
    let done = reload(&host, |_| before);
    assert_eq!(done.code, Some(0), "{done}");
    assert!(works(&mut Peer::login(&host, "ann").await.unwrap()).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn sighup_also_reloads_files_that_the_settings_name() {
    let mut host = HostBuilder::new().unwrap().user("ann", "").unwrap().prepare().unwrap();
    let file = host.dir().join("etc/users.toml");
    let text = fs::read_to_string(&file).unwrap() + "[users.bob]\nauthorized-keys = [\"etc/bob.pub\"]\n";
    fs::write(&file, text).unwrap();
    let other = PrivateKey::random(&mut rand::rng(), Algorithm::Ed25519).unwrap();
    fs::write(host.dir().join("etc/bob.pub"), other.public_key().to_openssh().unwrap()).unwrap();
    let program = host.start_apart().unwrap();
    assert!(Peer::login(&host, "bob").await.is_err());
    fs::write(host.dir().join("etc/bob.pub"), host.key().public_key().to_openssh().unwrap()).unwrap();
    kill_process(Pid::from_raw(program.id() as i32).unwrap(), Signal::HUP).unwrap();
    for _ in 0..200 {
        if let Ok(mut peer) = Peer::login(&host, "bob").await {
            assert!(works(&mut peer).await);
            return;
        }
    }
    panic!("bob's new key lets nobody in");
}

#[tokio::test]
async fn a_signal_right_after_the_start_does_not_end_the_server() {
    let mut host = HostBuilder::new().unwrap().user("ann", "").unwrap().prepare().unwrap();
    let program = host.start_apart().unwrap();
    kill_process(Pid::from_raw(program.id() as i32).unwrap(), Signal::HUP).unwrap();
    for _ in 0..10 {
        assert!(works(&mut Peer::login(&host, "ann").await.unwrap()).await);
    }
}

/// Reasons to refuse a file as a whole: a mistake elsewhere, and a setting that needs a restart.
const OBSTACLES: [(&str, &str); 2] = [
    ("[users.ben]\nquota = \"much\"\n", "users.ben.quota"),
    ("[server.log]\nreads = false\n", "restart needed"),
];

#[tokio::test(flavor = "multi_thread")]
async fn revocations_apply_even_if_the_rest_is_refused() {
    for (obstacle, says) in OBSTACLES {
        for command in ["remove", "disable", "key", "passwd", "lock"] {
            let host = host().await;
            let administrator = host.administrator();
            let mut ann = Peer::login(&host, "ann").await.unwrap();
            let mut zcl = Peer::login(&host, "zcl").await.unwrap();
            edit(&host, |text| format!("{text}\n{obstacle}"));
            let print = host.key().fingerprint(Default::default()).to_string();
            let done = match command {
                "key" => administrator.run(&["user", "key", "ann", "remove", &print]),
                "lock" => administrator.run(&["kick", "--lock", "ann"]),
                "passwd" => {
                    // No session uses the password: the test is that the new one is in force.
                    let done =
                        administrator.input(&["user", "passwd", "ann", "--password-stdin"], "quite another");
                    assert!(done.code == Some(1) && done.err().contains("NOT in force: password"), "{done}");
                    assert!(done.err().contains(says), "{done}");
                    continue;
                }
                command => administrator.run(&["user", command, "ann"]),
            };
            assert_eq!(done.code, Some(0), "{command}: {done}");
            assert!(done.out().contains("applied, although the file was rejected"), "{command}: {done}");
            assert!(done.out().contains(says), "{command}: {done}");
            assert!(!works(&mut ann).await && works(&mut zcl).await, "{command}");
            assert!(Peer::login(&host, "ann").await.is_err(), "{command}");
            assert!(works(&mut Peer::login(&host, "zcl").await.unwrap()).await, "{command}");
        }
    }
}

/// A line that is not TOML.
fn typo(text: String) -> String {
    text + "\ntypo\n"
}

#[tokio::test(flavor = "multi_thread")]
async fn an_installed_key_is_revoked_although_the_file_cannot_be_parsed() {
    let host = host().await;
    let administrator = host.administrator();
    let line = host.key().public_key().to_openssh().unwrap();
    let own = sshomed::accounts::OwnKeys::of(host.dir());
    own.install("ann", &line).unwrap();
    // Only the installed key lets her in.
    edit(&host, |text| {
        let ann = text.find("[users.ann]").unwrap();
        let zcl = text.find("[users.zcl]").unwrap();
        let (from, to) = if ann < zcl { (ann, zcl) } else { (ann, text.len()) };
        format!("{}[users.ann]\n{}", &text[..from], &text[to..])
    });
    assert_eq!(administrator.run(&["reload"]).code, Some(0));
    let mut ann = Peer::login(&host, "ann").await.unwrap();
    edit(&host, typo);
    let print = host.key().fingerprint(Default::default()).to_string();
    let list = administrator.run(&["user", "key", "ann", "list"]);
    assert!(list.code == Some(0) && list.out().contains(&print), "{list}");
    assert!(list.out().contains("could not be read: "), "{list}");
    let unknown = administrator.run(&["user", "key", "ann", "remove", "nothing"]);
    assert!(unknown.code == Some(1) && unknown.err().contains("users.toml:"), "{unknown}");
    let removed = administrator.run(&["user", "key", "ann", "remove", &print]);
    assert!(removed.code == Some(0) && removed.out().contains("1 session was ended"), "{removed}");
    assert!(own.read("ann").unwrap().is_empty());
    assert!(!works(&mut ann).await && Peer::login(&host, "ann").await.is_err());
    assert!(Peer::login(&host, "zcl").await.is_ok());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lock_ends_the_sessions_although_the_file_cannot_be_parsed() {
    let host = host().await;
    let administrator = host.administrator();
    let mut ann = Peer::login(&host, "ann").await.unwrap();
    let mut zcl = Peer::login(&host, "zcl").await.unwrap();
    edit(&host, typo);
    let locked = administrator.run(&["kick", "--lock", "ann"]);
    assert!(locked.code == Some(1) && locked.out().starts_with("ended: session "), "{locked}");
    assert!(locked.err().contains("ann was NOT locked and can log in again: "), "{locked}");
    assert!(locked.err().contains("users.toml:"), "{locked}");
    assert!(!works(&mut ann).await && works(&mut zcl).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_that_the_server_does_not_apply_is_a_failure() {
    for (obstacle, says) in OBSTACLES {
        let host = host().await;
        let administrator = host.administrator();
        edit(&host, |text| format!("{text}\n{obstacle}"));
        for (arguments, pending) in [
            (&["user", "add", "new"][..], "users.new"),
            (&["user", "set", "ann", "--quota", "10", "--access", "read-only"], "quota"),
        ] {
            let refused = administrator.run(arguments);
            assert_eq!(refused.code, Some(1), "{refused}");
            assert!(refused.err().contains(&format!("NOT in force: {pending};")), "{refused}");
            assert!(refused.err().contains(says), "{refused}");
        }
        // Its revocations apply.
        let mut ann = Peer::login(&host, "ann").await.unwrap();
        assert_eq!(ann.put("f", b"").await.unwrap().status, Status::PermissionDenied);
        let disabled = administrator.run(&["user", "disable", "ann"]);
        assert!(disabled.code == Some(1) && disabled.err().contains("NOT in force: quota"), "{disabled}");
        assert!(disabled.err().contains("\nin force: ann: disabled\n"), "{disabled}");
        let status = administrator.run(&["status"]);
        assert!(
            status.out().contains("the file was rejected and the previous settings are in force"),
            "{status}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reload_prints_its_result() {
    let mut host = host().await;
    let administrator = host.administrator();
    let mut ann = Peer::login(&host, "ann").await.unwrap();
    let set = administrator.run(&["user", "set", "ann", "--quota", "3000"]);
    assert!(set.code == Some(0) && set.out().ends_with("applied to the running server\n"), "{set}");
    assert_eq!(ann.put("b", &[1; 4000]).await.unwrap().status, Status::QuotaExceeded);
    let removed = administrator.run(&["user", "remove", "ann"]);
    assert!(
        removed.code == Some(0)
            && removed.out().contains("applied to the running server; 1 session was ended"),
        "{removed}"
    );
    assert!(!works(&mut ann).await);
    host.stop().await.unwrap();
    let alone = administrator.run(&["user", "add", "ann"]);
    assert_eq!(alone.code, Some(0), "{alone}");
    assert!(alone.out().contains("(no server is running in "), "{alone}");
}

#[test]
fn settings_behind_a_link_that_leads_elsewhere_are_noticed() {
    // As with configuration management, and as in Kubernetes.
    for (link, releases, target) in [("etc", "releases/", "releases/"), ("etc/..data", "etc/..", "..")] {
        let mut host = HostBuilder::new().unwrap().user("ann", "").unwrap().prepare().unwrap();
        let dir = host.dir().to_owned();
        let text = fs::read_to_string(dir.join("etc/users.toml")).unwrap();
        let release = |number: u32, text: &str| {
            let folder = dir.join(format!("{releases}{number}"));
            fs::create_dir_all(&folder).unwrap();
            fs::write(folder.join("users.toml"), text).unwrap();
        };
        release(1, &text);
        fs::remove_file(dir.join("etc/users.toml")).unwrap();
        let point = |number: u32| {
            let new = dir.join("new-link");
            std::os::unix::fs::symlink(format!("{target}{number}"), &new).unwrap();
            fs::rename(new, dir.join(link)).unwrap();
        };
        if link == "etc" {
            fs::remove_dir(dir.join("etc")).unwrap();
        } else {
            std::os::unix::fs::symlink("..data/users.toml", dir.join("etc/users.toml")).unwrap();
        }
        point(1);
        // As a program, so that it is confined if the kernel supports that.
        let _program = host.start_apart().unwrap();
        let key = host.key().public_key().to_openssh().unwrap();
        for (number, user) in [(2, "bob"), (3, "eve")] {
            release(number, &format!("{text}\n[users.{user}]\nauthorized-keys = [\"{key}\"]\n"));
            point(number);
            until("the new release holds", || host.home(user).exists());
        }
        let administrator = host.administrator();
        let status = administrator.json(&["status"]);
        assert_eq!(status["homes"].as_array().unwrap().len(), 2, "{link}: {status}");
        // A link that dangles for a while is noticed, and so is its repair: by events, not by the next poll.
        let begun = Instant::now();
        for (number, user) in [(4, "kim"), (5, "lou")] {
            let text = format!("{text}\n[users.{user}]\nauthorized-keys = [\"{key}\"]\n");
            point(9);
            until("a missing release is noticed", || {
                !administrator.json(&["status"])["settings_refused"].is_null()
            });
            if user == "kim" {
                release(number, &text);
                point(number);
            } else {
                release(9, &text);
            }
            until("the release holds that came later", || host.home(user).exists());
        }
        assert!(begun.elapsed() < Duration::from_secs(30), "{:?}", begun.elapsed());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn settings_that_became_unreadable_are_reported_with_the_remedy() {
    let host = host().await;
    let (file, away) = (host.dir().join("etc/users.toml"), host.dir().join("etc/away"));
    let administrator = host.administrator();
    fs::rename(&file, &away).unwrap();
    let why = || administrator.json(&["status"])["settings_refused"].as_str().unwrap_or_default().to_owned();
    until("a missing file is noticed", || why().contains("cannot be read: No such file"));
    fs::rename(&away, &file).unwrap();
    until("it is noticed that it is back", || why().is_empty());
    if rustix::process::geteuid().is_root() {
        eprintln!("skipped: a file that its mode keeps from the server: root reads it all the same");
        return;
    }
    sshome_e2e::tree::set_mode(&file, 0).unwrap();
    until("a mode is noticed", || why().contains("its mode denies its owner") && why().contains("chmod u+r"));
    sshome_e2e::tree::set_mode(&file, 0o600).unwrap();
    until("it is noticed that it can be read", || why().is_empty());
}
