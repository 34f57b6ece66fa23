//! SSH connections: settings, host key, login.

pub mod known_hosts;

mod agent;
mod ask;
mod certificates;
mod config;
mod eager_reader;
mod endpoint;
mod error;
mod greeting;
mod happy_eyeballs;
mod host_key;
mod host_stream;
mod key_file;
mod keys;
mod keywords;
mod liveness;
mod login;
mod private_key;
mod proxy_command;
mod resolve;
mod settings;
mod tokens;

pub use config::{AddressFamily, SshConfigError, UnknownHost};
pub use error::LoginError;
pub use happy_eyeballs::ConnectError;
pub use liveness::Keepalive;
pub use settings::{DEFAULT_PORT, Environment, Identity, IdentitySource, Proxy, Settings, SettingsError};

use crate::conversation::{Conversation, ConversationError, IdleTimeout};
use crate::transfer::{Closing, Reconnect, ReconnectError, Reconnecting, SecondConversation};
use ask::Asker;
use endpoint::{Endpoint, LoggedIn};
use host_key::HostCheck;
use russh::client::Handle;
use russh::keys::PublicKey;
use sshome_ssh::{CompressionMode, LinkMeter};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::timeout;

/// The time limit for a disconnect.
const DISCONNECT_TIMEOUT: Duration = Duration::from_secs(1);

/// A connection after the login. It can also open further connections: after its loss, or in parallel. It must outlive
/// its conversation.
pub struct Connection {
    /// `None` before the first conversation of a parallel connection.
    handle: Option<Arc<Handle<HostCheck>>>,
    /// Whether the server is on this machine.
    is_local: bool,
    /// The server, with what is kept for further connections.
    endpoint: Endpoint,
}

/// Connects, checks the host, logs in and starts a conversation. Jump hosts on the way are checked and logged in to first.
///
/// # Errors
/// See [`LoginError`].
pub async fn connect(settings: &Settings) -> Result<(Connection, Conversation), LoginError> {
    let mut endpoint = Endpoint::new(settings);
    let logged_in = endpoint.log_in(&Asker::current(settings.batch)).await?;
    let is_local = logged_in.is_local;
    let (handle, conversation) = converse(logged_in, settings).await?;
    Ok((Connection { handle: Some(Arc::new(handle)), is_local, endpoint }, conversation))
}

/// Starts a conversation on a connection after the login.
async fn converse(
    logged_in: LoggedIn,
    settings: &Settings,
) -> Result<(Handle<HostCheck>, Conversation), LoginError> {
    let LoggedIn { handle, loss, link, is_local } = logged_in;
    match begin_in_time(&handle, settings, link).await {
        Ok(mut conversation) => {
            conversation.explain_loss_by(loss);
            conversation.set_local(is_local);
            Ok((handle, conversation))
        }
        Err(error) => Err(explained(error, handle).await),
    }
}

async fn begin_in_time(
    handle: &Handle<HostCheck>,
    settings: &Settings,
    link: LinkMeter,
) -> Result<Conversation, LoginError> {
    let limit = settings.response_timeout();
    let begun = timeout(limit, begin(handle, settings, link)).await;
    let mut conversation = begun.map_err(|_| LoginError::TimeOut { place: settings.place(), limit })??;
    if let Some(limit) = settings.timeout {
        conversation.set_idle_timeout(IdleTimeout::new(limit, settings.throttle.clone()));
    }
    Ok(conversation)
}

/// Replaces an error by the server's disconnect message, if that is the reason.
async fn explained(error: LoginError, handle: Handle<HostCheck>) -> LoginError {
    let hung_up = matches!(error, LoginError::Ssh(_) | LoginError::Conversation(ConversationError::Lost(_)));
    match if hung_up { timeout(DISCONNECT_TIMEOUT, handle).await } else { return error } {
        Ok(Err(said @ LoginError::Ended(_))) => said,
        _ => error,
    }
}

async fn begin(
    handle: &Handle<HostCheck>,
    settings: &Settings,
    link: LinkMeter,
) -> Result<Conversation, LoginError> {
    let channel = handle.channel_open_session().await?;
    Ok(Conversation::start(channel, settings.compression, link).await?)
}

impl Reconnect for Connection {
    fn retries(&self) -> u32 {
        self.endpoint.settings.retries
    }

    fn reconnect(&mut self) -> Reconnecting<'_> {
        Box::pin(async {
            self.connect_again().await.map_err(|error| match error.is_interruption() {
                true => ReconnectError::Interrupted(error.to_string()),
                false => ReconnectError::Refused(error.to_string()),
            })
        })
    }

    fn beside(&self) -> Box<dyn Reconnect> {
        Box::new(self.another())
    }

    fn second_conversation(&self) -> SecondConversation {
        // What is looked up is short.
        let settings = Settings { compression: CompressionMode::Never, ..self.endpoint.settings.clone() };
        let (handle, is_local) = (self.handle.clone(), self.is_local);
        Box::pin(async move {
            let handle = handle.ok_or_else(|| ReconnectError::Interrupted("not connected".to_owned()))?;
            let begun = begin_in_time(&handle, &settings, LinkMeter::default()).await;
            let mut conversation = begun.map_err(|error| ReconnectError::Refused(error.to_string()))?;
            conversation.set_local(is_local);
            Ok(conversation)
        })
    }

    fn close(self: Box<Self>) -> Closing {
        Box::pin((*self).close())
    }
}

impl Connection {
    /// A connection to the same server as the same user. It is not connected yet.
    #[must_use]
    pub fn another(&self) -> Connection {
        // The servers' banners were shown before.
        Connection { handle: None, is_local: self.is_local, endpoint: self.endpoint.quiet() }
    }

    async fn connect_again(&mut self) -> Result<Conversation, LoginError> {
        let logged_in = self.endpoint.log_in(&Asker::silent()).await?;
        let is_local = logged_in.is_local;
        let (handle, conversation) = converse(logged_in, &self.endpoint.settings).await?;
        (self.handle, self.is_local) = (Some(Arc::new(handle)), is_local);
        Ok(conversation)
    }

    /// The public keys to install on a server if none is named, and notes about others.
    pub async fn keys_to_install(&self) -> (Vec<PublicKey>, Vec<String>) {
        let mut notes = Vec::new();
        let keys = keys::to_install(&self.endpoint.settings, &mut notes).await;
        (keys, notes)
    }

    /// Whether steps are logged.
    #[must_use]
    pub fn is_verbose(&self) -> bool {
        self.endpoint.settings.verbose
    }

    /// Disconnects. A server that does not react is not waited for.
    pub async fn close(self) {
        // Nobody else has it: a second conversation was opened, or given up, before the end of its transfer.
        let Some(handle) = self.handle.and_then(Arc::into_inner) else { return };
        let goodbye = handle.disconnect(russh::Disconnect::ByApplication, "", "");
        if timeout(DISCONNECT_TIMEOUT, goodbye).await.is_ok_and(|sent| sent.is_ok()) {
            // It does not matter whether the server answers.
            let _ = timeout(DISCONNECT_TIMEOUT, handle).await;
        }
    }
}
