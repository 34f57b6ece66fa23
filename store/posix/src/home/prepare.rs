//! Opening one home, and the reasons why one cannot be served.

use super::access::{lacking, reason};
use super::resolve::AS_IN_CHROOT;
use super::settings::required_access;
use super::{Error, Result};
use rustix::fd::OwnedFd;
use rustix::fs::{self, Mode, OFlags};
use rustix::io::Errno;
use sshome_store::{HomeSettings, PrepareError};
use sshome_wire::RemotePath;
use std::collections::HashSet;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

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
        sync_name(&settings.root)?;
    }
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    Ok(fs::open(&settings.root, flags, Mode::empty())?)
}

/// Puts the name of a new home on the disk.
fn sync_name(root: &Path) -> Result<()> {
    let Some(parent) = root.parent() else { return Ok(()) };
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    Ok(fs::fsync(fs::open(parent, flags, Mode::empty())?)?)
}

/// Why a home could not be served, as far as that can be found out without changing anything. `None` if it could.
#[must_use]
pub fn examine_home(settings: &HomeSettings) -> Option<String> {
    if let Some(why) = &settings.unfit {
        return Some(why.clone());
    }
    let (root, access) = (&settings.root, required_access(settings));
    match lacking(root, access) {
        Some(Errno::NOENT) if settings.make_root && !root.exists() => None,
        found => found.map(|error| reason(root, access, error.into())),
    }
}

/// Why a view of a home cannot begin at a folder; `None` if it can, or if the home itself cannot be opened.
#[must_use]
pub fn examine_folder(settings: &HomeSettings, folder: &RemotePath) -> Option<String> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let home = fs::open(&settings.root, flags, Mode::empty()).ok()?;
    let below = folder.as_bytes().strip_prefix(b"/").filter(|below| !below.is_empty()).unwrap_or(b".");
    // A rename at this moment may prevent the kernel from resolving a link with `..` in it.
    let found = fs::openat2(&home, below, flags, Mode::empty(), AS_IN_CHROOT)
        .err()
        .filter(|why| *why != Errno::AGAIN)?;
    Some(format!("its folder {folder} cannot be opened: {found}"))
}

fn errno(error: &std::io::Error) -> Errno {
    Errno::from_io_error(error).unwrap_or(Errno::IO)
}
