//! A server answers before it has counted its homes. Reads and removals are served meanwhile; requests that store wait.

use sshome_e2e::sftp::SftpPeer;
use sshome_e2e::tree::on_disk;
use sshome_e2e::{Client, Exec, Host, HostBuilder, Peer, run, until};
use sshome_store::conformance::CountHold;
use sshome_store_posix::{CountPhase, PosixStore};
use sshome_wire::{Payload, Request, Status};
use sshomed::control::{ControlRequest, ControlResponse, HomeReport, ask};
use std::sync::Arc;
use std::time::Duration;
use tokio::task::block_in_place;

/// A test that waits longer has failed.
const LIMIT: Duration = Duration::from_secs(60);

/// Users with a home each.
const USERS: usize = 20;

fn name(user: usize) -> String {
    format!("u{user:02}")
}

/// A server with homes of two files each, whose counts are held.
async fn host() -> (Host, CountHold<CountPhase>) {
    let mut builder = HostBuilder::new().unwrap();
    for user in 0..USERS {
        builder = builder.user(&name(user), "quota = \"1 MiB\"").unwrap();
    }
    let mut host = builder.prepare().unwrap();
    for user in 0..USERS {
        let home = host.home(&name(user));
        std::fs::create_dir_all(home.join("d")).unwrap();
        std::fs::write(home.join("f"), "content").unwrap();
        std::fs::write(home.join("d/g"), "more").unwrap();
    }
    let hold = CountHold::held();
    host.start_with(observed(&hold)).await.unwrap();
    (host, hold)
}

fn observed(hold: &CountHold<CountPhase>) -> Arc<PosixStore> {
    let hold = hold.clone();
    Arc::new(PosixStore::observed(move |user, phase| hold.pass(user, phase)))
}

fn homes(host: &Host) -> Vec<HomeReport> {
    match block_in_place(|| ask(&host.dir().join("run/control"), &ControlRequest::Status).unwrap()) {
        ControlResponse::Status(status) => status.homes,
        other => panic!("{other:?}"),
    }
}

/// Waits until all homes are counted, and checks that the accounting matches the disk.
fn assert_accounting(host: &Host) {
    block_in_place(|| until("all homes are counted", || homes(host).iter().all(|home| !home.counting)));
    let homes = homes(host);
    assert_eq!(homes.len(), USERS);
    for home in homes {
        assert_eq!((home.used, home.entries), on_disk(&host.home(&home.user)), "{}", home.user);
        assert_eq!(home.reserved, 0);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn reads_and_removals_are_served_and_uploads_wait_in_each_protocol() {
    let (host, hold) = host().await;
    assert!(homes(&host).iter().all(|home| home.counting));
    for user in 0..USERS {
        let user = name(user);
        let mut peer = Peer::login(&host, &user).await.unwrap();
        assert_eq!(peer.get("f").await.unwrap().unwrap(), b"content");
        assert_eq!(peer.list("", true).await.unwrap().0.len(), 2);
        assert_eq!(run(&host, &user, "rm d/g", b"").await.unwrap().code, Some(0));
        let df = peer.ask(Request::Df).await.unwrap();
        assert!(df.message.contains("the home is being counted, "), "{df}");
        assert!(matches!(df.payload, Payload::Usage(usage) if usage.used == 0));
    }
    let mut sftp = SftpPeer::login(&host, "u00").await.unwrap();
    assert_eq!(sftp.get("f").await.unwrap().unwrap(), b"content");
    let mut native = Peer::login(&host, "u01").await.unwrap();
    let exec = Exec::start(&host, "u02", "put new").await.unwrap();
    exec.send(b"data").await.unwrap();
    exec.end().await.unwrap();
    let copy = Exec::start(&host, "u03", "cp f new").await.unwrap();
    let (over_sftp, put) = tokio::join!(sftp.put("new", b"data"), async {
        let put = async { native.put("new", b"data").await };
        let release = async {
            assert!((0..4).all(|user| !host.home(&name(user)).join("new").exists()));
            hold.release();
        };
        tokio::join!(put, release).0
    });
    assert_eq!((over_sftp.unwrap(), put.unwrap().status), (None, Status::Done));
    for command in [exec, copy] {
        let outcome = command.finish().await.unwrap();
        assert_eq!(outcome.code, Some(0), "{outcome}");
    }
    assert!((0..4).all(|user| host.home(&name(user)).join("new").exists()));
    assert_accounting(&host);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_put_waits_for_the_count_and_df_says_that_it_is_running() {
    let (host, hold) = host().await;
    let client = Client::new(&host, "u05").unwrap();
    std::fs::write(client.work().join("new"), [7; 10_000]).unwrap();
    let df = block_in_place(|| client.run(["df"]).unwrap());
    assert_eq!(df.code, Some(0));
    assert!(df.err().contains("the home is being counted, "), "{df}");
    let waits = std::thread::spawn(move || client.run(["put", "new"]).unwrap());
    let has_begun = || hold.reached(0).iter().any(|(user, _)| user == "u05");
    // The user has logged in: the home is counted once one of the two that are held is done.
    for _ in 0..4 {
        hold.pass_one();
    }
    block_in_place(|| until("the home of the user is counted", has_begun));
    hold.release();
    let put = block_in_place(|| waits.join().unwrap());
    assert_eq!(put.code, Some(0), "{put}");
    assert_accounting(&host);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_shutdown_ends_counts_and_the_requests_that_wait_for_them() {
    let (mut host, hold) = host().await;
    let mut peer = Peer::login(&host, "u00").await.unwrap();
    peer.begin_put("new", Some(1)).await.unwrap();
    let command = Exec::start(&host, "u01", "mkdir d2").await.unwrap();
    tokio::time::timeout(LIMIT, host.stop()).await.unwrap().unwrap();
    drop(command);
    // The counting threads are still held, but the homes are free for the next server.
    host.start_with(observed(&CountHold::default())).await.unwrap();
    assert_accounting(&host);
    hold.release();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_scan_waits_for_the_count_and_a_new_user_need_not_wait_for_it() {
    let (host, hold) = host().await;
    let control = host.dir().join("run/control");
    let scan = std::thread::spawn(move || {
        ask(&control, &ControlRequest::QuotaScan { user: Some("u07".to_owned()) }).unwrap()
    });
    let file = host.dir().join("etc/users.toml");
    let text = std::fs::read_to_string(&file).unwrap();
    let added = text.replace("[users.u00]", "[users.zoe]").split("[users.u01]").next().unwrap().to_owned();
    let zoe = added.split("[users.zoe]").nth(1).unwrap().to_owned();
    std::fs::write(&file, format!("{text}\n[users.zoe]{zoe}")).unwrap();
    let control = host.dir().join("run/control");
    let reloaded = block_in_place(|| ask(&control, &ControlRequest::Reload).unwrap());
    assert!(matches!(&reloaded, ControlResponse::Reloaded { unavailable, .. } if unavailable.is_empty()));
    assert_eq!(run(&host, "zoe", "ls", b"").await.unwrap().code, Some(0));
    assert!(!scan.is_finished());
    hold.release();
    match block_in_place(|| scan.join().unwrap()) {
        ControlResponse::Scanned { homes } => {
            let found = homes[0].compared.unwrap();
            assert_eq!((found.bytes, found.entries, found.bytes_off, found.entries_off), (11, 3, 0, 0));
        }
        other => panic!("{other:?}"),
    }
}
