//! russh's events of one connection, translated and handed over.

use super::Shared;
use super::algorithms::{WINDOW, methods};
use super::channel::{Reader, Writer};
use super::socket::Backlog;
use crate::auth::{Login, Password};
use crate::limits::Entry;
use crate::operations::User;
use crate::subsystem::Incoming;
use crate::subsystem::native::{self, Ended};
use russh::keys::Algorithm;
use russh::server::{Auth, ChannelOpenHandle, Handler, Msg, PublicKeyOffer, Session, VerifiedPublicKey};
use russh::{Channel, ChannelId, ChannelOpenFailure, Disconnect, Pty};
use sshome_wire::display::Escaped;
use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Channels that one connection may have open. Transfers side by side use a connection each.
const MAX_CHANNELS: usize = 10;

/// One connection.
pub(super) struct Connection {
    pub(super) shared: Arc<Shared>,
    pub(super) peer: SocketAddr,
    pub(super) backlog: Arc<Backlog>,
    /// Its place among all connections.
    pub(super) entry: Arc<Entry>,
    /// The channels of this connection: a task owns each from its opening on.
    pub(super) channels: TaskTracker,
    /// Cancelled with the connection.
    pub(super) cut: CancellationToken,
    pub(super) login: Option<Login>,
    /// Whether the user who has logged in may have this session, too.
    pub(super) may_work: bool,
    /// Channels on which nothing was started yet: where to say what is.
    pub(super) waiting: HashMap<ChannelId, oneshot::Sender<Login>>,
}

/// russh's own errors are all there are.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub(super) struct TransportError(#[from] russh::Error);

type Done = Result<(), TransportError>;

impl Connection {
    fn accept(&mut self, login: Login, method: &str) -> Auth {
        tracing::info!(user = login.account().name, peer = %self.peer, method, "logged in");
        if let Some(rates) = self.shared.rates.of(login.account()) {
            self.backlog.limit(rates);
        }
        self.may_work = self.entry.logged_in(&login.account().name);
        self.login = Some(login);
        Auth::Accept
    }

    fn refuse(&self, user: &str, method: &str) -> Auth {
        tracing::info!(user = %Escaped(user.as_bytes()), peer = %self.peer, method, "login refused");
        self.entry.refused();
        // Without the list, russh would take the method away.
        Auth::Reject { proceed_with_methods: Some(methods()), partial_success: false }
    }

    /// Ends a session that is more than its user may have, and says so.
    fn one_too_many(&self, session: &mut Session) -> Done {
        let user = self.login.as_ref().map(|login| login.account().name.as_str()).unwrap_or_default();
        let most = self.shared.gate.limits().sessions_per_user;
        tracing::info!(user, peer = %self.peer, most, "refused: the user has enough sessions");
        let text = format!("{user} has {most} sessions, and may have no more: end one first");
        Ok(session.disconnect(Disconnect::TooManyConnections, &text, "")?)
    }

    /// Gives a new channel its owner. A channel that nobody reads would stop the connection.
    fn own(&mut self, channel: Channel<Msg>) {
        let (start, started) = oneshot::channel();
        self.waiting.insert(channel.id(), start);
        let (shared, backlog, cut) = (Arc::clone(&self.shared), Arc::clone(&self.backlog), self.cut.clone());
        self.channels.spawn(async move {
            let (reader, writer) = channel.split();
            let (mut reader, half) = (Reader(reader), Arc::new(writer));
            let login = tokio::select! {
                biased;
                login = started => login.ok(),
                // Data before anything was started, or the end of the channel.
                _ = reader.next() => None,
                () = shared.stopping.cancelled() => None,
            };
            let ended = match login {
                Some(login) => {
                    let writer = Writer { half: Arc::clone(&half), backlog, cut: cut.clone() };
                    run_native(login, reader, writer, &shared).await
                }
                None => Ended::Gone,
            };
            if ended == Ended::Flooded {
                cut.cancel();
            }
            // If the client is gone there is nobody to tell.
            let farewell = async {
                drop(half.exit_status(u32::from(ended != Ended::Well)).await);
                drop(half.eof().await);
                drop(half.close().await);
            };
            tokio::select! {
                () = farewell => {}
                () = cut.cancelled() => {}
            }
        });
    }
}

