//! Startup and graceful shutdown of the server, and its listeners.

mod accept;
mod background;
mod privileged;
mod supervisor;

use crate::accounts::{TomlAccounts, homes_of};
use crate::auth::Authenticator;
use crate::config::{Config, shown};
use crate::confine::{ConfineError, Confinement, Preparation};
use crate::control::{self, BindError, ControlRequest, ControlResponse, ControlSocket};
use crate::host_key::HostKeyError;
use crate::limits::AdmissionControl;
use crate::log::{self, LogError};
use crate::metrics::Metrics;
use crate::protocol::BlockingPool;
use crate::reload::Reloader;
use crate::service::UserPermits;
use crate::session::{
    AbandonedWork, BulkGate, MemoryBudgets, RateLimits, ServerState, SessionRegistry, Transport,
};
use crate::sockets::ListenError;
use crate::systemd::Notifier;
use accept::accept;
use arc_swap::{ArcSwap, ArcSwapOption};
use background::services;
pub use privileged::Privileged;
use sshome_store::{HomeStore, PrepareError};
use sshome_store_posix::{PosixStore, SystemError, check_system};
use std::future::Future;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use supervisor::supervise;
use tokio::net::TcpListener;
use tokio::runtime::{Builder, Runtime};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Why the server cannot serve.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// An address.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// A host key.
    #[error(transparent)]
    HostKey(#[from] HostKeyError),
    /// The sandbox.
    #[error(transparent)]
    Confine(#[from] ConfineError),
    /// The log.
    #[error(transparent)]
    Log(#[from] LogError),
    /// The system.
    #[error(transparent)]
    System(#[from] SystemError),
    /// A home.
    #[error(transparent)]
    Home(#[from] PrepareError),
    /// The control socket.
    #[error(transparent)]
    Control(#[from] BindError),
    /// Another server runs in the folder.
    #[error(
        "another sshomed runs in {}, process {pid}: `sshomed status` shows it; serve another folder with --dir",
        shown(.dir)
    )]
    Running {
        /// The folder.
        dir: PathBuf,
        /// The process.
        pid: u32,
    },
    /// The process itself.
    #[error("the server cannot start: {0}")]
    Start(#[from] io::Error),
}

/// A server that is listening and not serving yet.
pub struct Server {
    listeners: Vec<TcpListener>,
    transport: Arc<Transport>,
    shared: Arc<ServerState>,
    /// `None` if no file holds the settings.
    reloader: Option<Arc<Reloader>>,
    /// SIGHUP. It is registered before the server announces itself: until then, SIGHUP would end the process.
    hangup: Option<Signal>,
    notifier: Arc<Notifier>,
    control: Option<Arc<ControlSocket>>,
    /// The listener for Prometheus.
    metrics: Option<TcpListener>,
    /// The example of a login that is printed at the start.
    example: Option<String>,
}

/// The smallest number of worker threads: some run inline slices, and two are reserved for the network (see
/// `protocol::inline_executor`).
const MIN_WORKERS: usize = 4;

/// A busy worker polls for I/O events after this many task polls. With tokio's default of 61 and bulk transfers, whose
/// polls take about 100 µs, a small request of another user spent half of its latency waiting for this.
const POLLS_BETWEEN_EVENTS: u32 = 2;

/// The time limit for blocking work after all connections are closed.
const MAX_RUNTIME_END: Duration = Duration::from_secs(1);

/// The tokio runtime of the server.
pub(crate) fn runtime() -> io::Result<Runtime> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    Builder::new_multi_thread()
        .worker_threads(cores.max(MIN_WORKERS))
        .event_interval(POLLS_BETWEEN_EVENTS)
        .enable_all()
        .build()
}

/// Serves until Ctrl-C or SIGTERM, then shuts down gracefully. Steps that may need root come first. Then the process
/// drops privileges and sandboxes itself permanently, and only then starts threads and reads data from clients.
///
/// # Errors
/// If it cannot start.
pub fn run(config: Config) -> Result<(), Error> {
    let preparation = Preparation::begin(&config)?;
    let privileged = Privileged::acquire(&config).map_err(|error| other_server(&config).unwrap_or(error))?;
    let notifier = Notifier::from_environment();
    // Reads /proc and /etc, which the sandbox makes inaccessible.
    sshome_store_posix::umask();
    crate::accounts::remember_accounts();
    let confinement = preparation.confine(&config)?;
    let _log = log::begin(&config.log)?;
    confinement.log();
    crate::config::modes::log_warnings(&config);
    let runtime = runtime()?;
    let result = runtime.block_on(run_confined(config, privileged, confinement, notifier));
    end(runtime);
    result
}

/// Shuts down the runtime after all connections are closed. Blocking work that is still running, such as a quota scan,
/// does not change users' files and is abandoned.
pub(crate) fn end(runtime: Runtime) {
    runtime.shutdown_timeout(MAX_RUNTIME_END);
}

/// The error for another server in the same folder, if one answers: it is the cause, whatever failed first.
fn other_server(config: &Config) -> Option<Error> {
    match control::ask(config.control_socket.as_deref()?, &ControlRequest::Status).ok()? {
        ControlResponse::Status(status) => Some(Error::Running { dir: config.dir.clone(), pid: status.pid }),
        _ => None,
    }
}

async fn run_confined(
    config: Config,
    privileged: Privileged,
    confinement: Confinement,
    notifier: Notifier,
) -> Result<(), Error> {
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    check_system()?;
    let store = Arc::new(PosixStore::default());
    let server = Server::prepare(config, store, privileged, confinement, notifier).await?;
    crate::invocation::serves();
    server.announce()?;
    server
        .serve(async move {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
        })
        .await;
    Ok(())
}

impl Server {
    /// A server within another program, without a sandbox.
    ///
    /// # Errors
    /// As of [`Server::prepare`].
    pub async fn bind(config: Config) -> Result<Server, Error> {
        Server::bind_with(config, Arc::new(PosixStore::default())).await
    }

    /// As [`Server::bind`], with homes in any store.
    ///
    /// # Errors
    /// As of [`Server::prepare`].
    pub async fn bind_with(config: Config, store: Arc<dyn HomeStore>) -> Result<Server, Error> {
        let privileged = Privileged::acquire(&config)?;
        Server::prepare(config, store, privileged, Confinement::default(), Notifier::default()).await
    }

    /// Prepares the rest: process limits, homes and their accounting, the control socket.
    ///
    /// # Errors
    /// If any of it fails.
    pub async fn prepare(
        config: Config,
        store: Arc<dyn HomeStore>,
        privileged: Privileged,
        confinement: Confinement,
        notifier: Notifier,
    ) -> Result<Server, Error> {
        raise_open_files();
        let hangup = signal(SignalKind::hangup()).ok();
        let Privileged { sockets, transport, descriptors } = privileged;
        transport.log_new_keys();
        let listeners: Vec<_> =
            sockets.ssh.into_iter().map(TcpListener::from_std).collect::<io::Result<_>>()?;
        let listen = listeners.iter().map(TcpListener::local_addr).collect::<io::Result<_>>()?;
        let metrics_listener = sockets.metrics.map(TcpListener::from_std).transpose()?;
        let (transport, notifier) = (Arc::new(transport), Arc::new(notifier));
        let homes = homes_of(&config.accounts);
        // Before the homes, so that another server in this folder is reported as such.
        let control = config.control_socket.as_deref().map(ControlSocket::bind).transpose()?;
        let served = Arc::clone(&store);
        let served = tokio::task::spawn_blocking(move || served.serve(&homes)).await;
        served.map_err(io::Error::other)??;
        let accounts = Arc::new(TomlAccounts::new(&config.dir, &config.accounts));
        let example = config.accounts.iter().find(|account| account.enabled);
        let example = example.map(|account| account.name.clone());
        let metrics = Arc::new(Metrics::new(descriptors));
        let pool = BlockingPool::of_this_runtime()?;
        let shared = ServerState {
            authenticator: Authenticator::new(Arc::<TomlAccounts>::clone(&accounts)),
            homes: store,
            permits: UserPermits::for_pool(pool.threads()),
            admission: AdmissionControl::new(config.limits.clone()),
            rates: RateLimits::default(),
            memory: MemoryBudgets::default(),
            bulk_gate: BulkGate::for_this_machine(),
            sessions: Arc::new(SessionRegistry::new(Arc::clone(&metrics))),
            abandoned: AbandonedWork::default(),
            metrics,
            pool,
            stopping: CancellationToken::new(),
            cut: CancellationToken::new(),
            config: ArcSwap::from_pointee(config),
            listen,
            refused: ArcSwapOption::empty(),
        };
        let shared = Arc::new(shared);
        let reloader = Reloader::new(
            Arc::clone(&shared),
            Arc::clone(&transport),
            accounts,
            confinement,
            Arc::clone(&notifier),
        );
        let reloader = Some(Arc::new(reloader));
        let (metrics, control) = (metrics_listener, control.map(Arc::new));
        Ok(Server { listeners, transport, shared, reloader, hangup, notifier, control, metrics, example })
    }

    /// The same server, with settings that no file holds: it does not reload them, and leaves SIGHUP to the caller.
    #[must_use]
    pub(crate) fn without_reload(self) -> Server {
        Server { reloader: None, hangup: None, ..self }
    }

    /// The addresses that the server listens on, with the actual ports.
    ///
    /// # Errors
    /// The kernel's.
    pub fn addresses(&self) -> io::Result<Vec<SocketAddr>> {
        self.listeners.iter().map(TcpListener::local_addr).collect()
    }

    /// The address for Prometheus, with the actual port. `None` if it is disabled.
    #[must_use]
    pub fn metrics_address(&self) -> Option<SocketAddr> {
        self.metrics.as_ref().and_then(|listener| listener.local_addr().ok())
    }

    /// Prints the addresses, the host keys and an example login on standard output.
    ///
    /// # Errors
    /// If the kernel does not report the addresses.
    pub fn announce(&self) -> io::Result<()> {
        let mut text = String::new();
        let addresses = self.addresses()?;
        for address in &addresses {
            text += &format!("listening on {address}\n");
        }
        for fingerprint in self.transport.fingerprints() {
            text += &format!("host key {fingerprint}\n");
        }
        if let Some(address) = self.metrics_address() {
            text += &format!("metrics at http://{address}/metrics\n");
        }
        if let (Some(user), Some(address)) = (&self.example, addresses.first()) {
            let host = match address.ip() {
                // The unspecified address: use this machine's name.
                ip if ip.is_unspecified() => {
                    rustix::system::uname().nodename().to_string_lossy().into_owned()
                }
                ip => ip.to_string(),
            };
            text += &format!("log in with: sshome -P {} {user}@{host}\n", address.port());
        }
        let mut out = io::stdout().lock();
        // Standard output may be closed, which does not matter to the server.
        let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
        Ok(())
    }

    /// Serves until `shutdown` is ready. Then it refuses new logins, gives running transfers the grace period, and
    /// closes all connections.
    pub async fn serve(self, shutdown: impl Future<Output = ()>) {
        let connections = TaskTracker::new();
        let listening = TaskTracker::new();
        for listener in self.listeners {
            let (listener, transport) = (Arc::new(listener), Arc::clone(&self.transport));
            let (shared, connections) = (Arc::clone(&self.shared), connections.clone());
            listening.spawn(supervise("listener", move || {
                accept(
                    Arc::clone(&listener),
                    Arc::clone(&transport),
                    Arc::clone(&shared),
                    connections.clone(),
                )
            }));
        }
        let services =
            services(&self.shared, self.reloader, self.hangup, self.control.as_ref(), self.metrics);
        shutdown.await;
        services.shut_down().await;
        self.notifier.stopping();
        tracing::info!(connections = connections.len(), "ending");
        self.shared.stopping.cancel();
        listening.close();
        listening.wait().await;
        connections.close();
        if tokio::time::timeout(self.shared.config.load().shutdown_grace, connections.wait()).await.is_err() {
            tracing::warn!(
                connections = connections.len(),
                "the grace period is over: the remaining connections are closed"
            );
        }
        self.shared.cut.cancel();
        connections.wait().await;
        tracing::info!(abandoned = self.shared.abandoned.count(), "ended");
    }
}

/// Raises the soft limit of open files to the hard limit: the usual 1024 are too few for many uploads.
fn raise_open_files() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    if let Err(error) = setrlimit(Resource::Nofile, raised) {
        tracing::warn!(%error, "the limit of open files could not be raised");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;

    #[test]
    fn a_shutdown_does_not_wait_for_a_hanging_scan() {
        let runtime = runtime().unwrap();
        let (release, hangs) = mpsc::channel::<()>();
        let (say, begun) = mpsc::channel();
        runtime.spawn_blocking(move || {
            say.send(()).unwrap();
            hangs.recv()
        });
        begun.recv().unwrap();
        end(runtime);
        drop(release);
    }
}
