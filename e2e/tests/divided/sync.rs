//! Large files in trees that are synchronised, and new versions of large files.

use super::client::{InProcessClient, noise};
use super::proxy::Proxy;
use super::{MIB, World, over};
use sshome::transfer::{Delta, SyncOptions, TransferOptions};
use sshome_wire::BLOCK_BYTES;
use std::fs;

const BIG: usize = 25 * MIB + 7;

fn options() -> SyncOptions {
    SyncOptions { jobs: "3".parse().unwrap(), split_bytes: 16 << 20, ..SyncOptions::default() }
}

/// The number of connections that have carried data of a large file.
fn working(proxy: &Proxy) -> usize {
    proxy.carried_each().into_iter().filter(|carried| *carried > BLOCK_BYTES).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_push_and_a_pull_divide_a_large_file() {
    let world = World::new(&[]).await;
    let content = noise(BIG, 3);
    let proxy = Proxy::cutting(world.host.address(), &[]).await;
    proxy.await_connections(2);
    let mut client = InProcessClient::login(&world.host, proxy.port()).await;
    client.write("t/d/big", &content);
    client.write("t/small", b"small");
    let pushed = client.push("t", "/t", &options()).await.unwrap();
    assert_eq!((pushed.files, pushed.failures.len()), (2, 0), "{pushed:?}");
    assert!(fs::read(world.host.home("ann").join("t/d/big")).unwrap() == content);
    assert!(working(&proxy) >= 2, "{:?}", proxy.carried_each());
    let again = client.push("t", "/t", &options()).await.unwrap();
    assert_eq!((again.files, again.unchanged), (0, 2), "{again:?}");

    let proxy = Proxy::cutting(world.host.address(), &[]).await;
    proxy.await_connections(2);
    let mut client = InProcessClient::login(&world.host, proxy.port()).await;
    let pulled = client.pull("/t", "t", &options()).await.unwrap();
    assert_eq!((pulled.files, pulled.failures.len()), (2, 0), "{pulled:?}");
    assert!(client.read("t/d/big") == content);
    assert!(working(&proxy) >= 2, "{:?}", proxy.carried_each());
    let again = client.pull("/t", "t", &options()).await.unwrap();
    assert_eq!((again.files, again.unchanged), (0, 2), "{again:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_version_is_sent_as_a_difference_and_only_without_deltas_divided() {
    let mut world = World::new(&[]).await;
    let mut content = noise(BIG, 3);
    fs::write(world.host.home("ann").join("old"), &content).unwrap();
    content[BIG / 2] ^= 1;
    world.client.write("f", &content);
    let with = |delta| TransferOptions { delta, ..over("3") };
    let stored = |name: &str| fs::read(world.host.home("ann").join(name)).unwrap();
    let put = world.client.put(&["f"], "/old", with(Delta::Always)).await.unwrap();
    assert!(put.matched > 20 * MIB as u64 && stored("old") == content, "{put:?}");
    for (name, delta) in [("new", Delta::Always), ("old", Delta::Never)] {
        let proxy = Proxy::cutting(world.host.address(), &[]).await;
        proxy.await_connections(2);
        let mut client = InProcessClient::login(&world.host, proxy.port()).await;
        content[BIG / 3] ^= 1;
        client.write("f", &content);
        let put = client.put(&["f"], &format!("/{name}"), with(delta)).await.unwrap();
        assert_eq!((put.files, put.matched), (1, 0), "{name}: {put:?}");
        assert!(stored(name) == content && working(&proxy) >= 2, "{name}: {:?}", proxy.carried_each());
    }
}
