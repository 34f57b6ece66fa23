//! Trees that are fetched in batches: the result must not depend on where a batch ends.

use crate::client::{InProcessClient, RECURSIVE, noise, until};
use crate::links::plant_circles;
use crate::proxy::Proxy;
use rustix::fs::{CWD, Mode, mkfifoat};
use sshome::conversation::ConversationError;
use sshome::transfer::{SyncOptions, TransferOptions, TransferSummary};
use sshome_e2e::Host;
use sshome_e2e::tree::{contents, mode, plant, set_mode};
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// The planted tree has some hundred files.
const SMALL_BATCHES: TransferOptions = TransferOptions { batch_entries: 25, preserve: true, ..RECURSIVE };
/// Its folders that are read-only in the end.
const LOCKED: [&str; 3] = ["many/1", "many/1/1", "many/3/2"];
const WHOLE: TransferOptions = TransferOptions { preserve: true, ..RECURSIVE };

async fn host() -> Host {
    Host::with_user("ann", "").await.unwrap()
}

/// A tree with every kind of entry. Returns its path.
fn plant_all(host: &Host) -> PathBuf {
    let top = host.home("ann").join("t");
    plant(&top).unwrap();
    fs::remove_file(top.join("large")).unwrap();
    for number in 0..300 {
        let folder = top.join(format!("many/{}/{}/{}", number % 4, number % 5, number % 3));
        fs::create_dir_all(folder.join("empty")).unwrap();
        fs::write(folder.join(number.to_string()), noise(700, number)).unwrap();
        symlink("../no", folder.join(format!("link{number}"))).unwrap();
    }
    mkfifoat(CWD, top.join("many/2/pipe"), Mode::RUSR).unwrap();
    fs::write(top.join("many/3/.x.sshome-part"), "its name is ours").unwrap();
    set_locked(&top, 0o500);
    top
}

/// Sets the mode of the locked directories.
fn set_locked(top: &Path, mode: u32) {
    for folder in LOCKED {
        set_mode(top.join(folder), mode).unwrap();
    }
}

/// Local files that obstruct a get, or make it unnecessary.
fn put_before(client: &InProcessClient) {
    fs::create_dir_all(client.path("back/t/many/0/0/0/0")).unwrap();
    client.write("back/t/many/2/2/2/2", &noise(700, 2));
    client.write("back/t/many/2/1/0/6", b"another one");
}

/// The tree is complete, except for entries that `put_before` and conflicting names obstructed.
fn assert_there(top: &Path, back: &Path) {
    let (mut wanted, mut found) = (contents(top).unwrap(), contents(back).unwrap());
    assert!(wanted.remove(Path::new("many/3/.x.sshome-part")).is_some());
    assert!(found.remove(Path::new("many/2/1/0/6.new")).is_some());
    for other in ["many/0/0/0/0", "many/2/1/0/6"] {
        assert!(wanted.remove(Path::new(other)) != found.remove(Path::new(other)));
    }
    assert!(wanted == found, "{:?}\n{:?}", wanted.keys(), found.keys());
    assert_eq!(fs::read(back.join("many/2/1/0/6.new")).unwrap(), noise(700, 6));
    assert_eq!(fs::read_link(back.join("many/3/3/1/link43")).unwrap(), Path::new("../no"));
    assert!(LOCKED.iter().all(|folder| mode(back.join(folder)).unwrap() == 0o500));
}

