//! Directories that a get still has to list.

use super::plan::{Attributes, Place};
use sshome_wire::PathError;
use std::sync::Arc;

/// A directory that is to be listed. Those in one directory share what they have in common.
#[derive(Debug)]
pub(super) struct Pending {
    pub(super) place: Arc<Place>,
    /// Its name in that place, and what it has; none if it is the place itself.
    child: Option<(Box<[u8]>, Attributes)>,
}

impl Pending {
    pub(super) fn top(place: Place) -> Pending {
        Pending { place: Arc::new(place), child: None }
    }

    pub(super) fn child(within: Arc<Place>, name: Box<[u8]>, attributes: Attributes) -> Pending {
        Pending { place: within, child: Some((name, attributes)) }
    }

    /// It, and where it goes.
    ///
    /// # Errors
    /// If its path is too long.
    pub(super) fn place(&self) -> Result<Place, PathError> {
        match &self.child {
            Some((name, attributes)) => self.place.child(name, *attributes),
            None => Ok(Place::clone(&self.place)),
        }
    }
}
