//! The russh handler of one connection: authentication, channels and service requests.

use super::ServerState;
use super::algorithms::{CHANNEL_WINDOW_BYTES, methods};
use super::channel::{ChannelReader, ChannelWriter, started};
use super::channel_service::{ChannelService, ServiceStart};
use super::flow_control::{FlowControl, HeldBytes, UntakenPackets};
use super::memory_budget::{ChannelPermit, UserMemoryBudget};
use super::sessions::SshSession;
use crate::auth::{Login, Password};
use crate::limits::ConnectionPermit;
use crate::protocol::ChannelEnd;
use russh::keys::ssh_key::Certificate;
use russh::keys::{Algorithm, HashAlg, PublicKey};
use russh::server::{
    Auth, ChannelOpenHandle, Handler, Msg, PublicKeyOffer, Response, Session, VerifiedPublicKey,
};
use russh::{Channel, ChannelId, ChannelOpenFailure, Disconnect, Pty};
use std::borrow::Cow;
use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use zeroize::Zeroizing;

/// The largest number of channels of one connection. Parallel transfers use a connection each.
const MAX_CHANNELS: usize = 10;

/// One connection.
pub(super) struct ConnectionHandler {
    shared: Arc<ServerState>,
    /// Its entry in the session registry.
    session: Arc<SshSession>,
    peer: SocketAddr,
    flow: Arc<FlowControl>,
    /// Its admission permit.
    permit: Arc<ConnectionPermit>,
    /// The tasks of its channels. A task owns each channel from its opening on.
    channels: TaskTracker,
    /// Cancelled with the connection.
    cut: CancellationToken,
    login: Option<Login>,
    /// Whether the session is within the user's limit of sessions.
    may_work: bool,
    /// The memory budget of the user who has logged in.
    memory: Option<Arc<UserMemoryBudget>>,
    /// Channels without a service yet.
    waiting: HashMap<ChannelId, PendingChannel>,
    /// The packets that wait on each channel.
    untaken: HashMap<ChannelId, Arc<UntakenPackets>>,
}

/// A channel without a service yet.
struct PendingChannel {
    /// Starts a service on it.
    start: oneshot::Sender<ServiceStart>,
    /// Whether the client's side is a terminal.
    terminal: bool,
}

/// An error of russh, the only errors of a handler.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub(super) struct TransportError(#[from] pub(super) russh::Error);

type HandlerResult = Result<(), TransportError>;

impl ConnectionHandler {
    /// The handler of a new connection. It spawns the tasks of its channels in `channels`.
    pub(super) fn new(
        shared: Arc<ServerState>,
        session: &Arc<SshSession>,
        permit: Arc<ConnectionPermit>,
        flow: &Arc<FlowControl>,
        channels: TaskTracker,
    ) -> ConnectionHandler {
        ConnectionHandler {
            shared,
            session: Arc::clone(session),
            peer: session.peer(),
            flow: Arc::clone(flow),
            permit,
            channels,
            cut: session.cut.clone(),
            login: None,
            may_work: false,
            memory: None,
            waiting: HashMap::new(),
            untaken: HashMap::new(),
        }
    }

    async fn accept(&mut self, login: Login, method: &'static str) -> Auth {
        // From here on a reload finds this session. Check for a change of the account that was made before.
        self.session.log_in(login.clone());
        let account = self.shared.authenticator.current(login.name()).await;
        if account.ok().and_then(|account| login.renew(account).ok()).is_none() {
            self.session.end("the account was changed during the login");
            return self.refuse(login.name(), method, None, &[]);
        }
        self.session.audit().logged_in(&login, method);
        let memory = self.shared.memory.of(login.name());
        self.flow.limit(login.name(), self.shared.rates.of(&login.account()), Arc::clone(&memory));
        self.memory = Some(memory);
        self.may_work = self.permit.logged_in(login.name());
        self.login = Some(login);
        Auth::Accept
    }

    /// Refuses a login, and logs it with a reason that may be revealed and the keys.
    fn refuse(&self, user: &str, method: &'static str, why: Option<&str>, keys: &[String]) -> Auth {
        self.session.audit().login_refused(user, method, why, keys);
        self.session.attempts.logged();
        self.permit.refused();
        reject()
    }

    async fn by_password(&mut self, user: &str, password: &str, method: &'static str) -> Auth {
        self.session.attempts.of_user(user, self.session.audit());
        match self.shared.authenticator.password(user, Password::new(password)).await {
            Some(login) => self.accept(login, method).await,
            None => self.refuse(user, method, None, &[]),
        }
    }

