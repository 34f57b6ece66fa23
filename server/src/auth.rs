//! Authentication: turns credentials into a [`Login`].
//!
//! A [`Login`] is the proof of authentication. Only this module creates one, and every operation on a home requires
//! one: acting before the login does not compile.
//!
//! A refusal does not reveal whether a user exists. The password of an unknown user, a user without a password or a
//! disabled user is checked against a dummy hash, so the refusal is the same and takes as long.

pub use crate::accounts::{HashError, Password, PasswordHash};

use crate::accounts::{Account, AccountStore, AccountStoreError};
use arc_swap::ArcSwap;
use russh::keys::{HashAlg, PublicKey};
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use tokio::sync::Semaphore;

/// The largest number of concurrent password checks. Each needs 19 MiB of memory.
const MAX_CONCURRENT_CHECKS: usize = 4;

/// An authenticated user. Clones are the same login.
#[derive(Clone)]
pub struct Login {
    name: Arc<str>,
    account: Arc<ArcSwap<Account>>,
    credential: Arc<Credential>,
    store: Arc<dyn AccountStore>,
}

/// The credential of a login.
enum Credential {
    Password(PasswordHash),
    Key { key: PublicKey, from: IpAddr },
}

/// Why a login is no longer valid.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Revoked {
    /// The user was removed.
    #[error("the user was removed")]
    Removed,
    /// The user was disabled.
    #[error("the user was disabled")]
    Disabled,
    /// The password was changed, or the key is no longer accepted.
    #[error("the password or key of the login was removed")]
    Credential,
}

impl Login {
    /// The user's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The fingerprint of the key of this login. `None` for a password.
    #[must_use]
    pub fn key(&self) -> Option<String> {
        match self.credential.as_ref() {
            Credential::Password(_) => None,
            Credential::Key { key, .. } => Some(key.fingerprint(HashAlg::Sha256).to_string()),
        }
    }

    /// The store of the account.
    #[must_use]
    pub fn store(&self) -> &dyn AccountStore {
        self.store.as_ref()
    }

    /// The account with its current settings.
    #[must_use]
    pub fn account(&self) -> Arc<Account> {
        self.account.load_full()
    }

    /// Applies new settings of the account.
    ///
    /// # Errors
    /// If the login is no longer valid. Then end the session.
    pub fn renew(&self, account: Option<Arc<Account>>) -> Result<(), Revoked> {
        let account = account.filter(|account| account.name == *self.name).ok_or(Revoked::Removed)?;
        if !account.enabled {
            return Err(Revoked::Disabled);
        }
        if !self.credential.opens(&account) {
            return Err(Revoked::Credential);
        }
        self.account.store(account);
        Ok(())
    }
}

impl Credential {
    fn opens(&self, account: &Account) -> bool {
        match self {
            Credential::Password(hash) => account.password.as_ref().is_some_and(|now| now.is(hash)),
            Credential::Key { key, from } => account.all_keys().any(|known| known.opens(key, *from)),
        }
    }
}

impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Login({})", self.name)
    }
}

/// Hashes a password at the required cost. Takes about 20 ms of CPU: do not call it in an async task.
///
/// # Errors
/// If the system gives no memory or no randomness.
pub fn hash_password(password: &Password) -> Result<PasswordHash, HashError> {
    PasswordHash::of(password)
}

/// Checks credentials against the accounts of a store.
pub struct Authenticator {
    store: Arc<dyn AccountStore>,
    checks: Arc<Semaphore>,
    dummy: PasswordHash,
}

impl Authenticator {
    /// An authenticator for the accounts of `store`.
    #[must_use]
    pub fn new(store: Arc<dyn AccountStore>) -> Authenticator {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Authenticator {
            store,
            checks: Arc::new(Semaphore::new(cores.min(MAX_CONCURRENT_CHECKS))),
            dummy: PasswordHash::dummy(),
        }
    }

    /// Logs in by password.
    pub async fn password(&self, user: &str, password: Password) -> Option<Login> {
        let account = self.account(user).await;
        let hash = account.as_ref().and_then(|account| account.password.clone());
        // The check comes before every reason for a refusal, so that all refusals take the same time.
        let right = self.matches(hash.clone(), password).await;
        let account = account.filter(|account| account.enabled)?;
        let hash = hash.filter(|_| right)?;
        Some(self.login(account, Credential::Password(hash)))
    }

    /// Whether a signature by this key would be accepted. Clients ask before they sign.
    pub async fn offered(&self, user: &str, key: &PublicKey, from: IpAddr) -> bool {
        self.by_key(user, key, from).await.is_some()
    }

