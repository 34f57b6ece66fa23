//! `sshomed share`: serves one folder where it is, to one user who exists only in this process.
//!
//! The settings, the host key and the password are in memory only, so nothing remains of them, however the process ends.
//! A folder that is shared for reading does not change. One that is shared for writing has a staging folder while it is
//! shared, since an upload is published by a rename within one filesystem.

mod account;
mod announcement;
mod duration;
mod password;

pub use duration::parse_duration;

use crate::accounts::{HashError, remember_accounts, unfit_reason};
use crate::config::{Config, shown};
use crate::confine::{ConfineError, Confinement};
use crate::host_key::HostKeyType;
use crate::log::{self, LogError};
use crate::permission::CannotRead;
use crate::reachable::own_addresses;
use crate::server::{self, Privileged, Server};
use crate::systemd::Notifier;
use account::{GUEST_USER, account};
use announcement::Announcement;
use jiff::Timestamp;
use password::OneTimePassword;
use russh::keys::PrivateKey;
use russh::keys::ssh_key;
use sshome_store::{HomeStore, PrepareError};
use sshome_store_posix::{PosixStore, STAGING_DIRECTORY};
use std::fs;
use std::io::{self, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};

/// The longest wait until the clock is read again: timers stop while the machine sleeps.
const CLOCK_INTERVAL: Duration = Duration::from_secs(60);

/// A folder to be shared.
#[derive(Clone, Debug)]
pub struct FolderShare {
    /// The folder.
    pub folder: PathBuf,
    /// The addresses to listen on. Empty for a free port of the loopback address.
    pub listen: Vec<SocketAddr>,
    /// Whether its user may change it.
    pub writable: bool,
    /// How long it is shared. `None` until the process is told to end.
    pub time_limit: Option<Duration>,
}

/// Why a folder cannot be shared.
#[derive(Debug, thiserror::Error)]
pub enum ShareError {
    /// It is not a folder that this account can read.
    #[error("{}: cannot be shared: {}", shown(.folder), CannotRead(.folder, .error))]
    Folder {
        /// The folder.
        folder: PathBuf,
        /// The error of the system.
        error: io::Error,
    },
    /// It is a folder that is never served.
    #[error("{} {why}, which is never shared", shown(.folder))]
    Unfit {
        /// The folder.
        folder: PathBuf,
        /// The reason.
        why: String,
    },
    /// A server or another share writes to it.
    #[error("{} is served by another sshomed: end that, share it without --write, or share a folder in it", shown(.0))]
    Locked(PathBuf),
    /// It cannot be opened.
    #[error("{}: cannot be shared: {why}", shown(.folder))]
    Home {
        /// The folder.
        folder: PathBuf,
        /// The reason, with the remedy.
        why: String,
    },
    /// The password.
    #[error(transparent)]
    Password(#[from] HashError),
    /// The host key.
    #[error("no host key can be generated: {0}")]
    HostKey(#[from] ssh_key::Error),
    /// The sandbox.
    #[error(transparent)]
    Confine(#[from] ConfineError),
    /// The log.
    #[error(transparent)]
    Log(#[from] LogError),
    /// The server.
    #[error(transparent)]
    Server(#[from] server::Error),
    /// The process itself.
    #[error("the folder cannot be shared: {0}")]
    Start(#[from] io::Error),
}

impl FolderShare {
    /// Shares the folder until Ctrl-C, SIGTERM, SIGHUP or the time limit. Prints how to reach it on standard output.
    ///
    /// # Errors
    /// If it cannot be shared.
    pub fn run(&self) -> Result<(), ShareError> {
        let folder = readable(&self.folder)?;
        // Reads /proc and /etc, which the sandbox makes inaccessible.
        sshome_store_posix::umask();
        remember_accounts();
        let password = OneTimePassword::generate();
        let account = account(&folder, self.writable, &password)?;
        if let Some(why) = unfit_reason(&account) {
            return Err(ShareError::Unfit { folder, why });
        }
        let config = Config::without_file(account, self.addresses());
        let key = HostKeyType::Ed25519.generate()?;
        let privileged = Privileged::with_host_key(&config, key.clone())?;
        let announcement = self.announcement(&folder, &key, password)?;
        let confinement = Confinement::to_folder(&folder, self.writable)?;
        let _log = log::begin(&config.log)?;
        confinement.log();
        let runtime = server::runtime()?;
        let result = runtime.block_on(self.serve(&folder, config, privileged, confinement, announcement));
        server::end(runtime);
        result
    }

    fn addresses(&self) -> Vec<SocketAddr> {
        match self.listen.is_empty() {
            true => vec![SocketAddr::from((Ipv4Addr::LOCALHOST, 0))],
            false => self.listen.clone(),
        }
    }

    fn announcement(
        &self,
        folder: &Path,
        key: &PrivateKey,
        password: OneTimePassword,
    ) -> Result<Announcement, ShareError> {
        let until = self.time_limit.and_then(|limit| Timestamp::now().checked_add(limit).ok());
        let hosts = own_addresses();
        let (folder, writable) = (folder.to_owned(), self.writable);
        Ok(Announcement { folder, writable, key: key.public_key().clone(), password, until, hosts })
    }

    async fn serve(
        &self,
        folder: &Path,
        config: Config,
        privileged: Privileged,
        confinement: Confinement,
        announcement: Announcement,
    ) -> Result<(), ShareError> {
        let (mut interrupt, mut terminate) =
            (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
        let mut hangup = signal(SignalKind::hangup())?;
        // Left by a share that was killed, or that of a server's home.
        let is_staged = fs::symlink_metadata(folder.join(STAGING_DIRECTORY)).is_ok();
        let store = Arc::new(PosixStore::for_shared_folders());
        let homes = Arc::<PosixStore>::clone(&store);
        let server = Server::prepare(config, homes, privileged, confinement, Notifier::default()).await;
        let server = server.map_err(|error| cannot_serve(folder, error))?.without_reload();
        if let Some(problem) = store.problem_of(GUEST_USER) {
            return Err(ShareError::Home { folder: folder.to_owned(), why: problem.why });
        }
        crate::invocation::serves();
        let text = announcement.text(&server.addresses()?);
        let until = announcement.until;
        drop(announcement);
        let mut out = io::stdout();
        out.write_all(text.as_bytes())?;
        out.flush()?;
        drop(text);
        server
            .serve(async move {
                tokio::select! {
                    _ = interrupt.recv() => {}
                    _ = terminate.recv() => {}
                    _ = hangup.recv() => {}
                    () = over(until) => tracing::info!("the time is over"),
                }
            })
            .await;
        if self.writable && !is_staged {
            store.remove_staging();
        }
        Ok(())
    }
}

/// The absolute path of a folder that this process can read.
fn readable(folder: &Path) -> Result<PathBuf, ShareError> {
    let real = fs::canonicalize(folder).and_then(|real| fs::read_dir(&real).map(|_| real));
    real.map_err(|error| ShareError::Folder { folder: folder.to_owned(), error })
}

fn cannot_serve(folder: &Path, error: server::Error) -> ShareError {
    match error {
        server::Error::Home(PrepareError::Locked { .. }) => ShareError::Locked(folder.to_owned()),
        error => error.into(),
    }
}

/// Returns at this time; never if there is none.
async fn over(until: Option<Timestamp>) {
    let Some(until) = until else { return std::future::pending().await };
    while let Ok(left) = Duration::try_from(until.duration_since(Timestamp::now()))
        && !left.is_zero()
    {
        tokio::time::sleep(left.min(CLOCK_INTERVAL)).await;
    }
}
