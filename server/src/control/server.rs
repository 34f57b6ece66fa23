//! The server side of the control socket.

use super::{
    AppliedSettings, ControlRequest, ControlResponse, ScanComparison, ScanReport, UnavailableHomeReport,
    status,
};
use crate::config::{Config, shown};
use crate::reload::Reloader;
use crate::session::ServerState;
use nix::libc::O_DIRECTORY;
use sshome_store::quota::Comparison;
use sshome_store::{HomeSettings, HomeStore};
use std::fs::{DirBuilder, File, TryLockError};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::os::unix::net::UnixListener as StdListener;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::Semaphore;

/// The longest accepted request, in bytes.
const MAX_REQUEST_BYTES: u64 = 4096;

/// The number of scans of a home that changes during the scan.
const MAX_SCAN_TRIES: usize = 3;

/// The largest number of connections.
const MAX_CLIENTS: usize = 16;

/// The listening control socket.
pub struct ControlSocket {
    listener: UnixListener,
    path: PathBuf,
    /// The folder, locked: no other server has its socket there.
    _folder: File,
    since: SystemTime,
}

/// Why the control socket cannot be created.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// The folder or the socket cannot be created.
    #[error(
        "the control socket {} cannot be created: {}; set a different path in control-socket, or \"off\"",
        shown(.path), crate::permission::CannotCreate(.path, .error)
    )]
    Make {
        /// The socket.
        path: PathBuf,
        /// The reason.
        error: io::Error,
    },
    /// Others can write to the folder.
    #[error(
        "{folder} holds the control socket, so it must belong to the server's account, and nobody else may write to it \
         (it is {whose}): chown it to that account and chmod 700 it, or name a folder of its own in control-socket",
        folder = shown(.0), whose = crate::permission::ownership(.0)
    )]
    Open(PathBuf),
    /// Another server listens.
    #[error("another sshomed runs here: {} is its control socket; `sshomed status` shows it", shown(.0))]
    Taken(PathBuf),
    /// The path is not a socket.
    #[error("{} is not a socket: remove it, or set control-socket", shown(.0))]
    NoSocket(PathBuf),
}

impl ControlSocket {
    /// Listens on `path`. Creates the folder if it is missing, and removes the socket of a server that was killed.
    ///
    /// # Errors
    /// If another server listens there, something else has the name, or others can write to the folder.
    pub fn bind(path: &Path) -> Result<ControlSocket, BindError> {
        let failed = |error| BindError::Make { path: path.to_owned(), error };
        let parent = path.parent().unwrap_or(Path::new("/"));
        DirBuilder::new().recursive(true).mode(0o700).create(parent).map_err(failed)?;
        let folder = open(parent).map_err(failed)?;
        let found = folder.metadata().map_err(failed)?;
        check_folder(parent, found.mode(), found.uid())?;
        match folder.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(BindError::Taken(path.to_owned())),
            Err(TryLockError::Error(error)) => return Err(failed(error)),
        }
        match std::fs::symlink_metadata(path) {
            // The lock is free, so its server has ended.
            Ok(found) if found.file_type().is_socket() => {
                std::fs::remove_file(path).map_err(failed)?;
            }
            Ok(_) => return Err(BindError::NoSocket(path.to_owned())),
            Err(_) => {}
        }
        let listener = short(path, StdListener::bind).map_err(failed)?;
        std::fs::set_permissions(path, PermissionsExt::from_mode(0o600)).map_err(failed)?;
        listener.set_nonblocking(true).map_err(failed)?;
        let listener = UnixListener::from_std(listener).map_err(failed)?;
        Ok(ControlSocket { listener, path: path.to_owned(), _folder: folder, since: SystemTime::now() })
    }

    /// Serves requests as long as it is polled.
    pub async fn serve(&self, shared: Arc<ServerState>, reloader: Arc<Reloader>) {
        let permits = Arc::new(Semaphore::new(MAX_CLIENTS));
        loop {
            let Ok(permit) = Arc::clone(&permits).acquire_owned().await else { return };
            match self.listener.accept().await {
                Ok((stream, _)) => {
                    let (shared, reloader, since) = (Arc::clone(&shared), Arc::clone(&reloader), self.since);
                    tokio::spawn(async move {
                        let _permit = permit;
                        if let Err(error) = converse(stream, &shared, &reloader, since).await {
                            tracing::debug!(%error, "an administrator left");
                        }
                    });
                }
                Err(error) => {
                    tracing::warn!(%error, "the control socket could not be answered");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            }
        }
    }
}

/// Checks whether a socket can be created at `path`, in an existing folder.
///
/// # Errors
/// If others can write to the folder, or something else has the name.
pub fn examine(path: &Path) -> Result<(), BindError> {
    let parent = path.parent().unwrap_or(Path::new("/"));
    let folder = std::fs::metadata(parent);
    let folder = folder.map_err(|error| BindError::Make { path: path.to_owned(), error })?;
    check_folder(parent, folder.mode(), folder.uid())?;
    match std::fs::symlink_metadata(path) {
        Ok(found) if !found.file_type().is_socket() => Err(BindError::NoSocket(path.to_owned())),
        _ => Ok(()),
    }
}

