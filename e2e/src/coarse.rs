//! A disk like FAT: it ignores case and stores times in steps of two seconds. A folder is mounted through FUSE.

use crate::fuse::{FuseMount, Watcher};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tempfile::TempDir;

/// The disk. It is unmounted when it is dropped.
pub struct CoarseDisk {
    mount: FuseMount,
    // After the mount, which shows it.
    _dir: TempDir,
}

struct Coarse;

impl Watcher for Coarse {
    fn ignores_case(&self) -> bool {
        true
    }

    fn time_step(&self) -> u64 {
        2
    }
}

impl CoarseDisk {
    /// Mounts an empty disk on an existing folder. `None` if this machine cannot mount: then the skipped test is reported.
    ///
    /// # Panics
    /// If no temporary folder can be made.
    #[must_use]
    pub fn mounted_on(test: &str, folder: PathBuf) -> Option<CoarseDisk> {
        let dir = TempDir::with_prefix("sshome-coarse-").unwrap();
        let backing = dir.path().join("backing");
        fs::create_dir(&backing).unwrap();
        let mount = FuseMount::new(test, "coarse", &backing, folder, Arc::new(Coarse))?;
        Some(CoarseDisk { mount, _dir: dir })
    }

    /// The mount point.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.mount.path()
    }
}
