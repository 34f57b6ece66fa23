//! The servers for other people's programs: sshomed, and sshd for comparison.

use sshome_e2e::{Client, Host, HostBuilder, Outcome, Sshd, foreign};
use std::path::{Path, PathBuf};
use std::process::Command;

/// A server, one user of it, and a client that knows the host and has the key.
pub struct Site {
    server: Server,
    client: Client,
    home: PathBuf,
}

enum Server {
    Sshomed { host: Box<Host> },
    Sshd { sshd: Sshd },
}

impl Site {
    /// Ours, and then sshd if this machine has one. A client must behave the same with both.
    pub async fn both(test: &str, settings: &str) -> Vec<Site> {
        let ours = Host::with_user("ann", settings).await.unwrap();
        let theirs = Sshd::start(test).await.unwrap();
        [Some(Site::of_host(ours)), theirs.map(Site::of_sshd)].into_iter().flatten().collect()
    }

    /// Ours, with these lines of `[server]`, and a user with these settings.
    pub async fn ours(server: &str, settings: &str) -> Site {
        let builder = HostBuilder::new().unwrap().setting(server).user("ann", settings).unwrap();
        Site::of_host(builder.start().await.unwrap())
    }

    /// A host that the caller has prepared, with a user `ann`.
    pub fn of_host(host: Host) -> Site {
        let client = Client::new(&host, "ann").unwrap();
        Site { client, home: host.home("ann"), server: Server::Sshomed { host: Box::new(host) } }
    }

    /// An sshd and its user.
    pub fn of_sshd(sshd: Sshd) -> Site {
        let client = Client::of(sshd.dir(), sshd.address(), sshd.user()).unwrap();
        Site { client, home: sshd.home(), server: Server::Sshd { sshd } }
    }

    /// Sshomed; `None` for sshd.
    pub fn host(&self) -> Option<&Host> {
        match &self.server {
            Server::Sshomed { host } => Some(host),
            Server::Sshd { .. } => None,
        }
    }

    /// The folder with the server's host keys.
    pub fn host_keys(&self) -> PathBuf {
        match &self.server {
            Server::Sshomed { host } => host.dir().join("keys"),
            Server::Sshd { sshd } => sshd.dir().join("keys"),
        }
    }

    /// Whether it is OpenSSH's, which has no quota and shows the whole machine.
    pub fn is_sshd(&self) -> bool {
        matches!(self.server, Server::Sshd { .. })
    }

    pub fn client(&self) -> &Client {
        &self.client
    }

    /// A name in the folder that the client works in.
    pub fn here(&self, name: impl AsRef<Path>) -> PathBuf {
        self.client.work().join(name)
    }

    /// A name in the user's home, on the server's disk.
    pub fn there(&self, name: impl AsRef<Path>) -> PathBuf {
        self.home.join(name)
    }

    /// A client's path of a name in the user's home.
    pub fn path(&self, name: &str) -> String {
        let top = if self.is_sshd() { self.home.display().to_string() } else { String::new() };
        format!("{top}/{name}")
    }

    /// The user, the host and the port.
    pub fn login(&self) -> (String, String, String) {
        let destination = self.client.destination();
        let (user, host) = destination.split_once('@').unwrap();
        (user.to_owned(), host.to_owned(), self.client.port())
    }
}

/// The path of a Python with other people's libraries, if it was installed. If not, the skipped test is reported.
pub fn python(test: &str) -> Option<PathBuf> {
    foreign::installed("python-clients/bin/python", test)
}

/// Runs a program that must succeed. Returns its output.
#[track_caller]
pub fn succeed(command: &mut Command) -> Outcome {
    let outcome = run(command);
    assert_eq!(outcome.code, Some(0), "{command:?}: {outcome}");
    outcome
}

/// Runs a program to its end.
#[track_caller]
pub fn run(command: &mut Command) -> Outcome {
    command.output().unwrap_or_else(|error| panic!("{command:?}: {error}")).into()
}
