//! Taking up a change of etc/users.toml while the server serves.
//!
//! All or nothing: what is wrong with the file, or cannot change without a restart, is found before
//! anything changes. Sessions go on, but for those whose users would not be let in any more.

use crate::accounts::{Account, TomlAccounts};
use crate::config::{Config, ConfigError, shown};
use crate::confine::Confinement;
use crate::home::{PrepareError, limits};
use crate::session::{Shared, Transport};
use crate::systemd::Notifier;
use notify::{EventKind, RecommendedWatcher, RecursiveMode, Watcher};
use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::signal::unix::Signal;
use tokio::sync::mpsc;

/// A file that somebody saves changes several times in a row.
const SETTLE: Duration = Duration::from_millis(200);

/// What takes up a change.
pub struct Reloader {
    shared: Arc<Shared>,
    transport: Arc<Transport>,
    accounts: Arc<TomlAccounts>,
    confinement: Confinement,
    notifier: Arc<Notifier>,
    /// Held while one is taken up.
    turn: tokio::sync::Mutex<()>,
}

/// What has become different.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reloaded {
    /// Users who can log in now.
    pub added: Vec<String>,
    /// Users who cannot log in any more.
    pub removed: Vec<String>,
    /// Sessions that were ended.
    pub ended: usize,
}

