//! A store whose calls hang forever: the sessions of its users can be ended, and other users are not affected.

use sshome_e2e::sftp::SftpPeer;
use sshome_e2e::{Exec, Host, HostBuilder, Peer, run, until};
use sshome_store::memory::{Faults, FaultyStore, MemoryStore};
use sshome_wire::sftp::SftpRequest;
use sshome_wire::{Frame, Request};
use sshomed::control::{ControlRequest, ControlResponse, StatusReport, ask};
use std::sync::Arc;
use std::time::Duration;
use tokio::task::block_in_place;

/// A test that waits longer has failed.
const LIMIT: Duration = Duration::from_secs(60);

/// A server on whose store ann's calls hang on demand.
async fn host() -> (Host, Arc<Faults>) {
    let faults = Arc::new(Faults::default());
    let store = FaultyStore::for_user(Arc::new(MemoryStore::new()), &faults, "ann");
    let host = HostBuilder::new().unwrap().user("ann", "").unwrap().user("bob", "").unwrap();
    let mut host = host.prepare().unwrap();
    host.start_with(Arc::new(store)).await.unwrap();
    (host, faults)
}

fn control(host: &Host, request: &ControlRequest) -> ControlResponse {
    block_in_place(|| ask(&host.dir().join("run/control"), request).unwrap())
}

fn status(host: &Host) -> StatusReport {
    match control(host, &ControlRequest::Status) {
        ControlResponse::Status(status) => status,
        other => panic!("{other:?}"),
    }
}

fn sessions(host: &Host, user: &str) -> usize {
    status(host).sessions.iter().filter(|session| session.user == user).count()
}

/// Two sessions of ann, native and SFTP, each with a call that hangs.
async fn hang(host: &Host, faults: &Faults) -> (Peer, SftpPeer) {
    let mut native = Peer::login(host, "ann").await.unwrap();
    let mut sftp = SftpPeer::login(host, "ann").await.unwrap();
    faults.hang();
    native.send(&Frame::Request(Request::Stat { path: b"/".to_vec(), follow: true })).await.unwrap();
    sftp.send(SftpRequest::Stat { path: b"/".to_vec().into() }).await.unwrap();
    block_in_place(|| faults.wait_for_hanging(2));
    (native, sftp)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_kick_ends_sessions_whose_calls_hang_and_others_work_meanwhile() {
    let (host, faults) = host().await;
    let (mut native, mut sftp) = hang(&host, &faults).await;
    // More sessions than she has permits: these wait before their home is opened.
    let mut waiting = Vec::new();
    for _ in 0..10 {
        waiting.push(Exec::start(&host, "ann", "ls").await.unwrap());
    }
    let listed = tokio::time::timeout(LIMIT, run(&host, "bob", "ls", b"")).await;
    assert_eq!(listed.unwrap().unwrap().code, Some(0));
    assert_eq!((sessions(&host, "ann"), status(&host).abandoned), (12, 0));

    let kicked = control(&host, &ControlRequest::Kick { who: "ann".to_owned() });
    assert!(matches!(&kicked, ControlResponse::Kicked { sessions } if sessions.len() == 12), "{kicked:?}");
    block_in_place(|| until("her sessions end", || sessions(&host, "ann") == 0));
    assert!(native.next().await.is_err());
    assert!(!matches!(sftp.next().await, Ok(Some(_))));
    assert_eq!(status(&host).abandoned, 12);
    assert_eq!(run(&host, "bob", "ls", b"").await.unwrap().code, Some(0));

    faults.release();
    block_in_place(|| until("what hung is dropped", || status(&host).abandoned == 0));
    assert_eq!(run(&host, "ann", "ls", b"").await.unwrap().code, Some(0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_shutdown_does_not_wait_for_calls_that_hang() {
    let (mut host, faults) = host().await;
    let _sessions = hang(&host, &faults).await;
    tokio::time::timeout(LIMIT, host.stop()).await.unwrap().unwrap();
    faults.release();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_hanging_session_without_a_client_can_be_kicked() {
    let (host, faults) = host().await;
    drop(hang(&host, &faults).await);
    assert_eq!((sessions(&host, "ann"), status(&host).abandoned), (2, 0));
    control(&host, &ControlRequest::Kick { who: "ann".to_owned() });
    block_in_place(|| until("her sessions end", || sessions(&host, "ann") == 0));
    assert_eq!(status(&host).abandoned, 2);
    faults.release();
    block_in_place(|| until("what hung is dropped", || status(&host).abandoned == 0));
}
