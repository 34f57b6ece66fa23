//! Why a command did not do what it should.

use super::command::CommandError;
use super::words::WordsError;
use crate::conversation::ConversationError;
use crate::exit::Exit;
use std::io;

/// What went wrong with a command.
#[derive(Debug, thiserror::Error)]
pub enum ShellError {
    /// The line has no words.
    #[error(transparent)]
    Words(#[from] WordsError),
    /// The words are no command.
    #[error(transparent)]
    Command(#[from] CommandError),
    /// The server said no, or is gone, or was told to stop.
    #[error(transparent)]
    Conversation(#[from] ConversationError),
    /// The commands cannot be read.
    #[error("{0}")]
    Script(String),
    /// It failed for a reason on this side.
    #[error("{0}")]
    Failed(String),
    /// It failed, and all there is to say was said.
    #[error("the command failed")]
    Reported,
    /// The result could not be written.
    #[error("cannot write the result: {0}")]
    Output(io::Error),
    /// Ctrl-C came again while something was being cancelled.
    #[error("quit while cancelling: the server may still be working")]
    Abandoned,
}

impl ShellError {
    /// How the program ends, if it ends for that reason.
    #[must_use]
    pub fn exit(&self) -> Exit {
        match self {
            ShellError::Words(_) | ShellError::Command(_) | ShellError::Script(_) => Exit::Usage,
            ShellError::Conversation(ConversationError::Lost(_) | ConversationError::Protocol(_)) => {
                Exit::Connection
            }
            ShellError::Conversation(ConversationError::Cancelled) | ShellError::Abandoned => {
                Exit::Interrupted
            }
            // Whoever reads has enough, as with `| head`.
            ShellError::Output(error) if error.kind() == io::ErrorKind::BrokenPipe => Exit::Ok,
            _ => Exit::Failed,
        }
    }

    /// Whether there is no going on after it.
    #[must_use]
    pub fn is_fatal(&self) -> bool {
        self.exit() == Exit::Connection || matches!(self, ShellError::Output(_) | ShellError::Abandoned)
    }
}

pub(super) fn unexpected_reply(command: &str) -> ShellError {
    ConversationError::Protocol(format!("the answer to {command} is of another kind")).into()
}
