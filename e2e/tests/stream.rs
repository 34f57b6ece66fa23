//! Standard input and standard output as files: by hand, and as a script uses them.

use sshome_e2e::tree::noise;
use sshome_e2e::{Client, Host, HostBuilder, Outcome, Peer, end_of, until};
use sshome_wire::{
    BLOCK, BlockHasher, Digest, End, Frame, Part, Payload, Put, Reply, Request, Status, Stored, StreamId,
    Usage,
};
use std::fs;
use std::io::{Read, Write};
use std::process::{Child, Stdio};

const MIB: usize = 1 << 20;
const ID: StreamId = StreamId([7; 16]);

async fn host() -> Host {
    Host::with_user("ann", "quota = \"200 MiB\"").await.unwrap()
}

fn begin(path: &str, resume: u32) -> Frame {
    let path = path.as_bytes().to_vec();
    let put = Put { path, size: None, mtime: None, source: None, mode: None, resume };
    Frame::Request(Request::PutStream { id: ID, put })
}

/// What the server says up to its answer: how much it has stored, and the answer.
async fn answer(peer: &mut Peer) -> (u64, Reply) {
    let mut stored = 0;
    loop {
        match peer.next().await.unwrap() {
            Frame::Stored(Stored { bytes }) => stored = bytes,
            Frame::Reply(reply) => return (stored, reply),
            other => panic!("{other:?}"),
        }
    }
}

/// Reads until the server has stored so much.
async fn stored(peer: &mut Peer, wanted: u64) {
    loop {
        match peer.next().await.unwrap() {
            Frame::Stored(Stored { bytes }) if bytes == wanted => return,
            Frame::Stored(Stored { bytes }) => assert!(bytes < wanted),
            other => panic!("{other:?}"),
        }
    }
}

/// What the server has of the stream: the digests of its blocks.
async fn status(peer: &mut Peer, path: &str) -> (Vec<Digest>, Status) {
    let request = Request::StreamStatus { path: path.as_bytes().to_vec(), id: ID };
    peer.send(&Frame::Request(request)).await.unwrap();
    let mut digests = Vec::new();
    loop {
        match peer.next().await.unwrap() {
            Frame::Blocks(blocks) => digests.extend(blocks.digests),
            Frame::Progress(_) => {}
            Frame::Reply(reply) => return (digests, reply.status),
            other => panic!("{other:?}"),
        }
    }
}

async fn parts(peer: &mut Peer) -> Vec<Part> {
    peer.send(&Frame::Request(Request::Parts)).await.unwrap();
    let mut parts = Vec::new();
    loop {
        match peer.next().await.unwrap() {
            Frame::Parts(more) => parts.extend(more),
            Frame::Reply(_) => return parts,
            other => panic!("{other:?}"),
        }
    }
}

async fn df(peer: &mut Peer) -> Usage {
    match peer.ask(Request::Df).await.unwrap().payload {
        Payload::Usage(usage) => usage,
        other => panic!("{other:?}"),
    }
}

/// Nothing is reserved or staged, and so many bytes are used, as on the disk.
async fn assert_books(host: &Host, used: usize) {
    let usage = df(&mut Peer::login(host, "ann").await.unwrap()).await;
    assert_eq!((usage.used, usage.reserved), (used as u64, 0));
    let files = fs::read_dir(host.home("ann")).unwrap().map(|entry| entry.unwrap().metadata().unwrap());
    assert_eq!(files.filter(|seen| seen.is_file()).map(|seen| seen.len()).sum::<u64>(), used as u64);
    assert_eq!(fs::read_dir(host.home("ann").join(".sshome-staging")).unwrap().count(), 0);
}

fn blocks(content: &[u8]) -> Vec<Digest> {
    let mut hasher = BlockHasher::new();
    hasher.update(content);
    hasher.blocks().to_vec()
}

