use super::output::Output;
use crate::operations::{self, Placement, User};
use sshome_wire::{Reply, Status};

/// As many files wait to be published together, at the most. Each holds two file descriptors.
const MOST: usize = 512;

/// Files that are complete and wait for their names, and the answers that must not overtake theirs.
#[derive(Default)]
pub(super) struct Group {
    waiting: Vec<Waiting>,
    files: usize,
}

enum Waiting {
    File(Placement),
    Answer(Reply),
}

impl Group {
    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    pub(super) fn is_full(&self) -> bool {
        self.files >= MOST
    }

    /// Adds a file; its answer comes when it is published.
    pub(super) fn add(&mut self, placement: Placement) {
        self.files += 1;
        self.waiting.push(Waiting::File(placement));
    }

    /// Adds an answer that is known already.
    pub(super) fn answer(&mut self, reply: Reply) {
        self.waiting.push(Waiting::Answer(reply));
    }

    /// Publishes all files and gives all answers. Returns how many.
    pub(super) fn publish(&mut self, user: &User, output: &mut Output) -> usize {
        let waiting = std::mem::take(&mut self.waiting);
        self.files = 0;
        let count = waiting.len();
        let mut placements = Vec::new();
        // An answer, or a place for the next file's.
        let answers: Vec<Option<Reply>> = waiting
            .into_iter()
            .map(|waiting| match waiting {
                Waiting::Answer(reply) => Some(reply),
                Waiting::File(placement) => {
                    placements.push(placement);
                    None
                }
            })
            .collect();
        let mut placed = operations::place(user, placements).into_iter();
        for answer in answers {
            let reply = answer.unwrap_or_else(|| match placed.next() {
                Some(Err(error)) => refusal(&error),
                Some(Ok(())) => Reply::new(Status::Done, ""),
                None => Reply::new(Status::Failed, "the server lost count of its files"),
            });
            output.reply(reply);
        }
        count
    }
}

/// The reply that an error becomes.
pub(super) fn refusal(error: &operations::Error) -> Reply {
    Reply::new(error.status(), error.to_string())
}
