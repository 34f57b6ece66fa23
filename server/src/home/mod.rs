//! A user's files. Only this module touches them.
//!
//! Everything goes through a directory handle that is opened at login, with the semantics of a
//! chroot: `..` at the top stays there, the target of an absolute link starts at the top, and
//! nothing leads out. The kernel does that in one call (`openat2` with `RESOLVE_IN_ROOT` and
//! `RESOLVE_NO_MAGICLINKS`), also when someone swaps a directory for a link meanwhile. Checks of
//! path strings do not stand for it, and there are none, but for the staging folder's name.

mod acl;
mod canonical;
mod descriptors;
mod directory;
mod entry;
mod filling;
mod homes;
mod inherit;
mod inspection;
mod listing;
mod names;
mod prepare;
mod resolve;
mod root;
mod scan;
mod set_group;
mod shelf;
mod staging;
mod stamp;
mod streams;
mod sync;
mod tree;

pub use descriptors::{DescriptorPermit, Exhausted};
pub use entry::{Entry, permissions};
pub use filling::{Filling, finish_directory, open_to_owner};
pub use homes::{Homes, Prepared, limits};
pub use inherit::{Permissions, umask};
pub use listing::{Attributes, DirectoryReader};
pub use prepare::{PrepareError, Unavailable, examine_home};
pub use resolve::{EntryId, Location, regular};
pub use root::{HomeRoot, RootProblem};
pub use shelf::{Kept, Shelf};
pub use staging::{Left, Record, STAGING, Source, Staged};
pub use stamp::Stamp;
pub use streams::{Claim, Streams};
pub use sync::Mark;
pub use tree::{TREE_DESCRIPTORS, Tree, TreeItem};

use descriptors::UserDescriptors;
use directory::{DefaultAclCache, MountId};

use crate::quota::{FileId, Replaced, Unreadable};
use rustix::fd::OwnedFd;
use rustix::fs::{Mode, OFlags, Stat, StatVfs};
use rustix::io::Errno;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::Semaphore;

/// Why the disk did not do what was asked of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The path names the folder that transfers are staged in.
    #[error("this name is kept for the server")]
    Reserved,
    /// The home itself cannot be removed, renamed or replaced.
    #[error("this is the home itself")]
    Top,
    /// A path that ends in `.` or `..` has no name there that could be removed, renamed or replaced.
    #[error("what ends in . or .. is not removed, renamed or replaced; use the directory's name")]
    Dot,
    /// A directory is where a file is needed.
    #[error("it is a directory")]
    IsDirectory,
    /// A directory of a tree was moved elsewhere while the tree was walked.
    #[error("it was moved while its tree was read; try again")]
    Moved,
    /// A socket, a pipe or a device.
    #[error("it is not a regular file")]
    Special,
    /// The home could not be opened; the server tries again at each login and every minute.
    #[error("your home is unavailable: the administrator has to look at it, the server's log says why")]
    Unavailable,
    /// Its path leads to another directory than the one that was opened.
    #[error(
        "your home was replaced or unmounted on the server: nothing more is written; \
         tell the administrator, the server's log says which"
    )]
    Replaced,
    /// The user has no descriptors left.
    #[error(transparent)]
    Descriptors(#[from] Exhausted),
    /// The kernel refused.
    #[error("{}", std::io::Error::from(*.0))]
    Os(#[from] Errno),
}

/// What the module's functions return.
pub type Result<T> = std::result::Result<T, Error>;

/// What a channel holds: the home's top, its staging folder, and two for the request that it is at.
const CHANNEL_DESCRIPTORS: usize = 4;

/// The handle to one user's files, opened for one login.
#[derive(Debug)]
pub struct Home {
    top: OwnedFd,
    staging: Option<staging::Area>,
    place: Arc<Place>,
    default_acls: DefaultAclCache,
    /// For a channel; none for the server's own work.
    _descriptors: Option<DescriptorPermit>,
}

/// What all sessions in one home share.
#[derive(Debug)]
struct Place {
    /// The home's top, locked for as long as the server runs, so that no second one books it.
    top: OwnedFd,
    root: Arc<HomeRoot>,
    names: Mutex<()>,
    shelf: Arc<Shelf>,
    streams: Arc<Streams>,
    disk: Arc<sync::Disk>,
    turns: Arc<Semaphore>,
    descriptors: Arc<UserDescriptors>,
    /// What the last inspection found.
    unreadable: Mutex<Unreadable>,
}

/// How much of one user's work may run at a time.
const TURNS: usize = 16;

impl Place {
    fn new(top: OwnedFd, root: HomeRoot, disk: Arc<sync::Disk>, descriptors: Arc<UserDescriptors>) -> Place {
        let turns = Arc::new(Semaphore::new(TURNS));
        let (names, shelf, streams) = (Mutex::default(), Arc::default(), Arc::default());
        let (root, unreadable) = (Arc::new(root), Mutex::default());
        Place { top, root, names, shelf, streams, disk, turns, descriptors, unreadable }
    }
}

/// Holds every other change of names in this home off; see [`Home::lock_names`].
#[derive(Debug)]
pub struct Names<'a>(#[allow(dead_code)] MutexGuard<'a, ()>);

