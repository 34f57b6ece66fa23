//! Reload of etc/users.toml while the server runs.
//!
//! A reload is atomic: errors, and changes that need a restart, are found before anything changes. A rejected file
//! still revokes rights (the module `revoke`). A home that cannot be served affects its user only. Sessions
//! continue, except those whose users may no longer log in or may do less than before.

mod result;
mod revoke;
mod watcher;

pub use result::{RejectedReload, ReloadError, ReloadSummary, UserSettingsState};

use crate::accounts::{Account, TomlAccounts, homes_of, log_expiry_warnings, unfit_root};
use crate::config::modes::log_warnings;
use crate::config::{Config, Diagnostic, shown};
use crate::confine::Confinement;
use crate::session::{ServerState, Transport};
use crate::systemd::Notifier;
use sshome_store::{HomeProblem, HomeSettings};
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::signal::unix::Signal;
use tokio::sync::Notify;
use tokio::task::spawn_blocking;
use watcher::{ChangeSignals, SettingsWatcher};

/// The quiet time to wait for after a change: saving a file changes it several times in a row.
const SETTLE_TIME: Duration = Duration::from_millis(200);

/// The interval of checks without a change event: not every filesystem reports changes.
const CHECK_INTERVAL: Duration = Duration::from_secs(60);

/// Reloads the settings.
pub struct Reloader {
    shared: Arc<ServerState>,
    transport: Arc<Transport>,
    accounts: Arc<TomlAccounts>,
    confinement: Confinement,
    notifier: Arc<Notifier>,
    /// The digest of the file at the last check, or the reason why it could not be read.
    seen: Mutex<Result<blake3::Hash, String>>,
    /// Held during a reload.
    in_progress: tokio::sync::Mutex<()>,
}

impl Reloader {
    /// A reloader for a server.
    #[must_use]
    pub fn new(
        shared: Arc<ServerState>,
        transport: Arc<Transport>,
        accounts: Arc<TomlAccounts>,
        confinement: Confinement,
        notifier: Arc<Notifier>,
    ) -> Reloader {
        let seen = Mutex::new(Ok(shared.config.load().text_digest()));
        let in_progress = tokio::sync::Mutex::default();
        Reloader { shared, transport, accounts, confinement, notifier, seen, in_progress }
    }

    /// Reloads the file, and logs the result.
    ///
    /// # Errors
    /// If the file is rejected. Then only the rights that it revokes change.
    pub async fn reload(&self) -> Result<ReloadSummary, RejectedReload> {
        let _permit = self.in_progress.lock().await;
        self.notifier.reloading();
        self.see();
        let result = self.take_up().await;
        self.shared.refused.store(result.as_ref().err().map(|refused| Arc::new(refused.error.to_string())));
        self.notifier.ready(&match &result {
            Ok(_) => summary(&self.shared),
            Err(refused) => format!("the previous settings stay in force: {}", refused.error),
        });
        log_result(&result);
        result
    }

    async fn take_up(&self) -> Result<ReloadSummary, RejectedReload> {
        let refused = |error| RejectedReload { error, revoked: Vec::new(), ended: 0 };
        let shared = &self.shared;
        let old = shared.config.load_full();
        let again = Arc::clone(&old);
        let read = spawn_blocking(move || {
            again.read_again().inspect(|(new, _)| {
                log_warnings(new);
                log_expiry_warnings(&new.accounts);
            })
        })
        .await;
        let (new, mistakes) =
            read.map_err(|error| refused(error.into()))?.map_err(|error| refused(error.into()))?;
        if let Err(error) = self.check(&old, &new, &mistakes) {
            let (left, revoked) = revoke::revoke(&old, &new, &mistakes);
            let (_, ended) = self.apply(&old, left).await;
            return Err(RejectedReload { error, revoked, ended });
        }

        let to_open = to_be_opened(&old, &new);
        let world = Arc::clone(shared);
        let open = move |account: Arc<Account>| {
            let settings = HomeSettings::from(&*account);
            (world.homes.prepare(&settings), settings)
        };
        let homes = spawn_blocking(move || to_open.into_iter().map(open).collect::<Vec<_>>()).await;
        for (home, settings) in homes.map_err(|error| refused(error.into()))? {
            match home {
                Ok(home) => home.serve(),
                Err(error) => shared.homes.set_unavailable(&settings, &error),
            }
        }
        let ((added, removed), ended) = self.apply(&old, new).await;
        let world = Arc::clone(shared);
        let unavailable = spawn_blocking(move || look_at_homes(&world)).await;
        Ok(ReloadSummary { added, removed, ended, unavailable: unavailable.unwrap_or_default() })
    }

