//! Compressed file data: what travels, by the bytes that a proxy has carried, and that every file is still whole.

mod by_hand;
#[path = "../cut/proxy.rs"]
mod proxy;

use proxy::Proxy;
use sshome_e2e::tree::{contents, noise};
use sshome_e2e::{Client, Host, Outcome};
use std::fs;
use std::io::Write;
use std::process::Stdio;

const MIB: usize = 1 << 20;

/// Lines of a log: they compress to about a third.
fn text(length: usize) -> Vec<u8> {
    let numbers = noise(length / 6 + 4, "lines");
    let lines = numbers.chunks_exact(4).flat_map(|n| {
        format!("stored {:02x}{:02x}{:02x} of session {}\n", n[0], n[1], n[2], n[3]).into_bytes()
    });
    let text: Vec<u8> = lines.take(length).collect();
    assert_eq!(text.len(), length);
    text
}

/// A server, and a client that reaches it through a proxy.
struct World {
    host: Host,
    proxy: Proxy,
    client: Client,
}

impl World {
    async fn new(settings: &str, cuts: &[u64]) -> World {
        let host = Host::with_user("ann", settings).await.unwrap();
        let proxy = Proxy::cutting(host.address(), cuts).await;
        let client = Client::of(host.dir(), ([127, 0, 0, 1], proxy.port()).into(), "ann").unwrap();
        World { host, proxy, client }
    }

