//! One transfer over several connections, by our client and through a proxy that counts and cuts them.

#[path = "cut/client.rs"]
mod client;
mod cron;
#[path = "cut/proxy.rs"]
mod proxy;

use client::{InProcessClient, PLAIN, RECURSIVE, books, noise, until};
use cron::Cron;
use proxy::Proxy;
use sshome::conversation::ConversationError;
use sshome::transfer::{TransferOptions, TransferSummary};
use sshome_e2e::Host;
use sshome_e2e::tree::{contents, mode, set_mode};
use sshome_wire::BLOCK_BYTES;
use std::path::Path;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

const MIB: usize = 1 << 20;
const LARGE: u64 = 12;

async fn host() -> Host {
    Host::with_user("ann", "quota = \"400 MiB\"").await.unwrap()
}

/// A host that is slow enough for all connections to log in before the transfer ends, even on a busy machine.
async fn slow_host() -> Host {
    let rates = "upload-rate = \"16 MiB/s\"\ndownload-rate = \"16 MiB/s\"";
    Host::with_user("ann", &format!("quota = \"400 MiB\"\n{rates}")).await.unwrap()
}

fn over(jobs: &str, options: TransferOptions) -> TransferOptions {
    TransferOptions { jobs: jobs.parse().unwrap(), ..options }
}

/// Creates files that are worth several connections, in folders with small ones. Returns their number and total length.
fn plant(client: &InProcessClient, name: &str) -> (u64, u64) {
    for number in 0..300 {
        client.write(&format!("{name}/d{}/e{}/{number}", number % 7, number % 3), &noise(1000, number));
    }
    for number in 0..LARGE {
        client.write(&format!("{name}/d{}/large{number}", number % 7), &noise(6 * MIB, number));
    }
    std::fs::create_dir_all(client.path(name).join("empty/folder")).unwrap();
    (300 + LARGE, 300_000 + LARGE * 6 * MIB as u64)
}

fn assert_whole(summary: &TransferSummary, (files, bytes): (u64, u64)) {
    assert_eq!((summary.files, summary.bytes, summary.failures.len()), (files, bytes, 0), "{summary:?}");
}

