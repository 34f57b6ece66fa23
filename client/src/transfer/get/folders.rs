//! Modes and times of the directories that a get fills.

use super::plan::PlannedDirectory;
use super::store::{self, Unsynced};
use crate::conversation::ConversationError;
use crate::transfer::local::LocalDirectory;
use crate::transfer::{Failure, blocking};
use std::io;
use std::path::Path;
use std::rc::Rc;

/// Directories that do not have their final times yet, nor, if they were made accessible, their final modes. Both are
/// set once a directory is filled: a mode may forbid writing, and each new name changes the time.
#[derive(Default)]
pub(in crate::transfer) struct UnfinishedDirectories(Vec<UnfinishedDirectory>);

struct UnfinishedDirectory {
    place: PlannedDirectory,
    /// The mode that is set as well, if it was made accessible.
    final_mode: Option<u32>,
}

impl UnfinishedDirectories {
    /// Adds directories, each after its parent, and the modes that they get if they were made accessible to be filled.
    pub(in crate::transfer) fn add<'a>(
        &mut self,
        folders: impl Iterator<Item = (&'a PlannedDirectory, Option<u32>)>,
    ) {
        let unfinished = |(place, final_mode): (&PlannedDirectory, _)| UnfinishedDirectory {
            place: place.clone(),
            final_mode,
        };
        self.0.extend(folders.map(unfinished));
    }

    /// Finishes the directories that are filled, as `is_filled` says of their local paths. Returns the failures.
    ///
    /// # Errors
    /// If the thread that does it failed.
    pub(in crate::transfer) async fn finish(
        &mut self,
        is_filled: impl Fn(&Path) -> bool,
    ) -> Result<Vec<Failure>, ConversationError> {
        let folders = std::mem::take(&mut self.0);
        let (filled, rest) = folders.into_iter().partition(|folder| is_filled(&folder.place.local()));
        self.0 = rest;
        blocking(move || finish_all(&filled)).await
    }
}

fn finish_all(folders: &[UnfinishedDirectory]) -> Vec<Failure> {
    let (mut failures, mut unsynced) = (Vec::new(), Unsynced::default());
    for folder in folders.iter().rev() {
        match finish(folder) {
            Ok(directory) => unsynced.add(&Rc::new(directory)),
            Err(error) => {
                let why = format!("cannot set the directory's mode and time here: {error}");
                failures.push(Failure::of(folder.place.remote.as_bytes(), why));
            }
        }
    }
    if let (Err(error), Some(first)) = (unsynced.sync(), folders.first()) {
        let why = format!("cannot sync the directories' modes and times: {error}");
        failures.push(Failure::of(first.place.remote.as_bytes(), why));
    }
    failures
}

fn finish(UnfinishedDirectory { place, final_mode }: &UnfinishedDirectory) -> io::Result<LocalDirectory> {
    let directory = store::open(&place.base, &place.below)?;
    if let Some(attributes) = place.attributes {
        directory.finish(*final_mode, attributes.mtime)?;
    }
    Ok(directory)
}
