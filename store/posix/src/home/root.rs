//! Whether the path of a home still leads to the directory that was opened.

use super::access::{lacking, reason};
use super::{Error, Result, file_id};
use crate::permission::{READ_FOLDER, WRITE_FOLDER};
use rustix::fd::OwnedFd;
use rustix::fs::Access;
use rustix::io::Errno;
use sshome_store::quota::FileId;
use sshome_store::shown;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

/// How long a result of [`HomeRoot::check`] is reused, in milliseconds.
const CHECK_INTERVAL_MS: u64 = 1000;

/// The directory that was opened as a home's top, and its path. Sessions use the open handle: after an unmount, or if
/// another directory replaces it, they would write to the old directory.
#[derive(Debug)]
pub(crate) struct HomeRoot {
    user: String,
    path: PathBuf,
    id: FileId,
    /// The access that the server had when it was opened.
    access: Access,
    opened: Instant,
    /// The time of the last check, in milliseconds since `opened`.
    checked: AtomicU64,
    replaced: AtomicBool,
    problem: Mutex<Option<RootProblem>>,
}

/// Why a served home cannot be used any more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum RootProblem {
    /// The path leads to a different directory, or does not exist.
    Replaced(&'static str),
    /// The server's account lost a permission. Contains the reason with the remedy.
    Inaccessible(String),
}

impl HomeRoot {
    /// The root of a user's home that was just opened by this path.
    pub(super) fn new(user: &str, path: &Path, top: &OwnedFd) -> Result<HomeRoot> {
        let access = if lacking(path, WRITE_FOLDER).is_none() { WRITE_FOLDER } else { READ_FOLDER };
        Ok(HomeRoot {
            user: user.to_owned(),
            path: path.to_owned(),
            id: file_id(&rustix::fs::fstat(top)?),
            access,
            opened: Instant::now(),
            checked: AtomicU64::new(0),
            replaced: AtomicBool::new(false),
            problem: Mutex::default(),
        })
    }

    /// The device of the directory.
    pub(super) fn device(&self) -> u64 {
        self.id.device
    }

    /// The path.
    #[must_use]
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The user.
    #[must_use]
    pub(crate) fn user(&self) -> &str {
        &self.user
    }

    /// Fails if the path no longer leads to the directory. Inspects it at most once a second.
    ///
    /// # Errors
    /// [`Error::Replaced`].
    pub(crate) fn check(&self) -> Result<()> {
        let now = u64::try_from(self.opened.elapsed().as_millis()).unwrap_or(u64::MAX);
        if now.saturating_sub(self.checked.load(Relaxed)) >= CHECK_INTERVAL_MS {
            self.checked.store(now, Relaxed);
            if self.replaced.load(Relaxed) || self.replacement() != Ok(None) {
                self.inspect();
            }
        }
        if self.replaced.load(Relaxed) { Err(Error::Replaced) } else { Ok(()) }
    }

    /// Inspects the directory now, and logs what changed. `None` if it is usable.
    pub(crate) fn inspect(&self) -> Option<RootProblem> {
        let found = match self.replacement() {
            Ok(Some(what)) => Some(RootProblem::Replaced(what)),
            Ok(None) => lacking(&self.path, self.access).map(|error| self.inaccessible(error)),
            Err(Errno::ACCESS) => Some(self.inaccessible(Errno::ACCESS)),
            // Unknown: the previous result applies.
            Err(_) => return self.problem().clone(),
        };
        self.replaced.store(matches!(found, Some(RootProblem::Replaced(_))), Relaxed);
        let mut before = self.problem();
        if *before != found {
            self.log_change(found.as_ref());
            before.clone_from(&found);
        }
        found
    }

