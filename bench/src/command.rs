//! The command line of each client for a workload.

use crate::files;
use crate::servers::Service;
use crate::stage::{HOST, Stage};
use crate::tool::Tool;
use crate::workload::{Contender, Direction, Workload};
use anyhow::{Context, Result};
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Options of OpenSSH's client: the key, the host key, and no configuration of the user.
const SSH_OPTIONS: [&str; 8] = [
    "BatchMode=yes",
    "Compression=no",
    "GlobalKnownHostsFile=/dev/null",
    "IdentitiesOnly=yes",
    "IdentityAgent=none",
    "LogLevel=ERROR",
    "StrictHostKeyChecking=yes",
    "ControlPath=none",
];

/// The cipher that sshome uses as well. OpenSSH's client prefers a slower one.
pub(crate) const FAST_CIPHER: &str = "-oCiphers=aes128-gcm@openssh.com";

/// The fastest options of sftp: the largest request that OpenSSH's server accepts, and twice the default number of
/// outstanding requests.
const SFTP_BEST: [&str; 5] = [FAST_CIPHER, "-B", "261120", "-R", "128"];

/// Mounts `$1` at `$2` with sshfs and the ssh command `$3`, copies `$5` from `$4` to `$6` with tar, and unmounts. A
/// mount point has a different device than its parent.
const SSHFS: &str = r#"
    set -e
    sshfs -f -o ssh_command="$3" "$1" "$2" &
    trap 'fusermount3 -u -z "$2" 2>/dev/null || true' EXIT
    until [ "$(stat -c %d "$2")" != "$(stat -c %d "$2/..")" ]; do kill -0 $!; sleep 0.01; done
    tar -C "$4" -cf - "$5" | tar -C "$6" -xf -
    fusermount3 -u "$2"
    wait $!
"#;

/// The command that runs a workload with the server on this port.
pub(crate) fn command(
    contender: Contender,
    workload: &Workload,
    stage: &Stage,
    port: u16,
) -> Result<Command> {
    let job = Job { workload, stage, service: contender.service, port };
    match contender.tool {
        Tool::Sshome => job.sshome(&[]),
        Tool::SshomeNever => job.sshome(&["--compress=never"]),
        Tool::SshomeOne => job.sshome(&["-j", "1"]),
        Tool::SshomeFour => job.sshome(&["-j", "4"]),
        Tool::Lftp => job.lftp(),
        Tool::Sftp => job.sftp(&SFTP_BEST),
        Tool::PlainSftp => job.sftp(&[]),
        Tool::EightSftp => job.eight_sftp(&[]),
        Tool::EightFastSftp => job.eight_sftp(&[FAST_CIPHER]),
        Tool::Scp => job.scp(&[]),
        Tool::OldScp => job.scp(&["-O"]),
        Tool::Sshfs => job.sshfs(),
        Tool::Rclone => job.rclone(),
        Tool::Rsync => job.rsync(&[]),
        Tool::RsyncZstd => job.rsync(&["-z", "--zc=zstd"]),
        Tool::Tcp => job.tcp(),
    }
}

/// sshome with events on standard output.
pub(crate) fn sshome_with_events(workload: &Workload, stage: &Stage, port: u16) -> Result<Command> {
    Job { workload, stage, service: Service::Sshomed, port }.sshome(&["--json"])
}

/// sshome, uploading a file or a tree to the folder with the test files.
pub(crate) fn store(source: &Path, stage: &Stage, port: u16) -> Result<Command> {
    let mut command = sshome(stage, port);
    command.arg("-q").arg(destination(Service::Sshomed)?).args(["put", "-r"]).arg(source);
    command.arg(stage.as_seen_by(Service::Sshomed, stage.files()));
    Ok(command)
}

/// sshome with the options that all its commands share.
pub(crate) fn sshome(stage: &Stage, port: u16) -> Command {
    let mut command = Command::new(stage.binaries.join("sshome"));
    // The user's configuration and agent are ignored.
    command.env_remove("SSH_AUTH_SOCK").args(["-F", "none"]);
    command.arg("-i").arg(stage.key()).arg("-P").arg(port.to_string());
    command.arg("--known-hosts").arg(stage.path().join("sshome_hosts")).arg("--accept-new");
    command
}

/// The user and address of a server.
pub(crate) fn destination(service: Service) -> Result<String> {
    Ok(format!("{}@127.0.0.1", service.user()?))
}

/// The work of a client.
struct Job<'a> {
    workload: &'a Workload,
    stage: &'a Stage,
    service: Service,
    port: u16,
}