    /// Closes a session above the user's limit, with a message.
    fn one_too_many(&self, session: &mut Session) -> HandlerResult {
        let user = self.login.as_ref().map(Login::name).unwrap_or_default();
        let most = self.shared.admission.limits().sessions_per_user;
        tracing::info!(user, peer = %self.peer, most, "refused: the user has enough sessions");
        let text = format!(
            "{user} has {most} sessions, which is the limit: close one, or ask for more (sessions-per-user)"
        );
        Ok(session.disconnect(Disconnect::TooManyConnections, &text, "")?)
    }

    /// Spawns the task that owns a new channel. A channel that is not read would stall the connection.
    fn own(&mut self, channel: Channel<Msg>, permit: ChannelPermit) {
        let (start, receiver) = oneshot::channel();
        self.waiting.insert(channel.id(), PendingChannel { start, terminal: false });
        let untaken = UntakenPackets::new(Arc::clone(&self.flow));
        self.untaken.insert(channel.id(), Arc::clone(&untaken));
        let (shared, flow, cut) = (Arc::clone(&self.shared), Arc::clone(&self.flow), self.cut.clone());
        self.channels.spawn(async move {
            let _permit = permit;
            let (reader, writer) = channel.split();
            let held = HeldBytes::new(Arc::clone(&flow));
            let mut reader = ChannelReader { half: reader, untaken, held, ahead: None, cut: cut.clone() };
            let half = Arc::new(writer);
            let start = tokio::select! {
                biased;
                start = started(receiver, &mut reader) => start,
                () = shared.stopping.cancelled() => None,
            };
            let ended = match start {
                Some((start, ahead)) => {
                    reader.ahead = ahead;
                    let held = HeldBytes::new(Arc::clone(&flow));
                    let writer = ChannelWriter { half: Arc::clone(&half), flow, held, cut: cut.clone() };
                    start.serve(reader, writer, &shared).await
                }
                None => ChannelEnd::Gone,
            };
            let farewell = async {
                // These fail only if the client has disconnected.
                let _ = half.exit_status(ended.exit_status()).await;
                let _ = half.eof().await;
                let _ = half.close().await;
            };
            tokio::select! {
                () = farewell => {}
                () = cut.cancelled() => {}
            }
        });
    }

    /// Starts a service on a channel that has none yet.
    fn start(
        &mut self,
        id: ChannelId,
        service: Option<ChannelService>,
        session: &mut Session,
    ) -> HandlerResult {
        let service = service.filter(|_| !self.shared.stopping.is_cancelled());
        let waiting = if service.is_some() { self.waiting.remove(&id) } else { None };
        match (service, waiting, &self.login) {
            (Some(service), Some(PendingChannel { start, terminal }), Some(login)) => {
                session.channel_success(id)?;
                // The channel may have just ended. Then there is nothing to start.
                let session = Arc::clone(&self.session);
                let _ = start.send(ServiceStart { login: login.clone(), service, terminal, session });
                Ok(())
            }
            _ => Ok(session.channel_failure(id)?),
        }
    }
}

/// Rejects an attempt. Without the list of methods, russh would disable the method.
fn reject() -> Auth {
    Auth::Reject { proceed_with_methods: Some(methods()), partial_success: false }
}

/// The prompt of `keyboard-interactive` (RFC 4256): the password, without echo.
fn ask_for_password() -> Auth {
    let prompts = Cow::Borrowed(&[(Cow::Borrowed("Password: "), false)][..]);
    Auth::Partial { name: Cow::Borrowed(""), instructions: Cow::Borrowed(""), prompts }
}

fn fingerprint(key: &PublicKey) -> String {
    key.fingerprint(HashAlg::Sha256).to_string()
}

/// Whether signatures with this algorithm are accepted: not with SHA-1.
fn is_strong(algorithm: &Algorithm) -> bool {
    !matches!(algorithm, Algorithm::Rsa { hash: None } | Algorithm::Dsa)
}

impl Handler for ConnectionHandler {
    type Error = TransportError;

    async fn authentication_banner(&mut self) -> Result<Option<String>, TransportError> {
        // There is no banner, but this event means that the client has requested the auth service.
        self.session.attempts.begin();
        Ok(None)
    }

    async fn auth_none(&mut self, user: &str) -> Result<Auth, TransportError> {
        self.session.attempts.of_user(user, self.session.audit());
        Ok(reject())
    }

    async fn auth_password(&mut self, user: &str, password: &str) -> Result<Auth, TransportError> {
        Ok(self.by_password(user, password, "password").await)
    }

