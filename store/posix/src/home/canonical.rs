//! Canonical paths, for logs and for REALPATH: without links, `.` and `..`.

use super::stat::stat_in;
use super::{Error, HomeHandle, Location, Result, file_id};
use rustix::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use rustix::fs::{Dir, FileType, Mode, OFlags};
use rustix::io::Errno;
use sshome_store::quota::FileId;
use sshome_wire::{MAX_PATH, RemotePath};
use std::time::{Duration, Instant};

/// The kernel's suffix for the path of a deleted directory.
const DELETED_SUFFIX: &[u8] = b" (deleted)";

/// Entries that one request reads while it searches parent directories for names.
const MAX_ENTRIES_SEARCHED: usize = 20_000;

/// Time that one request spends searching parent directories for names. A slow disk takes long for far fewer
/// entries than the limit, and a request cannot be cancelled.
const MAX_SEARCH_TIME: Duration = Duration::from_millis(100);

/// The remaining entries and the deadline of one search.
struct SearchLimit {
    entries_left: usize,
    deadline: Instant,
}

impl SearchLimit {
    fn new(time: Duration) -> SearchLimit {
        SearchLimit { entries_left: MAX_ENTRIES_SEARCHED, deadline: Instant::now() + time }
    }

    /// Counts one entry.
    ///
    /// # Errors
    /// `ENAMETOOLONG` once the entries or the time are used up.
    fn count_entry(&mut self) -> Result<()> {
        let left = self.entries_left.checked_sub(1).filter(|_| Instant::now() < self.deadline);
        self.entries_left = left.ok_or(Errno::NAMETOOLONG)?;
        Ok(())
    }
}

impl HomeHandle {
    /// The current canonical path of a location. Free if the location was resolved from a canonical path; otherwise it
    /// costs about one system call.
    ///
    /// # Errors
    /// `ENOENT` if its directory was removed, `ENAMETOOLONG` if the path does not fit into a [`RemotePath`].
    pub(crate) fn canonical(&self, location: &Location) -> Result<RemotePath> {
        let path = match location.path() {
            Some(path) => return Ok(path.clone()),
            None => self.path_of(location.dir())?.join(location.name()),
        };
        path.map_err(|_| Errno::NAMETOOLONG.into())
    }

    /// The canonical form of a path. Its last name need not exist, as in OpenSSH's server. For display: the kernel
    /// resolves a path again when it is used.
    ///
    /// # Errors
    /// `ENOENT` if a directory on the way is missing, `ELOOP` after 40 links.
    pub(crate) fn real_path(&self, path: &RemotePath) -> Result<RemotePath> {
        match self.locate_target(path) {
            Err(Error::IsDirectory) => {
                self.path_of(self.resolve(path.as_bytes(), OFlags::PATH | OFlags::DIRECTORY)?.as_fd())
            }
            located => self.canonical(&located?.0),
        }
    }

    /// The path of an open directory.
    ///
    /// # Errors
    /// `ENOENT` if it was removed, or moved out of the home.
    pub(super) fn path_of(&self, directory: BorrowedFd<'_>) -> Result<RemotePath> {
        match self.kernel_path(directory) {
            Some(path) => Ok(path),
            None => self.climb(directory, SearchLimit::new(MAX_SEARCH_TIME)),
        }
    }

    /// The path from the kernel, if it is below the home's. The home's path is read again as well: it may have been
    /// renamed.
    fn kernel_path(&self, directory: BorrowedFd<'_>) -> Option<RemotePath> {
        let (top, path) = (link_of(self.top.as_fd())?, link_of(directory)?);
        let below = path.strip_prefix(top.strip_suffix(b"/").unwrap_or(&top))?;
        if !below.is_empty() && !below.starts_with(b"/") {
            return None;
        }
        let path = RemotePath::root().join(if below.is_empty() { b"/" } else { below }).ok()?;
        if path.as_bytes().ends_with(DELETED_SUFFIX) {
            // An existing directory may have a name with this suffix.
            let there = self.resolve(path.as_bytes(), OFlags::PATH).ok()?;
            let (there, here) = (rustix::fs::fstat(there).ok()?, rustix::fs::fstat(directory).ok()?);
            return (file_id(&there) == file_id(&here)).then_some(path);
        }
        Some(path)
    }

