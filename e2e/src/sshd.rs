//! OpenSSH's server, for comparisons with ours.

use crate::foreign;
use crate::liar::write_key;
use anyhow::{Context, Result, ensure};
use std::fs::OpenOptions;
use std::io::Write;
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::process::Command;
use tokio::task::{JoinHandle, JoinSet};

/// Its path in Debian, which may not be in PATH. It has to be called by its absolute path.
const SSHD: &str = "/usr/sbin/sshd";

/// An sshd with its own configuration, host key and port. It ends when it is dropped.
///
/// Its folder has the same layout as a [`Host`](crate::Host)'s, so that [`Client::of`](crate::Client::of) accepts both.
pub struct Sshd {
    dir: TempDir,
    address: SocketAddr,
    user: String,
    accepting: JoinHandle<()>,
}

impl Sshd {
    /// Starts it. `None` if no sshd is installed: then the skipped test is reported.
    ///
    /// # Errors
    /// If it is installed and cannot be started.
    pub async fn start(test: &str) -> Result<Option<Sshd>> {
        Sshd::start_for_older_clients(test, None).await
    }

    /// The same, with further lines of sshd_config, which are made in its folder once its keys are there.
    ///
    /// # Errors
    /// As [`Sshd::start`], or those of `lines`.
    pub async fn start_with(test: &str, lines: impl FnOnce(&Path) -> Result<String>) -> Result<Option<Sshd>> {
        Sshd::start_configured(test, None, lines).await
    }

    /// The same, with an ECDSA and an RSA host key as well if there is a further line of authorized_keys.
    ///
    /// # Errors
    /// As [`Sshd::start`].
    pub async fn start_for_older_clients(test: &str, key: Option<&str>) -> Result<Option<Sshd>> {
        Sshd::start_configured(test, key, |_| Ok(String::new())).await
    }

    async fn start_configured(
        test: &str,
        key: Option<&str>,
        lines: impl FnOnce(&Path) -> Result<String>,
    ) -> Result<Option<Sshd>> {
        if foreign::program(SSHD, test).is_none() {
            return Ok(None);
        }
        let dir = TempDir::with_prefix("sshome-sshd-")?;
        for folder in ["keys", "home"] {
            std::fs::create_dir(dir.path().join(folder))?;
        }
        let config = configure(dir.path(), key)?;
        let lines = lines(dir.path())?;
        OpenOptions::new().append(true).open(&config)?.write_all(lines.as_bytes())?;
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let accepting = tokio::spawn(accept(listener, config));
        Ok(Some(Sshd { dir, address, user: whoami()?, accepting }))
    }

    /// Its address.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its folder.
    #[must_use]
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// The first working directory of an SFTP session. A command starts in the user's own home.
    #[must_use]
    pub fn home(&self) -> PathBuf {
        self.dir.path().join("home")
    }

    /// The user of the test: sshd accepts nobody else.
    #[must_use]
    pub fn user(&self) -> &str {
        &self.user
    }
}

impl Drop for Sshd {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

/// Writes its configuration and keys. Returns the path of the configuration.
fn configure(dir: &Path, further_key: Option<&str>) -> Result<PathBuf> {
    write_key(&dir.join("keys/host_ed25519"))?;
    let mut host_keys = format!("HostKey {}/keys/host_ed25519\n", dir.display());
    let mut authorized = write_key(&dir.join("id"))?.public_key().to_openssh()?;
    if let Some(line) = further_key {
        authorized += &format!("\n{line}\n");
        for kind in ["ecdsa", "rsa"] {
            let file = dir.join("keys").join(format!("host_{kind}"));
            let mut generate = std::process::Command::new("ssh-keygen");
            ensure!(
                generate.args(["-q", "-t", kind, "-N", "", "-f"]).arg(&file).status()?.success(),
                "{kind}"
            );
            std::fs::remove_file(file.with_extension("pub"))?;
            host_keys += &format!("HostKey {}\n", file.display());
        }
    }
    std::fs::write(dir.join("authorized_keys"), authorized)?;
    let config = format!(
        "{host_keys}AuthorizedKeysFile {dir}/authorized_keys\nPidFile none\n\
         UsePAM no\nStrictModes no\nPermitRootLogin yes\nPasswordAuthentication no\nUseDNS no\n\
         Subsystem sftp internal-sftp -d {dir}/home\n",
        dir = dir.display(),
    );
    let file = dir.join("sshd_config");
    std::fs::write(&file, config)?;
    if rustix::process::geteuid().is_root() {
        std::fs::create_dir_all("/run/sshd").context("making the folder that sshd changes its root to")?;
    }
    Ok(file)
}

/// Runs an sshd for each connection, as inetd does: sshd cannot choose a free port itself.
async fn accept(listener: TcpListener, config: PathBuf) {
    let mut sessions = JoinSet::new();
    while let Ok((socket, _)) = listener.accept().await {
        match serve(socket, &config) {
            Ok(mut child) => {
                sessions.spawn(async move { child.wait().await });
            }
            Err(error) => eprintln!("{SSHD}: {error:#}"),
        }
    }
}

fn serve(socket: tokio::net::TcpStream, config: &Path) -> Result<tokio::process::Child> {
    let socket: TcpStream = socket.into_std()?;
    socket.set_nonblocking(false)?;
    let input = Stdio::from(std::os::fd::OwnedFd::from(socket.try_clone()?));
    let output = Stdio::from(std::os::fd::OwnedFd::from(socket));
    let mut command = Command::new(SSHD);
    command.args(["-i", "-e", "-f"]).arg(config);
    command.stdin(input).stdout(output).stderr(Stdio::null()).kill_on_drop(true);
    Ok(command.spawn()?)
}

fn whoami() -> Result<String> {
    let output = std::process::Command::new("id").arg("-un").output().context("running id")?;
    Ok(String::from_utf8(output.stdout)?.trim().to_owned())
}
