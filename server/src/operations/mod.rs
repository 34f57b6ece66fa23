//! What users can do with their files. The three ways in call these same functions, so that a rule
//! holds in all of them.
//!
//! Each wants a [`User`], which only a [`Login`] makes. Each is synchronous: it runs where blocking
//! is allowed. What may take long is a value with a step to call again and again, so that whoever
//! drives it can stop between two steps.

mod browse;
mod copy;
mod download;
mod error;
mod folders;
mod hash;
mod keys;
mod part;
mod place;
mod remove;
mod rename;
mod upload;

pub use browse::{Listing, enter_directory, stat};
pub use copy::Copy;
pub use download::Download;
pub use error::{Error, Result};
pub use folders::{Made, make_directory, make_symlink, remove_directory};
pub use hash::Hashing;
pub use keys::{install_key, keys, remove_key};
pub use part::{CheckedPart, PartCheck, discard, parts};
pub use place::{Placement, place};
pub use remove::{Removal, remove};
pub use rename::rename;
pub use upload::Upload;

use crate::accounts::Access;
use crate::auth::Login;
use crate::home::{self, Home, Homes, Mark};
use crate::quota::{Ledger, Ledgers};
use error::Context;
use sshome_wire::{RemotePath, Usage};
use std::sync::Arc;
use tokio::sync::Semaphore;

/// A user at work: who it is, the handle to the files, and the books. Made once a channel.
#[derive(Debug)]
pub struct User {
    login: Login,
    home: Home,
    ledger: Arc<Ledger>,
    /// When this user's session began to write.
    since: Mark,
}

impl User {
    /// Opens the home of a user who has logged in.
    ///
    /// # Errors
    /// If the home's root is gone.
    pub fn enter(login: Login, homes: &Homes, ledgers: &Ledgers) -> home::Result<User> {
        let home = homes.open(&login)?;
        let ledger = ledgers.of(&login.account().name).ok_or(rustix::io::Errno::NOENT)?;
        let since = home.mark();
        Ok(User { login, home, ledger, since })
    }

    /// The user's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.login.account().name
    }

    /// To be acquired around each piece of this user's work.
    #[must_use]
    pub fn turns(&self) -> Arc<Semaphore> {
        self.home.turns()
    }

    /// Whether the user may change anything.
    #[must_use]
    pub fn may_write(&self) -> bool {
        self.login.account().access == Access::ReadWrite
    }
}

/// Quota and use, as `df` shows it.
///
/// # Errors
/// If the disk does not tell how much is free.
pub fn usage(user: &User) -> Result<Usage> {
    let (used, reserved) = user.ledger.usage();
    let limits = user.ledger.limits();
    Ok(Usage {
        used: used.bytes,
        reserved: reserved.bytes,
        quota: limits.bytes,
        entries: used.entries,
        max_entries: limits.entries,
        disk_free: user.home.disk_free().of_file(&RemotePath::root())?,
    })
}

/// Puts everything that was done before on the disk.
///
/// # Errors
/// If the disk reports that something could not be written.
pub fn sync(user: &User) -> Result<()> {
    user.home.sync(user.since).of_file(&RemotePath::root())
}
