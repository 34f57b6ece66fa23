//! OpenSSH's sftp, where the server or the client is killed at random moments of random uploads. A file that is written
//! in place is resumed (`reput`); an atomic one is the old or the new file.

use super::{length, rounds, seed};
use crate::MIB;
use crate::client::noise;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use sshome_e2e::foreign::program;
use sshome_e2e::{Client, Host, HostBuilder, Program, until};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::Duration;

/// The longest file, in bytes.
const LONGEST: usize = 40 * MIB;

/// The largest number of consecutive faults of an upload.
const IN_A_ROW: u32 = 6;

/// For each name in a home, the seed and length of its content.
type Files = BTreeMap<String, (u64, usize)>;

/// Counters of the run.
#[derive(Debug, Default)]
struct Counts {
    uploads: u64,
    commands: u64,
    server_kills: u64,
    client_kills: u64,
    gone_on_with: u64,
    compared_bytes: u64,
}

/// A server and two users: ann writes in place, and bob's uploads are atomic.
struct World {
    sftp: PathBuf,
    host: Host,
    server: Program,
    address: SocketAddr,
    random: StdRng,
    files: BTreeMap<&'static str, Files>,
    counts: Counts,
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_sftp_clients_and_servers_lose_nothing() {
    let Some(sftp) = program("sftp", "killed_sftp_clients_and_servers_lose_nothing") else { return };
    let rounds = rounds(8);
    let builder = HostBuilder::new().unwrap().user("ann", "quota = \"4 GiB\"").unwrap();
    let bob = "quota = \"4 GiB\"\nsftp-uploads = \"atomic\"";
    let mut host = builder.user("bob", bob).unwrap().prepare().unwrap();
    let server = host.start_apart().unwrap();
    let (address, random) = (server.address(), StdRng::seed_from_u64(seed()));
    let files = [("ann", Files::new()), ("bob", Files::new())].into();
    let mut world = World { sftp, host, server, address, random, files, counts: Counts::default() };
    for round in 0..rounds {
        println!("round {round} of seed {}: {:?}", seed(), world.counts);
        let user = if world.random.random_bool(0.5) { "ann" } else { "bob" };
        world.upload(user);
        world.check(user);
    }
    println!("{rounds} rounds of seed {}: {:?}", seed(), world.counts);
}

impl World {
    /// Repeats an upload until it succeeds.
    fn upload(&mut self, user: &'static str) {
        let client = Client::of(self.host.dir(), self.address, user).unwrap();
        let name = format!("f{}", self.random.random_range(0..4));
        let length = match self.random.random_bool(0.3) {
            true => length(&mut self.random, LONGEST),
            false => self.random.random_range(0..LONGEST),
        };
        let new = (self.random.random(), length);
        let content = noise(new.1, new.0);
        std::fs::write(client.work().join(&name), &content).unwrap();
        let target = self.host.home(user).join(&name);
        let old = std::fs::read(&target).ok();
        self.counts.uploads += 1;
        for attempt in 0.. {
            // The stored file is a prefix of it only if an upload in place had begun. `reput` refuses a complete file.
            let there = std::fs::metadata(&target).map_or(0, |found| found.len());
            let goes_on =
                user == "ann" && attempt > 0 && there < new.1 as u64 && self.is_begun(&target, &content);
            let verb = if goes_on { "reput" } else { "put" };
            self.counts.gone_on_with += u64::from(goes_on && there > 0);
            let script = client.home().join("script");
            std::fs::write(&script, format!("{verb} {name}\n")).unwrap();
            let mut command = client.foreign(&self.sftp);
            command.arg("-b").arg(script).args(client.openssh_options()).args(["-P", &client.port()]);
            let child = command.arg(client.destination()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
            self.counts.commands += 1;
            if self.watch(child.unwrap(), user, new.1, attempt < IN_A_ROW) {
                break;
            }
            // Data of a killed client may still be written, over that of the next client.
            self.until_nobody_is_there();
            if user == "bob" {
                let found = std::fs::read(&target).ok();
                let whole = found == old || found.as_ref() == Some(&content);
                assert!(whole, "{name} is neither the old file nor the new one");
            }
        }
        self.files.get_mut(user).unwrap().insert(name, new);
    }

    /// Whether the stored file is a prefix of the content.
    fn is_begun(&self, target: &Path, content: &[u8]) -> bool {
        std::fs::read(target).is_ok_and(|found| content.starts_with(&found))
    }

    /// Waits for the end of an upload of `size` bytes, and may cause a fault meanwhile. Returns whether it succeeded.
    fn watch(&mut self, mut child: Child, user: &str, size: usize, accident: bool) -> bool {
        let home = self.host.home(user);
        let before = bytes_below(&home);
        let moment = self.random.random_range(0..=size as u64);
        let (of_server, mut accident) =
            (self.random.random_bool(0.6), accident && self.random.random_bool(0.8));
        loop {
            if let Some(status) = child.try_wait().unwrap() {
                return status.success();
            }
            if accident && bytes_below(&home).abs_diff(before) >= moment {
                accident = false;
                if of_server {
                    self.server.kill().unwrap();
                    self.server = Program::serve_at(self.host.dir(), self.address).unwrap();
                    self.counts.server_kills += 1;
                    let staged = home.join(".sshome-staging").read_dir().unwrap().count();
                    assert_eq!(staged, 0, "a server that starts deletes staged files that nobody can resume");
                } else {
                    child.kill().unwrap();
                    self.counts.client_kills += 1;
                }
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    fn until_nobody_is_there(&self) {
        let status = || self.host.administrator().json(&["status"]);
        until("all sessions have ended", || status()["sessions"].as_array().unwrap().is_empty());
    }

    /// All files of a user have the right content, there are no others, and the accounting matches.
    fn check(&mut self, user: &str) {
        self.until_nobody_is_there();
        let (home, administrator) = (self.host.home(user), self.host.administrator());
        let files = &self.files[user];
        for (name, (seed, length)) in files {
            assert!(std::fs::read(home.join(name)).unwrap() == noise(*length, *seed), "{name} of {user}");
            self.counts.compared_bytes += *length as u64;
        }
        let total: usize = files.values().map(|(_, length)| length).sum();
        assert_eq!(bytes_below(&home), total as u64, "something else is there");
        let scanned = administrator.json(&["quota", "scan", user]);
        let home = &scanned["homes"][0];
        assert_eq!(home["compared"]["bytes_off"], 0, "{scanned}");
        let homes = administrator.json(&["status"])["homes"].clone();
        let booked = homes.as_array().unwrap().iter().find(|home| home["user"] == user).unwrap();
        assert_eq!((&booked["used"], &booked["reserved"]), (&total.into(), &0.into()), "{booked}");
    }
}

/// The total length of all files below a folder, including staged ones. Files that disappear meanwhile do not count.
fn bytes_below(folder: &Path) -> u64 {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let length = |path: PathBuf| match path.metadata() {
        Ok(found) if found.is_dir() => bytes_below(&path),
        Ok(found) => found.len(),
        Err(_) => 0,
    };
    entries.map(|entry| length(entry.path())).sum()
}
