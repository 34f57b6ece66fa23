//! All homes that a server serves.

use super::access::reason;
use super::counting::{CountQueue, HomeCount};
use super::descriptors::{Descriptors, UserDescriptors};
use super::prepare::{OpeningGuard, OpeningUsers, make_and_open};
use super::shared::SharedHome;
use super::{
    CountObserver, CountPhase, Error, HomeHandle, HomeRoot, PartialUpload, Result, RootProblem,
    filesystem::Filesystem,
    scan::{ScanTarget, scan},
    settings::required_access,
};
use crate::permission::READ_FOLDER;
use rustix::fd::OwnedFd;
use rustix::fs::{FlockOperation, Mode, OFlags};
use rustix::io::Errno;
use sshome_store::quota::{Amount, Comparison, Ledger, UnreadableEntries};
use sshome_store::{HomeProblem, HomeSettings, PrepareError, shown};
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard, Weak};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The homes of all users.
#[derive(Debug, Default)]
pub(crate) struct Homes {
    /// By user.
    homes: RwLock<BTreeMap<String, HomeState>>,
    /// One thread at a time opens a home: its file lock belongs to the process.
    opening: OpeningUsers,
    /// By device.
    filesystems: Mutex<HashMap<u64, Weak<Filesystem>>>,
    descriptors: Arc<Descriptors>,
    counts: Arc<CountQueue>,
    /// Whether the homes are folders that are shared where they are: a read-only one is neither locked, recovered nor
    /// counted.
    shares_folders: bool,
}

/// Whether a home is served.
#[derive(Debug)]
enum HomeState {
    Served(Arc<SharedHome>),
    Unavailable(HomeProblem),
}

/// A home that can be served: opened, locked and recovered. It is counted once it is served.
#[derive(Debug)]
pub(crate) struct OpenedHome {
    shared: Arc<SharedHome>,
    /// `None` if it is not to be counted.
    count: Option<HomeCount>,
}

impl Drop for Homes {
    fn drop(&mut self) {
        self.counts.stop();
    }
}

impl Homes {
    /// Homes that report their counts to an observer.
    pub(crate) fn observed(observer: Box<CountObserver>) -> Homes {
        let mut homes = Homes::default();
        homes.counts = Arc::new(CountQueue::observed(observer));
        homes
    }

    /// Homes that are folders of other programs: see [`PosixStore::for_shared_folders`](crate::PosixStore::for_shared_folders).
    pub(crate) fn for_shared_folders() -> Homes {
        let mut homes = Homes::default();
        homes.shares_folders = true;
        homes
    }

    /// Opens, locks and recovers a home. [`Homes::add`] serves it.
    ///
    /// # Errors
    /// If it cannot be served.
    pub(crate) fn prepare_one(
        &self,
        settings: &HomeSettings,
    ) -> std::result::Result<OpenedHome, PrepareError> {
        let _opening = OpeningGuard::begin(&self.opening, &settings.user)?;
        let failed = |error| PrepareError::Home {
            user: settings.user.clone(),
            root: settings.root.clone(),
            why: reason(&settings.root, required_access(settings), error),
        };
        if let Some(why) = &settings.unfit {
            let (user, root) = (settings.user.clone(), settings.root.clone());
            return Err(PrepareError::Home { user, root, why: why.clone() });
        }
        let top = make_and_open(settings).map_err(failed)?;
        if std::fs::canonicalize(&settings.root).is_ok_and(|real| real != settings.root) {
            let why = "a symbolic link leads elsewhere since the settings were read: run `sshomed reload`";
            let (user, root) = (settings.user.clone(), settings.root.clone());
            return Err(PrepareError::Home { user, root, why: why.to_owned() });
        }
        let is_own = settings.writable || !self.shares_folders;
        if is_own {
            lock(&top, settings)?.map_err(failed)?;
        }
        let ledger = match is_own {
            true => Ledger::uncounted(settings.limits),
            false => Ledger::new(settings.limits, Amount::default(), UnreadableEntries::default()),
        };
        let ledger = Arc::new(ledger);
        let to_count = is_own.then(|| reopen(&top)).transpose().map_err(failed)?;
        let filesystem = self.filesystem_of(&top).map_err(failed)?;
        let root = HomeRoot::new(&settings.user, &settings.root, &top).map_err(failed)?;
        let descriptors = UserDescriptors::new(Arc::clone(&self.descriptors));
        let shared = Arc::new(SharedHome::new(top, root, ledger, filesystem, descriptors));
        let home = HomeHandle::open(settings.writable, Arc::clone(&shared)).map_err(failed)?;
        if is_own {
            home.recover().map_err(failed)?;
        }
        let count = to_count.map(|top| HomeCount {
            user: settings.user.clone(),
            root: settings.root.clone(),
            top,
            device: shared.root.device(),
            ledger: Arc::downgrade(&shared.ledger),
            namespace: Arc::downgrade(&shared.namespace),
        });
        Ok(OpenedHome { shared, count })
    }