/// Refuses a folder that others can write to or that another account owns.
fn check_folder(folder: &Path, mode: u32, owner: u32) -> Result<(), BindError> {
    let is_private = mode & 0o022 == 0 && owner == rustix::process::geteuid().as_raw();
    if is_private { Ok(()) } else { Err(BindError::Open(folder.to_owned())) }
}

impl Drop for ControlSocket {
    fn drop(&mut self) {
        // If this fails, the next server removes it.
        let _ = std::fs::remove_file(&self.path);
    }
}

/// Calls `act` with a short path of the socket: the kernel accepts at most 107 bytes.
pub(super) fn short<T>(path: &Path, act: impl FnOnce(PathBuf) -> io::Result<T>) -> io::Result<T> {
    let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(io::ErrorKind::InvalidInput.into());
    };
    let folder = open(parent)?;
    act(PathBuf::from(format!("/proc/self/fd/{}", folder.as_raw_fd())).join(name))
}

fn open(folder: &Path) -> io::Result<File> {
    File::options().read(true).custom_flags(O_DIRECTORY).open(folder)
}

async fn converse(
    stream: UnixStream,
    shared: &Arc<ServerState>,
    reloader: &Reloader,
    since: SystemTime,
) -> io::Result<()> {
    let (reader, mut writer) = stream.into_split();
    let mut reader = BufReader::new(reader);
    loop {
        let mut line = String::new();
        if (&mut reader).take(MAX_REQUEST_BYTES).read_line(&mut line).await? == 0 {
            return Ok(());
        }
        let answer = match serde_json::from_str(&line) {
            Ok(request) => answer(request, shared, reloader, since).await,
            Err(error) => ControlResponse::Error { message: format!("invalid request: {error}") },
        };
        let mut line = serde_json::to_vec(&answer)?;
        line.push(b'\n');
        writer.write_all(&line).await?;
    }
}

async fn answer(
    request: ControlRequest,
    shared: &Arc<ServerState>,
    reloader: &Reloader,
    since: SystemTime,
) -> ControlResponse {
    match request {
        ControlRequest::Status => {
            let world = Arc::clone(shared);
            let status =
                tokio::task::spawn_blocking(move || ControlResponse::Status(status::status(&world, since)));
            status.await.unwrap_or_else(fault)
        }
        ControlRequest::Kick { who } => kick(shared, &who),
        ControlRequest::QuotaScan { user } => {
            let world = Arc::clone(shared);
            tokio::task::spawn_blocking(move || scan(&world, user.as_deref())).await.unwrap_or_else(fault)
        }
        ControlRequest::Reload => match reloader.reload().await {
            Ok(done) => ControlResponse::Reloaded {
                added: done.added,
                removed: done.removed,
                ended: done.ended,
                unavailable: done.unavailable.into_iter().map(UnavailableHomeReport::from).collect(),
            },
            Err(refused) => ControlResponse::Error { message: refused.to_string() },
        },
        ControlRequest::Apply { user } => apply(reloader, user).await,
        ControlRequest::HomeReopen { user } => {
            let world = Arc::clone(shared);
            tokio::task::spawn_blocking(move || reopen(&world, user)).await.unwrap_or_else(fault)
        }
        ControlRequest::Forgive { source } => match shared.admission.forgive(&source) {
            none if none.is_empty() && source != "all" => {
                let source = sshome_wire::display::Escaped(source.as_bytes());
                ControlResponse::Error {
                    message: format!(
                        "{source} has no penalty: `sshomed penalties` lists the addresses that have one"
                    ),
                }
            }
            sources => {
                if !sources.is_empty() {
                    tracing::info!(sources = sources.join(" "), "penalties lifted by the administrator");
                }
                ControlResponse::Forgiven { sources }
            }
        },
    }
}

fn fault(error: tokio::task::JoinError) -> ControlResponse {
    ControlResponse::Error { message: format!("internal error: {error}") }
}

/// Reloads the settings, and reports whether a user's settings are in effect.
async fn apply(reloader: &Reloader, user: String) -> ControlResponse {
    let (refused, revoked, ended) = match reloader.reload().await {
        Ok(done) => (None, Vec::new(), done.ended),
        Err(refused) => (Some(refused.error.to_string()), refused.revoked, refused.ended),
    };
    match reloader.settings_state_of(&user).await {
        Ok(state) => ControlResponse::Applied(AppliedSettings {
            user,
            refused,
            pending: state.pending,
            revoked,
            unavailable: state.unavailable,
            ended,
        }),
        Err(error) => ControlResponse::Error { message: error.to_string() },
    }
}

