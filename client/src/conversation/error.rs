//! Why a conversation did not do what was asked.

use sshome_wire::display::Escaped;
use sshome_wire::{FrameError, PathError, Reply};

/// What went wrong, and whose doing it was.
///
/// After `Refused`, `Cancelled` and `Local` the conversation goes on; after `Lost` and `Protocol`
/// it is over.
#[derive(Debug, thiserror::Error)]
pub enum ConversationError {
    /// The server said no, with a status and words.
    #[error("{}", shown(.0))]
    Refused(Reply),
    /// The connection is gone.
    #[error("the connection is lost: {0}")]
    Lost(String),
    /// The server sent what makes no sense, or speaks another version.
    #[error("the server does not keep to the protocol: {0}")]
    Protocol(String),
    /// It was interrupted, and the server has stopped, too.
    #[error("cancelled")]
    Cancelled,
    /// Something on this side, before anything was asked of the server.
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

/// A reply as people may see it: its words come from the other side.
fn shown(reply: &Reply) -> String {
    reply.status.explain(&Escaped(reply.message.as_bytes()).to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use sshome_wire::Status;

    #[test]
    fn the_servers_words_do_not_drive_the_terminal() {
        let error = ConversationError::Refused(Reply::new(Status::NoSuchFile, "\x1b[2J"));
        assert_eq!(error.to_string(), "no such file: \\x1b[2J (402)");
    }
}
