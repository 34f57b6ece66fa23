//! The modes and times of a tree's directories, both ways.

use crate::client::{InProcessClient, RECURSIVE, noise};
use crate::proxy::Proxy;
use sshome::conversation::ConversationError;
use sshome::transfer::TransferOptions;
use sshome_e2e::tree::{contents, mode, set_mode};
use sshome_e2e::{Host, Peer, end_of};
use sshome_wire::{Frame, Request, Status, Time};
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

const PRESERVE: TransferOptions = TransferOptions { preserve: true, ..RECURSIVE };

/// Some of them make the directory read-only.
const MODES: [u32; 7] = [0o755, 0o555, 0o700, 0o500, 0o750, 0o511, 0o777];

async fn host() -> Host {
    Host::with_user("ann", "").await.unwrap()
}

/// Directories with different modes and times, each with files and directories in it.
fn plant(top: &Path) {
    for number in 0..240 {
        let folder = top.join(format!("a{}/b{}/c{}", number % 3, number % 4, number % 5));
        fs::create_dir_all(&folder).unwrap();
        fs::create_dir_all(folder.join("empty")).unwrap();
        fs::write(folder.join(format!("f{number}")), noise(3000, number)).unwrap();
    }
    for (number, folder) in folders(top).into_keys().enumerate() {
        let folder = File::open(top.join(folder)).unwrap();
        let time = Duration::new(1_000_000_000 + number as u64 * 86_400, 123_456_789);
        folder.set_modified(UNIX_EPOCH + time).unwrap();
        folder.set_permissions(PermissionsExt::from_mode(MODES[number % MODES.len()])).unwrap();
    }
}

/// All directories of a tree, with mode and time.
fn folders(top: &Path) -> BTreeMap<PathBuf, (u32, SystemTime)> {
    let mut names = vec![PathBuf::new()];
    names.extend(contents(top).unwrap().into_iter().filter(|(_, file)| file.is_none()).map(|(name, _)| name));
    let seen = |name: &PathBuf| {
        let path = top.join(name);
        (mode(&path).unwrap(), path.metadata().unwrap().modified().unwrap())
    };
    names.into_iter().map(|name| (name.clone(), seen(&name))).collect()
}

fn assert_same(one: &Path, other: &Path) {
    assert!(contents(one).unwrap() == contents(other).unwrap());
    let (one, other) = (folders(one), folders(other));
    let differ = || one.iter().filter(|(name, of)| other.get(*name) != Some(of)).collect::<Vec<_>>();
    assert!(one == other, "{:?}", differ());
}

