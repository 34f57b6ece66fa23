//! russh's events of one connection, translated and handed over.

use super::Shared;
use super::algorithms::methods;
use super::channel::{Reader, Writer};
use super::socket::Backlog;
use crate::auth::{Login, Password};
use crate::operations::User;
use crate::subsystem::native::{self, Ended};
use russh::server::{Auth, ChannelOpenHandle, Handler, Msg, PublicKeyOffer, Session, VerifiedPublicKey};
use russh::{Channel, ChannelId, ChannelOpenFailure, Pty};
use sshome_wire::display::Escaped;
use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio_util::task::TaskTracker;

/// Channels that one connection may have open. Transfers side by side use a connection each.
const MAX_CHANNELS: usize = 10;

/// One connection.
pub(super) struct Connection {
    pub(super) shared: Arc<Shared>,
    pub(super) peer: SocketAddr,
    pub(super) backlog: Arc<Backlog>,
    /// Set once somebody has logged in.
    pub(super) logged_in: Arc<AtomicBool>,
    /// The subsystems that run on this connection.
    pub(super) conversations: TaskTracker,
    pub(super) login: Option<Login>,
    /// Channels that are open and on which nothing was started.
    pub(super) waiting: HashMap<ChannelId, Channel<Msg>>,
}

/// russh's own errors are all there are.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub(super) struct TransportError(#[from] russh::Error);

type Done = Result<(), TransportError>;

impl Connection {
    fn accept(&mut self, login: Login, method: &str) -> Auth {
        tracing::info!(user = login.account().name, peer = %self.peer, method, "logged in");
        self.login = Some(login);
        self.logged_in.store(true, Ordering::Release);
        Auth::Accept
    }

    fn refuse(&self, user: &str, method: &str) -> Auth {
        tracing::info!(user = %Escaped(user.as_bytes()), peer = %self.peer, method, "login refused");
        // Without the list, russh would take the method away.
        Auth::Reject { proceed_with_methods: Some(methods()), partial_success: false }
    }

    /// Starts our protocol on a channel. The answer to the client is up to the caller.
    fn start_native(&mut self, channel: Channel<Msg>, login: Login) {
        let shared = Arc::clone(&self.shared);
        let backlog = Arc::clone(&self.backlog);
        self.conversations.spawn(async move {
            let (reader, writer) = channel.split();
            let half = Arc::new(writer);
            let name = login.account().name.clone();
            let world = Arc::clone(&shared);
            let entered =
                tokio::task::spawn_blocking(move || User::enter(login, &world.homes, &world.ledgers)).await;
            let ended = match entered {
                Ok(Ok(user)) => {
                    let writer = Writer { half: Arc::clone(&half), backlog };
                    native::converse(Reader(reader), writer, user, shared.stopping.clone()).await
                }
                Ok(Err(error)) => {
                    tracing::error!(user = name, %error, "the home cannot be opened");
                    let text = format!("sshomed: your home cannot be opened: {error}\n");
                    drop(half.extended_data_bytes(1, text).await);
                    Ended::Fault
                }
                Err(_) => Ended::Fault,
            };
            tracing::debug!(user = name, ?ended, "conversation ended");
            // If the client is gone there is nobody to tell.
            drop(half.exit_status(u32::from(ended != Ended::Well)).await);
            drop(half.eof().await);
            drop(half.close().await);
        });
    }
}

impl Handler for Connection {
    type Error = TransportError;

    async fn auth_none(&mut self, _user: &str) -> Result<Auth, TransportError> {
        Ok(Auth::Reject { proceed_with_methods: Some(methods()), partial_success: false })
    }

    async fn auth_password(&mut self, user: &str, password: &str) -> Result<Auth, TransportError> {
        match self.shared.authenticator.password(user, Password::new(password)).await {
            Some(login) => Ok(self.accept(login, "password")),
            None => Ok(self.refuse(user, "password")),
        }
    }

    async fn auth_publickey_offered(
        &mut self,
        user: &str,
        offer: PublicKeyOffer<'_>,
    ) -> Result<Auth, TransportError> {
        match self.shared.authenticator.offered(user, offer.public_key, self.peer.ip()).await {
            true => Ok(Auth::Accept),
            false => Ok(Auth::Reject { proceed_with_methods: Some(methods()), partial_success: false }),
        }
    }

    async fn auth_publickey(
        &mut self,
        user: &str,
        key: VerifiedPublicKey<'_>,
    ) -> Result<Auth, TransportError> {
        match self.shared.authenticator.public_key(user, key.public_key, self.peer.ip()).await {
            Some(login) => Ok(self.accept(login, "publickey")),
            None => Ok(self.refuse(user, "publickey")),
        }
    }

    async fn channel_open_session(
        &mut self,
        channel: Channel<Msg>,
        reply: ChannelOpenHandle,
        _session: &mut Session,
    ) -> Done {
        if self.waiting.len() + self.conversations.len() >= MAX_CHANNELS {
            reply.reject(ChannelOpenFailure::ResourceShortage).await;
            return Ok(());
        }
        self.waiting.insert(channel.id(), channel);
        reply.accept().await;
        Ok(())
    }

    async fn channel_close(&mut self, channel: ChannelId, _session: &mut Session) -> Done {
        self.waiting.remove(&channel);
        Ok(())
    }

    async fn subsystem_request(&mut self, id: ChannelId, name: &str, session: &mut Session) -> Done {
        let known = name == sshome_wire::SUBSYSTEM && !self.shared.stopping.is_cancelled();
        match (&self.login, self.waiting.remove(&id)) {
            (Some(login), Some(channel)) if known => {
                let login = login.clone();
                session.channel_success(id)?;
                self.start_native(channel, login);
                Ok(())
            }
            (_, channel) => {
                // The client may still start something else on it.
                channel.and_then(|channel| self.waiting.insert(id, channel));
                Ok(session.channel_failure(id)?)
            }
        }
    }

    async fn exec_request(&mut self, id: ChannelId, _command: &[u8], session: &mut Session) -> Done {
        Ok(session.channel_failure(id)?)
    }

    async fn shell_request(&mut self, id: ChannelId, session: &mut Session) -> Done {
        Ok(session.channel_failure(id)?)
    }

    async fn pty_request(
        &mut self,
        id: ChannelId,
        _term: &str,
        _columns: u32,
        _rows: u32,
        _width: u32,
        _height: u32,
        _modes: &[(Pty, u32)],
        session: &mut Session,
    ) -> Done {
        Ok(session.channel_failure(id)?)
    }

    async fn env_request(&mut self, id: ChannelId, _name: &str, _value: &str, session: &mut Session) -> Done {
        Ok(session.channel_failure(id)?)
    }

    async fn agent_request(&mut self, id: ChannelId, session: &mut Session) -> Result<bool, TransportError> {
        session.channel_failure(id)?;
        Ok(false)
    }
}
