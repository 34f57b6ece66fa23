//! The programs that are compared.

use self::Program::{Rclone, Rsync, Sshome};
use crate::command::{FAST_CIPHER, destination, ssh, sshome};
use crate::servers::Service;
use crate::stage::Stage;
use anyhow::Result;
use std::path::Path;
use std::process::Command;

/// A program with its options.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Program {
    Sshome(&'static str),
    Rsync(&'static str),
    Rclone,
}

impl Program {
    /// The server that it needs.
    pub(super) fn service(self) -> Service {
        if matches!(self, Sshome(_)) { Service::Sshomed } else { Service::Sshd }
    }

    /// Its name in the table.
    pub(super) fn label(self) -> String {
        let (name, options) = match self {
            Sshome(options) => ("sshome", options),
            Rsync(options) => ("rsync -a", options),
            Rclone => ("rclone sync", ""),
        };
        format!("{name} {options}").trim_end().to_owned()
    }

    /// The command that synchronises `source` with `target`.
    pub(super) fn command(
        self,
        is_pull: bool,
        source: &Path,
        target: &Path,
        (stage, port): (&Stage, u16),
    ) -> Result<Command> {
        let service = self.service();
        let destination = destination(service)?;
        let mut command;
        match self {
            Sshome(options) => {
                command = sshome(stage, port);
                command.arg("-q").arg(destination).arg(if is_pull { "pull" } else { "push" });
                command.args(options.split_whitespace());
                let seen = |path: &Path| stage.as_seen_by(service, path.to_owned());
                match is_pull {
                    true => command.arg(seen(source)).arg(target),
                    false => command.arg(source).arg(seen(target)),
                };
            }
            Rsync(options) => {
                command = Command::new("rsync");
                command.arg("-a").args(options.split_whitespace());
                command.arg("-e").arg(ssh(stage, port, Some(FAST_CIPHER)));
                let remote = |path: &Path| format!("{destination}:{}/", path.display());
                match is_pull {
                    true => command.arg(remote(source)).arg(format!("{}/", target.display())),
                    false => command.arg(format!("{}/", source.display())).arg(remote(target)),
                };
            }
            Rclone => {
                command = Command::new("rclone");
                command.args(["--config", "", "sync", "--transfers", "8", "--sftp-host", "127.0.0.1"]);
                command.arg("--sftp-port").arg(port.to_string()).arg("--sftp-user").arg(service.user()?);
                command.arg("--sftp-key-file").arg(stage.key()).arg("--sftp-disable-hashcheck");
                let remote = |path: &Path| format!(":sftp:{}", path.display());
                match is_pull {
                    true => command.arg(remote(source)).arg(target),
                    false => command.arg(source).arg(remote(target)),
                };
            }
        }
        Ok(command)
    }
}
