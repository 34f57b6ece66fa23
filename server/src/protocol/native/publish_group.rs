use super::output::NativeOutput;
use crate::service::{self, User, VerifiedUpload};
use sshome_store::EntryRef;
use sshome_wire::{Reply, Status};

/// The largest number of files in a group. Each holds two file descriptors.
const MAX_GROUP_FILES: usize = 256;

/// Complete files that are published together, new names that become durable with them, and the replies that must keep
/// their order.
#[derive(Default)]
pub(super) struct PublishGroup {
    waiting: Vec<PendingReply>,
    made: Vec<EntryRef>,
    files: usize,
    directories: usize,
}

enum PendingReply {
    File(Box<VerifiedUpload>),
    /// A directory that gets its mtime after the files are published.
    Directory(EntryRef),
    /// A reply that is valid once the new names are durable.
    Made(Reply),
    Answer(Reply),
}

impl PublishGroup {
    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Whether it contains files.
    pub(super) fn has_files(&self) -> bool {
        self.files > 0
    }

    pub(super) fn is_full(&self) -> bool {
        self.files + self.made.len() + self.directories >= MAX_GROUP_FILES
    }

    /// Adds a file. Its reply comes when it is published.
    pub(super) fn add(&mut self, placement: VerifiedUpload) {
        self.files += 1;
        self.waiting.push(PendingReply::File(Box::new(placement)));
    }

    /// Adds new names. The reply comes when they are durable.
    pub(super) fn made(&mut self, made: Vec<EntryRef>, reply: Reply) {
        self.made.extend(made);
        self.waiting.push(PendingReply::Made(reply));
    }

    /// Adds a directory that is finished after the files. Its reply comes when it is synced.
    pub(super) fn finished(&mut self, directory: EntryRef) {
        self.directories += 1;
        self.waiting.push(PendingReply::Directory(directory));
    }

    /// Adds a reply that is known already.
    pub(super) fn answer(&mut self, reply: Reply) {
        self.waiting.push(PendingReply::Answer(reply));
    }

    /// Publishes all files and sends all replies. Returns the number of replies.
    pub(super) fn publish(&mut self, user: &User, output: &mut NativeOutput) -> usize {
        let group = std::mem::take(self);
        let count = group.waiting.len();
        let (mut placements, mut directories) = (Vec::new(), Vec::new());
        // Replies, and placeholders for those that are not known yet.
        let mut answers = Vec::new();
        for waiting in group.waiting {
            answers.push(match waiting {
                PendingReply::File(placement) => {
                    placements.push(*placement);
                    PlannedReply::Placed
                }
                PendingReply::Directory(directory) => {
                    directories.push(directory);
                    PlannedReply::Finished
                }
                PendingReply::Made(reply) => PlannedReply::Synced(reply),
                PendingReply::Answer(reply) => PlannedReply::Known(reply),
            });
        }
        let (placed, synced) = service::publish(user, placements, group.made);
        let finished = service::finalize_directories(user, directories);
        let (mut placed, mut finished) = (placed.into_iter(), finished.into_iter());
        for answer in answers {
            output.reply(match (answer, &synced) {
                (PlannedReply::Known(reply), _) | (PlannedReply::Synced(reply), Ok(())) => reply,
                (PlannedReply::Synced(_), Err(error)) => refusal(error),
                (PlannedReply::Placed, _) => outcome(placed.next()),
                (PlannedReply::Finished, _) => outcome(finished.next()),
            });
        }
        count
    }
}

/// A reply before the group is published.
enum PlannedReply {
    Known(Reply),
    /// Valid if the sync succeeds.
    Synced(Reply),
    /// The result of the next file.
    Placed,
    /// The result of the next directory.
    Finished,
}

fn outcome(result: Option<service::Result<()>>) -> Reply {
    match result {
        Some(Ok(())) => Reply::new(Status::Done, ""),
        Some(Err(error)) => refusal(&error),
        None => Reply::new(Status::Failed, "the server lost count of its files"),
    }
}

/// The reply for an error.
pub(super) fn refusal(error: &service::Error) -> Reply {
    Reply::new(error.status(), error.to_string())
}
