//! Opening one home, and why it could not be.

use super::{Error, Homes, Result, STAGING};
use crate::accounts::{Access, Account};
use crate::config::shown;
use crate::permission::{self, READ, WRITE};
use rustix::fd::OwnedFd;
use rustix::fs::{AtFlags, CWD, Mode, OFlags};
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
    Ok(rustix::fs::open(&account.root, flags, Mode::empty())?)
}

/// Why a home could not be served, if it could not, as far as that can be told without changing anything.
#[must_use]
pub fn examine_home(account: &Account) -> Option<String> {
    let root = &account.root;
    let access = if writable(account) { WRITE } else { READ };
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let found = match rustix::fs::open(root, flags, Mode::empty()) {
        Err(Errno::NOENT) if account.make_root => return None,
        Err(error) => Some(error),
        Ok(_) => {
            let staging = root.join(STAGING);
            let lacking = |path: &Path| rustix::fs::accessat(CWD, path, access, AtFlags::EACCESS).err();
            let opened = rustix::fs::open(&staging, flags | OFlags::NOFOLLOW, Mode::empty()).err();
            let opened = opened.filter(|error| *error != Errno::NOENT);
            lacking(root).or(opened).or_else(|| lacking(&staging).filter(|error| *error != Errno::NOENT))
        }
    };
    found.map(|error| reason(account, error.into()))
}

/// Why a home could not be opened, with what to do.
pub(super) fn reason(account: &Account, error: Error) -> String {
    let Error::Os(errno) = error else { return error.to_string() };
    let access = if writable(account) { WRITE } else { READ };
    let staging = account.root.join(STAGING);
    // What is missing was to be made in the directory above it.
    let path = account.root.ancestors().find(|path| path.exists()).unwrap_or(&account.root);
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

pub(super) fn writable(account: &Account) -> bool {
    account.access == Access::ReadWrite
}

fn errno(error: &std::io::Error) -> Errno {
    Errno::from_io_error(error).unwrap_or(Errno::IO)
}
