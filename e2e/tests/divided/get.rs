//! Gets of a large file.

use super::client::{InProcessClient, noise, until};
use super::proxy::Proxy;
use super::{BIG, MIB, PLAIN, World, assert_one, over, resumed};
use sshome::conversation::ConversationError;
use sshome::transfer::TransferOptions;
use sshome_wire::{BLOCK_BYTES, Status};
use std::fs;
use std::io::Write;
use std::time::Duration;

const WHOLE: u64 = BIG as u64;

impl World {
    /// One with the file on the server.
    async fn with_big(cuts: &[u64]) -> (World, Vec<u8>) {
        let (world, content) = (World::new(cuts).await, noise(BIG, 1));
        fs::write(world.host.home("ann").join("big"), &content).unwrap();
        world.proxy.await_connections(3);
        (world, content)
    }

    /// A get with this number of connections, and no retries.
    async fn get_once(&self, client: &mut InProcessClient, jobs: &str) -> Result<u64, ConversationError> {
        let summary = client.get(&["/big"], "", over(jobs)).await?;
        assert_one(&summary);
        assert_eq!(client.heard(), (WHOLE, vec![(WHOLE, resumed(&summary))]));
        assert_eq!(client.names(), ["big"]);
        Ok(resumed(&summary))
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_is_fetched_over_three_connections() {
    let (mut world, content) = World::with_big(&[]).await;
    let summary = world.client.get(&["/big"], "", over("3")).await.unwrap();
    assert_one(&summary);
    assert_eq!((resumed(&summary), world.client.heard()), (0, (WHOLE, vec![(WHOLE, 0)])));
    assert!(world.client.read("big") == content);
    assert_eq!(world.client.names(), ["big"]);
    let each = world.proxy.carried_each();
    assert!(each.len() == 3 && each.iter().all(|carried| *carried > 2 * BLOCK_BYTES), "{each:?}");
    assert!(each.iter().sum::<u64>() < WHOLE + MIB as u64, "{each:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_with_a_stored_digest_is_compared_with_it() {
    let (mut world, content) = (World::new(&[]).await, noise(BIG, 2));
    world.client.write("local", &content);
    world.client.put(&["local"], "/big", PLAIN).await.unwrap();
    world.client.get(&["/big"], "copy", over("2")).await.unwrap();
    assert!(world.client.read("copy") == content);
    // The disk gives other bytes than those that were stored, with the old time.
    let big = world.host.home("ann").join("big");
    let time = big.metadata().unwrap().modified().unwrap();
    let mut file = fs::File::options().write(true).open(&big).unwrap();
    file.write_all(b"rotten").unwrap();
    file.set_modified(time).unwrap();
    drop(file);
    let summary = world.client.get(&["/big"], "rotten", over("2")).await.unwrap();
    let failed: Vec<_> = summary.failures.iter().map(|failure| failure.status).collect();
    assert_eq!((summary.files, failed), (0, vec![Some(Status::DigestMismatch)]), "{summary:?}");
    assert_eq!(world.client.names(), ["copy", "local"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn others_fetch_what_a_lost_connection_leaves() {
    // The second connection is cut, and further ones are closed.
    let (mut world, content) = World::with_big(&[u64::MAX, 10 * MIB as u64, 0]).await;
    world.proxy.await_connections(2);
    let summary = world.client.get(&["/big"], "", over("2")).await.unwrap();
    assert_one(&summary);
    assert_eq!(world.client.heard(), (WHOLE, vec![(WHOLE, 0)]));
    assert!(world.client.read("big") == content);
    let each = world.proxy.carried_each();
    // A block that had not arrived completely is fetched again, and no more.
    assert!(each[1] > 9 * MIB as u64 && each.iter().sum::<u64>() < WHOLE + 8 * MIB as u64, "{each:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_arrives_over_connections_that_are_all_cut_repeatedly() {
    let (mut world, content) = World::with_big(&[6 * MIB as u64; 9]).await;
    world.proxy.await_connections(0);
    world.client.pause = Duration::from_millis(20);
    let summary = world.client.get(&["/big"], "", over("3")).await.unwrap();
    assert_one(&summary);
    assert_eq!(world.client.heard(), (WHOLE, vec![(WHOLE, 0)]));
    assert!(world.client.read("big") == content);
    assert!(world.proxy.connections() > 6, "{:?}", world.proxy.carried_each());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_interrupted_get_is_resumed_over_any_number_of_connections() {
    let (world, content) = World::with_big(&[]).await;
    for (first, second) in [("3", "3"), ("3", "1"), ("1", "3")] {
        let cut = if first == "1" { 20 } else { 9 };
        let proxy = Proxy::cutting(world.host.address(), &[cut * MIB as u64; 3]).await;
        proxy.await_connections(first.parse().unwrap());
        let mut client = InProcessClient::login(&world.host, proxy.port()).await;
        client.retries = 0;
        let lost = world.get_once(&mut client, first).await.unwrap_err();
        assert!(matches!(lost, ConversationError::Lost(_)), "{lost}");
        assert_eq!(client.names(), [".big.sshome-part"], "{first}");
        let part = client.read(".big.sshome-part");
        let next = Proxy::cutting(world.host.address(), &[]).await;
        let mut again = InProcessClient::login(&world.host, next.port()).await;
        again.write(".big.sshome-part", &part);
        let resumed = world.get_once(&mut again, second).await.unwrap();
        assert!(again.read("big") == content, "{first} {second}");
        // A get over one connection can use the beginning only.
        let least = if second == "1" { 1 } else { 3 };
        assert!(resumed >= least * BLOCK_BYTES, "{first} {second}: {resumed}");
        assert!(next.carried() < WHOLE - resumed + MIB as u64, "{first} {second}: {}", next.carried());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_partial_file_counts_only_where_it_is_right() {
    let (mut world, content) = World::with_big(&[]).await;
    let block = BLOCK_BYTES as usize;
    let mut part = content[..9 * block + 5].to_vec();
    part[3 * block + 7] ^= 1;
    part[5 * block..6 * block].fill(0);
    world.proxy.await_connections(0);
    world.client.write(".big.sshome-part", &part);
    let summary = world.client.get(&["/big"], "", over("2")).await.unwrap();
    assert_one(&summary);
    let resumed = resumed(&summary);
    assert_eq!(resumed, 7 * BLOCK_BYTES);
    assert_eq!(world.client.heard(), (WHOLE, vec![(WHOLE, resumed)]));
    assert!(world.client.read("big") == content);
    assert!(world.proxy.carried() < WHOLE - resumed + MIB as u64, "{}", world.proxy.carried());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_replaced_meanwhile_is_fetched_anew_and_never_mixed() {
    let (mut world, content) = World::with_big(&[]).await;
    let big = world.host.home("ann").join("big");
    // Of the same length, with a change in a block that has arrived, and in one that has not.
    let mut new = content.clone();
    new[5] ^= 1;
    new[BIG - 5] ^= 1;
    fs::write(world.host.home("ann").join("new"), &new).unwrap();
    let World { proxy, client, host } = &mut world;
    let replace = async {
        until(async || proxy.carried() > 14 * MIB as u64 && proxy.open() == 3).await;
        fs::rename(host.home("ann").join("new"), &big).unwrap();
    };
    let (summary, ()) = tokio::join!(client.get(&["/big"], "", over("3")), replace);
    assert_one(&summary.unwrap());
    assert!(client.read("big") == new);
    assert_eq!(client.heard(), (WHOLE, vec![(WHOLE, 0)]));
    // Blocks that are the same in both are not fetched again.
    assert!(proxy.carried() < WHOLE + 24 * MIB as u64, "{}", proxy.carried());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_changes_all_the_time_fails() {
    let (mut world, _) = World::with_big(&[]).await;
    world.proxy.await_connections(0);
    let big = world.host.home("ann").join("big");
    let World { client, .. } = &mut world;
    let change = async {
        loop {
            fs::File::options().append(true).open(&big).unwrap().write_all(b"more").unwrap();
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    let summary = tokio::select! {
        summary = client.get(&["/big"], "", over("3")) => summary.unwrap(),
        () = change => unreachable!(),
    };
    let failed: Vec<_> = summary.failures.iter().map(|failure| failure.status).collect();
    assert_eq!((summary.files, failed), (0, vec![Some(Status::Changed)]), "{summary:?}");
    assert!(!client.path("big").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn large_and_small_files_share_the_connections() {
    let mut world = World::new(&[]).await;
    world.proxy.await_connections(2);
    let t = world.host.home("ann").join("t");
    fs::create_dir(&t).unwrap();
    for number in 0..40 {
        fs::write(t.join(format!("small{number}")), noise(1000, number)).unwrap();
    }
    for number in 0..2 {
        fs::write(t.join(format!("big{number}")), noise(20 * MIB, number)).unwrap();
    }
    let options = TransferOptions { recursive: true, ..over("3") };
    let summary = world.client.get(&["/t"], "", options).await.unwrap();
    assert_eq!((summary.files, summary.failures.len()), (42, 0), "{summary:?}");
    assert_eq!(world.client.heard().0, 40 * 1000 + 40 * MIB as u64);
    for number in 0..2 {
        assert!(world.client.read(&format!("t/big{number}")) == noise(20 * MIB, number));
    }
    let each = world.proxy.carried_each();
    // One of them may still publish the small files when the others are done.
    assert!(each.iter().filter(|carried| **carried > BLOCK_BYTES).count() >= 2, "{each:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancelled_get_keeps_what_it_has_and_the_session() {
    let (mut world, content) = World::with_big(&[]).await;
    let token = world.client.cancel.clone();
    let World { proxy, client, .. } = &mut world;
    let cancel = async {
        until(async || proxy.carried() > 20 * MIB as u64 && proxy.open() == 3).await;
        token.cancel();
    };
    let (got, ()) = tokio::join!(client.get(&["/big"], "", over("3")), cancel);
    assert!(matches!(got, Err(ConversationError::Cancelled)), "{got:?}");
    until(async || proxy.open() == 1).await;
    client.cancel = tokio_util::sync::CancellationToken::new();
    let summary = client.get(&["/big"], "", over("3")).await.unwrap();
    assert_one(&summary);
    assert!(resumed(&summary) >= 3 * BLOCK_BYTES && client.read("big") == content, "{summary:?}");
}
