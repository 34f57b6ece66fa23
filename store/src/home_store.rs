//! The trait of a store: the homes of all users.

use crate::display::shown;
use crate::quota::{Comparison, QuotaLimits, UnreadableEntries};
use crate::{Cause, Ctx, Home, HomeUsage};
use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

/// Maximum number of threads that open homes at the same time. They mostly wait for the disk.
const MAX_OPENING_THREADS: usize = 16;

/// The homes of all users.
pub trait HomeStore: fmt::Debug + Send + Sync {
    /// What the store can do.
    fn capabilities(&self) -> Capabilities;

    /// Opens and recovers a home. It is served once [`PreparedHome::serve`] is called. This reads no tree: a store that has to
    /// count a home does so afterwards, in the background, as [`Home::counting`] says.
    ///
    /// # Errors
    /// If it cannot be served.
    fn prepare(&self, home: &HomeSettings) -> Result<PreparedHome, PrepareError>;

    /// Opens a served home for a channel. A home that is unavailable is tried again first.
    ///
    /// # Errors
    /// If it is unavailable, was replaced since it was prepared, or the user's budget is used up.
    fn open(&self, ctx: &Ctx, home: &HomeSettings) -> Result<Arc<dyn Home>, Cause>;

    /// Marks a home as unavailable, and logs the reason.
    fn set_unavailable(&self, home: &HomeSettings, error: &PrepareError);

    /// Tries again to prepare and serve a home that is unavailable.
    ///
    /// # Errors
    /// If it still is.
    fn retry(&self, home: &HomeSettings) -> Result<(), PrepareError>;

    /// Prepares a home again if it is unavailable or was replaced. Returns whether it did. The caller ends the sessions
    /// in the old one.
    ///
    /// # Errors
    /// If it cannot be served. The old one is then not served either.
    fn reopen(&self, home: &HomeSettings) -> Result<bool, PrepareError>;

    /// Stops serving a user's home. Open sessions keep it.
    fn remove(&self, user: &str);

    /// Sets how much a user's home may hold.
    fn set_limits(&self, user: &str, limits: QuotaLimits);

    /// The homes that are served, ordered by user, with what they hold.
    fn usages(&self) -> Vec<(String, HomeUsage)>;

    /// Inspects all homes. Returns those that cannot be used, ordered by user.
    fn problems(&self) -> Vec<HomeProblem>;

    /// Inspects one home. Returns why it cannot be used; `None` if it can.
    fn problem_of(&self, user: &str) -> Option<HomeProblem>;

    /// Finds directories in the homes that the server can no longer read. Reads a bounded number of entries of each home.
    fn inspect(&self);

    /// The directories that the last [inspection](HomeStore::inspect) could not read.
    fn unreadable(&self, user: &str) -> UnreadableEntries;

    /// The entries that the last count of a user's home could not read. Unless this is empty, nothing more is stored.
    fn uncounted(&self, user: &str) -> UnreadableEntries;

    /// Free bytes on the disk of a user's home; `None` if that is unknown or the home cannot be used.
    fn disk_free(&self, user: &str) -> Option<u64>;

    /// Counts what a user's home holds and corrects the accounting, unless it changes meanwhile or part of the home
    /// cannot be read. Takes as long as reading all directories of the home. Waits for a count in the background first.
    ///
    /// # Errors
    /// If the home cannot be read: its path and the reason, with the remedy.
    fn count(&self, user: &str) -> Result<Comparison, String>;

    /// Deletes partial uploads of files and of streams that are older than this. Returns their number.
    fn expire_partial_uploads(&self, files: Duration, streams: Duration) -> usize;
}

