use super::Ledger;
use std::collections::HashMap;
use std::sync::Arc;

/// The ledger of every user. This is the seam behind which a database could keep the books of
/// several servers; today they are in memory, rebuilt by a scan at start.
#[derive(Debug, Default)]
pub struct Ledgers(HashMap<String, Arc<Ledger>>);

impl Ledgers {
    /// Adds a user's books.
    pub fn insert(&mut self, user: &str, ledger: Arc<Ledger>) {
        self.0.insert(user.to_owned(), ledger);
    }

    /// A user's books; none for a user that is unknown.
    #[must_use]
    pub fn of(&self, user: &str) -> Option<Arc<Ledger>> {
        self.0.get(user).map(Arc::clone)
    }
}
