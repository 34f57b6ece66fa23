//! Accounts: who may log in, with which credentials, and with which limits.
//!
//! [`AccountStore`] is the interface. [`TomlAccounts`] reads `etc/users.toml`; a database would be another
//! implementation.

mod access;
mod expiry;
mod expiry_warnings;
mod home_settings;
mod key;
mod name;
mod origin;
mod own_keys;
mod password;
mod patterns;
mod unfit;

pub use access::Access;
pub use expiry::Expiry;
pub(crate) use expiry::earlier;
pub use expiry_warnings::expiry_warnings;
pub(crate) use expiry_warnings::log_expiry_warnings;
pub use home_settings::homes_of;
pub use key::{AuthorizedKey, KeyError, KeyLimits, looks_like_a_line};
pub(crate) use key::{KeyOptions, parse_folder};
pub(crate) use name::check_name;
pub use origin::{Origin, OriginError};
pub use own_keys::{OwnKeys, OwnKeysError};
pub use password::{HashError, MIN_PASSWORD_CHARS, Password, PasswordHash};
pub use patterns::{NamePattern, PathPattern};
pub(crate) use unfit::unfit_reason;
pub use unfit::{remember_accounts, unfit_root};

use arc_swap::ArcSwap;
use async_trait::async_trait;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::sync::Notify;

/// A user's account: home, limits, access and credentials.
#[derive(Clone, Debug)]
pub struct Account {
    /// The name: 1 to 32 of `[a-z0-9._-]`, not beginning with `.` or `-`.
    pub name: String,
    /// The directory of the home: an absolute path, with symbolic links resolved as far as it exists.
    pub root: PathBuf,
    /// Whether the server creates the root if it is missing. True only for `homes/NAME`: if an explicit root is missing, its
    /// disk is not mounted.
    pub make_root: bool,
    /// The quota in bytes. `None` if unlimited.
    pub quota: Option<u64>,
    /// The largest number of files, directories and links. `None` if unlimited.
    pub max_files: Option<u64>,
    /// The upload rate over all connections, in bytes a second. `None` if unlimited.
    pub upload_rate: Option<u64>,
    /// The download rate over all connections, in bytes a second. `None` if unlimited.
    pub download_rate: Option<u64>,
    /// The user's permissions.
    pub access: Access,
    /// How files that SFTP clients write are stored.
    pub sftp_uploads: SftpUploads,
    /// Whether the user may log in at all.
    pub enabled: bool,
    /// The time from which the user may not log in, nor stay logged in. `None` is never.
    pub expires: Option<Expiry>,
    /// The password, if there is one.
    pub password: Option<PasswordHash>,
    /// The keys that the administrator has set.
    pub keys: Vec<AuthorizedKey>,
    /// Whether the user may install keys, and installed keys are accepted.
    pub own_keys: bool,
    /// The paths that even keys which may only add files may remove.
    pub deletable: Vec<PathPattern>,
    /// The names under which programs upload before they rename.
    pub temporary_names: Vec<NamePattern>,
    /// The keys that the user had installed when the account was read. Empty if they are not accepted.
    pub installed: Vec<AuthorizedKey>,
}

impl Account {
    /// Whether there is a password or a key.
    #[must_use]
    pub fn has_credentials(&self) -> bool {
        self.password.is_some() || self.all_keys().next().is_some()
    }

    /// Whether programs upload under names like this one before they rename.
    #[must_use]
    pub fn is_temporary(&self, name: &[u8]) -> bool {
        self.temporary_names.iter().any(|pattern| pattern.matches(name))
    }

    /// All keys that are accepted. A key with a table in the settings keeps its limits if the user installs it.
    pub fn all_keys(&self) -> impl Iterator<Item = &AuthorizedKey> {
        let has_table = |key: &AuthorizedKey| {
            self.keys.iter().any(|set| set.limits().is_some() && set.is(key.public_key()))
        };
        self.keys.iter().chain(self.installed.iter().filter(move |key| !has_table(key)))
    }

    /// The keys that the settings have as lines.
    pub(crate) fn lines(&self) -> impl Iterator<Item = &AuthorizedKey> {
        self.keys.iter().filter(|key| key.limits().is_none())
    }

    /// The keys that the settings have as tables.
    pub fn key_tables(&self) -> impl Iterator<Item = &AuthorizedKey> {
        self.keys.iter().filter(|key| key.limits().is_some())
    }

    /// Whether the password is one of the published demo passwords.
    #[must_use]
    pub fn has_demo_password(&self) -> bool {
        self.enabled && self.password.as_ref().is_some_and(PasswordHash::is_demo)
    }
}

/// How a file that an SFTP client writes is stored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SftpUploads {
    /// In place: others see it grow, and an interrupted upload can be resumed.
    #[default]
    InPlace,
    /// Atomically: it appears when it is closed, and is dropped if the connection is lost before.
    Atomic,
}

/// A store of accounts.
#[async_trait]
pub trait AccountStore: Send + Sync {
    /// The account of that name.
    ///
    /// # Errors
    /// If the store is unavailable. An unknown name is not an error.
    async fn find(&self, name: &str) -> Result<Option<Arc<Account>>, AccountStoreError>;

