//! SSH connections: settings, host key, login.

pub mod known_hosts;

mod agent;
mod ask;
mod config;
mod error;
mod greeting;
mod happy_eyeballs;
mod host_key;
mod key_file;
mod keys;
mod keywords;
mod liveness;
mod login;
mod private_key;
mod settings;

pub use config::{SshConfigError, UnknownHost};
pub use error::LoginError;
pub use happy_eyeballs::ConnectError;
pub use liveness::Keepalive;
pub use settings::{DEFAULT_PORT, Environment, Identity, IdentitySource, Settings, SettingsError};

use crate::conversation::{self, Conversation, ConversationError, IdleTimeout, LossReason};
use crate::messages::warn;
use crate::transfer::{Closing, Reconnect, ReconnectError, Reconnecting, SecondConversation};
use ask::Asker;
use greeting::{BannerFilter, BannerText};
use host_key::{AcceptedHostKey, HostCheck};
use liveness::LossMonitor;
use login::LoginCredential;
use russh::client::Handle;
use russh::keys::PublicKey;
use sshome_ssh::{CompressionMode, LayeredStream, LinkMeter, TcpOptions};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::timeout;

/// Cap on unsent bytes in the kernel. Later messages, such as a cancel, wait for them.
const MAX_UNSENT_BYTES: u32 = 1 << 20;

/// The time limit for a disconnect.
const DISCONNECT_TIMEOUT: Duration = Duration::from_secs(1);

/// A connection after the login. It can also open further connections: after its loss, or in parallel. It must outlive
/// its conversation.
pub struct Connection {
    /// `None` before the first conversation of a parallel connection.
    handle: Option<Arc<Handle<HostCheck>>>,
    /// Whether the server is on this machine.
    is_local: bool,
    settings: Settings,
    accepted: AcceptedHostKey,
    /// Kept for further connections, and never shown.
    credential: LoginCredential,
}

/// Connects, checks the host, logs in and starts a conversation.
///
/// # Errors
/// See [`LoginError`].
pub async fn connect(settings: &Settings) -> Result<(Connection, Conversation), LoginError> {
    let asker = Asker::current(settings.batch);
    let accepted = AcceptedHostKey::default();
    let check = HostCheck::new(settings, asker.clone(), AcceptedHostKey::clone(&accepted))?;
    let loss = check.loss.clone();
    let link = LinkMeter::default();
    let (mut handle, is_local) = handshake(settings, check, &asker, &link).await?;
    let credential = login::authenticate(&mut handle, settings, &asker).await?;
    let (handle, mut conversation) = converse(handle, settings, loss, link).await?;
    conversation.set_local(is_local);
    let connection = Connection {
        handle: Some(Arc::new(handle)),
        is_local,
        settings: settings.clone(),
        accepted,
        credential,
    };
    Ok((connection, conversation))
}

/// Starts a conversation on a connection after the login.
async fn converse(
    handle: Handle<HostCheck>,
    settings: &Settings,
    loss: LossReason,
    link: LinkMeter,
) -> Result<(Handle<HostCheck>, Conversation), LoginError> {
    match begin_in_time(&handle, settings, link).await {
        Ok(mut conversation) => {
            conversation.explain_loss_by(loss);
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
        self.settings.retries
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
        let settings = Settings { compression: CompressionMode::Never, ..self.settings.clone() };
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
        // The server's banner was shown before.
        let settings = Settings { quiet: true, ..self.settings.clone() };
        let (accepted, credential) = (AcceptedHostKey::clone(&self.accepted), self.credential.clone());
        Connection { handle: None, is_local: self.is_local, settings, accepted, credential }
    }

    async fn connect_again(&mut self) -> Result<Conversation, LoginError> {
        let asker = Asker::silent();
        let check = HostCheck::new(&self.settings, asker.clone(), AcceptedHostKey::clone(&self.accepted))?;
        let loss = check.loss.clone();
        let link = LinkMeter::default();
        let (mut handle, is_local) = handshake(&self.settings, check, &asker, &link).await?;
        login::authenticate_again(&mut handle, &self.settings, &mut self.credential, &asker).await?;
        let (handle, mut conversation) = converse(handle, &self.settings, loss, link).await?;
        conversation.set_local(is_local);
        (self.handle, self.is_local) = (Some(Arc::new(handle)), is_local);
        Ok(conversation)
    }

    /// The public keys to install on a server if none is named, and notes about others.
    pub async fn keys_to_install(&self) -> (Vec<PublicKey>, Vec<String>) {
        let mut notes = Vec::new();
        let keys = keys::to_install(&self.settings, &mut notes).await;
        (keys, notes)
    }

    /// Whether steps are logged.
    #[must_use]
    pub fn is_verbose(&self) -> bool {
        self.settings.verbose
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

/// Connects. Returns also whether the server is on this machine. The time limit does not include the time of a question
/// about the host's key.
async fn handshake(
    settings: &Settings,
    check: HostCheck,
    asker: &Asker,
    link: &LinkMeter,
) -> Result<(Handle<HostCheck>, bool), LoginError> {
    let (place, limit, keepalive) = (settings.place(), settings.connect_timeout, settings.keepalive);
    let loss = check.loss.clone();
    let connecting = async {
        let mut config = conversation::config();
        config.preferred.key = check.prefer_known(&config.preferred.key).into();
        (config.keepalive_interval, config.keepalive_max) = (keepalive.interval, keepalive.count);
        // Its own limit is a little shorter, so that it can report the addresses that did not answer.
        let early = limit.saturating_sub(limit / 20);
        let connected = happy_eyeballs::connect(&settings.host, settings.port, early).await;
        let socket = connected.map_err(|error| match error.is_silence() {
            true => LoginError::TimeOut { place: place.clone(), limit },
            false => LoginError::Connect { place: place.clone(), error },
        })?;
        TcpOptions { max_unsent_bytes: MAX_UNSENT_BYTES, peer_timeout: keepalive.limit() }.apply(&socket);
        if settings.verbose
            && let Ok(address) = socket.peer_addr()
        {
            warn(format_args!("connected to {address}"));
        }
        let has_same_address =
            matches!((socket.peer_addr(), socket.local_addr()), (Ok(a), Ok(b)) if a.ip() == b.ip());
        let is_local = has_same_address && !settings.throttle.is_limited();
        let said = BannerText::default();
        let socket = LayeredStream::new(socket, LossMonitor::new(keepalive.limit(), loss));
        let socket = LayeredStream::new(socket, BannerFilter::new(said.clone()));
        let socket = settings.throttle.wrap(socket);
        // The limit of the throttle counts as one of the link.
        let socket = LayeredStream::new(socket, link.clone());
        let begun = russh::client::connect_stream(Arc::new(config), socket, check).await;
        begun.map(|handle| (handle, is_local)).map_err(|error| match error {
            LoginError::Ssh(error) => match said.refusal() {
                Some(said) => LoginError::SentAway { place: place.clone(), said },
                None => LoginError::Handshake { place: place.clone(), error },
            },
            error => error,
        })
    };
    let connected = asker.within(limit, connecting).await;
    connected.unwrap_or_else(|| Err(LoginError::TimeOut { place: place.clone(), limit }))
}
