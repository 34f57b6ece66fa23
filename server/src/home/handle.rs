//! The handle to one user's files.

use super::directory::DefaultAclCache;
use super::shared::SharedHome;
use super::staging::StagingFolder;
use super::{
    DescriptorPermit, HomeRoot, Location, NamespaceLock, PartialUploads, Result, StreamLeases, WritebackEpoch,
};
use crate::quota::FileId;
use rustix::fd::OwnedFd;
use rustix::fs::{Mode, OFlags, StatVfs};
use std::sync::Arc;
use tokio::sync::Semaphore;

/// What a channel holds: the home's top, its staging folder, and two for the request that it is at.
const CHANNEL_DESCRIPTORS: usize = 4;

/// The handle to one user's files, opened for one login.
#[derive(Debug)]
pub struct Home {
    pub(super) top: OwnedFd,
    pub(super) staging: Option<StagingFolder>,
    pub(super) shared: Arc<SharedHome>,
    pub(super) default_acls: DefaultAclCache,
    /// For a channel; none for the server's own work.
    _descriptors: Option<DescriptorPermit>,
}

impl Home {
    /// Opens a home. `writable` makes the staging folder if it is missing.
    pub(super) fn open(writable: bool, shared: Arc<SharedHome>) -> Result<Home> {
        // Not by its path: if the disk is unmounted, the folder below is another home.
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let top = rustix::fs::openat(&shared.top, c".", flags, Mode::empty())?;
        let staging = StagingFolder::open(&top, writable)?;
        Ok(Home { top, staging, shared, default_acls: DefaultAclCache::default(), _descriptors: None })
    }

    /// The same for a channel of the user's.
    pub(super) fn open_for_user(writable: bool, shared: Arc<SharedHome>) -> Result<Home> {
        let permit = shared.descriptors.take(CHANNEL_DESCRIPTORS)?;
        Ok(Home { _descriptors: Some(permit), ..Home::open(writable, shared)? })
    }

    /// To be held with so many descriptors that stay open beyond one call.
    ///
    /// # Errors
    /// If the user has as many as one may have.
    pub fn descriptors(&self, count: usize) -> Result<DescriptorPermit> {
        Ok(self.shared.descriptors.take(count)?)
    }

    /// Whether the user has used up half of the descriptors that one may have: what is held to be dealt with
    /// together should be dealt with now.
    #[must_use]
    pub fn descriptors_are_scarce(&self) -> bool {
        self.shared.descriptors.are_scarce()
    }

    /// Keeps all other sessions from changing names in this home, so that what a name stands for
    /// can be looked at, booked and changed as one. To be held for moments only.
    #[must_use]
    pub fn lock_namespace(&self) -> NamespaceLock<'_> {
        self.shared.lock_namespace()
    }

    /// To be acquired around work in this home: it has its share of the threads, and no more.
    #[must_use]
    pub fn slice_permits(&self) -> Arc<Semaphore> {
        Arc::clone(&self.shared.slice_permits)
    }

    /// Whether the home's path still leads to it: to be asked before a change.
    #[must_use]
    pub fn root(&self) -> &Arc<HomeRoot> {
        &self.shared.root
    }

    /// The streams that sessions in this home are at work on.
    #[must_use]
    pub fn stream_leases(&self) -> &Arc<StreamLeases> {
        &self.shared.stream_leases
    }

    /// Puts everything on the disk that was written since the mark. Callers at the same time share one
    /// run.
    ///
    /// # Errors
    /// If the disk reports that something could not be written, be it somebody else's.
    pub fn sync(&self, since: WritebackEpoch) -> Result<()> {
        Ok(self.shared.filesystem.sync(since)?)
    }

    /// To be noted before the first write of what [`Home::sync`] is to put on the disk.
    #[must_use]
    pub fn writeback_epoch(&self) -> WritebackEpoch {
        self.shared.filesystem.writeback_epoch()
    }

    /// Free bytes on the home's disk for this process.
    ///
    /// # Errors
    /// If the kernel does not tell.
    pub fn disk_free(&self) -> Result<u64> {
        let filesystem = self.statvfs()?;
        Ok(filesystem.f_bavail.saturating_mul(filesystem.f_frsize))
    }

    /// What the kernel tells of the home's disk.
    ///
    /// # Errors
    /// If it does not tell.
    pub fn statvfs(&self) -> Result<StatVfs> {
        Ok(rustix::fs::fstatvfs(&self.top)?)
    }

    /// Whether what is staged can get a name there: a rename does not leave its mount. Where nothing can be
    /// staged, nothing is in the way.
    ///
    /// # Errors
    /// If the kernel does not tell.
    pub fn shares_mount(&self, target: &Location) -> Result<bool> {
        match &self.staging {
            Some(staging) => Ok(staging.mount() == target.dir_info()?.mount),
            None => Ok(true),
        }
    }

    /// Whether staged files are created with an access control list, which the staging folder has from the
    /// home's default one.
    pub(super) fn stages_with_acl(&self) -> bool {
        self.staging.as_ref().is_some_and(StagingFolder::has_default_acl)
    }

    /// To be called when a batch of uploads is complete: what was read once for all of them may change before
    /// the next.
    pub fn end_batch(&self) {
        self.default_acls.clear();
    }

    pub(super) fn is_staging(&self, id: FileId) -> bool {
        self.staging.as_ref().is_some_and(|staging| staging.id() == id)
    }

    /// The shelf, which all sessions in this home share.
    #[must_use]
    pub fn partial_uploads(&self) -> &Arc<PartialUploads> {
        &self.shared.partial_uploads
    }
}
