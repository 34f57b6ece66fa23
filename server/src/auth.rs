//! Authentication: turns credentials into a [`Login`].
//!
//! A [`Login`] is the proof of authentication. Only this module creates one, and every operation on a home requires
//! one: acting before the login does not compile.
//!
//! A refusal does not reveal whether a user exists. The password of an unknown user, a user without a password or a
//! disabled user is checked against a dummy hash, so the refusal is the same and takes as long.

pub use crate::accounts::{HashError, Password, PasswordHash};

use crate::accounts::{Access, Account, AccountStore, AccountStoreError, Expiry, earlier};
use crate::recent_files::{KeyRecentFiles, RecentFiles};
use arc_swap::ArcSwap;
use jiff::Timestamp;
use russh::keys::{HashAlg, PublicKey};
use sshome_store::quota::FileId;
use sshome_wire::RemotePath;
use std::fmt;
use std::net::IpAddr;
use std::sync::{Arc, OnceLock};
use tokio::sync::Semaphore;

/// The largest number of concurrent password checks. Each needs 19 MiB of memory.
const MAX_CONCURRENT_CHECKS: usize = 4;

/// An authenticated user. Clones are the same login.
#[derive(Clone)]
pub struct Login {
    name: Arc<str>,
    state: Arc<ArcSwap<LoginState>>,
    credential: Arc<Credential>,
    store: Arc<dyn AccountStore>,
    recent: Arc<RecentFiles>,
    /// The folder at which the view of the home began when it was opened first.
    view: Arc<OnceLock<FileId>>,
}

/// The account of a login with its current settings, and what they permit with its credential.
struct LoginState {
    account: Arc<Account>,
    access: Access,
    /// Whether the credential permits all that the account does, from everywhere.
    unrestricted: bool,
    /// When the account or the credential expires.
    expires: Option<Expiry>,
    /// Where the view of the home begins.
    folder: Option<RemotePath>,
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
    /// The account or the key has expired.
    #[error("the account or key of the login has expired")]
    Expired,
    /// The password was changed, or the key is no longer accepted.
    #[error("the password or key of the login was removed")]
    Credential,
    /// The key has a different folder.
    #[error("the folder of the key was changed")]
    Folder,
    /// The account or the key grants less than before.
    #[error("the access of the account or key was restricted to {}", .0.name())]
    Restricted(Access),
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
        Arc::clone(&self.state.load().account)
    }

    /// The permissions: those that both the account and the key grant.
    #[must_use]
    pub fn access(&self) -> Access {
        self.state.load().access
    }

    /// The folder at which the view of the home begins; `None` for the whole home.
    #[must_use]
    pub fn folder(&self) -> Option<RemotePath> {
        self.state.load().folder.clone()
    }

    /// Whether this is the folder that the login has opened first: its view never moves.
    pub(crate) fn holds_view(&self, id: FileId) -> bool {
        *self.view.get_or_init(|| id) == id
    }

    /// Calls `with` with the files that the key of the login has made lately. See [`RecentFiles::with`].
    pub(crate) fn with_recent_files<T>(&self, with: impl FnOnce(&mut KeyRecentFiles) -> T) -> T {
        self.recent.with(self.name(), self.key().unwrap_or_default(), with)
    }

    /// Whether the login may install and remove keys, as far as it depends on the credential: a restricted key could
    /// install one that permits more.
    #[must_use]
    pub fn may_manage_keys(&self) -> bool {
        let state = self.state.load();
        state.unrestricted && state.access == Access::ReadWrite
    }

    /// Fails if the account or the key has expired.
    ///
    /// # Errors
    /// If it has. Then end the session.
    pub fn check_expiry(&self, now: Timestamp) -> Result<(), Revoked> {
        self.state.load().check_expiry(now)
    }

    /// Applies new settings of the account.
    ///
    /// # Errors
    /// If the login is no longer valid, or permits less than before: an operation checks the permissions when it begins, so
    /// one that is running would still finish. Then end the session.
    pub fn renew(&self, account: Option<Arc<Account>>) -> Result<(), Revoked> {
        let account = account.filter(|account| account.name == *self.name).ok_or(Revoked::Removed)?;
        if !account.enabled {
            return Err(Revoked::Disabled);
        }
        let state = self.credential.open(account).ok_or(Revoked::Credential)?;
        state.check_expiry(Timestamp::now())?;
        let before = self.state.load();
        if state.folder != before.folder {
            return Err(Revoked::Folder);
        }
        let (old, new) = (before.access, state.access);
        // Also of a session that is about to end: it begins nothing more.
        self.state.store(Arc::new(state));
        if old.and(new) == old { Ok(()) } else { Err(Revoked::Restricted(new)) }
    }
}

impl LoginState {
    fn check_expiry(&self, now: Timestamp) -> Result<(), Revoked> {
        match self.expires {
            Some(expires) if expires.has_passed(now) => Err(Revoked::Expired),
            _ => Ok(()),
        }
    }
}

impl Credential {
    /// The state of a login with this credential; `None` if the account does not accept it.
    fn open(&self, account: Arc<Account>) -> Option<LoginState> {
        let (access, unrestricted, expires, folder) = match self {
            Credential::Password(hash) => {
                account.password.as_ref().filter(|now| now.is(hash))?;
                (Access::ReadWrite, true, None, None)
            }
            Credential::Key { key, from } => {
                // Several lines may have the same key with different addresses: any of them may log in.
                let lines: Vec<_> = account.all_keys().filter(|known| known.opens(key, *from)).collect();
                let access = lines.first().map(|line| line.access())?;
                let never = lines.iter().any(|line| line.expires().is_none());
                let last = lines.iter().filter_map(|line| line.expires()).max().filter(|_| !never);
                let folder = lines.first().and_then(|line| line.folder().cloned());
                (access, lines.iter().any(|line| !line.is_restricted()), last, folder)
            }
        };
        let expires = earlier(expires, account.expires);
        Some(LoginState { access: access.and(account.access), unrestricted, expires, folder, account })
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
    recent: Arc<RecentFiles>,
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
            recent: Arc::default(),
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
        self.login(account, Credential::Password(hash))
    }

    /// Whether a signature by this key would be accepted. Clients ask before they sign.
    pub async fn offered(&self, user: &str, key: &PublicKey, from: IpAddr) -> bool {
        self.public_key(user, key, from).await.is_some()
    }

    /// Logs in by a key whose signature has been verified already.
    pub async fn public_key(&self, user: &str, key: &PublicKey, from: IpAddr) -> Option<Login> {
        let account = self.account(user).await.filter(|account| account.enabled)?;
        self.login(account, Credential::Key { key: key.clone(), from })
    }

    /// The current account with this name, for [`Login::renew`].
    ///
    /// # Errors
    /// If the store is unavailable.
    pub async fn current(&self, user: &str) -> Result<Option<Arc<Account>>, AccountStoreError> {
        self.store.find(user).await
    }

    fn login(&self, account: Arc<Account>, credential: Credential) -> Option<Login> {
        let state = credential.open(account)?;
        state.check_expiry(Timestamp::now()).ok()?;
        Some(Login {
            name: state.account.name.as_str().into(),
            state: Arc::new(ArcSwap::from_pointee(state)),
            credential: Arc::new(credential),
            store: Arc::clone(&self.store),
            recent: Arc::clone(&self.recent),
            view: Arc::default(),
        })
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
mod tests;
