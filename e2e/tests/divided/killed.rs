//! A server that is killed during transfers of a large file.

use super::client::{InProcessClient, books, noise, until};
use super::proxy::Proxy;
use super::{BIG, MIB, assert_one, over};
use sshome_e2e::{HostBuilder, Program};
use std::fs;
use std::time::Duration;

#[tokio::test(flavor = "multi_thread")]
async fn a_transfer_continues_after_the_server_was_killed() {
    let rates = "quota = \"200 MiB\"\nupload-rate = \"24 MiB/s\"\ndownload-rate = \"24 MiB/s\"";
    let mut host = HostBuilder::new().unwrap().user("ann", rates).unwrap().prepare().unwrap();
    let mut server = host.start_apart().unwrap();
    let address = server.address();
    let proxy = Proxy::cutting(address, &[]).await;
    proxy.await_connections(3);
    let mut client = InProcessClient::login(&host, proxy.port()).await;
    (client.retries, client.pause) = (200, Duration::from_millis(20));
    let content = noise(BIG, 1);
    client.write("big", &content);
    let before = proxy.carried();
    let kill = async {
        until(async || proxy.carried() - before > 40 * MIB as u64).await;
        server.kill().unwrap();
        Program::serve_at(host.dir(), address).unwrap()
    };
    let (summary, mut server) = tokio::join!(client.put(&["big"], "/big", over("3")), kill);
    let summary = summary.unwrap();
    assert_one(&summary);
    // What had arrived is not sent again, but for the unfinished block of each connection and what was under way.
    assert!(proxy.carried() - before < BIG as u64 + 30 * MIB as u64, "{}", proxy.carried() - before);
    assert!(fs::read(host.home("ann").join("big")).unwrap() == content);
    let (parts, usage) = books(&host).await;
    assert_eq!((parts.len(), usage.used, usage.reserved), (0, BIG as u64, 0));

    let before = proxy.carried();
    let kill = async {
        until(async || proxy.carried() - before > 40 * MIB as u64).await;
        server.kill().unwrap();
        Program::serve_at(host.dir(), address).unwrap()
    };
    let (summary, _server) = tokio::join!(client.get(&["/big"], "copy", over("3")), kill);
    assert_one(&summary.unwrap());
    assert!(client.read("copy") == content);
    assert!(proxy.carried() - before < BIG as u64 + 30 * MIB as u64, "{}", proxy.carried() - before);
}
