//! Files that are edited at random places. Their differences are pushed, and pulled into a second directory, over connections
//! that are cut at random places.

use super::{again, length, login, rounds, seed};
use crate::MIB;
use crate::client::{InProcessClient, books, names, noise, until};
use crate::proxy::Proxy;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use sshome::conversation::ConversationError;
use sshome::transfer::{Delta, SyncOptions};
use sshome_e2e::{Host, HostBuilder};
use std::collections::BTreeMap;

const NAMES: [&str; 3] = ["a", "b", "c"];

#[tokio::test(flavor = "multi_thread")]
async fn differences_over_cut_connections_lose_nothing() {
    let (rounds, seed) = (rounds(8), seed());
    let host = HostBuilder::new().unwrap().user("ann", "quota = \"1 GiB\"").unwrap().start().await.unwrap();
    let mut random = StdRng::seed_from_u64(seed);
    let mut cuts = StdRng::seed_from_u64(seed + 1);
    // A login takes about 5 KiB.
    let proxy = Proxy::new(host.address(), move || 6_000 + length(&mut cuts, 6 * MIB) as u64).await;
    let mut client = login(&host, &proxy).await;
    let (mut files, mut matched) = (BTreeMap::new(), [0, 0]);
    for round in 0..rounds {
        println!("round {round} of seed {seed}: {} connections so far, {matched:?}", proxy.connections());
        for name in NAMES {
            let content = files.entry(name).or_default();
            if edit(content, &mut random) {
                client.write(&format!("t/{name}"), content);
            }
        }
        for (is_push, matched) in [true, false].into_iter().zip(&mut matched) {
            let jobs = ["1", "3"][random.random_range(0..2)].parse().unwrap();
            let options = SyncOptions { delta: Delta::Always, jobs, ..SyncOptions::default() };
            client.retries = [0, u32::MAX][random.random_range(0..2)];
            (client, *matched) = synchronise(&host, &proxy, client, is_push, &options, *matched).await;
        }
        for (name, content) in &files {
            assert!(std::fs::read(host.home("ann").join("t").join(name)).unwrap() == *content, "{name}");
            assert!(client.read(&format!("u/{name}")) == *content, "{name}");
        }
        assert_eq!(names(&client.path("u")), NAMES);
    }
    assert!(matched.iter().all(|matched| *matched > 0), "nothing was found in old versions: {matched:?}");
    let total: usize = files.values().map(Vec::len).sum();
    // The server may notice a lost connection late.
    until(async || {
        let (parts, usage) = books(&host).await;
        parts.is_empty() && (usage.used, usage.reserved) == (total as u64, 0)
    })
    .await;
    assert!(names(&host.home("ann").join(".sshome-staging")).is_empty());
}

/// Repeats a push or a pull until it succeeds. Adds the bytes that were found in old versions to `matched`.
async fn synchronise(
    host: &Host,
    proxy: &Proxy,
    mut client: InProcessClient,
    is_push: bool,
    options: &SyncOptions,
    matched: u64,
) -> (InProcessClient, u64) {
    loop {
        let done = match is_push {
            true => client.push("t", "/t", options).await,
            false => client.pull("/t", "u", options).await,
        };
        match done {
            Ok(summary) => {
                assert!(summary.failures.is_empty(), "{summary:?}");
                return (client, matched + summary.matched);
            }
            Err(ConversationError::Lost(_)) => client = again(host, proxy, client).await,
            Err(error) => panic!("{error}"),
        }
    }
}

/// Edits a content at some places, or replaces it. Mostly returns `true`: it has changed.
fn edit(content: &mut Vec<u8>, random: &mut StdRng) -> bool {
    if content.is_empty() || random.random_bool(0.1) {
        *content = noise(random.random_range(MIB..5 * MIB), random.random());
        return true;
    }
    if random.random_bool(0.2) {
        return false;
    }
    for _ in 0..random.random_range(1..6) {
        let at = random.random_range(0..content.len());
        let more = noise(length(random, MIB / 4), random.random());
        let end = match random.random_range(0..3) {
            // Overwritten, inserted, or removed together with what it replaces.
            0 => (at + more.len()).min(content.len()),
            1 => at,
            _ => (at + 2 * more.len()).min(content.len()),
        };
        content.splice(at..end, more);
    }
    content.truncate(8 * MIB);
    true
}
