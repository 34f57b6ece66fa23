//! Symbolic links in trees: copied as they are, or followed.

use crate::client::{InProcessClient, RECURSIVE, names};
use sshome::transfer::TransferOptions;
use sshome_e2e::Host;
use std::os::unix::fs::symlink;
use std::path::Path;

const FOLLOW: TransferOptions = TransferOptions { follow: true, ..RECURSIVE };

async fn world() -> (Host, InProcessClient) {
    let host = Host::with_user("ann", "").await.unwrap();
    let client = InProcessClient::login(&host, host.address().port()).await;
    (host, client)
}

/// Links on the server to a file, to other trees and back. Four of them lead to a directory that contains them, and one
/// dangles.
pub fn plant_circles(home: &Path, file: &str) {
    for (name, target) in [
        ("t/file", file),
        ("t/dir", "hop"),
        ("t/hop", "/other"),
        ("t/circle", "."),
        ("t/d/up", ".."),
        ("t/gone", "no"),
        ("other/deep/back", "/t"),
    ] {
        symlink(target, home.join(name)).unwrap();
    }
}

fn target(path: &Path) -> String {
    std::fs::read_link(path).unwrap().into_os_string().into_string().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn links_are_copied_as_they_are_in_both_directions() {
    let (host, mut client) = world().await;
    let links =
        [("inside", "d/file"), ("above", "../../../etc"), ("absolute", "/etc/passwd"), ("dangling", "no")];
    client.write("t/d/file", b"1");
    for (name, target) in links {
        symlink(target, client.path("t").join(name)).unwrap();
    }
    let summary = client.put(&["t"], "/", RECURSIVE).await.unwrap();
    assert_eq!((summary.files, summary.links, summary.failures.len()), (1, 4, 0), "{summary:?}");
    for (name, text) in links {
        assert_eq!(target(&host.home("ann").join("t").join(name)), text);
    }
    // Again, now that they exist.
    let again = client.put(&["t"], "/", RECURSIVE).await.unwrap();
    assert_eq!((again.links, again.unchanged, again.failures.len()), (0, 5, 0), "{again:?}");
    let summary = client.get(&["/t"], "back", RECURSIVE).await.unwrap();
    assert_eq!((summary.files, summary.links, summary.failures.len()), (1, 4, 0), "{summary:?}");
    for (name, text) in links {
        assert_eq!(target(&client.path("back").join(name)), text);
    }
    std::fs::remove_dir_all(client.path("t")).unwrap();
    std::fs::rename(client.path("back"), client.path("t")).unwrap();
    let again = client.get(&["/t"], "", RECURSIVE).await.unwrap();
    assert_eq!((again.links, again.unchanged, again.failures.len()), (0, 5, 0), "{again:?}");
    assert_eq!(names(&client.path("t")).len(), 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_different_link_is_not_replaced() {
    let (host, mut client) = world().await;
    client.write("t/file", b"1");
    symlink("new", client.path("t/link")).unwrap();
    symlink("new", client.path("t/name")).unwrap();
    std::fs::create_dir(host.home("ann").join("t")).unwrap();
    symlink("old", host.home("ann").join("t/link")).unwrap();
    std::fs::write(host.home("ann").join("t/name"), "a file").unwrap();
    let summary = client.put(&["t"], "/", RECURSIVE).await.unwrap();
    assert_eq!((summary.files, summary.links, summary.failures.len()), (1, 0, 2), "{summary:?}");
    assert!(
        summary.failures.iter().all(|failure| failure.why.contains("the link's name is taken")),
        "{summary:?}"
    );
    assert_eq!(target(&host.home("ann").join("t/link")), "old");
    // Locally it is saved under a new name, or replaced with force.
    let summary = client.get(&["/t"], "", RECURSIVE).await.unwrap();
    assert_eq!((summary.links, summary.saved_as.len()), (1, 2), "{summary:?}");
    assert_eq!(
        (target(&client.path("t/link")), target(&client.path("t/link.new"))),
        ("new".into(), "old".into())
    );
    assert_eq!(client.read("t/name.new"), b"a file");
    let force = TransferOptions { force: true, ..RECURSIVE };
    client.get(&["/t"], "", force).await.unwrap();
    assert_eq!((target(&client.path("t/link")), client.read("t/name")), ("old".into(), b"a file".to_vec()));
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_written_through_a_link_of_the_same_get() {
    let (host, mut client) = world().await;
    // On the server, one tree has a link where the other has a directory.
    let home = host.home("ann");
    for directory in ["a/t", "b/t/d"] {
        std::fs::create_dir_all(home.join(directory)).unwrap();
    }
    std::fs::write(home.join("b/t/d/planted"), "x").unwrap();
    std::fs::create_dir_all(client.path("outside")).unwrap();
    symlink(client.path("outside"), home.join("a/t/d")).unwrap();
    std::fs::create_dir_all(client.path("in")).unwrap();
    client.get(&["/a/t", "/b/t"], "in", RECURSIVE).await.unwrap();
    client.get(&["/a/t"], "in", TransferOptions { force: true, ..RECURSIVE }).await.unwrap();
    let summary = client.get(&["/a/t", "/b/t"], "in", RECURSIVE).await.unwrap();
    assert!(names(&client.path("outside")).is_empty(), "{summary:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn followed_links_become_their_targets() {
    let (host, mut client) = world().await;
    client.write("t/other/file", b"2");
    client.write("t/d/file", b"1");
    client.write("secret", b"3");
    for (name, target) in [
        ("file", "d/file"),
        ("dir", "other"),
        ("circle", "."),
        ("d/up", ".."),
        ("gone", "no"),
        ("out", "../secret"),
    ] {
        symlink(target, client.path("t").join(name)).unwrap();
    }
    let summary = client.put(&["t"], "/", FOLLOW).await.unwrap();
    assert_eq!((summary.files, summary.links, summary.failures.len()), (4, 0, 4), "{summary:?}");
    let home = host.home("ann");
    assert!(!home.join("t/out").exists());
    assert_eq!(std::fs::read(home.join("t/dir/file")).unwrap(), b"2");
    assert!(!home.join("t/file").is_symlink());
    // The same the other way, with links on the server.
    std::fs::remove_dir_all(home.join("t")).unwrap();
    std::fs::create_dir_all(home.join("other/deep")).unwrap();
    std::fs::create_dir_all(home.join("t/d")).unwrap();
    std::fs::write(home.join("other/file"), "2").unwrap();
    std::fs::write(home.join("t/d/file"), "1").unwrap();
    plant_circles(&home, "d/file");
    let summary = client.get(&["/t"], "back", FOLLOW).await.unwrap();
    // d/file, file, dir/file, hop/file; the circles are circle, d/up, and back by dir and by hop.
    assert_eq!((summary.files, summary.links, summary.failures.len()), (4, 0, 5), "{summary:?}");
    assert_eq!((client.read("back/dir/file"), client.read("back/file")), (b"2".to_vec(), b"1".to_vec()));
    assert!(!client.path("back/dir").is_symlink());
}
