//! A disk that fails on request: a folder mounted through FUSE, where the n-th change can be refused.

use crate::fuse::{DiskOperation, FuseMount, Watcher};
use rustix::io::Errno;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tempfile::TempDir;

/// The disk. It is unmounted when it is dropped.
pub struct Faulty {
    mount: FuseMount,
    // After the mount, which shows it.
    dir: TempDir,
    faults: Arc<FaultPlan>,
}

/// The fault.
#[derive(Debug, Default)]
struct FaultPlan(Mutex<Option<Fault>>);

#[derive(Debug)]
struct Fault {
    steps: &'static [DiskOperation],
    /// The number of the step that fails, from 0.
    number: usize,
    error: Errno,
    seen: Vec<DiskOperation>,
}

impl Faulty {
    /// Mounts a disk without a fault. `None` if this machine cannot mount: then the skipped test is reported.
    ///
    /// # Panics
    /// If no temporary folder can be made.
    #[must_use]
    pub fn new(test: &str) -> Option<Faulty> {
        let dir = TempDir::with_prefix("sshome-faulty-").unwrap();
        let mounted = dir.path().join("mounted");
        fs::create_dir(&mounted).unwrap();
        Faulty::mount(test, dir, mounted)
    }

    /// The same on an existing folder.
    ///
    /// # Panics
    /// If no temporary folder can be made.
    #[must_use]
    pub fn mounted_on(test: &str, folder: &Path) -> Option<Faulty> {
        Faulty::mount(test, TempDir::with_prefix("sshome-faulty-").unwrap(), folder.to_owned())
    }

    fn mount(test: &str, dir: TempDir, mounted: PathBuf) -> Option<Faulty> {
        let faults = Arc::new(FaultPlan::default());
        let backing = dir.path().join("backing");
        fs::create_dir(&backing).unwrap();
        let mount = FuseMount::new(test, "faulty", &backing, mounted, Arc::clone(&faults) as Arc<_>)?;
        Some(Faulty { mount, dir, faults })
    }

    /// The mount point.
    #[must_use]
    pub fn path(&self) -> PathBuf {
        self.mount.path().to_owned()
    }

    /// The folder behind it, where nothing fails.
    #[must_use]
    pub fn backing(&self) -> PathBuf {
        self.dir.path().join("backing")
    }

    /// Lets one of these steps fail once: the one with this number from now on, counted from 0.
    pub fn fail(&self, number: usize, steps: &'static [DiskOperation], error: Errno) {
        *self.faults.lock() = Some(Fault { steps, number, error, seen: Vec::new() });
    }

    /// Removes the fault. Returns the steps that were seen, including the one that failed.
    #[must_use]
    pub fn heal(&self) -> Vec<DiskOperation> {
        self.faults.lock().take().map(|fault| fault.seen).unwrap_or_default()
    }
}

impl FaultPlan {
    fn lock(&self) -> MutexGuard<'_, Option<Fault>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Watcher for FaultPlan {
    /// Fails if this is the step.
    fn before(&self, step: DiskOperation) -> Result<(), Errno> {
        let mut fault = self.lock();
        let Some(fault) = fault.as_mut().filter(|fault| fault.steps.contains(&step)) else { return Ok(()) };
        fault.seen.push(step);
        if fault.seen.len() - 1 == fault.number { Err(fault.error) } else { Ok(()) }
    }
}
