//! What is left of uploads that were cut, until they go on.

use super::{Home, Left, Source};
use crate::quota::Reservation;
use sshome_wire::RemotePath;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The parts of one home that nobody works on. Each keeps its room reserved. Whoever takes one has
/// it alone: two writers never share a part.
#[derive(Debug, Default)]
pub struct Shelf(Mutex<Vec<Kept>>);

/// A part, and the room that is reserved for it.
#[derive(Debug)]
pub struct Kept {
    /// The part.
    pub left: Left,
    /// Its room.
    pub room: Reservation,
}

impl Shelf {
    /// Puts a part on the shelf.
    pub fn put(&self, kept: Kept) {
        self.parts().push(kept);
    }

    /// Takes the longest part of just this source off the shelf.
    #[must_use]
    pub fn take(&self, target: &RemotePath, source: Source) -> Option<Kept> {
        let mut parts = self.parts();
        let fits = |kept: &Kept| {
            let record = &kept.left.record;
            (record.target.as_slice(), record.source) == (target.as_bytes(), source)
        };
        let best = parts.iter().enumerate().filter(|(_, kept)| fits(kept));
        let best = best.max_by_key(|(_, kept)| kept.left.length).map(|(at, _)| at)?;
        Some(parts.swap_remove(best))
    }

    /// All parts, as they are now.
    #[must_use]
    pub fn list(&self) -> Vec<Left> {
        self.parts().iter().map(|kept| kept.left.clone()).collect()
    }

    fn take_if(&self, unwanted: impl Fn(&Left) -> bool) -> Vec<Kept> {
        let mut parts = self.parts();
        let (out, stay) = std::mem::take(&mut *parts).into_iter().partition(|kept| unwanted(&kept.left));
        *parts = stay;
        out
    }

    fn parts(&self) -> MutexGuard<'_, Vec<Kept>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Home {
    /// The shelf, which all sessions in this home share.
    #[must_use]
    pub fn shelf(&self) -> &Arc<Shelf> {
        &self.place.shelf
    }

    /// Removes the parts that `unwanted` picks. Returns how many.
    pub fn discard(&self, unwanted: impl Fn(&Left) -> bool) -> usize {
        let parts = self.shelf().take_if(unwanted);
        let count = parts.len();
        parts.into_iter().for_each(|kept| self.remove_part(kept));
        count
    }

    /// Removes a part, and gives its room back.
    pub fn remove_part(&self, kept: Kept) {
        // Opened as a staged file and dropped: that removes it.
        if let Err(error) = self.reopen(&kept.left) {
            tracing::warn!(%error, "a part could not be removed");
        }
    }
}