/// Reopens a home. Sessions in the old one are ended, because their writes would be lost.
fn reopen(shared: &ServerState, user: String) -> ControlResponse {
    let name = sshome_wire::display::Escaped(user.as_bytes()).to_string();
    let config = shared.config.load();
    let Some(account) = config.accounts.iter().find(|account| account.name == user && account.enabled) else {
        return ControlResponse::Error { message: not_served(&config, &user) };
    };
    let is_missing = !account.root.exists();
    match shared.homes.reopen(&HomeSettings::from(&**account)) {
        Ok(anew) => {
            let made = is_missing && anew;
            if anew {
                tracing::info!(user = name, made, "the administrator reopened the home");
                let sessions = shared.sessions.logged_in();
                let theirs = |login: &crate::auth::Login| login.name() == user;
                let theirs = sessions.iter().filter(|session| session.login().is_some_and(theirs));
                theirs.for_each(|session| session.end("the home was replaced"));
            }
            ControlResponse::Reopened { user, anew, made }
        }
        Err(error) => ControlResponse::Error { message: error.to_string() },
    }
}

/// The message about a user who cannot log in, and whose home is therefore closed.
fn not_served(config: &Config, user: &str) -> String {
    let name = sshome_wire::display::Escaped(user.as_bytes());
    match config.accounts.iter().any(|account| account.name == user) {
        true => format!("the account {name} is disabled: `sshomed user enable {name}`"),
        false => format!("there is no user {name} who may log in"),
    }
}

/// Ends sessions. A number is taken as a session first and as a user's name second.
fn kick(shared: &ServerState, who: &str) -> ControlResponse {
    let one = who.parse().ok().and_then(|number| shared.sessions.of(number));
    let found = match one {
        Some(session) => vec![session],
        None => {
            let mut all = shared.sessions.logged_in();
            all.retain(|session| session.login().is_some_and(|login| login.name() == who));
            all
        }
    };
    if found.is_empty() {
        let who = sshome_wire::display::Escaped(who.as_bytes());
        return ControlResponse::Error { message: format!("no such session or logged-in user: {who}") };
    }
    found.iter().for_each(|session| session.end("kicked by the administrator"));
    ControlResponse::Kicked { sessions: found.iter().map(|session| session.audit().number()).collect() }
}

fn scan(shared: &ServerState, user: Option<&str>) -> ControlResponse {
    let homes = &*shared.homes;
    let mut users: Vec<String> = homes.usages().into_iter().map(|(user, _)| user).collect();
    users.retain(|name| user.is_none_or(|user| user == name));
    let unavailable = match user {
        Some(user) => homes.problem_of(user).into_iter().collect(),
        None => homes.problems(),
    };
    if let (Some(user), true, true) = (user, users.is_empty(), unavailable.is_empty()) {
        return ControlResponse::Error { message: not_served(&shared.config.load(), user) };
    }
    // The path of such a home leads to a different directory by now, so a scan of the old one would be misleading.
    users.retain(|name| unavailable.iter().all(|home| home.user != *name));
    let refused = unavailable.into_iter().map(|home| {
        let error = format!("the home {} is unavailable: {}", shown(&home.root), home.why);
        ScanReport { user: home.user, compared: None, error: Some(error), unreadable: None }
    });
    let counted = users.into_iter().map(|user| scan_one(homes, user));
    let mut homes: Vec<_> = refused.chain(counted).collect();
    homes.sort_by(|a, b| a.user.cmp(&b.user));
    ControlResponse::Scanned { homes }
}

fn scan_one(homes: &dyn HomeStore, user: String) -> ScanReport {
    for _ in 0..MAX_SCAN_TRIES {
        match homes.count(&user) {
            Ok(Comparison::Busy) => {}
            Ok(Comparison::Compared { recorded, found, staged }) => {
                let compared = status::compared(recorded, found, staged);
                log_difference(&user, &compared);
                return ScanReport { user, compared: Some(compared), error: None, unreadable: None };
            }
            Ok(Comparison::Unreadable(unreadable)) => {
                let unreadable = status::unreadable(&unreadable);
                let error = "part of the home cannot be read: nothing was compared or corrected, and uploads are refused until a full scan succeeds";
                return ScanReport { user, compared: None, error: Some(error.to_owned()), unreadable };
            }
            Err(error) => {
                return ScanReport { user, compared: None, error: Some(error), unreadable: None };
            }
        }
    }
    let error = "the home is being changed: nothing was compared; try again when less is under way";
    ScanReport { user, compared: None, error: Some(error.to_owned()), unreadable: None }
}

fn log_difference(user: &str, compared: &ScanComparison) {
    let (bytes, entries) = (compared.bytes_off, compared.entries_off);
    if (bytes, entries) != (0, 0) {
        tracing::warn!(user, bytes, entries, "the accounting was off by this much and was corrected");
    }
    let bytes = compared.staged_off;
    if bytes != 0 {
        tracing::warn!(
            user,
            bytes,
            "the accounting of uploads and partial uploads is off by this much; a restart of the server recounts it"
        );
    }
}