    fn local(&self, name: &str, content: &[u8]) {
        let path = self.client.work().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    /// Runs the client. Returns its outcome, and how many bytes the proxy has carried for it.
    fn run(&self, options: &[&str], arguments: &[&str]) -> (Outcome, usize) {
        self.piped(options, arguments, &[])
    }

    /// The same with standard input.
    fn piped(&self, options: &[&str], arguments: &[&str], input: &[u8]) -> (Outcome, usize) {
        let before = self.proxy.carried();
        let mut command = self.client.command().unwrap();
        command.args(options).arg(self.client.destination()).args(arguments).stdin(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        let input = input.to_vec();
        let writing = std::thread::spawn(move || stdin.write_all(&input).unwrap());
        let outcome: Outcome = child.wait_with_output().unwrap().into();
        writing.join().unwrap();
        assert_eq!(outcome.code, Some(0), "{outcome}");
        (outcome, (self.proxy.carried() - before) as usize)
    }

    /// Puts and gets a file, with these options. Returns the outcomes, and the bytes carried.
    fn there_and_back(&self, options: &[&str], name: &str, content: &[u8]) -> [(Outcome, usize); 2] {
        self.local(name, content);
        let put = self.run(options, &["put", name]);
        assert!(fs::read(self.host.home("ann").join(name)).unwrap() == content);
        fs::remove_file(self.client.work().join(name)).unwrap();
        let got = self.run(options, &["get", name]);
        assert!(fs::read(self.client.work().join(name)).unwrap() == content);
        [put, got]
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn with_zstd_text_shrinks_in_both_directions_and_noise_does_not() {
    let world = World::new("", &[]).await;
    let (text, noise) = (text(6 * MIB + 5), noise(6 * MIB + 5, "file"));
    for (outcome, carried) in world.there_and_back(&["--compress=zstd"], "text", &text) {
        assert!(carried < text.len() / 2, "{carried}: {outcome}");
        assert!(outcome.out().contains("6.0 MiB in "), "{outcome}");
        assert!(outcome.out().contains(", saved by compression: "), "{outcome}");
    }
    for (outcome, carried) in world.there_and_back(&["--compress=zstd"], "noise", &noise) {
        assert!(carried > noise.len(), "{carried}: {outcome}");
        assert!(!outcome.out().contains("saved"), "{outcome}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn with_never_nothing_shrinks_over_a_slow_link_either() {
    let world = World::new("download-rate = \"8 MiB/s\"", &[]).await;
    let text = text(4 * MIB);
    for (outcome, carried) in world.there_and_back(&["-l", "64000", "--compress=never"], "text", &text) {
        assert!(carried > text.len(), "{carried}: {outcome}");
        assert!(!outcome.out().contains("saved"), "{outcome}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn by_default_text_shrinks_over_a_slow_link_and_noise_does_not() {
    // A get waits for the server's limit, a put for the client's.
    // The link is slow enough to be slower than any machine that runs this.
    let world = World::new("download-rate = \"2 MiB/s\"", &[]).await;
    let (text, noise) = (text(8 * MIB), noise(3 * MIB, "file"));
    for (outcome, carried) in world.there_and_back(&["-l", "16000"], "text", &text) {
        assert!(carried < text.len() * 2 / 3, "{carried}: {outcome}");
        assert!(outcome.out().contains(", saved by compression: "), "{outcome}");
    }
    for (outcome, carried) in world.there_and_back(&["-l", "16000"], "noise", &noise) {
        assert!(carried > noise.len(), "{carried}: {outcome}");
        assert!(!outcome.out().contains("saved"), "{outcome}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_put_shrinks_if_the_server_limits_its_rate() {
    let world = World::new("upload-rate = \"2 MiB/s\"", &[]).await;
    let text = text(24 * MIB);
    world.local("text", &text);
    let (outcome, carried) = world.run(&[], &["put", "text"]);
    assert!(carried < text.len() * 2 / 3, "{carried}: {outcome}");
    assert!(fs::read(world.host.home("ann").join("text")).unwrap() == text);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_over_several_connections_is_compressed() {
    let world = World::new("", &[]).await;
    let content = [text(MIB), vec![0; 128 * MIB]].concat();
    for (outcome, carried) in world.there_and_back(&["--compress=zstd", "-j", "2"], "big", &content) {
        assert!(carried < 2 * MIB, "{carried}: {outcome}");
        assert!(outcome.out().contains(", saved by compression: "), "{outcome}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn programs_get_what_was_saved_as_a_number() {
    let world = World::new("", &[]).await;
    world.local("text", &text(MIB));
    let saved = |options: &[&str]| {
        let (outcome, _) = world.run(&[&["--json"], options].concat(), &["put", "text"]);
        let last = outcome.out().lines().last().unwrap().to_owned();
        let summary: serde_json::Value = serde_json::from_str(&last).unwrap();
        assert_eq!(summary["bytes"], MIB, "{summary}");
        summary["saved_by_compression"].as_u64().unwrap() as usize
    };
    assert_eq!(saved(&["--compress=never"]), 0);
    assert!((MIB / 2..MIB).contains(&saved(&["--compress=zstd"])));
}

#[tokio::test(flavor = "multi_thread")]
async fn trees_of_small_files_shrink_over_several_connections() {
    let world = World::new("", &[]).await;
    let text = text(8 << 10);
    let mut length = 0;
    for number in 0..300 {
        let content = &text[..(number * 37) % text.len()];
        world.local(&format!("tree/{}/{number}", number % 7), content);
        length += content.len();
    }
    let (outcome, carried) = world.run(&["--compress=zstd", "-j", "2"], &["put", "-r", "tree"]);
    assert!(carried < length * 2 / 3, "{carried} of {length}: {outcome}");
    assert!(outcome.out().contains(", saved by compression: "), "{outcome}");
    let there = contents(&world.host.home("ann").join("tree")).unwrap();
    assert!(there == contents(&world.client.work().join("tree")).unwrap());
    fs::rename(world.client.work().join("tree"), world.client.work().join("old")).unwrap();
    let (outcome, carried) = world.run(&["--compress=zstd", "-j", "2"], &["get", "-r", "tree"]);
    assert!(carried < length * 2 / 3, "{carried} of {length}: {outcome}");
    assert!(there == contents(&world.client.work().join("tree")).unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_push_shrinks_too() {
    let world = World::new("", &[]).await;
    world.local("tree/a", &text(2 * MIB));
    world.local("tree/b", &noise(MIB, "b"));
    let (outcome, carried) = world.run(&["--compress=zstd"], &["push", "tree", "there"]);
    assert!((MIB..2 * MIB).contains(&carried), "{carried}: {outcome}");
    assert!(outcome.out().contains(", saved by compression: "), "{outcome}");
    let there = contents(&world.host.home("ann").join("there")).unwrap();
    assert!(there == contents(&world.client.work().join("tree")).unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn lost_connections_are_resumed_after_compressed_data() {
    let text = text(40 * MIB);
    for command in ["put", "get"] {
        let world = World::new("", &[4 << 20, 4 << 20]).await;
        let (here, there) = (world.client.work().join("text"), world.host.home("ann").join("text"));
        let (from, to) = if command == "put" { (here, there) } else { (there, here) };
        fs::write(from, &text).unwrap();
        let (outcome, carried) = world.run(&["--compress=zstd"], &[command, "text"]);
        assert!(outcome.out().contains("text: resumed at "), "{outcome}");
        assert_eq!(world.proxy.connections(), 3, "{outcome}");
        assert!(carried < text.len() * 2 / 3, "{carried}: {outcome}");
        assert!(fs::read(to).unwrap() == text);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn streams_shrink_and_are_replayed_over_another_connection() {
    let text = text(30 * MIB + 1);
    let world = World::new("", &[4 << 20, u64::MAX, 4 << 20]).await;
    let (outcome, carried) = world.piped(&["--compress=zstd"], &["put", "-", "text"], &text);
    assert!(carried < text.len() * 2 / 3, "{carried}: {outcome}");
    assert!(outcome.out().contains(", saved by compression: "), "{outcome}");
    assert!(fs::read(world.host.home("ann").join("text")).unwrap() == text);
    let (outcome, carried) = world.run(&["--compress=zstd"], &["get", "text", "-"]);
    assert!(outcome.stdout == text);
    assert!(carried < text.len() * 2 / 3, "{carried}");
    assert_eq!(world.proxy.connections(), 4, "both were cut");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_quota_counts_what_data_decompresses_to() {
    let world = World::new("quota = \"2 MiB\"", &[]).await;
    world.local("here", b"five!");
    world.run(&[], &["put", "here"]);
    let exact = text(2 * MIB - 5);
    world.there_and_back(&["--compress=zstd"], "there", &exact);
    world.local("more", &text(2 * MIB - 4));
    let mut command = world.client.command().unwrap();
    command.arg("--compress=zstd").arg(world.client.destination()).args(["put", "more", "there"]);
    let refused = Outcome::from(command.output().unwrap());
    assert_eq!(refused.code, Some(1), "{refused}");
    assert!(refused.err().contains("quota exceeded"), "{refused}");
    assert!(fs::read(world.host.home("ann").join("there")).unwrap() == exact);
}