/// The content of a summary, sorted.
fn told(summary: &TransferSummary) -> (u64, u64, u64, usize, Vec<String>) {
    let mut failed: Vec<String> =
        summary.skipped.iter().chain(summary.failures.iter()).map(|one| one.what.clone()).collect();
    failed.sort_unstable();
    (summary.files, summary.unchanged, summary.links, summary.saved_as.len(), failed)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_next_batch_is_prepared_while_the_current_one_is_fetched() {
    let host = host().await;
    for folder in ["a", "b"] {
        fs::create_dir_all(host.home("ann").join("t").join(folder)).unwrap();
        fs::write(host.home("ann").join("t").join(folder).join("file"), folder).unwrap();
    }
    let mut client = InProcessClient::login(&host, host.address().port()).await;
    // Whichever directory is the first batch, its file is not done before the other directory exists.
    client.hold_files_until(&["t/a", "t/b"]);
    let options = TransferOptions { batch_entries: 1, ..WHOLE };
    assert_eq!(client.get(&["/t"], "", options).await.unwrap().files, 2);
    client.hold_files_until(&["pulled/a", "pulled/b"]);
    let options = SyncOptions { batch_entries: 1, ..SyncOptions::default() };
    assert_eq!(client.pull("/t", "pulled", &options).await.unwrap().files, 2);
    assert_eq!(contents(&client.path("pulled")).unwrap(), contents(&host.home("ann").join("t")).unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tree_in_batches_equals_the_tree_at_once() {
    let host = host().await;
    let top = plant_all(&host);
    let mut all = Vec::new();
    for options in [WHOLE, SMALL_BATCHES, TransferOptions { batch_entries: 1, ..SMALL_BATCHES }] {
        let mut client = InProcessClient::login(&host, host.address().port()).await;
        put_before(&client);
        let summary = client.get(&["/t"], "back", options).await.unwrap();
        assert_there(&top, &client.path("back/t"));
        let (announced, portions) = client.announced();
        assert_eq!(announced, summary.files);
        all.push((told(&summary), portions));
        set_locked(&client.path("back/t"), 0o700);
    }
    let [(whole, 1), (small, many), (single, more)] = all.as_slice() else { panic!("{all:?}") };
    assert!(whole == small && small == single, "{all:?}");
    assert!(*many > 30 && more > many, "{many} {more}");
    set_locked(&top, 0o700);
}

#[tokio::test(flavor = "multi_thread")]
async fn batches_survive_cuts_on_one_and_on_several_connections() {
    let host = host().await;
    let top = plant_all(&host);
    for jobs in ["1", "3"] {
        // Logging in takes about 5 KiB, and an interrupted listing may have been of the whole rest.
        let cuts: Vec<u64> = (1..=40).map(|number| 20_000 + number * 7_000).collect();
        let proxy = Proxy::cutting(host.address(), &cuts).await;
        let mut client = InProcessClient::login(&host, proxy.port()).await;
        (client.retries, client.pause) = (100, Duration::from_millis(1));
        put_before(&client);
        let options = TransferOptions { jobs: jobs.parse().unwrap(), ..SMALL_BATCHES };
        let summary = client.get(&["/t"], "back", options).await.unwrap();
        assert_there(&top, &client.path("back/t"));
        assert_eq!(
            (summary.unchanged, summary.skipped.len(), summary.failures.len()),
            (1, 1, 2),
            "{summary:?}"
        );
        assert!(proxy.connections() > 10, "{}", proxy.connections());
        set_locked(&client.path("back/t"), 0o700);
    }
    set_locked(&top, 0o700);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_interrupt_between_batches_keeps_whole_files() {
    let host = host().await;
    let top = plant_all(&host);
    let mut client = InProcessClient::login(&host, host.address().port()).await;
    put_before(&client);
    // It arrives with the first batch.
    let (cancel, first) = (client.cancel.clone(), client.path("back/t/empty"));
    let raising = async {
        until(async || first.exists()).await;
        cancel.cancel();
    };
    let (got, ()) = tokio::join!(client.get(&["/t"], "back", SMALL_BATCHES), raising);
    let error = got.unwrap_err();
    assert!(matches!(error, ConversationError::Cancelled), "{error}");
    client.cancel = CancellationToken::new();
    for folder in LOCKED {
        // It may not exist yet.
        let _ = set_mode(client.path("back/t").join(folder), 0o700);
    }
    // The same command again does the rest.
    let summary =
        client.get(&["/t"], "back", TransferOptions { force: true, ..SMALL_BATCHES }).await.unwrap();
    assert!(summary.unchanged > 1 && summary.files > 1, "{summary:?}");
    let (wanted, found) = (contents(&top).unwrap(), contents(&client.path("back/t")).unwrap());
    let others = ["many/0/0/0/0", "many/3/.x.sshome-part"];
    let is_there = |(name, of): (&PathBuf, &Option<_>)| {
        found.get(name) == Some(of) || others.iter().any(|other| name == Path::new(other))
    };
    assert!(wanted.iter().all(is_there), "{:?}\n{:?}", wanted.keys(), found.keys());
    set_locked(&top, 0o700);
    set_locked(&client.path("back/t"), 0o700);
}

#[tokio::test(flavor = "multi_thread")]
async fn followed_links_have_the_same_targets_in_batches() {
    let host = host().await;
    let home = host.home("ann");
    for folder in ["t/d", "t/e/f", "other/deep"] {
        fs::create_dir_all(home.join(folder)).unwrap();
    }
    for number in 0..30 {
        let folder = ["t/d", "t/e/f", "other", "other/deep", "t"][number % 5];
        fs::write(home.join(folder).join(number.to_string()), noise(10, number as u64)).unwrap();
    }
    plant_circles(&home, "d/0");
    let mut all = Vec::new();
    for options in
        [WHOLE, TransferOptions { batch_entries: 1, ..WHOLE }, TransferOptions { batch_entries: 8, ..WHOLE }]
    {
        let mut client = InProcessClient::login(&host, host.address().port()).await;
        let options = TransferOptions { follow: true, ..options };
        let summary = client.get(&["/t"], "back", options).await.unwrap();
        assert_eq!(summary.links, 0, "{summary:?}");
        all.push((told(&summary), contents(&client.path("back")).unwrap()));
    }
    // The circles are circle, d/up, and back by dir and by hop; gone leads to nothing.
    assert_eq!((all[0].0.0, all[0].0.4.len()), (30 + 1 + 12, 5), "{:?}", all[0].0);
    assert!(all.iter().all(|one| *one == all[0]), "{:?}", all.iter().map(|one| &one.0).collect::<Vec<_>>());
}
