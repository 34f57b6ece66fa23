//! Counting homes in the background, so that a server answers before it has read all trees.
//!
//! Homes whose users have logged in come first. At most [`COUNTS_PER_DISK`] homes of one disk are counted at a time. A count
//! during which something was removed is repeated; after [`FREE_TRIES`] of them removals wait. No other change affects
//! a count: see docs/adr/0022-counting-in-the-background.md.

use super::access::reason;
use super::homes::reopen;
use super::scan::{ScanTarget, scan};
use super::{NamespaceLock, Result};
use crate::permission::READ_FOLDER;
use rustix::fd::OwnedFd;
use sshome_store::quota::{Amount, Comparison, Ledger, ScanResult, UnreadableEntries};
use sshome_store::shown;
use std::collections::HashMap;
use std::convert::Infallible;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::thread;

/// Homes of one disk that are counted at a time. More would only cause seeks.
const COUNTS_PER_DISK: usize = 2;

/// Attempts to count one home during which removals are still served.
const FREE_TRIES: u32 = 3;

/// A phase of a count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CountPhase {
    /// The home is about to be read.
    Begins,
    /// It was read, and the result is about to be compared with the changes meanwhile.
    Scanned,
}

/// Called with the user at each phase of a count. The count waits until it returns.
pub(crate) type CountObserver = dyn Fn(&str, CountPhase) + Send + Sync;

/// A home that is to be counted. It does not keep the home open: once the home is no longer served, and its last session
/// has ended, the count ends as well.
#[derive(Debug)]
pub(super) struct HomeCount {
    pub(super) user: String,
    pub(super) root: PathBuf,
    /// A handle to the top without the home's lock.
    pub(super) top: OwnedFd,
    pub(super) device: u64,
    pub(super) ledger: Weak<Ledger>,
    pub(super) namespace: Weak<Mutex<()>>,
}

/// The homes of a store that are to be counted.
#[derive(Default)]
pub(super) struct CountQueue {
    state: Mutex<QueueState>,
    /// Whether the store is gone.
    stopped: AtomicBool,
    observer: Option<Box<CountObserver>>,
}

#[derive(Debug, Default)]
struct QueueState {
    /// In the order in which they were added.
    waiting: Vec<WaitingHome>,
    /// The number of threads for each disk, by device.
    threads: HashMap<u64, usize>,
    /// The number of the next preference.
    next: u64,
}

#[derive(Debug)]
struct WaitingHome {
    count: HomeCount,
    /// Its number among the homes whose users have logged in.
    preference: Option<u64>,
}

impl CountQueue {
    /// A queue that reports its counts to an observer.
    pub(super) fn observed(observer: Box<CountObserver>) -> CountQueue {
        CountQueue { observer: Some(observer), ..CountQueue::default() }
    }

    /// Adds a home.
    pub(super) fn add(self: &Arc<CountQueue>, count: HomeCount) {
        let device = count.device;
        self.state().waiting.push(WaitingHome { count, preference: None });
        self.run(device);
    }

    /// Counts a user's home before those of users who have not logged in.
    pub(super) fn prefer(self: &Arc<CountQueue>, user: &str) {
        let mut state = self.state();
        let next = state.next;
        let Some(home) = state.waiting.iter_mut().find(|home| home.count.user == user) else { return };
        home.preference.get_or_insert(next);
        let device = home.count.device;
        state.next += 1;
        drop(state);
        // Tries again if a thread could not be started before.
        self.run(device);
    }

    /// Ends all counts at their next entry.
    pub(super) fn stop(&self) {
        self.stopped.store(true, Relaxed);
    }

    /// Starts a thread for a disk, unless it has enough of them.
    fn run(self: &Arc<CountQueue>, device: u64) {
        let mut state = self.state();
        let has_work = state.waiting.iter().any(|home| home.count.device == device);
        let threads = state.threads.entry(device).or_default();
        if !has_work || *threads >= COUNTS_PER_DISK {
            return;
        }
        *threads += 1;
        drop(state);
        let queue = Arc::clone(self);
        let spawned = thread::Builder::new().name("count".to_owned()).spawn(move || queue.work(device));
        if let Err(error) = spawned {
            tracing::error!(%error, "a home cannot be counted yet: no thread could be started");
            self.state().end_thread(device);
        }
    }

    /// The body of a thread: counts the homes of a disk until none is left.
    fn work(&self, device: u64) {
        while let Some(count) = self.next(device) {
            // A panic must neither leave this home uncounted for ever nor stop the other counts.
            if catch_unwind(AssertUnwindSafe(|| count.run(self))).is_err() {
                count.give_up();
            }
        }
    }

