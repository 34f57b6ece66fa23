//! The programs are killed with SIGKILL, and connections cut, at random moments of random transfers. The same command
//! is repeated until it succeeds; then everything is compared.

use super::{Files, length, rounds, seed};
use crate::MIB;
use crate::client::noise;
use crate::proxy::Proxy;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use sshome_e2e::{Client, Host, HostBuilder, Program, tree};
use std::net::SocketAddr;
use std::path::Path;
use std::process::Child;
use std::time::{Duration, Instant};

/// The longest file, in bytes.
const LONGEST: usize = 30 * MIB;

/// The largest number of consecutive faults of a command.
const IN_A_ROW: u32 = 12;

/// Counters of the run.
#[derive(Debug, Default)]
struct Counts {
    puts: u64,
    gets: u64,
    commands: u64,
    server_kills: u64,
    client_kills: u64,
    /// Commands that failed because their connection was cut or the server was killed.
    lost: u64,
    compared_files: u64,
    compared_bytes: u64,
}

/// The program that is killed, once the proxy has carried this number of bytes.
#[derive(Clone, Copy, Debug)]
enum Accident {
    Server(u64),
    Client(u64),
}

/// A server and a client as programs, and a proxy between them that cuts connections.
struct World {
    host: Host,
    address: SocketAddr,
    server: Program,
    proxy: Proxy,
    client: Client,
    random: StdRng,
    files: Files,
    counts: Counts,
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_programs_lose_nothing() {
    // The default takes about 20 s.
    let (rounds, begun) = (rounds(3), Instant::now());
    let mut world = World::new(seed()).await;
    for round in 0..rounds {
        println!("round {round} of seed {}: {:?}", seed(), world.counts);
        match world.files.is_empty() || world.random.random_bool(0.5) {
            true => world.put().await,
            false => world.get().await,
        }
    }
    world.check_the_end();
    let (connections, carried) = (world.proxy.connections(), world.proxy.carried());
    println!(
        "{rounds} rounds of seed {} in {:.0?}: {:?}, {connections} connections carried {carried} bytes",
        seed(),
        begun.elapsed(),
        world.counts
    );
}

impl World {
    async fn new(seed: u64) -> World {
        let builder = HostBuilder::new().unwrap().user("ann", "quota = \"4 GiB\"").unwrap();
        let mut host = builder.prepare().unwrap();
        let server = host.start_apart().unwrap();
        let address = server.address();
        let mut cuts = StdRng::seed_from_u64(seed + 1);
        let proxy = Proxy::new(address, move || 20_000 + length(&mut cuts, 200 * MIB) as u64).await;
        let client = Client::of(host.dir(), ([127, 0, 0, 1], proxy.port()).into(), "ann").unwrap();
        let random = StdRng::seed_from_u64(seed);
        World { host, address, server, proxy, client, random, files: Files::new(), counts: Counts::default() }
    }

    /// Puts new and replaced files: one or several by name, or a tree with many small ones.
    async fn put(&mut self) {
        let work = self.client.work();
        let tree = work.join("t");
        let mut changed = Vec::new();
        for _ in 0..self.random.random_range(1..5) {
            let name = format!("large{}", self.random.random_range(0..6));
            changed.push((name, self.random.random_range(0..LONGEST)));
        }
        let in_tree = self.random.random_bool(0.6);
        if in_tree {
            let folder = self.random.random_range(0..4);
            let small = self.random.random_range(0..120);
            changed.extend((0..small).map(|number| (format!("d{folder}/{number}"), 0)));
        }
        for (name, length) in &mut changed {
            if name.starts_with('d') {
                *length = self.random.random_range(0..9000);
            }
            let (path, seed) = (tree.join(&name), self.random.random());
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, noise(*length, seed)).unwrap();
            self.files.insert(name.clone(), (seed, *length));
        }
        let mut arguments = vec!["put".to_owned()];
        if in_tree || !self.host.home("ann").join("t").exists() {
            arguments.extend(["-r".into(), "t".into(), "/".into()]);
        } else {
            arguments.extend(changed.iter().map(|(name, _)| format!("t/{name}")));
            arguments.push("/t/".into());
        }
        self.run(&arguments).await;
        std::fs::remove_dir_all(tree).unwrap();
        self.counts.puts += 1;
        let names: Vec<String> = changed.into_iter().map(|(name, _)| name).collect();
        self.compare(&self.host.home("ann").join("t"), names.iter());
    }

