//! All homes of a server.

use super::{Error, Home, Kept, Left, Place, Result, Source, TURNS, freed_bytes, scan::scan, sync::Disk};
use crate::accounts::{Access, Account};
use crate::auth::Login;
use crate::quota::{Comparison, Ledger, Ledgers, Limits};
use rustix::fd::OwnedFd;
use rustix::fs::{FlockOperation, Mode, OFlags};
use sshome_wire::RemotePath;
use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard, Weak};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The homes of all users. This is the seam behind which they could lie on another kind of store.
#[derive(Debug, Default)]
pub struct Homes {
    places: RwLock<HashMap<String, Arc<Place>>>,
    /// By device.
    disks: Mutex<HashMap<u64, Weak<Disk>>>,
}

/// A home that can be served: opened, locked and counted.
#[derive(Debug)]
pub struct Prepared {
    user: String,
    place: Arc<Place>,
    ledger: Arc<Ledger>,
}

/// Why a home cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum PrepareError {
    /// It could not be made, opened or read.
    #[error("the home of {user}, {}: {error}", root.display())]
    Home {
        /// Whose.
        user: String,
        /// Where.
        root: PathBuf,
        /// Why.
        error: Error,
    },
    /// Another process holds its lock.
    #[error(
        "the home of {user}, {}, is served by another sshomed, or by this one for another user; end that one first, or serve another folder with --dir",
        root.display()
    )]
    Locked {
        /// Whose.
        user: String,
        /// Where.
        root: PathBuf,
    },
}

impl Homes {
    /// Makes the homes that are missing and may be made, opens the books with a scan, and sorts what
    /// an ended server has left in their staging folders. Takes as long as reading all homes.
    ///
    /// # Errors
    /// At the first home that cannot be served.
    pub fn prepare(accounts: &[Arc<Account>]) -> std::result::Result<(Homes, Ledgers), PrepareError> {
        let (homes, ledgers) = (Homes::default(), Ledgers::default());
        for home in homes.prepare_more(accounts)? {
            homes.add(home, &ledgers);
        }
        Ok((homes, ledgers))
    }

    /// The same for further homes. None is served before [`Homes::add`].
    ///
    /// # Errors
    /// At the first home that cannot be served.
    pub fn prepare_more(
        &self,
        accounts: &[Arc<Account>],
    ) -> std::result::Result<Vec<Prepared>, PrepareError> {
        accounts.iter().filter(|account| account.enabled).map(|account| self.prepare_one(account)).collect()
    }

    fn prepare_one(&self, account: &Account) -> std::result::Result<Prepared, PrepareError> {
        let failed =
            |error| PrepareError::Home { user: account.name.clone(), root: account.root.clone(), error };
        let top = make_and_open(account).map_err(failed)?;
        match rustix::fs::flock(&top, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(rustix::io::Errno::WOULDBLOCK) => {
                let (user, root) = (account.name.clone(), account.root.clone());
                return Err(PrepareError::Locked { user, root });
            }
            Err(error) => return Err(failed(error.into())),
        }
        let ledger = Arc::new(take_stock(account, &top).map_err(failed)?);
        let disk = self.disk_of(&top).map_err(failed)?;
        let place = Arc::new(Place::new(top, disk));
        let home = Home::open(writable(account), Arc::clone(&place)).map_err(failed)?;
        home.recover(&ledger).map_err(failed)?;
        Ok(Prepared { user: account.name.clone(), place, ledger })
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
        self.places_mut().insert(home.user, home.place);
    }

    /// Serves a user's home no longer. It stays locked until all who are in it have left.
    pub fn remove(&self, user: &str) {
        self.places_mut().remove(user);
    }

    /// Opens the home of a user who has logged in.
    ///
    /// # Errors
    /// If the root is gone.
    pub fn open(&self, login: &Login) -> Result<Home> {
        let account = login.account();
        let place = self.place(&account.name).ok_or(Error::Os(rustix::io::Errno::NOENT))?;
        Home::open(writable(&account), place)
    }

