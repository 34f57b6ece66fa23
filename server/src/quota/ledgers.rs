use super::Ledger;
use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

/// The ledger of every user. This is the seam behind which a database could keep the books of
/// several servers; today they are in memory, rebuilt by a scan at start.
#[derive(Debug, Default)]
pub struct Ledgers(RwLock<BTreeMap<String, Arc<Ledger>>>);

impl Ledgers {
    /// Adds a user's books, in place of those that there were.
    pub fn insert(&self, user: &str, ledger: Arc<Ledger>) {
        self.write().insert(user.to_owned(), ledger);
    }

    /// Forgets a user's books. Who works with them keeps them to the end.
    pub fn remove(&self, user: &str) {
        self.write().remove(user);
    }

    /// A user's books; none for a user that is unknown.
    #[must_use]
    pub fn of(&self, user: &str) -> Option<Arc<Ledger>> {
        self.read().get(user).map(Arc::clone)
    }

    /// All books, by user.
    #[must_use]
    pub fn all(&self) -> Vec<(String, Arc<Ledger>)> {
        self.read().iter().map(|(user, ledger)| (user.clone(), Arc::clone(ledger))).collect()
    }

    fn read(&self) -> RwLockReadGuard<'_, BTreeMap<String, Arc<Ledger>>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, BTreeMap<String, Arc<Ledger>>> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
    }
}