/// Speaks our protocol on a channel until it ends.
async fn run_native(login: Login, reader: Reader, writer: Writer, shared: &Arc<Shared>) -> Ended {
    let name = login.account().name.clone();
    let world = Arc::clone(shared);
    let entered = tokio::task::spawn_blocking(move || User::enter(login, &world.homes, &world.ledgers)).await;
    let ended = match entered {
        Ok(Ok(user)) => native::converse(reader, writer, user, shared.stopping.clone()).await,
        Ok(Err(error)) => {
            tracing::error!(user = name, %error, "the home cannot be opened");
            let text = format!("sshomed: your home cannot be opened: {error}\n");
            drop(writer.half.extended_data_bytes(1, text).await);
            Ended::Fault
        }
        Err(_) => Ended::Fault,
    };
    tracing::debug!(user = name, ?ended, "conversation ended");
    ended
}

/// Whether a signature of this algorithm proves anything: not with SHA-1.
fn is_strong(algorithm: &Algorithm) -> bool {
    !matches!(algorithm, Algorithm::Rsa { hash: None } | Algorithm::Dsa)
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
        let offered = self.shared.authenticator.offered(user, offer.public_key, self.peer.ip()).await;
        match offered && is_strong(offer.algorithm) {
            true => Ok(Auth::Accept),
            false => {
                self.entry.refused();
                Ok(Auth::Reject { proceed_with_methods: Some(methods()), partial_success: false })
            }
        }
    }

    async fn auth_publickey(
        &mut self,
        user: &str,
        key: VerifiedPublicKey<'_>,
    ) -> Result<Auth, TransportError> {
        match self.shared.authenticator.public_key(user, key.public_key, self.peer.ip()).await {
            Some(login) if is_strong(key.algorithm) => Ok(self.accept(login, "publickey")),
            _ => Ok(self.refuse(user, "publickey")),
        }
    }

    async fn channel_open_session(
        &mut self,
        channel: Channel<Msg>,
        reply: ChannelOpenHandle,
        session: &mut Session,
    ) -> Done {
        if !self.may_work {
            reply.reject(ChannelOpenFailure::ResourceShortage).await;
            return self.one_too_many(session);
        }
        if self.channels.len() >= MAX_CHANNELS {
            reply.reject(ChannelOpenFailure::ResourceShortage).await;
            return Ok(());
        }
        self.own(channel);
        reply.accept().await;
        Ok(())
    }

    async fn data(&mut self, _: ChannelId, _: &[u8], _: &mut Session) -> Done {
        self.backlog.moved();
        Ok(())
    }

    async fn window_adjusted(&mut self, _: ChannelId, _: u32, _: &mut Session) -> Done {
        self.backlog.moved();
        Ok(())
    }

    fn adjust_window(&mut self, _channel: ChannelId, _current: u32) -> u32 {
        self.backlog.rates().map_or(WINDOW, |rates| rates.window(WINDOW))
    }

    async fn channel_close(&mut self, channel: ChannelId, _session: &mut Session) -> Done {
        self.waiting.remove(&channel);
        Ok(())
    }

    async fn subsystem_request(&mut self, id: ChannelId, name: &str, session: &mut Session) -> Done {
        let known = name == sshome_wire::SUBSYSTEM && !self.shared.stopping.is_cancelled();
        let start = if known { self.waiting.remove(&id) } else { None };
        match (&self.login, start) {
            (Some(login), Some(start)) => {
                session.channel_success(id)?;
                // A channel that has just ended needs nothing started.
                drop(start.send(login.clone()));
                Ok(())
            }
            _ => Ok(session.channel_failure(id)?),
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
