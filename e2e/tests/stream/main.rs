//! Standard input and standard output as files: by hand, and as a script uses them.

mod by_hand;

use rustix::process::{Pid, Signal, kill_process};
use sshome_e2e::tree::noise;
use sshome_e2e::{Client, Host, HostBuilder, Outcome, Peer, until};
use sshome_wire::{BLOCK_BYTES, Payload, Request, Status, Usage};
use std::fs;
use std::io::{Read, Write};
use std::process::{Child, Stdio};

const MIB: usize = 1 << 20;

async fn host() -> Host {
    Host::with_user("ann", "quota = \"200 MiB\"").await.unwrap()
}

async fn df(peer: &mut Peer) -> Usage {
    match peer.ask(Request::Df).await.unwrap().payload {
        Payload::Usage(usage) => usage,
        other => panic!("{other:?}"),
    }
}

/// Checks that nothing is reserved or staged, and that this many bytes are used, as on the disk.
async fn assert_books(host: &Host, used: usize) {
    let usage = df(&mut Peer::login(host, "ann").await.unwrap()).await;
    assert_eq!((usage.used, usage.reserved), (used as u64, 0));
    let files = fs::read_dir(host.home("ann")).unwrap().map(|entry| entry.unwrap().metadata().unwrap());
    assert_eq!(files.filter(|seen| seen.is_file()).map(|seen| seen.len()).sum::<u64>(), used as u64);
    assert_eq!(fs::read_dir(host.home("ann").join(".sshome-staging")).unwrap().count(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_quota_in_the_middle_leaves_the_old_file() {
    let host = Host::with_user("ann", "quota = \"20 MiB\"").await.unwrap();
    let (old, new) = (noise(9 * MIB, "old"), noise(21 * MIB, "new"));
    let mut peer = Peer::login(&host, "ann").await.unwrap();
    assert_eq!(peer.put("f", &old).await.unwrap().status, Status::Done);
    let client = Client::new(&host, "ann").unwrap();
    let outcome = client.piped(&["put", "-", "f"], &new);
    assert_eq!(outcome.code, Some(1), "{outcome}");
    assert!(outcome.err().contains("quota exceeded: f needs"), "{outcome}");
    assert!(fs::read(host.home("ann").join("f")).unwrap() == old);
    assert_books(&host, old.len()).await;
    // It replaces the old file, so it may use the whole quota.
    let exact = &new[..20 * MIB];
    let outcome = client.piped(&["put", "-", "f"], exact);
    assert_eq!(outcome.code, Some(0), "{outcome}");
    assert!(fs::read(host.home("ann").join("f")).unwrap() == exact);
    assert_books(&host, exact.len()).await;
}

/// A client with a given standard input.
trait Piped {
    fn begin(&self, options: &[&str], arguments: &[&str]) -> Child;
    fn piped(&self, arguments: &[&str], input: &[u8]) -> Outcome;
}

impl Piped for Client {
    fn begin(&self, options: &[&str], arguments: &[&str]) -> Child {
        let mut command = self.command().unwrap();
        command.args(options).arg(self.destination()).args(arguments);
        command.stdin(Stdio::piped()).spawn().unwrap()
    }

    fn piped(&self, arguments: &[&str], input: &[u8]) -> Outcome {
        let mut child = self.begin(&[], arguments);
        let mut stdin = child.stdin.take().unwrap();
        let input = input.to_vec();
        // A failed client does not read to the end.
        let writing = std::thread::spawn(move || {
            let _ = stdin.write_all(&input);
        });
        let outcome = child.wait_with_output().unwrap().into();
        writing.join().unwrap();
        outcome
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn streams_of_any_length_round_trip() {
    let host = host().await;
    let client = Client::new(&host, "ann").unwrap();
    for length in [0, 1, BLOCK_BYTES as usize, 100 * MIB + 17] {
        let content = noise(length, "there and back");
        let outcome = client.piped(&["put", "-", "f"], &content);
        assert_eq!((outcome.code, outcome.err().as_str()), (Some(0), ""), "{length}: {outcome}");
        assert!(outcome.out().starts_with("1 file, "), "{outcome}");
        assert!(fs::read(host.home("ann").join("f")).unwrap() == content);
        assert_books(&host, length).await;
        let outcome = client.run(["get", "f", "-"]).unwrap();
        assert_eq!((outcome.code, outcome.err().as_str()), (Some(0), ""), "{length}");
        assert!(outcome.stdout == content, "{length}");
    }
    let verified = client.succeed(["hash", "--verify", "f"]).unwrap();
    assert!(verified.contains(": OK"), "{verified}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_with_unexpected_content_is_not_published() {
    let host = host().await;
    let client = Client::new(&host, "ann").unwrap();
    let b3 = blake3::hash(b"abc").to_hex();
    let other = blake3::hash(b"abd").to_hex();
    for (options, words) in [
        (vec!["--size", "4"], "ended after 3 of 4 bytes"),
        (vec!["--size", "2"], "more than 2 bytes"),
        (vec!["--b3", other.as_str()], "not that of --b3"),
        (vec!["--size=3", "--b3", other.as_str()], "not that of --b3"),
    ] {
        let outcome = client.piped(&[&["put", "-", "f"], &options[..]].concat(), b"abc");
        assert_eq!(outcome.code, Some(1), "{options:?}: {outcome}");
        assert!(outcome.err().contains(words), "{outcome}");
        assert!(!host.home("ann").join("f").exists());
    }
    let outcome = client.piped(&["put", "--size", "3", "--b3", b3.as_str(), "-", "f"], b"abc");
    assert_eq!(outcome.code, Some(0), "{outcome}");
    assert_books(&host, 3).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_producer_that_pauses_is_waited_for_and_a_killed_client_publishes_nothing() {
    let host = HostBuilder::new().unwrap().setting("stream-expiry = 1").user("ann", "").unwrap();
    let host = host.start().await.unwrap();
    let client = Client::new(&host, "ann").unwrap();
    let staging = host.home("ann").join(".sshome-staging");
    let arrived = |length: u64| {
        let files = fs::read_dir(&staging).into_iter().flatten();
        files.filter_map(|file| file.ok()?.metadata().ok()).any(|seen| seen.len() == length)
    };
    let mut child = client.begin(&[], &["put", "-", "f"]);
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(b"a line\n").unwrap();
    until("a line arrives by itself", || arrived(7));
    stdin.write_all(&vec![7; 9 * MIB]).unwrap();
    until("the rest arrives", || arrived(7 + 9 * MIB as u64));
    child.kill().unwrap();
    child.wait().unwrap();
    until("what it left is removed", || fs::read_dir(&staging).unwrap().count() == 0);
    assert!(!host.home("ann").join("f").exists());
    assert_books(&host, 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ctrl_c_does_not_wait_for_a_silent_producer_and_leaves_nothing() {
    let host = host().await;
    let client = Client::new(&host, "ann").unwrap();
    let staging = host.home("ann").join(".sshome-staging");
    let mut child = client.begin(&[], &["put", "-", "f"]);
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(&vec![7; 9 * MIB]).unwrap();
    let arrived = || {
        let files = fs::read_dir(&staging).into_iter().flatten();
        files.filter_map(|file| file.ok()?.metadata().ok()).any(|seen| seen.len() == 9 * MIB as u64)
    };
    until("what there is arrives", arrived);
    kill_process(Pid::from_child(&child), Signal::INT).unwrap();
    let mut said = (String::new(), String::new());
    child.stdout.take().unwrap().read_to_string(&mut said.0).unwrap();
    child.stderr.take().unwrap().read_to_string(&mut said.1).unwrap();
    // Its input is still open.
    assert_eq!((child.wait().unwrap().code(), said.1.lines().count()), (Some(6), 1), "{said:?}");
    assert!(stdin.write_all(b"more").is_err());
    assert!(!host.home("ann").join("f").exists());
    assert_books(&host, 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_silent_producer_does_not_time_out() {
    let host = host().await;
    let client = Client::new(&host, "ann").unwrap();
    let mut child = client.begin(&["--timeout", "1", "--retries", "0"], &["put", "-", "f"]);
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(b"abc").unwrap();
    let begun = std::time::Instant::now();
    until("the time is over twice", || begun.elapsed() > std::time::Duration::from_millis(2500));
    stdin.write_all(b"def").unwrap();
    drop(stdin);
    let outcome: Outcome = child.wait_with_output().unwrap().into();
    assert_eq!(outcome.code, Some(0), "{outcome}");
    assert_eq!(fs::read(host.home("ann").join("f")).unwrap(), b"abcdef");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_input_that_cannot_be_read_publishes_nothing() {
    let host = host().await;
    let client = Client::new(&host, "ann").unwrap();
    let mut command = client.command().unwrap();
    // A directory can be opened, but not read.
    command.arg(client.destination()).args(["put", "-", "f"]).stdin(fs::File::open(client.work()).unwrap());
    let outcome: Outcome = command.output().unwrap().into();
    assert_eq!(outcome.code, Some(1), "{outcome}");
    assert!(outcome.err().contains("standard input cannot be read"), "{outcome}");
    assert!(!host.home("ann").join("f").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_closed_output_ends_a_get_silently() {
    let host = host().await;
    fs::write(host.home("ann").join("f"), noise(20 * MIB, "enough")).unwrap();
    let client = Client::new(&host, "ann").unwrap();
    let mut child = client.begin(&[], &["get", "f", "-"]);
    let mut out = child.stdout.take().unwrap();
    out.read_exact(&mut [0; 1000]).unwrap();
    drop(out);
    let outcome: Outcome = child.wait_with_output().unwrap().into();
    assert_eq!((outcome.code, outcome.err().as_str()), (Some(1), ""), "{outcome}");
    let mut command = client.command().unwrap();
    command.arg(client.destination()).args(["get", "f", "-"]);
    let full = fs::File::options().write(true).open("/dev/full").unwrap();
    let outcome: Outcome = command.stdout(full).output().unwrap().into();
    assert_eq!(outcome.code, Some(1));
    assert_eq!(outcome.err().lines().count(), 1, "{outcome}");
    assert!(outcome.err().contains("standard output cannot be written"), "{outcome}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_corrupt_file_sets_the_exit_code() {
    let host = host().await;
    let client = Client::new(&host, "ann").unwrap();
    assert_eq!(client.piped(&["put", "-", "f"], b"abc").code, Some(0));
    let path = host.home("ann").join("f");
    let time = fs::metadata(&path).unwrap().modified().unwrap();
    fs::write(&path, b"abd").unwrap();
    fs::File::options().write(true).open(&path).unwrap().set_modified(time).unwrap();
    let outcome = client.run(["get", "f", "-"]).unwrap();
    assert_eq!((outcome.code, outcome.stdout.as_slice()), (Some(1), &b"abd"[..]), "{outcome}");
    assert!(outcome.err().contains("407"), "{outcome}");
    let outcome = client.run(["get", "nowhere", "-"]).unwrap();
    assert_eq!((outcome.code, outcome.stdout.len()), (Some(1), 0), "{outcome}");
}

#[tokio::test(flavor = "multi_thread")]
async fn streams_work_in_batches_and_have_events() {
    let host = host().await;
    let client = Client::new(&host, "ann").unwrap();
    let run = |options: &[&str], arguments: &[&str], input: &str| -> Outcome {
        let mut child = client.begin(options, arguments);
        child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
        child.wait_with_output().unwrap().into()
    };
    fs::write(client.work().join("batch"), "put - f\n@get f -\n").unwrap();
    let outcome = run(&["-q", "-b", "batch"], &[], "abc\n");
    assert_eq!((outcome.code, outcome.out().as_str()), (Some(0), "abc\n"), "{outcome}");
    // Nothing is left for the second one to read.
    fs::write(client.work().join("batch"), "put - f\nput - g\n").unwrap();
    let outcome = run(&["-q", "-b", "batch"], &[], "abc\n");
    assert_eq!(outcome.code, Some(2), "{outcome}");
    assert!(!host.home("ann").join("g").exists());
    for options in [&["-b", "-"][..], &[]] {
        let outcome = run(options, &[], "put - g\n");
        assert_eq!(outcome.code, Some(2), "{outcome}");
        assert!(outcome.err().contains("standard input holds the commands"), "{outcome}");
    }
    let outcome = run(&["--json"], &["get", "f", "-"], "");
    assert_eq!(outcome.code, Some(2), "{outcome}");
    assert!(outcome.err().contains("cannot both go"), "{outcome}");
    let outcome = run(&["--json"], &["put", "-", "f", "--size=4"], "abc\n");
    assert_eq!(outcome.code, Some(0), "{outcome}");
    let events: Vec<serde_json::Value> =
        outcome.out().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(events[0]["arguments"], serde_json::json!(["--size=4", "-", "f"]));
    let file = events.iter().find(|event| event["event"] == "file").unwrap();
    assert_eq!((&file["name"], &file["bytes"]), (&"/f".into(), &4.into()));
    assert_eq!(file["digest"], blake3::hash(b"abc\n").to_hex().as_str());
    // A file with this name must be written like this.
    fs::write(client.work().join("-"), "dash").unwrap();
    client.succeed(["put", "./-", "d"]).unwrap();
    client.succeed(["get", "d", "./-"]).unwrap();
    assert_eq!(fs::read(host.home("ann").join("d")).unwrap(), b"dash");
}