    /// Marks a user's home as unavailable, and logs the reason.
    pub(crate) fn set_unavailable(&self, settings: &HomeSettings, error: &PrepareError) {
        let (user, root, why) = (settings.user.clone(), settings.root.clone(), error.reason());
        let home = HomeProblem { user, root, why };
        let mut states = self.states_mut();
        if !matches!(states.get(&home.user), Some(HomeState::Unavailable(before)) if *before == home) {
            let HomeProblem { user, root, why } = &home;
            tracing::error!(user, root = %shown(root), why, "home unavailable: its user is locked out");
        }
        states.insert(home.user.clone(), HomeState::Unavailable(home));
    }

    /// Tries again to open a home that is unavailable.
    ///
    /// # Errors
    /// If it is still unavailable.
    pub(crate) fn retry(&self, settings: &HomeSettings) -> std::result::Result<(), PrepareError> {
        let waits = |states: &BTreeMap<String, HomeState>| matches!(states.get(&settings.user), Some(HomeState::Unavailable(home)) if home.root == settings.root);
        if !waits(&self.states()) {
            return Ok(());
        }
        match self.prepare_one(settings) {
            Ok(prepared) => {
                let mut states = self.states_mut();
                // A reload may have removed the user meanwhile, or changed the root.
                if waits(&states) {
                    tracing::info!(user = settings.user, "the home is available again");
                    self.insert(&mut states, prepared);
                }
                Ok(())
            }
            Err(error) => {
                if waits(&self.states()) && !matches!(error, PrepareError::Opening(_)) {
                    self.set_unavailable(settings, &error);
                }
                Err(error)
            }
        }
    }

    /// Reopens a home by its path if it is unavailable or was replaced. Returns whether it was reopened. The caller
    /// ends the sessions in the old one.
    ///
    /// # Errors
    /// If it cannot be served. The old one is then not served either.
    pub(crate) fn reopen(&self, settings: &HomeSettings) -> std::result::Result<bool, PrepareError> {
        match self.shared(&settings.user) {
            None => self.retry(settings).map(|()| true),
            Some(shared) if !matches!(shared.root.inspect(), Some(RootProblem::Replaced(_))) => Ok(false),
            Some(_) => {
                let prepared = self.prepare_one(settings);
                self.add(prepared.inspect_err(|error| self.set_unavailable(settings, error))?);
                Ok(true)
            }
        }
    }

    /// Inspects the roots of all homes. Returns those that cannot be used or were replaced, ordered by user.
    #[must_use]
    pub(crate) fn problems(&self) -> Vec<HomeProblem> {
        let users: Vec<_> = self.states().keys().cloned().collect();
        users.iter().filter_map(|user| self.problem_of(user)).collect()
    }

    /// Inspects the root of one home. Returns why it cannot be used; `None` if it can.
    #[must_use]
    pub(crate) fn problem_of(&self, user: &str) -> Option<HomeProblem> {
        let root = match self.states().get(user)? {
            HomeState::Unavailable(home) => return Some(home.clone()),
            HomeState::Served(shared) => Arc::clone(&shared.root),
        };
        // stat(2) may hang, as on NFS: no lock is held.
        let problem = root.inspect()?;
        Some(HomeProblem { root: root.path().to_owned(), why: problem.explain(user), user: user.to_owned() })
    }

