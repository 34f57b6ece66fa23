//! All homes of a server.

use super::access::reason;
use super::descriptors::{Descriptors, UserDescriptors};
use super::prepare::{OpeningGuard, OpeningUsers, make_and_open};
use super::shared::{MAX_CONCURRENT_SLICES, SharedHome};
use super::{
    Error, Home, HomeProblem, HomeRoot, HomeSettings, PartialUpload, PrepareError, Result, RootProblem,
    filesystem::Filesystem, replaced_file, scan::scan,
};
use crate::display::shown;
use crate::permission::READ;
use crate::quota::{Comparison, Ledger, Ledgers, ScanResult, UnreadableEntries};
use rustix::fd::OwnedFd;
use rustix::fs::{FlockOperation, Mode, OFlags};
use rustix::io::Errno;
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard, Weak};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The homes of all users. This is the seam behind which they could lie on another kind of store.
#[derive(Debug, Default)]
pub struct Homes {
    /// By user.
    homes: RwLock<BTreeMap<String, HomeState>>,
    /// Users whose homes are being opened: by one thread each, since the lock on a home is the process's.
    opening: OpeningUsers,
    /// By device.
    filesystems: Mutex<HashMap<u64, Weak<Filesystem>>>,
    descriptors: Arc<Descriptors>,
}

/// What became of a home.
#[derive(Debug)]
enum HomeState {
    Served(Arc<SharedHome>),
    Unavailable(HomeProblem),
}

/// A home that can be served: opened, locked and counted.
#[derive(Debug)]
pub struct PreparedHome {
    user: String,
    shared: Arc<SharedHome>,
    ledger: Arc<Ledger>,
}

impl Homes {
    /// Makes the homes that are missing and may be made, opens the books with a scan, and sorts what
    /// an ended server has left in their staging folders. Takes as long as reading all homes. A home that
    /// cannot be served locks out its own user, and is logged.
    ///
    /// # Errors
    /// If another server holds the locks of all homes.
    pub fn prepare(all: &[HomeSettings]) -> std::result::Result<(Homes, Ledgers), PrepareError> {
        let (homes, ledgers) = (Homes::default(), Ledgers::default());
        let mut locked = None;
        for settings in all {
            match homes.prepare_one(settings) {
                Ok(home) => homes.add(home, &ledgers),
                Err(error) => {
                    homes.set_unavailable(settings, &error, &ledgers);
                    locked =
                        Some(error).filter(|error| matches!(error, PrepareError::Locked { .. })).or(locked);
                }
            }
        }
        let serves_none = || !homes.states().values().any(|state| matches!(state, HomeState::Served(_)));
        match locked {
            Some(error) if serves_none() => Err(error),
            _ => Ok((homes, ledgers)),
        }
    }

