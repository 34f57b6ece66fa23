//! OpenSSH's own server, to see what a client can do there.

use crate::liar::write_key;
use crate::{Client, until};
use std::fs::{self, File};
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use tempfile::TempDir;

/// Where Debian puts it. It wants to be called by its whole path, to run itself again for each session.
const SSHD: &str = "/usr/sbin/sshd";

/// An sshd with `internal-sftp` and keys of its own, which lets in whoever runs the tests. It is killed
/// when it is dropped.
pub struct Sshd {
    dir: TempDir,
    process: Child,
    address: SocketAddr,
}

impl Sshd {
    /// Starts one. None if this machine has none; then it is said which test that leaves out.
    ///
    /// # Panics
    /// If it does not start.
    #[must_use]
    pub fn start(test: &str) -> Option<Sshd> {
        if !Path::new(SSHD).is_file() {
            eprintln!("skipped: {test}: no sshd here; scripts/install-test-deps installs it");
            return None;
        }
        let dir = TempDir::with_prefix("sshome-sshd-").unwrap();
        for folder in ["keys", "home"] {
            fs::create_dir(dir.path().join(folder)).unwrap();
        }
        write_key(&dir.path().join("keys/host_ed25519")).unwrap();
        let key = write_key(&dir.path().join("id")).unwrap();
        fs::write(dir.path().join("authorized"), key.public_key().to_openssh().unwrap()).unwrap();
        if rustix::process::geteuid().is_root() {
            // sshd wants it, and has it made by what starts the system's own.
            fs::create_dir_all("/run/sshd").unwrap();
        }
        // Somebody else may take the port before sshd does: then once more.
        let (process, address) = (0..5).find_map(|_| listening(&dir)).expect("there is no free port");
        Some(Sshd { dir, process, address })
    }

    /// A client that it lets in.
    ///
    /// # Panics
    /// If it cannot be made.
    #[must_use]
    pub fn client(&self) -> Client {
        let user = Command::new("id").arg("-un").output().unwrap().stdout;
        Client::of(self.dir.path(), self.address, String::from_utf8(user).unwrap().trim()).unwrap()
    }

    /// An empty folder that it serves, among all others.
    #[must_use]
    pub fn folder(&self) -> PathBuf {
        self.dir.path().join("home")
    }
}

impl Drop for Sshd {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// One that listens on a port that nobody had just before; none if somebody has it now.
fn listening(dir: &TempDir) -> Option<(Child, SocketAddr)> {
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let (config, log) = (dir.path().join("config"), dir.path().join("log"));
    let text = format!(
        "Port {}\nListenAddress 127.0.0.1\nHostKey {host}\nAuthorizedKeysFile {authorized}\nPidFile none\n\
         UsePAM no\nStrictModes no\nPermitRootLogin yes\nPasswordAuthentication no\nUseDNS no\n\
         Subsystem sftp internal-sftp\n",
        address.port(),
        host = dir.path().join("keys/host_ed25519").display(),
        authorized = dir.path().join("authorized").display(),
    );
    fs::write(&config, text).unwrap();
    let mut command = Command::new(SSHD);
    command.args(["-D", "-e", "-f"]).arg(&config).stdin(Stdio::null()).stdout(Stdio::null());
    let mut process = command.stderr(File::create(&log).unwrap()).spawn().unwrap();
    let said = || fs::read_to_string(&log).unwrap();
    let mut ended = false;
    until("sshd listens", || {
        ended = process.try_wait().unwrap().is_some();
        ended || said().contains("Server listening on ")
    });
    assert!(!ended || said().contains("Address already in use"), "sshd does not start:\n{}", said());
    (!ended).then_some((process, address))
}