/// Compares two trees, by the digests of their files.
fn assert_same(one: &Path, other: &Path) {
    let (one, other) = (contents(one).unwrap(), contents(other).unwrap());
    assert!(one == other, "{:?}\n{:?}", one.keys(), other.keys());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tree_is_transferred_over_three_connections_both_ways() {
    let host = slow_host().await;
    let proxy = Proxy::cutting(host.address(), &[]).await;
    let mut client = InProcessClient::login(&host, proxy.port()).await;
    let planted = plant(&client, "t");
    let summary = client.put(&["t"], "/", over("3", RECURSIVE)).await.unwrap();
    assert_whole(&summary, planted);
    assert_eq!((client.heard().0, client.heard().1.len() as u64), (planted.1, planted.0));
    assert_same(&client.path("t"), &host.home("ann").join("t"));
    let each = proxy.carried_each();
    assert!(each.len() == 3 && each.iter().all(|carried| *carried > MIB as u64), "{each:?}");
    until(async || proxy.open() == 1).await;
    let summary = client.get(&["/t"], "back", over("3", RECURSIVE)).await.unwrap();
    assert_whole(&summary, planted);
    assert_eq!((client.heard().0, client.heard().1.len() as u64), (planted.1, planted.0));
    assert_same(&client.path("t"), &client.path("back"));
    let each = proxy.carried_each();
    assert!(each.len() == 5 && each.iter().all(|carried| *carried > MIB as u64), "{each:?}");
    // They end with the command.
    until(async || proxy.open() == 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_small_transfer_uses_one_connection() {
    let host = host().await;
    let proxy = Proxy::cutting(host.address(), &[]).await;
    let mut client = InProcessClient::login(&host, proxy.port()).await;
    for number in 0..20 {
        client.write(&format!("t/{number}"), &noise(1000, number));
    }
    client.put(&["t"], "/", over("auto", RECURSIVE)).await.unwrap();
    client.get(&["/t"], "back", over("auto", RECURSIVE)).await.unwrap();
    client.write("large", &noise(80 * MIB, 1));
    client.put(&["large"], "/", over("8", PLAIN)).await.unwrap();
    client.get(&["/large"], "copy", over("8", PLAIN)).await.unwrap();
    client.put(&["t"], "/one", over("1", RECURSIVE)).await.unwrap();
    assert_eq!(proxy.connections(), 1);
    assert_same(&client.path("t"), &client.path("back"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_transfer_uses_several_connections_by_default() {
    if std::thread::available_parallelism().is_ok_and(|cores| cores.get() < 2) {
        println!("skipped: a_large_transfer_uses_several_connections_by_default (one core)");
        return;
    }
    let host = host().await;
    let proxy = Proxy::cutting(host.address(), &[]).await;
    let mut client = InProcessClient::login(&host, proxy.port()).await;
    for number in 0..2 {
        client.write(&format!("t{number}"), &noise(70 * MIB, number));
    }
    client.put(&["t0", "t1"], "/", over("auto", PLAIN)).await.unwrap();
    assert_eq!(proxy.connections(), 2);
    // Without a listing, their lengths are unknown.
    std::fs::create_dir(client.path("back")).unwrap();
    client.get(&["/t0", "/t1"], "back", over("auto", PLAIN)).await.unwrap();
    assert_eq!(proxy.connections(), 3);
    for number in 0..2 {
        assert!(client.read(&format!("back/t{number}")) == noise(70 * MIB, number));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transfer_continues_with_the_connections_it_gets() {
    let host = host().await;
    // One more is accepted, and all further ones are refused.
    let mut made = 0;
    let proxy = Proxy::new(host.address(), move || {
        made += 1;
        if made <= 2 { u64::MAX } else { 0 }
    })
    .await;
    let mut client = InProcessClient::login(&host, proxy.port()).await;
    let planted = plant(&client, "t");
    let summary = client.put(&["t"], "/", over("8", RECURSIVE)).await.unwrap();
    assert_whole(&summary, planted);
    assert_same(&client.path("t"), &host.home("ann").join("t"));
    // Four are opened at a time. After a refusal, no more are.
    assert_eq!(proxy.connections(), 5);
    let summary = client.get(&["/t"], "back", over("8", RECURSIVE)).await.unwrap();
    assert_whole(&summary, planted);
    assert_same(&client.path("t"), &client.path("back"));
    assert_eq!(proxy.connections(), 9);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancel_stops_all_connections_and_keeps_the_session() {
    let host = slow_host().await;
    let proxy = Proxy::cutting(host.address(), &[]).await;
    let mut client = InProcessClient::login(&host, proxy.port()).await;
    let planted = plant(&client, "t");
    let cancel = async |token: CancellationToken, after: u64| {
        let from = proxy.carried();
        until(async || proxy.carried() > from + after && proxy.open() == 3).await;
        token.cancel();
    };
    let token = client.cancel.clone();
    let (put, ()) =
        tokio::join!(client.put(&["t"], "/", over("3", RECURSIVE)), cancel(token, 9 * MIB as u64));
    assert!(matches!(put, Err(ConversationError::Cancelled)), "{put:?}");
    until(async || proxy.open() == 1).await;
    client.cancel = CancellationToken::new();
    let summary = client.put(&["t"], "/", over("3", RECURSIVE)).await.unwrap();
    // What was stored before the cancel is not sent again.
    assert!(summary.unchanged > 0 && summary.failures.is_empty(), "{summary:?}");
    assert_eq!(summary.files + summary.unchanged, planted.0);
    assert_same(&client.path("t"), &host.home("ann").join("t"));
    let token = client.cancel.clone();
    let (got, ()) =
        tokio::join!(client.get(&["/t"], "back", over("3", RECURSIVE)), cancel(token, 9 * MIB as u64));
    assert!(matches!(got, Err(ConversationError::Cancelled)), "{got:?}");
    until(async || proxy.open() == 1).await;
    client.cancel = CancellationToken::new();
    let summary = client.get(&["/t"], "", over("3", RECURSIVE)).await.unwrap();
    assert_eq!((summary.files, summary.failures.len()), (0, 0), "it is there already: {summary:?}");
    client.get(&["/t"], "again", over("3", RECURSIVE)).await.unwrap();
    assert_same(&client.path("t"), &client.path("again"));
    let (parts, usage) = books(&host).await;
    assert_eq!((parts.len(), usage.used, usage.reserved), (0, planted.1, 0), "{parts:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn each_connection_resumes_its_partial_file() {
    let host = host().await;
    let cut = 14 * MIB as u64;
    // The second connection of the put is cut, and the first and second of the get.
    let proxy = Proxy::cutting(host.address(), &[6 * cut, cut, u64::MAX, cut]).await;
    let mut client = InProcessClient::login(&host, proxy.port()).await;
    for number in 0..4 {
        client.write(&format!("t/{number}"), &noise(24 * MIB, number));
    }
    let summary = client.put(&["t"], "/", over("2", RECURSIVE)).await.unwrap();
    assert_whole(&summary, (4, 96 * MIB as u64));
    assert!(summary.resumed.iter().any(|resumed| resumed.offset >= BLOCK_BYTES), "{summary:?}");
    assert_eq!(client.heard().0, 96 * MIB as u64);
    assert_same(&client.path("t"), &host.home("ann").join("t"));
    let summary = client.get(&["/t"], "back", over("2", RECURSIVE)).await.unwrap();
    assert_whole(&summary, (4, 96 * MIB as u64));
    assert!(summary.resumed.iter().any(|resumed| resumed.offset >= BLOCK_BYTES), "{summary:?}");
    assert_eq!(client.heard().0, 96 * MIB as u64);
    assert_same(&client.path("t"), &client.path("back"));
    until(async || books(&host).await.0.is_empty()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_others_finish_what_a_lost_connection_leaves() {
    let host = host().await;
    let proxy = Proxy::cutting(host.address(), &[14 * MIB as u64]).await;
    let mut client = InProcessClient::login(&host, proxy.port()).await;
    client.retries = 0;
    let planted = plant(&client, "t");
    let summary = client.put(&["t"], "/", over("2", RECURSIVE)).await.unwrap();
    assert_whole(&summary, planted);
    assert_same(&client.path("t"), &host.home("ann").join("t"));
    // The session's own connection was cut.
    let error = client.put(&["t"], "/", over("2", RECURSIVE)).await.unwrap_err();
    assert!(matches!(error, ConversationError::Lost(_)), "{error}");
    // Now the other one is cut.
    let mut lengths = [u64::MAX, 14 * MIB as u64].into_iter();
    let proxy = Proxy::new(host.address(), move || lengths.next().unwrap_or(0)).await;
    let mut client = InProcessClient::login(&host, proxy.port()).await;
    client.retries = 0;
    let summary = client.get(&["/t"], "back", over("2", RECURSIVE)).await.unwrap();
    assert_whole(&summary, planted);
    assert_same(&client.path("back"), &host.home("ann").join("t"));
    assert_eq!(proxy.connections(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transfer_that_loses_all_connections_fails() {
    let host = host().await;
    let proxy = Proxy::cutting(host.address(), &[9 * MIB as u64; 3]).await;
    let mut client = InProcessClient::login(&host, proxy.port()).await;
    client.retries = 0;
    plant(&client, "t");
    let error = client.put(&["t"], "/", over("3", RECURSIVE)).await.unwrap_err();
    assert!(matches!(error, ConversationError::Lost(_)), "{error}");
    assert!(proxy.connections() <= 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tree_arrives_whole_over_connections_that_break_repeatedly() {
    let host = host().await;
    let proxy = Proxy::cutting(host.address(), &[300_000; 24]).await;
    let mut client = InProcessClient::login(&host, proxy.port()).await;
    client.pause = Duration::from_millis(5);
    for number in 0..2000 {
        client.write(&format!("t/d{}/{number}", number % 9), &noise(1000, number));
    }
    let summary = client.put(&["t"], "/", over("3", RECURSIVE)).await.unwrap();
    assert_whole(&summary, (2000, 2_000_000));
    assert_eq!(client.heard(), (2_000_000, vec![(1000, 0); 2000]));
    assert_same(&client.path("t"), &host.home("ann").join("t"));
    let summary = client.get(&["/t"], "back", over("3", RECURSIVE)).await.unwrap();
    assert_whole(&summary, (2000, 2_000_000));
    assert_eq!(client.heard(), (2_000_000, vec![(1000, 0); 2000]));
    assert_same(&client.path("t"), &client.path("back"));
    assert!(proxy.connections() > 6, "{}", proxy.connections());
}

#[tokio::test(flavor = "multi_thread")]
async fn folders_get_their_modes_whichever_connection_fills_them() {
    let host = host().await;
    let mut client = InProcessClient::login(&host, host.address().port()).await;
    plant(&client, "t");
    let modes = [0o700, 0o710, 0o711, 0o750, 0o751, 0o754, 0o755];
    for (number, mode) in modes.into_iter().enumerate() {
        set_mode(client.path(&format!("t/d{number}")), mode).unwrap();
    }
    let (there, kept) = (host.home("ann").join("t"), host.home("ann").join("t/d3"));
    std::fs::create_dir_all(&kept).unwrap();
    set_mode(&kept, 0o705).unwrap();
    let preserve = over("3", TransferOptions { preserve: true, ..RECURSIVE });
    client.put(&["t"], "/", preserve).await.unwrap();
    assert_same(&client.path("t"), &there);
    client.get(&["/t"], "back", preserve).await.unwrap();
    for (number, planted) in modes.into_iter().enumerate() {
        let want = if number == 3 { 0o705 } else { planted };
        assert_eq!(mode(there.join(format!("d{number}"))).unwrap(), want, "{number}");
        assert_eq!(mode(client.path(&format!("back/d{number}"))).unwrap(), want, "{number}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_sources_with_one_name_the_first_is_kept() {
    let host = host().await;
    let mut client = InProcessClient::login(&host, host.address().port()).await;
    client.write("a/x", &noise(9 * MIB, 1));
    client.write("b/x", &noise(10, 2));
    let summary = client.put(&["a/x", "b/x"], "/", over("2", PLAIN)).await.unwrap();
    assert_eq!((summary.files, summary.failures.len()), (1, 1), "{summary:?}");
    assert!(std::fs::read(host.home("ann").join("x")).unwrap() == noise(9 * MIB, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failure_on_any_connection_is_reported_once_and_the_rest_arrives() {
    let host = host().await;
    let mut client = InProcessClient::login(&host, host.address().port()).await;
    let planted = plant(&client, "t");
    std::fs::create_dir_all(host.home("ann").join("t/d0/large0")).unwrap();
    std::fs::create_dir_all(host.home("ann").join("t/d5/large5")).unwrap();
    std::fs::write(host.home("ann").join("t/d6"), "in the way of a folder").unwrap();
    let summary = client.put(&["t"], "/", over("3", RECURSIVE)).await.unwrap();
    let mut failed: Vec<&str> = summary.failures.iter().map(|failure| failure.what.as_str()).collect();
    failed.sort_unstable();
    let told = failed.len();
    failed.dedup();
    assert_eq!(failed.len(), told, "{failed:?}");
    assert!(["/t/d0/large0", "/t/d5/large5", "/t/d6"].iter().all(|name| failed.contains(name)), "{failed:?}");
    // Nothing of d6 can exist: 42 small files and a large one, three folders, and itself.
    assert_eq!((told, summary.files), (2 + 43 + 3 + 1, planted.0 - 2 - 43), "{failed:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_extra_connection_is_reported_once_if_a_number_was_requested() {
    let host = host().await;
    let auto = if std::thread::available_parallelism().is_ok_and(|cores| cores.get() > 1) { 1 } else { 0 };
    for (options, jobs, told) in
        [(&["-v"][..], "4", 1), (&[], "4", 1), (&["-q"], "4", 0), (&["-v"], "auto", auto), (&[], "auto", 0)]
    {
        let mut made = 0;
        let proxy = Proxy::new(host.address(), move || {
            made += 1;
            if made == 1 { u64::MAX } else { 0 }
        })
        .await;
        let cron = Cron::through(&host, proxy.port());
        std::fs::create_dir(cron.path("t")).unwrap();
        for number in 0..4 {
            cron.write(&format!("t/{number}"), noise(36 * MIB, number));
        }
        let put = cron.run(options, "ann@127.0.0.1", &["put", "-r", "--all", "-j", jobs, "t"]);
        assert!(put.code == Some(0) && (put.out.starts_with("4 files, ") || options == ["-q"]), "{put:?}");
        assert_eq!(put.err.matches("continuing with 1 of ").count(), told, "{put:?}");
        assert_eq!(proxy.connections(), if jobs == "4" { 4 } else { 1 + auto });
        assert_same(&cron.path("t"), &host.home("ann").join("t"));
    }
}
