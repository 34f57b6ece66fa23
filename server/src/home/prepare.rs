//! Opening one home, and why it could not be.

use super::{Error, Homes, Result, STAGING};
use crate::accounts::{Access, Account, unfit_root};
use crate::config::shown;
use crate::permission::{self, READ, WRITE};
use rustix::fd::OwnedFd;
use rustix::fs::{self, AtFlags, CWD, Mode, OFlags};
use rustix::io::Errno;
use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::{MutexGuard, PoisonError};

/// A home that is not served. Its user is locked out; the others do not notice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unavailable {
    /// Whose.
    pub user: String,
    /// Where it should be.
    pub root: PathBuf,
    /// Why, for the administrator.
    pub why: String,
}

/// Why a home cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum PrepareError {
    /// It could not be made, opened or read.
    #[error("the home of {user}, {}: {why}", shown(.root))]
    Home {
        /// Whose.
        user: String,
        /// Where.
        root: PathBuf,
        /// Why, with what to do.
        why: String,
    },
    /// Another process holds its lock.
    #[error(
        "the home of {user}, {}, is locked: another sshomed serves it, or this one for another user or for \
         sessions that are still open",
        shown(.root)
    )]
    Locked {
        /// Whose.
        user: String,
        /// Where.
        root: PathBuf,
    },
    /// Another thread is at it.
    #[error("the home of {0} is being opened and counted: try again when that is done")]
    Opening(String),
}

impl PrepareError {
    /// Why, without whose home it is.
    pub(super) fn reason(&self) -> String {
        match self {
            PrepareError::Home { why, .. } => why.clone(),
            other => other.to_string(),
        }
    }
}

/// A user whose home is being opened. Dropping it lets the next one try.
pub(super) struct Opening<'a> {
    homes: &'a Homes,
    user: String,
}

impl Opening<'_> {
    pub(super) fn begin<'a>(homes: &'a Homes, user: &str) -> std::result::Result<Opening<'a>, PrepareError> {
        match Opening::users(homes).insert(user.to_owned()) {
            true => Ok(Opening { homes, user: user.to_owned() }),
            false => Err(PrepareError::Opening(user.to_owned())),
        }
    }

    fn users(homes: &Homes) -> MutexGuard<'_, HashSet<String>> {
        homes.opening.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Opening<'_> {
    fn drop(&mut self) {
        Opening::users(self.homes).remove(&self.user);
    }
}

pub(super) fn make_and_open(account: &Account) -> Result<OwnedFd> {
    if account.make_root && !account.root.exists() {
        std::os::unix::fs::DirBuilderExt::mode(&mut std::fs::DirBuilder::new(), 0o700)
            .recursive(true)
            .create(&account.root)
            .map_err(|error| Error::Os(errno(&error)))?;
    }
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    Ok(fs::open(&account.root, flags, Mode::empty())?)
}

/// Why a home could not be served, if it could not, as far as that can be told without changing anything.
#[must_use]
pub fn examine_home(account: &Account) -> Option<String> {
    if let Some(why) = unfit_root(account) {
        return Some(why);
    }
    let (root, access) = (&account.root, access(account));
    match lacking(root, access) {
        Some(Errno::NOENT) if account.make_root && !root.exists() => None,
        found => found.map(|error| reason(root, access, error.into())),
    }
}

/// Why this process lacks that access to the directory of a home or to its staging folder. `None` if it has it.
pub(super) fn lacking(root: &Path, access: fs::Access) -> Option<Errno> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    if let Err(error) = fs::open(root, flags, Mode::empty()) {
        return Some(error);
    }
    let staging = root.join(STAGING);
    let denied = |path: &Path| fs::accessat(CWD, path, access, AtFlags::EACCESS).err();
    let is_there = |error: &Errno| *error != Errno::NOENT;
    let opened = || fs::open(&staging, flags | OFlags::NOFOLLOW, Mode::empty()).err().filter(is_there);
    denied(root).or_else(opened).or_else(|| denied(&staging).filter(is_there))
}

/// Why a home at `root` cannot be used, with what to do.
pub(super) fn reason(root: &Path, access: fs::Access, error: Error) -> String {
    let Error::Os(errno) = error else { return error.to_string() };
    let staging = root.join(STAGING);
    // What is missing was to be made in the directory above it.
    let path = root.ancestors().find(|path| path.exists()).unwrap_or(root);
    let is_sound = permission::obstacle(path, access, "").is_none();
    let path = if is_sound && staging.exists() { &staging } else { path };
    let why = permission::explained(path, access, errno);
    match errno {
        Errno::NOENT | Errno::NOTDIR => {
            format!("{why}; mount or make it: only homes/NAME is made by the server")
        }
        _ => why,
    }
}

/// What the server needs to be able to do in a home.
pub(super) fn access(account: &Account) -> fs::Access {
    if writable(account) { WRITE } else { READ }
}

pub(super) fn writable(account: &Account) -> bool {
    account.access == Access::ReadWrite
}

fn errno(error: &std::io::Error) -> Errno {
    Errno::from_io_error(error).unwrap_or(Errno::IO)
}
