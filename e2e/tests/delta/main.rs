//! Delta transfers: a new version of a file is sent as the difference to the old one.

mod by_hand;
#[path = "../cut/proxy.rs"]
mod proxy;

use proxy::Proxy;
use sshome_e2e::tree::noise;
use sshome_e2e::{Client, Host, HostBuilder, Outcome};
use std::fs;
use std::path::PathBuf;

const MIB: usize = 1 << 20;

/// A server, and a client behind a proxy that counts.
struct World {
    host: Host,
    proxy: Proxy,
    client: Client,
}

impl World {
    async fn new(settings: &str, cuts: &[u64]) -> World {
        World::at(Host::with_user("ann", settings).await.unwrap(), cuts).await
    }

    async fn at(host: Host, cuts: &[u64]) -> World {
        let proxy = Proxy::cutting(host.address(), cuts).await;
        let address = ([127, 0, 0, 1], proxy.port()).into();
        let client = Client::of(host.dir(), address, "ann").unwrap();
        World { host, proxy, client }
    }

    fn local(&self) -> PathBuf {
        self.client.work().join("big")
    }

    fn remote(&self) -> PathBuf {
        self.host.home("ann").join("big")
    }

    /// Runs a command that succeeds. Returns what it printed last, and the bytes that it needed.
    fn run(&self, command: &[&str]) -> (String, u64) {
        let before = self.proxy.carried();
        let outcome: Outcome = self.client.run(command).unwrap();
        assert_eq!(outcome.code, Some(0), "{outcome}");
        let last = outcome.out().lines().last().unwrap_or_default().to_owned();
        (last, self.proxy.carried() - before)
    }
}

/// The old version with some bytes replaced and some inserted.
fn edited(old: &[u8]) -> Vec<u8> {
    let mut new = old.to_vec();
    new[MIB..MIB + 3000].fill(7);
    new.splice(2 * MIB..2 * MIB, noise(5000, "inserted"));
    new
}

