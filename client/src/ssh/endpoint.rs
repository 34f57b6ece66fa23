//! A host to log in to, with the jump hosts on the way to it.

use super::ask::Asker;
use super::error::LoginError;
use super::greeting::{BannerFilter, BannerText};
use super::host_key::{AcceptedHostKey, HostCheck};
use super::host_stream::HostStream;
use super::liveness::LossMonitor;
use super::login::{self, LoginCredential};
use super::settings::{Proxy, Settings};
use crate::conversation::{self, LossReason};
use crate::messages::warn;
use russh::client::Handle;
use sshome_ssh::{LayeredStream, LinkMeter, QueuedStream};
use std::sync::Arc;

/// The receive window of a connection through a jump host, in bytes. While the connection does not read, as much waits
/// in memory (see [`EagerReader`](super::eager_reader::EagerReader)). sshd's own window for a forwarded connection is
/// smaller.
const WINDOW_THROUGH_JUMP_BYTES: u32 = 16 << 20;

/// A host to log in to, and what is kept for further logins.
#[derive(Clone)]
pub(super) struct Endpoint {
    pub(super) settings: Settings,
    accepted: AcceptedHostKey,
    /// Never shown.
    credential: Option<LoginCredential>,
    /// The jump host through which it is reached.
    jump: Option<Box<Endpoint>>,
}

/// A connection after the login.
pub(super) struct LoggedIn {
    pub handle: Handle<HostCheck>,
    /// The reason for its loss.
    pub loss: LossReason,
    /// How long output waits for the link.
    pub link: LinkMeter,
    /// Whether the server is on this machine.
    pub is_local: bool,
}

/// What a connection carries.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Purpose {
    /// Our own channels.
    Service,
    /// The connection to the next host.
    Jump,
}

impl Endpoint {
    /// The host of these settings. Nothing is known about it yet.
    pub(super) fn new(settings: &Settings) -> Endpoint {
        let jump = match &settings.proxy {
            Proxy::Jump(jump) => Some(Box::new(Endpoint::new(jump))),
            Proxy::Direct | Proxy::Command(_) => None,
        };
        let settings = settings.clone();
        Endpoint { settings, accepted: AcceptedHostKey::default(), credential: None, jump }
    }

    /// The same host for a further connection. It shows no banner again.
    pub(super) fn quiet(&self) -> Endpoint {
        let mut endpoint = self.clone();
        let mut hop = Some(&mut endpoint);
        while let Some(this) = hop {
            this.settings.quiet = true;
            hop = this.jump.as_deref_mut();
        }
        endpoint
    }

    /// Connects, checks the host and logs in; before that, to its jump hosts. The credentials of a previous login are
    /// used again.
    ///
    /// # Errors
    /// See [`LoginError`].
    pub(super) async fn log_in(&mut self, asker: &Asker) -> Result<LoggedIn, LoginError> {
        self.log_in_for(Purpose::Service, asker).await
    }

    async fn log_in_for(&mut self, purpose: Purpose, asker: &Asker) -> Result<LoggedIn, LoginError> {
        let transport = match &mut self.jump {
            Some(jump) => Some(Box::pin(jump.forward(&self.settings, asker)).await?),
            None => None,
        };
        let check = HostCheck::new(&self.settings, asker.clone(), AcceptedHostKey::clone(&self.accepted))?;
        let (loss, link) = (check.loss.clone(), LinkMeter::default());
        let (mut handle, is_local) =
            handshake(&self.settings, transport, purpose, check, asker, &link).await?;
        match &mut self.credential {
            Some(known) => login::authenticate_again(&mut handle, &self.settings, known, asker).await?,
            unknown => {
                *unknown = Some(login::authenticate(&mut handle, &self.settings, asker).await?);
            }
        }
        Ok(LoggedIn { handle, loss, link, is_local })
    }

    /// Logs in to this jump host, and connects through it to the next host.
    async fn forward(&mut self, next: &Settings, asker: &Asker) -> Result<HostStream, LoginError> {
        let LoggedIn { handle, .. } = self.log_in_for(Purpose::Jump, asker).await?;
        if self.settings.verbose {
            warn(format_args!("connecting to {} through {}", next.place(), self.settings.place()));
        }
        let (place, limit) = (next.place(), next.connect_timeout);
        let opening = handle.channel_open_direct_tcpip(&next.host, next.port.into(), "127.0.0.1", 0);
        match asker.within(limit, opening).await {
            None => Err(LoginError::TimeOut { place, limit }),
            Some(Err(error)) => {
                Err(LoginError::Jump { place, via: self.settings.place(), error: Box::new(error) })
            }
            Some(Ok(channel)) => Ok(HostStream::through(handle, channel.into_stream())),
        }
    }
}

/// Connects. Returns also whether the server is on this machine. The time limit does not include the time of a question
/// about the host's key.
async fn handshake(
    settings: &Settings,
    transport: Option<HostStream>,
    purpose: Purpose,
    check: HostCheck,
    asker: &Asker,
    link: &LinkMeter,
) -> Result<(Handle<HostCheck>, bool), LoginError> {
    let (place, limit, keepalive) = (settings.place(), settings.connect_timeout, settings.keepalive);
    let loss = check.loss.clone();
    let connecting = async {
        let mut config = conversation::config();
        config.preferred.key = check.prefer_known(&config.preferred.key).into();
        config.preferred.host_key_certificates = check.certificate_algorithms(&config.preferred.key).into();
        (config.keepalive_interval, config.keepalive_max) = (keepalive.interval, keepalive.count);
        let transport = match transport {
            Some(transport) => {
                config.window_size = WINDOW_THROUGH_JUMP_BYTES;
                transport
            }
            None => HostStream::open(settings, limit).await?,
        };
        let is_local = transport.is_local && !settings.throttle.is_limited();
        let said = BannerText::default();
        let socket = LayeredStream::new(transport.stream, LossMonitor::new(keepalive.limit(), loss));
        let socket = LayeredStream::new(socket, BannerFilter::new(said.clone()));
        let socket = settings.throttle.wrap(socket);
        // The limit of the throttle counts as one of the link.
        let socket = LayeredStream::new(socket, link.clone());
        let config = Arc::new(config);
        let begun = match purpose {
            Purpose::Service => russh::client::connect_stream(config, socket, check).await,
            // Both directions may be busy.
            Purpose::Jump => russh::client::connect_stream(config, QueuedStream::new(socket), check).await,
        };
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
