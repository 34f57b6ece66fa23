//! Directories that a get still has to list.

use super::plan::{DirectoryAttributes, PlannedDirectory};
use sshome_wire::PathError;
use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A directory that is to be listed. Directories with the same parent share its data.
#[derive(Debug)]
pub(in crate::transfer) struct PendingDirectory {
    place: Arc<PlannedDirectory>,
    /// Its name in that place, and its attributes; `None` if it is the place itself.
    child: Option<(Box<[u8]>, DirectoryAttributes)>,
}

impl PendingDirectory {
    pub(in crate::transfer) fn top(place: PlannedDirectory) -> PendingDirectory {
        PendingDirectory { place: Arc::new(place), child: None }
    }

    pub(in crate::transfer) fn child(
        within: Arc<PlannedDirectory>,
        name: Box<[u8]>,
        attributes: DirectoryAttributes,
    ) -> PendingDirectory {
        PendingDirectory { place: within, child: Some((name, attributes)) }
    }

    /// The directory and its local path.
    ///
    /// # Errors
    /// If its path is too long.
    pub(in crate::transfer) fn place(&self) -> Result<PlannedDirectory, PathError> {
        match &self.child {
            Some((name, attributes)) => self.place.child(name, *attributes),
            None => Ok(PlannedDirectory::clone(&self.place)),
        }
    }
}

/// The local directories that are not filled: something remains to be stored in them, or below.
pub(in crate::transfer) fn unfinished<'a>(
    pending: impl Iterator<Item = &'a PendingDirectory>,
) -> HashSet<PathBuf> {
    let mut unfinished = HashSet::new();
    let mut last: Option<&Arc<PlannedDirectory>> = None;
    for PendingDirectory { place, .. } in pending {
        if !last.is_some_and(|last| Arc::ptr_eq(last, place)) {
            add(&mut unfinished, place);
        }
        last = Some(place);
    }
    unfinished
}

/// Adds directories that are to be filled, and those above them.
pub(super) fn add_unfinished(unfinished: &mut HashSet<PathBuf>, places: &[PlannedDirectory]) {
    for place in places {
        add(unfinished, place);
    }
}

fn add(unfinished: &mut HashSet<PathBuf>, place: &PlannedDirectory) {
    // If a directory is known, so are its parents.
    let _ = place.local().ancestors().map(Path::to_owned).all(|above| unfinished.insert(above));
}
