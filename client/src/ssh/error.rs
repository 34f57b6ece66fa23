//! Why connecting or logging in failed.

use super::happy_eyeballs::ConnectError;
use crate::conversation::ConversationError;
use crate::exit::Exit;
use sshome_wire::Status;
use sshome_wire::display::Escaped;
use std::time::Duration;

/// The error of a login, with the remedy.
#[derive(Debug, thiserror::Error)]
pub enum LoginError {
    /// No address could be connected to.
    #[error("cannot connect to {place}: {error}")]
    Connect {
        /// The host and the port.
        place: String,
        /// The reason.
        error: ConnectError,
    },
    /// A jump host did not open a connection to the next host.
    #[error(
        "cannot connect to {place} through {via}: {error}. Is it reachable from there, and does the jump host allow forwarding?"
    )]
    Jump {
        /// The host and the port.
        place: String,
        /// The jump host and its port.
        via: String,
        /// The reason.
        error: Box<russh::Error>,
    },
    /// `ProxyCommand` could not be started.
    #[error("ProxyCommand {}: {error}", Escaped(.command.as_bytes()))]
    ProxyCommand {
        /// The command.
        command: String,
        /// The reason.
        error: std::io::Error,
    },
    /// The host did not answer in time.
    #[error("{place} did not answer within {} s: is the address right, and is the port open in its firewall?", .limit.as_secs())]
    TimeOut {
        /// The host and the port.
        place: String,
        /// The time limit.
        limit: Duration,
    },
    /// The server refused the connection with a reason.
    #[error("{place} refuses the connection: {said}")]
    SentAway {
        /// The host and the port.
        place: String,
        /// The server's message.
        said: String,
    },
    /// The handshake failed.
    #[error("the connection to {place} ended before the login: {error}. Is that an SSH server?")]
    Handshake {
        /// The host and the port.
        place: String,
        /// The reason.
        error: russh::Error,
    },
    /// The connection ended during the login.
    #[error("the connection ended while {what}")]
    Closed {
        /// The user, and a possible reason.
        what: String,
        /// Whether the server had refused something before.
        refused: bool,
    },
    /// The server disconnected with this message.
    #[error("the server ended the connection: {}", Escaped(.0.as_bytes()))]
    Ended(String),
    /// The SSH connection failed later.
    #[error("the connection failed: {0}")]
    Ssh(#[from] russh::Error),
    /// The host cannot be trusted.
    #[error("{0}")]
    HostKey(String),
    /// The login was refused.
    #[error("{0}")]
    Authentication(String),
    /// Ctrl-C was pressed at a question.
    #[error("interrupted before the login")]
    Interrupted,
    /// The login succeeded, and the conversation could not be started.
    #[error(transparent)]
    Conversation(#[from] ConversationError),
}

impl LoginError {
    /// Whether a later try may succeed: the server has not refused anything.
    #[must_use]
    pub fn is_interruption(&self) -> bool {
        match self {
            LoginError::Connect { .. }
            | LoginError::Jump { .. }
            | LoginError::ProxyCommand { .. }
            | LoginError::TimeOut { .. }
            | LoginError::SentAway { .. }
            | LoginError::Handshake { .. }
            | LoginError::Closed { .. }
            | LoginError::Ended(_)
            | LoginError::Ssh(_)
            | LoginError::Conversation(ConversationError::Lost(_)) => true,
            // The lost connection may still count as one of the user's sessions.
            LoginError::Conversation(ConversationError::Refused(reply)) => reply.status == Status::Busy,
            LoginError::Conversation(_)
            | LoginError::HostKey(_)
            | LoginError::Authentication(_)
            | LoginError::Interrupted => false,
        }
    }

    /// The exit code for this error.
    #[must_use]
    pub fn exit(&self) -> Exit {
        match self {
            LoginError::HostKey(_) => Exit::HostKey,
            LoginError::Authentication(_) | LoginError::Closed { refused: true, .. } => Exit::Authentication,
            LoginError::Interrupted => Exit::Interrupted,
            LoginError::Conversation(ConversationError::Refused(_)) => Exit::Failed,
            _ => Exit::Connection,
        }
    }
}