#[tokio::test(flavor = "multi_thread")]
async fn a_put_sends_only_what_changed() {
    let world = World::new("", &[]).await;
    let old = noise(8 * MIB, "old");
    for (command, done) in [("put", "1 file, 8.0 MiB"), ("push", "1 file, 8.0 MiB")] {
        fs::write(world.local(), &old).unwrap();
        let (_, whole) = world.run(&[command, "--delta", "always", "big", "big"]);
        assert!(whole > 8 * MIB as u64 || command == "push", "{whole} bytes of a first version");
        let new = edited(&old);
        fs::write(world.local(), &new).unwrap();
        let (line, sent) = world.run(&[command, "--delta=always", "big", "big"]);
        assert!(sent < MIB as u64 / 3, "{command}: {sent} bytes");
        assert!(line.starts_with(done) && line.contains("of it in old versions"), "{line}");
        assert!(fs::read(world.remote()).unwrap() == new);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_get_fetches_only_what_changed() {
    let world = World::new("", &[]).await;
    let old = noise(8 * MIB, "old");
    fs::write(world.local(), &old).unwrap();
    world.run(&["put", "big"]);
    let new = edited(&old);
    for command in [&["get", "-f", "--delta=always", "big"][..], &["pull", "--delta=always", "big", "big"]] {
        fs::write(world.remote(), &new).unwrap();
        fs::write(world.local(), &old).unwrap();
        let (line, received) = world.run(command);
        assert!(received < MIB as u64 / 3, "{command:?}: {received} bytes");
        assert!(line.starts_with("1 file, 8.0 MiB") && line.contains("of it in old versions"), "{line}");
        assert!(fs::read(world.local()).unwrap() == new);
    }
    // A file that is saved beside the old one is fetched in the same way.
    fs::write(world.local(), &old).unwrap();
    let (_, received) = world.run(&["get", "--delta=always", "big"]);
    assert!(received < MIB as u64 / 3, "{received} bytes");
    assert!(fs::read(world.client.work().join("big.new")).unwrap() == new);
    assert!(fs::read(world.local()).unwrap() == old);
    // Without an old version, and without a need.
    fs::remove_file(world.local()).unwrap();
    let (_, received) = world.run(&["get", "--delta=always", "big"]);
    assert!(received > 8 * MIB as u64 && fs::read(world.local()).unwrap() == new);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_interrupted_delta_download_resumes_as_a_delta() {
    let old = noise(24 * MIB, "old");
    let new = [&old[..20 * MIB], &noise(6 * MIB, "new"), &old[20 * MIB..]].concat();
    let world = World::new("", &[3 * MIB as u64]).await;
    fs::write(world.local(), &old).unwrap();
    fs::write(world.remote(), &new).unwrap();
    let outcome = world.client.run(["pull", "--delta=always", "big", "big"]).unwrap();
    assert_eq!(outcome.code, Some(0), "{outcome}");
    assert!(outcome.out().contains("resumed at"), "{outcome}");
    assert!(world.proxy.carried() < 11 * MIB as u64, "{} bytes", world.proxy.carried());
    assert_eq!(world.proxy.connections(), 2);
    assert!(fs::read(world.local()).unwrap() == new);
}

#[tokio::test(flavor = "multi_thread")]
async fn files_are_sent_as_a_whole_to_this_machine_or_if_that_is_wanted_or_nothing_is_in_common() {
    let world = World::new("", &[]).await;
    let old = noise(4 * MIB, "old");
    for options in [&[][..], &["--delta", "never"]] {
        fs::write(world.local(), &old).unwrap();
        world.run(&["push", "--delta=never", "big", "big"]);
        fs::write(world.local(), edited(&old)).unwrap();
        let (line, sent) = world.run(&[&["push"], options, &["big", "big"]].concat());
        assert!(sent > 4 * MIB as u64 && !line.contains("old versions"), "{sent} bytes: {line}");
    }
    let other = noise(4 * MIB, "other");
    fs::write(world.local(), &other).unwrap();
    let (line, sent) = world.run(&["push", "--delta=always", "big", "big"]);
    assert!(sent > 4 * MIB as u64 && !line.contains("old versions"), "{sent} bytes: {line}");
    assert!(fs::read(world.remote()).unwrap() == other);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_interrupted_delta_goes_on_after_its_blocks_and_as_a_delta() {
    let old = noise(24 * MIB, "old");
    // New data is at the end, so that the cut comes after blocks that were copied.
    let new = [&old[..20 * MIB], &noise(6 * MIB, "new"), &old[20 * MIB..]].concat();
    let world = World::new("", &[u64::MAX, 3 * MIB as u64]).await;
    fs::write(world.local(), &old).unwrap();
    world.run(&["put", "big"]);
    fs::write(world.local(), &new).unwrap();
    let before = world.proxy.carried();
    let outcome = world.client.run(["push", "--delta=always", "big", "big"]).unwrap();
    assert_eq!(outcome.code, Some(0), "{outcome}");
    let sent = world.proxy.carried() - before;
    assert!(outcome.out().contains("resumed at"), "{outcome}");
    // What was lost with the connection is sent again, and no more.
    assert!(sent < 11 * MIB as u64, "{sent} bytes");
    assert_eq!(world.proxy.connections(), 3);
    assert!(fs::read(world.remote()).unwrap() == new);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_quota_counts_a_delta_as_the_whole_file() {
    let world = World::new(r#"quota = "9 MiB""#, &[]).await;
    let old = noise(8 * MIB, "old");
    fs::write(world.local(), &old).unwrap();
    world.run(&["put", "big"]);
    let longer = [&old[..], &noise(2 * MIB, "more")].concat();
    fs::write(world.local(), &longer).unwrap();
    let refused = world.client.run(["push", "--delta=always", "big", "big"]).unwrap();
    assert!(refused.code != Some(0) && refused.err().contains("quota"), "{refused}");
    assert!(fs::read(world.remote()).unwrap() == old);
    // The old version lends its bytes to the new one, as with any put.
    fs::write(world.local(), edited(&old)).unwrap();
    let (line, _) = world.run(&["push", "--delta=always", "big", "big"]);
    assert!(line.contains("old versions"), "{line}");
    assert!(fs::read(world.remote()).unwrap() == edited(&old));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_may_not_read_puts_as_a_whole() {
    let host = HostBuilder::new().unwrap().restricted_user("ann", "", r#"access = "upload-only""#).unwrap();
    let world = World::at(host.start().await.unwrap(), &[]).await;
    fs::write(world.local(), noise(2 * MIB, "new")).unwrap();
    let (_, sent) = world.run(&["put", "--delta=always", "big", "other"]);
    assert!(sent > 2 * MIB as u64);
}
