//! What the other side already has is not sent.

mod by_hand;
#[path = "../cut/proxy.rs"]
mod proxy;
mod push;
mod put;

use proxy::Proxy;
use sshome_e2e::tree::{contents, described};
use sshome_e2e::{Client, Host, HostBuilder};
use std::fs;
use std::path::PathBuf;

/// A server, and a client with a tree `t` behind a proxy that counts.
struct World {
    host: Host,
    proxy: Proxy,
    client: Client,
}

impl World {
    async fn new(settings: &str) -> World {
        World::at(Host::with_user("ann", settings).await.unwrap()).await
    }

    /// With a key of this access.
    async fn with_access(access: &str) -> World {
        let limits = format!("access = \"{access}\"");
        let host = HostBuilder::new().unwrap().restricted_user("ann", "", &limits).unwrap();
        World::at(host.start().await.unwrap()).await
    }

    async fn at(host: Host) -> World {
        let proxy = Proxy::cutting(host.address(), &[]).await;
        let address = ([127, 0, 0, 1], proxy.port()).into();
        let client = Client::of(host.dir(), address, "ann").unwrap();
        World { host, proxy, client }
    }

    fn local(&self, name: &str) -> PathBuf {
        self.client.work().join("t").join(name)
    }

    fn remote(&self, name: &str) -> PathBuf {
        self.host.home("ann").join("t").join(name)
    }

    fn write(&self, name: &str, content: &[u8]) {
        let path = self.local(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    /// Runs a command that succeeds. Returns what it printed last, and the bytes that it needed.
    fn run(&self, command: &[&str]) -> (String, u64) {
        let before = self.proxy.carried();
        let outcome = self.client.run(command).unwrap();
        assert_eq!(outcome.code, Some(0), "{outcome}");
        let last = outcome.out().lines().last().unwrap_or_default().to_owned();
        (last, self.proxy.carried() - before)
    }

    /// Compares the contents only.
    fn assert_same_contents(&self) {
        assert!(contents(&self.local("")).unwrap() == contents(&self.remote("")).unwrap());
    }

    fn assert_same(&self) {
        assert_eq!(described(&self.local("")), described(&self.remote("")));
    }
}