impl Home {
    /// Opens a home. `writable` makes the staging folder if it is missing.
    fn open(writable: bool, place: Arc<Place>) -> Result<Home> {
        // Not by its path: if the disk is unmounted, the folder below is another home.
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let top = rustix::fs::openat(&place.top, c".", flags, Mode::empty())?;
        let staging = staging::Area::open(&top, writable)?;
        Ok(Home { top, staging, place, default_acls: DefaultAclCache::default(), _descriptors: None })
    }

    /// The same for a channel of the user's.
    fn open_for_user(writable: bool, place: Arc<Place>) -> Result<Home> {
        let permit = place.descriptors.take(CHANNEL_DESCRIPTORS)?;
        Ok(Home { _descriptors: Some(permit), ..Home::open(writable, place)? })
    }

    /// To be held with so many descriptors that stay open beyond one call.
    ///
    /// # Errors
    /// If the user has as many as one may have.
    pub fn descriptors(&self, count: usize) -> Result<DescriptorPermit> {
        Ok(self.place.descriptors.take(count)?)
    }

    /// Whether the user has used up half of the descriptors that one may have: what is held to be dealt with
    /// together should be dealt with now.
    #[must_use]
    pub fn descriptors_are_scarce(&self) -> bool {
        self.place.descriptors.are_scarce()
    }

    /// Keeps all other sessions from changing names in this home, so that what a name stands for
    /// can be looked at, booked and changed as one. To be held for moments only.
    #[must_use]
    pub fn lock_names(&self) -> Names<'_> {
        Names(self.place.names.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// To be acquired around work in this home: it has its share of the threads, and no more.
    #[must_use]
    pub fn turns(&self) -> Arc<Semaphore> {
        Arc::clone(&self.place.turns)
    }

    /// Whether the home's path still leads to it: to be asked before a change.
    #[must_use]
    pub fn root(&self) -> &Arc<HomeRoot> {
        &self.place.root
    }

    /// The streams that sessions in this home are at work on.
    #[must_use]
    pub fn streams(&self) -> &Arc<Streams> {
        &self.place.streams
    }

    /// Puts everything on the disk that was written since the mark. Callers at the same time share one
    /// run.
    ///
    /// # Errors
    /// If the disk reports that something could not be written, be it somebody else's.
    pub fn sync(&self, since: Mark) -> Result<()> {
        Ok(self.place.disk.sync(since)?)
    }

    /// To be noted before the first write of what [`Home::sync`] is to put on the disk.
    #[must_use]
    pub fn mark(&self) -> Mark {
        self.place.disk.mark()
    }

    /// Free bytes on the home's disk for this process.
    ///
    /// # Errors
    /// If the kernel does not tell.
    pub fn disk_free(&self) -> Result<u64> {
        let disk = self.disk()?;
        Ok(disk.f_bavail.saturating_mul(disk.f_frsize))
    }

    /// What the kernel tells of the home's disk.
    ///
    /// # Errors
    /// If it does not tell.
    pub fn disk(&self) -> Result<StatVfs> {
        Ok(rustix::fs::fstatvfs(&self.top)?)
    }

    /// Whether what is staged can get a name there: a rename does not leave its mount. Where nothing can be
    /// staged, nothing is in the way.
    ///
    /// # Errors
    /// If the kernel does not tell.
    pub fn shares_mount(&self, target: &Location) -> Result<bool> {
        match &self.staging {
            Some(area) => Ok(area.mount() == target.dir_info()?.mount),
            None => Ok(true),
        }
    }

    /// Whether staged files are created with an access control list, which the staging folder has from the
    /// home's default one.
    fn stages_with_acl(&self) -> bool {
        self.staging.as_ref().is_some_and(staging::Area::has_default_acl)
    }

    /// To be called when a batch of uploads is complete: what was read once for all of them may change before
    /// the next.
    pub fn end_batch(&self) {
        self.default_acls.clear();
    }

    fn is_staging(&self, id: FileId) -> bool {
        self.staging.as_ref().is_some_and(|area| area.id() == id)
    }
}

/// Which file a stat is of.
#[must_use]
pub fn file_id(stat: &Stat) -> FileId {
    FileId { device: stat.st_dev, inode: stat.st_ino }
}

/// The bytes and entries that go when one name of what `stat` tells of is removed: a file with
/// other names keeps its bytes.
#[must_use]
pub fn freed_bytes(stat: &Stat) -> u64 {
    let file = rustix::fs::FileType::from_raw_mode(stat.st_mode) == rustix::fs::FileType::RegularFile;
    if file && stat.st_nlink <= 1 { length(stat) } else { 0 }
}

/// What replacing the file that `stat` tells of frees.
#[must_use]
pub fn replaced_file(stat: &Stat) -> Replaced {
    Replaced { file: file_id(stat), bytes: freed_bytes(stat) }
}

/// A stat's length in bytes.
#[must_use]
pub fn length(stat: &Stat) -> u64 {
    u64::try_from(stat.st_size).unwrap_or(0)
}
