//! A server with a tree, and a client.

use sshome_e2e::tree::described;
use sshome_e2e::{Client, Host, Outcome};
use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;

/// A server with a tree `t` of files, a link and directories, and a client with a working folder.
pub struct World {
    pub host: Host,
    pub client: Client,
}

impl World {
    pub async fn new() -> World {
        let host = Host::with_user("ann", "").await.unwrap();
        let client = Client::new(&host, "ann").unwrap();
        let world = World { host, client };
        for name in ["a", "b", "d/c", "d/e/f"] {
            world.write(name, name.as_bytes());
        }
        fs::create_dir(world.remote("empty")).unwrap();
        symlink("a", world.remote("link")).unwrap();
        world
    }

    /// A path in the tree on the server's disk.
    pub fn remote(&self, name: &str) -> PathBuf {
        self.host.home("ann").join("t").join(name)
    }

    /// A path in the local tree.
    pub fn local(&self, name: &str) -> PathBuf {
        self.client.work().join("t").join(name)
    }

    /// Writes a file of the tree on the server's disk.
    pub fn write(&self, name: &str, content: &[u8]) {
        let path = self.remote(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    /// Writes a file of the local tree.
    pub fn write_local(&self, name: &str, content: &[u8]) {
        let path = self.local(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    pub fn run(&self, arguments: &[&str]) -> Outcome {
        self.client.run([&["pull"], arguments].concat()).unwrap()
    }

    /// Pulls `t`. Returns the last line of the output.
    pub fn pull(&self, options: &[&str]) -> String {
        let pulled = self.run(&[options, &["t", "t"]].concat());
        assert_eq!(pulled.code, Some(0), "{pulled}");
        pulled.out().lines().last().unwrap_or_default().to_owned()
    }

    pub fn assert_same(&self) {
        assert_eq!(described(&self.remote("")), described(&self.local("")));
    }
}
