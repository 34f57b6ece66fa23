//! `sftp-uploads = "atomic"`: staged at OPEN, published at CLOSE, and never after a lost connection.

use crate::b;
use sshome_e2e::sftp::{ANEW, SftpPeer};
use sshome_e2e::tree::{mode, names, noise, set_mode};
use sshome_e2e::{Host, Peer, until};
use sshome_wire::sftp::{OpenFlags, Request, StatusCode};

const MIB: usize = 1 << 20;
const ATOMIC: &str = "quota = \"10 MiB\"\nsftp-uploads = \"atomic\"";

#[tokio::test(flavor = "multi_thread")]
async fn a_file_is_there_once_it_is_closed() {
    let host = Host::with_user("ann", ATOMIC).await.unwrap();
    let file = host.home("ann").join("f");
    let mut peer = SftpPeer::login(&host, "ann").await.unwrap();
    std::fs::write(&file, b"before").unwrap();
    set_mode(&file, 0o604).unwrap();
    let handle = peer.open("f", ANEW).await.unwrap().unwrap();
    assert_eq!(peer.write(&handle, 0, b"after").await.unwrap(), None);
    assert_eq!(std::fs::read(&file).unwrap(), b"before");
    peer.close(handle).await.unwrap();
    assert_eq!((std::fs::read(&file).unwrap(), mode(&file).unwrap()), (b"after".to_vec(), 0o604));
    // What is written out of order is the same.
    let content = noise(MIB, "order");
    let handle = peer.open("g", ANEW).await.unwrap().unwrap();
    for at in [2, 0, 7, 6, 3, 1, 5, 4] {
        let part = &content[at * MIB / 8..(at + 1) * MIB / 8];
        assert_eq!(peer.write(&handle, (at * MIB / 8) as u64, part).await.unwrap(), None);
    }
    assert_eq!(peer.stat("g").await.unwrap().unwrap_err().0, StatusCode::NoSuchFile);
    peer.close(handle).await.unwrap();
    // Our own protocol finds it whole.
    let mut native = Peer::login(&host, "ann").await.unwrap();
    assert!(native.get("g").await.unwrap().unwrap() == content);
    // Anything but a whole new file is changed in place.
    let handle = peer.open("g", OpenFlags::WRITE).await.unwrap().unwrap();
    assert_eq!(peer.write(&handle, 0, b"in place").await.unwrap(), None);
    assert_eq!(&std::fs::read(host.home("ann").join("g")).unwrap()[..8], b"in place");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_connection_publishes_nothing() {
    let host = Host::with_user("ann", ATOMIC).await.unwrap();
    let home = host.home("ann");
    // From outside, so that it is not in the books.
    std::fs::write(home.join("f"), b"before").unwrap();
    let staged = || names(&home.join(".sshome-staging")).unwrap().len();
    for end in ["connection", "channel", "eof"] {
        let mut peer = SftpPeer::login(&host, "ann").await.unwrap();
        let handle = peer.open("f", ANEW).await.unwrap().unwrap();
        assert_eq!(peer.write(&handle, 0, &noise(2 * MIB, end)[..100_000]).await.unwrap(), None);
        assert_eq!(staged(), 1);
        match end {
            "connection" => peer.vanish().await.unwrap(),
            "channel" => peer.close_channel().await.unwrap(),
            _ => peer.eof().await.unwrap(),
        }
        until("what was staged is gone", || staged() == 0);
        assert_eq!(std::fs::read(home.join("f")).unwrap(), b"before", "{end}");
    }
    let mut peer = SftpPeer::login(&host, "ann").await.unwrap();
    let there = peer.statvfs().await.unwrap();
    assert_eq!(there.bavail, there.blocks, "what was written is booked as if it were there");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_that_is_refused_leaves_the_old_file() {
    let host = Host::with_user("ann", ATOMIC).await.unwrap();
    let file = host.home("ann").join("f");
    let mut peer = SftpPeer::login(&host, "ann").await.unwrap();
    assert_eq!(peer.put("f", &vec![1; 9 * MIB]).await.unwrap(), None);
    // Replacing needs the difference only.
    assert_eq!(peer.put("f", &vec![2; 10 * MIB]).await.unwrap(), None);
    let handle = peer.open("f", ANEW).await.unwrap().unwrap();
    assert_eq!(peer.write(&handle, 0, b"first").await.unwrap(), None);
    let refusal = peer.write(&handle, 10 * MIB as u64, b"x").await.unwrap().unwrap();
    assert_eq!(refusal.0, StatusCode::Failure);
    assert!(refusal.1.starts_with("quota exceeded: "), "{}", refusal.1);
    // What comes after it does not make it whole, and closing does not publish it.
    assert_eq!(peer.write(&handle, 5, b"second").await.unwrap(), None);
    let refusal = peer.refusal(Request::Close { handle: handle.clone() }).await.unwrap().unwrap();
    assert_eq!(refusal.0, StatusCode::Failure);
    assert!(std::fs::read(&file).unwrap() == vec![2; 10 * MIB]);
    assert!(peer.refusal(Request::Close { handle }).await.unwrap().is_some());
    peer.done(Request::Remove { path: b("f") }).await.unwrap();
}
