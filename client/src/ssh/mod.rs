//! The way to a conversation: settings, host key, login.

mod ask;
mod config;
mod error;
mod host_key;
mod keys;
mod keywords;
mod known_hosts;
mod login;
mod settings;

pub use config::{ConfigError, UnknownHost};
pub use error::LoginError;
pub use settings::{DEFAULT_PORT, Environment, Identity, Settings, SettingsError};

use crate::conversation::{self, Conversation, Patience};
use crate::tell::tell;
use crate::traffic::Socket;
use ask::Asker;
use host_key::HostCheck;
use russh::client::Handle;
use sshome_wire::display::Escaped;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

/// How long a farewell may take.
const FAREWELL: Duration = Duration::from_secs(1);

/// A connection on which somebody is logged in. It must outlive its conversation.
pub struct Connection {
    handle: Handle<HostCheck>,
}

/// Connects, checks the host, logs in and starts a conversation.
///
/// # Errors
/// If any of that fails; see [`LoginError`].
pub async fn connect(settings: &Settings) -> Result<(Connection, Conversation), LoginError> {
    let asker = Asker::current(settings.batch);
    let check = HostCheck::new(settings, asker.clone())?;
    let mut handle = handshake(settings, check).await?;
    login::authenticate(&mut handle, settings, &asker).await?;
    let channel = handle.channel_open_session().await?;
    let mut conversation = Conversation::start(channel).await?;
    if let Some(limit) = settings.timeout {
        conversation.wait_only(Patience::new(limit, settings.traffic.clone()));
    }
    Ok((Connection { handle }, conversation))
}

impl Connection {
    /// Says farewell and closes the connection. A server that does not listen is left.
    pub async fn close(self) {
        let goodbye = self.handle.disconnect(russh::Disconnect::ByApplication, "", "");
        if timeout(FAREWELL, goodbye).await.is_ok_and(|sent| sent.is_ok()) {
            // Whether the server answers makes no difference any more.
            let _ = timeout(FAREWELL, self.handle).await;
        }
    }
}

/// The time limit covers everything up to the host's key; a person who is asked about it may think.
async fn handshake(settings: &Settings, check: HostCheck) -> Result<Handle<HostCheck>, LoginError> {
    let place = format!("{} port {}", Escaped(settings.host.as_bytes()), settings.port);
    let limit = settings.connect_timeout;
    let shown = check.shown();
    let connecting = async {
        let mut config = conversation::config();
        config.preferred.key = check.prefer_known(&config.preferred.key).into();
        let connected = TcpStream::connect((settings.host.as_str(), settings.port)).await;
        let socket = connected.map_err(|error| LoginError::Connect { place: place.clone(), error })?;
        if settings.verbose
            && let Ok(address) = socket.peer_addr()
        {
            tell(format_args!("connected to {address}"));
        }
        // Small requests must not wait for large ones.
        let _ = socket.set_nodelay(config.nodelay);
        let socket = Socket::new(socket, settings.traffic.clone());
        let begun = russh::client::connect_stream(Arc::new(config), socket, check).await;
        begun.map_err(|error| match error {
            LoginError::Ssh(error) => LoginError::Handshake { place: place.clone(), error },
            error => error,
        })
    };
    tokio::select! {
        handle = connecting => handle,
        () = too_long(limit, &shown) => Err(LoginError::TimeOut { place, limit }),
    }
}

async fn too_long(limit: Duration, shown: &AtomicBool) {
    sleep(limit).await;
    if shown.load(Ordering::Relaxed) {
        std::future::pending().await
    }
}