    /// Logs in by a key whose signature has been verified already.
    pub async fn public_key(&self, user: &str, key: &PublicKey, from: IpAddr) -> Option<Login> {
        let account = self.by_key(user, key, from).await?;
        Some(self.login(account, Credential::Key { key: key.clone(), from }))
    }

    /// The current account with this name, for [`Login::renew`].
    ///
    /// # Errors
    /// If the store is unavailable.
    pub async fn current(&self, user: &str) -> Result<Option<Arc<Account>>, AccountStoreError> {
        self.store.find(user).await
    }

    fn login(&self, account: Arc<Account>, credential: Credential) -> Login {
        Login {
            name: account.name.as_str().into(),
            account: Arc::new(ArcSwap::new(account)),
            credential: Arc::new(credential),
            store: Arc::clone(&self.store),
        }
    }

    async fn by_key(&self, user: &str, key: &PublicKey, from: IpAddr) -> Option<Arc<Account>> {
        let account = self.account(user).await.filter(|account| account.enabled)?;
        let opens = account.all_keys().any(|authorized| authorized.opens(key, from));
        opens.then_some(account)
    }

    /// The account. `None` if there is none or the store is unavailable.
    async fn account(&self, user: &str) -> Option<Arc<Account>> {
        match self.store.find(user).await {
            Ok(account) => account,
            Err(error) => {
                tracing::error!(%error, "logins are refused");
                None
            }
        }
    }

    /// Whether the password matches the hash, or the dummy if there is no hash.
    async fn matches(&self, hash: Option<PasswordHash>, password: Password) -> bool {
        let hash = hash.unwrap_or_else(|| self.dummy.clone());
        let Ok(permit) = Arc::clone(&self.checks).acquire_owned().await else { return false };
        let check = tokio::task::spawn_blocking(move || {
            // The work continues if the client disconnects, so the permit moves with it.
            let _permit = permit;
            hash.matches(&password)
        });
        check.await.unwrap_or(false)
    }
}

