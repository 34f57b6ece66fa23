//! The service: one function or type for each thing that users can do. The native protocol, SFTP and exec call the same
//! functions, so that a rule applies to all of them.
//!
//! Each operation takes a [`User`], which only a [`Login`] creates. It checks the permission, calls the store, writes the
//! audit record, and gives each error its status. Operations block, so they run in the blocking pool. Those that take
//! long work in steps: see the module `operation`.

mod backup;
mod browse;
mod comparison;
mod content_copy;
mod copy;
mod copy_data;
mod counting;
mod describe;
mod digest;
mod download;
mod error;
mod hash;
mod keys;
mod names;
mod open_file;
mod operation;
mod partial_uploads;
mod publish;
mod remove;
mod restricted;
mod shared_upload;
mod space;
mod stored_digests;
mod upload;
mod user_permits;

pub use backup::{Backup, BackupCopy, back_up};
pub use browse::{Listing, OpenDirectory, change_directory, enter_directory, open_directory, stat};
pub use content_copy::ContentCopy;
pub use copy::Copy;
pub use copy_data::CopyData;
pub(crate) use counting::ChangeKind;
pub use describe::{DescribedFile, Describing};
pub(crate) use digest::Hasher;
pub use digest::{DigestAlgorithm, DigestRange, FileDigest};
pub use download::{BlockRange, Download, RangeDownload};
pub use error::{Error, Result};
pub use hash::Hashing;
pub use keys::{install_key, keys, remove_key};
pub use names::{
    finalize_directories, hard_link, hold_directory, make_directory, make_new_directory, make_symlink,
    read_link, real_path, remove_directory, rename, rename_exact, set_attributes,
};
pub use open_file::OpenFile;
pub(crate) use operation::{LongOperation, OperationResult, STEP_BYTES, STEP_ENTRIES};
pub(crate) use partial_uploads::StreamCheck;
pub use partial_uploads::{PartCheck, discard, find_stream, parts, target_id};
pub use publish::{VerifiedUpload, publish};
pub use remove::{RecursiveRemoval, remove};
pub use shared_upload::{BlockRun, OpenedUpload, OpeningUpload, SharedUpload, SharedUploads, find_upload};
pub use space::{HomeSpace, space};
pub use sshome_store::{OpenMode, SetAttributes, StepLimit};
pub use stored_digests::StoredDigests;
pub use upload::{PutUpload, is_target_directory};
pub use user_permits::{Permits, UserPermits};

use crate::accounts::{Access, SftpUploads};
use crate::audit::Audit;
use crate::auth::Login;
use counting::CountProgress;
use restricted::AddedOnly;
use sshome_store::quota::LedgerUsage;
use sshome_store::{Cause, Ctx, Home, HomeSettings, HomeStore, HomeUsage, StoreResult, Takeover, entries};
use sshome_wire::{CreditedUsage, RemotePath, Usage};
use std::sync::Arc;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

/// A logged-in user with the home, opened for one channel.
#[derive(Debug)]
pub struct User {
    login: Login,
    home: Arc<dyn Home>,
    ctx: Ctx,
    /// Cancelled when a different channel resumes the stream of this one.
    superseded: CancellationToken,
    permits: Arc<Permits>,
    audit: Audit,
    count: CountProgress,
}

