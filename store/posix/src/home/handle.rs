//! The handle to one user's files.

use super::directory::DefaultAclCache;
use super::shared::SharedHome;
use super::staging::StagingFolder;
use super::{
    DescriptorPermit, HomeRoot, Location, NamespaceLock, PartialUploads, Result, StreamLeases, WritebackEpoch,
};
use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{Mode, OFlags, StatVfs};
use sshome_store::quota::{FileId, Ledger};
use sshome_wire::RemotePath;
use std::sync::Arc;

/// Descriptors that a channel holds: the home's top, its staging folder, and two for the current request.
const CHANNEL_DESCRIPTORS: usize = 4;

/// The handle to one user's files, opened for one channel.
#[derive(Debug)]
pub(crate) struct HomeHandle {
    /// Where paths begin: the home's top, or that of the channel's view.
    pub(super) top: OwnedFd,
    /// The path of the view's top in the home; `None` for the whole home.
    view: Option<RemotePath>,
    pub(super) staging: Option<StagingFolder>,
    pub(super) shared: Arc<SharedHome>,
    pub(super) default_acls: DefaultAclCache,
    /// For a channel; `None` for the server's own work.
    _descriptors: Option<DescriptorPermit>,
}

impl HomeHandle {
    /// Opens a home. With `writable`, a missing staging folder is created.
    pub(super) fn open(writable: bool, shared: Arc<SharedHome>) -> Result<HomeHandle> {
        // Not by its path: after an unmount it leads to a different directory.
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let top = rustix::fs::openat(&shared.top, c".", flags, Mode::empty())?;
        let staging = StagingFolder::open(&top, writable)?;
        let (view, default_acls) = (None, DefaultAclCache::default());
        Ok(HomeHandle { top, view, staging, shared, default_acls, _descriptors: None })
    }

    /// The same, seen from this folder on. It is resolved now, links followed, and held.
    ///
    /// # Errors
    /// If it is not a directory, or cannot be opened.
    pub(crate) fn within(self, folder: &RemotePath) -> Result<HomeHandle> {
        let top = self.open_directory(folder)?;
        let view = self.path_of(top.as_fd())?;
        Ok(HomeHandle { top, view: Some(view), ..self })
    }

    /// The path in the home of a path in the view.
    pub(crate) fn path_in_home(&self, path: &RemotePath) -> RemotePath {
        let below = path.as_bytes().strip_prefix(b"/").unwrap_or(path.as_bytes());
        // A path that becomes too long leads to no file after a restart.
        self.view.as_ref().and_then(|view| view.join(below).ok()).unwrap_or_else(|| path.clone())
    }

    /// The path in the view of a path in the home; `None` if it is outside.
    pub(crate) fn path_in_view(&self, path: &RemotePath) -> Option<RemotePath> {
        let Some(view) = &self.view else { return Some(path.clone()) };
        let view = view.as_bytes().strip_suffix(b"/").unwrap_or(view.as_bytes());
        let below = path.as_bytes().strip_prefix(view)?;
        if below.starts_with(b"/") { RemotePath::root().join(below).ok() } else { None }
    }

    /// The same for a channel, whose descriptors count against the user's budget.
    pub(super) fn open_for_user(writable: bool, shared: Arc<SharedHome>) -> Result<HomeHandle> {
        let permit = shared.descriptors.take(CHANNEL_DESCRIPTORS)?;
        Ok(HomeHandle { _descriptors: Some(permit), ..HomeHandle::open(writable, shared)? })
    }

    /// A permit for `count` descriptors that stay open beyond one call.
    ///
    /// # Errors
    /// If the user's budget is used up.
    pub(crate) fn descriptors(&self, count: usize) -> Result<DescriptorPermit> {
        Ok(self.shared.descriptors.take(count)?)
    }

    /// Whether the user has used half of the descriptor budget: a batch should be published early.
    #[must_use]
    pub(crate) fn descriptors_are_scarce(&self) -> bool {
        self.shared.descriptors.are_scarce()
    }

    /// Keeps other sessions from changing names in this home, so that a name can be looked up, accounted for and changed
    /// atomically. Hold it briefly.
    #[must_use]
    pub(crate) fn lock_namespace(&self) -> NamespaceLock<'_> {
        self.shared.lock_namespace()
    }

    /// What the home holds and may hold.
    #[must_use]
    pub(crate) fn ledger(&self) -> &Arc<Ledger> {
        &self.shared.ledger
    }

    /// The home's root, to be checked before a change.
    #[must_use]
    pub(crate) fn root(&self) -> &Arc<HomeRoot> {
        &self.shared.root
    }

    /// The leases of streams that are being received.
    #[must_use]
    pub(crate) fn stream_leases(&self) -> &Arc<StreamLeases> {
        &self.shared.stream_leases
    }

    /// Syncs everything that was written since the epoch `since`. Concurrent callers share one `syncfs`.
    ///
    /// # Errors
    /// If the disk reports a failed write, also one of another session.
    pub(crate) fn sync(&self, since: WritebackEpoch) -> Result<()> {
        Ok(self.shared.filesystem.sync(since)?)
    }

    /// The current writeback epoch. Take it before the first write that [`HomeHandle::sync`] is to cover.
    #[must_use]
    pub(crate) fn writeback_epoch(&self) -> WritebackEpoch {
        self.shared.filesystem.writeback_epoch()
    }

    /// `statvfs` of the home's disk.
    ///
    /// # Errors
    /// The kernel's.
    pub(crate) fn statvfs(&self) -> Result<StatVfs> {
        Ok(rustix::fs::fstatvfs(&self.top)?)
    }

    /// Whether a staged file can be renamed to `target`: it must be on the same mount. Always true without a staging
    /// folder.
    ///
    /// # Errors
    /// The kernel's.
    pub(crate) fn shares_mount(&self, target: &Location) -> Result<bool> {
        match &self.staging {
            Some(staging) => Ok(staging.mount() == target.dir_info()?.mount),
            None => Ok(true),
        }
    }

    /// Whether staged files get an access control list from the staging folder, which inherits the home's default one.
    pub(super) fn stages_with_acl(&self) -> bool {
        self.staging.as_ref().is_some_and(StagingFolder::has_default_acl)
    }

    /// Call it when a batch of uploads is complete: drops what was cached for the batch.
    pub(crate) fn end_batch(&self) {
        self.default_acls.clear();
    }

    pub(super) fn is_staging(&self, id: FileId) -> bool {
        self.staging.as_ref().is_some_and(|staging| staging.id() == id)
    }

    /// The partial uploads that no session works on.
    #[must_use]
    pub(crate) fn partial_uploads(&self) -> &Arc<PartialUploads> {
        &self.shared.partial_uploads
    }
}
