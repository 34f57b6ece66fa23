//! State that all sessions in one home share.

use super::descriptors::UserDescriptors;
use super::filesystem::Filesystem;
use super::{HomeRoot, NamespaceLock, PartialUploads, StreamLeases};
use rustix::fd::OwnedFd;
use sshome_store::quota::{Ledger, UnreadableEntries};
use std::sync::{Arc, Mutex};

/// State that all sessions in one home share.
#[derive(Debug)]
pub(super) struct SharedHome {
    /// The home's top. Its file lock keeps a second server from serving it.
    pub(super) top: OwnedFd,
    pub(super) root: Arc<HomeRoot>,
    pub(super) ledger: Arc<Ledger>,
    pub(super) namespace: Arc<Mutex<()>>,
    pub(super) partial_uploads: Arc<PartialUploads>,
    pub(super) stream_leases: Arc<StreamLeases>,
    pub(super) filesystem: Arc<Filesystem>,
    pub(super) descriptors: Arc<UserDescriptors>,
    /// The result of the last inspection.
    pub(super) unreadable: Mutex<UnreadableEntries>,
}

impl SharedHome {
    pub(super) fn new(
        top: OwnedFd,
        root: HomeRoot,
        ledger: Arc<Ledger>,
        filesystem: Arc<Filesystem>,
        descriptors: Arc<UserDescriptors>,
    ) -> SharedHome {
        let (namespace, partial_uploads, stream_leases) = (Arc::default(), Arc::default(), Arc::default());
        let (root, unreadable) = (Arc::new(root), Mutex::default());
        SharedHome {
            top,
            root,
            ledger,
            namespace,
            partial_uploads,
            stream_leases,
            filesystem,
            descriptors,
            unreadable,
        }
    }

    pub(super) fn lock_namespace(&self) -> NamespaceLock<'_> {
        NamespaceLock::lock(&self.namespace)
    }
}
