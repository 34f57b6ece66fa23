//! The modes of directories that a get has made.

use super::plan::Place;
use super::store;
use crate::conversation::ConversationError;
use crate::transfer::{Failure, blocking};
use std::path::Path;

/// Directories that were made and have not the modes that they have on the server: a mode may forbid to
/// write, so it comes when nothing more goes into the directory.
#[derive(Default)]
pub(super) struct Modes(Vec<Place>);

impl Modes {
    /// Adds directories that were made, each after the one that it is in.
    pub(super) fn add<'a>(&mut self, made: impl Iterator<Item = &'a Place>) {
        self.0.extend(made.cloned());
    }

    /// Gives those their modes that are finished, by their local paths. Returns what failed.
    ///
    /// # Errors
    /// If the thread that does it has failed.
    pub(super) async fn set(
        &mut self,
        is_finished: impl Fn(&Path) -> bool,
    ) -> Result<Vec<Failure>, ConversationError> {
        let made = std::mem::take(&mut self.0);
        let (finished, rest) = made.into_iter().partition(|place| is_finished(&place.local()));
        self.0 = rest;
        blocking(move || set(finished)).await
    }
}

fn set(directories: Vec<Place>) -> Vec<Failure> {
    let set_mode = |place: &Place, mode| store::open(&place.base, &place.below)?.set_mode(mode);
    let mut failures = Vec::new();
    for place in directories.into_iter().rev() {
        if let Some(Err(error)) = place.mode.map(|mode| set_mode(&place, mode)) {
            let why = format!("cannot set the directory's mode here: {error}");
            failures.push(Failure::of(place.remote.as_bytes(), why));
        }
    }
    failures
}
