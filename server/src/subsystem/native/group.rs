use super::output::Output;
use crate::home::Location;
use crate::operations::{self, Placement, User};
use sshome_wire::{Reply, Status};

/// As many files wait to be published together, at the most. Each holds two file descriptors.
const MOST: usize = 256;

/// Files that are complete and wait for their names, names that are new and not on the disk, and the
/// answers that must not overtake theirs.
#[derive(Default)]
pub(super) struct Group {
    waiting: Vec<Waiting>,
    made: Vec<Location>,
    files: usize,
}

enum Waiting {
    File(Placement),
    /// An answer that holds once the new names are on the disk.
    Made(Reply),
    Answer(Reply),
}

impl Group {
    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    pub(super) fn is_full(&self) -> bool {
        self.files + self.made.len() >= MOST
    }

    /// Adds a file; its answer comes when it is published.
    pub(super) fn add(&mut self, placement: Placement) {
        self.files += 1;
        self.waiting.push(Waiting::File(placement));
    }

    /// Adds new names; the answer comes when they are on the disk.
    pub(super) fn made(&mut self, made: Vec<Location>, reply: Reply) {
        self.made.extend(made);
        self.waiting.push(Waiting::Made(reply));
    }

    /// Adds an answer that is known already.
    pub(super) fn answer(&mut self, reply: Reply) {
        self.waiting.push(Waiting::Answer(reply));
    }

    /// Publishes all files and gives all answers. Returns how many.
    pub(super) fn publish(&mut self, user: &User, output: &mut Output) -> usize {
        let group = std::mem::take(self);
        let count = group.waiting.len();
        let mut placements = Vec::new();
        // Answers, and places for those of the files.
        let mut answers = Vec::new();
        for waiting in group.waiting {
            answers.push(match waiting {
                Waiting::File(placement) => {
                    placements.push(placement);
                    None
                }
                Waiting::Made(reply) => Some((reply, true)),
                Waiting::Answer(reply) => Some((reply, false)),
            });
        }
        let (placed, synced) = operations::place(user, placements, group.made);
        let mut placed = placed.into_iter();
        for answer in answers {
            let reply = match (answer, &synced) {
                (Some((_, true)), Err(error)) => refusal(error),
                (Some((reply, _)), _) => reply,
                (None, _) => match placed.next() {
                    Some(Err(error)) => refusal(&error),
                    Some(Ok(())) => Reply::new(Status::Done, ""),
                    None => Reply::new(Status::Failed, "the server lost count of its files"),
                },
            };
            output.reply(reply);
        }
        count
    }
}

/// The reply that an error becomes.
pub(super) fn refusal(error: &operations::Error) -> Reply {
    Reply::new(error.status(), error.to_string())
}
