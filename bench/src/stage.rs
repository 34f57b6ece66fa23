//! The temporary folder in memory for all files of a run.

use crate::command;
use crate::files;
use crate::servers::{Servers, Service};
use crate::workload::{Direction, FileSet, Workload};
use anyhow::{Context, Result, ensure};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use tempfile::TempDir;

/// Files in memory: the tools are compared, not a disk.
const TMPFS: &str = "/dev/shm";

/// Room for directories, the pages of small files and the servers' own files, in bytes.
const MARGIN: u64 = 256 << 20;

/// The name of the servers in known_hosts.
pub(crate) const HOST: &str = "bench";

/// The folder. It is removed when this is dropped.
pub(crate) struct Stage {
    folder: TempDir,
    /// The folder of `sshome` and `sshomed`.
    pub(crate) binaries: PathBuf,
}

impl Stage {
    /// A folder with keys and without test files.
    pub(crate) fn new(binaries: PathBuf) -> Result<Stage> {
        let folder = tempfile::Builder::new().prefix("sshome-bench-").tempdir_in(TMPFS);
        let stage =
            Stage { folder: folder.with_context(|| format!("making a folder in {TMPFS}"))?, binaries };
        remove_on_interrupt(stage.path().to_owned());
        let keys = stage.sshomed().join("keys");
        let (home, sshd) = (stage.home().join("arrived"), stage.sshd().join("arrived"));
        for path in [stage.files(), stage.made(), home, sshd, stage.local(), keys] {
            fs::create_dir_all(path)?;
        }
        make_key(&stage.key())?;
        make_key(&stage.host_key())?;
        let host_key = fs::read_to_string(stage.host_key().with_extension("pub"))?;
        fs::write(stage.known_hosts(), format!("{HOST} {host_key}"))?;
        Ok(stage)
    }

    /// Makes these test files, and removes the previous ones. Those that have to be stored are uploaded by sshome, if
    /// its server is running.
    pub(crate) fn provide(&self, set: &FileSet, servers: &Servers) -> Result<()> {
        files::empty(&self.files())?;
        check_space(set)?;
        let Some(server) = servers.of(Service::Sshomed).ok().filter(|_| set.stored) else {
            return files::make(set, &self.files());
        };
        let made = self.made();
        files::make(set, &made)?;
        let stored = command::store(&made.join(set.name), self, server.port)?.status();
        ensure!(stored.context("starting sshome")?.success(), "sshome did not store {}", set.name);
        files::empty(&made)
    }

    /// The test files, for both directions. They are in the home, since sshomed serves nothing else.
    pub(crate) fn files(&self) -> PathBuf {
        self.home().join("files")
    }

    /// Compares the result with the test files.
    pub(crate) fn check(&self, workload: &Workload, arrived: &Path) -> Result<()> {
        let name = workload.files.name;
        let compared = files::same(&self.files().join(name), &arrived.join(name));
        compared.context("what arrived is not what was sent")
    }

    /// The local path of the result.
    pub(crate) fn arrived(&self, service: Service, direction: Direction) -> PathBuf {
        match (direction, service) {
            (Direction::Get, _) => self.local(),
            (Direction::Put, Service::Sshomed) => self.home().join("arrived"),
            (Direction::Put, Service::Sshd | Service::Tcp) => self.sshd().join("arrived"),
        }
    }

    /// A server's name for a local path: for sshomed the home is the root.
    pub(crate) fn as_seen_by(&self, service: Service, path: PathBuf) -> PathBuf {
        match (service, path.strip_prefix(self.home())) {
            (Service::Sshomed, Ok(below)) => Path::new("/").join(below),
            _ => path,
        }
    }

    /// The folder that sshomed works in.
    pub(crate) fn sshomed(&self) -> PathBuf {
        self.path().join("sshomed")
    }

    /// The folder of sshd's own files.
    pub(crate) fn sshd(&self) -> PathBuf {
        self.path().join("sshd")
    }

    /// The private key of all clients; the public key is beside it, with `.pub`.
    pub(crate) fn key(&self) -> PathBuf {
        self.path().join("key")
    }

    /// The host key of both SSH servers.
    pub(crate) fn host_key(&self) -> PathBuf {
        self.sshomed().join("keys/host_ed25519")
    }

    /// The known_hosts file of OpenSSH's clients.
    pub(crate) fn known_hosts(&self) -> PathBuf {
        self.path().join("known_hosts")
    }

    /// The output of the last client.
    pub(crate) fn log(&self) -> PathBuf {
        self.path().join("client.log")
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    fn home(&self) -> PathBuf {
        self.sshomed().join("home/bench")
    }

    /// The folder of files that are then uploaded.
    pub(crate) fn made(&self) -> PathBuf {
        self.path().join("made")
    }

    fn local(&self) -> PathBuf {
        self.path().join("arrived")
    }
}

/// Ctrl-C ends the bench without drops: the folder would keep gigabytes of memory.
fn remove_on_interrupt(folder: PathBuf) {
    thread::spawn(move || {
        let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() else { return };
        if runtime.block_on(tokio::signal::ctrl_c()).is_ok() {
            // The terminal interrupts clients and servers as well, so they write no more.
            let _ = fs::remove_dir_all(folder);
            std::process::exit(130);
        }
    });
}

/// Checks that the test files and their copy fit.
fn check_space(set: &FileSet) -> Result<()> {
    let disk = rustix::fs::statvfs(TMPFS).with_context(|| format!("looking at {TMPFS}"))?;
    // On tmpfs a file takes whole pages.
    let each = set.size.next_multiple_of(disk.f_frsize);
    let (needed, free) = (2 * set.count * each + MARGIN, disk.f_bavail * disk.f_frsize);
    ensure!(
        free >= needed,
        "{TMPFS} has {} MiB free and {} needs {} MiB: make room, or use --only or --shrink",
        free >> 20,
        set.name,
        needed >> 20
    );
    let entries = 2 * set.count + set.count / 50;
    // A tmpfs without a limit reports 0 free blocks and files.
    ensure!(
        disk.f_files == 0 || disk.f_favail >= entries,
        "{TMPFS} has room for {} files and {} needs {entries}: use --shrink, or let it have more by \
         `mount -o remount,nr_inodes=0 {TMPFS}`",
        disk.f_favail,
        set.name
    );
    Ok(())
}

fn make_key(path: &Path) -> Result<()> {
    let mut command = Command::new("ssh-keygen");
    command.args(["-q", "-t", "ed25519", "-N", "", "-C", "bench", "-f"]).arg(path);
    let status = command.status().context("running ssh-keygen: install openssh-client")?;
    ensure!(status.success(), "ssh-keygen made no key {}", path.display());
    Ok(())
}
