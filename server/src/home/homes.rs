//! All homes of a server.

use super::{Error, Home, Kept, Left, Place, Result, Source, TURNS, freed_bytes, scan::scan, sync::Disk};
use crate::accounts::{Access, Account};
use crate::auth::Login;
use crate::quota::{Ledger, Ledgers, Limits};
use rustix::fd::OwnedFd;
use rustix::fs::{FlockOperation, Mode, OFlags};
use sshome_wire::RemotePath;
use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The homes of all users. This is the seam behind which they could lie on another kind of store.
#[derive(Debug, Default)]
pub struct Homes {
    places: HashMap<String, Arc<Place>>,
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
        "the home of {user}, {}, is served by another sshomed; end that one first, or serve another folder with --dir",
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
        let mut homes = Homes::default();
        let mut ledgers = Ledgers::default();
        let mut disks: HashMap<u64, Arc<Disk>> = HashMap::new();
        for account in accounts.iter().filter(|account| account.enabled) {
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
            let device = rustix::fs::fstat(&top).map_err(|error| failed(error.into()))?.st_dev;
            let disk = match disks.get(&device) {
                Some(disk) => Arc::clone(disk),
                None => {
                    let handle = rustix::io::dup(&top).map_err(|error| failed(error.into()))?;
                    Arc::clone(disks.entry(device).or_insert(Arc::new(Disk::of(handle))))
                }
            };
            let place = Arc::new(Place::new(top, disk));
            let home = Home::open(writable(account), Arc::clone(&place)).map_err(failed)?;
            home.recover(&ledger).map_err(failed)?;
            homes.places.insert(account.name.clone(), place);
            ledgers.insert(&account.name, ledger);
        }
        Ok((homes, ledgers))
    }

    /// Opens the home of a user who has logged in.
    ///
    /// # Errors
    /// If the root is gone.
    pub fn open(&self, login: &Login) -> Result<Home> {
        let account = login.account();
        let place = self.places.get(&account.name).ok_or(Error::Os(rustix::io::Errno::NOENT))?;
        Home::open(writable(account), Arc::clone(place))
    }
}

impl Homes {
    /// Whether something is being done in a user's home.
    #[must_use]
    pub fn is_busy(&self, user: &str) -> bool {
        self.places.get(user).is_some_and(|place| place.turns.available_permits() < TURNS)
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
        let homes = self.places.values().filter_map(|place| Home::open(false, Arc::clone(place)).ok());
        homes.map(|home| home.discard(expired)).sum()
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
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let (found, counted) = scan(rustix::fs::openat(top, c".", flags, Mode::empty())?)?;
    let limits = Limits { bytes: account.quota, entries: account.max_files };
    tracing::info!(user = account.name, bytes = found.bytes, entries = found.entries, "home counted");
    Ok(Ledger::new(limits, found, counted))
}

fn writable(account: &Account) -> bool {
    account.access == Access::ReadWrite
}

fn errno(error: &std::io::Error) -> rustix::io::Errno {
    rustix::io::Errno::from_io_error(error).unwrap_or(rustix::io::Errno::IO)
}
