//! Failures below and around the server: a disk that is full, or fails at any step of any change, and stuck clients.
//! Every failure is reported, nothing is left half done, nothing leaks, and other users are not affected.

mod change;
mod full;
mod steps;
mod stuck;

use change::Change;
use rustix::process::{Pid, Signal, kill_process_group};
use serde_json::Value;
use sshome_e2e::tree::{contents, noise};
use sshome_e2e::{Host, HostBuilder, Peer, Program, until};
use sshome_wire::{Request, Status};
use std::collections::BTreeMap;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// The digests of a home's files by their paths.
type Contents = BTreeMap<PathBuf, Option<blake3::Hash>>;

/// A separate server. The homes of ann and bob are on a disk that fails, and zcl's is on a different one. bob's SFTP
/// uploads are atomic.
struct World {
    host: Host,
    server: Program,
    /// The folder with the two homes, where nothing fails.
    homes: PathBuf,
    /// Open descriptors without sessions.
    at_rest: usize,
}

impl World {
    /// A host whose homes of ann and bob are in a folder.
    fn host(homes: &Path) -> Host {
        let root = |user: &str| format!("root = \"{}\"\nquota = \"1 GiB\"", homes.join(user).display());
        let builder = HostBuilder::new().unwrap().log("file = \"log/all\"");
        let builder = builder.user("ann", &root("ann")).unwrap();
        let bob = format!("{}\nsftp-uploads = \"atomic\"", root("bob"));
        builder.user("bob", &bob).unwrap().user("zcl", "").unwrap().prepare().unwrap()
    }

    /// `homes` is the folder with the two homes, where nothing fails.
    async fn new(host: Host, server: Program, homes: PathBuf) -> World {
        let mut world = World { host, server, homes, at_rest: 0 };
        // Some descriptors are opened at the first use, and stay open.
        world.zcl_is_served().await;
        for user in ["ann", "bob"] {
            change::prepare(&world.host, user).await;
        }
        until("nobody is there", || world.status()["sessions"].as_array().unwrap().is_empty());
        world.at_rest = world.server.descriptors().unwrap();
        world
    }

    fn status(&self) -> Value {
        self.host.administrator().json(&["status"])
    }

    /// The number of log lines about a disk that fails or is full.
    fn alarms(&self) -> usize {
        let log = std::fs::read_to_string(self.host.dir().join("log/all")).unwrap();
        let alarms = ["\"the disk fails\"", "\"the disk is full\""];
        alarms.map(|alarm| log.matches(alarm).count()).iter().sum()
    }

    /// The content of a user's home.
    fn contents(&self, user: &str) -> Contents {
        contents(&self.homes.join(user)).unwrap()
    }

    /// A user whose home is on another disk is served.
    async fn zcl_is_served(&self) {
        let mut zcl = Peer::login(&self.host, "zcl").await.unwrap();
        let content = noise(100_000, "zcl");
        assert_eq!(zcl.put("f", &content).await.unwrap().status, Status::Done);
        assert!(zcl.get("f").await.unwrap().unwrap() == content);
    }

    /// Nothing is staged, reserved or open, and the accounting matches the disk.
    async fn nothing_has_leaked(&self, user: &str, what: &str) {
        let mut peer = Peer::login(&self.host, user).await.unwrap();
        assert_eq!(peer.ask(Request::Pwd).await.unwrap().status, Status::Done, "{what}");
        drop(peer);
        let staging = self.homes.join(user).join(".sshome-staging");
        until(&format!("{what}: nothing is staged"), || staging.read_dir().unwrap().count() == 0);
        let home = || {
            let status = self.status();
            let homes = status["homes"].as_array().unwrap();
            homes.iter().find(|home| home["user"] == user).unwrap().clone()
        };
        until(&format!("{what}: nothing is reserved"), || home()["reserved"] == 0);
        until(&format!("{what}: no descriptor is left"), || {
            self.server.descriptors().unwrap() <= self.at_rest
        });
        let scanned = self.host.administrator().json(&["quota", "scan", user]);
        let compared = &scanned["homes"][0]["compared"];
        assert_eq!(
            (&compared["bytes_off"], &compared["entries_off"]),
            (&0.into(), &0.into()),
            "{what}: {scanned}"
        );
    }

    /// After a refused change, everything is as before. If the change concerns many names, each is as before or as
    /// after. `published` says that the names were changed before the failure.
    fn assert_unharmed(
        &self,
        change: Change,
        before: &Contents,
        after: &Contents,
        published: bool,
        what: &str,
    ) {
        let now = self.contents(change.user());
        match change.is_one() {
            true if published => assert!(&now == after || &now == before, "{what}: it is half done: {now:?}"),
            true => assert!(&now == before, "{what}: something has changed: {now:?}"),
            false => {
                for path in before.keys().chain(after.keys()).chain(now.keys()) {
                    let found = now.get(path);
                    let whole = found == before.get(path) || found == after.get(path);
                    let name = path.display();
                    assert!(whole || change.is_in_place(path), "{what}: {name} is half done");
                }
            }
        }
    }
}

/// A program that is killed at the end of the test, with its child processes, even while they are stopped.
struct Killed(Child);

impl Killed {
    fn start(command: &mut Command) -> Killed {
        Killed(command.process_group(0).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap())
    }
}

impl Drop for Killed {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = kill_process_group(Pid::from_child(&self.0), Signal::KILL);
        let _ = self.0.wait();
    }
}
