//! Uploads over several connections whose logins end.

use super::client::{noise, until};
use super::put_by_hand::{SIZE, open, parts, put, send_block, usage};
use russh::keys::{Algorithm, PrivateKey};
use sshome_e2e::{Host, HostBuilder, Peer};
use sshome_wire::{BLOCK_BYTES, Status, UploadId};
use std::fs;
use std::time::Duration;

/// Opens an upload over two connections, of which the second stores a block.
async fn begin(one: &mut Peer, other: &mut Peer) -> UploadId {
    let content = noise(SIZE, 6);
    let (id, _) = open(one, put(&content)).await.unwrap();
    assert_eq!(send_block(other, id, &content, 1).await, Status::Done);
    id
}

/// The upload has ended, for all connections, and what has arrived is kept.
async fn assert_ended(mut one: Peer, mut other: Peer, again: &mut Peer, id: UploadId) {
    for peer in [&mut one, &mut other] {
        assert!(!matches!(peer.next_or_end().await, Ok(Some(_))));
    }
    until(async || parts(again).await.len() == 1).await;
    assert_eq!(usage(again).await.reserved, 2 * BLOCK_BYTES);
    assert_eq!(send_block(again, id, &noise(SIZE, 6), 0).await, Status::Failed);
}

fn reload(host: &Host, change: impl FnOnce(String) -> String) {
    let file = host.dir().join("etc/users.toml");
    let text = change(fs::read_to_string(&file).unwrap());
    fs::write(file, text).unwrap();
    let done = host.administrator().run(&["reload"]);
    assert_eq!(done.code, Some(0), "{done}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_is_revoked_ends_its_upload() {
    let key = PrivateKey::random(&mut rand::rng(), Algorithm::Ed25519).unwrap();
    let line = key.public_key().to_openssh().unwrap();
    let host = HostBuilder::new().unwrap().key(&line).user("ann", "").unwrap().start().await.unwrap();
    let mut one = Peer::login_with(&host, "ann", &key).await.unwrap();
    let mut other = Peer::login_with(&host, "ann", &key).await.unwrap();
    let mut again = Peer::login(&host, "ann").await.unwrap();
    let id = begin(&mut one, &mut other).await;
    let own = host.key().public_key().to_openssh().unwrap();
    reload(&host, |text| text.replace(&line, &own));
    assert_ended(one, other, &mut again, id).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_that_expires_ends_its_upload() {
    let host =
        HostBuilder::new().unwrap().user("ann", "expires = 9998-01-01").unwrap().start().await.unwrap();
    let mut one = Peer::login(&host, "ann").await.unwrap();
    let mut other = Peer::login(&host, "ann").await.unwrap();
    let id = begin(&mut one, &mut other).await;
    let soon = (jiff::Timestamp::now() + Duration::from_secs(2)).to_string();
    reload(&host, |text| text.replace("9998-01-01", &soon));
    until(async || host.administrator().json(&["status"])["sessions"].as_array().unwrap().is_empty()).await;
    reload(&host, |text| text.replace(&soon, "9998-01-01"));
    let mut again = Peer::login(&host, "ann").await.unwrap();
    assert_ended(one, other, &mut again, id).await;
}
