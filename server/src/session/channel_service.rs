//! Channel services: what a client can start on a channel (native protocol, SFTP, exec), and the code that serves it.

use super::ServerState;
use super::channel::{ChannelReader, ChannelWriter};
use super::sessions::SshSession;
use crate::auth::Login;
use crate::protocol::sftp::SymlinkOrder;
use crate::protocol::{ChannelEnd, ChannelOutput, SlicePriority, exec, native, no_shell_message, sftp};
use crate::service::User;
use sshome_store::{Cause, Ctx};
use std::future::{Future, pending};
use std::sync::Arc;
use std::time::Instant;
use tokio_util::sync::CancellationToken;

/// The exit status if the user's budget of descriptors is used up (EX_TEMPFAIL).
const EXIT_BUSY: u8 = 75;

/// A service that a client starts on a channel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum ChannelService {
    /// The subsystem `sshome`.
    Native,
    /// The subsystem `sftp`.
    Sftp(SymlinkOrder),
    /// A command line.
    Exec(Vec<u8>),
    /// A shell. There is none: the client gets a short message.
    Greeting,
}

impl ChannelService {
    /// The service of a subsystem, if the name is known. `client` is the client's SSH identification.
    pub(super) fn subsystem(name: &str, client: &[u8]) -> Option<ChannelService> {
        match name {
            sshome_wire::SUBSYSTEM => Some(ChannelService::Native),
            sftp::SUBSYSTEM => Some(ChannelService::Sftp(SymlinkOrder::of(client))),
            _ => None,
        }
    }

    /// The name in status, logs and metrics.
    fn name(&self) -> &'static str {
        match self {
            ChannelService::Native => sshome_wire::SUBSYSTEM,
            ChannelService::Sftp(_) => sftp::SUBSYSTEM,
            ChannelService::Exec(_) => "exec",
            ChannelService::Greeting => "greeting",
        }
    }
}

/// A service to start on a channel.
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
        let (world, pool) = (Arc::clone(shared), &shared.pool);
        let entered = pool.run(shared.permits.of(&name).slices(), SlicePriority::Interactive, move || {
            User::enter(login, &*world.homes, &world.permits)
        });
        let user = match entered.await {
            Ok(Some(Ok(user))) => user.audited(audit),
            // The user can cause this at will, so it is not logged.
            Ok(Some(Err(error @ Cause::TooManyOpen { .. }))) => {
                let text = format!("sshomed: {error}\n");
                return writer
                    .send_error(text.into())
                    .await
                    .map_or(ChannelEnd::Gone, |()| ChannelEnd::Failed(EXIT_BUSY));
            }
            Ok(Some(Err(error))) => {
                tracing::warn!(user = name, %error, "a session of a user whose home cannot be opened");
                // The sshome client shows the hello's message, other clients show standard error.
                let sent = match service {
                    ChannelService::Native => writer.send(native::refusal(&error.to_string())).await,
                    _ => writer.send_error(format!("sshomed: {error}\n").into()).await,
                };
                return sent.map_or(ChannelEnd::Gone, |()| ChannelEnd::Failed(1));
            }
            Ok(None) | Err(_) => return ChannelEnd::Fault,
        };
        let stopping = shared.stopping.clone();
        let (ctx, gone) = (user.ctx().clone(), writer.closed());
        let ended = match service {
            ChannelService::Native => {
                let served = native::serve(reader, writer, user, stopping, pool);
                cancelled_with(gone, ctx.clone(), served).await
            }
            ChannelService::Sftp(order) => {
                let served = sftp::serve(reader, writer, user, order, stopping, pool);
                cancelled_with(gone, ctx.clone(), served).await
            }
            ChannelService::Exec(line) => {
                // A command whose input is complete runs to its end, also if the client has disconnected.
                let begun = Instant::now();
                let ended = exec::run(reader, writer, user, line, terminal, stopping, pool).await;
                session.audit().request("exec", "command", begun);
                ended
            }
            ChannelService::Greeting => {
                let port = shared.listen.first().map_or(0, std::net::SocketAddr::port);
                no_shell_message::send(writer, user, terminal, port, pool).await
            }
        };
        ctx.cancel();
        tracing::debug!(user = name, ?ended, "channel ended");
        ended
    }
}

/// Serves a channel. Calls into the store are cancelled as soon as the client is gone.
async fn cancelled_with(
    gone: CancellationToken,
    ctx: Ctx,
    served: impl Future<Output = ChannelEnd>,
) -> ChannelEnd {
    let tell = async {
        gone.cancelled().await;
        ctx.cancel();
        pending().await
    };
    tokio::select! {
        ended = served => ended,
        never = tell => never,
    }
}
