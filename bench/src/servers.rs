//! The servers: sshomed, and OpenSSH's sshd with the same key and minimal settings.

use crate::stage::Stage;
use crate::workload::Contender;
use anyhow::{Context, Result, bail};
use std::fmt;
use std::fs::{self, File};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Its path in Debian. It has to be called by its absolute path, since it executes itself again for each session.
pub(crate) const SSHD: &str = "/usr/sbin/sshd";

/// The time limit for a server to listen.
const START: Duration = Duration::from_secs(30);

/// A server that listens on loopback. It is killed when this is dropped.
pub(crate) struct ServerProcess {
    process: Child,
    pub(crate) port: u16,
}

/// A kind of server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Service {
    /// Ours.
    Sshomed,
    /// OpenSSH's.
    Sshd,
    /// The bench's own baseline: see [`crate::raw`].
    Tcp,
}

impl Service {
    /// The user name for logins.
    pub(crate) fn user(self) -> Result<String> {
        match self {
            Service::Sshomed => Ok("bench".to_owned()),
            Service::Sshd | Service::Tcp => whoami(),
        }
    }
}

/// The running servers.
pub(crate) struct Servers(Vec<(Service, ServerProcess)>);

impl Servers {
    /// Starts the servers of these contenders.
    pub(crate) fn start(stage: &Stage, contenders: &[Contender]) -> Result<Servers> {
        let mut servers = Vec::new();
        for service in [Service::Sshomed, Service::Sshd, Service::Tcp] {
            if contenders.iter().any(|contender| contender.service == service) {
                servers.push((service, start(service, stage, &[Service::Sshomed.user()?])?));
            }
        }
        Ok(Servers(servers))
    }

    pub(crate) fn of(&self, service: Service) -> Result<&ServerProcess> {
        let server = self.0.iter().find(|(own, _)| *own == service);
        Ok(&server.with_context(|| format!("{service} was not started"))?.1)
    }
}

impl fmt::Display for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Service::Sshomed => "sshomed",
            Service::Sshd => "sshd",
            Service::Tcp => "tcp",
        })
    }
}

impl ServerProcess {
    pub(crate) fn id(&self) -> u32 {
        self.process.id()
    }
}

impl Drop for ServerProcess {
    fn drop(&mut self) {
        // It may have ended by itself: then it is only reaped.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Starts a server. `users` are those of sshomed: sshd accepts the user of the bench.
pub(crate) fn start(service: Service, stage: &Stage, users: &[String]) -> Result<ServerProcess> {
    match service {
        Service::Sshomed => sshomed(stage, &settings(stage, users)?),
        Service::Sshd => start_sshd(stage),
        Service::Tcp => start_tcp(stage),
    }
}

/// sshomed's settings: users with the bench's key, and any number of sessions.
fn settings(stage: &Stage, users: &[String]) -> Result<String> {
    let users: Result<String> = users.iter().map(|name| user(stage, name)).collect();
    let limits = "[server.limits]\nmax-startups = \"1000:30:2000\"\nsessions-per-user = 100000\n";
    Ok(format!("{limits}{}", users?))
}

/// A user in sshomed's settings: the bench's key logs in, and there is no quota.
pub(crate) fn user(stage: &Stage, name: &str) -> Result<String> {
    let key = fs::read_to_string(stage.key().with_extension("pub"))?;
    Ok(format!(
        "\n[users.{name}]\nauthorized-keys = [\"{}\"]\nquota = \"unlimited\"\nmax-files = \"unlimited\"\n",
        key.trim()
    ))
}

/// Starts sshomed with these settings.
pub(crate) fn sshomed(stage: &Stage, settings: &str) -> Result<ServerProcess> {
    let folder = stage.sshomed();
    fs::create_dir_all(folder.join("etc"))?;
    fs::write(folder.join("etc/users.toml"), settings)?;
    let mut command = Command::new(stage.binaries.join("sshomed"));
    command.arg("serve").arg("--dir").arg(&folder).args(["--listen", "127.0.0.1:0"]);
    let (process, line) = listening(command, &stage.path().join("sshomed.log"), "listening on ")?;
    Ok(ServerProcess { process, port: port(&line)? })
}

fn start_tcp(stage: &Stage) -> Result<ServerProcess> {
    let mut command = Command::new(std::env::current_exe()?);
    command.arg("raw-serve");
    let (process, line) = listening(command, &stage.path().join("tcp.log"), "listening on ")?;
    Ok(ServerProcess { process, port: port(&line)? })
}

fn port(address: &str) -> Result<u16> {
    let port = address.trim().rsplit(':').next().and_then(|port| port.parse().ok());
    port.with_context(|| format!("no port in \"{address}\""))
}

fn start_sshd(stage: &Stage) -> Result<ServerProcess> {
    let (folder, host_key) = (stage.sshd(), stage.host_key());
    let port = free_port()?;
    let config = format!(
        "Port {port}\nListenAddress 127.0.0.1\nHostKey {host}\nAuthorizedKeysFile {key}\nPidFile none\n\
         UsePAM no\nStrictModes no\nPermitRootLogin yes\nPasswordAuthentication no\nUseDNS no\n\
         MaxStartups 1000\nSubsystem sftp internal-sftp\n",
        host = host_key.display(),
        key = stage.key().with_extension("pub").display(),
    );
    fs::write(folder.join("config"), config)?;
    if rustix::process::geteuid().is_root() {
        fs::create_dir_all("/run/sshd").context("making the folder that sshd changes its root to")?;
    }
    let mut command = Command::new(SSHD);
    command.args(["-D", "-e", "-f"]).arg(folder.join("config"));
    let (process, _) = listening(command, &stage.path().join("sshd.log"), "Server listening on ")?;
    Ok(ServerProcess { process, port })
}

/// The user of the bench: sshd accepts nobody else.
fn whoami() -> Result<String> {
    let output = Command::new("id").arg("-un").output().context("running id")?;
    Ok(String::from_utf8(output.stdout)?.trim().to_owned())
}

/// A free port: sshd cannot choose one itself.
fn free_port() -> Result<u16> {
    let listener = TcpListener::bind("127.0.0.1:0").context("looking for a free port")?;
    Ok(listener.local_addr()?.port())
}

/// Starts a server and waits for the line that says that it listens. Returns the rest of the line after `words`.
fn listening(mut command: Command, log: &Path, words: &str) -> Result<(Child, String)> {
    let output = File::create(log)?;
    command.stdin(Stdio::null()).stdout(output.try_clone()?).stderr(output);
    let program = command.get_program().display().to_string();
    let mut process = command.spawn().with_context(|| format!("starting {program}"))?;
    let begin = Instant::now();
    loop {
        let said = String::from_utf8_lossy(&fs::read(log)?).into_owned();
        let whole_lines = said.rsplit_once('\n').map_or("", |(lines, _)| lines);
        if let Some(line) = whole_lines.lines().find_map(|line| line.strip_prefix(words)) {
            return Ok((process, line.to_owned()));
        }
        if process.try_wait()?.is_some() || begin.elapsed() > START {
            let _ = process.kill();
            let _ = process.wait();
            bail!("{program} does not listen; it said:\n{said}");
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}
