//! Reconnects at the prompt after the connection was lost, during a command or between two.

use super::command::Verb;
use super::{Shell, ShellError};
use crate::conversation::ConversationError;
use crate::messages::warn;
use crate::transfer::{Reconnect, ReconnectError};
use sshome_wire::Request;
use sshome_wire::display::Escaped;

impl Shell {
    /// Whether another command can follow after this error. At the prompt it can after a lost connection, too.
    pub(super) fn goes_on_after(&mut self, error: &ShellError) -> bool {
        let is_over = matches!(
            error,
            ShellError::Conversation(ConversationError::Lost(_) | ConversationError::Protocol(_))
        );
        self.is_lost |= is_over;
        !error.is_fatal() || is_over && self.connection.is_some()
    }

    /// Reconnects before a command that needs the server, if the connection was lost. Both working directories are
    /// kept.
    ///
    /// # Errors
    /// `Failed` if there is no connection yet, `Lost` if the server refuses the login; `Cancelled`.
    pub(super) async fn connect_again_for(&mut self, verb: Verb) -> Result<(), ShellError> {
        if !self.is_prompt || is_local(verb) {
            return Ok(());
        }
        match (self.is_lost, self.conversation.loss()) {
            (false, None) => return self.settle().await,
            (false, Some(why)) => warn(format_args!("the connection is lost: {why}")),
            // The loss was reported.
            (true, _) => {}
        }
        self.is_lost = true;
        let Some(connection) = &mut self.connection else { return Ok(()) };
        let connected = tokio::select! {
            biased;
            () = self.cancel.cancelled() => return Err(ConversationError::Cancelled.into()),
            connected = connection.reconnect() => connected,
        };
        let mut conversation = match connected {
            Ok(conversation) => conversation,
            Err(ReconnectError::Interrupted(why)) => {
                return Err(ShellError::Failed(format!(
                    "not connected: {why}; the next command tries again"
                )));
            }
            Err(ReconnectError::Refused(why)) => {
                self.connection = None;
                return Err(ConversationError::Lost(why).into());
            }
        };
        let path = self.conversation.cwd().as_bytes().to_vec();
        match conversation.request(Request::Cd { path: path.clone() }, &self.cancel).await {
            Ok(_) => warn(format_args!("reconnected, in {}", Escaped(&path))),
            Err(ConversationError::Refused(_)) => {
                warn(format_args!(
                    "reconnected; {} no longer exists, the directory is now /",
                    Escaped(&path)
                ));
            }
            Err(error) => return Err(error.into()),
        }
        (self.conversation, self.is_lost) = (conversation, false);
        Ok(())
    }

    /// Waits for the answers to requests that were cancelled at the prompt.
    async fn settle(&mut self) -> Result<(), ShellError> {
        tokio::select! {
            biased;
            settled = self.conversation.settle() => Ok(settled?),
            () = self.cancel.cancelled() => Err(ConversationError::Cancelled.into()),
        }
    }
}

/// Whether a command does not need the server.
fn is_local(verb: Verb) -> bool {
    match verb {
        Verb::Exit
        | Verb::Fg
        | Verb::Jobs
        | Verb::Kill
        | Verb::Help
        | Verb::Lcd
        | Verb::Lls
        | Verb::Lmkdir
        | Verb::Lpwd
        | Verb::Progress
        | Verb::Shell
        | Verb::Version => true,
        Verb::Bookmark
        | Verb::Cat
        | Verb::Cd
        | Verb::Chmod
        | Verb::Cp
        | Verb::Df
        | Verb::Du
        | Verb::Edit
        | Verb::Find
        | Verb::Flush
        | Verb::Get
        | Verb::Hash
        | Verb::Key
        | Verb::Less
        | Verb::Ln
        | Verb::Ls
        | Verb::Mkdir
        | Verb::Mv
        | Verb::Check
        | Verb::Pull
        | Verb::Push
        | Verb::Put
        | Verb::Pwd
        | Verb::Rename
        | Verb::Rm
        | Verb::Rmdir
        | Verb::Stat
        | Verb::Symlink
        | Verb::Tree => false,
    }
}