    /// Finds directories in the homes that the server can no longer read. Reads a bounded number of entries of each
    /// home.
    pub(crate) fn inspect(&self) {
        let all_shared: Vec<_> = self.states().values().filter_map(HomeState::shared).collect();
        all_shared
            .iter()
            .filter(|shared| shared.root.inspect().is_none())
            .for_each(|shared| shared.inspect());
    }

    /// The directories that the last [inspection](Homes::inspect) could not read.
    #[must_use]
    pub(crate) fn unreadable(&self, user: &str) -> UnreadableEntries {
        self.shared(user).map_or_else(UnreadableEntries::default, |shared| shared.unreadable().clone())
    }

    fn filesystem_of(&self, top: &OwnedFd) -> Result<Arc<Filesystem>> {
        let device = rustix::fs::fstat(top)?.st_dev;
        let mut filesystems = self.filesystems.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(filesystem) = filesystems.get(&device).and_then(Weak::upgrade) {
            return Ok(filesystem);
        }
        // A duplicated descriptor would share the home's lock and outlive the home.
        let filesystem = Arc::new(Filesystem::of(reopen(top)?));
        filesystems.insert(device, Arc::downgrade(&filesystem));
        Ok(filesystem)
    }

    /// Serves a home, in place of the one that its user had.
    pub(crate) fn add(&self, prepared: OpenedHome) {
        self.insert(&mut self.states_mut(), prepared);
    }

    fn insert(&self, states: &mut BTreeMap<String, HomeState>, OpenedHome { shared, count }: OpenedHome) {
        states.insert(shared.root.user().to_owned(), HomeState::Served(shared));
        if let Some(count) = count {
            self.counts.add(count);
        }
    }

    /// Stops serving a user's home. It stays locked until its last session ends.
    pub(crate) fn remove(&self, user: &str) {
        self.states_mut().remove(user);
    }

    /// Opens the home of a user who has logged in. Retries an unavailable one first.
    ///
    /// # Errors
    /// If it is unavailable, was replaced since it was opened, or the user's descriptor budget is used up.
    pub(crate) fn open(&self, settings: &HomeSettings) -> Result<HomeHandle> {
        let shared = match self.shared(&settings.user) {
            Some(shared) => shared,
            // `retry` logs the reason.
            None if self.retry(settings).is_err() => return Err(Error::Unavailable),
            None => self.shared(&settings.user).ok_or(Error::Unavailable)?,
        };
        self.counts.prefer(&settings.user);
        match shared.root.inspect() {
            None => HomeHandle::open_for_user(settings.writable, shared),
            Some(RootProblem::Replaced(_)) => Err(Error::Replaced),
            Some(RootProblem::Inaccessible(_)) => Err(Error::Unavailable),
        }
    }

    /// The ledger of a served home.
    #[must_use]
    pub(crate) fn ledger(&self, user: &str) -> Option<Arc<Ledger>> {
        self.shared(user).map(|shared| Arc::clone(&shared.ledger))
    }

    /// The ledgers of all served homes, ordered by user.
    #[must_use]
    pub(crate) fn ledgers(&self) -> Vec<(String, Arc<Ledger>)> {
        let states = self.states();
        let ledger =
            |(user, state): (&String, &HomeState)| Some((user.clone(), Arc::clone(&state.shared()?.ledger)));
        states.iter().filter_map(ledger).collect()
    }

    /// Free bytes on the disk of a user's home; `None` if that is unknown or the home cannot be used.
    #[must_use]
    pub(crate) fn disk_free(&self, user: &str) -> Option<u64> {
        let shared = self.shared(user).filter(|shared| shared.root.inspect().is_none())?;
        let disk = rustix::fs::fstatvfs(&shared.top).ok()?;
        Some(disk.f_bavail.saturating_mul(disk.f_frsize))
    }

