//! The settings of an account that a store needs.

use super::{Access, Account, unfit_root};
use sshome_store::HomeSettings;
use sshome_store::quota::QuotaLimits;
use std::sync::Arc;

impl From<&Account> for HomeSettings {
    fn from(account: &Account) -> HomeSettings {
        HomeSettings {
            user: account.name.clone(),
            root: account.root.clone(),
            make_root: account.make_root,
            unfit: unfit_root(account),
            writable: account.access == Access::ReadWrite,
            limits: QuotaLimits { bytes: account.quota, entries: account.max_files },
        }
    }
}

/// The homes of the users who may log in.
#[must_use]
pub fn homes_of(accounts: &[Arc<Account>]) -> Vec<HomeSettings> {
    let enabled = accounts.iter().filter(|account| account.enabled);
    enabled.map(|account| HomeSettings::from(&**account)).collect()
}
