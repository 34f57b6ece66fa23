//! Uploads to a home: staging, resuming and discarding partial uploads.

use super::staging::{STAGED_DESCRIPTORS, StagingFolder};
use super::{
    Error, HomeHandle, Location, NamespaceLock, PartialFile, PartialUpload, Result, STAGING_DIRECTORY,
    StagedFile, UploadRecord,
};
use rustix::fs::AtFlags;
use rustix::io::Errno;
use std::fs::File;

impl HomeHandle {
    /// Creates an empty staged file with a random name for this target, readable by its owner alone. With a
    /// record, it can be kept as a partial upload.
    ///
    /// # Errors
    /// The kernel's; `EROFS` in a home that was opened without a staging folder.
    pub(crate) fn stage(&self, target: &Location, record: Option<&UploadRecord>) -> Result<StagedFile> {
        let permit = self.descriptors(STAGED_DESCRIPTORS)?;
        self.staging()?.stage(target, record, self.writeback_epoch(), permit)
    }

    /// Gives a file a second name in place of another file, which has that name until then. A link is not followed.
    ///
    /// # Errors
    /// The kernel's, `link(2)` and `rename(2)`.
    pub(crate) fn link_over(&self, from: &Location, to: &Location, lock: &NamespaceLock<'_>) -> Result<()> {
        self.staging()?.link_over(from, to, lock)
    }

    /// Opens a partial upload to read it.
    ///
    /// # Errors
    /// The kernel's.
    pub(crate) fn open_partial(&self, partial: &PartialFile) -> Result<File> {
        self.staging()?.open_partial(partial)
    }

    /// Opens a partial upload to resume it.
    ///
    /// # Errors
    /// The kernel's.
    pub(crate) fn reopen(&self, partial: &PartialFile) -> Result<StagedFile> {
        let permit = self.descriptors(STAGED_DESCRIPTORS)?;
        self.staging()?.reopen(partial, self.writeback_epoch(), permit)
    }

    fn staging(&self) -> Result<&StagingFolder> {
        self.staging.as_ref().ok_or(Error::Os(Errno::ROFS))
    }

    /// Bytes of all staged files.
    ///
    /// # Errors
    /// The kernel's.
    pub(super) fn staged_bytes(&self) -> Result<u64> {
        self.staging.as_ref().map_or(Ok(0), StagingFolder::bytes)
    }

    /// Deletes the partial uploads that `unwanted` selects. Returns their number.
    pub(crate) fn discard(&self, unwanted: impl Fn(&PartialUpload) -> bool) -> usize {
        let parts = self.partial_uploads().take_if(unwanted);
        parts.into_iter().map(|partial| usize::from(self.remove_partial_upload(partial))).sum()
    }

    /// Deletes all partial uploads, and the staging folder if it is empty then. No session may be in the home.
    pub(super) fn remove_staging(&self) {
        self.discard(|_| true);
        match rustix::fs::unlinkat(&self.top, STAGING_DIRECTORY, AtFlags::REMOVEDIR) {
            Ok(()) | Err(Errno::NOENT) => {}
            Err(error) => tracing::warn!(%error, "the folder of staged files could not be removed"),
        }
    }

    /// Deletes a partial upload and releases its reservation. Returns whether that worked; if not, the partial upload
    /// is kept, since its bytes are still on the disk.
    pub(crate) fn remove_partial_upload(&self, partial: PartialUpload) -> bool {
        let removed = self.staging().and_then(|staging| staging.unlink_partial(&partial.file));
        if let Err(error) = &removed {
            tracing::warn!(path = %partial.file.path(), %error, "a partial upload could not be removed");
            self.partial_uploads().put(partial);
        }
        removed.is_ok()
    }
}
