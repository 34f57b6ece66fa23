//! What users can do with their files. The three ways in call these same functions, so that a rule
//! holds in all of them.
//!
//! Each wants a [`User`], which only a [`Login`] makes. Each is synchronous: it runs where blocking
//! is allowed. What may take long is a value with a step to call again and again, so that whoever
//! drives it can stop between two steps.

mod attributes;
mod browse;
mod copy;
mod copy_data;
mod digest;
mod download;
mod error;
mod finalize_directory;
mod folders;
mod hash;
mod keys;
mod links;
mod open_file;
mod partial_uploads;
mod publish;
mod remove;
mod rename;
mod reserve_space;
mod set_attributes;
mod space;
mod step_limit;
mod upload;

pub use attributes::set_attributes;
pub use browse::{Listing, OpenDirectory, change_directory, enter_directory, open_directory, stat};
pub use copy::Copy;
pub use copy_data::CopyData;
pub(crate) use digest::Hasher;
pub use digest::{DigestAlgorithm, DigestRange, FileDigest};
pub use download::Download;
pub use error::{Error, Result};
pub use finalize_directory::{DirectoryToFinalize, finalize_directories, make_directory_with_deferred_mode};
pub use folders::{MadeDirectory, make_directory, make_new_directory, make_symlink, remove_directory};
pub use hash::Hashing;
pub use keys::{install_key, keys, remove_key};
pub use links::{hard_link, read_link, real_path};
pub use open_file::{OpenFile, OpenMode};
pub use partial_uploads::{CheckedPart, PartCheck, PartialStream, discard, find_stream, parts, target_id};
pub use publish::{PendingPublish, publish};
pub use remove::{Removal, remove};
pub use rename::{rename, rename_exact};
pub use set_attributes::SetAttributes;
pub use space::{HomeSpace, space};
pub use step_limit::StepLimit;
pub use upload::Upload;

use crate::accounts::{Access, SftpUploads};
use crate::audit::Audit;
use crate::auth::Login;
use crate::home::{
    self, DescriptorPermit, Home, HomeSettings, Homes, Location, NamespaceLock, WritebackEpoch, file_id,
    length,
};
use crate::quota::{FreedSpace, HeldFile, Ledger, LedgerUsage, Ledgers};
use error::Context;
use rustix::fs::{FileType, Stat};
use sshome_wire::{CreditedUsage, RemotePath, Usage};
use std::fs::File;
use std::sync::Arc;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

/// A user at work: who it is, the handle to the files, and the books. Made once a channel.
#[derive(Debug)]
pub struct User {
    login: Login,
    home: Arc<Home>,
    ledger: Arc<Ledger>,
    /// When this user's session began to write.
    since: WritebackEpoch,
    /// Ends the channel when another one goes on with its stream.
    superseded: CancellationToken,
    audit: Audit,
}

impl User {
    /// Opens the home of a user who has logged in.
    ///
    /// # Errors
    /// If the home is unavailable, or was replaced since it was opened.
    pub fn enter(login: Login, homes: &Homes, ledgers: &Ledgers) -> home::Result<User> {
        let home = Arc::new(homes.open(&HomeSettings::from(&*login.account()), ledgers)?);
        let ledger = ledgers.of(login.name()).ok_or(rustix::io::Errno::NOENT)?;
        let since = home.writeback_epoch();
        Ok(User { login, home, ledger, since, superseded: CancellationToken::new(), audit: Audit::default() })
    }

    /// The same user, whose doings are told there.
    #[must_use]
    pub fn audited(self, audit: Audit) -> User {
        User { audit, ..self }
    }

    /// Where it is told what the user does.
    #[must_use]
    pub fn audit(&self) -> &Audit {
        &self.audit
    }

    /// The user's name.
    #[must_use]
    pub fn name(&self) -> &str {
        self.login.name()
    }

    /// To be acquired around each piece of this user's work.
    #[must_use]
    pub fn slice_permits(&self) -> Arc<Semaphore> {
        self.home.slice_permits()
    }

