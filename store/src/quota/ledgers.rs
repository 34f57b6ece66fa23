use super::Ledger;
use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

/// The ledgers of all users. They are in memory and rebuilt by a scan at start.
#[derive(Debug, Default)]
pub struct Ledgers(RwLock<BTreeMap<String, Arc<Ledger>>>);

impl Ledgers {
    /// Sets a user's ledger.
    pub fn insert(&self, user: &str, ledger: Arc<Ledger>) {
        self.write().insert(user.to_owned(), ledger);
    }

    /// Removes a user's ledger. Open sessions keep using it.
    pub fn remove(&self, user: &str) {
        self.write().remove(user);
    }

    /// A user's ledger; `None` for an unknown user.
    #[must_use]
    pub fn of(&self, user: &str) -> Option<Arc<Ledger>> {
        self.read().get(user).map(Arc::clone)
    }

    /// All ledgers, ordered by user.
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
