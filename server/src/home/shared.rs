//! What all sessions in one home share.

use super::descriptors::UserDescriptors;
use super::filesystem::Disk;
use super::{HomeRoot, Names, Shelf, Streams};
use crate::quota::Unreadable;
use rustix::fd::OwnedFd;
use std::sync::{Arc, Mutex};
use tokio::sync::Semaphore;

/// What all sessions in one home share.
#[derive(Debug)]
pub(super) struct Place {
    /// The home's top, locked for as long as the server runs, so that no second one books it.
    pub(super) top: OwnedFd,
    pub(super) root: Arc<HomeRoot>,
    names: Mutex<()>,
    pub(super) shelf: Arc<Shelf>,
    pub(super) streams: Arc<Streams>,
    pub(super) disk: Arc<Disk>,
    pub(super) turns: Arc<Semaphore>,
    pub(super) descriptors: Arc<UserDescriptors>,
    /// What the last inspection found.
    pub(super) unreadable: Mutex<Unreadable>,
}

/// How much of one user's work may run at a time.
pub(super) const TURNS: usize = 16;

impl Place {
    pub(super) fn new(
        top: OwnedFd,
        root: HomeRoot,
        disk: Arc<Disk>,
        descriptors: Arc<UserDescriptors>,
    ) -> Place {
        let turns = Arc::new(Semaphore::new(TURNS));
        let (names, shelf, streams) = (Mutex::default(), Arc::default(), Arc::default());
        let (root, unreadable) = (Arc::new(root), Mutex::default());
        Place { top, root, names, shelf, streams, disk, turns, descriptors, unreadable }
    }

    pub(super) fn lock_names(&self) -> Names<'_> {
        Names::lock(&self.names)
    }
}
