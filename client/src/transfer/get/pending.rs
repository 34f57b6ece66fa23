//! Directories that a get still has to list.

use super::plan::{DirectoryAttributes, PlannedDirectory};
use sshome_wire::PathError;
use std::sync::Arc;

/// A directory that is to be listed. Directories with the same parent share its data.
#[derive(Debug)]
pub(super) struct PendingDirectory {
    pub(super) place: Arc<PlannedDirectory>,
    /// Its name in that place, and its attributes; `None` if it is the place itself.
    child: Option<(Box<[u8]>, DirectoryAttributes)>,
}

impl PendingDirectory {
    pub(super) fn top(place: PlannedDirectory) -> PendingDirectory {
        PendingDirectory { place: Arc::new(place), child: None }
    }

    pub(super) fn child(
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
    pub(super) fn place(&self) -> Result<PlannedDirectory, PathError> {
        match &self.child {
            Some((name, attributes)) => self.place.child(name, *attributes),
            None => Ok(PlannedDirectory::clone(&self.place)),
        }
    }
}
