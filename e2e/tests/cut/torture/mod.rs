//! Random transfers, [synchronisations](sync) and [differences](delta) over connections that break at random places, by clients that give up and
//! start again. The modules kill the programs ([killed]), OpenSSH's [sftp], and [edits] of the settings.
//! `SSHOME_TORTURE_ROUNDS` makes the tests longer, `SSHOME_TORTURE_SEED` different.

mod delta;
mod edits;
mod killed;
mod sftp;
mod sync;

use crate::MIB;
use crate::client::{InProcessClient, RECURSIVE, books, names, noise, until};
use crate::proxy::Proxy;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use sshome::conversation::ConversationError;
use sshome::transfer::TransferOptions;
use sshome_e2e::{Host, HostBuilder};
use std::collections::BTreeMap;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// The files on the server: for each name, the seed and length of its content.
type Files = BTreeMap<String, (u64, usize)>;

#[tokio::test(flavor = "multi_thread")]
async fn broken_connections_lose_nothing() {
    // The default takes about 20 s.
    let (rounds, seed) = (rounds(12), seed());
    let host = HostBuilder::new().unwrap().user("ann", "quota = \"4 GiB\"").unwrap().start().await.unwrap();
    let mut random = StdRng::seed_from_u64(seed);
    let mut cuts = StdRng::seed_from_u64(seed + 1);
    let proxy = Proxy::new(host.address(), move || 2000 + length(&mut cuts, 60 * MIB) as u64).await;
    let mut files = Files::new();
    for round in 0..rounds {
        println!("round {round} of seed {seed}: {} connections so far", proxy.connections());
        if files.is_empty() || random.random_bool(0.5) {
            put(&host, &proxy, &mut random, &mut files).await;
        } else {
            get(&host, &proxy, &mut random, &files).await;
        }
    }
    let total: u64 = files.values().map(|(_, length)| *length as u64).sum();
    // The server may notice a lost connection late.
    until(async || {
        let (parts, usage) = books(&host).await;
        parts.is_empty() && (usage.used, usage.reserved) == (total, 0)
    })
    .await;
    assert!(names(&host.home("ann").join(".sshome-staging")).is_empty());
    for (name, (seed, length)) in &files {
        let there = std::fs::read(host.home("ann").join("t").join(name)).unwrap();
        assert!(there == noise(*length, *seed), "{name}");
    }
}

/// The number of rounds, with a default.
fn rounds(otherwise: u64) -> u64 {
    number("SSHOME_TORTURE_ROUNDS").unwrap_or(otherwise)
}

fn seed() -> u64 {
    number("SSHOME_TORTURE_SEED").unwrap_or(1)
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|value| value.parse().unwrap())
}

/// Over one connection, or over several that divide large files.
fn options(random: &mut StdRng) -> TransferOptions {
    let jobs = if random.random_bool(0.5) { "3" } else { "1" };
    TransferOptions { jobs: jobs.parse().unwrap(), split_bytes: 9 << 20, ..RECURSIVE }
}

/// Puts a tree of new and replaced files.
async fn put(host: &Host, proxy: &Proxy, random: &mut StdRng, files: &mut Files) {
    let mut client = login(host, proxy).await;
    for _ in 0..random.random_range(1..6) {
        let (name, seed, length) =
            (format!("f{}", random.random_range(0..8)), random.random(), length(random, 30 * MIB));
        client.write(&format!("t/{name}"), &noise(length, seed));
        files.insert(name, (seed, length));
    }
    loop {
        let (cancel, token) = (cancel_after(random, proxy), client.cancel.clone());
        let put = client.put(&["t"], "/", options(random));
        match cancelled(&token, proxy, cancel, put).await {
            Ok(summary) => return assert!(summary.failures.is_empty(), "{summary:?}"),
            Err(ConversationError::Cancelled) => client = again(host, proxy, client).await,
            Err(error) => panic!("{error}"),
        }
    }
}

/// Gets the tree, and compares it.
async fn get(host: &Host, proxy: &Proxy, random: &mut StdRng, files: &Files) {
    let mut client = login(host, proxy).await;
    loop {
        let (cancel, token) = (cancel_after(random, proxy), client.cancel.clone());
        let get = client.get(&["/t"], "", options(random));
        match cancelled(&token, proxy, cancel, get).await {
            Ok(summary) => {
                assert!(summary.failures.is_empty() && summary.saved_as.is_empty(), "{summary:?}");
                break;
            }
            Err(ConversationError::Cancelled) => client = again(host, proxy, client).await,
            Err(error) => panic!("{error}"),
        }
    }
    assert_eq!(names(&client.path("t")), files.keys().cloned().collect::<Vec<_>>());
    for (name, (seed, length)) in files {
        assert!(client.read(&format!("t/{name}")) == noise(*length, *seed), "{name}");
    }
}

/// A length below `most`, small ones as likely as large ones.
fn length(random: &mut StdRng, most: usize) -> usize {
    let most = (most as f64).ln();
    random.random_range(0.0..most).exp() as usize
}

/// The number of bytes that the proxy carries before the cancel; mostly there is none.
fn cancel_after(random: &mut StdRng, proxy: &Proxy) -> Option<u64> {
    let after = random.random_range(0..40 * MIB as u64);
    random.random_bool(0.3).then(|| proxy.carried() + after)
}

/// Runs a transfer, and cancels it when the proxy has carried this number of bytes.
async fn cancelled<T>(
    cancel: &CancellationToken,
    proxy: &Proxy,
    after: Option<u64>,
    transfer: impl Future<Output = T>,
) -> T {
    let cancel = async {
        let Some(after) = after else { return std::future::pending::<()>().await };
        while proxy.carried() < after {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        cancel.cancel();
        std::future::pending::<()>().await;
    };
    tokio::select! {
        done = transfer => done,
        () = cancel => unreachable!(),
    }
}

/// Logs in, with as many attempts as necessary.
async fn login(host: &Host, proxy: &Proxy) -> InProcessClient {
    let mut client = loop {
        if let Ok(client) = InProcessClient::try_login(host, proxy.port()).await {
            break client;
        }
    };
    (client.retries, client.pause) = (u32::MAX, Duration::from_millis(20));
    client
}

/// A new client with the files of an old one.
async fn again(host: &Host, proxy: &Proxy, old: InProcessClient) -> InProcessClient {
    let client = login(host, proxy).await;
    std::fs::rename(old.path(""), client.path("")).unwrap();
    client
}