    /// Searches each parent directory for the name of the directory below it.
    fn climb(&self, directory: BorrowedFd<'_>, mut limit: SearchLimit) -> Result<RemotePath> {
        let top = file_id(&rustix::fs::fstat(&self.top)?);
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let mut at = rustix::fs::openat(directory, c".", OFlags::PATH | flags, Mode::empty())?;
        let (mut names, mut length) = (Vec::new(), 0);
        loop {
            let id = file_id(&rustix::fs::fstat(&at)?);
            if id == top {
                break;
            }
            let above = rustix::fs::openat(&at, c"..", flags, Mode::empty())?;
            if file_id(&rustix::fs::fstat(&above)?) == id {
                return Err(Errno::NOENT.into());
            }
            let name = name_of(&above, id, &mut limit)?;
            length += name.len() + 1;
            names.push(name);
            at = above;
            if length > MAX_PATH {
                return Err(Errno::NAMETOOLONG.into());
            }
        }
        names.reverse();
        let path = RemotePath::root().join(&[b"/", &names.join(&b'/')[..]].concat());
        path.map_err(|_| Errno::NAMETOOLONG.into())
    }
}

/// The name of a directory in its parent.
fn name_of(above: &OwnedFd, id: FileId, limit: &mut SearchLimit) -> Result<Vec<u8>> {
    for entry in Dir::read_from(above)? {
        let entry = entry?;
        limit.count_entry()?;
        let name = entry.file_name().to_bytes();
        let may_be = matches!(entry.file_type(), FileType::Directory | FileType::Unknown);
        if may_be
            && name != b"."
            && name != b".."
            && stat_in(above, name).is_ok_and(|stat| file_id(&stat) == id)
        {
            return Ok(name.to_vec());
        }
    }
    Err(Errno::NOENT.into())
}

/// The path of an open directory from `/proc`.
fn link_of(handle: BorrowedFd<'_>) -> Option<Vec<u8>> {
    let link = format!("/proc/self/fd/{}", handle.as_raw_fd());
    Some(rustix::fs::readlink(link, Vec::new()).ok()?.into_bytes())
}

#[cfg(test)]
mod tests {
    use super::super::HomeRoot;
    use super::super::descriptors::{Descriptors, UserDescriptors};
    use super::super::filesystem::Filesystem;
    use super::super::shared::SharedHome;
    use super::*;
    use sshome_store::quota::{Amount, Ledger, QuotaLimits, UnreadableEntries};
    use std::os::unix::fs::symlink;
    use std::path::{Path, PathBuf};
    use std::sync::Arc;

    fn open(path: &Path) -> OwnedFd {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        rustix::fs::open(path, flags, Mode::empty()).unwrap()
    }

    /// A home below a folder, with `a/real` and a link to it.
    fn home(folder: &Path) -> (HomeHandle, PathBuf) {
        let top = folder.join("home");
        std::fs::create_dir_all(top.join("a/real")).unwrap();
        symlink("a/real", top.join("link")).unwrap();
        let root = HomeRoot::new("ann", &top, &open(&top)).unwrap();
        let filesystem = Arc::new(Filesystem::of(open(&top)));
        let descriptors = UserDescriptors::new(Arc::new(Descriptors::default()));
        let ledger = Ledger::new(QuotaLimits::default(), Amount::default(), UnreadableEntries::default());
        let shared = SharedHome::new(open(&top), root, Arc::new(ledger), filesystem, descriptors);
        (HomeHandle::open(false, Arc::new(shared)).unwrap(), top)
    }

    fn no_hurry() -> SearchLimit {
        SearchLimit::new(Duration::from_secs(600))
    }

    fn path(path: &str) -> RemotePath {
        RemotePath::root().join(path.as_bytes()).unwrap()
    }

    fn canonical(home: &HomeHandle, spelled: &str) -> String {
        let location = home.locate_target(&path(spelled)).unwrap().0;
        home.canonical(&location).unwrap().to_string()
    }

    #[test]
    fn all_spellings_of_a_path_have_one_identity_and_one_canonical_path() {
        let folder = tempfile::tempdir().unwrap();
        let (home, top) = home(folder.path());
        symlink("link/../new", top.join("dangling")).unwrap();
        let identity = |spelled: &str| home.locate_target(&path(spelled)).unwrap().0.identity().unwrap();
        for spelled in ["a/new", "a//./new", "link/../new", "a/real/../new", "dangling", "../a/new"] {
            assert_eq!(canonical(&home, spelled), "/a/new", "{spelled}");
            assert_eq!(identity(spelled), identity("a/new"), "{spelled}");
        }
        assert_ne!(identity("new"), identity("a/new"));
        assert_eq!(canonical(&home, "link/new"), "/a/real/new");
        // Renaming a directory does not change the identity of what is in it.
        let before = home.locate(&path("link/../new")).unwrap();
        std::fs::rename(top.join("a"), top.join("b")).unwrap();
        assert_eq!(before.identity().unwrap(), identity("b/new"));
        assert_eq!(home.canonical(&before).unwrap(), path("b/new"));
    }

