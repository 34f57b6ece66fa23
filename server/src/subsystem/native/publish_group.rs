use super::output::NativeOutput;
use crate::home::{DescriptorPermit, Location};
use crate::operations::{self, DirectoryToFinalize, PendingPublish, User};
use sshome_wire::{Reply, Status};

/// As many files wait to be published together, at the most. Each holds two file descriptors.
const MAX_GROUP_FILES: usize = 256;

/// Files that are complete and wait for their names, names that are new and not on the disk, and the
/// answers that must not overtake theirs.
#[derive(Default)]
pub(super) struct PublishGroup {
    waiting: Vec<PendingReply>,
    made: Vec<Location>,
    /// For what is held besides files.
    permits: Vec<DescriptorPermit>,
    files: usize,
    directories: usize,
}

enum PendingReply {
    File(Box<PendingPublish>),
    /// A directory that gets its time when the files have their names.
    Directory(DirectoryToFinalize),
    /// An answer that holds once the new names are on the disk.
    Made(Reply),
    Answer(Reply),
}

impl PublishGroup {
    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    pub(super) fn is_full(&self) -> bool {
        self.files + self.made.len() + self.directories >= MAX_GROUP_FILES
    }

    /// Adds a file; its answer comes when it is published.
    pub(super) fn add(&mut self, placement: PendingPublish) {
        self.files += 1;
        self.waiting.push(PendingReply::File(Box::new(placement)));
    }

    /// Adds new names; the answer comes when they are on the disk.
    pub(super) fn made(&mut self, made: Vec<Location>, permit: Option<DescriptorPermit>, reply: Reply) {
        self.made.extend(made);
        self.permits.extend(permit);
        self.waiting.push(PendingReply::Made(reply));
    }

    /// Adds a directory that is finished after the files; its answer comes when that is on the disk.
    pub(super) fn finished(&mut self, directory: DirectoryToFinalize, permit: Option<DescriptorPermit>) {
        self.directories += 1;
        self.permits.extend(permit);
        self.waiting.push(PendingReply::Directory(directory));
    }

    /// Adds an answer that is known already.
    pub(super) fn answer(&mut self, reply: Reply) {
        self.waiting.push(PendingReply::Answer(reply));
    }

    /// Publishes all files and gives all answers. Returns how many.
    pub(super) fn publish(&mut self, user: &User, output: &mut NativeOutput) -> usize {
        let group = std::mem::take(self);
        let count = group.waiting.len();
        let (mut placements, mut directories) = (Vec::new(), Vec::new());
        // Answers, and places for those that are not known yet.
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
        let (placed, synced) = operations::publish(user, placements, group.made);
        let finished = operations::finalize_directories(user, directories);
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

/// What is known of an answer before the group is published.
enum PlannedReply {
    Known(Reply),
    /// It holds if the new names are on the disk.
    Synced(Reply),
    /// The next file's.
    Placed,
    /// The next directory's.
    Finished,
}

fn outcome(result: Option<operations::Result<()>>) -> Reply {
    match result {
        Some(Ok(())) => Reply::new(Status::Done, ""),
        Some(Err(error)) => refusal(&error),
        None => Reply::new(Status::Failed, "the server lost count of its files"),
    }
}

/// The reply that an error becomes.
pub(super) fn refusal(error: &operations::Error) -> Reply {
    Reply::new(error.status(), error.to_string())
}
