//! The clients: sshome, OpenSSH's sftp, and sshfs.

use super::Soak;
use super::worker::Place;
use crate::command::{ssh, ssh_options};
use crate::tool::Tool;
use anyhow::Result;
use std::ffi::{OsStr, OsString};
use std::fmt::Write;
use std::fs;
use std::path::Path;
use std::process::Command;

/// The time limit of a client, in seconds.
const PATIENCE: &str = "600";

/// Rekeying after each MiB.
const REKEY: &str = "-oRekeyLimit=1M";

/// How often one session uploads and downloads the files of [`SoakClient::SshomeAtLength`]: more than 1 GiB in each
/// direction, after which both ends rekey.
const REPEATS: usize = 10;

/// Mounts `$1` at `$2` with sshfs and the ssh command `$3`, runs the command `$4` with `$5` and `$6`, and unmounts. A
/// mount point has a different device than its parent.
const MOUNTED: &str = r#"
    set -e
    sshfs -f -o ssh_command="$3" "$1" "$2" &
    trap 'fusermount3 -u -z "$2" 2>/dev/null || true' EXIT
    until [ "$(stat -c %d "$2")" != "$(stat -c %d "$2/..")" ]; do kill -0 $!; sleep 0.05; done
    eval "$4"
    fusermount3 -u "$2"
    wait $!
"#;

/// A user who transfers files.
pub(super) struct Worker {
    /// The user name.
    pub(super) user: &'static str,
    pub(super) client: SoakClient,
    /// The number of files.
    pub(super) files: usize,
    /// The largest length of a file, in bytes.
    pub(super) longest: usize,
    /// Whether an administrator ends the user's sessions from time to time.
    pub(super) is_kicked: bool,
}

/// The client of a worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SoakClient {
    Sshome,
    /// A long session with many bytes.
    SshomeAtLength,
    Sftp,
    Sshfs,
}

pub(super) const WORKERS: [Worker; 7] = [
    worker("sshome", SoakClient::Sshome, 200, 1 << 20, false),
    worker("sshome-at-length", SoakClient::SshomeAtLength, 2, 128 << 20, false),
    worker("sftp", SoakClient::Sftp, 40, 2 << 20, false),
    worker("sshfs", SoakClient::Sshfs, 40, 2 << 20, false),
    worker("kicked-sshome", SoakClient::Sshome, 4, 64 << 20, true),
    worker("kicked-sftp", SoakClient::Sftp, 4, 32 << 20, true),
    worker("kicked-sshfs", SoakClient::Sshfs, 4, 16 << 20, true),
];

const fn worker(
    user: &'static str,
    client: SoakClient,
    files: usize,
    longest: usize,
    is_kicked: bool,
) -> Worker {
    Worker { user, client, files, longest, is_kicked }
}

impl Worker {
    pub(super) fn is_installed(&self) -> bool {
        match self.client {
            SoakClient::Sshome | SoakClient::SshomeAtLength => true,
            SoakClient::Sftp => Tool::PlainSftp.is_installed(),
            SoakClient::Sshfs => Tool::Sshfs.is_installed(),
        }
    }

    /// Uploads the folder `source`.
    pub(super) fn store(&self, soak: &Soak<'_>, place: &Place) -> Result<Command> {
        let source = shown(&place.source());
        let put = format!("put -r {source} /\n");
        match self.client {
            SoakClient::Sshome => Ok(self.sshome(soak, place, ["put", "-r", &source, "/"])),
            SoakClient::SshomeAtLength => self.script(soak, place, &put.repeat(REPEATS)),
            SoakClient::Sftp => self.sftp(soak, place, &put),
            SoakClient::Sshfs => Ok(self.mounted(soak, place, r#"cp -r "$5" "$2""#)),
        }
    }

    /// Downloads it into the folder `back`.
    pub(super) fn fetch(&self, soak: &Soak<'_>, place: &Place) -> Result<Command> {
        let back = shown(&place.back());
        let get = format!("get -r /source {back}\n");
        match self.client {
            SoakClient::Sshome => Ok(self.sshome(soak, place, ["get", "-r", "/source", &back])),
            SoakClient::SshomeAtLength => {
                let mut script = String::new();
                for number in 0..self.files * (REPEATS - 1) {
                    // A file on standard output is verified by its digest, too.
                    writeln!(script, "get /source/{} -", Place::file(number % self.files))?;
                }
                self.script(soak, place, &(script + &get))
            }
            SoakClient::Sftp => self.sftp(soak, place, &get),
            SoakClient::Sshfs => Ok(self.mounted(soak, place, r#"cp -r "$2/source" "$6""#)),
        }
    }

    /// Removes it.
    pub(super) fn remove(&self, soak: &Soak<'_>, place: &Place) -> Result<Command> {
        match self.client {
            SoakClient::Sshome | SoakClient::SshomeAtLength => {
                Ok(self.sshome(soak, place, ["rm", "-r", "/source"]))
            }
            SoakClient::Sftp => self.sftp(soak, place, "-rm /source/*\nrmdir /source\n"),
            SoakClient::Sshfs => Ok(self.mounted(soak, place, r#"rm -r "$2/source""#)),
        }
    }

    fn sshome<const N: usize>(&self, soak: &Soak<'_>, place: &Place, words: [&str; N]) -> Command {
        let mut command = self.connected(soak, place, &[]);
        command.args(words);
        command
    }

    /// Runs commands one after the other in one session.
    fn script(&self, soak: &Soak<'_>, place: &Place, text: &str) -> Result<Command> {
        let file = place.top().join("script");
        fs::write(&file, text)?;
        Ok(self.connected(soak, place, &["-b".as_ref(), file.as_os_str()]))
    }

    fn connected(&self, soak: &Soak<'_>, place: &Place, options: &[&OsStr]) -> Command {
        let stage = soak.stage;
        let mut command = patient(stage.binaries.join("sshome"));
        command.env_remove("SSH_AUTH_SOCK").args(["-q", "-F", "none", "--accept-new"]);
        command.arg("-i").arg(stage.key()).arg("-P").arg(soak.server.port.to_string());
        command.arg("--known-hosts").arg(place.top().join("known_hosts")).args(options);
        command.arg(self.destination());
        command
    }

    fn sftp(&self, soak: &Soak<'_>, place: &Place, text: &str) -> Result<Command> {
        let batch = place.top().join("batch");
        fs::write(&batch, text)?;
        let mut command = patient("sftp");
        command.arg("-q").args(ssh_options(soak.stage)).arg(REKEY);
        command.arg("-P").arg(soak.server.port.to_string()).arg("-b").arg(batch).arg(self.destination());
        Ok(command)
    }

    fn mounted(&self, soak: &Soak<'_>, place: &Place, what: &str) -> Command {
        let mut command = patient("bash");
        command.args(["-c", MOUNTED, "sshfs"]).arg(format!("{}:/", self.destination())).arg(place.mount());
        command.arg(ssh(soak.stage, soak.server.port, Some(REKEY)));
        command.arg(what).arg(place.source()).arg(place.back());
        command
    }

    fn destination(&self) -> String {
        format!("{}@127.0.0.1", self.user)
    }
}

fn patient(program: impl Into<OsString>) -> Command {
    let mut command = Command::new("timeout");
    command.arg(PATIENCE).arg(program.into());
    command
}

fn shown(path: &Path) -> String {
    path.display().to_string()
}