    /// The next home of a disk. If there is none, the calling thread must end.
    fn next(&self, device: u64) -> Option<HomeCount> {
        let mut state = self.state();
        let on_disk = state.waiting.iter().enumerate().filter(|(_, home)| home.count.device == device);
        let first = on_disk.min_by_key(|(_, home)| home.preference.unwrap_or(u64::MAX)).map(|(at, _)| at);
        match first {
            Some(at) if !self.is_stopped() => Some(state.waiting.remove(at).count),
            _ => {
                // Under the same lock, so that a home that is added now gets a new thread.
                state.end_thread(device);
                None
            }
        }
    }

    /// Reports a phase to the observer.
    pub(super) fn observe(&self, user: &str, phase: CountPhase) {
        if let Some(observer) = &self.observer {
            observer(user, phase);
        }
    }

    fn is_stopped(&self) -> bool {
        self.stopped.load(Relaxed)
    }

    fn state(&self) -> MutexGuard<'_, QueueState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl QueueState {
    fn end_thread(&mut self, device: u64) {
        if let Some(threads) = self.threads.get_mut(&device) {
            *threads = threads.saturating_sub(1);
        }
    }
}

impl fmt::Debug for CountQueue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CountQueue").field("state", &self.state).finish_non_exhaustive()
    }
}

impl HomeCount {
    /// Counts until nothing was removed meanwhile.
    fn run(&self, queue: &CountQueue) {
        for tries in 0_u32.. {
            if tries >= FREE_TRIES
                && let Some(ledger) = self.ledger.upgrade()
            {
                ledger.hold_removals();
            }
            queue.observe(&self.user, CountPhase::Begins);
            match self.count_once(queue) {
                Some(Comparison::Busy) => {}
                Some(Comparison::Compared { found: Amount { bytes, entries }, .. }) => {
                    tracing::info!(user = self.user, bytes, entries, "home counted");
                    return;
                }
                // The scan has logged the unreadable entries, or the home is no longer served.
                Some(Comparison::Unreadable(_)) | None => return,
            }
        }
    }

    /// Counts once. `None` if the home is no longer served.
    fn count_once(&self, queue: &CountQueue) -> Option<Comparison> {
        let baseline = {
            let (ledger, namespace) = (self.ledger.upgrade()?, self.namespace.upgrade()?);
            let _names = NamespaceLock::lock(&namespace);
            ledger.begin_count()
        };
        let continues = |found: Amount| {
            let ledger = self.ledger.upgrade().filter(|_| !queue.is_stopped());
            ledger.inspect(|ledger| ledger.counted_so_far(found)).is_some()
                && self.namespace.strong_count() > 0
        };
        let target = ScanTarget { user: &self.user, root: &self.root, wants: |file| baseline.wants(file) };
        let found = match self.scan(&target, continues) {
            Ok(found) => found?,
            Err(error) => self.unreadable(&reason(&self.root, READ_FOLDER, error)),
        };
        queue.observe(&self.user, CountPhase::Scanned);
        let (ledger, namespace) = (self.ledger.upgrade()?, self.namespace.upgrade()?);
        let _names = NamespaceLock::lock(&namespace);
        match ledger.end_count(&baseline, found, || Ok::<_, Infallible>(0)) {
            Ok(comparison) => Some(comparison),
            Err(never) => match never {},
        }
    }

    fn scan(
        &self,
        target: &ScanTarget<'_, impl Fn(sshome_store::quota::FileId) -> bool>,
        continues: impl FnMut(Amount) -> bool,
    ) -> Result<Option<ScanResult>> {
        scan(target, reopen(&self.top)?, continues)
    }

    /// After a panic: nothing is stored until an administrator has had the home counted.
    fn give_up(&self) {
        let Some(ledger) = self.ledger.upgrade() else { return };
        let found = self.unreadable("a fault of the server; `sshomed quota scan` tries again");
        let given_up = ledger.end_count(&ledger.begin_count(), found, || Ok::<_, Infallible>(0));
        tracing::error!(user = self.user, ?given_up, "a home could not be counted");
    }

    /// The result for a home that could not be read at all.
    fn unreadable(&self, why: &str) -> ScanResult {
        let mut unreadable = UnreadableEntries::default();
        unreadable.add(|| (b"/".to_vec(), why.to_owned()));
        let root = shown(&self.root);
        tracing::error!(user = self.user, %root, why, "a home cannot be read: nothing is stored in it until `sshomed quota scan` has counted it");
        ScanResult { unreadable, ..ScanResult::default() }
    }
}
