//! `sshomed user`, killed with SIGKILL at random moments of random edits, and sometimes the server, too. A confirmed
//! edit is in the file. An unconfirmed one is in it completely or not at all. The file is always valid.

use super::{rounds, seed};
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};
use russh::keys::{Algorithm, PrivateKey};
use sshome_e2e::{Host, HostBuilder, Peer, Program, Trusting, binary, until};
use sshomed::config;
use std::collections::BTreeMap;
use std::io::Write;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// A comment that every edit must keep.
const COMMENT: &str = "# who may come in, and why: see the book";

/// The known state of a user.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct User {
    quota: u64,
    keys: usize,
    /// One of them is the password. There are several while it is unknown whether an edit was made.
    passwords: Vec<String>,
}

type Users = BTreeMap<String, User>;

/// Counters of the run.
#[derive(Debug, Default)]
struct Counts {
    edits: u64,
    confirmed: u64,
    killed_and_made: u64,
    killed_and_not_made: u64,
    server_kills: u64,
}

struct World {
    host: Host,
    server: Program,
    address: SocketAddr,
    random: StdRng,
    users: Users,
    /// Two files of public keys. The first is the host's, the comment of the second is `second`.
    keys: [PathBuf; 2],
    counts: Counts,
    /// The time of an edit that was not killed.
    usual: Duration,
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_edits_lose_nothing() {
    let rounds = rounds(15) * 10;
    let mut world = World::new();
    for round in 0..rounds {
        if round % 50 == 0 {
            println!("edit {round} of seed {}: {:?}", seed(), world.counts);
        }
        world.edit();
    }
    world.check_the_end().await;
    println!("{rounds} edits of seed {}: {:?}, {} users", seed(), world.counts, world.users.len());
}

impl World {
    fn new() -> World {
        let mut host = HostBuilder::new().unwrap().user("ann", "").unwrap().prepare().unwrap();
        let file = host.dir().join("etc/users.toml");
        let text = std::fs::read_to_string(&file).unwrap();
        std::fs::write(&file, format!("{COMMENT}\n{text}")).unwrap();
        let server = host.start_apart().unwrap();
        let address = server.address();
        let keys = ["first.pub", "second.pub"].map(|name| host.dir().join(name));
        std::fs::write(&keys[0], host.key().public_key().to_openssh().unwrap()).unwrap();
        let mut second = PrivateKey::random(&mut rand::rng(), Algorithm::Ed25519).unwrap();
        second.set_comment("second");
        second.public_key().write_openssh_file(&keys[1]).unwrap();
        let random = StdRng::seed_from_u64(seed());
        let (users, counts, usual) = (Users::new(), Counts::default(), Duration::from_millis(50));
        World { host, server, address, random, users, keys, counts, usual }
    }

    /// Makes one edit, and may kill the program and the server meanwhile.
    fn edit(&mut self) {
        let (arguments, input, after) = self.wanted();
        let mut command = Command::new(binary("sshomed").unwrap());
        command.args(["--dir".into(), self.host.dir().as_os_str().to_owned()]).arg("user").args(&arguments);
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
        let (begun, mut child) = (Instant::now(), command.spawn().unwrap());
        // A killed program does not read its input.
        let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
        // At any moment, which may be after its end.
        if self.random.random_bool(0.7) {
            std::thread::sleep(self.usual.mul_f64(self.random.random_range(0.0..1.3)));
            child.kill().unwrap();
        }
        let server_killed = self.random.random_bool(0.2);
        if server_killed {
            self.server.kill().unwrap();
            self.server = Program::serve_at(self.host.dir(), self.address).unwrap();
            self.counts.server_kills += 1;
        }
        let output = child.wait_with_output().unwrap();
        self.counts.edits += 1;
        let text = std::fs::read_to_string(self.host.dir().join("etc/users.toml")).unwrap();
        assert!(text.contains(COMMENT), "{arguments:?} has lost a comment:\n{text}");
        let now = self.visible();
        let error = String::from_utf8_lossy(&output.stderr);
        // The server was killed before it answered: the file is changed, and the message says so.
        let unanswered = server_killed && error.starts_with("the file was changed");
        match output.status.code() {
            Some(0 | 1) if output.status.success() || unanswered => {
                assert_eq!(now, visible(&after), "{arguments:?} was confirmed");
                self.usual = begun.elapsed().min(Duration::from_secs(1));
                self.users = after;
                self.counts.confirmed += 1;
            }
            None if now == visible(&after) && now != visible(&self.users) => {
                self.users = after;
                self.counts.killed_and_made += 1;
            }
            None => {
                assert_eq!(now, visible(&self.users), "{arguments:?} was killed");
                self.counts.killed_and_not_made += 1;
                // The file does not show which password a user has.
                for (name, user) in self.users.iter_mut().filter(|(_, user)| !user.passwords.is_empty()) {
                    let passwords = after.get(name).map_or(&[][..], |after| &after.passwords);
                    let more = passwords.iter().filter(|it| !user.passwords.contains(it)).cloned();
                    let more: Vec<String> = more.collect();
                    user.passwords.extend(more);
                }
            }
            code => panic!("{arguments:?}: {code:?}: {error}"),
        }
    }

