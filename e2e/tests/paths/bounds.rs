//! The limits of paths: nothing is above the top of a home, and the longest path.

use crate::reference::in_root;
use crate::table::Tree;
use rustix::fs::OFlags;
use sshome_e2e::sftp::SftpPeer;
use sshome_e2e::{Host, Peer};
use sshome_wire::{Payload, Status};
use std::os::unix::fs::MetadataExt;

#[tokio::test(flavor = "multi_thread")]
async fn dot_dot_at_the_top_stays_at_the_top() {
    let host = Host::with_user("ann", "").await.unwrap();
    let ours = Tree::new(host.home("ann"));
    let (mut peer, mut native) =
        (SftpPeer::login(&host, "ann").await.unwrap(), Peer::login(&host, "ann").await.unwrap());
    for path in [
        "/",
        "//",
        "/.",
        "..",
        "/..",
        "../..",
        "/../f",
        "../../../f",
        "/f",
        "abs",
        "abs/x",
        "/abs/../f",
        "abs/..",
        "up",
        "up/f",
        "up/../f",
        "l/../../../f",
        "l/../../../../a/x",
        "abs/../../abs/real/../x",
        "/a/../../none",
        "/none/../f",
        "dangling/..",
        "/loop/..",
        "f/..",
    ] {
        let there = in_root(ours.top(), path.as_bytes(), OFlags::PATH).ok();
        let request = sshome_wire::Request::RealPath { path: path.into() };
        let real = match native.ask(request).await.unwrap().payload {
            Payload::Path(real) => Some(String::from_utf8(real).unwrap()),
            _ => None,
        };
        // The kernel's target, and the location of the path that we return.
        let told = real.as_ref().and_then(|real| {
            let stat = ours.top().join(real.trim_start_matches('/')).symlink_metadata().ok()?;
            Some((stat.dev(), stat.ino()))
        });
        assert_eq!(told, there, "{path} is {real:?}");
        assert_eq!(peer.stat(path).await.unwrap().is_ok(), there.is_some(), "{path}");
        let directory = in_root(ours.top(), path.as_bytes(), OFlags::DIRECTORY).is_ok();
        assert_eq!(peer.list(path).await.unwrap().is_ok(), directory, "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_longest_paths_work_and_longer_ones_are_refused() {
    let host = Host::with_user("ann", "").await.unwrap();
    let mut peer = Peer::login(&host, "ann").await.unwrap();
    let long = "n".repeat(255);
    let folders = vec![long.as_str(); 15].join("/");
    let mkdir = |path: &str| sshome_wire::Request::Mkdir { path: path.into(), parents: true, mode: None };
    assert_eq!(peer.ask(mkdir(&folders)).await.unwrap().status, Status::Done);
    // 15 names and 15 slashes are 3,840 bytes; with this name it is the longest possible path.
    let last = format!("/{folders}/{}", "f".repeat(254));
    assert_eq!(last.len(), 4095);
    assert_eq!(peer.put(&last, b"deep").await.unwrap().status, Status::Done);
    assert_eq!(peer.get(&last).await.unwrap().unwrap(), b"deep");
    let real = peer.ask(sshome_wire::Request::RealPath { path: last.clone().into() }).await.unwrap();
    assert_eq!(real.payload, Payload::Path(last.clone().into()));
    assert_eq!(peer.put(format!("{last}x"), b"").await.unwrap().status, Status::BadCommand);
    assert_eq!(peer.put("m".repeat(256), b"").await.unwrap().status, Status::Failed);
}