impl fmt::Debug for Authenticator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Authenticator")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::accounts::{Access, AuthorizedKey, OwnKeysError, SftpUploads};
    use async_trait::async_trait;

    const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOTi1bVt18LCvBKeba5g5VjVECu5ppYGuP7NLLS3qMWa alex";
    const OTHER: &str = "ecdsa-sha2-nistp256 AAAAE2VjZHNhLXNoYTItbmlzdHAyNTYAAAAIbmlzdHAyNTYAAABBBFDTe/ibr0FpW3bxLOOzl3/Rijlf417UnbV4lKOMiYf07se58PSzJs06/qfziFz5dhPdOLMGW2KljNEzh4TdFeA=";

    struct Accounts(Vec<Arc<Account>>);

    #[async_trait]
    impl AccountStore for Accounts {
        async fn find(&self, name: &str) -> Result<Option<Arc<Account>>, AccountStoreError> {
            if name == "broken" {
                return Err(AccountStoreError::Unavailable("no connection".into()));
            }
            Ok(self.0.iter().find(|account| account.name == name).cloned())
        }

        async fn all(&self) -> Result<Vec<Arc<Account>>, AccountStoreError> {
            Ok(self.0.clone())
        }

        fn own_keys(&self, _: &str) -> Result<Vec<AuthorizedKey>, OwnKeysError> {
            Err(OwnKeysError::NotAllowed)
        }

        fn install_key(&self, _: &str, _: &str) -> Result<AuthorizedKey, OwnKeysError> {
            Err(OwnKeysError::NotAllowed)
        }

        fn remove_key(&self, _: &str, _: &str, _: bool) -> Result<(), OwnKeysError> {
            Err(OwnKeysError::NotAllowed)
        }
    }

    fn account(name: &str, password: Option<&str>, keys: &[&str], enabled: bool) -> Arc<Account> {
        Arc::new(Account {
            name: name.into(),
            root: "/nowhere".into(),
            make_root: false,
            quota: None,
            max_files: None,
            upload_rate: None,
            download_rate: None,
            access: Access::ReadWrite,
            sftp_uploads: SftpUploads::InPlace,
            enabled,
            password: password.map(|password| hash_password(&Password::new(password)).unwrap()),
            keys: keys.iter().map(|line| AuthorizedKey::parse(line).unwrap()).collect(),
            own_keys: false,
            installed: Vec::new(),
        })
    }

    fn authenticator() -> Authenticator {
        let inside = format!("from=\"192.0.2.0/24\" {KEY}");
        Authenticator::new(Arc::new(Accounts(vec![
            account("alex", Some("alex's own"), &[KEY], true),
            account("zcl", None, &[&inside], true),
            account("gone", Some("gone's own"), &[KEY], false),
        ])))
    }

    async fn logs_in(authenticator: &Authenticator, user: &str, password: &str) -> bool {
        authenticator.password(user, Password::new(password)).await.is_some()
    }

    #[tokio::test]
    async fn the_right_password_logs_in_and_no_other() {
        let authenticator = authenticator();
        let login = authenticator.password("alex", Password::new("alex's own")).await.unwrap();
        assert_eq!(login.account().name, "alex");
        assert_eq!(format!("{login:?}"), "Login(alex)");
        for (user, password) in [
            ("alex", "gone's own"),
            ("alex", ""),
            ("Alex", "alex's own"),
            ("gone", "gone's own"),
            ("zcl", ""),
            ("nobody", "alex's own"),
            ("broken", "alex's own"),
        ] {
            assert!(!logs_in(&authenticator, user, password).await, "{user} {password}");
        }
    }

    /// Only if the dummy is really checked does its password match: then a missing hash costs what
    /// a hash costs. That it matches must not help anybody.
    #[tokio::test]
    async fn without_a_hash_the_dummy_is_checked() {
        let dummy = hash_password(&Password::new("the dummy's")).unwrap();
        let authenticator = Authenticator { dummy, ..authenticator() };
        assert!(authenticator.matches(None, Password::new("the dummy's")).await);
        for user in ["zcl", "nobody", "broken"] {
            assert!(!logs_in(&authenticator, user, "the dummy's").await, "{user}");
        }
    }

    #[tokio::test]
    async fn keys_log_in_from_their_allowed_addresses() {
        let authenticator = authenticator();
        for (user, line, from, want) in [
            ("alex", KEY, "198.51.100.1", true),
            ("alex", OTHER, "198.51.100.1", false),
            ("zcl", KEY, "192.0.2.7", true),
            ("zcl", KEY, "::ffff:192.0.2.7", true),
            ("zcl", KEY, "198.51.100.1", false),
            ("gone", KEY, "192.0.2.7", false),
            ("nobody", KEY, "192.0.2.7", false),
            ("broken", KEY, "192.0.2.7", false),
        ] {
            let key = AuthorizedKey::parse(line).unwrap();
            let from = from.parse().unwrap();
            assert_eq!(authenticator.offered(user, key.public_key(), from).await, want, "{user} {from}");
            let login = authenticator.public_key(user, key.public_key(), from).await;
            assert_eq!(login.map(|login| login.account().name.clone()), want.then(|| user.to_owned()));
        }
    }

    #[tokio::test]
    async fn a_login_is_valid_as_long_as_its_credential() {
        let authenticator = authenticator();
        let login = authenticator.password("alex", Password::new("alex's own")).await.unwrap();
        let now = login.account();
        let renewed = |change: &dyn Fn(&mut Account)| {
            let mut account = Account::clone(&now);
            change(&mut account);
            login.renew(Some(Arc::new(account)))
        };
        assert_eq!(renewed(&|account| account.access = Access::ReadOnly), Ok(()));
        assert_eq!(login.clone().account().access, Access::ReadOnly);
        assert_eq!(renewed(&|account| account.keys.clear()), Ok(()), "it was not by a key");
        assert_eq!(renewed(&|account| account.enabled = false), Err(Revoked::Disabled));
        assert_eq!(renewed(&|account| account.password = None), Err(Revoked::Credential));
        let other = hash_password(&Password::new("alex's own")).unwrap();
        let set = |account: &mut Account| account.password = Some(other.clone());
        assert_eq!(renewed(&set), Err(Revoked::Credential));
        assert_eq!(renewed(&|account| account.name = "zcl".into()), Err(Revoked::Removed));
        assert_eq!(login.renew(None), Err(Revoked::Removed));

        let key = AuthorizedKey::parse(KEY).unwrap();
        let from = "192.0.2.7".parse().unwrap();
        let login = authenticator.public_key("zcl", key.public_key(), from).await.unwrap();
        assert_eq!(login.key(), Some(key.fingerprint()));
        let mut account = Account::clone(&login.account());
        assert_eq!(login.renew(Some(Arc::new(account.clone()))), Ok(()));
        account.keys = vec![AuthorizedKey::parse(&format!("from=\"198.51.100.0/24\" {KEY}")).unwrap()];
        assert_eq!(login.renew(Some(Arc::new(account.clone()))), Err(Revoked::Credential));
        account.installed = vec![key];
        assert_eq!(login.renew(Some(Arc::new(account))), Ok(()));
    }
}