    /// Gets the tree, or some of its files by name.
    async fn get(&mut self) {
        let work = self.client.work().join("got");
        std::fs::create_dir(&work).unwrap();
        let large: Vec<String> = self.files.keys().filter(|name| name.starts_with('l')).cloned().collect();
        if self.random.random_bool(0.5) {
            self.run(&["get", "-r", "/t", "got"].map(str::to_owned)).await;
            let names: Vec<String> = self.files.keys().cloned().collect();
            self.compare(&work.join("t"), names.iter());
            assert_eq!(files_below(&work.join("t")), self.files.len(), "more came than there is");
        } else {
            let mut arguments = vec!["get".to_owned()];
            arguments.extend(large.iter().map(|name| format!("/t/{name}")));
            arguments.push("got/".into());
            self.run(&arguments).await;
            self.compare(&work, large.iter());
            assert_eq!(tree::names(&work).unwrap().len(), large.len(), "more came than was asked for");
        }
        std::fs::remove_dir_all(work).unwrap();
        self.counts.gets += 1;
    }

    /// Repeats a command until it succeeds.
    async fn run(&mut self, arguments: &[String]) {
        for attempt in 0.. {
            let mut command = self.client.command().unwrap();
            // Mostly a lost connection ends the program; sometimes it reconnects by itself.
            let retries = if self.random.random_bool(0.8) { "0" } else { "3" };
            command.args(["--retries", retries]).arg(self.client.destination()).args(arguments);
            let child = command.stdout(std::process::Stdio::null()).spawn().unwrap();
            self.counts.commands += 1;
            let accident = (attempt < IN_A_ROW).then(|| self.accident()).flatten();
            match self.watch(child, accident).await {
                Some((Some(0), _)) => return,
                // The connection was lost, or could not be opened.
                Some((Some(3), _)) => self.counts.lost += 1,
                Some(ended) => panic!("{arguments:?} ended with {ended:?}"),
                None => {}
            }
        }
    }

    fn accident(&mut self) -> Option<Accident> {
        let far = match self.random.random_bool(0.5) {
            true => length(&mut self.random, MIB),
            false => self.random.random_range(0..60 * MIB),
        };
        let at = self.proxy.carried() + far as u64;
        match self.random.random_range(0..10) {
            0..4 => Some(Accident::Server(at)),
            4..8 => Some(Accident::Client(at)),
            _ => None,
        }
    }

    /// Waits for a client's end, and causes the fault meanwhile. `None` if it was killed.
    async fn watch(
        &mut self,
        mut child: Child,
        mut accident: Option<Accident>,
    ) -> Option<(Option<i32>, String)> {
        loop {
            if child.try_wait().unwrap().is_some() {
                let output = child.wait_with_output().unwrap();
                return Some((output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned()));
            }
            let carried = self.proxy.carried();
            match accident {
                Some(Accident::Client(at)) if carried >= at => {
                    child.kill().unwrap();
                    child.wait().unwrap();
                    self.counts.client_kills += 1;
                    return None;
                }
                Some(Accident::Server(at)) if carried >= at => {
                    self.server.kill().unwrap();
                    self.server = Program::serve_at(self.host.dir(), self.address).unwrap();
                    self.counts.server_kills += 1;
                    accident = None;
                }
                _ => tokio::time::sleep(Duration::from_millis(1)).await,
            }
        }
    }

    fn compare<'a>(&mut self, folder: &Path, names: impl Iterator<Item = &'a String>) {
        for name in names {
            let (seed, length) = self.files[name];
            let found = std::fs::read(folder.join(name)).unwrap();
            assert!(found == noise(length, seed), "{name} in {} is not what it was", folder.display());
            self.counts.compared_files += 1;
            self.counts.compared_bytes += length as u64;
        }
    }

    /// Nothing is left behind, and the accounting matches the disk.
    fn check_the_end(&mut self) {
        let direct = Client::of(self.host.dir(), self.address, "ann").unwrap();
        let usage = || -> serde_json::Value {
            let mut command = direct.command().unwrap();
            let output = command.args(["--json", &direct.destination(), "df", "-v"]).output().unwrap();
            let events = String::from_utf8(output.stdout).unwrap();
            assert!(!events.contains(r#""event":"part""#), "a part is left: {events}");
            let usage = events.lines().find(|line| line.contains(r#""event":"usage""#)).unwrap();
            serde_json::from_str(usage).unwrap()
        };
        // A session whose client was killed at the very end may still be ending.
        sshome_e2e::until("nothing is reserved", || usage()["reserved"] == 0);
        let home = self.host.home("ann");
        let names: Vec<String> = self.files.keys().cloned().collect();
        self.compare(&home.join("t"), names.iter());
        let total: usize = self.files.values().map(|(_, length)| length).sum();
        assert_eq!(usage()["used"], total as u64);
        assert_eq!((bytes_below(&home), files_below(&home)), (total as u64, self.files.len()));
    }
}

/// The total length of all files below a folder, including hidden ones.
fn bytes_below(folder: &Path) -> u64 {
    files(folder).iter().map(|path| path.metadata().unwrap().len()).sum()
}

fn files_below(folder: &Path) -> usize {
    files(folder).len()
}

fn files(folder: &Path) -> Vec<std::path::PathBuf> {
    let (mut found, mut folders) = (Vec::new(), vec![folder.to_owned()]);
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() { folders.push(path) } else { found.push(path) }
        }
    }
    found
}
