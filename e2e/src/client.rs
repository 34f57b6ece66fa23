use crate::tree::set_mode;
use crate::{Host, Terminal, binary};
use anyhow::{Context, Result, ensure};
use russh::keys::load_secret_key;
use std::ffi::OsStr;
use std::io::Write;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use tempfile::TempDir;

/// `sshome` as a user runs it: with its own home directory and working folder.
pub struct Client {
    dir: TempDir,
    address: SocketAddr,
    user: String,
    key: PathBuf,
}

/// The result of a program.
#[derive(Debug)]
pub struct Outcome {
    /// Its exit code; `None` if a signal ended it.
    pub code: Option<i32>,
    /// Its standard output.
    pub stdout: Vec<u8>,
    /// Its standard error.
    pub stderr: Vec<u8>,
}

impl Client {
    /// A client of a host's user, with the host's key.
    ///
    /// # Errors
    /// If its folders cannot be made.
    pub fn new(host: &Host, user: &str) -> Result<Client> {
        Client::of(host.dir(), host.address(), user)
    }

    /// A client of the server that works in a folder and listens at an address. It knows the host, and
    /// has the key in the file `id`.
    ///
    /// # Errors
    /// If its folders cannot be made, or the server has no host key yet.
    pub fn of(server: &Path, address: SocketAddr, user: &str) -> Result<Client> {
        let dir = TempDir::with_prefix("sshome-client-")?;
        std::fs::create_dir(dir.path().join("home"))?;
        std::fs::create_dir(dir.path().join("work"))?;
        let host_key = load_secret_key(server.join("keys/host_ed25519"), None)?;
        let line = format!("[{}]:{} {}\n", address.ip(), address.port(), host_key.public_key().to_openssh()?);
        std::fs::write(dir.path().join("known_hosts"), line)?;
        Ok(Client { dir, address, user: user.to_owned(), key: server.join("id") })
    }

    /// The folder that it works in.
    #[must_use]
    pub fn work(&self) -> PathBuf {
        self.dir.path().join("work")
    }

    /// Its home directory.
    #[must_use]
    pub fn home(&self) -> PathBuf {
        self.dir.path().join("home")
    }

    /// Its file of known hosts.
    #[must_use]
    pub fn known_hosts(&self) -> PathBuf {
        self.dir.path().join("known_hosts")
    }

    /// Its file with a key.
    #[must_use]
    pub fn key(&self) -> &Path {
        &self.key
    }

    /// The port of its server.
    #[must_use]
    pub fn port(&self) -> String {
        self.address.port().to_string()
    }

    /// `USER@HOST`, as it is written on the command line.
    #[must_use]
    pub fn destination(&self) -> String {
        format!("{}@{}", self.user, self.address.ip())
    }

    /// The program without arguments, in its folder, with a clean environment.
    ///
    /// # Errors
    /// If the program does not build.
    pub fn bare(&self) -> Result<Command> {
        Ok(self.foreign(binary("sshome")?))
    }

    /// The program with the arguments that it needs to reach the server, without a key.
    ///
    /// # Errors
    /// If the program does not build.
    pub fn keyless(&self) -> Result<Command> {
        let mut command = self.bare()?;
        command.args(["-F", "none", "-P", &self.port(), "--known-hosts"]).arg(self.known_hosts());
        Ok(command)
    }

    /// The program with the arguments that it needs to log in. Options may follow, then
    /// [`destination`](Self::destination).
    ///
    /// # Errors
    /// If the program does not build.
    pub fn command(&self) -> Result<Command> {
        let mut command = self.keyless()?;
        command.arg("-i").arg(&self.key);
        Ok(command)
    }

    /// The program without a key, with this answer to every question.
    ///
    /// # Errors
    /// If the program does not build.
    pub fn answering(&self, answer: &str) -> Result<Command> {
        let program = self.home().join("answer");
        std::fs::write(&program, "#!/bin/sh\necho \"$1\" >>\"$HOME/asked\"\necho \"$ANSWER\"\n")?;
        set_mode(&program, 0o700)?;
        let mut command = self.keyless()?;
        command.env("SSH_ASKPASS", program).env("SSH_ASKPASS_REQUIRE", "force").env("ANSWER", answer);
        Ok(command)
    }

    /// The questions so far, one per line.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn asked(&self) -> Result<String> {
        Ok(std::fs::read_to_string(self.home().join("asked"))?)
    }

    /// Runs one command.
    ///
    /// # Errors
    /// If the program cannot be started. Its failure is in the outcome.
    pub fn run<A: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = A>) -> Result<Outcome> {
        let mut command = self.command()?;
        Ok(command.arg(self.destination()).args(arguments).output()?.into())
    }

    /// Runs one command that must succeed, and returns its output.
    ///
    /// # Errors
    /// If it fails.
    pub fn succeed<A: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = A>) -> Result<String> {
        let outcome = self.run(arguments)?;
        ensure!(outcome.code == Some(0), "{outcome}");
        Ok(outcome.out())
    }

    /// Runs the lines of a script, from standard input.
    ///
    /// # Errors
    /// If the program cannot be started. Its failure is in the outcome.
    pub fn script(&self, lines: impl AsRef<[u8]>) -> Result<Outcome> {
        let mut command = self.command()?;
        let mut child = command.arg(self.destination()).stdin(Stdio::piped()).spawn()?;
        let mut stdin = child.stdin.take().context("no standard input")?;
        // A script fits into the pipe. A client that has failed need not have read it.
        let _ = stdin.write_all(lines.as_ref());
        drop(stdin);
        Ok(child.wait_with_output()?.into())
    }

    /// Starts the program in a terminal.
    ///
    /// # Errors
    /// If no terminal can be opened.
    pub fn terminal(&self) -> Result<Terminal> {
        let mut command = self.command()?;
        Terminal::start(command.arg(self.destination()))
    }
}

impl Outcome {
    /// Its standard output as text.
    #[must_use]
    pub fn out(&self) -> String {
        String::from_utf8_lossy(&self.stdout).into_owned()
    }

    /// Its standard error as text.
    #[must_use]
    pub fn err(&self) -> String {
        String::from_utf8_lossy(&self.stderr).into_owned()
    }
}

impl From<Output> for Outcome {
    fn from(output: Output) -> Outcome {
        Outcome { code: output.status.code(), stdout: output.stdout, stderr: output.stderr }
    }
}

impl std::fmt::Display for Outcome {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "exit code {:?}\n{}{}", self.code, self.out(), self.err())
    }
}
