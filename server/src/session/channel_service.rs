//! The ways in: what a client can start on a channel, and what serves it.

use super::ServerState;
use super::channel::{ChannelReader, ChannelWriter};
use super::sessions::SshSession;
use crate::auth::Login;
use crate::home;
use crate::operations::User;
use crate::subsystem::sftp::SymlinkOrder;
use crate::subsystem::{ChannelEnd, ChannelOutput, exec, native, no_shell_message, sftp};
use std::sync::Arc;
use std::time::Instant;

/// The exit status of what was not begun because the user has too much open.
const EXIT_BUSY: u8 = 75;

/// What a client starts on a channel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum ChannelService {
    /// The subsystem `sshome`.
    Native,
    /// The subsystem `sftp`.
    Sftp(SymlinkOrder),
    /// One command line.
    Exec(Vec<u8>),
    /// A shell. There is none; a short text says what there is.
    Greeting,
}

impl ChannelService {
    /// What a subsystem's name starts, if it is one of ours, for a client that identifies itself so.
    pub(super) fn subsystem(name: &str, client: &[u8]) -> Option<ChannelService> {
        match name {
            sshome_wire::SUBSYSTEM => Some(ChannelService::Native),
            sftp::SUBSYSTEM => Some(ChannelService::Sftp(SymlinkOrder::of(client))),
            _ => None,
        }
    }

    /// How an administrator knows it.
    fn name(&self) -> &'static str {
        match self {
            ChannelService::Native => sshome_wire::SUBSYSTEM,
            ChannelService::Sftp(_) => sftp::SUBSYSTEM,
            ChannelService::Exec(_) => "exec",
            ChannelService::Greeting => "greeting",
        }
    }
}

/// What is to begin on a channel.
#[derive(Debug)]
pub(super) struct ServiceStart {
    pub(super) login: Login,
    pub(super) service: ChannelService,
    /// Whether the client's side is a terminal.
    pub(super) terminal: bool,
    pub(super) session: Arc<SshSession>,
}

impl ServiceStart {
    /// Serves the channel to its end.
    pub(super) async fn serve(
        self,
        reader: ChannelReader,
        writer: ChannelWriter,
        shared: &Arc<ServerState>,
    ) -> ChannelEnd {
        let ServiceStart { login, service, terminal, session } = self;
        let _guard = session.begin_service(service.name());
        let (name, audit) = (login.name().to_owned(), session.audit().clone());
        let world = Arc::clone(shared);
        let entered = tokio::task::spawn_blocking(move || User::enter(login, &world.homes, &world.ledgers));
        let user = match entered.await {
            Ok(Ok(user)) => user.audited(audit),
            // The user's own doing, and as often as the user likes: nothing for the log.
            Ok(Err(error @ home::Error::Descriptors(_))) => {
                let text = format!("sshomed: {error}\n");
                return writer
                    .send_error(text.into())
                    .await
                    .map_or(ChannelEnd::Gone, |()| ChannelEnd::Failed(EXIT_BUSY));
            }
            Ok(Err(error)) => {
                tracing::warn!(user = name, %error, "a session of a user whose home cannot be opened");
                // Our own client shows what the hello says, others their standard error.
                let told = match service {
                    ChannelService::Native => writer.send(native::refusal(&error.to_string())).await,
                    _ => writer.send_error(format!("sshomed: {error}\n").into()).await,
                };
                return told.map_or(ChannelEnd::Gone, |()| ChannelEnd::Failed(1));
            }
            Err(_) => return ChannelEnd::Fault,
        };
        let (stopping, pool) = (shared.stopping.clone(), &shared.pool);
        let ended = match service {
            ChannelService::Native => native::serve(reader, writer, user, stopping, pool).await,
            ChannelService::Sftp(order) => sftp::serve(reader, writer, user, order, stopping, pool).await,
            ChannelService::Exec(line) => {
                let begun = Instant::now();
                let ended = exec::run(reader, writer, user, line, terminal, pool).await;
                session.audit().request("exec", "command", begun);
                ended
            }
            ChannelService::Greeting => {
                let port = shared.listen.first().map_or(0, std::net::SocketAddr::port);
                no_shell_message::send(writer, user, terminal, port).await
            }
        };
        tracing::debug!(user = name, ?ended, "channel ended");
        ended
    }
}
