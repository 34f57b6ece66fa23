//! Who may log in, and to what: the accounts and where they come from.
//!
//! [`AccountStore`] is the seam. Today the accounts stand in `etc/users.toml` ([`TomlAccounts`]);
//! a database would be another implementation, and nothing but `main` would notice.

mod home_settings;
mod key;
mod name;
mod origin;
mod own_keys;
mod password;
mod unfit;

pub use home_settings::homes_of;
pub use key::{AuthorizedKey, KeyError, looks_like_a_line};
pub(crate) use name::check_name;
pub use origin::{Origin, OriginError};
pub use own_keys::{OwnKeys, OwnKeysError};
pub use password::{HashError, MIN_PASSWORD_CHARS, Password, PasswordHash};
pub use unfit::{remember_accounts, unfit_root};

use arc_swap::ArcSwap;
use async_trait::async_trait;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::sync::Notify;

/// A user, with everything that the server wants to know of one.
#[derive(Clone, Debug)]
pub struct Account {
    /// The name: 1 to 32 of `[a-z0-9._-]`, not beginning with `.` or `-`.
    pub name: String,
    /// The home's top: an absolute path, its symbolic links resolved as far as it exists.
    pub root: PathBuf,
    /// Whether the server makes the root where it is missing. True only for `homes/NAME`; where
    /// the administrator named a folder, a missing one is a missing disk.
    pub make_root: bool,
    /// How many bytes the home may hold; none for no limit.
    pub quota: Option<u64>,
    /// How many files, folders and links the home may hold; none for no limit.
    pub max_files: Option<u64>,
    /// How many bytes a second the user may send, over all connections together; none for no limit.
    pub upload_rate: Option<u64>,
    /// How many bytes a second the user may be sent, over all connections together; none for no limit.
    pub download_rate: Option<u64>,
    /// What the user may do.
    pub access: Access,
    /// What becomes of files that SFTP clients write.
    pub sftp_uploads: SftpUploads,
    /// Whether the user may log in at all.
    pub enabled: bool,
    /// The password, if there is one.
    pub password: Option<PasswordHash>,
    /// The keys that the administrator lets in.
    pub keys: Vec<AuthorizedKey>,
    /// Whether the user may install keys, too, and those that are installed open the account.
    pub own_keys: bool,
    /// The keys that the user has installed: as of the time that the store was asked, and none where
    /// they are not let in.
    pub installed: Vec<AuthorizedKey>,
}

impl Account {
    /// Whether anything could open this account, were it enabled.
    #[must_use]
    pub fn has_credentials(&self) -> bool {
        self.password.is_some() || self.all_keys().next().is_some()
    }

    /// The keys that open the account.
    pub fn all_keys(&self) -> impl Iterator<Item = &AuthorizedKey> {
        self.keys.iter().chain(&self.installed)
    }

    /// Whether the account is open to everyone who has read our documentation.
    #[must_use]
    pub fn has_demo_password(&self) -> bool {
        self.enabled && self.password.as_ref().is_some_and(PasswordHash::is_demo)
    }
}

/// What a user may do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Access {
    /// List and get, nothing else.
    ReadOnly,
    /// Everything.
    #[default]
    ReadWrite,
}

/// What becomes of a file that an SFTP client writes as a whole.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SftpUploads {
    /// It is written where it is: others see it grow, and what a cut upload has left can be gone on with.
    #[default]
    InPlace,
    /// It is seen when it is closed, and not at all if the connection is lost before.
    Atomic,
}

/// Where the accounts are kept.
#[async_trait]
pub trait AccountStore: Send + Sync {
    /// The account of that name.
    ///
    /// # Errors
    /// If the store cannot be asked. A name that nobody has is no error.
    async fn find(&self, name: &str) -> Result<Option<Arc<Account>>, StoreError>;

    /// All accounts, by name.
    ///
    /// # Errors
    /// If the store cannot be asked.
    async fn all(&self) -> Result<Vec<Arc<Account>>, StoreError>;

    /// The keys that a user has installed. Blocks: not for an async task.
    ///
    /// # Errors
    /// If they cannot be read.
    fn own_keys(&self, user: &str) -> Result<Vec<AuthorizedKey>, OwnKeysError>;

    /// Installs a key, a line as of `authorized_keys`, for a user, and returns it. It opens the account
    /// from the next login on. Whether the user may do so is the caller's to know. Blocks, as above.
    ///
    /// # Errors
    /// If the line is no key that is let in, there are too many, or it cannot be kept.
    fn install_key(&self, user: &str, line: &str) -> Result<AuthorizedKey, OwnKeysError>;

    /// Removes a key that a user has installed, by its fingerprint; with `keep_one` not the last. Blocks,
    /// as above.
    ///
    /// # Errors
    /// If there is no such key, or it has to stay, or the change cannot be kept.
    fn remove_key(&self, user: &str, fingerprint: &str, keep_one: bool) -> Result<(), OwnKeysError>;
}

/// Why a store gave no answer.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// It cannot be reached, or what it said makes no sense.
    #[error("the accounts cannot be read: {0}")]
    Unavailable(Box<dyn std::error::Error + Send + Sync>),
}

/// The accounts of `etc/users.toml`, as they stood when it was last loaded, with the keys that users have
/// installed, as they stand now.
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
            // There are other ways in, and none of these keys is one.
            tracing::error!(user = account.name, %error, "the keys that the user has installed are not let in");
            account
        }
    }
}

#[async_trait]
impl AccountStore for TomlAccounts {
    async fn find(&self, name: &str) -> Result<Option<Arc<Account>>, StoreError> {
        let found = self.by_name.load().get(name).cloned();
        match found {
            Some(account) if account.own_keys => {
                let own_keys = self.own_keys.clone();
                let found = tokio::task::spawn_blocking(move || with_installed(account, &own_keys)).await;
                found.map(Some).map_err(|error| StoreError::Unavailable(error.into()))
            }
            found => Ok(found),
        }
    }

    async fn all(&self) -> Result<Vec<Arc<Account>>, StoreError> {
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
    async fn the_file_is_a_store() {
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