impl dyn HomeStore {
    /// Prepares and serves these homes, several at a time. A home that cannot be served is logged, and locks out its own
    /// user.
    ///
    /// # Errors
    /// [`PrepareError::Locked`] if no home can be served and another server holds one of them.
    pub fn serve(&self, homes: &[HomeSettings]) -> Result<(), PrepareError> {
        // Of several homes with one root the first is served, so their order matters.
        let mut by_root: BTreeMap<&Path, Vec<&HomeSettings>> = BTreeMap::new();
        for home in homes {
            by_root.entry(&home.root).or_default().push(home);
        }
        let roots: Vec<_> = by_root.into_values().collect();
        let (next, served, locked) = (AtomicUsize::new(0), AtomicBool::new(false), Mutex::new(None));
        let work = || {
            while let Some(homes) = roots.get(next.fetch_add(1, Relaxed)) {
                for home in homes {
                    match self.serve_one(home) {
                        Ok(()) => served.store(true, Relaxed),
                        Err(error @ PrepareError::Locked { .. }) => {
                            *locked.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
                        }
                        Err(_) => {}
                    }
                }
            }
        };
        thread::scope(|scope| {
            for _ in 1..MAX_OPENING_THREADS.min(roots.len()) {
                // If no further thread can be started, this one opens all homes.
                if thread::Builder::new().name("open-homes".to_owned()).spawn_scoped(scope, work).is_err() {
                    break;
                }
            }
            work();
        });
        match locked.into_inner().unwrap_or_else(PoisonError::into_inner) {
            Some(error) if !served.into_inner() => Err(error),
            _ => Ok(()),
        }
    }

    fn serve_one(&self, home: &HomeSettings) -> Result<(), PrepareError> {
        let prepared = self.prepare(home).inspect_err(|error| self.set_unavailable(home, error))?;
        prepared.serve();
        Ok(())
    }
}

/// What a store can do. The protocols answer accordingly.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capabilities {
    /// Existing files can be written at any offset without being replaced as a whole. Without it, every file that is opened
    /// to write or to truncate is staged, whether the caller asks for that or not, as
    /// [`FileHandle::publishes_at_close`](crate::FileHandle::publishes_at_close) says: clients that write at offsets still
    /// work, others see the change at the close, and of two that write one file the last to close wins.
    pub in_place_write: bool,
    /// Files can be opened to append. Without it, such an open fails with [`Cause::Unsupported`].
    pub append: bool,
    /// A file can have several names. Without it, [`Home::hard_link`] fails with [`Cause::Unsupported`].
    pub hard_links: bool,
    /// A removed file keeps its space while it is open. Without it, the space is free at once, and an open handle still
    /// reads the file to its end.
    pub open_files_count: bool,
}

impl Capabilities {
    /// All of them.
    pub const ALL: Capabilities =
        Capabilities { in_place_write: true, append: true, hard_links: true, open_files_count: true };
}

/// The settings of one user's home.
#[derive(Clone, Debug)]
pub struct HomeSettings {
    /// The user.
    pub user: String,
    /// An absolute path, its symbolic links resolved as far as it exists. For stores that keep homes in directories.
    pub root: PathBuf,
    /// Whether the store makes the root if it is missing.
    pub make_root: bool,
    /// Why `root` must not be a home, with the remedy; `None` if it may be one.
    pub unfit: Option<String>,
    /// Whether the user may change anything.
    pub writable: bool,
    /// How much the home may hold.
    pub limits: QuotaLimits,
}

/// A home that can be served.
pub struct PreparedHome(Box<dyn FnOnce() + Send>);

impl PreparedHome {
    /// `serve` serves the home, in place of the one that its user had.
    #[must_use]
    pub fn new(serve: impl FnOnce() + Send + 'static) -> PreparedHome {
        PreparedHome(Box::new(serve))
    }

    /// Serves it.
    pub fn serve(self) {
        (self.0)();
    }
}

impl fmt::Debug for PreparedHome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PreparedHome")
    }
}

/// A home that is not served: its user is locked out. Other users are unaffected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HomeProblem {
    /// The user.
    pub user: String,
    /// The path of the home.
    pub root: PathBuf,
    /// The reason, with the remedy, for the administrator.
    pub why: String,
}

/// Why a home cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum PrepareError {
    /// It cannot be created, opened or read.
    #[error("the home of {user}, {}: {why}", shown(root))]
    Home {
        /// The user.
        user: String,
        /// The path of the home.
        root: PathBuf,
        /// The reason, with the remedy.
        why: String,
    },
    /// Another process holds its lock.
    #[error(
        "the home of {user}, {}, is locked: another sshomed serves it, or this one for another user or for \
         sessions that are still open",
        shown(root)
    )]
    Locked {
        /// The user.
        user: String,
        /// The path of the home.
        root: PathBuf,
    },
    /// Another thread is opening it.
    #[error("the home of {0} is being opened: try again when that is done")]
    Opening(String),
}

impl PrepareError {
    /// The reason without user and path.
    #[must_use]
    pub fn reason(&self) -> String {
        match self {
            PrepareError::Home { why, .. } => why.clone(),
            other => other.to_string(),
        }
    }
}