    /// Why the path does not lead to the directory; `None` if it does.
    fn replacement(&self) -> std::result::Result<Option<&'static str>, Errno> {
        match rustix::fs::stat(&self.path) {
            Ok(stat) if file_id(&stat) == self.id => Ok(None),
            Ok(stat) if stat.st_dev != self.id.device => {
                Ok(Some("its disk was unmounted, or a different disk was mounted there"))
            }
            Ok(_) => Ok(Some("another directory has taken its place")),
            Err(Errno::NOENT | Errno::NOTDIR) => Ok(Some("it was removed or renamed")),
            Err(error) => Err(error),
        }
    }

    fn inaccessible(&self, error: Errno) -> RootProblem {
        RootProblem::Inaccessible(reason(&self.path, self.access, error.into()))
    }

    fn log_change(&self, found: Option<&RootProblem>) {
        let (user, root) = (&self.user, shown(&self.path));
        match found {
            Some(RootProblem::Replaced(why)) => tracing::error!(
                user,
                %root,
                why,
                "the home was replaced while the server runs: nothing more is written; put it back, or run \
                 `sshomed home reopen {user}`"
            ),
            Some(RootProblem::Inaccessible(why)) => {
                tracing::error!(user, %root, why, "the server cannot use the home any more: its user is locked out");
            }
            None => tracing::info!(user, %root, "the home is back"),
        }
    }

    fn problem(&self) -> MutexGuard<'_, Option<RootProblem>> {
        self.problem.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl RootProblem {
    /// The problem and its remedy, for the administrator.
    pub(super) fn explain(&self, user: &str) -> String {
        match self {
            RootProblem::Replaced(what) => format!(
                "{what} while the server runs: nothing is written; put it back, or run \
                 `sshomed home reopen {user}`"
            ),
            RootProblem::Inaccessible(why) => why.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::fs::{Mode, OFlags};
    use std::fs;

    #[test]
    fn moving_replacing_and_restoring_the_directory_is_noticed() {
        let dir = tempfile::tempdir().unwrap();
        let (home, away) = (dir.path().join("home"), dir.path().join("away"));
        fs::create_dir(&home).unwrap();
        let top = rustix::fs::open(&home, OFlags::RDONLY | OFlags::DIRECTORY, Mode::empty()).unwrap();
        let root = HomeRoot::new("ann", &home, &top).unwrap();
        assert_eq!((root.inspect(), root.check()), (None, Ok(())));
        fs::rename(&home, &away).unwrap();
        assert_eq!(root.inspect(), Some(RootProblem::Replaced("it was removed or renamed")));
        assert_eq!(root.check(), Err(Error::Replaced));
        fs::create_dir(&home).unwrap();
        assert_eq!(root.inspect(), Some(RootProblem::Replaced("another directory has taken its place")));
        fs::remove_dir(&home).unwrap();
        fs::rename(&away, &home).unwrap();
        assert_eq!((root.inspect(), root.check()), (None, Ok(())));
    }

    #[test]
    fn losing_access_to_the_directory_is_noticed() {
        if rustix::process::geteuid().is_root() {
            eprintln!("skipped: losing_access_to_the_directory_is_noticed: root may use all");
            return;
        }
        let dir = tempfile::tempdir().unwrap();
        let home = dir.path().join("home");
        fs::create_dir(&home).unwrap();
        let top = rustix::fs::open(&home, OFlags::RDONLY | OFlags::DIRECTORY, Mode::empty()).unwrap();
        let root = HomeRoot::new("ann", &home, &top).unwrap();
        let set_mode = |path: &Path, mode| rustix::fs::chmod(path, Mode::from_raw_mode(mode)).unwrap();
        for (path, mode) in [(&*home, 0), (&*home, 0o500), (dir.path(), 0)] {
            set_mode(path, mode);
            let found = root.inspect();
            // Open sessions are not refused: the kernel checks each call.
            assert_eq!(root.check(), Ok(()));
            set_mode(path, 0o700);
            let Some(RootProblem::Inaccessible(why)) = found else { panic!("{path:?} {mode:o}: {found:?}") };
            assert!(why.contains("chmod"), "{why}");
            assert_eq!(root.inspect(), None);
        }
    }
}