    async fn auth_keyboard_interactive<'a>(
        &'a mut self,
        user: &str,
        _submethods: &str,
        response: Option<Response<'a>>,
    ) -> Result<Auth, TransportError> {
        // The same check as for `password`, so that both take the same time.
        let Some(mut response) = response else { return Ok(ask_for_password()) };
        let answer = response.next().map(|answer| Zeroizing::new(answer.to_vec())).unwrap_or_default();
        let password = str::from_utf8(&answer).unwrap_or_default();
        Ok(self.by_password(user, password, "keyboard-interactive").await)
    }

    async fn auth_publickey_offered(
        &mut self,
        user: &str,
        offer: PublicKeyOffer<'_>,
    ) -> Result<Auth, TransportError> {
        let (attempts, key) = (&self.session.attempts, fingerprint(offer.public_key));
        attempts.of_user(user, self.session.audit());
        if !self.shared.authenticator.offered(user, offer.public_key, self.peer.ip()).await {
            self.permit.refused();
            self.session.attempts.key_refused(key);
            return Ok(reject());
        }
        if !is_strong(offer.algorithm) {
            return Ok(self.refuse(user, "publickey", Some("the client would sign with SHA-1"), &[key]));
        }
        self.session.attempts.key_accepted(key, self.session.audit());
        Ok(Auth::Accept)
    }

    async fn auth_publickey(
        &mut self,
        user: &str,
        key: VerifiedPublicKey<'_>,
    ) -> Result<Auth, TransportError> {
        self.session.attempts.signed();
        match self.shared.authenticator.public_key(user, key.public_key, self.peer.ip()).await {
            Some(login) if is_strong(key.algorithm) => Ok(self.accept(login, "publickey").await),
            _ => Ok(self.refuse(user, "publickey", None, &[fingerprint(key.public_key)])),
        }
    }

    async fn auth_openssh_certificate(
        &mut self,
        user: &str,
        certificate: &Certificate,
    ) -> Result<Auth, TransportError> {
        self.session.attempts.signed();
        let key = PublicKey::from(certificate.public_key().clone());
        Ok(self.refuse(user, "publickey", Some("certificates are not supported"), &[fingerprint(&key)]))
    }

    async fn channel_open_session(
        &mut self,
        channel: Channel<Msg>,
        reply: ChannelOpenHandle,
        session: &mut Session,
    ) -> HandlerResult {
        if !self.may_work {
            reply.reject(ChannelOpenFailure::ResourceShortage).await;
            return self.one_too_many(session);
        }
        let sessions = self.shared.admission.limits().sessions_per_user;
        let room = self.channels.len() < MAX_CHANNELS;
        let memory = self.memory.as_ref().filter(|_| room);
        let Some(permit) = memory.and_then(|memory| memory.open_channel(sessions)) else {
            reply.reject(ChannelOpenFailure::ResourceShortage).await;
            return Ok(());
        };
        self.own(channel, permit);
        reply.accept().await;
        Ok(())
    }

    async fn data(&mut self, id: ChannelId, data: &[u8], _: &mut Session) -> HandlerResult {
        self.flow.moved();
        if let Some(untaken) = self.untaken.get(&id) {
            untaken.arrived(data.len());
        }
        Ok(())
    }

    async fn window_adjusted(&mut self, _: ChannelId, _: u32, _: &mut Session) -> HandlerResult {
        self.flow.moved();
        Ok(())
    }

    fn adjust_window(&mut self, _channel: ChannelId, _current: u32) -> u32 {
        self.flow.window(CHANNEL_WINDOW_BYTES)
    }

    async fn channel_close(&mut self, channel: ChannelId, _session: &mut Session) -> HandlerResult {
        self.waiting.remove(&channel);
        self.untaken.remove(&channel);
        Ok(())
    }

    async fn subsystem_request(&mut self, id: ChannelId, name: &str, session: &mut Session) -> HandlerResult {
        let service = ChannelService::subsystem(name, session.remote_sshid());
        self.start(id, service, session)
    }

    async fn exec_request(&mut self, id: ChannelId, command: &[u8], session: &mut Session) -> HandlerResult {
        self.start(id, Some(ChannelService::Exec(command.to_vec())), session)
    }

    async fn shell_request(&mut self, id: ChannelId, session: &mut Session) -> HandlerResult {
        self.start(id, Some(ChannelService::Greeting), session)
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
    ) -> HandlerResult {
        // There is no pty on the server. The client's terminal is in raw mode, so lines must end with CR LF.
        match self.waiting.get_mut(&id) {
            Some(waiting) => {
                waiting.terminal = true;
                Ok(session.channel_success(id)?)
            }
            None => Ok(session.channel_failure(id)?),
        }
    }

    async fn x11_request(
        &mut self,
        id: ChannelId,
        _single: bool,
        _protocol: &str,
        _cookie: &str,
        _screen: u32,
        session: &mut Session,
    ) -> HandlerResult {
        Ok(session.channel_failure(id)?)
    }

    async fn env_request(
        &mut self,
        id: ChannelId,
        _name: &str,
        _value: &str,
        session: &mut Session,
    ) -> HandlerResult {
        Ok(session.channel_failure(id)?)
    }

    async fn agent_request(&mut self, id: ChannelId, session: &mut Session) -> Result<bool, TransportError> {
        session.channel_failure(id)?;
        Ok(false)
    }
}
