//! Puts of a large file.

use super::client::{InProcessClient, books, noise, until};
use super::proxy::Proxy;
use super::{BIG, MIB, PLAIN, World, assert_one, over, resumed};
use sshome::conversation::ConversationError;
use sshome::transfer::TransferOptions;
use sshome_e2e::Host;
use sshome_wire::{BLOCK_BYTES, Status};
use std::fs;
use std::io::{Seek, SeekFrom, Write};
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::time::Duration;

const WHOLE: u64 = BIG as u64;

impl World {
    /// One with the file at the client.
    async fn with_source(cuts: &[u64]) -> (World, Vec<u8>) {
        let (world, content) = (World::new(cuts).await, noise(BIG, 1));
        world.client.write("big", &content);
        world.proxy.await_connections(3);
        (world, content)
    }

    /// The server has the file, and nothing else.
    async fn assert_stored(&self, content: &[u8]) {
        assert!(fs::read(self.host.home("ann").join("big")).unwrap() == content);
        let (parts, usage) = books(&self.host).await;
        assert_eq!((parts.len(), usage.used, usage.reserved), (0, WHOLE, 0));
    }
}

/// The bytes of the partial upload that a cut leaves.
async fn left(host: &Host) -> u64 {
    until(async || books(host).await.0.len() == 1).await;
    let (parts, usage) = books(host).await;
    assert_eq!((usage.used, usage.reserved, parts[0].size), (0, parts[0].length, WHOLE));
    assert_eq!(usage.reserved % BLOCK_BYTES, 0);
    usage.reserved
}

