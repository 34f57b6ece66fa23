//! A divided file, which all connections share.

use crate::transfer::block_pool::{BlockPool, MAX_STARTS};
use crate::transfer::delta::OldVersion;
use crate::transfer::put::source::LocalSource;
use crate::transfer::put::walk::{ParentDirectory, UploadItem};
use sshome_wire::{Digest, RemotePath, UploadId};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::watch;

/// A file that several connections send.
#[derive(Debug)]
pub(super) struct SplitUpload {
    pub(super) from: PathBuf,
    pub(super) to: RemotePath,
    /// Whether a link is followed.
    pub(super) follow: bool,
    /// What it would replace.
    pub(super) old: OldVersion,
    /// The number of connections that are expected.
    pub(super) connections: usize,
    state: Mutex<UploadState>,
    /// Notified when there may be something to do again.
    changed: Arc<watch::Sender<()>>,
}

/// The state of a divided file.
#[derive(Debug, Default)]
pub(super) struct UploadState {
    pub(super) phase: UploadPhase,
    /// The parent, which does not count as filled before this file is finished.
    within: ParentDirectory,
    /// The open file, once it was opened. It stays the same, so that a change is noticed.
    pub(super) local: Option<Arc<LocalSource>>,
    /// Claimed blocks are on the server.
    pub(super) blocks: BlockPool,
    /// How often the upload was opened since it got further than before.
    pub(super) starts: u32,
    /// The largest number of blocks that were on the server.
    pub(super) reached: usize,
    /// Whether it may be stored already: the answer of the server was lost.
    pub(super) may_be_stored: bool,
}

/// What is done with a divided file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum UploadPhase {
    /// The upload has to be opened.
    #[default]
    Waiting,
    Opening,
    Open(UploadId),
    Finishing,
    /// It is stored, or has failed.
    Finished,
}

impl SplitUpload {
    /// A file to be sent over about this many connections: its path, and whether a link is followed; its path on the server,
    /// and its parent; and what it would replace.
    pub(super) fn new(
        (from, follow): (PathBuf, bool),
        (to, within): (RemotePath, ParentDirectory),
        old: OldVersion,
        connections: usize,
        changed: Arc<watch::Sender<()>>,
    ) -> SplitUpload {
        let state = Mutex::new(UploadState { within, ..UploadState::default() });
        SplitUpload { from, to, follow, old, connections, state, changed }
    }

    pub(super) fn is_finished(&self) -> bool {
        self.state().phase == UploadPhase::Finished
    }

    /// Its parent.
    pub(super) fn within(&self) -> ParentDirectory {
        self.state().within.clone()
    }

    /// The open file, once it was opened.
    pub(super) fn local(&self) -> Option<Arc<LocalSource>> {
        self.state().local.clone()
    }

    /// The digest of the whole file, if the answer was lost that it is stored.
    pub(super) fn may_be_stored(&self) -> Option<Digest> {
        let state = self.state();
        if state.may_be_stored { state.blocks.digest() } else { None }
    }

    /// The item, to be sent over one connection.
    pub(super) fn as_whole(&self, size: u64, old: OldVersion) -> UploadItem {
        let (from, to, within, follow) = (self.from.clone(), self.to.clone(), self.within(), self.follow);
        UploadItem::File { from, to, follow, size, old, within }
    }

    /// Ends it. Returns the id of an upload that is open, and whether the file had not ended before.
    pub(super) fn finish(&self) -> (Option<UploadId>, bool) {
        let mut state = self.state();
        let before = std::mem::replace(&mut state.phase, UploadPhase::Finished);
        // The last file of a directory queues the end of the directory.
        let ended = (std::mem::take(&mut state.within), state.local.take());
        drop(state);
        drop(ended);
        self.notify();
        let id = if let UploadPhase::Open(id) = before { Some(id) } else { None };
        (id, before != UploadPhase::Finished)
    }

    /// Begins an upload again that has ended on the server. Returns `false` if that has happened too often.
    pub(super) fn restart(&self, ended: UploadId) -> bool {
        let mut state = self.state();
        if state.phase != UploadPhase::Open(ended) {
            return true;
        }
        if state.starts >= MAX_STARTS {
            return false;
        }
        state.phase = UploadPhase::Waiting;
        drop(state);
        self.notify();
        true
    }

    /// There may be something to do again.
    pub(super) fn notify(&self) {
        self.changed.send_replace(());
    }

    pub(super) fn state(&self) -> MutexGuard<'_, UploadState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
