//! One user's share of the server's descriptors, memory and time, and others who are served meanwhile.

mod worst;

use bytes::Bytes;
use sshome_e2e::sftp::{ANEW, SftpPeer};
use sshome_e2e::tree::names;
use sshome_e2e::{Host, HostBuilder, Peer, Program, run, until};
use sshome_wire::sftp::{OpenFlags, Response, SftpRequest, StatusCode};
use sshome_wire::{Request, Status};
use std::process::Command;
use std::time::Duration;

/// The time limit for the work of other users. A test that waits longer reports a hang.
const HUNG: Duration = Duration::from_secs(300);

/// A separate server with ann and bob, and this descriptor limit.
fn start(descriptors: usize, limits: &str, settings: &str) -> (Host, Program) {
    let builder = HostBuilder::new().unwrap().log("file = \"log/audit\"").limits(limits);
    let builder = builder.user("ann", settings).unwrap().user("bob", "").unwrap();
    let mut host = builder.prepare().unwrap();
    let mut command = Command::new("prlimit");
    command.arg(format!("--nofile={descriptors}"));
    let server = host.start_through(command).unwrap();
    (host, server)
}

/// Logs in, lists and stores.
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
    tokio::time::timeout(HUNG, served).await.expect("somebody else is in the way");
}

/// The number of a user's sessions.
fn sessions(host: &Host, user: &str) -> usize {
    let status = host.administrator().json(&["status"]);
    status["sessions"].as_array().unwrap().iter().filter(|session| session["user"] == user).count()
}

/// Opens directories until one is refused.
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
async fn a_user_at_the_descriptor_budget_is_refused_and_others_are_not() {
    let (host, server) = start(1024, "", "");
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
    // Everything else that needs descriptors is refused with the same message.
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

/// Creating or copying a tree takes few descriptors, however deep or wide it is. This server has fewer descriptors than
/// the tree has directories.
#[tokio::test(flavor = "multi_thread")]
async fn trees_are_made_and_copied_with_few_descriptors() {
    let (host, server) = start(256, "", "");
    for user in ["ann", "bob"] {
        assert_serves(&host, user).await;
    }
    let idle = server.descriptors().unwrap();
    let succeeds = async |command: &str| {
        let done = run(&host, "ann", command, b"").await.unwrap();
        assert_eq!(done.code, Some(0), "{:.40}: {:.400}", command, done.err());
    };
    let deep = format!("deep{}", "/d".repeat(1900));
    succeeds(&format!("mkdir -p {deep}")).await;
    assert!(host.home("ann").join(&deep).is_dir());
    let mut native = Peer::login(&host, "ann").await.unwrap();
    let mkdir = Request::Mkdir { path: format!("n/{deep}").into_bytes(), parents: true, mode: None };
    let made = native.ask(mkdir).await.unwrap();
    assert_eq!(made.status, Status::Done, "{:.400}", made.message);
    for number in 0..300 {
        std::fs::create_dir_all(host.home("ann").join(format!("wide/{number}"))).unwrap();
        std::os::unix::fs::symlink("x", host.home("ann").join(format!("wide/{number}/link"))).unwrap();
    }
    succeeds("cp -r wide copied").await;
    assert_eq!(names(&host.home("ann").join("copied")).unwrap().len(), 300);
    assert_serves(&host, "bob").await;
    drop(native);
    until("all is closed", || server.descriptors().unwrap() <= idle + 2);
}

/// Each copied file holds descriptors until it is published. `cp -r` publishes when half of the user's budget is used up.
#[tokio::test(flavor = "multi_thread")]
async fn a_directory_with_more_files_than_descriptors_is_copied() {
    let (host, _server) = start(256, "", "");
    let files = host.home("ann").join("files");
    std::fs::create_dir(&files).unwrap();
    for number in 0..200 {
        std::fs::write(files.join(number.to_string()), "x").unwrap();
    }
    let copied = run(&host, "ann", "cp -r files copied", b"").await.unwrap();
    assert_eq!(copied.code, Some(0), "{}", copied.err());
    assert_eq!(names(&host.home("ann").join("copied")).unwrap().len(), 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn endless_requests_do_not_disconnect() {
    const REQUESTS: u32 = 250_000;
    // The client reads slowly, so nearly all of them wait.
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
