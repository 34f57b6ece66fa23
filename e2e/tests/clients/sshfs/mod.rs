//! sshfs, and programs that run over it.

mod connection;
mod posix;
mod programs;
mod space;
mod tree;

use sshome_e2e::{Client, Host, Mount, Outcome, Sshd};
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A server, and the home of its user `ann` as a folder.
struct Mounted {
    // Before the server, so that it is dropped first: unmounting needs answers.
    mount: Mount,
    client: Client,
    host: Host,
}

/// A folder of an sshd, mounted in the same way.
struct Theirs {
    // Before the server, so that it is dropped first.
    mount: Mount,
    _sshd: Sshd,
}

/// `None` if this machine has no sshd, or cannot mount.
async fn sshd(test: &str) -> Option<Theirs> {
    let sshd = Sshd::start(test).await.unwrap()?;
    let client = Client::of(sshd.dir(), sshd.address(), sshd.user()).unwrap();
    let mount = Mount::new(test, &client, &sshd.home(), &[])?;
    Some(Theirs { mount, _sshd: sshd })
}

impl Mounted {
    /// `None` if this machine cannot mount. `settings` are the user's.
    async fn new(test: &str, settings: &str) -> Option<Mounted> {
        Mounted::with_options(test, settings, &[]).await
    }

    /// With options of sshfs's own.
    async fn with_options(test: &str, settings: &str, options: &[&str]) -> Option<Mounted> {
        let host = Host::with_user("ann", settings).await.unwrap();
        let client = Client::new(&host, "ann").unwrap();
        let mount = Mount::new(test, &client, Path::new("/"), options)?;
        Some(Mounted { mount, client, host })
    }

    /// A path in the mounted folder.
    fn there(&self, name: &str) -> PathBuf {
        self.mount.path().join(name)
    }

    /// A path in a folder of this machine.
    fn here(&self, name: &str) -> PathBuf {
        self.client.work().join(name)
    }

    /// A path on the server's disk.
    fn stored(&self, name: &str) -> PathBuf {
        self.host.home("ann").join(name)
    }

    fn command(&self, program: &str, arguments: &[&dyn AsRef<OsStr>]) -> Command {
        let mut command = self.client.foreign(program);
        command.args(arguments);
        command
    }

    /// Runs a program in the local folder. Returns its output.
    #[track_caller]
    fn does(&self, program: &str, arguments: &[&dyn AsRef<OsStr>]) -> String {
        let mut command = self.command(program, arguments);
        let outcome = Outcome::from(command.output().unwrap());
        assert_eq!(outcome.code, Some(0), "{command:?}\n{outcome}");
        outcome.out()
    }

    /// Runs a program that must fail. Returns its error message.
    #[track_caller]
    fn refuses(&self, program: &str, arguments: &[&dyn AsRef<OsStr>]) -> String {
        let mut command = self.command(program, arguments);
        let outcome = Outcome::from(command.output().unwrap());
        assert!(outcome.code.is_some_and(|code| code != 0), "{command:?}\n{outcome}");
        outcome.err()
    }
}
