//! Why a command failed.

use super::command::CommandError;
use super::words::WordsError;
use crate::conversation::ConversationError;
use crate::exit::Exit;
use std::io;

/// The error of a command.
#[derive(Debug, thiserror::Error)]
pub enum ShellError {
    /// The line cannot be split into words.
    #[error(transparent)]
    Words(#[from] WordsError),
    /// The words are not a valid command.
    #[error(transparent)]
    Command(#[from] CommandError),
    /// The server refused, the connection was lost, or the command was cancelled.
    #[error(transparent)]
    Conversation(#[from] ConversationError),
    /// The commands cannot be read.
    #[error("{0}")]
    Script(String),
    /// It failed for a local reason.
    #[error("{0}")]
    Failed(String),
    /// It failed, and the reason was reported.
    #[error("the command failed")]
    Reported,
    /// The result could not be written.
    #[error("cannot write the result: {0}")]
    Output(io::Error),
    /// Ctrl-C was pressed again while the command was being cancelled.
    #[error("quit while cancelling: the server may still be working")]
    Abandoned,
}

impl ShellError {
    /// The exit code, if the program ends with this error.
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
            // The reader has enough, as with `| head`.
            ShellError::Output(error) if error.kind() == io::ErrorKind::BrokenPipe => Exit::Ok,
            _ => Exit::Failed,
        }
    }

    /// Whether no further command can be run.
    #[must_use]
    pub fn is_fatal(&self) -> bool {
        self.exit() == Exit::Connection || matches!(self, ShellError::Output(_) | ShellError::Abandoned)
    }
}

pub(super) fn unexpected_reply(command: &str) -> ShellError {
    ConversationError::Protocol(format!("the answer to {command} is of the wrong kind")).into()
}
