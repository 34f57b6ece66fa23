//! The partial uploads of a home.

use super::PartialFile;
use sshome_store::quota::Reservation;
use sshome_store::{EntryId, UploadSource};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The partial uploads of one home that no session works on. Each keeps its reservation. A session takes one out to work
/// on it, so two sessions never share one.
#[derive(Debug, Default)]
pub(crate) struct PartialUploads(Mutex<Vec<PartialUpload>>);

/// A partial upload and its quota reservation.
#[derive(Debug)]
pub(crate) struct PartialUpload {
    /// Its staged file.
    pub(crate) file: PartialFile,
    /// The reservation for its bytes.
    pub(crate) reservation: Reservation,
}

impl PartialUploads {
    /// Adds a partial upload.
    pub(crate) fn put(&self, mut partial: PartialUpload) {
        partial.reservation.set_partial(true);
        self.parts().push(partial);
    }

    /// Takes out the longest one from exactly this source to this target.
    #[must_use]
    pub(crate) fn take(&self, target: &EntryId, source: UploadSource) -> Option<PartialUpload> {
        let mut parts = self.parts();
        let fits =
            |partial: &PartialUpload| partial.file.is_of(target) && partial.file.source() == Some(source);
        let best = parts.iter().enumerate().filter(|(_, partial)| fits(partial));
        let best = best.max_by_key(|(_, partial)| partial.file.length).map(|(at, _)| at)?;
        let mut partial = parts.swap_remove(best);
        partial.reservation.set_partial(false);
        Some(partial)
    }

    /// The staged files of all partial uploads.
    #[must_use]
    pub(crate) fn list(&self) -> Vec<PartialFile> {
        self.parts().iter().map(|partial| partial.file.clone()).collect()
    }

    pub(super) fn take_if(&self, unwanted: impl Fn(&PartialUpload) -> bool) -> Vec<PartialUpload> {
        let mut parts = self.parts();
        if parts.is_empty() {
            return Vec::new();
        }
        let (mut out, stay): (Vec<PartialUpload>, _) =
            std::mem::take(&mut *parts).into_iter().partition(unwanted);
        *parts = stay;
        out.iter_mut().for_each(|partial| partial.reservation.set_partial(false));
        out
    }

    fn parts(&self) -> MutexGuard<'_, Vec<PartialUpload>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