#[tokio::test(flavor = "multi_thread")]
async fn whole_blocks_are_acknowledged_once_a_byte_follows() {
    let host = host().await;
    let mut peer = Peer::login(&host, "ann").await.unwrap();
    for (length, last) in [(0, 0), (1, 0), (BLOCK, 0), (BLOCK + 1, BLOCK), (3 * BLOCK, 2 * BLOCK)] {
        let content = noise(length as usize, "acknowledged");
        peer.send(&begin("f", 0)).await.unwrap();
        peer.send_data(&content).await.unwrap();
        peer.send(&Frame::End(end_of(&content))).await.unwrap();
        let (stored, reply) = answer(&mut peer).await;
        assert_eq!((stored, reply.status), (last, Status::Done), "{length}: {reply}");
        assert!(fs::read(host.home("ann").join("f")).unwrap() == content);
        assert_books(&host, content.len()).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn another_connection_goes_on_and_ends_the_one_that_hangs() {
    let host = host().await;
    let content = noise(10 * MIB, "taken over");
    let mut hanging = Peer::login(&host, "ann").await.unwrap();
    hanging.send(&begin("f", 0)).await.unwrap();
    hanging.send_data(&content[..9 * MIB]).await.unwrap();
    stored(&mut hanging, 2 * BLOCK).await;
    let mut peer = Peer::login(&host, "ann").await.unwrap();
    // Nobody can have the same stream twice.
    peer.send(&begin("f", 0)).await.unwrap();
    assert_eq!(answer(&mut peer).await.1.status, Status::Busy);
    peer.send(&Frame::Abort).await.unwrap();
    assert_eq!(status(&mut peer, "f").await, (blocks(&content[..9 * MIB]), Status::Resuming));
    while hanging.next_or_end().await.unwrap().is_some() {}
    // A file that is published meanwhile takes nothing away from it.
    let mut other = Peer::login(&host, "ann").await.unwrap();
    assert_eq!(other.put("f", b"old").await.unwrap().status, Status::Done);
    peer.send(&begin("f", 1)).await.unwrap();
    peer.send_data(&content[BLOCK as usize..]).await.unwrap();
    peer.send(&Frame::End(end_of(&content))).await.unwrap();
    assert_eq!(answer(&mut peer).await.1.status, Status::Done);
    assert!(fs::read(host.home("ann").join("f")).unwrap() == content);
    assert_books(&host, content.len()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_left_of_a_stream_is_nobody_elses() {
    let host = host().await;
    let content = noise(9 * MIB, "left");
    let mut peer = Peer::login(&host, "ann").await.unwrap();
    peer.send(&begin("f", 0)).await.unwrap();
    peer.send_data(&content).await.unwrap();
    stored(&mut peer, 2 * BLOCK).await;
    peer.vanish().await.unwrap();
    let mut peer = Peer::login(&host, "ann").await.unwrap();
    let mut left = parts(&mut peer).await;
    while left.is_empty() {
        left = parts(&mut peer).await;
    }
    assert_eq!(
        (left[0].path.as_slice(), left[0].length, left[0].size),
        (&b"/f"[..], content.len() as u64, 0)
    );
    assert_eq!(df(&mut peer).await.reserved, content.len() as u64);
    // Not of another name, and not to a put of a file.
    assert_eq!(status(&mut peer, "g").await, (vec![], Status::EnoughSpace));
    assert_eq!(status(&mut peer, "f").await.1, Status::Resuming);
    let path = b"f".to_vec();
    let put = Put { path, size: Some(9), mtime: None, source: None, mode: None, resume: 1 };
    peer.send(&Frame::Request(Request::Put(put))).await.unwrap();
    assert_eq!(answer(&mut peer).await.1.status, Status::Failed);
    peer.send(&Frame::Abort).await.unwrap();
    let discarded = peer.ask(Request::Discard { path: None }).await.unwrap();
    assert_eq!(discarded.message, "1 removed");
    assert_books(&host, 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_gives_a_stream_up_leaves_nothing() {
    let host = host().await;
    let content = noise(9 * MIB, "given up");
    let failed = End { status: Status::Failed, ..end_of(&content) };
    let wrong = end_of(b"something else");
    for end in [Frame::Abort, Frame::Cancel, Frame::End(failed), Frame::End(wrong)] {
        let mut peer = Peer::login(&host, "ann").await.unwrap();
        peer.send(&begin("f", 0)).await.unwrap();
        peer.send_data(&content).await.unwrap();
        stored(&mut peer, 2 * BLOCK).await;
        peer.send(&end).await.unwrap();
        assert!(answer(&mut peer).await.1.status.is_error(), "{end:?}");
        if end == Frame::Cancel {
            assert_eq!(answer(&mut peer).await.1.status, Status::Done);
        }
        assert!(parts(&mut peer).await.is_empty(), "{end:?}");
        assert_books(&host, 0).await;
    }
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
    assert!(outcome.err().contains("405 quota exceeded: f needs"), "{outcome}");
    assert!(fs::read(host.home("ann").join("f")).unwrap() == old);
    assert_books(&host, old.len()).await;
    // It takes the place of the old one, so that all of the quota is for it.
    let exact = &new[..20 * MIB];
    let outcome = client.piped(&["put", "-", "f"], exact);
    assert_eq!(outcome.code, Some(0), "{outcome}");
    assert!(fs::read(host.home("ann").join("f")).unwrap() == exact);
    assert_books(&host, exact.len()).await;
}

/// A client that is given its standard input.
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
        // Whoever has failed does not read to the end.
        let writing = std::thread::spawn(move || drop(stdin.write_all(&input)));
        let outcome = child.wait_with_output().unwrap().into();
        writing.join().unwrap();
        outcome
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn any_length_goes_in_and_comes_out() {
    let host = host().await;
    let client = Client::new(&host, "ann").unwrap();
    for length in [0, 1, BLOCK as usize, 100 * MIB + 17] {
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
    assert!(verified.contains("as it was stored"), "{verified}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_is_not_what_was_expected_is_not_published() {
    let host = host().await;
    let client = Client::new(&host, "ann").unwrap();
    let b3 = blake3::hash(b"abc").to_hex();
    let other = blake3::hash(b"abd").to_hex();
    for (options, words) in [
        (vec!["--size", "4"], "ended after 3 of 4 bytes"),
        (vec!["--size", "2"], "more than 2 bytes"),
        (vec!["--b3", other.as_str()], "another BLAKE3"),
        (vec!["--size=3", "--b3", other.as_str()], "another BLAKE3"),
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
async fn a_silent_producer_is_no_silent_server() {
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
    // A directory can be opened, and not be read.
    command.arg(client.destination()).args(["put", "-", "f"]).stdin(fs::File::open(client.work()).unwrap());
    let outcome: Outcome = command.output().unwrap().into();
    assert_eq!(outcome.code, Some(1), "{outcome}");
    assert!(outcome.err().contains("standard input cannot be read"), "{outcome}");
    assert!(!host.home("ann").join("f").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_has_read_enough_is_told_nothing() {
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
async fn a_file_that_rotted_is_told_of_by_the_exit_code() {
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
async fn batches_and_events() {
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
    // Nothing is left to read for a second one.
    fs::write(client.work().join("batch"), "put - f\nput - g\n").unwrap();
    let outcome = run(&["-q", "-b", "batch"], &[], "abc\n");
    assert_eq!(outcome.code, Some(2), "{outcome}");
    assert!(!host.home("ann").join("g").exists());
    for options in [&["-b", "-"][..], &[]] {
        let outcome = run(options, &[], "put - g\n");
        assert_eq!(outcome.code, Some(2), "{outcome}");
        assert!(outcome.err().contains("commands come from standard input"), "{outcome}");
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
    // Files that are called so are written so.
    fs::write(client.work().join("-"), "dash").unwrap();
    client.succeed(["put", "./-", "d"]).unwrap();
    client.succeed(["get", "d", "./-"]).unwrap();
    assert_eq!(fs::read(host.home("ann").join("d")).unwrap(), b"dash");
}
