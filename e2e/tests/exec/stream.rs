//! `get` and `put`: files as streams, and how they end.

use crate::done;
use sshome_e2e::tree::noise;
use sshome_e2e::{Exec, Host, Peer, end_of, run, until};
use sshome_wire::{Payload, Request};
use std::fs;
use std::path::Path;

const MIB: usize = 1 << 20;

/// Waits until nothing is staged.
fn settled(home: &Path) {
    let staging = home.join(".sshome-staging");
    until("nothing is staged", || fs::read_dir(&staging).is_ok_and(|staged| staged.count() == 0));
}

/// Waits until something is staged: the server has seen the command and opened the file.
fn begun(home: &Path) {
    let staging = home.join(".sshome-staging");
    until("something is staged", || fs::read_dir(&staging).is_ok_and(|staged| staged.count() > 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_aborted_upload_is_not_published() {
    let host = Host::with_user("ann", "").await.unwrap();
    let home = host.home("ann");
    fs::write(home.join("f"), b"old").unwrap();
    for length in [0, 1, 70_000, 3 * MIB] {
        let start = async || {
            let put = Exec::start(&host, "ann", "put f").await.unwrap();
            put.send(&noise(length, "new")).await.unwrap();
            begun(&home);
            put
        };
        start().await.close().await.unwrap();
        settled(&home);
        start().await.vanish().await.unwrap();
        settled(&home);
        drop(start().await);
        settled(&home);
        assert_eq!(fs::read(home.join("f")).unwrap(), b"old", "{length}");
    }
    // A client that has ended its input need not wait for the answer.
    let put = Exec::start(&host, "ann", "put f").await.unwrap();
    put.send(b"new").await.unwrap();
    put.end().await.unwrap();
    put.close().await.unwrap();
    until("it is published", || fs::read(home.join("f")).unwrap() == b"new");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_ends_publishes_nothing_that_is_not_whole() {
    let mut host = Host::with_user("ann", "").await.unwrap();
    let put = Exec::start(&host, "ann", "put f").await.unwrap();
    put.send(b"half").await.unwrap();
    begun(&host.home("ann"));
    host.stop().await.unwrap();
    settled(&host.home("ann"));
    assert!(!host.home("ann").join("f").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_must_match_the_announced_size_and_digest() {
    let host = Host::with_user("ann", "quota = \"10 MiB\"").await.unwrap();
    let (content, file) = (noise(100_000, "content"), host.home("ann").join("f"));
    let digest = blake3::hash(&content).to_string();
    for (options, errors) in [
        (
            "--size 99999".to_owned(),
            "put: digest mismatch: /f: more data arrived than was announced; nothing was published\n",
        ),
        (
            "--size 100001".to_owned(),
            "put: digest mismatch: /f: the file arrived incomplete; nothing was published\n",
        ),
        (
            format!("--b3 {}", "0".repeat(64)),
            "put: digest mismatch: /f: the data received differ from the data sent; nothing was published\n",
        ),
        (
            format!("--size=99999999 --b3={digest}"),
            "put: quota exceeded: f needs 95.4 MiB, 10.0 MiB of 10.0 MiB are left\n",
        ),
    ] {
        let outcome = run(&host, "ann", format!("put {options} f"), &content).await.unwrap();
        assert_eq!((outcome.code, outcome.err().as_str()), (Some(1), errors), "{options}");
        assert!(!file.exists());
    }
    for options in ["--size 1x", "--b3 12", "--b3"] {
        assert_eq!(run(&host, "ann", format!("put f {options}"), &content).await.unwrap().code, Some(2));
    }
    let line = format!("put --size 100000 --b3 {digest} f");
    assert_eq!(run(&host, "ann", line, &content).await.unwrap().code, Some(0));
    assert!(fs::read(file).unwrap() == content);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_quota_holds_to_the_byte() {
    let host = Host::with_user("ann", "quota = \"10 MiB\"").await.unwrap();
    let home = host.home("ann");
    let put = async |line: &str, length| run(&host, "ann", line, &vec![7; length]).await.unwrap().code;
    assert_eq!(put("put f", 10 * MIB).await, Some(0));
    assert_eq!(put("put f", 10 * MIB).await, Some(0));
    assert_eq!(put("put f", 10 * MIB + 1).await, Some(1));
    assert_eq!(put("put --size 10485761 f", 10 * MIB + 1).await, Some(1));
    assert_eq!(put("put g", 1).await, Some(1));
    assert_eq!(put("put g", 0).await, Some(0));
    assert_eq!(fs::metadata(home.join("f")).unwrap().len(), 10 << 20);
    assert_eq!(run(&host, "ann", "cp f h", b"").await.unwrap().code, Some(1));
    assert_eq!(put("put f", 4 * MIB).await, Some(0));
    done(&host, "cp f h").await;
    assert_eq!(put("put g", 2 * MIB + 1).await, Some(1));
    assert_eq!(put("put g", 2 * MIB).await, Some(0));
    done(&host, "rm h").await;
    done(&host, "mv g f").await;
    settled(&home);
    let mut peer = Peer::login(&host, "ann").await.unwrap();
    let Payload::Usage(usage) = peer.ask(Request::Df).await.unwrap().payload else { panic!("no usage") };
    assert_eq!((usage.used, usage.reserved, usage.entries), (2 << 20, 0, 1));
}

/// The end of a stream arrives, whatever the sizes of the client's window and packets.
#[tokio::test(flavor = "multi_thread")]
async fn files_of_every_boundary_length_arrive_whole() {
    let host = Host::with_user("ann", "").await.unwrap();
    let (window, packet) = (100_000, 32_768);
    let borders = [0, 1, packet, 2 * packet, window, 2 * window, 256 << 10, MIB, MIB + window];
    for border in borders {
        for length in border.saturating_sub(1)..=border + 1 {
            let content = noise(length, "tail");
            fs::write(host.home("ann").join("f"), &content).unwrap();
            let get = Exec::narrow(&host, "ann", "get f", window as u32, packet as u32).await.unwrap();
            get.end().await.unwrap();
            let got = get.finish().await.unwrap();
            assert!(got.code == Some(0) && got.stdout == content, "{length}: {:?}", got.code);
        }
    }
}

/// A client that sends input that nobody reads still gets its answer.
#[tokio::test(flavor = "multi_thread")]
async fn unread_input_blocks_nothing() {
    let host = Host::with_user("ann", "").await.unwrap();
    let content = noise(30 * MIB, "both ways");
    fs::write(host.home("ann").join("f"), &content).unwrap();
    let got = run(&host, "ann", "get f", &vec![1; 100 * MIB]).await.unwrap();
    assert!(got.code == Some(0) && got.stdout == content);
    let listed = run(&host, "ann", "ls", &vec![1; 10 * MIB]).await.unwrap();
    assert_eq!(listed.out(), "f\n");
}

/// Clients that vanish in the middle of a get, or do not read it, harm no other.
#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_does_not_read_harms_nobody() {
    let mut host = Host::with_user("ann", "").await.unwrap();
    fs::write(host.home("ann").join("big"), vec![1; 100 * MIB]).unwrap();
    let mut stuck = Vec::new();
    for _ in 0..20 {
        let mut get = Exec::start(&host, "ann", "get big").await.unwrap();
        get.end().await.unwrap();
        get.read(1).await.unwrap();
        stuck.push(get);
    }
    stuck.remove(0).close().await.unwrap();
    stuck.remove(0).vanish().await.unwrap();
    assert_eq!(done(&host, "ls").await, "big\n");
    host.stop().await.unwrap();
}

/// A file that was corrupted on the disk is sent, and the exit status reports it.
#[tokio::test(flavor = "multi_thread")]
async fn a_corrupt_file_is_reported() {
    let host = Host::with_user("ann", "").await.unwrap();
    let mut peer = Peer::login(&host, "ann").await.unwrap();
    let (content, file) = (noise(5000, "sound"), host.home("ann").join("f"));
    peer.begin_put("f", Some(5000)).await.unwrap();
    peer.send_data(&content).await.unwrap();
    peer.send(&sshome_wire::Frame::End(end_of(&content))).await.unwrap();
    peer.reply().await.unwrap();
    let mtime = fs::metadata(&file).unwrap().modified().unwrap();
    fs::OpenOptions::new().write(true).open(&file).unwrap().set_len(4999).unwrap();
    let rot = fs::OpenOptions::new().append(true).open(&file).unwrap();
    std::io::Write::write_all(&mut &rot, b"?").unwrap();
    rot.set_modified(mtime).unwrap();
    let got = run(&host, "ann", "get f", b"").await.unwrap();
    assert_eq!((got.code, got.stdout.len()), (Some(1), 5000));
    assert!(got.err().contains("is not what was stored"), "{got}");
}