    /// Checks whether the new settings can be applied.
    fn check(&self, old: &Config, new: &Config, mistakes: &[Diagnostic]) -> Result<(), ReloadError> {
        if !mistakes.is_empty() {
            return Err(old.mistaken(mistakes.to_vec()).into());
        }
        let fixed = self.fixed(old, new);
        if fixed.is_empty() { Ok(()) } else { Err(ReloadError::Restart(fixed)) }
    }

    /// Applies settings. Returns the users who can log in now, those who no longer can, and the number of sessions
    /// that were ended.
    async fn apply(&self, old: &Config, new: Config) -> ((Vec<String>, Vec<String>), usize) {
        let (shared, new) = (&self.shared, Arc::new(new));
        self.accounts.replace(&new.accounts);
        for account in &new.accounts {
            shared.homes.set_limits(&account.name, HomeSettings::from(&**account).limits);
            shared.rates.renew(account);
        }
        shared.admission.set_limits(new.limits.clone());
        self.transport.renew(&new);
        shared.config.store(Arc::clone(&new));
        let ended = self.renew_sessions().await;
        let (before, now) = (enabled(old), enabled(&new));
        let without = |a: &BTreeSet<String>, b| a.difference(b).cloned().collect::<Vec<_>>();
        let (added, removed) = (without(&now, &before), without(&before, &now));
        for user in &removed {
            shared.homes.remove(user);
        }
        ((added, removed), ended)
    }

    /// Compares a user's settings in the file with the current ones.
    ///
    /// # Errors
    /// If the file cannot be read.
    pub async fn settings_state_of(&self, user: &str) -> Result<UserSettingsState, ReloadError> {
        let now = self.shared.config.load_full();
        let again = Arc::clone(&now);
        let (file, mistakes) = spawn_blocking(move || again.read_again()).await??;
        let world = Arc::clone(&self.shared);
        let name = user.to_owned();
        let problem = spawn_blocking(move || world.homes.problem_of(&name)).await?;
        let unavailable = problem.map(|home| home.why);
        // Without a change of the file, a removed key may be the only change.
        let pending = match revoke::is_unparsable(&mistakes) {
            true => Vec::new(),
            false => revoke::pending(&now, &file, user),
        };
        Ok(UserSettingsState { pending, unavailable })
    }

    /// Reloads whenever the file changes, and on `hangup`; ends the sessions of installed keys that are removed;
    /// tells the service manager that the server is ready. Never ends.
    pub async fn follow(&self, hangup: &mut Option<Signal>) {
        let changes = Arc::new(ChangeSignals::default());
        let config = self.shared.config.load_full();
        let mut watch = SettingsWatcher::new(&config, Arc::clone(&changes));
        watch.renew(&config);
        self.notifier.ready(&summary(&self.shared));
        // It may have changed since it was read at the start.
        let mut first = true;
        loop {
            let asked = tokio::select! {
                biased;
                () = std::future::ready(()), if std::mem::take(&mut first) => false,
                Some(()) = async { hangup.as_mut()?.recv().await } => true,
                () = changes.settings.notified() => {
                    settled(&changes.settings).await;
                    false
                }
                () = changes.keys.notified() => {
                    settled(&changes.keys).await;
                    self.renew_keys().await;
                    continue;
                }
                () = self.accounts.key_removed() => {
                    // A user who has removed the key of the current session still gets the answer.
                    tokio::time::sleep(SETTLE_TIME).await;
                    self.renew_keys().await;
                    continue;
                }
                () = tokio::time::sleep(CHECK_INTERVAL) => false,
            };
            // A link may have a different target now.
            watch.renew(&config);
            // A touch, or a temporary file of an editor, is not a change.
            let mut changed = self.see();
            if changed && config.digest().is_err() {
                // An editor may be replacing it right now.
                tokio::time::sleep(SETTLE_TIME).await;
                changed = self.see() || config.digest().is_err();
            }
            if asked || changed {
                // The log has the result.
                let _ = self.reload().await;
            }
        }
    }

    /// Checks the file. Returns whether it has changed or became unreadable.
    fn see(&self) -> bool {
        let found = self.shared.config.load().digest().map_err(|error| error.to_string());
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let changed = *seen != found;
        *seen = found;
        changed
    }

    /// Ends the sessions of keys that users had installed and that were removed.
    async fn renew_keys(&self) {
        let _permit = self.in_progress.lock().await;
        let ended = self.renew_sessions().await;
        if ended > 0 {
            tracing::info!(ended, "sessions of removed keys ended");
        }
    }