/// The staged file on the disk.
fn staged(host: &Host) -> PathBuf {
    let folder = fs::read_dir(host.home("ann").join(".sshome-staging")).unwrap();
    let files = folder.map(|entry| entry.unwrap().path());
    files.max_by_key(|path| path.metadata().unwrap().len()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_is_sent_over_three_connections() {
    let (mut world, content) = World::with_source(&[]).await;
    let summary = world.client.put(&["big"], "/big", over("3")).await.unwrap();
    assert_one(&summary);
    assert_eq!((resumed(&summary), world.client.heard()), (0, (WHOLE, vec![(WHOLE, 0)])));
    world.assert_stored(&content).await;
    let each = world.proxy.carried_each();
    assert!(each.len() == 3 && each.iter().all(|carried| *carried > 2 * BLOCK_BYTES), "{each:?}");
    assert!(each.iter().sum::<u64>() < WHOLE + MIB as u64, "{each:?}");
    // Its digest is stored with it.
    let mut peer = sshome_e2e::Peer::login(&world.host, "ann").await.unwrap();
    let hash = sshome_wire::Request::Hash { path: b"/big".to_vec(), verify: true };
    assert_eq!(peer.ask(hash).await.unwrap().status, Status::Done);
}

/// While a connection sends the last blocks of one file, the others go on to the next files.
#[tokio::test(flavor = "multi_thread")]
async fn several_large_files_are_sent_once_each() {
    const SIZE: usize = 17 * MIB;
    let mut world = World::new(&[]).await;
    world.proxy.await_connections(3);
    let contents: Vec<Vec<u8>> = (0..8).map(|file| noise(SIZE, file)).collect();
    for (file, content) in contents.iter().enumerate() {
        world.client.write(&format!("t/{file}"), content);
    }
    let options = TransferOptions { recursive: true, ..over("3") };
    let summary = world.client.put(&["t"], "/", options).await.unwrap();
    assert_eq!((summary.files, summary.failures.len(), summary.resumed.len()), (8, 0, 0), "{summary:?}");
    for (file, content) in contents.iter().enumerate() {
        assert!(fs::read(world.host.home("ann").join(format!("t/{file}"))).unwrap() == *content, "{file}");
    }
    let carried: u64 = world.proxy.carried_each().iter().sum();
    assert!(carried < 8 * SIZE as u64 + 2 * MIB as u64, "{carried}");
}

#[tokio::test(flavor = "multi_thread")]
async fn others_send_what_a_lost_connection_leaves() {
    // The second connection is cut, and further ones are closed.
    let (mut world, content) = World::with_source(&[u64::MAX, 10 * MIB as u64, 0]).await;
    world.proxy.await_connections(2);
    let summary = world.client.put(&["big"], "/big", over("2")).await.unwrap();
    assert_one(&summary);
    assert_eq!(world.client.heard(), (WHOLE, vec![(WHOLE, 0)]));
    world.assert_stored(&content).await;
    let each = world.proxy.carried_each();
    // A block that had not arrived completely is sent again, and no more.
    assert!(each[1] > 9 * MIB as u64 && each.iter().sum::<u64>() < WHOLE + 10 * MIB as u64, "{each:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_connection_sends_the_file_if_there_are_no_others() {
    let (mut world, content) = World::with_source(&[u64::MAX, 0, 0]).await;
    world.proxy.await_connections(1);
    world.client.retries = 0;
    assert_one(&world.client.put(&["big"], "/big", over("3")).await.unwrap());
    world.assert_stored(&content).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_arrives_over_connections_that_are_all_cut_repeatedly() {
    let (mut world, content) = World::with_source(&[6 * MIB as u64; 9]).await;
    world.proxy.await_connections(0);
    world.client.pause = Duration::from_millis(20);
    let summary = world.client.put(&["big"], "/big", over("3")).await.unwrap();
    assert_one(&summary);
    assert_eq!(world.client.heard().0, WHOLE);
    world.assert_stored(&content).await;
    assert!(world.proxy.connections() > 6, "{:?}", world.proxy.carried_each());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_interrupted_put_is_resumed_over_any_number_of_connections() {
    let (world, content) = World::with_source(&[]).await;
    let big = world.client.path("big");
    for (first, second) in [("3", "3"), ("3", "1"), ("1", "3")] {
        let cut = if first == "1" { 20 } else { 9 };
        let proxy = Proxy::cutting(world.host.address(), &[cut * MIB as u64; 3]).await;
        proxy.await_connections(first.parse().unwrap());
        let mut client = InProcessClient::login(&world.host, proxy.port()).await;
        client.retries = 0;
        fs::create_dir_all(client.path("")).unwrap();
        fs::hard_link(&big, client.path("big")).unwrap();
        let lost = client.put(&["big"], "/big", over(first)).await.unwrap_err();
        assert!(matches!(lost, ConversationError::Lost(_)), "{lost}");
        let left = left(&world.host).await;
        let next = Proxy::cutting(world.host.address(), &[]).await;
        let mut again = InProcessClient::login(&world.host, next.port()).await;
        fs::create_dir_all(again.path("")).unwrap();
        fs::hard_link(&big, again.path("big")).unwrap();
        let summary = again.put(&["big"], "/big", over(second)).await.unwrap();
        assert_one(&summary);
        let resumed = resumed(&summary);
        assert_eq!(again.heard(), (WHOLE, vec![(WHOLE, resumed)]), "{first} {second}");
        world.assert_stored(&content).await;
        // A put over one connection can use the beginning only.
        let least = if second == "1" { 1 } else { 3 };
        assert!(resumed >= least * BLOCK_BYTES && resumed <= left, "{first} {second}: {resumed}");
        assert!(next.carried() < WHOLE - resumed + MIB as u64, "{first} {second}: {}", next.carried());
        let mut peer = sshome_e2e::Peer::login(&world.host, "ann").await.unwrap();
        let rm = sshome_wire::Request::Rm { path: b"/big".to_vec(), recursive: false };
        assert_eq!(peer.ask(rm).await.unwrap().status, Status::Done);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_partial_upload_counts_only_where_it_is_right() {
    let (mut world, content) = World::with_source(&[]).await;
    let proxy = Proxy::cutting(world.host.address(), &[24 * MIB as u64]).await;
    let mut client = InProcessClient::login(&world.host, proxy.port()).await;
    client.retries = 0;
    let source = client.write("big", &content);
    fs::File::options().write(true).open(&source).unwrap().set_modified(world.modified()).unwrap();
    client.put(&["big"], "/big", PLAIN).await.unwrap_err();
    let blocks = left(&world.host).await / BLOCK_BYTES;
    assert!(blocks >= 4, "{blocks}");
    let mut part = fs::File::options().write(true).open(staged(&world.host)).unwrap();
    part.seek(SeekFrom::Start(BLOCK_BYTES + 7)).unwrap();
    part.write_all(b"rotten").unwrap();
    drop(part);
    let summary = world.client.put(&["big"], "/big", over("3")).await.unwrap();
    assert_one(&summary);
    assert_eq!(resumed(&summary), (blocks - 1) * BLOCK_BYTES);
    assert_eq!(world.client.heard(), (WHOLE, vec![(WHOLE, (blocks - 1) * BLOCK_BYTES)]));
    world.assert_stored(&content).await;
}

impl World {
    /// The modification time of the source.
    fn modified(&self) -> std::time::SystemTime {
        self.client.path("big").metadata().unwrap().modified().unwrap()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_source_that_changes_meanwhile_is_refused_and_nothing_is_kept() {
    let (mut world, content) = World::with_source(&[]).await;
    type Change = fn(&std::path::Path);
    let changes: [(&str, Change); 2] = [
        ("written to", |big| {
            fs::File::options().write(true).open(big).unwrap().write_all(b"changed").unwrap();
        }),
        ("shorter", |big| {
            fs::File::options().write(true).open(big).unwrap().set_len(30 * MIB as u64).unwrap();
        }),
    ];
    for (what, change) in changes {
        let big = world.client.write("big", &content);
        let before = world.proxy.carried();
        let World { proxy, client, .. } = &mut world;
        let change_it = async {
            until(async || proxy.carried() - before > 14 * MIB as u64).await;
            change(&big);
        };
        let (summary, ()) = tokio::join!(client.put(&["big"], "/big", over("3")), change_it);
        let summary = summary.unwrap();
        let failed: Vec<_> = summary.failures.iter().map(|failure| failure.status).collect();
        assert_eq!((summary.files, failed), (0, vec![Some(Status::Changed)]), "{what}: {summary:?}");
        let (parts, usage) = books(&world.host).await;
        assert_eq!((parts.len(), usage.used, usage.reserved), (0, 0, 0), "{what}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_source_that_is_replaced_meanwhile_is_sent_as_it_was() {
    let (mut world, content) = World::with_source(&[]).await;
    let other = world.client.write("other", &noise(BIG, 2));
    let World { proxy, client, .. } = &mut world;
    let big = client.path("big");
    let replace = async {
        until(async || proxy.carried() > 14 * MIB as u64).await;
        fs::rename(other, big).unwrap();
    };
    let (summary, ()) = tokio::join!(client.put(&["big"], "/big", over("3")), replace);
    assert_one(&summary.unwrap());
    world.assert_stored(&content).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_does_not_fit_is_refused_and_the_others_are_stored() {
    let mut world = World::new(&[]).await;
    world.proxy.await_connections(0);
    world.client.write("t/a", b"a");
    let huge = world.client.write("t/huge", b"");
    fs::File::options().write(true).open(huge).unwrap().set_len(300 * MIB as u64).unwrap();
    let options = TransferOptions { recursive: true, ..over("3") };
    let summary = world.client.put(&["t"], "/t", options).await.unwrap();
    let failed: Vec<_> = summary.failures.iter().map(|failure| failure.status).collect();
    assert_eq!((summary.files, failed), (1, vec![Some(Status::QuotaExceeded)]), "{summary:?}");
    let (parts, usage) = books(&world.host).await;
    assert_eq!((parts.len(), usage.used, usage.reserved), (0, 1, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn large_and_small_files_share_the_connections_and_directories_keep_their_times() {
    let mut world = World::new(&[]).await;
    world.proxy.await_connections(2);
    for number in 0..40 {
        world.client.write(&format!("t/d/small{number}"), &noise(1000, number));
    }
    for number in 0..2 {
        world.client.write(&format!("t/d/e/big{number}"), &noise(20 * MIB, number));
    }
    let time = std::time::SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000);
    for name in ["t/d/e", "t/d", "t"] {
        fs::File::open(world.client.path(name)).unwrap().set_modified(time).unwrap();
    }
    let options = TransferOptions { recursive: true, preserve: true, ..over("3") };
    let summary = world.client.put(&["t"], "/t", options).await.unwrap();
    assert_eq!((summary.files, summary.failures.len()), (42, 0), "{summary:?}");
    assert_eq!(world.client.heard().0, 40 * 1000 + 40 * MIB as u64);
    let home = world.host.home("ann");
    for number in 0..2 {
        assert!(fs::read(home.join(format!("t/d/e/big{number}"))).unwrap() == noise(20 * MIB, number));
    }
    for name in ["t/d/e", "t/d", "t"] {
        assert_eq!(home.join(name).metadata().unwrap().mtime(), 1_000_000_000, "{name}");
    }
    let each = world.proxy.carried_each();
    assert!(each.iter().filter(|carried| **carried > BLOCK_BYTES).count() >= 2, "{each:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancelled_put_keeps_what_it_has_and_the_session() {
    let (mut world, content) = World::with_source(&[]).await;
    let token = world.client.cancel.clone();
    let World { proxy, client, .. } = &mut world;
    let cancel = async {
        until(async || proxy.carried() > 20 * MIB as u64 && proxy.open() == 3).await;
        token.cancel();
    };
    let (put, ()) = tokio::join!(client.put(&["big"], "/big", over("3")), cancel);
    assert!(matches!(put, Err(ConversationError::Cancelled)), "{put:?}");
    until(async || proxy.open() == 1).await;
    client.cancel = tokio_util::sync::CancellationToken::new();
    left(&world.host).await;
    let summary = world.client.put(&["big"], "/big", over("3")).await.unwrap();
    assert_one(&summary);
    assert!(resumed(&summary) >= 3 * BLOCK_BYTES, "{summary:?}");
    world.assert_stored(&content).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_old_version_is_replaced_by_one_rename_and_lends_its_bytes() {
    let (mut world, content) = World::with_source(&[]).await;
    let old = noise(160 * MIB, 9);
    let target = world.host.home("ann").join("big");
    fs::write(&target, &old).unwrap();
    let mut peer = sshome_e2e::Peer::login(&world.host, "ann").await.unwrap();
    peer.ask(sshome_wire::Request::Df).await.unwrap();
    let World { proxy, client, .. } = &mut world;
    let look = async {
        until(async || proxy.carried() > 14 * MIB as u64).await;
        assert!(fs::read(&target).unwrap() == old);
    };
    let (summary, ()) = tokio::join!(client.put(&["big"], "/big", over("3")), look);
    assert_one(&summary.unwrap());
    assert!(fs::read(&target).unwrap() == content);
}
