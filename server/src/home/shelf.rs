//! Partial uploads, until they are resumed.

use super::{EntryId, Home, Left, Source};
use crate::quota::Reservation;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The partial uploads of one home that nobody works on. Each keeps its room reserved. Whoever takes one has
/// it alone: two writers never share one.
#[derive(Debug, Default)]
pub struct Shelf(Mutex<Vec<Kept>>);

/// A partial upload, and the room that is reserved for it.
#[derive(Debug)]
pub struct Kept {
    /// The partial upload.
    pub left: Left,
    /// Its room.
    pub room: Reservation,
}

impl Shelf {
    /// Puts a partial upload on the shelf.
    pub fn put(&self, mut kept: Kept) {
        kept.room.set_partial(true);
        self.parts().push(kept);
    }

    /// Takes the longest one of just this source to this target off the shelf.
    #[must_use]
    pub fn take(&self, target: &EntryId, source: Source) -> Option<Kept> {
        let mut parts = self.parts();
        let fits = |kept: &Kept| kept.left.is_of(target) && kept.left.source() == Some(source);
        let best = parts.iter().enumerate().filter(|(_, kept)| fits(kept));
        let best = best.max_by_key(|(_, kept)| kept.left.length).map(|(at, _)| at)?;
        let mut kept = parts.swap_remove(best);
        kept.room.set_partial(false);
        Some(kept)
    }

    /// All of them, as they are now.
    #[must_use]
    pub fn list(&self) -> Vec<Left> {
        self.parts().iter().map(|kept| kept.left.clone()).collect()
    }

    fn take_if(&self, unwanted: impl Fn(&Kept) -> bool) -> Vec<Kept> {
        let mut parts = self.parts();
        if parts.is_empty() {
            return Vec::new();
        }
        let (mut out, stay): (Vec<Kept>, _) = std::mem::take(&mut *parts).into_iter().partition(unwanted);
        *parts = stay;
        out.iter_mut().for_each(|kept| kept.room.set_partial(false));
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

    /// Removes the partial uploads that `unwanted` picks. Returns how many.
    pub fn discard(&self, unwanted: impl Fn(&Kept) -> bool) -> usize {
        let parts = self.shelf().take_if(unwanted);
        parts.into_iter().map(|kept| usize::from(self.remove_part(kept))).sum()
    }

    /// Removes a partial upload, and gives its room back. Returns whether that worked: otherwise it is on the
    /// shelf again, since its bytes are still on the disk.
    pub fn remove_part(&self, kept: Kept) -> bool {
        let removed = self.unlink_left(&kept.left);
        if let Err(error) = &removed {
            tracing::warn!(path = %kept.left.path(), %error, "a partial upload could not be removed");
            self.shelf().put(kept);
        }
        removed.is_ok()
    }
}
