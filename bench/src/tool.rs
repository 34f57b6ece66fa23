//! The clients, and how each is asked for a workload.

use crate::servers::SSHD;
use crate::stage::Stage;
use crate::workload::{Direction, Workload};
use anyhow::{Context, Result};
use clap::ValueEnum;
use std::ffi::OsString;
use std::fmt;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

/// A client. The first is ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Tool {
    Sshome,
    Sftp,
    Rsync,
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
    pub(crate) const ALL: [Tool; 3] = [Tool::Sshome, Tool::Sftp, Tool::Rsync];

    /// Whether it can be run here. Ours is built by the bench itself.
    pub(crate) fn is_installed(self) -> bool {
        match self {
            Tool::Sshome => true,
            Tool::Sftp => Path::new(SSHD).exists() && answers("ssh", "-V"),
            Tool::Rsync => Tool::Sftp.is_installed() && answers("rsync", "--version"),
        }
    }

    /// The command that does the workload with the server on this port.
    pub(crate) fn command(self, workload: &Workload, stage: &Stage, port: u16) -> Result<Command> {
        match self {
            Tool::Sshome => Ok(sshome(workload, stage, port)),
            Tool::Sftp => sftp(workload, stage, port),
            Tool::Rsync => rsync(workload, stage, port),
        }
    }
}

impl fmt::Display for Tool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Tool::Sshome => "sshome",
            Tool::Sftp => "sftp",
            Tool::Rsync => "rsync",
        })
    }
}

fn sshome(workload: &Workload, stage: &Stage, port: u16) -> Command {
    let mut command = Command::new(stage.binaries.join("sshome"));
    // Neither the user's configuration nor the user's agent has a say.
    command.env_remove("SSH_AUTH_SOCK").args(["-F", "none"]);
    command.arg("-i").arg(stage.key()).arg("-P").arg(port.to_string());
    command.arg("--known-hosts").arg(stage.path().join("known_hosts")).arg("--accept-new");
    command.arg("bench@127.0.0.1");
    let recursive = workload.files.is_tree().then_some("-r");
    let name = workload.files.name;
    match workload.direction {
        Direction::Get => {
            command.arg("get").args(recursive).arg(format!("/files/{name}"));
            command.arg(stage.arrived(Tool::Sshome, Direction::Get));
        }
        Direction::Put => {
            command.arg("put").args(recursive).arg(stage.files().join(name)).arg("/arrived");
        }
    }
    command
}

fn sftp(workload: &Workload, stage: &Stage, port: u16) -> Result<Command> {
    let source = stage.files().join(workload.files.name);
    let target = stage.arrived(Tool::Sftp, workload.direction);
    let verb = if workload.direction == Direction::Get { "get" } else { "put" };
    let recursive = if workload.files.is_tree() { " -r" } else { "" };
    let batch = stage.path().join("batch");
    fs::write(&batch, format!("{verb}{recursive} {} {}/\n", source.display(), target.display()))?;
    let mut command = Command::new("sftp");
    command.arg("-q").args(SFTP_BEST).args(ssh_options(stage));
    command.arg("-P").arg(port.to_string()).arg("-b").arg(batch).arg(format!("{}@127.0.0.1", user()?));
    Ok(command)
}

fn rsync(workload: &Workload, stage: &Stage, port: u16) -> Result<Command> {
    let source = stage.files().join(workload.files.name);
    let target = stage.arrived(Tool::Rsync, workload.direction);
    let mut ssh = OsString::from("ssh");
    for option in ssh_options(stage) {
        ssh.push(" ");
        ssh.push(option);
    }
    ssh.push(format!(" -p {port}"));
    let remote = |path: &Path| Ok::<_, anyhow::Error>(format!("{}@127.0.0.1:{}", user()?, path.display()));
    let mut command = Command::new("rsync");
    command.arg("-a").arg("-e").arg(ssh);
    match workload.direction {
        Direction::Get => command.arg(remote(&source)?).arg(target),
        Direction::Put => command.arg(source).arg(remote(&target)?),
    };
    Ok(command)
}

fn ssh_options(stage: &Stage) -> Vec<OsString> {
    let mut options: Vec<OsString> = vec!["-F".into(), "none".into(), "-i".into(), stage.key().into()];
    for option in SSH_OPTIONS {
        options.push(format!("-o{option}").into());
    }
    options.push(format!("-oUserKnownHostsFile={}", stage.sshd().join("known_hosts").display()).into());
    options
}

/// Who runs the bench: sshd lets nobody else in.
fn user() -> Result<String> {
    let output = Command::new("id").arg("-un").output().context("running id")?;
    Ok(String::from_utf8(output.stdout)?.trim().to_owned())
}

fn answers(program: &str, option: &str) -> bool {
    let mut command = Command::new(program);
    command.arg(option).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}