    /// Opens, locks and counts a home. It is not served before [`Homes::add`].
    ///
    /// # Errors
    /// If it cannot be served.
    pub fn prepare_one(&self, settings: &HomeSettings) -> std::result::Result<PreparedHome, PrepareError> {
        let _opening = OpeningGuard::begin(&self.opening, &settings.user)?;
        let failed = |error| PrepareError::Home {
            user: settings.user.clone(),
            root: settings.root.clone(),
            why: reason(&settings.root, settings.required_access(), error),
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
        match rustix::fs::flock(&top, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(Errno::WOULDBLOCK) => {
                let (user, root) = (settings.user.clone(), settings.root.clone());
                return Err(PrepareError::Locked { user, root });
            }
            Err(error) => return Err(failed(error.into())),
        }
        let ledger = Arc::new(take_stock(settings, &top).map_err(failed)?);
        let filesystem = self.filesystem_of(&top).map_err(failed)?;
        let root = HomeRoot::new(&settings.user, &settings.root, &top).map_err(failed)?;
        let descriptors = UserDescriptors::new(Arc::clone(&self.descriptors));
        let shared = Arc::new(SharedHome::new(top, root, filesystem, descriptors));
        let home = Home::open(settings.writable, Arc::clone(&shared)).map_err(failed)?;
        home.recover(&ledger).map_err(failed)?;
        Ok(PreparedHome { user: settings.user.clone(), shared, ledger })
    }

    /// Notes that a home cannot be served, in place of the one that its user had, and logs why.
    pub fn set_unavailable(&self, settings: &HomeSettings, error: &PrepareError, ledgers: &Ledgers) {
        let (user, root, why) = (settings.user.clone(), settings.root.clone(), error.reason());
        let home = HomeProblem { user, root, why };
        let mut states = self.states_mut();
        if !matches!(states.get(&home.user), Some(HomeState::Unavailable(before)) if *before == home) {
            let HomeProblem { user, root, why } = &home;
            tracing::error!(user, root = %shown(root), why, "home unavailable: its user is locked out");
        }
        ledgers.remove(&home.user);
        states.insert(home.user.clone(), HomeState::Unavailable(home));
    }

    /// Tries again to open a home that is unavailable.
    ///
    /// # Errors
    /// If it still is.
    pub fn retry(&self, settings: &HomeSettings, ledgers: &Ledgers) -> std::result::Result<(), PrepareError> {
        let waits = |states: &BTreeMap<String, HomeState>| matches!(states.get(&settings.user), Some(HomeState::Unavailable(home)) if home.root == settings.root);
        if !waits(&self.states()) {
            return Ok(());
        }
        match self.prepare_one(settings) {
            Ok(home) => {
                let mut states = self.states_mut();
                // A reload may have removed the user meanwhile, or given another root.
                if waits(&states) {
                    tracing::info!(user = settings.user, "the home is available again");
                    ledgers.insert(&home.user, home.ledger);
                    states.insert(home.user, HomeState::Served(home.shared));
                }
                Ok(())
            }
            Err(error) => {
                if waits(&self.states()) && !matches!(error, PrepareError::Opening(_)) {
                    self.set_unavailable(settings, &error, ledgers);
                }
                Err(error)
            }
        }
    }

    /// Opens a home anew by its path: one that is unavailable, or that was replaced. Returns whether there
    /// was anything to do. The sessions in the old one have to end.
    ///
    /// # Errors
    /// If it cannot be served. Then nobody works in the old one either.
    pub fn reopen(
        &self,
        settings: &HomeSettings,
        ledgers: &Ledgers,
    ) -> std::result::Result<bool, PrepareError> {
        match self.shared(&settings.user) {
            None => self.retry(settings, ledgers).map(|()| true),
            Some(shared) if !matches!(shared.root.inspect(), Some(RootProblem::Replaced(_))) => Ok(false),
            Some(_) => {
                let prepared = self.prepare_one(settings);
                match prepared {
                    Ok(home) => self.add(home, ledgers),
                    Err(error) => {
                        self.set_unavailable(settings, &error, ledgers);
                        return Err(error);
                    }
                }
                Ok(true)
            }
        }
    }

    /// Looks at all homes, and lists those that cannot be used or were replaced, by user.
    #[must_use]
    pub fn problems(&self) -> Vec<HomeProblem> {
        let users: Vec<_> = self.states().keys().cloned().collect();
        users.iter().filter_map(|user| self.problem_of(user)).collect()
    }

    /// Looks at one home. Says why it cannot be used; `None` if it can.
    #[must_use]
    pub fn problem_of(&self, user: &str) -> Option<HomeProblem> {
        let root = match self.states().get(user)? {
            HomeState::Unavailable(home) => return Some(home.clone()),
            HomeState::Served(shared) => Arc::clone(&shared.root),
        };
        // A stat may hang, as with NFS: nothing is locked meanwhile.
        let problem = root.inspect()?;
        Some(HomeProblem { root: root.path().to_owned(), why: problem.explain(user), user: user.to_owned() })
    }

    /// Looks for directories in the homes that the server cannot read any more. Reads a bounded number of entries
    /// of each home.
    pub fn inspect(&self) {
        let all_shared: Vec<_> = self.states().values().filter_map(HomeState::shared).collect();
        all_shared
            .iter()
            .filter(|shared| shared.root.inspect().is_none())
            .for_each(|shared| shared.inspect());
    }

    /// The directories that the last [inspection](Homes::inspect) could not read.
    #[must_use]
    pub fn unreadable(&self, user: &str) -> UnreadableEntries {
        self.shared(user).map_or_else(UnreadableEntries::default, |shared| shared.unreadable().clone())
    }

    fn filesystem_of(&self, top: &OwnedFd) -> Result<Arc<Filesystem>> {
        let device = rustix::fs::fstat(top)?.st_dev;
        let mut filesystems = self.filesystems.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(filesystem) = filesystems.get(&device).and_then(Weak::upgrade) {
            return Ok(filesystem);
        }
        // A duplicate would share the home's lock, and outlive the home.
        let filesystem = Arc::new(Filesystem::of(reopen(top)?));
        filesystems.insert(device, Arc::downgrade(&filesystem));
        Ok(filesystem)
    }

    /// Serves a home from now on, in place of the one that its user had.
    pub fn add(&self, home: PreparedHome, ledgers: &Ledgers) {
        ledgers.insert(&home.user, home.ledger);
        self.states_mut().insert(home.user, HomeState::Served(home.shared));
    }

    /// Serves a user's home no longer. It stays locked until all who are in it have left.
    pub fn remove(&self, user: &str) {
        self.states_mut().remove(user);
    }

    /// Opens the home of a user who has logged in. One that is unavailable is tried again first.
    ///
    /// # Errors
    /// If it is unavailable, was replaced since it was opened, or the user has as many descriptors as one may have.
    pub fn open(&self, settings: &HomeSettings, ledgers: &Ledgers) -> Result<Home> {
        let shared = match self.shared(&settings.user) {
            Some(shared) => shared,
            // Why is logged.
            None if self.retry(settings, ledgers).is_err() => return Err(Error::Unavailable),
            None => self.shared(&settings.user).ok_or(Error::Unavailable)?,
        };
        match shared.root.inspect() {
            None => Home::open_for_user(settings.writable, shared),
            Some(RootProblem::Replaced(_)) => Err(Error::Replaced),
            Some(RootProblem::Inaccessible(_)) => Err(Error::Unavailable),
        }
    }

    /// Whether something is being done in a user's home.
    #[must_use]
    pub fn is_busy(&self, user: &str) -> bool {
        self.shared(user)
            .is_some_and(|shared| shared.slice_permits.available_permits() < MAX_CONCURRENT_SLICES)
    }

    /// Free bytes on the disk of a user's home; `None` if the home cannot be used, or the disk does not tell.
    #[must_use]
    pub fn disk_free(&self, user: &str) -> Option<u64> {
        let shared = self.shared(user).filter(|shared| shared.root.inspect().is_none())?;
        let disk = rustix::fs::fstatvfs(&shared.top).ok()?;
        Some(disk.f_bavail.saturating_mul(disk.f_frsize))
    }

    /// Counts what a user's home holds and corrects its books, if nothing is booked meanwhile and all of it can
    /// be read. Takes as long as reading it.
    ///
    /// # Errors
    /// If the home cannot be read: its path and why, with what to do.
    pub fn count(&self, user: &str, ledger: &Ledger) -> std::result::Result<Comparison, String> {
        let shared = self.shared(user).ok_or("it is not served any more")?;
        let root = Arc::clone(&shared.root);
        let counted = self.count_shared(shared, ledger);
        counted.map_err(|error| format!("{}: {}", shown(root.path()), reason(root.path(), READ, error)))
    }

    fn count_shared(&self, shared: Arc<SharedHome>, ledger: &Ledger) -> Result<Comparison> {
        let home = Home::open(false, shared)?;
        let begun = {
            let _lock = home.lock_namespace();
            ledger.begin_count()
        };
        let root = home.root();
        let found = scan(root.user(), root.path(), reopen(&home.top)?, |file| begun.wants(file))?;
        let _lock = home.lock_namespace();
        ledger.end_count(&begun, found, || home.staged_bytes())
    }

    /// Removes parts of files and of streams that are older than this. Returns how many.
    pub fn expire_partial_uploads(&self, files: Duration, streams: Duration) -> usize {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let oldest = |age| i64::try_from(now.saturating_sub(age).as_secs()).unwrap_or(i64::MAX);
        let (file, stream) = (oldest(files), oldest(streams));
        let expired = |partial: &PartialUpload| {
            let oldest = if partial.file.is_stream() { stream } else { file };
            partial.file.since.seconds < oldest
        };
        let all_shared: Vec<_> = self.states().values().filter_map(HomeState::shared).collect();
        let homes = all_shared.into_iter().filter_map(|shared| Home::open(false, shared).ok());
        homes.map(|home| home.discard(expired)).sum()
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

impl Home {
    /// Puts on the shelf what an ended server has left and can be gone on with, its room reserved;
    /// removes the rest. No session may be in the home.
    fn recover(&self, ledger: &Arc<Ledger>) -> Result<()> {
        let Some(staging) = &self.staging else { return Ok(()) };
        let mut all = staging.recover()?;
        // The longest first: of those that replace the same file it borrows the most.
        all.sort_by_key(|file| std::cmp::Reverse(file.length));
        for mut file in all {
            // Its client could not come while there was no server.
            file.renew();
            let recorded = file.source().and_then(|_| self.locate_target(&file.path()).ok());
            let replaced = recorded.as_ref().and_then(|(_, stat)| stat.as_ref()).map(replaced_file);
            file.set_target(recorded.and_then(|(target, _)| target.identity().ok()));
            let reservation = ledger.reserve_existing(file.length, replaced);
            tracing::info!(path = %file.path(), bytes = file.length, "a partial upload was found");
            self.partial_uploads().put(PartialUpload { file, reservation });
        }
        Ok(())
    }
}

/// The same directory by another handle, which begins to read at its beginning.
fn reopen(top: &OwnedFd) -> Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    Ok(rustix::fs::openat(top, c".", flags, Mode::empty())?)
}

fn take_stock(settings: &HomeSettings, top: &OwnedFd) -> Result<Ledger> {
    let ScanResult { used, unreadable, .. } = scan(&settings.user, &settings.root, reopen(top)?, |_| false)?;
    tracing::info!(user = settings.user, bytes = used.bytes, entries = used.entries, "home counted");
    Ok(Ledger::new(settings.limits, used, unreadable))
}
