//! The homes of all users on local filesystems: the trait [`HomeStore`] over [`Homes`].

use crate::home::{CountPhase, Homes};
use crate::operations::PosixHome;
use sshome_store::quota::{Comparison, QuotaLimits, UnreadableEntries};
use sshome_store::{
    Capabilities, Cause, Ctx, Home, HomeProblem, HomeSettings, HomeStore, HomeUsage, PrepareError,
    PreparedHome,
};
use sshome_wire::RemotePath;
use std::sync::Arc;
use std::time::Duration;

/// The homes of all users, each a directory of a local filesystem. Clones share them.
#[derive(Clone, Debug, Default)]
pub struct PosixStore(Arc<Homes>);

impl PosixStore {
    /// A store for folders that are shared where they are, and are nobody's home. Nothing in a read-only one changes: it
    /// is neither locked, recovered nor counted. Call [`remove_staging`](PosixStore::remove_staging) at the end for others.
    #[must_use]
    pub fn for_shared_folders() -> PosixStore {
        PosixStore(Arc::new(Homes::for_shared_folders()))
    }

    /// Deletes all partial uploads, and the staging folders that are empty then. No session may be open.
    pub fn remove_staging(&self) {
        self.0.remove_staging();
    }

    /// A store that reports its counts of homes to an observer, for tests. The counting thread calls it with the user,
    /// and the count waits until it returns.
    #[must_use]
    pub fn observed(observer: impl Fn(&str, CountPhase) + Send + Sync + 'static) -> PosixStore {
        PosixStore(Arc::new(Homes::observed(Box::new(observer))))
    }
}

/// Why a view cannot begin at a folder.
fn unusable(folder: &RemotePath, cause: Cause) -> Cause {
    let why = match cause {
        Cause::NotFound => "does not exist",
        Cause::NotDirectory | Cause::IsDirectory => "is not a directory",
        Cause::Denied | Cause::NotPermitted => "cannot be opened by the server",
        Cause::Reserved => "is reserved for the server",
        other => return other,
    };
    Cause::Folder { folder: folder.clone(), why }
}

impl HomeStore for PosixStore {
    fn capabilities(&self) -> Capabilities {
        Capabilities::ALL
    }

    fn prepare(&self, home: &HomeSettings) -> Result<PreparedHome, PrepareError> {
        let prepared = self.0.prepare_one(home)?;
        let store = self.clone();
        Ok(PreparedHome::new(move || store.0.add(prepared)))
    }

    fn open(&self, ctx: &Ctx, home: &HomeSettings) -> Result<Arc<dyn Home>, Cause> {
        let dir = self.0.open(home)?;
        let dir = Arc::new(match ctx.folder() {
            Some(folder) => dir.within(folder).map_err(|error| unusable(folder, error.into()))?,
            None => dir,
        });
        let since = dir.writeback_epoch();
        Ok(Arc::new(PosixHome { dir, since, ctx: ctx.clone() }))
    }

    fn set_unavailable(&self, home: &HomeSettings, error: &PrepareError) {
        self.0.set_unavailable(home, error);
    }

    fn retry(&self, home: &HomeSettings) -> Result<(), PrepareError> {
        self.0.retry(home)
    }

    fn reopen(&self, home: &HomeSettings) -> Result<bool, PrepareError> {
        self.0.reopen(home)
    }

    fn remove(&self, user: &str) {
        self.0.remove(user);
    }

    fn set_limits(&self, user: &str, limits: QuotaLimits) {
        if let Some(ledger) = self.0.ledger(user) {
            ledger.set_limits(limits);
        }
    }

    fn usages(&self) -> Vec<(String, HomeUsage)> {
        let all = self.0.ledgers().into_iter();
        all.map(|(user, ledger)| (user, HomeUsage::of(&ledger))).collect()
    }

    fn problems(&self) -> Vec<HomeProblem> {
        self.0.problems()
    }

    fn problem_of(&self, user: &str) -> Option<HomeProblem> {
        self.0.problem_of(user)
    }

    fn inspect(&self) {
        self.0.inspect();
    }

    fn unreadable(&self, user: &str) -> UnreadableEntries {
        self.0.unreadable(user)
    }

    fn uncounted(&self, user: &str) -> UnreadableEntries {
        self.0.ledger(user).map(|ledger| ledger.unreadable()).unwrap_or_default()
    }

    fn disk_free(&self, user: &str) -> Option<u64> {
        self.0.disk_free(user)
    }

    fn count(&self, user: &str) -> Result<Comparison, String> {
        self.0.count(user)
    }

    fn expire_partial_uploads(&self, files: Duration, streams: Duration) -> usize {
        self.0.expire_partial_uploads(files, streams)
    }
}
