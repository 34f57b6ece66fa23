//! The homes of all users in memory.

use super::home::{MemoryHome, disk_space};
use super::shared::MemorySharedHome;
use super::tree::Tree;
use crate::quota::{Amount, Comparison, Ledger, QuotaLimits, ScanResult, UnreadableEntries};
use crate::{
    Capabilities, Cause, Ctx, FileType, Home, HomeProblem, HomeSettings, HomeStore, HomeUsage, PrepareError,
    PreparedHome,
};
use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// The identity of the only disk.
const DEVICE: u64 = 1;

/// Homes in memory, for one store or several.
#[derive(Debug)]
pub struct MemoryBacking {
    capabilities: Capabilities,
    /// By user.
    homes: Mutex<BTreeMap<String, Arc<MemorySharedHome>>>,
    /// The number of the next file in any home.
    next: Arc<AtomicU64>,
    /// Whether homes that are opened now stay uncounted.
    holds_counts: AtomicBool,
}

/// A store of homes in memory.
#[derive(Clone, Debug)]
pub struct MemoryStore {
    backing: Arc<MemoryBacking>,
    states: Arc<Mutex<States>>,
}

/// The homes that a store serves, by user, and those that it cannot serve.
type States = BTreeMap<String, Result<Arc<MemorySharedHome>, HomeProblem>>;

impl MemoryBacking {
    /// No homes. Stores on it have these capabilities.
    #[must_use]
    pub fn new(capabilities: Capabilities) -> Arc<MemoryBacking> {
        let (homes, next, holds_counts) = (Mutex::default(), Arc::default(), AtomicBool::new(false));
        Arc::new(MemoryBacking { capabilities, homes, next, holds_counts })
    }

    /// Leaves homes that are opened from now on uncounted until [`release_counts`](MemoryBacking::release_counts), as
    /// on a disk that takes long to read. Otherwise homes in memory need no count.
    pub fn hold_counts(&self) {
        self.holds_counts.store(true, SeqCst);
    }

    /// Counts all homes.
    pub fn release_counts(&self) {
        self.holds_counts.store(false, SeqCst);
        let homes = self.homes.lock().unwrap_or_else(PoisonError::into_inner);
        homes.values().for_each(|shared| drop(count(shared)));
    }

    /// A user's home, which is made if it is missing.
    fn home(&self, settings: &HomeSettings) -> Arc<MemorySharedHome> {
        let mut homes = self.homes.lock().unwrap_or_else(PoisonError::into_inner);
        let made = || {
            let tree = Tree::new(DEVICE, Arc::clone(&self.next));
            let ledger = Ledger::new(settings.limits, Amount::default(), UnreadableEntries::default());
            Arc::new(MemorySharedHome::new(self.capabilities, ledger, tree))
        };
        Arc::clone(homes.entry(settings.user.clone()).or_insert_with(made))
    }
}

impl MemoryStore {
    /// A store of its own, with all capabilities.
    #[must_use]
    pub fn new() -> MemoryStore {
        MemoryStore::on(&MemoryBacking::new(Capabilities::ALL))
    }

    /// A store of the homes in `backing`. Two stores on one backing are two nodes of one host: each sees the changes of
    /// the other at once.
    #[must_use]
    pub fn on(backing: &Arc<MemoryBacking>) -> MemoryStore {
        MemoryStore { backing: Arc::clone(backing), states: Arc::default() }
    }

    fn states(&self) -> MutexGuard<'_, States> {
        lock(&self.states)
    }

    fn served(&self, user: &str) -> Option<Arc<MemorySharedHome>> {
        self.states().get(user).and_then(|state| state.as_ref().ok().map(Arc::clone))
    }

    fn all_served(&self) -> Vec<(String, Arc<MemorySharedHome>)> {
        let states = self.states();
        let served =
            states.iter().filter_map(|(user, state)| Some((user.clone(), Arc::clone(state.as_ref().ok()?))));
        served.collect()
    }
}

impl Default for MemoryStore {
    fn default() -> MemoryStore {
        MemoryStore::new()
    }
}

impl HomeStore for MemoryStore {
    fn capabilities(&self) -> Capabilities {
        self.backing.capabilities
    }

    fn prepare(&self, home: &HomeSettings) -> Result<PreparedHome, PrepareError> {
        if let Some(why) = &home.unfit {
            let (user, root, why) = (home.user.clone(), home.root.clone(), why.clone());
            return Err(PrepareError::Home { user, root, why });
        }
        let shared = self.backing.home(home);
        if self.backing.holds_counts.load(SeqCst) {
            shared.ledger.uncount();
        }
        shared.ledger.set_limits(home.limits);
        let (states, user) = (Arc::clone(&self.states), home.user.clone());
        Ok(PreparedHome::new(move || {
            lock(&states).insert(user, Ok(shared));
        }))
    }

