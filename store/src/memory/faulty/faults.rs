//! Which calls fail, and when.

use crate::{Cause, StoreError, StoreResult};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use sshome_wire::RemotePath;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// The kinds of calls that can fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallKind {
    /// Publishing a batch.
    Publish,
    /// Renaming, or giving a file another name.
    Rename,
    /// Removing a file, a directory or a tree.
    Remove,
    /// Making a directory or a link.
    Make,
    /// Opening a file or beginning an upload.
    Open,
    /// Writing, and completing a file before it is published.
    Write,
    /// Anything else.
    Read,
}

/// Where a call fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FaultPoint {
    /// Nothing is changed.
    BeforeCommit,
    /// The change is made, and the answer is lost.
    AfterCommit,
}

/// The faults of a [`FaultyStore`](super::FaultyStore), which a test controls. There are none at first.
#[derive(Debug, Default)]
pub struct Faults {
    state: Mutex<FaultState>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct FaultState {
    /// The generator and the maximum of delays.
    delays: Option<(StdRng, Duration)>,
    /// The generator of failures, and N if one of N calls that change something fails.
    random: Option<(StdRng, u32)>,
    /// The next call of each kind fails here.
    next: Vec<(CallKind, FaultPoint)>,
    /// Whether calls hang: of this kind, or all.
    hangs: Option<Option<CallKind>>,
    /// The number of calls that hang.
    hanging: usize,
}

impl Faults {
    /// Delays of up to `max`, by a generator with this seed.
    #[must_use]
    pub fn delayed(seed: u64, max: Duration) -> Arc<Faults> {
        let faults = Faults::default();
        faults.state().delays = Some((StdRng::seed_from_u64(seed), max));
        Arc::new(faults)
    }

    /// Makes one of `one_in` calls that change something fail, by a generator with this seed. Half of them fail after
    /// the commit; writes and opens always before it. 0 ends the failures.
    pub fn fail_at_random(&self, seed: u64, one_in: u32) {
        self.state().random = (one_in > 0).then(|| (StdRng::seed_from_u64(seed), one_in));
    }

    /// Makes the next call of a kind fail.
    pub fn fail_next(&self, kind: CallKind, point: FaultPoint) {
        self.state().next.push((kind, point));
    }

    /// Makes all later calls hang.
    pub fn hang(&self) {
        self.state().hangs = Some(None);
    }

    /// Makes all calls of a kind hang that begin from now on.
    pub fn hang_in(&self, kind: CallKind) {
        self.state().hangs = Some(Some(kind));
    }

    /// Waits until this many calls hang.
    pub fn wait_for_hanging(&self, calls: usize) {
        let waits = |state: &mut FaultState| state.hanging < calls;
        drop(self.changed.wait_while(self.state(), waits).unwrap_or_else(PoisonError::into_inner));
    }

    /// Lets the hanging calls continue.
    pub fn release(&self) {
        self.state().hangs = None;
        self.changed.notify_all();
    }

    /// Executes a call, or fails it.
    pub(super) fn call<T>(
        &self,
        kind: CallKind,
        path: &RemotePath,
        call: impl FnOnce() -> StoreResult<T>,
    ) -> StoreResult<T> {
        self.pause_in(Some(kind));
        match self.fault(kind) {
            None => call(),
            Some(FaultPoint::BeforeCommit) => Err(StoreError::file(path, Cause::DiskFailed)),
            Some(FaultPoint::AfterCommit) => {
                call()?;
                Err(StoreError::file(path, Cause::Unanswered))
            }
        }
    }

    /// Waits while calls hang, and then for the delay of one call.
    pub(super) fn pause(&self) {
        self.pause_in(None);
    }

    fn pause_in(&self, kind: Option<CallKind>) {
        let mut state = self.state();
        if state.hangs.is_some_and(|hangs| hangs.is_none() || hangs == kind) {
            state.hanging += 1;
            self.changed.notify_all();
            let hangs = |state: &mut FaultState| state.hangs.is_some();
            state = self.changed.wait_while(state, hangs).unwrap_or_else(PoisonError::into_inner);
            state.hanging -= 1;
        }
        let delay = state.delays.as_mut().map(|(random, max)| max.mul_f64(random.random()));
        drop(state);
        delay.into_iter().for_each(std::thread::sleep);
    }

    /// Where a call of this kind fails; `None` if it does not.
    pub(super) fn fault(&self, kind: CallKind) -> Option<FaultPoint> {
        let mut state = self.state();
        if let Some(at) = state.next.iter().position(|(next, _)| *next == kind) {
            return Some(state.next.remove(at).1);
        }
        let (random, one_in) = state.random.as_mut().filter(|_| kind != CallKind::Read)?;
        let fails = random.random_range(0..*one_in) == 0;
        let is_after = random.random() && !matches!(kind, CallKind::Open | CallKind::Write);
        fails.then_some(if is_after { FaultPoint::AfterCommit } else { FaultPoint::BeforeCommit })
    }

    fn state(&self) -> MutexGuard<'_, FaultState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
