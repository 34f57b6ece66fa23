//! A store that is slow, fails or hangs, for tests: a decorator over any store.

mod faults;
mod handles;
mod home;

pub use faults::{CallKind, FaultPoint, Faults};

use crate::quota::{Comparison, QuotaLimits, UnreadableEntries};
use crate::{
    Capabilities, Cause, Ctx, Home, HomeProblem, HomeSettings, HomeStore, HomeUsage, PrepareError,
    PreparedHome,
};
use home::FaultyHome;
use std::sync::Arc;
use std::time::Duration;

/// A store whose calls are delayed and fail as [`Faults`] says. Calls for the administrator always work.
#[derive(Clone, Debug)]
pub struct FaultyStore {
    inner: Arc<dyn HomeStore>,
    faults: Arc<Faults>,
    /// The only user whose calls are affected.
    user: Option<String>,
}

impl FaultyStore {
    /// Decorates a store.
    #[must_use]
    pub fn new(inner: Arc<dyn HomeStore>, faults: &Arc<Faults>) -> FaultyStore {
        FaultyStore { inner, faults: Arc::clone(faults), user: None }
    }

    /// Decorates a store for one user only.
    #[must_use]
    pub fn for_user(inner: Arc<dyn HomeStore>, faults: &Arc<Faults>, user: &str) -> FaultyStore {
        FaultyStore { user: Some(user.to_owned()), ..FaultyStore::new(inner, faults) }
    }
}

impl HomeStore for FaultyStore {
    fn capabilities(&self) -> Capabilities {
        self.inner.capabilities()
    }

    fn prepare(&self, home: &HomeSettings) -> Result<PreparedHome, PrepareError> {
        self.inner.prepare(home)
    }

    fn open(&self, ctx: &Ctx, home: &HomeSettings) -> Result<Arc<dyn Home>, Cause> {
        if self.user.as_ref().is_some_and(|user| *user != home.user) {
            return self.inner.open(ctx, home);
        }
        self.faults.pause();
        let inner = self.inner.open(ctx, home)?;
        Ok(Arc::new(FaultyHome { inner, faults: Arc::clone(&self.faults) }))
    }

    fn set_unavailable(&self, home: &HomeSettings, error: &PrepareError) {
        self.inner.set_unavailable(home, error);
    }

    fn retry(&self, home: &HomeSettings) -> Result<(), PrepareError> {
        self.inner.retry(home)
    }

    fn reopen(&self, home: &HomeSettings) -> Result<bool, PrepareError> {
        self.inner.reopen(home)
    }

    fn remove(&self, user: &str) {
        self.inner.remove(user);
    }

    fn set_limits(&self, user: &str, limits: QuotaLimits) {
        self.inner.set_limits(user, limits);
    }

    fn usages(&self) -> Vec<(String, HomeUsage)> {
        self.inner.usages()
    }

    fn problems(&self) -> Vec<HomeProblem> {
        self.inner.problems()
    }

    fn problem_of(&self, user: &str) -> Option<HomeProblem> {
        self.inner.problem_of(user)
    }

    fn inspect(&self) {
        self.inner.inspect();
    }

    fn unreadable(&self, user: &str) -> UnreadableEntries {
        self.inner.unreadable(user)
    }

    fn uncounted(&self, user: &str) -> UnreadableEntries {
        self.inner.uncounted(user)
    }

    fn disk_free(&self, user: &str) -> Option<u64> {
        self.inner.disk_free(user)
    }

    fn count(&self, user: &str) -> Result<Comparison, String> {
        self.inner.count(user)
    }

    fn expire_partial_uploads(&self, files: Duration, streams: Duration) -> usize {
        self.inner.expire_partial_uploads(files, streams)
    }
}