    /// A random edit: its arguments, its input, and the users after it.
    fn wanted(&mut self) -> (Vec<String>, String, Users) {
        let mut after = self.users.clone();
        let names: Vec<String> = self.users.keys().cloned().collect();
        let which = self.random.random_range(0..7);
        let (Some(name), 0..6) = (names.choose(&mut self.random).cloned(), which) else {
            let name = format!("user{}", self.counts.edits);
            let key = self.keys[0].display().to_string();
            let quota = self.random.random_range(1..1000_u64);
            after.insert(name.clone(), User { quota: quota << 20, keys: 1, passwords: Vec::new() });
            let quota = format!("{quota} MiB");
            return (words(&["add", &name, "--key", &key, "--quota", &quota]), String::new(), after);
        };
        let user = after.get_mut(&name).unwrap();
        match which {
            0 | 1 => {
                let password = format!("a password of some length {}", self.counts.edits);
                // If the user already has a password, the file does not show whether it changed.
                user.passwords = vec![password.clone()];
                (words(&["passwd", &name, "--password-stdin"]), password + "\n", after)
            }
            2 if user.keys == 1 => {
                user.keys = 2;
                (words(&["key", &name, "add", &self.keys[1].display().to_string()]), String::new(), after)
            }
            2 => {
                user.keys = 1;
                (words(&["key", &name, "remove", "second"]), String::new(), after)
            }
            3 | 4 => {
                let quota = self.random.random_range(1..1000_u64);
                user.quota = quota << 20;
                (words(&["quota", &name, &format!("{quota} MiB")]), String::new(), after)
            }
            _ => {
                after.remove(&name);
                (words(&["remove", &name]), String::new(), after)
            }
        }
    }

    /// The users in the file, without ann. The file must be valid.
    fn visible(&self) -> BTreeMap<String, (u64, usize, bool)> {
        let config = config::load(self.host.dir(), None, &[]).unwrap();
        let accounts = config.accounts.iter().filter(|account| account.name != "ann");
        let seen = accounts.map(|account| {
            let what = (account.quota.unwrap_or(0), account.keys.len(), account.password.is_some());
            (account.name.clone(), what)
        });
        seen.collect()
    }

    /// Everybody can log in with the last confirmed credentials, and no removed ones are accepted.
    async fn check_the_end(&mut self) {
        let administrator = self.host.administrator();
        let outcome = administrator.run(&["user", "quota", "ann", "77 MiB"]);
        assert_eq!(outcome.code, Some(0), "{outcome}");
        let etc: Vec<_> = std::fs::read_dir(self.host.dir().join("etc")).unwrap().collect();
        assert_eq!(etc.len(), 1, "{etc:?}");
        // With the running server, and with a new one.
        for _ in 0..2 {
            until("the server knows the newest", || {
                let status = administrator.json(&["status"]);
                let homes = status["homes"].as_array().unwrap();
                homes.len() == self.users.len() + 1
                    && homes.iter().any(|home| home["user"] == "ann" && home["quota"] == 77 << 20)
            });
            for (name, user) in &self.users {
                drop(Peer::login(&self.host, name).await.unwrap());
                let mut right = user.passwords.is_empty();
                for password in &user.passwords {
                    right |= self.opens(name, password).await;
                }
                assert!(right, "{name} cannot log in by any of {:?}", user.passwords);
            }
            self.server.kill().unwrap();
            self.server = Program::serve_at(self.host.dir(), self.address).unwrap();
        }
    }

    async fn opens(&self, name: &str, password: &str) -> bool {
        let config = Arc::new(russh::client::Config::default());
        let mut connection = russh::client::connect(config, self.address, Trusting).await.unwrap();
        connection.authenticate_password(name, password).await.unwrap().success()
    }
}

/// The part of it that the file shows.
fn visible(users: &Users) -> BTreeMap<String, (u64, usize, bool)> {
    let seen = |user: &User| (user.quota, user.keys, !user.passwords.is_empty());
    users.iter().map(|(name, user)| (name.clone(), seen(user))).collect()
}

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}
