//! Opening one home, and the reasons why one cannot be served.

use super::access::{lacking, reason};
use super::{Error, HomeSettings, Result};
use crate::display::shown;
use rustix::fd::OwnedFd;
use rustix::fs::{self, Mode, OFlags};
use rustix::io::Errno;
use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};

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
    #[error("the home of {user}, {}: {why}", shown(.root))]
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
        shown(.root)
    )]
    Locked {
        /// The user.
        user: String,
        /// The path of the home.
        root: PathBuf,
    },
    /// Another thread is opening it.
    #[error("the home of {0} is being opened and counted: try again when that is done")]
    Opening(String),
}

impl PrepareError {
    /// The reason, without the user and the path.
    pub(super) fn reason(&self) -> String {
        match self {
            PrepareError::Home { why, .. } => why.clone(),
            other => other.to_string(),
        }
    }
}

/// Users whose homes are being opened.
pub(super) type OpeningUsers = Mutex<HashSet<String>>;

/// A user whose home is being opened. Dropping it lets another thread open that home.
pub(super) struct OpeningGuard<'a> {
    users: &'a OpeningUsers,
    user: String,
}

impl OpeningGuard<'_> {
    pub(super) fn begin<'a>(
        users: &'a OpeningUsers,
        user: &str,
    ) -> std::result::Result<OpeningGuard<'a>, PrepareError> {
        match lock(users).insert(user.to_owned()) {
            true => Ok(OpeningGuard { users, user: user.to_owned() }),
            false => Err(PrepareError::Opening(user.to_owned())),
        }
    }
}

impl Drop for OpeningGuard<'_> {
    fn drop(&mut self) {
        lock(self.users).remove(&self.user);
    }
}

fn lock(users: &OpeningUsers) -> MutexGuard<'_, HashSet<String>> {
    users.lock().unwrap_or_else(PoisonError::into_inner)
}

pub(super) fn make_and_open(settings: &HomeSettings) -> Result<OwnedFd> {
    if settings.make_root && !settings.root.exists() {
        std::os::unix::fs::DirBuilderExt::mode(&mut std::fs::DirBuilder::new(), 0o700)
            .recursive(true)
            .create(&settings.root)
            .map_err(|error| Error::Os(errno(&error)))?;
    }
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    Ok(fs::open(&settings.root, flags, Mode::empty())?)
}

/// Why a home could not be served, as far as that can be found out without changing anything. `None` if it could.
#[must_use]
pub fn examine_home(settings: &HomeSettings) -> Option<String> {
    if let Some(why) = &settings.unfit {
        return Some(why.clone());
    }
    let (root, access) = (&settings.root, settings.required_access());
    match lacking(root, access) {
        Some(Errno::NOENT) if settings.make_root && !root.exists() => None,
        found => found.map(|error| reason(root, access, error.into())),
    }
}

fn errno(error: &std::io::Error) -> Errno {
    Errno::from_io_error(error).unwrap_or(Errno::IO)
}
