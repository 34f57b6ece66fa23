//! The clients, and how each is asked for a workload.

use crate::servers::{HOST, SSHD, Service};
use crate::stage::Stage;
use crate::workload::{Direction, Workload};
use anyhow::Result;
use clap::ValueEnum;
use std::ffi::OsString;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// A client, and the server that it talks to. One more is a variant, its service, and its command; then a
/// workload can name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Tool {
    Sshome,
    Sftp,
    Rsync,
    Tcp,
}

/// What OpenSSH's client is told: the key, the host key, the cipher that sshome uses as well, and to look
/// at nothing of the user's own.
const SSH_OPTIONS: [&str; 9] = [
    "BatchMode=yes",
    "Ciphers=aes128-gcm@openssh.com",
    "Compression=no",
    "GlobalKnownHostsFile=/dev/null",
    "IdentitiesOnly=yes",
    "IdentityAgent=none",
    "LogLevel=ERROR",
    "StrictHostKeyChecking=yes",
    "ControlPath=none",
];

/// sftp at its best: the largest request that OpenSSH's server takes, and twice the usual number of
/// requests under way.
const SFTP_BEST: [&str; 4] = ["-B", "261120", "-R", "128"];

impl Tool {
    pub(crate) const ALL: [Tool; 4] = [Tool::Sshome, Tool::Sftp, Tool::Rsync, Tool::Tcp];

    /// What it talks to.
    pub(crate) fn service(self) -> Service {
        match self {
            Tool::Sshome => Service::Sshomed,
            Tool::Sftp | Tool::Rsync => Service::Sshd,
            Tool::Tcp => Service::Tcp,
        }
    }

    /// Whether it can be run here. Ours is built by the bench itself.
    pub(crate) fn is_installed(self) -> bool {
        match self {
            Tool::Sshome | Tool::Tcp => true,
            Tool::Sftp => Path::new(SSHD).exists() && answers("ssh", "-V"),
            Tool::Rsync => Tool::Sftp.is_installed() && answers("rsync", "--version"),
        }
    }

    /// The command that does the workload with the server on this port.
    pub(crate) fn command(self, workload: &Workload, stage: &Stage, port: u16) -> Result<Command> {
        let job = Job { workload, stage, service: self.service(), port };
        match self {
            Tool::Sshome => job.sshome(None),
            Tool::Sftp => job.sftp(),
            Tool::Rsync => job.rsync(),
            Tool::Tcp => job.tcp(),
        }
    }
}

impl fmt::Display for Tool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Tool::Sshome => "sshome",
            Tool::Sftp => "sftp",
            Tool::Rsync => "rsync",
            Tool::Tcp => "tcp",
        })
    }
}

/// sshome, with a line on standard output for each thing that happens.
pub(crate) fn sshome_with_events(workload: &Workload, stage: &Stage, port: u16) -> Result<Command> {
    Job { workload, stage, service: Service::Sshomed, port }.sshome(Some("--json"))
}

/// What a client is to do, and where.
struct Job<'a> {
    workload: &'a Workload,
    stage: &'a Stage,
    service: Service,
    port: u16,
}

impl Job<'_> {
    /// Where the files come from and where they go, each as the side that has them calls it.
    fn ends(&self) -> (PathBuf, PathBuf) {
        let Job { workload, stage, service, .. } = self;
        let (source, target) =
            (stage.files().join(workload.files.name), stage.arrived(*service, workload.direction));
        match workload.direction {
            Direction::Get => (stage.as_seen_by(*service, source), target),
            Direction::Put => (source, stage.as_seen_by(*service, target)),
        }
    }

    fn is_get(&self) -> bool {
        self.workload.direction == Direction::Get
    }

    fn verb(&self) -> &'static str {
        if self.is_get() { "get" } else { "put" }
    }

    fn destination(&self) -> Result<String> {
        Ok(format!("{}@127.0.0.1", self.service.user()?))
    }

    fn sshome(&self, option: Option<&str>) -> Result<Command> {
        let (stage, (source, target)) = (self.stage, self.ends());
        let mut command = Command::new(stage.binaries.join("sshome"));
        // Neither the user's configuration nor the user's agent has a say.
        command.env_remove("SSH_AUTH_SOCK").args(["-F", "none"]);
        command.arg("-i").arg(stage.key()).arg("-P").arg(self.port.to_string());
        command.arg("--known-hosts").arg(stage.path().join("sshome_hosts")).arg("--accept-new").args(option);
        command.arg(self.destination()?).arg(self.verb());
        command.args(self.workload.files.is_tree().then_some("-r")).arg(source).arg(target);
        Ok(command)
    }

    fn sftp(&self) -> Result<Command> {
        let (source, target) = self.ends();
        let recursive = if self.workload.files.is_tree() { " -r" } else { "" };
        let batch = self.stage.path().join("batch");
        fs::write(
            &batch,
            format!("{}{recursive} {} {}/\n", self.verb(), source.display(), target.display()),
        )?;
        let mut command = Command::new("sftp");
        command.arg("-q").args(SFTP_BEST).args(self.ssh_options());
        command.arg("-P").arg(self.port.to_string()).arg("-b").arg(batch).arg(self.destination()?);
        Ok(command)
    }

    fn rsync(&self) -> Result<Command> {
        let (source, target) = self.ends();
        let mut ssh = OsString::from("ssh");
        for option in self.ssh_options() {
            ssh.push(" ");
            ssh.push(option);
        }
        ssh.push(format!(" -p {}", self.port));
        let destination = self.destination()?;
        let remote = |path: &Path| format!("{destination}:{}", path.display());
        let mut command = Command::new("rsync");
        command.arg("-a").arg("-e").arg(ssh);
        match self.is_get() {
            true => command.arg(remote(&source)).arg(target),
            false => command.arg(source).arg(remote(&target)),
        };
        Ok(command)
    }

    fn tcp(&self) -> Result<Command> {
        let (source, target) = self.ends();
        let mut command = Command::new(std::env::current_exe()?);
        command.arg(format!("raw-{}", self.verb())).arg(self.port.to_string());
        command.arg(source).arg(target.join(self.workload.files.name));
        Ok(command)
    }

    fn ssh_options(&self) -> Vec<OsString> {
        let mut options: Vec<OsString> =
            vec!["-F".into(), "none".into(), "-i".into(), self.stage.key().into()];
        for option in SSH_OPTIONS {
            options.push(format!("-o{option}").into());
        }
        // The same host by whatever port it is reached.
        options.push(format!("-oHostKeyAlias={HOST}").into());
        options.push(format!("-oUserKnownHostsFile={}", self.stage.known_hosts().display()).into());
        options
    }
}

fn answers(program: &str, option: &str) -> bool {
    let mut command = Command::new(program);
    command.arg(option).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}