    /// To be held with so many descriptors that stay open beyond one request; none if the user has as many as one
    /// may have.
    pub(crate) fn hold_descriptors(&self, count: usize) -> Option<DescriptorPermit> {
        self.home.descriptors(count).ok()
    }

    /// Whether the user has used up half of the descriptors that one may have: what is held to be dealt with
    /// together should be dealt with now.
    pub(crate) fn descriptors_are_scarce(&self) -> bool {
        self.home.descriptors_are_scarce()
    }

    /// Cancelled when another channel of the user's goes on with what this one has: it is to end.
    #[must_use]
    pub fn superseded(&self) -> CancellationToken {
        self.superseded.clone()
    }

    /// Whether the user may change anything.
    #[must_use]
    pub fn may_write(&self) -> bool {
        self.login.account().access == Access::ReadWrite
    }

    /// What becomes of files that SFTP clients write.
    fn sftp_uploads(&self) -> SftpUploads {
        self.login.account().sftp_uploads
    }

    /// The path that the log has of a location: where it really is, however the user has spelled it.
    fn logged(&self, at: &Location, spelled: &RemotePath) -> RemotePath {
        self.home.canonical(at).unwrap_or_else(|_| spelled.clone())
    }

    /// To be called by what changes anything.
    ///
    /// # Errors
    /// If the user may not, or the home was replaced.
    pub fn require_write(&self) -> Result<()> {
        let allowed = match self.may_write() {
            true => self.home.root().check().of_directory(&RemotePath::root()),
            false => Err(Error::ReadOnly),
        };
        allowed.inspect_err(|error| self.audit.refused(error))
    }
}

/// Refuses a target that nothing staged can be published at, before any data arrive.
fn check_mount(user: &User, target: &Location, path: &RemotePath) -> Result<()> {
    match user.home.shares_mount(target).of_directory(path)? {
        true => Ok(()),
        false => Err(Error::OtherMount(path.clone())),
    }
}

/// A new file's permissions, less what the umask or its directory's default access control list denies.
const NEW_FILE_MODE: u32 = 0o666;

/// Quota and use, as `df` shows it.
///
/// # Errors
/// If the disk does not tell how much is free.
pub fn usage(user: &User) -> Result<CreditedUsage> {
    let LedgerUsage { used, staged, credited } = user.ledger.usage();
    let limits = user.ledger.limits();
    let usage = Usage {
        used: used.bytes,
        reserved: staged.bytes,
        quota: limits.bytes,
        entries: used.entries,
        max_entries: limits.entries,
        disk_free: user.home.disk_free().of_file(&RemotePath::root())?,
    };
    Ok(CreditedUsage { usage, credited })
}

/// Puts everything that was done before on the disk.
///
/// # Errors
/// If the disk reports that something could not be written.
pub fn sync(user: &User) -> Result<()> {
    user.home.sync(user.since).of_file(&RemotePath::root())
}

/// Says in the books that a file is open. The names are locked from before its opening until after this,
/// or a removal in between would take it for closed.
fn hold(user: &User, file: &File, stat: &Stat) -> home::Result<HeldFile> {
    user.ledger.hold(file_id(stat), || Ok(length(&rustix::fs::fstat(file)?)))
}

/// What goes with a name if it is removed or replaced. `stat` is of what has it now.
fn freed(user: &User, at: &Location, stat: &Stat, _lock: &NamespaceLock<'_>) -> home::Result<FreedSpace> {
    if stat.st_nlink > 1 {
        return Ok(FreedSpace::Nothing);
    }
    Ok(match FileType::from_raw_mode(stat.st_mode) {
        FileType::Symlink => FreedSpace::Link(length(stat)),
        // It may have been written to and closed since it was looked at.
        FileType::RegularFile => {
            let now = || at.stat().map(|stat| length(&stat));
            FreedSpace::File(user.ledger.hold(file_id(stat), now)?)
        }
        _ => FreedSpace::Nothing,
    })
}
