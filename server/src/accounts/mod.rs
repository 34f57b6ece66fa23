//! Who may log in, and to what: the accounts and where they come from.
//!
//! [`AccountStore`] is the seam. Today the accounts stand in `etc/users.toml` ([`TomlAccounts`]);
//! a database would be another implementation, and nothing but `main` would notice.

mod key;
mod origin;
mod password;

pub use key::{AuthorizedKey, KeyError, looks_like_a_line};
pub use origin::{Origin, OriginError};
pub use password::{HashError, MIN_PASSWORD, Password, PasswordHash};

use crate::config::Config;
use async_trait::async_trait;
use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;

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
    /// What the user may do.
    pub access: Access,
    /// What becomes of files that SFTP clients write.
    pub sftp_uploads: SftpUploads,
    /// Whether the user may log in at all.
    pub enabled: bool,
    /// The password, if there is one.
    pub password: Option<PasswordHash>,
    /// The keys that open the account.
    pub keys: Vec<AuthorizedKey>,
}

impl Account {
    /// Whether anything could open this account, were it enabled.
    #[must_use]
    pub fn has_credentials(&self) -> bool {
        self.password.is_some() || !self.keys.is_empty()
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
}

/// Why a store gave no answer.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// It cannot be reached, or what it said makes no sense.
    #[error("the accounts cannot be read: {0}")]
    Unavailable(Box<dyn std::error::Error + Send + Sync>),
}

/// The accounts of `etc/users.toml`, as they stood when it was loaded.
#[derive(Clone, Debug)]
pub struct TomlAccounts {
    accounts: Vec<Arc<Account>>,
    by_name: HashMap<String, Arc<Account>>,
}

impl TomlAccounts {
    /// The accounts of a configuration.
    #[must_use]
    pub fn new(config: &Config) -> TomlAccounts {
        let accounts = config.accounts.clone();
        let by_name = accounts.iter().map(|account| (account.name.clone(), Arc::clone(account))).collect();
        TomlAccounts { accounts, by_name }
    }
}

#[async_trait]
impl AccountStore for TomlAccounts {
    async fn find(&self, name: &str) -> Result<Option<Arc<Account>>, StoreError> {
        Ok(self.by_name.get(name).cloned())
    }

    async fn all(&self) -> Result<Vec<Arc<Account>>, StoreError> {
        Ok(self.accounts.clone())
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
        let store = TomlAccounts::new(&crate::config::load(dir.path(), Some(&file), &[]).unwrap());
        let names: Vec<_> = store.all().await.unwrap().iter().map(|account| account.name.clone()).collect();
        assert_eq!(names, ["alex", "zcl"]);
        assert_eq!(store.find("zcl").await.unwrap().unwrap().name, "zcl");
        assert!(store.find("Zcl").await.unwrap().is_none());
    }
}
