//! Partial uploads, until they are resumed.

use super::{EntryId, Left, Source};
use crate::quota::Reservation;
use std::sync::{Mutex, MutexGuard, PoisonError};

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

    pub(super) fn take_if(&self, unwanted: impl Fn(&Kept) -> bool) -> Vec<Kept> {
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
