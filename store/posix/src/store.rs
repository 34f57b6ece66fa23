//! The homes of all users on local filesystems: the trait [`HomeStore`] over [`Homes`].

use crate::home::Homes;
use crate::operations::PosixHome;
use sshome_store::quota::{Comparison, Ledgers, QuotaLimits, UnreadableEntries};
use sshome_store::{
    Capabilities, Cause, Ctx, Home, HomeProblem, HomeSettings, HomeStore, HomeUsage, PrepareError,
    PreparedHome,
};
use std::sync::Arc;
use std::time::Duration;

/// The homes of all users, each a directory of a local filesystem. Clones share them.
#[derive(Clone, Debug, Default)]
pub struct PosixStore(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    homes: Homes,
    ledgers: Ledgers,
}

impl HomeStore for PosixStore {
    fn capabilities(&self) -> Capabilities {
        Capabilities::ALL
    }

    fn prepare(&self, home: &HomeSettings) -> Result<PreparedHome, PrepareError> {
        let prepared = self.0.homes.prepare_one(home)?;
        let store = self.clone();
        Ok(PreparedHome::new(move || store.0.homes.add(prepared, &store.0.ledgers)))
    }

    fn open(&self, ctx: &Ctx, home: &HomeSettings) -> Result<Arc<dyn Home>, Cause> {
        let dir = Arc::new(self.0.homes.open(home, &self.0.ledgers)?);
        let ledger = self.0.ledgers.of(&home.user).ok_or(Cause::NotFound)?;
        let since = dir.writeback_epoch();
        Ok(Arc::new(PosixHome { dir, ledger, since, ctx: ctx.clone() }))
    }

    fn set_unavailable(&self, home: &HomeSettings, error: &PrepareError) {
        self.0.homes.set_unavailable(home, error, &self.0.ledgers);
    }

    fn retry(&self, home: &HomeSettings) -> Result<(), PrepareError> {
        self.0.homes.retry(home, &self.0.ledgers)
    }

    fn reopen(&self, home: &HomeSettings) -> Result<bool, PrepareError> {
        self.0.homes.reopen(home, &self.0.ledgers)
    }

    fn remove(&self, user: &str) {
        self.0.homes.remove(user);
        self.0.ledgers.remove(user);
    }

    fn set_limits(&self, user: &str, limits: QuotaLimits) {
        if let Some(ledger) = self.0.ledgers.of(user) {
            ledger.set_limits(limits);
        }
    }

    fn usages(&self) -> Vec<(String, HomeUsage)> {
        let all = self.0.ledgers.all().into_iter();
        all.map(|(user, ledger)| (user, HomeUsage { usage: ledger.usage(), limits: ledger.limits() }))
            .collect()
    }

    fn problems(&self) -> Vec<HomeProblem> {
        self.0.homes.problems()
    }

    fn problem_of(&self, user: &str) -> Option<HomeProblem> {
        self.0.homes.problem_of(user)
    }

    fn inspect(&self) {
        self.0.homes.inspect();
    }

    fn unreadable(&self, user: &str) -> UnreadableEntries {
        self.0.homes.unreadable(user)
    }

    fn uncounted(&self, user: &str) -> UnreadableEntries {
        self.0.ledgers.of(user).map(|ledger| ledger.unreadable()).unwrap_or_default()
    }

    fn disk_free(&self, user: &str) -> Option<u64> {
        self.0.homes.disk_free(user)
    }

    fn count(&self, user: &str) -> Result<Comparison, String> {
        let ledger = self.0.ledgers.of(user).ok_or("it is not served any more")?;
        self.0.homes.count(user, &ledger)
    }

    fn expire_partial_uploads(&self, files: Duration, streams: Duration) -> usize {
        self.0.homes.expire_partial_uploads(files, streams)
    }
}
