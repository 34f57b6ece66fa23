//! `sshome` as cron runs it: no terminal, standard input closed, an almost empty environment.

use russh::keys::load_secret_key;
use sshome_e2e::{Host, binary};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use tempfile::TempDir;

pub struct Cron {
    dir: TempDir,
    known_hosts: String,
    port: String,
    key: String,
}

#[derive(Debug)]
pub struct CronOutput {
    pub code: Option<i32>,
    pub out: String,
    pub err: String,
}

#[allow(dead_code)] // each test file uses what it needs
impl Cron {
    /// The jobs of somebody who has the host's key.
    pub fn new(host: &Host) -> Cron {
        Cron::through(host, host.address().port())
    }

    /// The same, through another port of this machine.
    pub fn through(host: &Host, port: u16) -> Cron {
        let dir = TempDir::with_prefix("sshome-cron-").unwrap();
        std::fs::create_dir(dir.path().join("work")).unwrap();
        std::fs::create_dir(dir.path().join("home")).unwrap();
        let host_key = load_secret_key(host.dir().join("keys/host_ed25519"), None).unwrap();
        let host_key = host_key.public_key().to_openssh().unwrap();
        let line = format!("[127.0.0.1]:{port} {host_key}\n");
        std::fs::write(dir.path().join("known_hosts"), line).unwrap();
        let known_hosts = dir.path().join("known_hosts").into_os_string().into_string().unwrap();
        let key = host.key_file().into_os_string().into_string().unwrap();
        Cron { dir, known_hosts, port: port.to_string(), key }
    }

    /// A path in the folder that jobs run in.
    pub fn path(&self, name: impl AsRef<Path>) -> PathBuf {
        self.dir.path().join("work").join(name)
    }

    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        std::fs::write(self.path(name), content).unwrap();
    }

    pub fn read(&self, name: &str) -> String {
        String::from_utf8(std::fs::read(self.path(name)).unwrap()).unwrap()
    }

    /// The program with only these arguments. A new session has no terminal.
    pub fn bare(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new("setsid");
        command.args(["sh", "-c", "exec \"$@\" <&-", "cron"]).arg(binary("sshome").unwrap()).args(arguments);
        command.current_dir(self.path("")).env_clear().env("PATH", std::env::var_os("PATH").unwrap());
        command.env("HOME", self.dir.path().join("home")).env("USER", "cron").env("TZ", "UTC");
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// The arguments that log a user in, after these.
    pub fn arguments<'a>(&'a self, options: &[&'a str], user: &'a str) -> Vec<&'a str> {
        let ours = ["-F", "none", "--known-hosts", &self.known_hosts, "-i", &self.key];
        [options, &ours, &["-P", &self.port, user]].concat()
    }

    /// Logs in as a user (`ann@127.0.0.1`) and runs a command, or what the options say.
    pub fn run(&self, options: &[&str], user: &str, command: &[&str]) -> CronOutput {
        ended(&mut self.bare(&[&self.arguments(options, user), command].concat()))
    }

    /// Runs a batch file of these lines.
    pub fn batch(&self, options: &[&str], lines: &str) -> CronOutput {
        self.write("batch", lines);
        self.run(&[options, &["-b", "batch"]].concat(), "ann@127.0.0.1", &[])
    }
}

pub fn ended(command: &mut Command) -> CronOutput {
    let output = command.output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    CronOutput { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
}