    /// Counts what a user's home holds and corrects its ledger, unless the ledger changes meanwhile or part of the home
    /// cannot be read. Takes as long as reading all directories of the home. Waits for the count in the background first.
    ///
    /// # Errors
    /// If the home cannot be read: its path and the reason, with the remedy.
    pub(crate) fn count(&self, user: &str) -> std::result::Result<Comparison, String> {
        let shared = self.shared(user).ok_or("it is not served any more")?;
        if let Some(counting) = shared.ledger.counting() {
            self.counts.prefer(user);
            counting.end.block();
        }
        let root = Arc::clone(&shared.root);
        let counted = self.count_shared(shared);
        counted
            .map_err(|error| format!("{}: {}", shown(root.path()), reason(root.path(), READ_FOLDER, error)))
    }

    fn count_shared(&self, shared: Arc<SharedHome>) -> Result<Comparison> {
        let home = HomeHandle::open(false, shared)?;
        let ledger = home.ledger();
        let begun = {
            let _lock = home.lock_namespace();
            ledger.begin_count()
        };
        let root = home.root();
        self.counts.observe(root.user(), CountPhase::Begins);
        let target = ScanTarget { user: root.user(), root: root.path(), wants: |file| begun.wants(file) };
        let found = scan(&target, reopen(&home.top)?, |_| true)?.unwrap_or_default();
        self.counts.observe(root.user(), CountPhase::Scanned);
        let _lock = home.lock_namespace();
        ledger.end_count(&begun, found, || home.staged_bytes())
    }

    /// Deletes partial uploads of files and of streams that are older than this. Returns their number.
    pub(crate) fn expire_partial_uploads(&self, files: Duration, streams: Duration) -> usize {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let oldest = |age| i64::try_from(now.saturating_sub(age).as_secs()).unwrap_or(i64::MAX);
        let (file, stream) = (oldest(files), oldest(streams));
        let expired = |partial: &PartialUpload| {
            let oldest = if partial.file.is_stream() { stream } else { file };
            partial.file.since.seconds < oldest
        };
        let all_shared: Vec<_> = self.states().values().filter_map(HomeState::shared).collect();
        let homes = all_shared.into_iter().filter_map(|shared| HomeHandle::open(false, shared).ok());
        homes.map(|home| home.discard(expired)).sum()
    }

    /// Deletes all partial uploads, and the staging folders that are empty then. No session may be open.
    pub(crate) fn remove_staging(&self) {
        let all_shared: Vec<_> = self.states().values().filter_map(HomeState::shared).collect();
        let homes = all_shared.into_iter().filter_map(|shared| HomeHandle::open(false, shared).ok());
        homes.for_each(|home| home.remove_staging());
    }

    fn shared(&self, user: &str) -> Option<Arc<SharedHome>> {
        self.states().get(user).and_then(HomeState::shared)
    }

    fn states(&self) -> RwLockReadGuard<'_, BTreeMap<String, HomeState>> {
        self.homes.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn states_mut(&self) -> RwLockWriteGuard<'_, BTreeMap<String, HomeState>> {
        self.homes.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl HomeState {
    fn shared(&self) -> Option<Arc<SharedHome>> {
        match self {
            HomeState::Served(shared) => Some(Arc::clone(shared)),
            HomeState::Unavailable(_) => None,
        }
    }
}

/// Keeps other servers from serving a home, as long as the handle is open.
fn lock(top: &OwnedFd, settings: &HomeSettings) -> std::result::Result<Result<()>, PrepareError> {
    match rustix::fs::flock(top, FlockOperation::NonBlockingLockExclusive) {
        Err(Errno::WOULDBLOCK) => {
            Err(PrepareError::Locked { user: settings.user.clone(), root: settings.root.clone() })
        }
        locked => Ok(locked.map_err(Error::from)),
    }
}

/// A second handle to the same directory, with its own read position.
pub(super) fn reopen(top: &OwnedFd) -> Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    Ok(rustix::fs::openat(top, c".", flags, Mode::empty())?)
}
