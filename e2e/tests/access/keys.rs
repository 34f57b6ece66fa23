//! Read-only keys, expiry, and who may install keys.

use russh::keys::{Algorithm, HashAlg, PrivateKey};
use sshome_e2e::sftp::SftpPeer;
use sshome_e2e::{Client, Host, HostBuilder, Peer, run, until};
use sshome_wire::{Request, Status};
use std::fs;
use std::time::Duration;

/// A host whose key has these limits for ann.
async fn host(limits: &str) -> Host {
    HostBuilder::new().unwrap().restricted_user("ann", "", limits).unwrap().start().await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_read_only_key_changes_nothing_and_is_shown_as_such() {
    let host = host("access = \"read-only\"").await;
    let mut peer = Peer::login(&host, "ann").await.unwrap();
    fs::write(host.home("ann").join("kept"), "kept").unwrap();
    assert_eq!(peer.get("kept").await.unwrap().unwrap(), b"kept");
    assert_eq!(peer.put("new", b"new").await.unwrap().status, Status::PermissionDenied);
    let mut sftp = SftpPeer::login(&host, "ann").await.unwrap();
    assert!(sftp.put("new", b"new").await.unwrap().is_some());
    let refused = run(&host, "ann", "rm kept", b"").await.unwrap();
    assert_eq!((refused.code, refused.err().contains("read-only")), (Some(1), true), "{refused}");
    assert!(host.home("ann").join("kept").exists() && !host.home("ann").join("new").exists());

    let status = host.administrator().json(&["status"]);
    assert_eq!(status["sessions"][0]["access"], "read-only", "{status}");
    assert!(status["sessions"][0]["key"].as_str().unwrap().starts_with("SHA256:"), "{status}");
    let text = host.administrator().run(&["status"]).out();
    assert!(text.contains("ACCESS") && text.contains("read-only"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restricted_key_lists_only_itself() {
    let other = PrivateKey::random(&mut rand::rng(), Algorithm::Ed25519).unwrap();
    let line = other.public_key().to_openssh().unwrap();
    for (limits, want) in [
        ("folder = \"/\"", 1),
        ("access = \"read-only\"", 1),
        ("access = \"append-only\"", 1),
        ("from = \"127.0.0.0/8\"", 2),
        ("access = \"read-write\"", 2),
    ] {
        let builder = HostBuilder::new().unwrap().key(&line);
        let host = builder.restricted_user("ann", "", limits).unwrap().start().await.unwrap();
        let client = Client::new(&host, "ann").unwrap();
        let listed = client.succeed(["key", "list"]).unwrap();
        let own = host.key().fingerprint(HashAlg::Sha256).to_string();
        assert!(listed.lines().count() == want && listed.contains(&own), "{limits}: {listed}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_end_when_the_account_or_the_key_expires() {
    for settings in [["expires = DATE", ""], ["", "expires = DATE"]] {
        let builder = HostBuilder::new().unwrap().log("file = \"log/audit\"");
        let mut host = builder.restricted_user("ann", settings[0], settings[1]).unwrap().prepare().unwrap();
        let file = host.dir().join("etc/users.toml");
        let text = fs::read_to_string(&file).unwrap();
        fs::write(&file, text.replace("DATE", "9998-01-01")).unwrap();
        let _program = host.start_apart().unwrap();
        let mut peer = Peer::login(&host, "ann").await.unwrap();
        assert_eq!(peer.ask(Request::Pwd).await.unwrap().status, Status::Done);
        let soon = jiff::Timestamp::now() + Duration::from_secs(2);
        fs::write(&file, text.replace("DATE", &soon.to_string())).unwrap();
        assert_eq!(host.administrator().run(&["reload"]).code, Some(0));
        until("the session has ended", || {
            host.administrator().json(&["status"])["sessions"].as_array().unwrap().is_empty()
        });
        assert!(Peer::login(&host, "ann").await.is_err());
        let log = fs::read_to_string(host.dir().join("log/audit")).unwrap();
        assert!(log.contains("the account or key of the login has expired"), "{log}");
        assert!(log.contains(" of ann expires on "), "{log}");
        let checked = host.administrator().run(&["check"]);
        assert!(checked.out().contains(" of ann expired on "), "{checked}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_refusal_of_a_key_has_one_line_in_the_log() {
    let builder = HostBuilder::new().unwrap().log("file = \"log/audit\"");
    let mut host = builder.restricted_user("ann", "", "access = \"append-only\"").unwrap().prepare().unwrap();
    let _program = host.start_apart().unwrap();
    let mut peer = Peer::login(&host, "ann").await.unwrap();
    fs::write(host.home("ann").join("old"), "old").unwrap();
    let mut sftp = SftpPeer::login(&host, "ann").await.unwrap();
    let lines = || {
        let log = fs::read_to_string(host.dir().join("log/audit")).unwrap();
        let refused = log.lines().filter(|line| line.contains("\"message\":\"refused\""));
        refused.filter(|line| line.contains("/old: this key may not change what exists")).count()
    };
    for number in 1..=6 {
        match number {
            1 => drop(peer.put("old", b"new").await.unwrap()),
            2 => drop(peer.put("old", b"longer").await.unwrap()),
            3 => drop(peer.ask(Request::Rm { path: b"old".to_vec(), recursive: false }).await.unwrap()),
            4 => drop(sftp.put("old", b"new").await.unwrap()),
            5 => drop(run(&host, "ann", "mv old new", b"").await.unwrap()),
            _ => drop(run(&host, "ann", "rm -r old", b"").await.unwrap()),
        }
        until(&format!("refusal {number} is logged"), || lines() >= number);
        assert_eq!(lines(), number);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restricted_key_installs_no_other() {
    for limits in ["access = \"read-only\"", "from = \"127.0.0.0/8\"", "expires = 9998-01-01"] {
        let host = HostBuilder::new().unwrap();
        let host = host.restricted_user("ann", "own-keys = true", limits).unwrap().start().await.unwrap();
        let client = Client::new(&host, "ann").unwrap();
        let key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOTi1bVt18LCvBKeba5g5VjVECu5ppYGuP7NLLS3qMWa";
        fs::write(client.work().join("better.pub"), key).unwrap();
        let refused = client.run(["key", "install", "better.pub"]).unwrap();
        assert_eq!(refused.code, Some(1), "{refused}");
        assert!(refused.err().contains("only a login with full access"), "{refused}");
        assert!(!host.dir().join("keys/authorized").exists());
    }
}