impl Job<'_> {
    /// Source and target, each as its side names it.
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

    fn sshome(&self, options: &[&str]) -> Result<Command> {
        let (source, target) = self.ends();
        let mut command = sshome(self.stage, self.port);
        command.args(options).arg(destination(self.service)?).arg(self.verb());
        command.args(self.workload.files.is_tree().then_some("-r")).arg(source).arg(target);
        Ok(command)
    }

    fn sftp(&self, options: &[&str]) -> Result<Command> {
        let (source, target) = self.ends();
        let recursive = if self.workload.files.is_tree() { " -r" } else { "" };
        let batch = self.stage.path().join("batch");
        fs::write(
            &batch,
            format!("{}{recursive} {} {}/\n", self.verb(), source.display(), target.display()),
        )?;
        let mut command = Command::new("sftp");
        command.arg("-q").args(options).args(self.ssh_options());
        command.arg("-P").arg(self.port.to_string()).arg("-b").arg(batch).arg(destination(self.service)?);
        Ok(command)
    }

    /// One client for each file, at the same time.
    fn eight_sftp(&self, options: &[&str]) -> Result<Command> {
        let (source, target) = self.ends();
        let mut batches = String::new();
        for path in files::paths(&self.workload.files) {
            let folder = Path::new(self.workload.files.name).join(path.parent().unwrap_or(&path));
            fs::create_dir_all(self.stage.arrived(self.service, self.workload.direction).join(&folder))?;
            let batch = self.stage.path().join(format!("batch.{}", path.display()).replace('/', "."));
            let (from, to) = (source.join(&path), target.join(folder));
            fs::write(&batch, format!("{} {} {}/\n", self.verb(), from.display(), to.display()))?;
            batches.push_str(&format!("{}\n", batch.display()));
        }
        let list = self.stage.path().join("batches");
        fs::write(&list, batches)?;
        let mut command = Command::new("xargs");
        command.arg("-a").arg(list).args(["-P", "8", "-I", "BATCH", "sftp", "-q"]);
        command.args(options).args(self.ssh_options()).arg("-P").arg(self.port.to_string());
        command.args(["-b", "BATCH"]).arg(destination(self.service)?);
        Ok(command)
    }

    fn scp(&self, options: &[&str]) -> Result<Command> {
        let (source, target) = self.ends();
        let mut command = Command::new("scp");
        command.arg("-q").args(options).args(self.ssh_options()).arg("-P").arg(self.port.to_string());
        let destination = destination(self.service)?;
        let remote = |path: &Path| format!("{destination}:{}", path.display());
        match self.is_get() {
            true => command.arg(remote(&source)).arg(target),
            false => command.arg(source).arg(remote(&target)),
        };
        Ok(command)
    }

    fn sshfs(&self) -> Result<Command> {
        let (source, target) = self.ends();
        let mount = self.stage.path().join("mount");
        fs::create_dir_all(&mount)?;
        let source = source.parent().unwrap_or(&source);
        let (remote, from, to) = match self.is_get() {
            true => (source, mount.as_path(), target.as_path()),
            false => (target.as_path(), source, mount.as_path()),
        };
        let mut command = Command::new("bash");
        command.args(["-o", "pipefail", "-c", SSHFS, "sshfs"]);
        command
            .arg(format!("{}:{}", destination(self.service)?, remote.display()))
            .arg(&mount)
            .arg(self.ssh(None));
        command.arg(from).arg(self.workload.files.name).arg(to);
        Ok(command)
    }

    fn rclone(&self) -> Result<Command> {
        let ((source, target), name) = (self.ends(), self.workload.files.name);
        let remote = |path: &Path| format!(":sftp:{}", path.display());
        let mut command = Command::new("rclone");
        command.args(["--config", "", "copy", "--transfers", "8", "--sftp-host", "127.0.0.1"]);
        command.arg("--sftp-port").arg(self.port.to_string()).arg("--sftp-user").arg(self.service.user()?);
        command.arg("--sftp-key-file").arg(self.stage.key());
        // sshd would start a shell for each digest, which would be measured as well.
        command.arg("--sftp-disable-hashcheck");
        match self.is_get() {
            true => command.arg(remote(&source)).arg(target.join(name)),
            false => command.arg(source).arg(remote(&target.join(name))),
        };
        Ok(command)
    }

    fn rsync(&self, options: &[&str]) -> Result<Command> {
        let (source, target) = self.ends();
        let destination = destination(self.service)?;
        let remote = |path: &Path| format!("{destination}:{}", path.display());
        let mut command = Command::new("rsync");
        command.arg("-a").args(options).arg("-e").arg(self.ssh(Some(FAST_CIPHER)));
        match self.is_get() {
            true => command.arg(remote(&source)).arg(target),
            false => command.arg(source).arg(remote(&target)),
        };
        Ok(command)
    }

    /// It only gets a file over several connections.
    fn lftp(&self) -> Result<Command> {
        let ((source, target), user) = (self.ends(), self.service.user()?);
        let ssh = ssh(self.stage, self.port, Some(FAST_CIPHER));
        let ssh = ssh.to_str().context("the path of the key is not text")?;
        let script = format!(
            "set sftp:connect-program \"{ssh} -a -x\"; set sftp:auto-confirm yes; set xfer:clobber yes; \
             open sftp://{user}:@127.0.0.1; pget -n 4 -O {} {}",
            target.display(),
            source.display()
        );
        let mut command = Command::new("lftp");
        command.args(["-c", &script]);
        Ok(command)
    }

    fn tcp(&self) -> Result<Command> {
        let (source, target) = self.ends();
        let mut command = Command::new(std::env::current_exe()?);
        command.arg(format!("raw-{}", self.verb())).arg(self.port.to_string());
        command.arg(source).arg(target.join(self.workload.files.name));
        Ok(command)
    }

    fn ssh(&self, option: Option<&str>) -> OsString {
        ssh(self.stage, self.port, option)
    }

    fn ssh_options(&self) -> Vec<OsString> {
        ssh_options(self.stage)
    }
}

/// ssh as one word, for clients that run it themselves.
pub(crate) fn ssh(stage: &Stage, port: u16, option: Option<&str>) -> OsString {
    let mut ssh = OsString::from("ssh");
    for option in ssh_options(stage).into_iter().chain(option.map(OsString::from)) {
        ssh.push(" ");
        ssh.push(option);
    }
    ssh.push(format!(" -p {port}"));
    ssh
}

/// The options of OpenSSH's clients, except the port.
pub(crate) fn ssh_options(stage: &Stage) -> Vec<OsString> {
    let mut options: Vec<OsString> = vec!["-F".into(), "none".into(), "-i".into(), stage.key().into()];
    for option in SSH_OPTIONS {
        options.push(format!("-o{option}").into());
    }
    // The same host key for every port.
    options.push(format!("-oHostKeyAlias={HOST}").into());
    options.push(format!("-oUserKnownHostsFile={}", stage.known_hosts().display()).into());
    options
}