    /// Whether something is being done in a user's home.
    #[must_use]
    pub fn is_busy(&self, user: &str) -> bool {
        self.places().get(user).is_some_and(|place| place.turns.available_permits() < TURNS)
    }

    /// Counts what a user's home holds and corrects its books, if nothing is booked meanwhile. Takes as long
    /// as reading it.
    ///
    /// # Errors
    /// If the home cannot be read.
    pub fn count(&self, user: &str, ledger: &Ledger) -> Result<Comparison> {
        let place = self.place(user).ok_or(Error::Os(rustix::io::Errno::NOENT))?;
        let home = Home::open(false, place)?;
        let begun = {
            let _names = home.lock_names();
            ledger.begin_count()
        };
        let (found, whole) = scan(reopen(&home.top)?)?;
        let _names = home.lock_names();
        Ok(ledger.end_count(begun, found, whole))
    }

    /// Removes parts of files and of streams that are older than this. Returns how many.
    pub fn expire_parts(&self, files: Duration, streams: Duration) -> usize {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let oldest = |age| i64::try_from(now.saturating_sub(age).as_secs()).unwrap_or(i64::MAX);
        let (file, stream) = (oldest(files), oldest(streams));
        let expired = |left: &Left| match left.record.source {
            Source::File { .. } => left.since.seconds < file,
            Source::Stream(_) => left.since.seconds < stream,
        };
        let places: Vec<_> = self.places().values().map(Arc::clone).collect();
        let homes = places.into_iter().filter_map(|place| Home::open(false, place).ok());
        homes.map(|home| home.discard(expired)).sum()
    }

    fn place(&self, user: &str) -> Option<Arc<Place>> {
        self.places().get(user).map(Arc::clone)
    }

    fn places(&self) -> RwLockReadGuard<'_, HashMap<String, Arc<Place>>> {
        self.places.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn places_mut(&self) -> RwLockWriteGuard<'_, HashMap<String, Arc<Place>>> {
        self.places.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Home {
    /// Puts on the shelf what an ended server has left and can be gone on with, its room reserved;
    /// removes the rest. No session may be in the home.
    fn recover(&self, ledger: &Arc<Ledger>) -> Result<()> {
        let Some(area) = &self.staging else { return Ok(()) };
        for mut left in area.recover()? {
            // Its client could not come while there was no server.
            left.renew();
            let target = RemotePath::root().join(&left.record.target).ok();
            let replaced = target.and_then(|path| self.stat(&path).ok());
            let credit = replaced.as_ref().map_or(0, freed_bytes);
            let room = ledger.reserve_anyway(left.length.saturating_sub(credit));
            tracing::info!(bytes = left.length, "an upload can be gone on with");
            self.shelf().put(Kept { left, room });
        }
        Ok(())
    }
}

fn make_and_open(account: &Account) -> Result<OwnedFd> {
    if account.make_root && !account.root.exists() {
        std::os::unix::fs::DirBuilderExt::mode(&mut std::fs::DirBuilder::new(), 0o700)
            .recursive(true)
            .create(&account.root)
            .map_err(|error| Error::Os(errno(&error)))?;
    }
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    Ok(rustix::fs::open(&account.root, flags, Mode::empty())?)
}

fn take_stock(account: &Account, top: &OwnedFd) -> Result<Ledger> {
    let (found, counted) = scan(reopen(top)?)?;
    tracing::info!(user = account.name, bytes = found.bytes, entries = found.entries, "home counted");
    Ok(Ledger::new(limits(account), found, counted))
}

/// How much an account's home may hold.
pub fn limits(account: &Account) -> Limits {
    Limits { bytes: account.quota, entries: account.max_files }
}

/// The same directory by another handle, which begins to read at its beginning.
fn reopen(top: &OwnedFd) -> Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    Ok(rustix::fs::openat(top, c".", flags, Mode::empty())?)
}

fn writable(account: &Account) -> bool {
    account.access == Access::ReadWrite
}

fn errno(error: &std::io::Error) -> rustix::io::Errno {
    rustix::io::Errno::from_io_error(error).unwrap_or(rustix::io::Errno::IO)
}