#[tokio::test(flavor = "multi_thread")]
async fn directory_modes_and_times_are_kept_both_ways() {
    let host = host().await;
    let mut client = InProcessClient::login(&host, host.address().port()).await;
    plant(&client.path("t"));
    for (number, jobs, batch_entries) in
        [(1, "1", TransferOptions::DEFAULT_BATCH_ENTRIES), (2, "3", 20), (3, "1", 1)]
    {
        let options = TransferOptions { jobs: jobs.parse().unwrap(), batch_entries, ..PRESERVE };
        let (there, back) = (format!("/there{number}"), format!("back{number}"));
        client.put(&["t"], &there, options).await.unwrap();
        assert_same(&client.path("t"), &host.home("ann").join(&there[1..]));
        client.get(&[&there], &back, options).await.unwrap();
        assert_same(&client.path("t"), &client.path(&back));
        // And again, over the existing tree.
        client.put(&["t"], "/again", options).await.unwrap();
        fs::create_dir_all(host.home("ann").join("in")).unwrap();
        client.put(&[&back], "/in", options).await.unwrap();
        client.put(&[&back], "/in", options).await.unwrap();
        assert_same(&client.path("t"), &host.home("ann").join("in").join(&back));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn directory_modes_and_times_survive_cuts() {
    let host = host().await;
    for jobs in ["1", "3"] {
        // Logging in takes about 5 KiB.
        let cuts: Vec<u64> = (1..=60).map(|number| 12_000 + number * 3_000).collect();
        let proxy = Proxy::cutting(host.address(), &cuts).await;
        let mut client = InProcessClient::login(&host, proxy.port()).await;
        (client.retries, client.pause) = (100, Duration::from_millis(1));
        plant(&client.path("t"));
        let options = TransferOptions { jobs: jobs.parse().unwrap(), batch_entries: 50, ..PRESERVE };
        let there = format!("there{jobs}");
        let summary = client.put(&["t"], &format!("/{there}"), options).await.unwrap();
        assert_eq!((summary.files, summary.failures.len()), (240, 0), "{summary:?}");
        let connections = proxy.connections();
        assert!(connections > 8, "{connections}");
        assert_same(&client.path("t"), &host.home("ann").join(&there));
        let summary = client.get(&[&format!("/{there}")], "back", options).await.unwrap();
        assert_eq!((summary.files, summary.failures.len()), (240, 0), "{summary:?}");
        assert!(proxy.connections() > connections, "{connections}");
        assert_same(&client.path("t"), &client.path("back"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn directory_modes_and_times_survive_a_repeated_command() {
    let host = host().await;
    // Three commands of each kind are interrupted.
    let cuts = [100_000, 300_000, 500_000, u64::MAX, 100_000, 150_000, 200_000];
    let proxy = Proxy::cutting(host.address(), &cuts).await;
    let mut client = InProcessClient::login(&host, proxy.port()).await;
    plant(&client.path("t"));
    fs::create_dir(host.home("ann").join("in")).unwrap();
    fs::create_dir(client.path("back")).unwrap();
    for is_put in [true, false] {
        let mut cut = 0;
        loop {
            client.retries = 0;
            let done = match is_put {
                true => client.put(&["t"], "/in", PRESERVE).await,
                false => client.get(&["/in/t"], "back", PRESERVE).await,
            };
            let next = InProcessClient::login(&host, proxy.port()).await;
            fs::rename(client.path(""), next.path("")).unwrap();
            client = next;
            match done {
                Ok(summary) => break assert!(summary.failures.is_empty(), "{summary:?}"),
                Err(ConversationError::Lost(_)) => cut += 1,
                Err(error) => panic!("{error}"),
            }
        }
        assert_eq!(cut, 3);
    }
    assert_same(&client.path("t"), &host.home("ann").join("in/t"));
    assert_same(&client.path("t"), &client.path("back/t"));
}

#[tokio::test(flavor = "multi_thread")]
async fn existing_folders_keep_their_modes_and_get_the_times() {
    let host = host().await;
    let mut client = InProcessClient::login(&host, host.address().port()).await;
    plant(&client.path("t"));
    let long_ago = UNIX_EPOCH + Duration::from_secs(86_400);
    for top in [host.home("ann").join("t"), client.path("back")] {
        for (folder, bits) in [("a0/b0/c0", 0o705), ("a1", 0o711)] {
            fs::create_dir_all(top.join(folder)).unwrap();
            set_mode(top.join(folder), bits).unwrap();
        }
        // A directory that is not in the tree must not be changed.
        fs::create_dir(top.join("a1/other")).unwrap();
        File::open(top.join("a1/other")).unwrap().set_modified(long_ago).unwrap();
    }
    fs::create_dir(client.path("in")).unwrap();
    fs::rename(client.path("back"), client.path("in/t")).unwrap();
    client.put(&["t"], "/", PRESERVE).await.unwrap();
    client.get(&["/t"], "in", PRESERVE).await.unwrap();
    let mut wanted = folders(&client.path("t"));
    for (folder, bits) in [("a0/b0/c0", 0o705), ("a1", 0o711)] {
        wanted.get_mut(Path::new(folder)).unwrap().0 = bits;
    }
    wanted.insert("a1/other".into(), (mode(host.home("ann").join("t/a1/other")).unwrap(), long_ago));
    // The test created them, not a put, so the parents keep their modes as well.
    for above in ["", "a0", "a0/b0"] {
        wanted.get_mut(Path::new(above)).unwrap().0 = mode(host.home("ann").join("t").join(above)).unwrap();
    }
    assert_eq!(mode(host.home("ann").join("t/a0")).unwrap(), mode(client.path("in/t/a0")).unwrap());
    assert_eq!(folders(&host.home("ann").join("t")), wanted);
    assert_eq!(folders(&client.path("in/t")), wanted);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_p_directories_get_default_modes_and_new_times() {
    let host = host().await;
    let mut client = InProcessClient::login(&host, host.address().port()).await;
    plant(&client.path("t"));
    let begun = SystemTime::now() - Duration::from_secs(5);
    client.put(&["t"], "/", RECURSIVE).await.unwrap();
    client.get(&["/t"], "back", RECURSIVE).await.unwrap();
    for (top, bits) in [(host.home("ann").join("t"), 0o755), (client.path("back"), 0o777)] {
        for (name, (mode, modified)) in folders(&top) {
            assert!(modified >= begun && mode & !bits == 0 && mode & 0o700 == 0o700, "{name:?} {mode:o}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_directory_is_finished_without_waiting_for_answers() {
    let host = host().await;
    let mut peer = Peer::login(&host, "ann").await.unwrap();
    let path = |text: &str| text.as_bytes().to_vec();
    let mtime = Time { seconds: -5, nanoseconds: 7 };
    let finish = |name: &str| Frame::Request(Request::FinishDirectory { path: path(name), mtime });
    // No answer is read until all requests are sent, for more directories than one group has.
    for number in 0..300 {
        let name = format!("d{number}");
        let made = Request::Mkdir { path: path(&name), parents: false, mode: Some(0o555) };
        peer.send(&Frame::Request(made)).await.unwrap();
        peer.begin_put(format!("{name}/f"), Some(1)).await.unwrap();
        peer.send_data(b"x").await.unwrap();
        peer.send(&Frame::End(end_of(b"x"))).await.unwrap();
        peer.send(&finish(&name)).await.unwrap();
    }
    for answer in 0..900 {
        assert_eq!(peer.reply().await.unwrap().status, Status::Done, "{answer}");
    }
    let wanted = (0o555, UNIX_EPOCH - Duration::from_secs(5) + Duration::from_nanos(7));
    let found = folders(&host.home("ann"));
    let of = |name: &Path| !name.starts_with(".sshome-staging") && name != Path::new("");
    assert_eq!(found.iter().filter(|(name, found)| of(name) && **found == wanted).count(), 300, "{found:?}");
    peer.send(&finish("d0/f")).await.unwrap();
    peer.send(&finish("none")).await.unwrap();
    peer.send(&finish("/")).await.unwrap();
    for refused in [Status::WrongType, Status::NoSuchDirectory, Status::PermissionDenied] {
        let reply = peer.reply().await.unwrap();
        assert_eq!(reply.status, refused, "{reply}");
    }
}
