//! The temporary folder in memory in which everything happens.

use crate::files;
use crate::tool::Tool;
use crate::workload::{Direction, FileSet, Workload};
use anyhow::{Context, Result, ensure};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use tempfile::TempDir;

/// Files in memory: what is compared is the tools, not a disk.
const TMPFS: &str = "/dev/shm";

/// Room for directories, small files' pages and what the servers keep, in bytes.
const MARGIN: u64 = 256 << 20;

/// The folder. It is removed when this is dropped.
pub(crate) struct Stage {
    folder: TempDir,
    /// Where `sshome` and `sshomed` are.
    pub(crate) binaries: PathBuf,
}

impl Stage {
    /// A folder with keys and with the files of these workloads.
    pub(crate) fn new(workloads: &[Workload], binaries: PathBuf) -> Result<Stage> {
        let mut sets: Vec<FileSet> = Vec::new();
        for workload in workloads {
            if !sets.contains(&workload.files) {
                sets.push(workload.files);
            }
        }
        check_space(&sets)?;
        let folder = tempfile::Builder::new().prefix("sshome-bench-").tempdir_in(TMPFS);
        let stage =
            Stage { folder: folder.with_context(|| format!("making a folder in {TMPFS}"))?, binaries };
        remove_on_interrupt(stage.path().to_owned());
        for path in [stage.files(), stage.home().join("arrived"), stage.sshd().join("arrived"), stage.local()]
        {
            fs::create_dir_all(path)?;
        }
        make_key(&stage.key())?;
        make_key(&stage.sshd().join("host_key"))?;
        sets.iter().try_for_each(|set| files::make(set, &stage.files()))?;
        Ok(stage)
    }

    /// The files that travel, in both directions. They lie in the home, since sshomed serves nothing else.
    pub(crate) fn files(&self) -> PathBuf {
        self.home().join("files")
    }

    /// Where the files arrive, on this machine's disk.
    pub(crate) fn arrived(&self, tool: Tool, direction: Direction) -> PathBuf {
        match (direction, tool) {
            (Direction::Get, _) => self.local(),
            (Direction::Put, Tool::Sshome) => self.home().join("arrived"),
            (Direction::Put, Tool::Sftp | Tool::Rsync) => self.sshd().join("arrived"),
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

    /// The private key that all clients log in with; the public one has `.pub` after it.
    pub(crate) fn key(&self) -> PathBuf {
        self.path().join("key")
    }

    /// What the last client said.
    pub(crate) fn log(&self) -> PathBuf {
        self.path().join("client.log")
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    fn home(&self) -> PathBuf {
        self.sshomed().join("home/bench")
    }

    fn local(&self) -> PathBuf {
        self.path().join("arrived")
    }
}

/// Ctrl-C ends the bench without a drop; gigabytes of memory must not stay behind.
fn remove_on_interrupt(folder: PathBuf) {
    thread::spawn(move || {
        let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() else { return };
        if runtime.block_on(tokio::signal::ctrl_c()).is_ok() {
            // The terminal interrupts clients and servers as well: they write no more.
            let _ = fs::remove_dir_all(folder);
            std::process::exit(130);
        }
    });
}

fn check_space(sets: &[FileSet]) -> Result<()> {
    let largest = sets.iter().map(FileSet::bytes).max().unwrap_or(0);
    let needed = sets.iter().map(FileSet::bytes).sum::<u64>() + largest + MARGIN;
    let disk = rustix::fs::statvfs(TMPFS).with_context(|| format!("looking at {TMPFS}"))?;
    let free = disk.f_bavail * disk.f_frsize;
    ensure!(
        free >= needed,
        "{TMPFS} has {} MiB free and the files need {} MiB: make room, or use --only or --shrink",
        free >> 20,
        needed >> 20
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
