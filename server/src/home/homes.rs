//! All homes of a server.

use super::access::reason;
use super::descriptors::{Descriptors, UserDescriptors};
use super::prepare::{Opening, OpeningUsers, make_and_open};
use super::shared::{Place, TURNS};
use super::{
    Error, Home, HomeRoot, HomeSettings, Kept, PrepareError, Result, RootProblem, Unavailable, replaced_file,
    scan::scan, filesystem::Disk,
};
use crate::display::shown;
use crate::permission::READ;
use crate::quota::{Comparison, Found, Ledger, Ledgers, Unreadable};
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
    homes: RwLock<BTreeMap<String, State>>,
    /// Users whose homes are being opened: by one thread each, since the lock on a home is the process's.
    opening: OpeningUsers,
    /// By device.
    disks: Mutex<HashMap<u64, Weak<Disk>>>,
    descriptors: Arc<Descriptors>,
}

/// What became of a home.
#[derive(Debug)]
enum State {
    Served(Arc<Place>),
    Unavailable(Unavailable),
}

/// A home that can be served: opened, locked and counted.
#[derive(Debug)]
pub struct Prepared {
    user: String,
    place: Arc<Place>,
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
        let serves_none = || !homes.states().values().any(|state| matches!(state, State::Served(_)));
        match locked {
            Some(error) if serves_none() => Err(error),
            _ => Ok((homes, ledgers)),
        }
    }

    /// Opens, locks and counts a home. It is not served before [`Homes::add`].
    ///
    /// # Errors
    /// If it cannot be served.
    pub fn prepare_one(&self, settings: &HomeSettings) -> std::result::Result<Prepared, PrepareError> {
        let _opening = Opening::begin(&self.opening, &settings.user)?;
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
        let disk = self.disk_of(&top).map_err(failed)?;
        let root = HomeRoot::new(&settings.user, &settings.root, &top).map_err(failed)?;
        let descriptors = UserDescriptors::new(Arc::clone(&self.descriptors));
        let place = Arc::new(Place::new(top, root, disk, descriptors));
        let home = Home::open(settings.writable, Arc::clone(&place)).map_err(failed)?;
        home.recover(&ledger).map_err(failed)?;
        Ok(Prepared { user: settings.user.clone(), place, ledger })
    }

    /// Notes that a home cannot be served, in place of the one that its user had, and logs why.
    pub fn set_unavailable(&self, settings: &HomeSettings, error: &PrepareError, ledgers: &Ledgers) {
        let (user, root, why) = (settings.user.clone(), settings.root.clone(), error.reason());
        let home = Unavailable { user, root, why };
        let mut states = self.states_mut();
        if !matches!(states.get(&home.user), Some(State::Unavailable(before)) if *before == home) {
            let Unavailable { user, root, why } = &home;
            tracing::error!(user, root = %shown(root), why, "home unavailable: its user is locked out");
        }
        ledgers.remove(&home.user);
        states.insert(home.user.clone(), State::Unavailable(home));
    }

    /// Tries again to open a home that is unavailable.
    ///
    /// # Errors
    /// If it still is.
    pub fn retry(&self, settings: &HomeSettings, ledgers: &Ledgers) -> std::result::Result<(), PrepareError> {
        let waits = |states: &BTreeMap<String, State>| matches!(states.get(&settings.user), Some(State::Unavailable(home)) if home.root == settings.root);
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
                    states.insert(home.user, State::Served(home.place));
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
        match self.place(&settings.user) {
            None => self.retry(settings, ledgers).map(|()| true),
            Some(place) if !matches!(place.root.look(), Some(RootProblem::Replaced(_))) => Ok(false),
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
    pub fn problems(&self) -> Vec<Unavailable> {
        let users: Vec<_> = self.states().keys().cloned().collect();
        users.iter().filter_map(|user| self.problem_of(user)).collect()
    }

    /// Looks at one home. Says why it cannot be used; `None` if it can.
    #[must_use]
    pub fn problem_of(&self, user: &str) -> Option<Unavailable> {
        let root = match self.states().get(user)? {
            State::Unavailable(home) => return Some(home.clone()),
            State::Served(place) => Arc::clone(&place.root),
        };
        // A stat may hang, as with NFS: nothing is locked meanwhile.
        let problem = root.look()?;
        Some(Unavailable { root: root.path().to_owned(), why: problem.explain(user), user: user.to_owned() })
    }

    /// Looks for directories in the homes that the server cannot read any more. Reads a bounded number of entries
    /// of each home.
    pub fn inspect(&self) {
        let places: Vec<_> = self.states().values().filter_map(State::place).collect();
        places.iter().filter(|place| place.root.look().is_none()).for_each(|place| place.inspect());
    }

    /// The directories that the last [inspection](Homes::inspect) could not read.
    #[must_use]
    pub fn unreadable(&self, user: &str) -> Unreadable {
        self.place(user).map_or_else(Unreadable::default, |place| place.unreadable().clone())
    }

    fn disk_of(&self, top: &OwnedFd) -> Result<Arc<Disk>> {
        let device = rustix::fs::fstat(top)?.st_dev;
        let mut disks = self.disks.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(disk) = disks.get(&device).and_then(Weak::upgrade) {
            return Ok(disk);
        }
        // A duplicate would share the home's lock, and outlive the home.
        let disk = Arc::new(Disk::of(reopen(top)?));
        disks.insert(device, Arc::downgrade(&disk));
        Ok(disk)
    }

    /// Serves a home from now on, in place of the one that its user had.
    pub fn add(&self, home: Prepared, ledgers: &Ledgers) {
        ledgers.insert(&home.user, home.ledger);
        self.states_mut().insert(home.user, State::Served(home.place));
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
        let place = match self.place(&settings.user) {
            Some(place) => place,
            // Why is logged.
            None if self.retry(settings, ledgers).is_err() => return Err(Error::Unavailable),
            None => self.place(&settings.user).ok_or(Error::Unavailable)?,
        };
        match place.root.look() {
            None => Home::open_for_user(settings.writable, place),
            Some(RootProblem::Replaced(_)) => Err(Error::Replaced),
            Some(RootProblem::Inaccessible(_)) => Err(Error::Unavailable),
        }
    }

    /// Whether something is being done in a user's home.
    #[must_use]
    pub fn is_busy(&self, user: &str) -> bool {
        self.place(user).is_some_and(|place| place.turns.available_permits() < TURNS)
    }

    /// Free bytes on the disk of a user's home; `None` if the home cannot be used, or the disk does not tell.
    #[must_use]
    pub fn disk_free(&self, user: &str) -> Option<u64> {
        let place = self.place(user).filter(|place| place.root.look().is_none())?;
        let disk = rustix::fs::fstatvfs(&place.top).ok()?;
        Some(disk.f_bavail.saturating_mul(disk.f_frsize))
    }

    /// Counts what a user's home holds and corrects its books, if nothing is booked meanwhile and all of it can
    /// be read. Takes as long as reading it.
    ///
    /// # Errors
    /// If the home cannot be read: its path and why, with what to do.
    pub fn count(&self, user: &str, ledger: &Ledger) -> std::result::Result<Comparison, String> {
        let place = self.place(user).ok_or("it is not served any more")?;
        let root = Arc::clone(&place.root);
        let counted = self.count_place(place, ledger);
        counted.map_err(|error| format!("{}: {}", shown(root.path()), reason(root.path(), READ, error)))
    }

    fn count_place(&self, place: Arc<Place>, ledger: &Ledger) -> Result<Comparison> {
        let home = Home::open(false, place)?;
        let begun = {
            let _names = home.lock_names();
            ledger.begin_count()
        };
        let root = home.root();
        let found = scan(root.user(), root.path(), reopen(&home.top)?, |file| begun.wants(file))?;
        let _names = home.lock_names();
        ledger.end_count(&begun, found, || home.staged_bytes())
    }

    /// Removes parts of files and of streams that are older than this. Returns how many.
    pub fn expire_parts(&self, files: Duration, streams: Duration) -> usize {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let oldest = |age| i64::try_from(now.saturating_sub(age).as_secs()).unwrap_or(i64::MAX);
        let (file, stream) = (oldest(files), oldest(streams));
        let expired = |kept: &Kept| {
            let oldest = if kept.left.is_stream() { stream } else { file };
            kept.left.since.seconds < oldest
        };
        let places: Vec<_> = self.states().values().filter_map(State::place).collect();
        let homes = places.into_iter().filter_map(|place| Home::open(false, place).ok());
        homes.map(|home| home.discard(expired)).sum()
    }

    fn place(&self, user: &str) -> Option<Arc<Place>> {
        self.states().get(user).and_then(State::place)
    }

    fn states(&self) -> RwLockReadGuard<'_, BTreeMap<String, State>> {
        self.homes.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn states_mut(&self) -> RwLockWriteGuard<'_, BTreeMap<String, State>> {
        self.homes.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn place(&self) -> Option<Arc<Place>> {
        match self {
            State::Served(place) => Some(Arc::clone(place)),
            State::Unavailable(_) => None,
        }
    }
}

impl Home {
    /// Puts on the shelf what an ended server has left and can be gone on with, its room reserved;
    /// removes the rest. No session may be in the home.
    fn recover(&self, ledger: &Arc<Ledger>) -> Result<()> {
        let Some(area) = &self.staging else { return Ok(()) };
        let mut all = area.recover()?;
        // The longest first: of those that replace the same file it borrows the most.
        all.sort_by_key(|left| std::cmp::Reverse(left.length));
        for mut left in all {
            // Its client could not come while there was no server.
            left.renew();
            let recorded = left.source().and_then(|_| self.locate_target(&left.path()).ok());
            let replaced = recorded.as_ref().and_then(|(_, stat)| stat.as_ref()).map(replaced_file);
            left.set_target(recorded.and_then(|(target, _)| target.identity().ok()));
            let room = ledger.reserve_anyway(left.length, replaced);
            tracing::info!(path = %left.path(), bytes = left.length, "a partial upload was found");
            self.shelf().put(Kept { left, room });
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
    let Found { used, unreadable, .. } = scan(&settings.user, &settings.root, reopen(top)?, |_| false)?;
    tracing::info!(user = settings.user, bytes = used.bytes, entries = used.entries, "home counted");
    Ok(Ledger::new(settings.limits, used, unreadable))
}