    fn open(&self, ctx: &Ctx, home: &HomeSettings) -> Result<Arc<dyn Home>, Cause> {
        if ctx.folder().is_some() {
            return Err(Cause::Unsupported);
        }
        // Only the administrator sees the reason.
        self.retry(home).map_err(|_| Cause::Unavailable)?;
        let shared = self.served(&home.user).ok_or(Cause::Unavailable)?;
        Ok(Arc::new(MemoryHome { shared, ctx: ctx.clone(), device: DEVICE }))
    }

    fn set_unavailable(&self, home: &HomeSettings, error: &PrepareError) {
        let (user, root, why) = (home.user.clone(), home.root.clone(), error.reason());
        self.states().insert(user.clone(), Err(HomeProblem { user, root, why }));
    }

    fn retry(&self, home: &HomeSettings) -> Result<(), PrepareError> {
        if !matches!(self.states().get(&home.user), Some(Err(_))) {
            return Ok(());
        }
        let prepared = self.prepare(home).inspect_err(|error| self.set_unavailable(home, error))?;
        prepared.serve();
        Ok(())
    }

    fn reopen(&self, home: &HomeSettings) -> Result<bool, PrepareError> {
        if self.served(&home.user).is_some() {
            return Ok(false);
        }
        self.retry(home).map(|()| true)
    }

    fn remove(&self, user: &str) {
        self.states().remove(user);
    }

    fn set_limits(&self, user: &str, limits: QuotaLimits) {
        if let Some(shared) = self.served(user) {
            shared.ledger.set_limits(limits);
        }
    }

    fn usages(&self) -> Vec<(String, HomeUsage)> {
        let usage = |(user, shared): (String, Arc<MemorySharedHome>)| {
            let usage = HomeUsage::of(&shared.ledger);
            (user, usage)
        };
        self.all_served().into_iter().map(usage).collect()
    }

    fn problems(&self) -> Vec<HomeProblem> {
        self.states().values().filter_map(|state| state.as_ref().err().cloned()).collect()
    }

    fn problem_of(&self, user: &str) -> Option<HomeProblem> {
        self.states().get(user).and_then(|state| state.as_ref().err().cloned())
    }

    fn inspect(&self) {}

    fn unreadable(&self, _user: &str) -> UnreadableEntries {
        UnreadableEntries::default()
    }

    fn uncounted(&self, user: &str) -> UnreadableEntries {
        self.served(user).map_or_else(UnreadableEntries::default, |shared| shared.ledger.unreadable())
    }

    fn disk_free(&self, user: &str) -> Option<u64> {
        self.served(user).map(|_| disk_space(DEVICE).bytes_free())
    }

    fn count(&self, user: &str) -> Result<Comparison, String> {
        let shared = self.served(user).ok_or("it is not served any more")?;
        if let Some(counting) = shared.ledger.counting() {
            counting.end.block();
        }
        Ok(count(&shared))
    }

    fn expire_partial_uploads(&self, files: Duration, streams: Duration) -> usize {
        let now = super::node::now().seconds;
        let oldest = |age: Duration| now.saturating_sub(i64::try_from(age.as_secs()).unwrap_or(i64::MAX));
        let (file, stream) = (oldest(files), oldest(streams));
        let expired = |(_, shared): (String, Arc<MemorySharedHome>)| {
            shared
                .partial_uploads
                .discard(|partial| partial.since.seconds < if partial.is_stream() { stream } else { file })
        };
        self.all_served().into_iter().map(expired).sum()
    }
}

/// Counts a home, and corrects its ledger.
fn count(shared: &MemorySharedHome) -> Comparison {
    let tree = shared.tree();
    let baseline = shared.ledger.begin_count();
    let mut found = ScanResult::default();
    for (id, node) in tree.named() {
        found.used.entries += node.links;
        found.used.bytes += node.length();
        let file = tree.file_id(id);
        if node.links == 1 && node.file_type() == FileType::Regular && baseline.wants(file) {
            found.lenders.insert(file, node.length());
        }
    }
    match shared.ledger.end_count(&baseline, found, || Ok::<_, Infallible>(shared.staged_bytes())) {
        Ok(comparison) => comparison,
        Err(never) => match never {},
    }
}

fn lock(states: &Mutex<States>) -> MutexGuard<'_, States> {
    states.lock().unwrap_or_else(PoisonError::into_inner)
}