    /// The changes that need a restart.
    fn fixed(&self, old: &Config, new: &Config) -> Vec<String> {
        let mut fixed: Vec<String> = [
            ("listen", old.listen != new.listen),
            ("algorithms", old.algorithms != new.algorithms),
            // The default host keys follow from the algorithms.
            ("host-keys", old.host_keys != new.host_keys && old.algorithms == new.algorithms),
            ("account", old.account != new.account),
            ("confine", old.confine != new.confine),
            ("control-socket", old.control_socket != new.control_socket),
            ("metrics", old.metrics != new.metrics),
            ("log", old.log != new.log),
        ]
        .into_iter()
        .filter(|(_, differs)| *differs)
        .map(|(key, _)| format!("server.{key}"))
        .collect();
        let sessions = self.shared.sessions.logged_in();
        let has_sessions = |user: &str| {
            sessions.iter().any(|session| session.login().is_some_and(|login| login.name() == user))
        };
        let moved = new.accounts.iter().filter(|account| {
            let before = served(old, &account.name).is_some_and(|before| before.root != account.root);
            before && account.enabled && has_sessions(&account.name)
        });
        fixed.extend(moved.map(|account| format!("users.{0}.root (while {0} has sessions)", account.name)));
        let opened = to_be_opened(old, new);
        // A refused root only locks its user out, and a restart would not change that.
        let outside = opened
            .iter()
            .filter(|account| !self.confinement.allows(&account.root) && unfit_root(account).is_none());
        fixed.extend(outside.map(|account| {
            let root = shown(&account.root);
            format!("users.{}.root ({root} is outside the server's sandbox)", account.name)
        }));
        fixed
    }

    /// Updates the account of each session, and ends sessions that may no longer be logged in or may do less than before.
    /// Returns the number of ended sessions.
    async fn renew_sessions(&self) -> usize {
        let mut ended = 0;
        for session in self.shared.sessions.logged_in() {
            let Some(login) = session.login() else { continue };
            match self.shared.authenticator.current(login.name()).await {
                Ok(account) => {
                    if let Err(why) = login.renew(account) {
                        session.end(why);
                        ended += 1;
                    }
                }
                Err(error) => {
                    tracing::error!(user = login.name(), %error, "a session keeps its old settings")
                }
            }
        }
        ended
    }
}

/// The status line for the service manager.
fn summary(shared: &ServerState) -> String {
    let users = enabled(&shared.config.load()).len();
    format!("serving {users} {}", if users == 1 { "user" } else { "users" })
}

/// Logs the result of a reload.
fn log_result(result: &Result<ReloadSummary, RejectedReload>) {
    match result {
        Ok(ReloadSummary { added, removed, ended, .. }) => {
            tracing::info!(added = added.join(" "), removed = removed.join(" "), ended, "settings reloaded");
        }
        Err(refused) => tracing::error!("the new settings are refused: {}", refused.in_one_line()),
    }
}

fn enabled(config: &Config) -> BTreeSet<String> {
    config.accounts.iter().filter(|account| account.enabled).map(|account| account.name.clone()).collect()
}

/// The account of a user whose home is served.
fn served<'a>(config: &'a Config, user: &str) -> Option<&'a Arc<Account>> {
    config.accounts.iter().find(|account| account.name == user && account.enabled)
}

/// The users whose homes must be opened: new ones, and those with a different path.
fn to_be_opened(old: &Config, new: &Config) -> Vec<Arc<Account>> {
    let is_open = |account: &Account| served(old, &account.name).is_some_and(|now| now.root == account.root);
    new.accounts.iter().filter(|account| account.enabled && !is_open(account)).map(Arc::clone).collect()
}

/// Returns when nothing has changed for a while.
async fn settled(changes: &Notify) {
    while tokio::time::timeout(SETTLE_TIME, changes.notified()).await.is_ok() {}
}

/// Tries again to open the homes that are unavailable. Returns those that still are, or were replaced.
pub(crate) fn retry_homes(shared: &ServerState) -> Vec<HomeProblem> {
    let homes = &shared.homes;
    for settings in homes_of(&shared.config.load().accounts) {
        // The reason is logged, and is in the result.
        let _ = homes.retry(&settings);
    }
    homes.problems()
}

/// As [`retry_homes`], and also finds directories in the other homes that became unreadable.
pub(crate) fn look_at_homes(shared: &ServerState) -> Vec<HomeProblem> {
    let unavailable = retry_homes(shared);
    shared.homes.inspect();
    unavailable
}
