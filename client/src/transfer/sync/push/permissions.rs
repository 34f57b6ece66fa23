//! What a push does not try, because the login may not do it.

use super::super::SyncOptions;
use super::super::compare::SourceEntry;
use super::PushTransfer;
use crate::conversation::{Conversation, ConversationError};
use crate::transfer::Failure;
use sshome_wire::{Entry, RemotePath, Session};

impl SyncOptions {
    /// The options of a push with the permissions of the login, and a notice if they do less than was asked for.
    ///
    /// # Errors
    /// If the login can push nothing.
    pub fn permitted(
        self,
        server: &Conversation,
    ) -> Result<(SyncOptions, Option<&'static str>), ConversationError> {
        let refused = |text: &str| Err(ConversationError::Local(text.to_owned()));
        match server.session() {
            Some(Session { reads: false, .. }) => refused(
                "this login may not list the server's files: push cannot compare; put -r sends everything",
            ),
            Some(Session { adds: false, .. }) if !self.dry_run => {
                refused("this login may only read: push can store nothing; -n shows what differs")
            }
            Some(Session { adds: true, changes: false, .. }) => {
                let notice = "this login may only add files: what exists on the server is kept as it is";
                let options = SyncOptions { adds_only: true, delete: None, remote_backup: None, ..self };
                Ok((options, Some(notice)))
            }
            Some(_) | None => Ok((self, None)),
        }
    }
}

impl PushTransfer<'_> {
    /// Leaves out what would replace something, if the login may not do that.
    pub(super) fn addable(
        &mut self,
        mut transfer: Vec<SourceEntry>,
        in_the_way: Vec<Entry>,
    ) -> (Vec<SourceEntry>, Vec<Entry>) {
        if !self.options.adds_only {
            return (transfer, in_the_way);
        }
        let before = transfer.len();
        transfer.retain(|one| !one.exists);
        self.kept += (before - transfer.len()) as u64;
        (transfer, Vec::new())
    }
}

/// The warning that this number of files and links stays as it is.
pub(super) fn kept(count: u64, target: &RemotePath) -> Option<Failure> {
    let why = match count {
        0 => return None,
        1 => "1 file or link differs and was kept: this login may only add files".to_owned(),
        count => format!("{count} files or links differ and were kept: this login may only add files"),
    };
    Some(Failure::of(target.as_bytes(), why))
}