    /// All accounts, by name.
    ///
    /// # Errors
    /// If the store is unavailable.
    async fn all(&self) -> Result<Vec<Arc<Account>>, AccountStoreError>;

    /// The keys that a user has installed. Blocks: do not call it in an async task.
    ///
    /// # Errors
    /// If they cannot be read.
    fn own_keys(&self, user: &str) -> Result<Vec<AuthorizedKey>, OwnKeysError>;

    /// Installs a key for a user, given as a line of `authorized_keys`, and returns it. It is accepted from the next login
    /// on. The caller checks the permission. Blocks.
    ///
    /// # Errors
    /// If the key is not accepted, there are too many, or it cannot be stored.
    fn install_key(&self, user: &str, line: &str) -> Result<AuthorizedKey, OwnKeysError>;

    /// Removes a key that a user has installed, by its fingerprint. With `keep_one`, the last key stays. Blocks.
    ///
    /// # Errors
    /// If there is no such key, it must stay, or the change cannot be stored.
    fn remove_key(&self, user: &str, fingerprint: &str, keep_one: bool) -> Result<(), OwnKeysError>;
}

/// The error of a store.
#[derive(Debug, thiserror::Error)]
pub enum AccountStoreError {
    /// It is unreachable or returned invalid data.
    #[error("the accounts cannot be read: {0}")]
    Unavailable(Box<dyn std::error::Error + Send + Sync>),
}

/// The accounts of `etc/users.toml` as of the last load, with the keys that users have installed by now.
#[derive(Debug)]
pub struct TomlAccounts {
    by_name: ArcSwap<BTreeMap<String, Arc<Account>>>,
    own_keys: OwnKeys,
    removed: Notify,
}

impl TomlAccounts {
    /// The accounts of a settings file. `dir` is the server's folder, which also holds the keys that users install.
    #[must_use]
    pub fn new(dir: &Path, accounts: &[Arc<Account>]) -> TomlAccounts {
        let (by_name, own_keys) = (ArcSwap::from_pointee(by_name(accounts)), OwnKeys::of(dir));
        TomlAccounts { by_name, own_keys, removed: Notify::new() }
    }

    /// Returns when a user of this process has removed a key that they had installed.
    pub async fn key_removed(&self) {
        self.removed.notified().await;
    }

    /// Replaces all accounts.
    pub fn replace(&self, accounts: &[Arc<Account>]) {
        self.by_name.store(Arc::new(by_name(accounts)));
    }
}

fn by_name(accounts: &[Arc<Account>]) -> BTreeMap<String, Arc<Account>> {
    accounts.iter().map(|account| (account.name.clone(), Arc::clone(account))).collect()
}

/// The account with the keys that its user has installed. Blocks.
fn with_installed(account: Arc<Account>, own_keys: &OwnKeys) -> Arc<Account> {
    match own_keys.read(&account.name) {
        Ok(installed) if installed.is_empty() => account,
        Ok(installed) => Arc::new(Account { installed, ..Account::clone(&account) }),
        Err(error) => {
            // The user can still log in otherwise. None of these keys is accepted.
            tracing::error!(user = account.name, %error, "keys installed by the user are not accepted");
            account
        }
    }
}

#[async_trait]
impl AccountStore for TomlAccounts {
    async fn find(&self, name: &str) -> Result<Option<Arc<Account>>, AccountStoreError> {
        let found = self.by_name.load().get(name).cloned();
        match found {
            Some(account) if account.own_keys => {
                let own_keys = self.own_keys.clone();
                let found = tokio::task::spawn_blocking(move || with_installed(account, &own_keys)).await;
                found.map(Some).map_err(|error| AccountStoreError::Unavailable(error.into()))
            }
            found => Ok(found),
        }
    }

    async fn all(&self) -> Result<Vec<Arc<Account>>, AccountStoreError> {
        Ok(self.by_name.load().values().map(Arc::clone).collect())
    }

    fn own_keys(&self, user: &str) -> Result<Vec<AuthorizedKey>, OwnKeysError> {
        self.own_keys.read(user)
    }

    fn install_key(&self, user: &str, line: &str) -> Result<AuthorizedKey, OwnKeysError> {
        self.own_keys.install(user, line)
    }

    fn remove_key(&self, user: &str, fingerprint: &str, keep_one: bool) -> Result<(), OwnKeysError> {
        self.own_keys.remove(user, fingerprint, keep_one)?;
        self.removed.notify_one();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tempfile::TempDir;

    #[tokio::test]
    async fn accounts_are_found_in_the_settings_file() {
        let dir = TempDir::new().unwrap();
        let file = dir.path().join("users.toml");
        std::fs::write(&file, "[users.zcl]\n[users.alex]\n").unwrap();
        let config = crate::config::load(dir.path(), Some(&file), &[]).unwrap();
        let store = TomlAccounts::new(&config.dir, &config.accounts);
        let names: Vec<_> = store.all().await.unwrap().iter().map(|account| account.name.clone()).collect();
        assert_eq!(names, ["alex", "zcl"]);
        assert_eq!(store.find("zcl").await.unwrap().unwrap().name, "zcl");
        assert!(store.find("Zcl").await.unwrap().is_none());
    }
}
