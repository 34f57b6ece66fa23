//! Whether the path of a home still leads to the directory that was opened.

use super::{Error, Result, file_id};
use crate::quota::FileId;
use rustix::fd::OwnedFd;
use rustix::io::Errno;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::Instant;

/// An answer of [`HomeRoot::check`] holds for so long, in milliseconds.
const FRESH: u64 = 1000;

/// The directory that was opened as a home's top, and the path that it was opened by. A home is worked in by
/// its handle: if its disk is unmounted or another directory takes its place, writes would go where nobody
/// looks for them.
#[derive(Debug)]
pub struct HomeRoot {
    user: String,
    path: PathBuf,
    id: FileId,
    opened: Instant,
    /// When it was last looked at, in milliseconds after it was opened.
    looked: AtomicU64,
    replaced: AtomicBool,
}

impl HomeRoot {
    /// That of a user, whose home was just opened by this path.
    pub(super) fn new(user: &str, path: &Path, top: &OwnedFd) -> Result<HomeRoot> {
        Ok(HomeRoot {
            user: user.to_owned(),
            path: path.to_owned(),
            id: file_id(&rustix::fs::fstat(top)?),
            opened: Instant::now(),
            looked: AtomicU64::new(0),
            replaced: AtomicBool::new(false),
        })
    }

    /// The path.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Refuses work in a directory that the path does not lead to any more. Looks at most once a second.
    ///
    /// # Errors
    /// [`Error::Replaced`].
    pub fn check(&self) -> Result<()> {
        let now = u64::try_from(self.opened.elapsed().as_millis()).unwrap_or(u64::MAX);
        if now.saturating_sub(self.looked.load(Relaxed)) >= FRESH {
            self.looked.store(now, Relaxed);
            return self.look().map_or(Ok(()), |_| Err(Error::Replaced));
        }
        if self.replaced.load(Relaxed) { Err(Error::Replaced) } else { Ok(()) }
    }

    /// Looks now. Says what was found in place of the directory; `None` if it is the same. What changed is
    /// logged.
    pub fn look(&self) -> Option<&'static str> {
        let found = match rustix::fs::stat(&self.path) {
            Ok(stat) if file_id(&stat) == self.id => None,
            Ok(stat) if stat.st_dev != self.id.device => {
                Some("its disk was unmounted, or another one was mounted there")
            }
            Ok(_) => Some("another directory has taken its place"),
            Err(Errno::NOENT | Errno::NOTDIR) => Some("it was removed or renamed"),
            // Nothing can be said of it: what was found before holds.
            Err(_) => return self.replaced.load(Relaxed).then_some("it cannot be looked at"),
        };
        let before = self.replaced.swap(found.is_some(), Relaxed);
        let (user, root) = (&self.user, self.path.display());
        match found {
            Some(why) if !before => tracing::error!(
                user,
                %root,
                why,
                "the home was replaced while the server runs: nothing more is written; put it back, or run \
                 `sshomed home reopen {user}`"
            ),
            None if before => tracing::info!(user, %root, "the home is back"),
            _ => {}
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::fs::{Mode, OFlags};
    use std::fs;

    #[test]
    fn a_directory_that_was_moved_replaced_or_put_back_is_noticed() {
        let dir = tempfile::tempdir().unwrap();
        let (home, away) = (dir.path().join("home"), dir.path().join("away"));
        fs::create_dir(&home).unwrap();
        let top = rustix::fs::open(&home, OFlags::RDONLY | OFlags::DIRECTORY, Mode::empty()).unwrap();
        let root = HomeRoot::new("ann", &home, &top).unwrap();
        assert_eq!((root.look(), root.check()), (None, Ok(())));
        fs::rename(&home, &away).unwrap();
        assert_eq!(root.look(), Some("it was removed or renamed"));
        assert_eq!(root.check(), Err(Error::Replaced));
        fs::create_dir(&home).unwrap();
        assert_eq!(root.look(), Some("another directory has taken its place"));
        fs::remove_dir(&home).unwrap();
        fs::rename(&away, &home).unwrap();
        assert_eq!((root.look(), root.check()), (None, Ok(())));
    }
}
