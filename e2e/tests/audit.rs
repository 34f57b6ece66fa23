//! The log of what users do.

use serde_json::Value;
use sshome_e2e::sftp::{ANEW, SftpPeer};
use sshome_e2e::{Host, HostBuilder, Peer, Program, run, until};
use sshome_wire::sftp::{self, OpenFlags, SftpAttributes};
use sshome_wire::{Frame, Request, Status};
use std::fs;

/// A server as a program, with a log in a file.
fn host(log: &str, user: &str) -> (Host, Program) {
    let builder = HostBuilder::new().unwrap().log(&format!("file = \"log/audit\"\n{log}"));
    let mut host = builder.user("ann", user).unwrap().prepare().unwrap();
    let program = host.start_apart().unwrap();
    (host, program)
}

/// The lines that the log holds so far.
fn lines(host: &Host) -> Vec<Value> {
    let text = fs::read_to_string(host.dir().join("log/audit")).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// The only line of this kind about this path, once it is written.
fn line(host: &Host, what: &str, path: &str) -> Value {
    let is_it = |line: &Value| line["message"] == what && (path.is_empty() || line["path"] == path);
    until(&format!("{what} {path} is logged"), || lines(host).iter().any(is_it));
    let mut found = lines(host);
    found.retain(is_it);
    assert_eq!(found.len(), 1, "{what} {path}: {:#?}", lines(host));
    found.remove(0)
}

#[tokio::test(flavor = "multi_thread")]
async fn each_action_over_each_protocol_is_one_line() {
    let (host, _program) = host("", "quota = 5000");
    assert!(sshome_e2e::connect(&host, "nob\x1bdy").await.is_err());
    let mut peer = Peer::login(&host, "ann").await.unwrap();
    peer.put("a\x1b[2J", &[1; 100]).await.unwrap();
    peer.ask(Request::Mkdir { path: b"d".to_vec(), parents: false, mode: None }).await.unwrap();
    peer.ask(Request::Mv { from: b"a\x1b[2J".to_vec(), to: b"d/b".to_vec() }).await.unwrap();
    peer.get("d/b").await.unwrap().unwrap();
    assert_eq!(peer.put("much", &[1; 6000]).await.unwrap().status, Status::QuotaExceeded);
    peer.ask(Request::Rm { path: b"d".to_vec(), recursive: true }).await.unwrap();
    let mut sftp = SftpPeer::login(&host, "ann").await.unwrap();
    assert!(sftp.put("s", &[1; 50]).await.unwrap().is_none());
    assert_eq!(run(&host, "ann", "rm s", b"").await.unwrap().code, Some(0));

    until("the login is logged", || lines(&host).iter().any(|line| line["message"] == "logged in"));
    let login = lines(&host).into_iter().find(|line| line["message"] == "logged in").unwrap();
    assert_eq!((&login["user"], &login["method"]), (&"ann".into(), &"publickey".into()), "{login}");
    assert!(login["key"].as_str().unwrap().starts_with("SHA256:"), "{login}");
    until("the end of who was refused is seen", || {
        lines(&host).iter().any(|line| line["message"] == "login refused")
    });
    assert_eq!(line(&host, "login refused", "")["user"], "nob\\x1bdy");
    let published = line(&host, "published", "/a\\x1b[2J");
    assert_eq!(published["digest"], blake3::hash(&[1; 100]).to_hex().as_str());
    assert_eq!((&published["bytes"], &published["replaced"]), (&100.into(), &false.into()));
    assert!(published["seconds"].is_number());
    for other in [
        line(&host, "directory made", "/d"),
        line(&host, "renamed", "/a\\x1b[2J"),
        line(&host, "read", "/d/b"),
        line(&host, "quota refused", "/much"),
        line(&host, "removed", "/d/b"),
        line(&host, "directory removed", "/d"),
    ] {
        for key in ["user", "session", "source"] {
            assert_eq!(other[key], published[key], "{other}");
        }
    }
    until("the file is closed", || lines(&host).iter().any(|line| line["message"] == "written"));
    let written = line(&host, "written", "/s");
    assert_eq!(written["bytes"], 50);
    assert_ne!(written["session"], published["session"]);
    assert_eq!(line(&host, "removed", "/s")["user"], "ann");
    let text = fs::read(host.dir().join("log/audit")).unwrap();
    assert!(!text.contains(&0x1b));
    peer.vanish().await.unwrap();
    until("the end is logged", || lines(&host).iter().any(|line| line["message"] == "session ended"));
}

#[tokio::test(flavor = "multi_thread")]
async fn aborted_and_abandoned_uploads_are_logged() {
    let (host, _program) = host("", "");
    let mut peer = Peer::login(&host, "ann").await.unwrap();
    peer.begin_put("f", Some(100)).await.unwrap();
    peer.send_data(&[1; 40]).await.unwrap();
    peer.send(&Frame::Abort).await.unwrap();
    peer.reply().await.unwrap();
    assert_eq!(line(&host, "not finished", "/f")["bytes"], 40);
    peer.begin_put("g", Some(100)).await.unwrap();
    // The server does not begin a request whose client is gone.
    let staging = host.home("ann").join(".sshome-staging");
    until("it has begun", || fs::read_dir(&staging).unwrap().next().is_some());
    peer.vanish().await.unwrap();
    until("it is logged", || lines(&host).iter().any(|line| line["path"] == "/g"));
}

/// Mode and times that are set through a handle, not only those set by a path. Those of a new file are a part of its upload.
#[tokio::test(flavor = "multi_thread")]
async fn attributes_set_through_a_handle_are_logged() {
    let (host, _program) = host("", "");
    let mut peer = SftpPeer::login(&host, "ann").await.unwrap();
    for name in ["f", "g"] {
        assert!(peer.put(name, b"1").await.unwrap().is_none());
    }
    let attributes = SftpAttributes { permissions: Some(0o640), ..SftpAttributes::default() };
    let new = peer.open("new", ANEW).await.unwrap().unwrap();
    peer.done(sftp::SftpRequest::Fsetstat { handle: new.clone(), attributes: attributes.clone() })
        .await
        .unwrap();
    peer.close(new).await.unwrap();
    let handle = peer.open("f", OpenFlags::WRITE).await.unwrap().unwrap();
    peer.done(sftp::SftpRequest::Fsetstat { handle, attributes: attributes.clone() }).await.unwrap();
    peer.done(sftp::SftpRequest::Setstat { path: "g".into(), attributes }).await.unwrap();
    line(&host, "attributes set", "/g");
    line(&host, "attributes set", "/f");
    assert!(!lines(&host).iter().any(|line| line["message"] == "attributes set" && line["path"] == "/new"));
}

/// Over SFTP, in place and staged: an upload that is closed, one that is refused in part, and one that is cut.
#[tokio::test(flavor = "multi_thread")]
async fn an_sftp_upload_is_logged_as_done_failed_or_cut() {
    for uploads in ["in-place", "atomic"] {
        let (host, _program) = host("", &format!("quota = 1000\nsftp-uploads = \"{uploads}\""));
        let mut peer = SftpPeer::login(&host, "ann").await.unwrap();
        assert!(peer.put("closed", &[1; 400]).await.unwrap().is_none());
        let refused = peer.open("refused", ANEW).await.unwrap().unwrap();
        assert!(peer.write(&refused, 0, &[1; 300]).await.unwrap().is_none());
        assert!(peer.write(&refused, 300, &[1; 400]).await.unwrap().is_some());
        assert!(peer.refusal(sftp::SftpRequest::Close { handle: refused }).await.unwrap().is_some());
        for name in ["cut", "refused and cut"] {
            let cut = peer.open(name, ANEW).await.unwrap().unwrap();
            assert!(peer.write(&cut, 0, &[1; 10]).await.unwrap().is_none());
            if name != "cut" {
                assert!(peer.write(&cut, 10, &[1; 1000]).await.unwrap().is_some());
            }
        }
        // A file that was opened and never read is not logged.
        peer.open("closed", OpenFlags::READ).await.unwrap().unwrap();
        peer.vanish().await.unwrap();
        until("the end is logged", || lines(&host).iter().any(|line| line["message"] == "session ended"));
        let done = if uploads == "atomic" { "published" } else { "written" };
        let told = |path: &str| -> Vec<(String, u64)> {
            let lines =
                lines(&host).into_iter().filter(|line| line["path"] == path && line["bytes"].is_u64());
            lines
                .map(|line| (line["message"].as_str().unwrap().into(), line["bytes"].as_u64().unwrap()))
                .collect()
        };
        assert_eq!(told("/closed"), [(done.to_owned(), 400)]);
        assert_eq!(told("/refused"), [("failed".to_owned(), 300)]);
        assert_eq!(told("/cut"), [("not finished".to_owned(), 10)]);
        assert_eq!(told("/refused and cut"), [("failed".to_owned(), 10)]);
        assert!(line(&host, "failed", "/refused")["why"].as_str().unwrap().contains("refused needs"));
    }
}

/// A client sets the mode and the length of a new file, and is gone before it writes anything.
#[tokio::test(flavor = "multi_thread")]
async fn a_staged_file_without_data_that_is_abandoned_has_changed_nothing() {
    for (uploads, lines_of_file) in [("in-place", 1), ("atomic", 0)] {
        let (host, _program) = host("", &format!("sftp-uploads = \"{uploads}\""));
        let mut peer = SftpPeer::login(&host, "ann").await.unwrap();
        let handle = peer.open("f", ANEW).await.unwrap().unwrap();
        let attributes =
            SftpAttributes { size: Some(100), permissions: Some(0o600), ..SftpAttributes::default() };
        peer.done(sftp::SftpRequest::Fsetstat { handle, attributes }).await.unwrap();
        peer.vanish().await.unwrap();
        until("the end is told", || lines(&host).iter().any(|line| line["message"] == "session ended"));
        let told = lines(&host).iter().filter(|line| line["path"] == "/f").count();
        assert_eq!((told, host.home("ann").join("f").exists()), (lines_of_file, uploads == "in-place"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn logging_of_reads_is_optional_and_the_log_is_rotated() {
    let (host, _program) = host("reads = false\nmax-size = \"4 KiB\"\nkeep = 1", "");
    let mut peer = Peer::login(&host, "ann").await.unwrap();
    peer.put("f", b"1").await.unwrap();
    peer.get("f").await.unwrap().unwrap();
    let log = host.dir().join("log");
    let mut last = String::new();
    for number in 0.. {
        last = format!("f{number}");
        assert_eq!(peer.put(&last, b"1").await.unwrap().status, Status::Done);
        if log.join("audit.1").exists() {
            break;
        }
    }
    // Between the rotation and the next line there is no current file.
    let read = |name: &str| fs::read_to_string(log.join(name)).unwrap_or_default();
    assert!(
        (read("audit.1") + &read("audit"))
            .lines()
            .all(|line| serde_json::from_str::<Value>(line).unwrap()["message"] != "read")
    );
    assert!(fs::metadata(log.join("audit.1")).unwrap().len() <= 4 << 10);
    let all_is_written = || ["audit", "audit.1"].map(read).concat().contains(&format!("\"/{last}\""));
    until("all is written", all_is_written);
    // As logrotate does.
    fs::rename(log.join("audit"), log.join("elsewhere")).unwrap();
    peer.put("last", b"1").await.unwrap();
    until("the new file is begun", || log.join("audit").exists());
    line(&host, "published", "/last");
    assert_eq!(lines(&host).len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn endless_reads_or_refusals_do_not_displace_the_lines_of_others() {
    let (host, _program) = host("", "access = \"read-only\"");
    fs::write(host.home("ann").join("f"), "1").unwrap();
    let mut peer = Peer::login(&host, "ann").await.unwrap();
    let rm = || Frame::Request(Request::Rm { path: b"f".to_vec(), recursive: false });
    for _ in 0..60 {
        for _ in 0..50 {
            peer.send(&rm()).await.unwrap();
        }
        for _ in 0..50 {
            assert_eq!(peer.reply().await.unwrap().status, Status::PermissionDenied);
        }
    }
    peer.get("f").await.unwrap().unwrap();
    peer.vanish().await.unwrap();
    line(&host, "session ended", "");
    let of_ann = |what: &str| lines(&host).iter().filter(|line| line["message"] == what).count();
    // A thousand a minute: more than one minute may have begun on a busy machine.
    assert!((1000..3000).contains(&of_ann("refused")), "{}", of_ann("refused"));
    assert_eq!(of_ann("logged in"), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn names_given_by_strangers_cannot_forge_or_fill_the_log() {
    let (host, _program) = host("", "");
    let forged = "nobody source=\"192.0.2.1:1\" \\x41";
    assert!(sshome_e2e::connect(&host, forged).await.is_err());
    let long = "x".repeat(100_000);
    for _ in 0..20 {
        assert!(sshome_e2e::connect(&host, &long).await.is_err());
    }
    let refused = || lines(&host).into_iter().filter(|line| line["message"] == "login refused").count();
    // Each of the first ten logins from one source has a line.
    until("they are logged", || refused() >= 10);
    let first = line_of(&host, "nobody source=\"192.0.2.1:1\" \\\\x41");
    assert!(first["source"].as_str().unwrap().starts_with("127.0.0.1:"), "{first}");
    line_of(&host, &("x".repeat(64) + "…"));
    let mut peer = Peer::login(&host, "ann").await.unwrap();
    peer.put("f", b"1").await.unwrap();
    line(&host, "published", "/f");
    assert_eq!(refused(), 10);
    assert!(fs::metadata(host.dir().join("log/audit")).unwrap().len() < 10_000);
}

/// A line about a user of this name.
fn line_of(host: &Host, user: &str) -> Value {
    let found = lines(host).into_iter().find(|line| line["user"] == user);
    found.unwrap_or_else(|| panic!("{user}: {:#?}", lines(host)))
}
