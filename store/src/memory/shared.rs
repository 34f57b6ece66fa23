//! What all channels of a user share.

use super::partial::MemoryPartialUploads;
use super::resolve::MemoryLocation;
use super::tree::Tree;
use crate::quota::{FreedSpace, HeldFile, Ledger};
use crate::{Capabilities, Cause, FileType, StreamLeases};
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// One user's home. Locks are taken in this order: the tree, the partial uploads, the ledger.
#[derive(Debug)]
pub(super) struct MemorySharedHome {
    pub(super) capabilities: Capabilities,
    pub(super) ledger: Arc<Ledger>,
    tree: Mutex<Tree>,
    pub(super) partial_uploads: MemoryPartialUploads,
    pub(super) stream_leases: Arc<StreamLeases>,
    /// Bytes of all staged files.
    pub(super) staged_bytes: Arc<AtomicU64>,
}

impl MemorySharedHome {
    pub(super) fn new(capabilities: Capabilities, ledger: Ledger, tree: Tree) -> MemorySharedHome {
        MemorySharedHome {
            capabilities,
            ledger: Arc::new(ledger),
            tree: Mutex::new(tree),
            partial_uploads: MemoryPartialUploads::default(),
            stream_leases: Arc::default(),
            staged_bytes: Arc::default(),
        }
    }

    /// Locks the names, the content of files, and with them the accounting of both.
    pub(super) fn tree(&self) -> MutexGuard<'_, Tree> {
        self.tree.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Bytes of all staged files.
    pub(super) fn staged_bytes(&self) -> u64 {
        self.staged_bytes.load(SeqCst)
    }

    /// The space that removing or replacing the name of a node frees.
    pub(super) fn freed(&self, tree: &Tree, id: u64) -> Result<FreedSpace, Cause> {
        let node = tree.node(id)?;
        Ok(match node.file_type() {
            _ if node.links > 1 => FreedSpace::Nothing,
            FileType::Regular => FreedSpace::File(self.hold(tree, id)?),
            FileType::Symlink => FreedSpace::Link(node.length()),
            _ => FreedSpace::Nothing,
        })
    }

    /// Records in the ledger that a file is open.
    pub(super) fn hold(&self, tree: &Tree, id: u64) -> Result<HeldFile, Cause> {
        let length = tree.node(id)?.length();
        self.ledger.hold(tree.file_id(id), || Ok(length))
    }

    /// Removes the name of anything but a directory with entries, and accounts for it.
    pub(super) fn remove(&self, tree: &mut Tree, at: &MemoryLocation) -> Result<(), Cause> {
        let freed = self.freed(tree, tree.existing(at)?)?;
        tree.unlink(at)?;
        self.ledger.removed(freed);
        Ok(())
    }
}

/// A node that a handle has open: it stays when its last name is removed. Dropping it locks the tree.
#[derive(Debug)]
pub(super) struct OpenNode {
    pub(super) home: Arc<MemorySharedHome>,
    pub(super) id: u64,
}

impl OpenNode {
    pub(super) fn new(home: &Arc<MemorySharedHome>, tree: &mut Tree, id: u64) -> OpenNode {
        tree.open(id);
        OpenNode { home: Arc::clone(home), id }
    }
}

impl Drop for OpenNode {
    fn drop(&mut self) {
        self.home.tree().close(self.id);
    }
}
