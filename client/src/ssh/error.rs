//! Why nobody is logged in.

use super::happy_eyeballs::ConnectError;
use crate::conversation::ConversationError;
use crate::exit::Exit;
use sshome_wire::Status;
use sshome_wire::display::Escaped;
use std::time::Duration;

/// What stopped a login, and what to do about it.
#[derive(Debug, thiserror::Error)]
pub enum LoginError {
    /// Nobody could be reached.
    #[error("cannot connect to {place}: {error}")]
    Connect {
        /// The host and the port.
        place: String,
        /// Why.
        error: ConnectError,
    },
    /// Whoever is there takes too long.
    #[error("{place} did not answer within {} s: is that the host, and does it let the port through?", .limit.as_secs())]
    TimeOut {
        /// The host and the port.
        place: String,
        /// How long it had.
        limit: Duration,
    },
    /// The server says why it does not want the connection.
    #[error("{place} refuses the connection: {said}")]
    SentAway {
        /// The host and the port.
        place: String,
        /// The server's words.
        said: String,
    },
    /// Somebody is there, and no handshake came about.
    #[error("the connection to {place} ended before the login: {error}. Is that an SSH server?")]
    Handshake {
        /// The host and the port.
        place: String,
        /// Why.
        error: russh::Error,
    },
    /// The connection ended while somebody was logging in.
    #[error("the connection ended while {what}")]
    Closed {
        /// Who, and what may be the reason.
        what: String,
        /// Whether the server had refused something before.
        refused: bool,
    },
    /// The server hung up, with these words.
    #[error("the server ended the connection: {}", Escaped(.0.as_bytes()))]
    Ended(String),
    /// SSH failed later.
    #[error("the connection failed: {0}")]
    Ssh(#[from] russh::Error),
    /// The host cannot be trusted.
    #[error("{0}")]
    HostKey(String),
    /// Nobody could be logged in.
    #[error("{0}")]
    Authentication(String),
    /// Ctrl-C was pressed when something was asked.
    #[error("interrupted before the login")]
    Interrupted,
    /// The login went well, and the service did not answer as it should.
    #[error(transparent)]
    Conversation(#[from] ConversationError),
}

impl LoginError {
    /// Whether the way there is interrupted, so that it may be open again later: nobody has said no.
    #[must_use]
    pub fn is_interruption(&self) -> bool {
        match self {
            LoginError::Connect { .. }
            | LoginError::TimeOut { .. }
            | LoginError::SentAway { .. }
            | LoginError::Handshake { .. }
            | LoginError::Closed { .. }
            | LoginError::Ended(_)
            | LoginError::Ssh(_)
            | LoginError::Conversation(ConversationError::Lost(_)) => true,
            // The lost connection may still count as one of the sessions that a user may have.
            LoginError::Conversation(ConversationError::Refused(reply)) => reply.status == Status::Busy,
            LoginError::Conversation(_)
            | LoginError::HostKey(_)
            | LoginError::Authentication(_)
            | LoginError::Interrupted => false,
        }
    }

    /// How the program ends for that reason.
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
