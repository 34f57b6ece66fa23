//! The ways in: what a client can start on a channel, and what serves it.

use super::Shared;
use super::channel::{Reader, Writer};
use super::sessions::Session;
use crate::auth::Login;
use crate::home;
use crate::operations::User;
use crate::subsystem::sftp::SymlinkOrder;
use crate::subsystem::{Ended, Outgoing, exec, native, no_shell_message, sftp};
use std::sync::Arc;
use std::time::Instant;

/// The exit status of what was not begun because the user has too much open.
const BUSY: u8 = 75;

/// What a client starts on a channel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// The subsystem `sshome`.
    Native,
    /// The subsystem `sftp`.
    Sftp(SymlinkOrder),
    /// One command line.
    Exec(Vec<u8>),
    /// A shell. There is none; a short text says what there is.
    Greeting,
}

impl Way {
    /// What a subsystem's name starts, if it is one of ours, for a client that identifies itself so.
    pub(super) fn subsystem(name: &str, client: &[u8]) -> Option<Way> {
        match name {
            sshome_wire::SUBSYSTEM => Some(Way::Native),
            sftp::SUBSYSTEM => Some(Way::Sftp(SymlinkOrder::of(client))),
            _ => None,
        }
    }

    /// How an administrator knows it.
    fn name(&self) -> &'static str {
        match self {
            Way::Native => sshome_wire::SUBSYSTEM,
            Way::Sftp(_) => sftp::SUBSYSTEM,
            Way::Exec(_) => "exec",
            Way::Greeting => "greeting",
        }
    }
}

/// What is to begin on a channel.
#[derive(Debug)]
pub(super) struct Start {
    pub(super) login: Login,
    pub(super) way: Way,
    /// Whether the client's side is a terminal.
    pub(super) terminal: bool,
    pub(super) session: Arc<Session>,
}

impl Start {
    /// Serves the channel to its end.
    pub(super) async fn serve(self, reader: Reader, writer: Writer, shared: &Arc<Shared>) -> Ended {
        let Start { login, way, terminal, session } = self;
        let _at_work = session.at_work(way.name());
        let (name, audit) = (login.name().to_owned(), session.audit().clone());
        let world = Arc::clone(shared);
        let entered = tokio::task::spawn_blocking(move || User::enter(login, &world.homes, &world.ledgers));
        let user = match entered.await {
            Ok(Ok(user)) => user.audited(audit),
            // The user's own doing, and as often as the user likes: nothing for the log.
            Ok(Err(error @ home::Error::Descriptors(_))) => {
                let text = format!("sshomed: {error}\n");
                return writer.send_error(text.into()).await.map_or(Ended::Gone, |()| Ended::Failed(BUSY));
            }
            Ok(Err(error)) => {
                tracing::warn!(user = name, %error, "a session of a user whose home cannot be opened");
                // Our own client shows what the hello says, others their standard error.
                let told = match way {
                    Way::Native => writer.send(native::refusal(&error.to_string())).await,
                    _ => writer.send_error(format!("sshomed: {error}\n").into()).await,
                };
                return told.map_or(Ended::Gone, |()| Ended::Failed(1));
            }
            Err(_) => return Ended::Fault,
        };
        let (stopping, threads) = (shared.stopping.clone(), &shared.threads);
        let ended = match way {
            Way::Native => native::converse(reader, writer, user, stopping, threads).await,
            Way::Sftp(order) => sftp::converse(reader, writer, user, order, stopping, threads).await,
            Way::Exec(line) => {
                let begun = Instant::now();
                let ended = exec::run(reader, writer, user, line, terminal, threads).await;
                session.audit().request("exec", "command", begun);
                ended
            }
            Way::Greeting => {
                let port = shared.listen.first().map_or(0, std::net::SocketAddr::port);
                no_shell_message::greet(writer, user, terminal, port).await
            }
        };
        tracing::debug!(user = name, ?ended, "channel ended");
        ended
    }
}
