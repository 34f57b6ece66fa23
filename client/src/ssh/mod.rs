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

use crate::conversation::{self, Conversation, PATIENCE};
use crate::tell::tell;
use ask::Asker;
use host_key::HostCheck;
use russh::client::Handle;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::time::timeout;

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
    let mut handle = handshake(settings, check, &asker).await?;
    login::authenticate(&mut handle, settings, &asker).await?;
    let opened = timeout(PATIENCE, handle.channel_open_session()).await;
    let too_long = |_| LoginError::TimeOut { place: settings.place(), limit: PATIENCE };
    let channel = opened.map_err(too_long)??;
    let conversation = Conversation::start(channel).await?;
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

/// The time limit covers everything but a person who is asked about the host's key and may think.
async fn handshake(
    settings: &Settings,
    check: HostCheck,
    asker: &Asker,
) -> Result<Handle<HostCheck>, LoginError> {
    let (place, limit) = (settings.place(), settings.connect_timeout);
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
        let begun = russh::client::connect_stream(Arc::new(config), socket, check).await;
        begun.map_err(|error| match error {
            LoginError::Ssh(error) => LoginError::Handshake { place: place.clone(), error },
            error => error,
        })
    };
    let connected = asker.within(limit, connecting).await;
    connected.unwrap_or_else(|| Err(LoginError::TimeOut { place: place.clone(), limit }))
}
