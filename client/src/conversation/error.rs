//! Errors of a conversation.

use sshome_wire::display::Escaped;
use sshome_wire::{FrameError, PathError, Reply};

/// Why a request failed.
///
/// After `Refused`, `Cancelled` and `Local` the conversation continues; after `Lost` and `Protocol` it is over.
#[derive(Debug, thiserror::Error)]
pub enum ConversationError {
    /// The server refused it, with a status and a message.
    #[error("{}", shown(.0))]
    Refused(Reply),
    /// The connection is lost.
    #[error("the connection is lost: {0}")]
    Lost(String),
    /// The server violated the protocol, or speaks a different version.
    #[error("the server violated the protocol: {0}")]
    Protocol(String),
    /// It was cancelled, and the server has stopped, too.
    #[error("cancelled")]
    Cancelled,
    /// It failed locally, before anything was sent.
    #[error("{0}")]
    Local(String),
}

impl From<FrameError> for ConversationError {
    fn from(error: FrameError) -> ConversationError {
        match error {
            FrameError::Unsendable(_) => ConversationError::Local(format!("{error}: shorten the path")),
            error => ConversationError::Protocol(error.to_string()),
        }
    }
}

impl From<PathError> for ConversationError {
    fn from(error: PathError) -> ConversationError {
        ConversationError::Local(error.to_string())
    }
}

/// A reply, safe to show: its message is untrusted.
fn shown(reply: &Reply) -> String {
    reply.status.explain(&Escaped(reply.message.as_bytes()).to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use sshome_wire::Status;

    #[test]
    fn messages_from_the_server_cannot_control_the_terminal() {
        let error = ConversationError::Refused(Reply::new(Status::NoSuchFile, "\x1b[2J"));
        assert_eq!(error.to_string(), "no such file: \\x1b[2J (402)");
    }
}
