//! Directories that deny their owner access, changed by commands whose connections are cut.

use crate::client::{InProcessClient, noise};
use crate::proxy::Proxy;
use sshome::conversation::ConversationError;
use sshome::transfer::{DeleteOptions, SyncOptions};
use sshome_e2e::Host;
use sshome_e2e::tree::{contents, mode, set_mode};
use std::fs;
use std::path::{Path, PathBuf};

const DIRECTORIES: usize = 30;
const CLOSED: u32 = 0o555;

fn directories(top: &Path) -> Vec<PathBuf> {
    (0..DIRECTORIES).map(|number| top.join(format!("d{number}"))).collect()
}

fn set_modes(top: &Path, wanted: u32) {
    directories(top).iter().for_each(|directory| set_mode(directory, wanted).unwrap());
}

/// Directories with files of 3,000 bytes, or with fewer files of other lengths.
fn plant(top: &Path, is_second: bool) {
    let (files, length) = if is_second { (3, 3500) } else { (6, 3000) };
    let _ = fs::remove_dir_all(top);
    for (number, directory) in directories(top).iter().enumerate() {
        fs::create_dir_all(directory.join("sub")).unwrap();
        for file in 0..files {
            let path =
                directory.join(if file % 2 == 0 { format!("f{file}") } else { format!("sub/f{file}") });
            fs::write(path, noise(length, (number * 10 + file) as u64)).unwrap();
        }
    }
}

fn assert_same(source: &Path, destination: &Path) {
    assert!(contents(source).unwrap() == contents(destination).unwrap());
    for directory in directories(destination) {
        assert_eq!(mode(&directory).unwrap(), CLOSED, "{directory:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn closed_directories_get_their_modes_back_after_cuts() {
    let host = Host::with_user("ann", "").await.unwrap();
    let options = SyncOptions {
        delete: Some(DeleteOptions { excluded: false, max: Some(10_000) }),
        batch_entries: 20,
        ..SyncOptions::default()
    };
    for is_push in [true, false] {
        let remote = host.home("ann").join("t");
        let mut client = InProcessClient::login(&host, host.address().port()).await;
        let (source, destination) = match is_push {
            true => (client.path("t"), remote.clone()),
            false => (remote.clone(), client.path("t")),
        };
        plant(&source, false);
        set_modes(&source, CLOSED);
        match is_push {
            true => client.push("t", "/t", &options).await.unwrap(),
            false => client.pull("/t", "t", &options).await.unwrap(),
        };
        assert_same(&source, &destination);
        set_modes(&source, 0o755);
        plant(&source, true);
        // Logging in takes about 5 KiB.
        let cuts: Vec<u64> = (1..=12).map(|number| 10_000 + number * 5_000).collect();
        let proxy = Proxy::cutting(host.address(), &cuts).await;
        let mut cut = 0;
        loop {
            let mut next = InProcessClient::login(&host, proxy.port()).await;
            fs::rename(client.path(""), next.path("")).unwrap();
            next.retries = 0;
            client = next;
            let done = match is_push {
                true => client.push("t", "/t", &options).await,
                false => client.pull("/t", "t", &options).await,
            };
            match done {
                Ok(summary) => break assert!(summary.failures.is_empty(), "{summary:?}"),
                Err(ConversationError::Lost(_)) => cut += 1,
                Err(error) => panic!("{error}"),
            }
        }
        assert!(cut > 3, "{cut}");
        let (source, destination) = match is_push {
            true => (client.path("t"), remote.clone()),
            false => (remote.clone(), client.path("t")),
        };
        assert_same(&source, &destination);
        set_modes(&destination, 0o755);
        fs::remove_dir_all(&remote).unwrap();
    }
}