impl User {
    /// Opens the home of a user who has logged in.
    ///
    /// # Errors
    /// If the home is unavailable, or was replaced since it was opened.
    pub fn enter(
        login: Login,
        store: &dyn HomeStore,
        permits: &UserPermits,
    ) -> std::result::Result<User, Cause> {
        let folder = login.folder();
        let ctx = Ctx::default().guarded(Arc::new(AddedOnly(login.clone()))).within(folder.clone());
        let home = store.open(&ctx, &HomeSettings::from(&*login.account()))?;
        if let Some(folder) = folder {
            let top = home.info(&RemotePath::root(), true).map_err(|_| Cause::Unavailable)?;
            if !login.holds_view(top.id) {
                return Err(Cause::Folder { folder, why: "was replaced since you logged in: log in again" });
            }
        }
        let (superseded, permits) = (CancellationToken::new(), permits.of(login.name()));
        let (audit, count) = (Audit::default(), CountProgress::default());
        Ok(User { login, home, ctx, superseded, permits, audit, count })
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

    /// The context of the channel's calls, to be cancelled when the channel has ended.
    #[must_use]
    pub fn ctx(&self) -> &Ctx {
        &self.ctx
    }

    /// The permits for slices of this user's work.
    #[must_use]
    pub fn slice_permits(&self) -> Arc<Semaphore> {
        self.permits.slices()
    }

    /// The permits of this user over all sessions.
    pub(crate) fn permits(&self) -> &Permits {
        &self.permits
    }

    /// Whether short calls may run on a worker of the runtime.
    pub(crate) fn runs_inline(&self) -> bool {
        self.home.runs_inline()
    }

    /// Whether the user holds so much open that a batch should be published early.
    pub(crate) fn wants_publish(&self) -> bool {
        self.home.wants_publish()
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

    /// The permissions of the login.
    #[must_use]
    pub fn access(&self) -> Access {
        self.login.access()
    }

    /// The permissions of the account, which those of the key may restrict further.
    pub(crate) fn account_access(&self) -> Access {
        self.login.account().access
    }

    /// How files that SFTP clients write are stored.
    fn sftp_uploads(&self) -> SftpUploads {
        self.login.account().sftp_uploads
    }

    /// Call it before anything is read: the content of files, directories and links.
    ///
    /// # Errors
    /// If the login may only upload.
    fn require_read(&self) -> Result<()> {
        let allowed = if self.access().reads() { Ok(()) } else { Err(Error::UploadOnly) };
        allowed.inspect_err(|error| self.audit.refused(error))
    }

    /// Call it before anything is added.
    ///
    /// # Errors
    /// If the login may only read, or the home was replaced.
    fn require_add(&self) -> Result<()> {
        let allowed = match self.access().adds() {
            true => self.home.check_writable().map_err(Error::from),
            false if self.account_access().adds() => Err(Error::ReadOnlyKey),
            false => Err(Error::ReadOnly),
        };
        allowed.inspect_err(|error| self.audit.refused(error))
    }

    /// Call it before what exists at a path is changed.
    ///
    /// # Errors
    /// If the login may not, or the home was replaced.
    fn require_change(&self, path: &RemotePath) -> Result<()> {
        self.require_add()?;
        let allowed = if self.access().changes() { Ok(()) } else { Err(Error::Protected(path.clone())) };
        allowed.inspect_err(|error| self.audit.refused(error))
    }

    /// Changes what exists at a path, if the login may. A refusal is recorded.
    fn change<T>(&self, path: &RemotePath, change: impl FnOnce(&dyn Home) -> StoreResult<T>) -> Result<T> {
        self.require_change(path)?;
        self.recorded(change(&*self.home))
    }

    /// Adds something, if the login may. A refusal is recorded.
    fn add<T>(&self, add: impl FnOnce(&dyn Home) -> StoreResult<T>) -> Result<T> {
        self.require_add()?;
        self.recorded(add(&*self.home))
    }

    /// The same result, with a refusal recorded.
    fn recorded<T>(&self, result: StoreResult<T>) -> Result<T> {
        result.map_err(|error| {
            let error = Error::from(error);
            self.audit.refused(&error);
            error
        })
    }
}

/// Quota and usage, as `df` shows them.
///
/// # Errors
/// If the free space of the disk cannot be read.
pub fn usage(user: &User) -> Result<CreditedUsage> {
    let HomeUsage { usage: LedgerUsage { used, staged, credited }, limits, .. } = user.home.usage();
    let usage = Usage {
        used: used.bytes,
        reserved: staged.bytes,
        quota: limits.bytes,
        entries: used.entries,
        max_entries: limits.entries,
        disk_free: user.home.disk_space()?.bytes_free(),
    };
    Ok(CreditedUsage { usage, credited })
}

/// The sentence that says that the usage is not known yet; `None` if it is.
#[must_use]
pub fn counting_note(user: &User) -> Option<String> {
    let counted = entries(user.home.counting()?.entries);
    Some(format!("the home is being counted, {counted} so far: it holds more than this"))
}

/// Syncs all earlier changes of this channel to the disk.
///
/// # Errors
/// If the disk reports a failed write.
pub fn sync(user: &User) -> Result<()> {
    Ok(user.home.sync()?)
}
