//! The clients.

use crate::servers::{SSHD, Service};
use clap::ValueEnum;
use std::fmt;
use std::fs::File;
use std::path::Path;
use std::process::{Command, Stdio};

/// A client with one set of options. A new one needs a variant, its server and its command (see [`crate::command`]);
/// then a workload can name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Tool {
    Sshome,
    /// With its fastest options.
    Sftp,
    Rsync,
    /// With compression by zstd.
    RsyncZstd,
    /// Without compression.
    SshomeNever,
    /// Over one connection, and over four.
    SshomeOne,
    SshomeFour,
    /// A file over four connections.
    Lftp,
    Tcp,
    /// Without options.
    PlainSftp,
    /// Eight at the same time.
    EightSftp,
    /// Eight at the same time, with the cipher of sshome.
    EightFastSftp,
    Scp,
    /// The old protocol of scp.
    OldScp,
    Sshfs,
    Rclone,
}

impl Tool {
    /// Clients that are compared with each other, each with its own server.
    pub(crate) const SIDE_BY_SIDE: [Tool; 4] = [Tool::Sshome, Tool::Sftp, Tool::Rsync, Tool::Tcp];

    /// The client of the summary's column that it is in.
    pub(crate) fn column(self) -> Tool {
        if self == Tool::RsyncZstd { Tool::Rsync } else { self }
    }

    /// Its own server.
    pub(crate) fn service(self) -> Service {
        match self {
            Tool::Sshome | Tool::SshomeNever | Tool::SshomeOne | Tool::SshomeFour => Service::Sshomed,
            Tool::Tcp => Service::Tcp,
            _ => Service::Sshd,
        }
    }

    /// Whether it is installed. The bench builds sshome itself.
    pub(crate) fn is_installed(self) -> bool {
        let openssh = || Path::new(SSHD).exists() && answers("ssh", "-V");
        match self {
            Tool::Sshome | Tool::SshomeNever | Tool::SshomeOne | Tool::SshomeFour | Tool::Tcp => true,
            Tool::Sftp
            | Tool::PlainSftp
            | Tool::EightSftp
            | Tool::EightFastSftp
            | Tool::Scp
            | Tool::OldScp => openssh(),
            Tool::Rsync | Tool::RsyncZstd => openssh() && answers("rsync", "--version"),
            Tool::Sshfs => openssh() && answers("sshfs", "--version") && File::open("/dev/fuse").is_ok(),
            Tool::Lftp => openssh() && answers("lftp", "--version"),
            Tool::Rclone => openssh() && answers("rclone", "version"),
        }
    }
}

impl fmt::Display for Tool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Tool::Sshome => "sshome",
            Tool::Sftp => "sftp",
            Tool::Rsync => "rsync",
            Tool::RsyncZstd => "rsync -z",
            Tool::SshomeNever => "sshome --compress=never",
            Tool::SshomeOne => "sshome -j 1",
            Tool::SshomeFour => "sshome -j 4",
            Tool::Lftp => "lftp pget -n 4",
            Tool::Tcp => "tcp",
            Tool::PlainSftp => "sftp without options",
            Tool::EightSftp => "8 × sftp",
            Tool::EightFastSftp => "8 × sftp, aes128-gcm",
            Tool::Scp => "scp",
            Tool::OldScp => "scp -O",
            Tool::Sshfs => "sshfs",
            Tool::Rclone => "rclone",
        })
    }
}

fn answers(program: &str, option: &str) -> bool {
    let mut command = Command::new(program);
    command.arg(option).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}