    #[test]
    fn renaming_the_home_does_not_change_the_paths_in_it() {
        let folder = tempfile::tempdir().unwrap();
        let (home, top) = home(folder.path());
        std::fs::rename(&top, folder.path().join("elsewhere")).unwrap();
        assert_eq!(canonical(&home, "link/../new"), "/a/new");
        assert_eq!(home.real_path(&path("link")).unwrap(), path("a/real"));
        assert_eq!(home.real_path(&path("link/../..")).unwrap(), RemotePath::root());
    }

    #[test]
    fn a_removed_directory_has_no_path() {
        let folder = tempfile::tempdir().unwrap();
        let (home, top) = home(folder.path());
        let gone = home.locate(&path("link/new")).unwrap();
        std::fs::remove_dir(top.join("a/real")).unwrap();
        assert_eq!(home.canonical(&gone), Err(Errno::NOENT.into()));
        // An existing directory can have the name that the kernel reports for a removed one.
        std::fs::create_dir(top.join("a/real (deleted)")).unwrap();
        assert_eq!(home.canonical(&gone), Err(Errno::NOENT.into()));
        assert_eq!(canonical(&home, "a/../a/real (deleted)/x"), "/a/real (deleted)/x");
    }

    #[test]
    fn parent_directories_are_searched_if_the_kernel_reports_no_path() {
        let folder = tempfile::tempdir().unwrap();
        let (home, top) = home(folder.path());
        std::fs::create_dir(top.join("a/beside")).unwrap();
        for (folder, wanted) in [("a/real", "a/real"), ("a", "a"), ("", "/")] {
            let found = home.climb(open(&top.join(folder)).as_fd(), no_hurry()).unwrap();
            assert_eq!(found, path(wanted));
        }
        // A directory outside the home has no path.
        assert_eq!(home.climb(open(folder.path()).as_fd(), no_hurry()), Err(Errno::NOENT.into()));
        assert_eq!(home.path_of(open(folder.path()).as_fd()), Err(Errno::NOENT.into()));
    }

    #[test]
    fn a_search_for_names_is_limited_in_time_and_entries() {
        let folder = tempfile::tempdir().unwrap();
        let (home, top) = home(folder.path());
        let real = open(&top.join("a/real"));
        let search = |limit| home.climb(real.as_fd(), limit);
        assert_eq!(search(no_hurry()).unwrap(), path("a/real"));
        assert_eq!(search(SearchLimit::new(Duration::ZERO)), Err(Errno::NAMETOOLONG.into()));
        let one_entry = SearchLimit { entries_left: 1, ..no_hurry() };
        assert_eq!(search(one_entry), Err(Errno::NAMETOOLONG.into()));
    }

    #[test]
    fn as_many_links_are_followed_as_by_the_kernel() {
        let folder = tempfile::tempdir().unwrap();
        let (home, top) = home(folder.path());
        for (count, wanted) in
            [(1, Ok(path("a/real"))), (40, Ok(path("a/real"))), (41, Err(Errno::LOOP.into()))]
        {
            let mut target = "a/real".to_owned();
            for number in 0..count {
                let link = format!("{count}-{number}");
                symlink(&target, top.join(&link)).unwrap();
                target = link;
            }
            assert_eq!(home.real_path(&path(&target)), wanted, "{count} links");
            let kernel = home.resolve(target.as_bytes(), OFlags::PATH);
            assert_eq!(kernel.is_ok(), wanted.is_ok(), "{count} links");
        }
    }

    #[test]
    fn the_link_limit_applies_to_the_whole_path() {
        let folder = tempfile::tempdir().unwrap();
        let (home, top) = home(folder.path());
        let mut target = "a/real".to_owned();
        for number in 0..41 {
            symlink(&target, top.join(format!("l{number}"))).unwrap();
            target = format!("l{number}/../../l{number}");
        }
        // Each link leads through the previous one twice.
        assert_eq!(home.real_path(&path("l4")).unwrap(), path("a/real"));
        for (spelled, wanted) in [("l40", Errno::LOOP), ("l40/x", Errno::LOOP)] {
            assert_eq!(home.real_path(&path(spelled)), Err(wanted.into()), "{spelled}");
        }
    }
}