/// Why nothing has changed.
#[derive(Debug, thiserror::Error)]
pub enum ReloadError {
    /// The file cannot be read, or there are mistakes in it.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// Something that is fixed while the server runs.
    #[error("restart needed: {} cannot change while the server runs; nothing of the new settings holds", .0.join(", "))]
    Restart(Vec<String>),
    /// The home of a new user.
    #[error("{0}; nothing of the new settings holds")]
    Home(#[from] PrepareError),
    /// A fault of ours.
    #[error("the new settings could not be looked at: {0}")]
    Fault(#[from] tokio::task::JoinError),
}

impl Reloader {
    /// What takes changes up for a server.
    #[must_use]
    pub fn new(
        shared: Arc<Shared>,
        transport: Arc<Transport>,
        accounts: Arc<TomlAccounts>,
        confinement: Confinement,
        notifier: Arc<Notifier>,
    ) -> Reloader {
        Reloader { shared, transport, accounts, confinement, notifier, turn: tokio::sync::Mutex::new(()) }
    }

    /// Takes up what stands in the file now.
    ///
    /// # Errors
    /// If it cannot be: then everything is as it was.
    pub async fn reload(&self) -> Result<Reloaded, ReloadError> {
        let _turn = self.turn.lock().await;
        self.notifier.reloading();
        let result = self.take_up().await;
        self.notifier.ready(&match &result {
            Ok(_) => standing(&self.shared),
            Err(error) => format!("the settings stay as they were: {error}"),
        });
        result
    }

    async fn take_up(&self) -> Result<Reloaded, ReloadError> {
        let shared = &self.shared;
        let old = shared.config.load_full();
        let again = Arc::clone(&old);
        let new = Arc::new(tokio::task::spawn_blocking(move || again.load_again()).await??);
        let fixed = self.fixed(&old, &new);
        if !fixed.is_empty() {
            return Err(ReloadError::Restart(fixed));
        }
        let homes = to_be_opened(&old, &new);
        let world = Arc::clone(shared);
        let homes = tokio::task::spawn_blocking(move || world.homes.prepare_more(&homes)).await??;

        homes.into_iter().for_each(|home| shared.homes.add(home, &shared.ledgers));
        self.accounts.replace(&new);
        for account in &new.accounts {
            if let Some(ledger) = shared.ledgers.of(&account.name) {
                ledger.set_limits(limits(account));
            }
            shared.rates.renew(account);
        }
        shared.gate.set_limits(new.limits.clone());
        self.transport.renew(new.kex, &new.limits);
        shared.config.store(Arc::clone(&new));
        let ended = self.renew_sessions().await;
        let (before, now) = (enabled(&old), enabled(&new));
        let without = |a: &BTreeSet<String>, b| a.difference(b).cloned().collect::<Vec<_>>();
        let (added, removed) = (without(&now, &before), without(&before, &now));
        for user in &removed {
            shared.homes.remove(user);
            shared.ledgers.remove(user);
        }
        Ok(Reloaded { added, removed, ended })
    }

    /// Reloads whenever the file changes, and on `hangup`; tells the service manager that the server is ready. Never
    /// ends.
    pub async fn follow(&self, mut hangup: Option<Signal>) {
        let (sender, mut changes) = mpsc::channel(1);
        let config = self.shared.config.load_full();
        // It watches until it is dropped.
        let _watcher = watch(&config, sender.clone()).inspect_err(|error| {
            tracing::warn!(%error, "changes of the settings are not noticed: SIGHUP or `sshomed reload` takes them up");
        });
        let mut seen = config.digest().ok();
        self.notifier.ready(&standing(&self.shared));
        loop {
            let asked = tokio::select! {
                Some(()) = async { hangup.as_mut()?.recv().await } => true,
                _ = changes.recv() => {
                    while tokio::time::timeout(SETTLE, changes.recv()).await.is_ok() {}
                    false
                }
            };
            // A touch, or the file of somebody's editor beside it, is no change. Nor is a file that is
            // just being replaced.
            let digest = config.digest().ok();
            if asked || (digest.is_some() && digest != seen) {
                seen = digest;
                tell(&self.reload().await);
            }
        }
    }

    /// What differs and cannot while the server runs.
    fn fixed(&self, old: &Config, new: &Config) -> Vec<String> {
        let mut fixed: Vec<String> = [
            ("listen", old.listen != new.listen),
            ("host-keys", old.host_keys != new.host_keys),
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
        let outside = opened.iter().filter(|account| !self.confinement.allows(&account.root));
        fixed.extend(outside.map(|account| {
            let root = shown(&account.root);
            format!("users.{}.root ({root} lies outside of what the server confined itself to)", account.name)
        }));
        fixed
    }

    /// Gives each session the account as it is now, and ends those that it does not let in. Returns how many
    /// these are.
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

/// What a server does, in a line.
fn standing(shared: &Shared) -> String {
    let users = enabled(&shared.config.load()).len();
    format!("serving {users} {}", if users == 1 { "user" } else { "users" })
}

/// Tells the log what came of it.
pub fn tell(result: &Result<Reloaded, ReloadError>) {
    match result {
        Ok(Reloaded { added, removed, ended }) => {
            tracing::info!(added = added.join(" "), removed = removed.join(" "), ended, "settings reloaded");
        }
        Err(error) => tracing::error!("the settings stay as they were: {error}"),
    }
}

fn enabled(config: &Config) -> BTreeSet<String> {
    config.accounts.iter().filter(|account| account.enabled).map(|account| account.name.clone()).collect()
}

/// The account of a user whose home is served.
fn served<'a>(config: &'a Config, user: &str) -> Option<&'a Arc<Account>> {
    config.accounts.iter().find(|account| account.name == user && account.enabled)
}

/// The users whose homes are not open yet, or lie elsewhere now.
fn to_be_opened(old: &Config, new: &Config) -> Vec<Arc<Account>> {
    let is_open = |account: &Account| served(old, &account.name).is_some_and(|now| now.root == account.root);
    new.accounts.iter().filter(|account| account.enabled && !is_open(account)).map(Arc::clone).collect()
}

/// Watches the folder of the file: an editor may put another file in its place.
fn watch(config: &Config, changes: mpsc::Sender<()>) -> notify::Result<RecommendedWatcher> {
    let mut watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
        let read_only = event.is_ok_and(|event| matches!(event.kind, EventKind::Access(_)));
        if !read_only {
            // If it is full, one is on its way already.
            let _ = changes.try_send(());
        }
    })?;
    watcher.watch(config.file.parent().unwrap_or(Path::new("/")), RecursiveMode::NonRecursive)?;
    Ok(watcher)
}
