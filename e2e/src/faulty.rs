//! A disk that fails when a test wants it to: a folder shown again through FUSE, where the n-th change can
//! be refused.

mod filesystem;

use filesystem::Filesystem;
use fuser::{BackgroundSession, Config, MountOption};
use rustix::io::Errno;
use std::fs;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tempfile::TempDir;

/// What is asked of a disk, and can fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// A file that is there is opened.
    Open,
    /// A file is made.
    Create,
    /// A directory or a symbolic link is made.
    Make,
    /// Another name is made for a file.
    Link,
    /// Bytes are written.
    Write,
    /// Mode, times or length are set.
    SetAttributes,
    /// An extended attribute is written or removed.
    SetXattr,
    /// A file is put on the disk.
    Sync,
    /// A directory is put on the disk.
    SyncDirectory,
    /// A name is given or taken over.
    Rename,
    /// A name is removed.
    Remove,
}

impl Step {
    /// All but the removal, of which a failure leaves something behind.
    pub const BUILDING: &[Step] = &[
        Step::Open,
        Step::Create,
        Step::Make,
        Step::Link,
        Step::Write,
        Step::SetAttributes,
        Step::SetXattr,
        Step::Sync,
        Step::SyncDirectory,
        Step::Rename,
    ];
}

/// The disk. It is unmounted when it is dropped.
pub struct Faulty {
    session: Option<BackgroundSession>,
    // After the session, which shows it.
    dir: TempDir,
    faults: Arc<Faults>,
}

/// What is to fail.
#[derive(Debug, Default)]
struct Faults(Mutex<Option<Fault>>);

#[derive(Debug)]
struct Fault {
    steps: &'static [Step],
    /// How many of these steps are still to go well.
    before: u32,
    error: Errno,
    /// What has failed.
    met: Option<Step>,
}

impl Faulty {
    /// Mounts a disk without a fault. None if this machine cannot mount; then it is said which test that
    /// leaves out.
    ///
    /// # Panics
    /// If there is no temporary folder to be had.
    #[must_use]
    pub fn new(test: &str) -> Option<Faulty> {
        let dir = TempDir::with_prefix("sshome-faulty-").unwrap();
        let faults = Arc::new(Faults::default());
        for folder in ["backing", "mounted"] {
            fs::create_dir(dir.path().join(folder)).unwrap();
        }
        let filesystem = Filesystem::of(&dir.path().join("backing"), Arc::clone(&faults)).unwrap();
        let mut config = Config::default();
        config.mount_options = vec![MountOption::FSName("faulty".into()), MountOption::NoAtime];
        match fuser::spawn_mount(filesystem, dir.path().join("mounted"), &config) {
            Ok(session) => Some(Faulty { session: Some(session), dir, faults }),
            Err(error) => {
                eprintln!("skipped: {test}: nothing can be mounted here: {error}");
                None
            }
        }
    }

    /// Where it is mounted.
    #[must_use]
    pub fn path(&self) -> PathBuf {
        self.dir.path().join("mounted")
    }

    /// The folder that is shown, where nothing fails.
    #[must_use]
    pub fn backing(&self) -> PathBuf {
        self.dir.path().join("backing")
    }

    /// Has one of these steps fail from now on, once, after so many that go well.
    pub fn fail_after(&self, before: u32, steps: &'static [Step], error: Errno) {
        *self.faults.lock() = Some(Fault { steps, before, error, met: None });
    }

    /// Has everything go well from now on; which step has failed, if one has.
    #[must_use]
    pub fn heal(&self) -> Option<Step> {
        self.faults.lock().take()?.met
    }
}

impl Drop for Faulty {
    fn drop(&mut self) {
        let Some(session) = self.session.take() else { return };
        if let Err(error) = session.umount_and_join() {
            eprintln!("{} is not unmounted: {error}", self.path().display());
        }
    }
}

impl Faults {
    fn lock(&self) -> MutexGuard<'_, Option<Fault>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// To be asked before each step: fails if this is the one.
    fn before(&self, step: Step) -> Result<(), Errno> {
        let mut fault = self.lock();
        let Some(fault) = fault.as_mut().filter(|it| it.met.is_none() && it.steps.contains(&step)) else {
            return Ok(());
        };
        if fault.before > 0 {
            fault.before -= 1;
            return Ok(());
        }
        fault.met = Some(step);
        Err(fault.error)
    }
}
