//! Files that are being uploaded to a home: staged, kept, resumed, discarded.

use super::staging::{Area, STAGED_DESCRIPTORS};
use super::{Error, Home, Kept, Left, Location, Record, Result, Staged};
use rustix::io::Errno;
use std::fs::File;

impl Home {
    /// Creates an empty staged file with a random name for this target, readable by its owner alone. With a
    /// record, it can be kept as a partial upload.
    ///
    /// # Errors
    /// The kernel's; `EROFS` in a home that was opened without a staging folder.
    pub fn stage(&self, target: &Location, record: Option<&Record>) -> Result<Staged> {
        let permit = self.descriptors(STAGED_DESCRIPTORS)?;
        self.area()?.stage(target, record, self.mark(), permit)
    }

    /// Opens a partial upload to read it.
    ///
    /// # Errors
    /// The kernel's.
    pub fn read_part(&self, left: &Left) -> Result<File> {
        self.area()?.read_part(left)
    }

    /// Opens a partial upload to resume it.
    ///
    /// # Errors
    /// The kernel's.
    pub fn reopen(&self, left: &Left) -> Result<Staged> {
        let permit = self.descriptors(STAGED_DESCRIPTORS)?;
        self.area()?.reopen(left, self.mark(), permit)
    }

    fn area(&self) -> Result<&Area> {
        self.staging.as_ref().ok_or(Error::Os(Errno::ROFS))
    }

    /// Bytes of all staged files.
    ///
    /// # Errors
    /// The kernel's.
    pub(super) fn staged_bytes(&self) -> Result<u64> {
        self.staging.as_ref().map_or(Ok(0), Area::bytes)
    }

    /// Removes the partial uploads that `unwanted` picks. Returns how many.
    pub fn discard(&self, unwanted: impl Fn(&Kept) -> bool) -> usize {
        let parts = self.shelf().take_if(unwanted);
        parts.into_iter().map(|kept| usize::from(self.remove_part(kept))).sum()
    }

    /// Removes a partial upload, and gives its room back. Returns whether that worked: otherwise it is on the
    /// shelf again, since its bytes are still on the disk.
    pub fn remove_part(&self, kept: Kept) -> bool {
        let removed = self.area().and_then(|area| area.unlink_left(&kept.left));
        if let Err(error) = &removed {
            tracing::warn!(path = %kept.left.path(), %error, "a partial upload could not be removed");
            self.shelf().put(kept);
        }
        removed.is_ok()
    }
}
