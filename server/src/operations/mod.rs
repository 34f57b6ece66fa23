//! The operations of users on their files. The native protocol, SFTP and exec call the same functions, so that a rule
//! applies to all of them.
//!
//! Each operation takes a [`User`], which only a [`Login`] creates. Operations block, so they run in the blocking pool. A
//! long operation is a value whose `step` is called repeatedly, so that its caller can cancel it between two steps.

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
mod slice_permits;
mod space;
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
pub use slice_permits::SlicePermits;
pub use space::{HomeSpace, space};
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
use rustix::io::Errno;
pub use sshome_store::StepLimit;
use sshome_store::Takeover;
use sshome_wire::{CreditedUsage, RemotePath, Usage};
use std::fs::File;
use std::sync::Arc;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

/// A logged-in user with the handle to the home and its ledger. Created once for each channel.
#[derive(Debug)]
pub struct User {
    login: Login,
    home: Arc<Home>,
    ledger: Arc<Ledger>,
    /// The writeback epoch when the channel was opened.
    since: WritebackEpoch,
    /// Cancelled when a different channel resumes the stream of this one.
    superseded: CancellationToken,
    slice_permits: Arc<Semaphore>,
    audit: Audit,
}

impl User {
    /// Opens the home of a user who has logged in.
    ///
    /// # Errors
    /// If the home is unavailable, or was replaced since it was opened.
    pub fn enter(
        login: Login,
        homes: &Homes,
        ledgers: &Ledgers,
        slices: &SlicePermits,
    ) -> home::Result<User> {
        let home = Arc::new(homes.open(&HomeSettings::from(&*login.account()), ledgers)?);
        let ledger = ledgers.of(login.name()).ok_or(rustix::io::Errno::NOENT)?;
        let since = home.writeback_epoch();
        let (superseded, slice_permits) = (CancellationToken::new(), slices.of(login.name()));
        Ok(User { login, home, ledger, since, superseded, slice_permits, audit: Audit::default() })
    }

    /// The same user, with its operations recorded in `audit`.
    #[must_use]
    pub fn audited(self, audit: Audit) -> User {
        User { audit, ..self }
    }

    /// Records what the user does.
    #[must_use]
    pub fn audit(&self) -> &Audit {
        &self.audit
    }

    /// The user's name.
    #[must_use]
    pub fn name(&self) -> &str {
        self.login.name()
    }

    /// The permits for slices of this user's work.
    #[must_use]
    pub fn slice_permits(&self) -> Arc<Semaphore> {
        Arc::clone(&self.slice_permits)
    }

    /// A permit for `count` descriptors that stay open beyond one request; `None` if the user's budget is used up.
    pub(crate) fn hold_descriptors(&self, count: usize) -> Option<DescriptorPermit> {
        self.home.descriptors(count).ok()
    }

    /// Whether the user has used half of the descriptor budget: a batch should be published early.
    pub(crate) fn descriptors_are_scarce(&self) -> bool {
        self.home.descriptors_are_scarce()
    }

    /// Ends this channel when a different one resumes its stream.
    fn takeover(&self) -> Takeover {
        let superseded = self.superseded.clone();
        Takeover::new(move || superseded.cancel())
    }

    /// Cancelled when a different channel of the user resumes this one's stream: this channel must end.
    #[must_use]
    pub fn superseded(&self) -> CancellationToken {
        self.superseded.clone()
    }

    /// Whether the user may change anything.
    #[must_use]
    pub fn may_write(&self) -> bool {
        self.login.account().access == Access::ReadWrite
    }

    /// How files that SFTP clients write are stored.
    fn sftp_uploads(&self) -> SftpUploads {
        self.login.account().sftp_uploads
    }

    /// The path for the log: the canonical path of a location, or else the one that the client sent.
    fn logged(&self, at: &Location, spelled: &RemotePath) -> RemotePath {
        self.home.canonical(at).unwrap_or_else(|_| spelled.clone())
    }

    /// Call it before any change.
    ///
    /// # Errors
    /// If the user may not write, or the home was replaced.
    pub fn require_write(&self) -> Result<()> {
        let allowed = match self.may_write() {
            true => self.home.root().check().of_directory(&RemotePath::root()),
            false => Err(Error::ReadOnly),
        };
        allowed.inspect_err(|error| self.audit.refused(error))
    }
}

/// Fails before any data arrive if a staged file cannot be renamed to the target.
fn check_mount(user: &User, target: &Location, path: &RemotePath) -> Result<()> {
    match user.home.shares_mount(target).of_directory(path)? {
        true => Ok(()),
        false => Err(Error::OtherMount(path.clone())),
    }
}

/// The error of a name that cannot move to another mount: a copy helps only if it could be stored there.
fn other_mount(user: &User, target: &Location, path: &RemotePath) -> Error {
    match check_mount(user, target, path) {
        Ok(()) => Error::disk(path, false, Errno::XDEV.into()),
        Err(error) => error,
    }
}

/// A new file's permissions, before the umask or its directory's default access control list applies.
const NEW_FILE_MODE: u32 = 0o666;

/// Quota and usage, as `df` shows them.
///
/// # Errors
/// If the free space of the disk cannot be read.
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

/// Syncs all earlier changes of this channel to the disk.
///
/// # Errors
/// If the disk reports a failed write.
pub fn sync(user: &User) -> Result<()> {
    user.home.sync(user.since).of_file(&RemotePath::root())
}

/// Records in the ledger that a file is open. The caller holds the namespace lock since before the open: otherwise a
/// removal in between would treat the file as closed.
fn hold(user: &User, file: &File, stat: &Stat) -> home::Result<HeldFile> {
    user.ledger.hold(file_id(stat), || Ok(length(&rustix::fs::fstat(file)?)))
}

/// The space that removing or replacing a name frees. `stat` is that of the current file.
fn freed(user: &User, at: &Location, stat: &Stat, _lock: &NamespaceLock<'_>) -> home::Result<FreedSpace> {
    if stat.st_nlink > 1 {
        return Ok(FreedSpace::Nothing);
    }
    Ok(match FileType::from_raw_mode(stat.st_mode) {
        FileType::Symlink => FreedSpace::Link(length(stat)),
        // It may have been written to and closed since `stat` was read.
        FileType::RegularFile => {
            let now = || at.stat().map(|stat| length(&stat));
            FreedSpace::File(user.ledger.hold(file_id(stat), now)?)
        }
        _ => FreedSpace::Nothing,
    })
}
