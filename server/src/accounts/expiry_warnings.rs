//! Warnings of accounts and keys that expire soon.

use super::{Account, Expiry};
use jiff::Timestamp;
use std::sync::Arc;

/// How long before the expiry a warning is given, in seconds: a week.
const WARNING_SECONDS: i64 = 7 * 24 * 3600;

/// The enabled accounts and their keys that have expired or do so within a week. Each is a sentence.
#[must_use]
pub fn expiry_warnings(accounts: &[Arc<Account>], now: Timestamp) -> Vec<String> {
    let enabled = accounts.iter().filter(|account| account.enabled);
    enabled.flat_map(|account| warnings(account, now)).collect()
}

fn warnings(account: &Account, now: Timestamp) -> Vec<String> {
    let name = &account.name;
    let own = account.expires.map(|expires| (format!("the account of {name}"), expires));
    let keys = account
        .keys
        .iter()
        .filter_map(|key| Some((format!("the key {} of {name}", key.fingerprint()), key.expires()?)));
    let is_soon = |expires: Expiry| expires.seconds_left(now) < WARNING_SECONDS;
    let soon = own.into_iter().chain(keys).filter(|(_, expires)| is_soon(*expires));
    soon.map(|(what, expires)| match expires.has_passed(now) {
        true => format!("{what} expired on {expires}: set a later time, or remove it."),
        false => format!("{what} expires on {expires}: set a later time if it is still needed."),
    })
    .collect()
}

/// Logs the warnings.
pub(crate) fn log_expiry_warnings(accounts: &[Arc<Account>]) {
    expiry_warnings(accounts, Timestamp::now()).iter().for_each(|warning| tracing::warn!("{warning}"));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config;

    #[test]
    fn accounts_and_keys_are_warned_of_a_week_ahead() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("users.toml");
        let key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOTi1bVt18LCvBKeba5g5VjVECu5ppYGuP7NLLS3qMWa";
        let text = format!(
            "[users.ann]\nexpires = 2027-01-08T00:00:00Z\nauthorized-keys = ['expiry-time=\"20270108Z\" {key}']\n\
             [users.ben]\n[[users.ben.keys]]\nkey = \"{key}\"\nexpires = 2027-01-09T00:00:00Z\n\
             [users.cat]\nexpires = 2020-01-01\nenabled = false\n"
        );
        std::fs::write(&file, text).unwrap();
        let config = config::load(dir.path(), Some(&file), &[]).unwrap();
        let warnings = |now: &str| expiry_warnings(&config.accounts, now.parse().unwrap());
        assert_eq!(warnings("2027-01-01T00:00:00Z"), [""; 0]);
        let [account, key] = &warnings("2027-01-01T00:00:01Z")[..] else { panic!("not two") };
        assert!(account.starts_with("the account of ann expires on 2027-01-0"), "{account}");
        assert!(key.starts_with("the key SHA256:") && key.contains(" of ann expires on "), "{key}");
        assert_eq!(warnings("2027-01-02T00:00:01Z").len(), 3);
        assert!(warnings("2027-01-08T00:00:00Z")[0].contains("ann expired on"));
    }
}
