//! A divided file, which all connections share.

use super::state::{SplitPhase, SplitState};
use sshome_wire::{Digest, RangeHeader};
use std::fs::File;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use tokio::sync::watch;

/// A file that several connections fetch.
#[derive(Debug)]
pub(super) struct SplitFile {
    /// Its number in the plan.
    pub(super) number: usize,
    /// Its path on the server.
    pub(super) path: Vec<u8>,
    /// Changes when another version is fetched. Data that was requested before is not written then: the lock excludes that
    /// a thread is late with it.
    generation: RwLock<u64>,
    state: Mutex<SplitState>,
    /// Notified when there may be something to do again.
    pub(super) changed: Arc<watch::Sender<()>>,
}

/// A partial file.
#[derive(Debug)]
pub(super) struct SplitPart {
    pub(super) name: Vec<u8>,
    /// Its lock excludes other clients.
    pub(super) handle: File,
}

impl SplitFile {
    pub(super) fn new(number: usize, path: Vec<u8>, changed: Arc<watch::Sender<()>>) -> SplitFile {
        let (generation, state) = (RwLock::new(0), Mutex::default());
        SplitFile { number, path, generation, state, changed }
    }

    pub(super) fn is_finished(&self) -> bool {
        self.state().phase == SplitPhase::Finished
    }

    /// Closes its partial file. Returns its name if it has no block that could be resumed.
    pub(super) fn close_part(&self) -> Option<Vec<u8>> {
        let mut state = self.state();
        let part = state.part.take()?;
        state.blocks.is_empty().then(|| part.name.clone())
    }

    /// The partial file is about to be published or removed.
    pub(super) fn forget_part(&self) {
        self.state().part = None;
    }

    /// Ends it. Returns whether it had not ended before.
    pub(super) fn finish(&self) -> bool {
        let mut generation = self.change_generation();
        *generation += 1;
        let mut state = self.state();
        let before = std::mem::replace(&mut state.phase, SplitPhase::Finished);
        drop(state);
        self.changed.send_replace(());
        before != SplitPhase::Finished
    }

    /// The partial file, once it was opened.
    pub(super) fn part(&self) -> Option<Arc<SplitPart>> {
        self.state().part.clone()
    }

    /// As long as it is held, no other version is fetched.
    pub(super) fn generation(&self) -> RwLockReadGuard<'_, u64> {
        self.generation.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// The right to fetch another version. The state is locked after it.
    pub(super) fn change_generation(&self) -> RwLockWriteGuard<'_, u64> {
        self.generation.write().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn state(&self) -> MutexGuard<'_, SplitState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The right to open a file. Dropping it leaves that to others.
pub(super) struct Opening {
    pub(super) file: Arc<SplitFile>,
    is_done: bool,
}

impl Opening {
    /// Begins to open a file that waits for it.
    pub(super) fn begin(file: &Arc<SplitFile>) -> Option<Opening> {
        let mut state = file.state();
        (state.phase == SplitPhase::Waiting).then(|| {
            state.phase = SplitPhase::Opening;
            Opening { file: Arc::clone(file), is_done: false }
        })
    }

    /// The file is open: the server's version is known, and the partial file with the digests of its blocks if it was not
    /// open before. Returns how many reported bytes are beyond the end of this version.
    ///
    /// # Errors
    /// If the partial file cannot be truncated.
    pub(super) fn finish(
        mut self,
        header: RangeHeader,
        found: Option<(SplitPart, Vec<Digest>)>,
    ) -> io::Result<u64> {
        let size = header.version.size;
        let mut generation = self.file.change_generation();
        let mut state = self.file.state();
        if let Some((part, digests)) = found {
            state.blocks.claim(digests);
            state.part = Some(Arc::new(part));
        }
        if state.phase != SplitPhase::Opening {
            // It has failed meanwhile.
            return Ok(0);
        }
        if let Some(part) = &state.part
            && part.handle.metadata()?.len() > size
        {
            part.handle.set_len(size)?;
        }
        let lost = state.blocks.begin(size);
        state.header = Some(header);
        state.phase = SplitPhase::Open;
        state.starts += 1;
        *generation += 1;
        self.is_done = true;
        drop((generation, state));
        self.file.changed.send_replace(());
        Ok(lost)
    }

    /// The file needs no opening: it is finished in another way.
    pub(super) fn give_up(mut self) {
        self.is_done = true;
        self.file.finish();
    }
}

impl Drop for Opening {
    fn drop(&mut self) {
        let mut state = self.file.state();
        if !self.is_done && state.phase == SplitPhase::Opening {
            state.phase = SplitPhase::Waiting;
            drop(state);
            self.file.changed.send_replace(());
        }
    }
}
