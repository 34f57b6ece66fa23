//! State that all sessions in one home share.

use super::descriptors::UserDescriptors;
use super::filesystem::Filesystem;
use super::{HomeRoot, NamespaceLock, PartialUploads, StreamLeases};
use crate::quota::UnreadableEntries;
use rustix::fd::OwnedFd;
use std::sync::{Arc, Mutex};
use tokio::sync::Semaphore;

/// State that all sessions in one home share.
#[derive(Debug)]
pub(super) struct SharedHome {
    /// The home's top. Its file lock keeps a second server from serving it.
    pub(super) top: OwnedFd,
    pub(super) root: Arc<HomeRoot>,
    namespace: Mutex<()>,
    pub(super) partial_uploads: Arc<PartialUploads>,
    pub(super) stream_leases: Arc<StreamLeases>,
    pub(super) filesystem: Arc<Filesystem>,
    pub(super) slice_permits: Arc<Semaphore>,
    pub(super) descriptors: Arc<UserDescriptors>,
    /// The result of the last inspection.
    pub(super) unreadable: Mutex<UnreadableEntries>,
}

/// Slices of work that run at a time for one user, over all sessions.
pub(super) const MAX_CONCURRENT_SLICES: usize = 16;

impl SharedHome {
    pub(super) fn new(
        top: OwnedFd,
        root: HomeRoot,
        filesystem: Arc<Filesystem>,
        descriptors: Arc<UserDescriptors>,
    ) -> SharedHome {
        let slice_permits = Arc::new(Semaphore::new(MAX_CONCURRENT_SLICES));
        let (namespace, partial_uploads, stream_leases) = (Mutex::default(), Arc::default(), Arc::default());
        let (root, unreadable) = (Arc::new(root), Mutex::default());
        SharedHome {
            top,
            root,
            namespace,
            partial_uploads,
            stream_leases,
            filesystem,
            slice_permits,
            descriptors,
            unreadable,
        }
    }

    pub(super) fn lock_namespace(&self) -> NamespaceLock<'_> {
        NamespaceLock::lock(&self.namespace)
    }
}
