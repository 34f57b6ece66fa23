//! Transfers by our client: cut connections that resume, and trees with links.

mod batches;
mod client;
mod closed;
mod folders;
mod links;
mod proxy;
mod pulls;
mod streams;
mod torture;
mod vanished;

use client::{InProcessClient, PLAIN, RECURSIVE, books, names, noise, until};
use proxy::Proxy;
use sshome::conversation::ConversationError;
use sshome_e2e::{Host, HostBuilder};
use sshome_wire::BLOCK_BYTES;
use std::os::unix::fs::FileExt;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

const MIB: usize = 1 << 20;
const BIG: usize = 24 * MIB + 12_345;

async fn host() -> Host {
    Host::with_user("ann", "quota = \"200 MiB\"").await.unwrap()
}

/// The same, with these limits.
async fn host_with(limits: &str) -> Host {
    let builder = HostBuilder::new().unwrap().limits(limits);
    builder.user("ann", "quota = \"200 MiB\"").unwrap().start().await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_put_resumes_where_the_connection_was_lost() {
    let host = host().await;
    let content = noise(BIG, 1);
    let proxy = Proxy::cutting(host.address(), &[14 * MIB as u64]).await;
    let mut client = InProcessClient::login(&host, proxy.port()).await;
    client.write("big", &content);
    let summary = client.put(&["big"], "/", PLAIN).await.unwrap();
    assert_eq!((summary.files, summary.failures.len()), (1, 0), "{summary:?}");
    let offset = summary.resumed.first().map_or(0, |resumed| resumed.offset);
    assert!(offset >= BLOCK_BYTES && offset.is_multiple_of(BLOCK_BYTES), "{summary:?}");
    assert_eq!(client.heard(), (BIG as u64, vec![(BIG as u64, offset)]));
    assert!(std::fs::read(host.home("ann").join("big")).unwrap() == content);
    assert_eq!(proxy.connections(), 2);
    assert!(proxy.carried() < (BIG + 14 * MIB) as u64 - offset + MIB as u64, "{}", proxy.carried());
    let (parts, usage) = books(&host).await;
    assert_eq!((parts.len(), usage.used, usage.reserved), (0, BIG as u64, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_whose_answer_is_lost_is_not_sent_again() {
    let content = noise(BIG, 9);
    let carried = async |cuts: &[u64]| {
        let host = host().await;
        let proxy = Proxy::cutting(host.address(), cuts).await;
        let mut client = InProcessClient::login(&host, proxy.port()).await;
        client.write("big", &content);
        let summary = client.put(&["big"], "/", PLAIN).await.unwrap();
        assert_eq!((summary.files, summary.bytes), (1, BIG as u64), "{summary:?}");
        assert!(summary.failures.is_empty(), "{summary:?}");
        assert!(std::fs::read(host.home("ann").join("big")).unwrap() == content);
        let (parts, usage) = books(&host).await;
        assert_eq!((parts.len(), usage.used, usage.reserved), (0, BIG as u64, 0));
        (proxy.carried(), proxy.connections())
    };
    // The bytes of a whole transfer; the cut connection carries all except the answer.
    let (whole, _) = carried(&[]).await;
    let mut lost = 0;
    for before in [16, 24, 32, 40, 48, 80] {
        let (again, connections) = carried(&[whole - before]).await;
        // If the end did not arrive either, the last block is sent again.
        assert!(again < whole + 2 * BLOCK_BYTES, "{before}: {again} in place of {whole}");
        lost += connections - 1;
    }
    // A transfer may carry a few bytes less than the first one; then nothing is lost.
    assert!(lost > 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_get_resumes_where_the_connection_was_lost() {
    let host = host().await;
    let content = noise(BIG, 2);
    std::fs::write(host.home("ann").join("big"), &content).unwrap();
    let proxy = Proxy::cutting(host.address(), &[14 * MIB as u64]).await;
    let mut client = InProcessClient::login(&host, proxy.port()).await;
    let summary = client.get(&["/big"], "", PLAIN).await.unwrap();
    assert_eq!((summary.files, summary.failures.len()), (1, 0), "{summary:?}");
    let offset = summary.resumed[0].offset;
    assert!(offset >= BLOCK_BYTES, "{summary:?}");
    assert_eq!(client.heard(), (BIG as u64, vec![(BIG as u64, offset)]));
    assert!(client.read("big") == content);
    assert_eq!((client.names(), proxy.connections()), (vec!["big".to_owned()], 2));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tree_arrives_whole_over_many_connections() {
    let host = host().await;
    // Logging in takes about 5 KiB, and a file of the tree 1 KiB.
    let proxy = Proxy::cutting(host.address(), &[400_000; 30]).await;
    let mut client = InProcessClient::login(&host, proxy.port()).await;
    client.pause = Duration::from_millis(5);
    for number in 0..2000 {
        client.write(&format!("t/d{}/{number}", number % 9), &noise(1000, number));
    }
    let summary = client.put(&["t"], "/", RECURSIVE).await.unwrap();
    assert_eq!((summary.files, summary.failures.len()), (2000, 0), "{summary:?}");
    assert_eq!(client.heard(), (2_000_000, vec![(1000, 0); 2000]));
    let connections = proxy.connections();
    assert!(connections > 3, "{connections}");
    let summary = client.get(&["/t"], "back", RECURSIVE).await.unwrap();
    assert_eq!((summary.files, summary.failures.len()), (2000, 0), "{summary:?}");
    assert_eq!(client.heard(), (2_000_000, vec![(1000, 0); 2000]));
    let all = proxy.connections();
    assert!(all > connections + 3, "{connections}, then {all}");
    for number in 0..2000 {
        assert!(client.read(&format!("back/d{}/{number}", number % 9)) == noise(1000, number), "{number}");
    }
    assert!(names(&client.path("back/d0")).iter().all(|name| !name.starts_with('.')));
}

#[tokio::test(flavor = "multi_thread")]
async fn repeating_the_command_resumes() {
    let host = host().await;
    let content = noise(BIG, 3);
    let cut = 14 * MIB as u64;
    let proxy = Proxy::cutting(host.address(), &[cut, u64::MAX, cut]).await;
    let mut client = InProcessClient::login(&host, proxy.port()).await;
    client.retries = 0;
    let source = client.write("big", &content);
    let error = client.put(&["big"], "/", PLAIN).await.unwrap_err();
    assert!(matches!(error, ConversationError::Lost(_)), "{error}");
    assert!(!host.home("ann").join("big").exists());
    let mut second = InProcessClient::login(&host, proxy.port()).await;
    std::fs::create_dir_all(second.path("")).unwrap();
    std::fs::hard_link(&source, second.path("big")).unwrap();
    until(async || !books(&host).await.0.is_empty()).await;
    let summary = second.put(&["big"], "/", PLAIN).await.unwrap();
    assert!(summary.resumed[0].offset >= BLOCK_BYTES, "{summary:?}");
    assert!(std::fs::read(host.home("ann").join("big")).unwrap() == content);
    // And in the other direction.
    let mut second = InProcessClient::login(&host, proxy.port()).await;
    second.retries = 0;
    let error = second.get(&["/big"], "", PLAIN).await.unwrap_err();
    assert!(matches!(error, ConversationError::Lost(_)), "{error}");
    assert_eq!(second.names(), [".big.sshome-part"]);
    // A bit of it flips meanwhile.
    let part = std::fs::File::options().write(true).open(second.path(".big.sshome-part")).unwrap();
    part.write_all_at(b"?", BLOCK_BYTES + 17).unwrap();
    let mut third = InProcessClient::login(&host, host.address().port()).await;
    std::fs::create_dir_all(third.path("")).unwrap();
    std::fs::rename(second.path(".big.sshome-part"), third.path(".big.sshome-part")).unwrap();
    let summary = third.get(&["/big"], "", PLAIN).await.unwrap();
    assert_eq!(summary.resumed[0].offset, BLOCK_BYTES, "{summary:?}");
    assert!(third.read("big") == content);
    assert_eq!(third.names(), ["big"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_source_that_has_changed_is_sent_whole() {
    let host = host().await;
    let proxy = Proxy::cutting(host.address(), &[14 * MIB as u64]).await;
    let mut client = InProcessClient::login(&host, proxy.port()).await;
    client.retries = 0;
    let source = client.write("big", &noise(BIG, 4));
    let mtime = std::fs::metadata(&source).unwrap().modified().unwrap();
    client.put(&["big"], "/", PLAIN).await.unwrap_err();
    until(async || !books(&host).await.0.is_empty()).await;
    let mut client = InProcessClient::login(&host, proxy.port()).await;
    // A change that keeps size and time, which should not happen.
    let content = noise(BIG, 5);
    let source = client.write("big", &content);
    std::fs::File::options().write(true).open(&source).unwrap().set_modified(mtime).unwrap();
    let summary = client.put(&["big"], "/", PLAIN).await.unwrap();
    assert_eq!((summary.files, summary.resumed[0].offset), (1, 0), "{summary:?}");
    assert!(std::fs::read(host.home("ann").join("big")).unwrap() == content);
    assert!(books(&host).await.0.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_interrupted_get_leaves_a_partial_download_if_it_is_large_enough() {
    let host = host().await;
    for (size, left) in [(BIG, 1), (3 * MIB, 0)] {
        std::fs::write(host.home("ann").join("f"), noise(size, 6)).unwrap();
        let mut client = InProcessClient::login(&host, host.address().port()).await;
        let (cancel, part) = (client.cancel.clone(), client.path(".f.sshome-part"));
        let raising = async {
            let enough = (BLOCK_BYTES + 1).min(size as u64 / 3);
            until(async || std::fs::metadata(&part).is_ok_and(|seen| seen.len() > enough)).await;
            cancel.cancel();
            std::future::pending::<()>().await;
        };
        let got = tokio::select! {
            got = client.get(&["/f"], "", PLAIN) => got,
            () = raising => continue,
        };
        if got.is_ok() {
            // It finished before the test looked.
            continue;
        }
        assert!(matches!(got, Err(ConversationError::Cancelled)), "{got:?}");
        assert_eq!(client.names().len(), left);
        client.cancel = CancellationToken::new();
        let summary = client.get(&["/f"], "", PLAIN).await.unwrap();
        assert_eq!((summary.files, summary.resumed.len()), (1, left), "{summary:?}");
        assert_eq!(client.names(), ["f"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_gets_of_one_name_never_share_a_partial_file() {
    let host = host().await;
    std::fs::write(host.home("ann").join("f"), noise(BIG, 7)).unwrap();
    let client = InProcessClient::login(&host, host.address().port()).await;
    // Another process uses the partial file.
    client.write(".f.sshome-part", &noise(BIG, 7));
    let locked = std::fs::File::options().write(true).open(client.path(".f.sshome-part")).unwrap();
    locked.lock().unwrap();
    let mut client = client;
    let summary = client.get(&["/f"], "", PLAIN).await.unwrap();
    assert_eq!((summary.files, summary.resumed.len()), (1, 0), "{summary:?}");
    assert!(client.read("f") == noise(BIG, 7));
    assert_eq!(client.names(), [".f.sshome-part", "f"]);
    // Nobody uses it any more, and a get of the whole file does not need it.
    drop(locked);
    std::fs::remove_file(client.path("f")).unwrap();
    let summary = client.get(&["/f"], "", PLAIN).await.unwrap();
    assert_eq!(summary.resumed[0].offset, 6 * BLOCK_BYTES, "{summary:?}");
    assert_eq!(client.names(), ["f"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn reconnects_stop_at_the_limit() {
    let host = host().await;
    // Every connection except the first is cut before the login.
    let cuts: Vec<u64> = std::iter::once(14 * MIB as u64).chain([100; 50]).collect();
    let proxy = Proxy::cutting(host.address(), &cuts).await;
    let mut client = InProcessClient::login(&host, proxy.port()).await;
    client.retries = 3;
    client.write("big", &noise(BIG, 8));
    let error = client.put(&["big"], "/", PLAIN).await.unwrap_err();
    assert!(matches!(error, ConversationError::Lost(_)), "{error}");
    assert_eq!(proxy.connections(), 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pause_can_be_interrupted() {
    let host = host().await;
    let cuts: Vec<u64> = std::iter::once(14 * MIB as u64).chain([100; 10_000]).collect();
    let proxy = Proxy::cutting(host.address(), &cuts).await;
    let mut client = InProcessClient::login(&host, proxy.port()).await;
    (client.retries, client.pause) = (u32::MAX, Duration::from_millis(1));
    client.write("big", &noise(BIG, 9));
    let (cancel, seen) = (client.cancel.clone(), &proxy);
    let raising = async {
        until(async || seen.connections() > 4).await;
        cancel.cancel();
    };
    let (put, ()) = tokio::join!(client.put(&["big"], "/", PLAIN), raising);
    let error = put.unwrap_err();
    assert!(matches!(error, ConversationError::Cancelled), "{error}");
}
