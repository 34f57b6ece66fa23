//! A `pull` whose connection is cut: large files are resumed, and directories are filled batch by batch. A `check` whose
//! connection is cut.

use crate::MIB;
use crate::client::{InProcessClient, noise};
use crate::proxy::Proxy;
use sshome::conversation::ConversationError;
use sshome::transfer::{DeleteOptions, FileComparison, SyncOptions};
use sshome_e2e::Host;
use sshome_e2e::tree::{described, mode, set_mode};
use std::fs;

#[tokio::test(flavor = "multi_thread")]
async fn an_interrupted_pull_is_resumed_by_itself_and_by_the_next() {
    let host = Host::with_user("ann", "").await.unwrap();
    let content = noise(30 * MIB, 1);
    fs::create_dir(host.home("ann").join("t")).unwrap();
    fs::write(host.home("ann").join("t/large"), &content).unwrap();
    for retries in [0, 5] {
        let proxy = Proxy::cutting(host.address(), &[20 * MIB as u64]).await;
        let mut client = InProcessClient::login(&host, proxy.port()).await;
        client.retries = retries;
        let options = SyncOptions { delete: Some(DeleteOptions::default()), ..SyncOptions::default() };
        client.write("t/extra", b"");
        let pulled = client.pull("/t", "t", &options).await;
        if retries == 0 {
            assert!(matches!(pulled, Err(ConversationError::Lost(_))));
            // Nothing was deleted, and the partial file is not deleted later.
            assert!(
                client.names_in("t").contains(&".large.sshome-part".to_owned()),
                "{:?}",
                client.names_in("t")
            );
            assert!(client.path("t/extra").exists());
            let old = client;
            client = InProcessClient::login(&host, proxy.port()).await;
            fs::rename(old.path(""), client.path("")).unwrap();
            client.pull("/t", "t", &options).await.unwrap();
        }
        let (_, done) = client.heard();
        assert!(matches!(done.as_slice(), [(_, resumed_at)] if *resumed_at >= 8 * MIB as u64), "{done:?}");
        assert!(client.read("t/large") == content);
        assert_eq!(client.names_in("t"), ["large"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn directories_that_are_closed_are_filled_in_batches() {
    let host = Host::with_user("ann", "").await.unwrap();
    let top = host.home("ann").join("t");
    let closed = ["a/b/c", "a/b", "a", "d"];
    let close = |top: &std::path::Path, mode| {
        closed.iter().for_each(|name| set_mode(top.join(name), mode).unwrap());
    };
    fs::create_dir_all(top.join("a/b/c")).unwrap();
    fs::create_dir_all(top.join("d/e")).unwrap();
    for batch_entries in [1, 3, 50_000] {
        let mut client = InProcessClient::login(&host, host.address().port()).await;
        fs::create_dir_all(client.path("")).unwrap();
        let options =
            SyncOptions { batch_entries, delete: Some(DeleteOptions::default()), ..SyncOptions::default() };
        for round in 0..3 {
            close(&top, 0o700);
            for name in ["f", "a/f", "a/b/f", "a/b/c/f", "d/f", "d/e/f"] {
                fs::write(top.join(name), format!("{round} {batch_entries}")).unwrap();
            }
            // What is only here is deleted from closed directories, too.
            let extra = top.join(format!("a/b/only{}", 1 - round % 2));
            // It does not exist in the first round.
            let _ = fs::remove_file(&extra);
            fs::write(top.join(format!("a/b/only{}", round % 2)), "").unwrap();
            close(&top, 0o500);
            let summary = client.pull("/t", "t", &options).await.unwrap();
            assert!(summary.failures.is_empty(), "{summary:?}");
            assert_eq!(described(&client.path("t")), described(&top), "{batch_entries}");
            assert!(closed.iter().all(|name| mode(client.path("t").join(name)).unwrap() == 0o500));
            let (_, batches) = client.announced();
            assert!(batch_entries > 1 || batches > 3, "{batches}");
        }
        close(&client.path("t"), 0o700);
    }
    close(&top, 0o700);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_check_over_cut_connections_does_not_begin_again() {
    let host = Host::with_user("ann", "").await.unwrap();
    // No connection carries all of the digests.
    let proxy = Proxy::new(host.address(), || 110_000).await;
    let mut client = InProcessClient::login(&host, proxy.port()).await;
    for top in [client.path("t"), host.home("ann").join("t")] {
        fs::create_dir_all(&top).unwrap();
        for number in 0..2500 {
            fs::write(top.join(number.to_string()), "1").unwrap();
        }
    }
    fs::write(client.path("t/7"), "2").unwrap();
    let options = SyncOptions { comparison: FileComparison::Contents, ..SyncOptions::default() };
    let summary = client.check("t", "/t", &options).await.unwrap();
    assert_eq!((summary.same, summary.differences, summary.failures.len()), (2499, 1, 0));
    assert!(proxy.connections() > 1, "{:?}", proxy.carried_each());
}
