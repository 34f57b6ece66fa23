//! `push --watch`: what changes is sent, once it is quiet.

use sshome_e2e::tree::described;
use sshome_e2e::{Client, Host};
use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Stdio};

/// A server, a client with a local tree `t`, and a running push of it.
struct World {
    host: Host,
    client: Client,
    push: Child,
    lines: BufReader<ChildStdout>,
}

impl World {
    async fn new(options: &[&str]) -> World {
        let host = Host::with_user("ann", "").await.unwrap();
        let client = Client::new(&host, "ann").unwrap();
        let top = client.work().join("t");
        for name in ["a", "d/b", "d/e/c"] {
            fs::create_dir_all(top.join(name).parent().unwrap()).unwrap();
            fs::write(top.join(name), name).unwrap();
        }
        let mut command = client.command().unwrap();
        command.arg(client.destination()).args(["push", "--watch"]).args(options).args(["t", "t"]);
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut push = command.spawn().unwrap();
        let lines = BufReader::new(push.stdout.take().unwrap());
        let mut world = World { host, client, push, lines };
        assert!(world.line().starts_with("3 files, "));
        world
    }

    fn local(&self, name: &str) -> PathBuf {
        self.client.work().join("t").join(name)
    }

    fn remote(&self, name: &str) -> PathBuf {
        self.host.home("ann").join("t").join(name)
    }

    /// The next line that the push prints.
    fn line(&mut self) -> String {
        let mut line = String::new();
        if self.lines.read_line(&mut line).unwrap() == 0 {
            let mut error = String::new();
            self.push.stderr.take().unwrap().read_to_string(&mut error).unwrap();
            panic!("the push has ended: {error}");
        }
        line
    }

    /// Waits until both trees are the same. Each push of a change prints a line.
    fn follow(&mut self) {
        while described(&self.local("")) != described(&self.remote("")) {
            self.line();
        }
    }
}

impl Drop for World {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.push.kill();
        let _ = self.push.wait();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_changes_is_pushed_and_nothing_is_deleted_unless_requested() {
    let mut world = World::new(&[]).await;
    fs::write(world.local("d/b"), "other").unwrap();
    world.follow();
    fs::create_dir_all(world.local("new/deep/er")).unwrap();
    fs::write(world.local("new/deep/er/f"), "f").unwrap();
    world.follow();
    fs::write(world.local("new/deep/er/f"), "changed").unwrap();
    fs::rename(world.local("d/e"), world.local("moved")).unwrap();
    while !world.remote("moved/c").exists() || fs::read(world.remote("new/deep/er/f")).unwrap() != b"changed"
    {
        world.line();
    }
    assert!(world.remote("d/e/c").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn deletions_and_patterns_apply_to_changes_as_well() {
    let mut world = World::new(&["--delete", "--exclude", "*.log"]).await;
    fs::write(world.remote("d/keep.log"), "").unwrap();
    fs::create_dir(world.local("x.log")).unwrap();
    fs::write(world.local("x.log/f"), "").unwrap();
    fs::remove_dir_all(world.local("d/e")).unwrap();
    fs::remove_file(world.local("a")).unwrap();
    while world.remote("d/e").exists() || world.remote("a").exists() {
        world.line();
    }
    assert!(world.remote("d/b").exists() && world.remote("d/keep.log").exists());
    assert!(!world.remote("x.log").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_lost_connection_everything_is_compared() {
    let mut world = World::new(&[]).await;
    // No event tells of this one.
    fs::remove_file(world.remote("d/e/c")).unwrap();
    let kicked = world.host.administrator().run(&["kick", "ann"]);
    assert_eq!(kicked.code, Some(0), "{kicked}");
    fs::write(world.local("a"), "other").unwrap();
    world.follow();
}

#[tokio::test(flavor = "multi_thread")]
async fn only_directories_can_be_watched() {
    let host = Host::with_user("ann", "").await.unwrap();
    let client = Client::new(&host, "ann").unwrap();
    fs::create_dir(client.work().join("t")).unwrap();
    fs::write(client.work().join("f"), "").unwrap();
    for arguments in [&["push", "--watch", "f", "t"][..], &["push", "--watch", "-n", "t", "t"]] {
        let refused = client.run(arguments).unwrap();
        assert!(refused.code == Some(1) && refused.err().contains("--watch needs directories"), "{refused}");
    }
    assert_eq!(client.run(["pull", "--watch", "t", "t"]).unwrap().code, Some(2));
}
