//! A put whose content another file has already: copied and verified on the server.

use super::{Download, PutUpload, Result, StepLimit, User, VerifiedUpload};
use sshome_store::StoreError;
use sshome_wire::{Digest, Put, RemotePath};

/// Bytes that are copied at a time.
const COPY_BYTES: usize = 256 << 10;

/// A file that gets the content of another file, in steps. Dropping it leaves nothing.
pub struct ContentCopy {
    source: Download,
    upload: PutUpload,
    digest: Digest,
    buffer: Vec<u8>,
}

impl ContentCopy {
    /// Begins to store a file at `path` with the content of the one at `from`, which has this digest.
    ///
    /// # Errors
    /// Those of a put; if there is no file at `from`, it has another length than the put, or may not be read.
    pub fn begin(
        user: &User,
        put: &Put,
        path: &RemotePath,
        from: &RemotePath,
        digest: Digest,
    ) -> Result<ContentCopy> {
        let source = Download::open(user, from)?;
        if put.size != Some(source.size()) {
            return Err(StoreError::Changed(from.clone()).into());
        }
        let upload = PutUpload::begin_copy(user, put, path)?;
        let length = usize::try_from(source.size()).unwrap_or(COPY_BYTES).min(COPY_BYTES);
        Ok(ContentCopy { source, upload, digest, buffer: Vec::with_capacity(length) })
    }

    /// The length of the file in bytes, and how many of them are copied.
    #[must_use]
    pub fn progress(&self) -> (u64, u64) {
        (self.source.position(), self.source.size())
    }

    /// Copies some bytes. Returns whether that is all.
    ///
    /// # Errors
    /// If the source cannot be read, the quota is exceeded, or the disk fails.
    pub fn step(&mut self, limit: &StepLimit) -> Result<bool> {
        let start = self.source.position();
        while !limit.is_reached(self.source.position() - start) {
            self.buffer.clear();
            if self.source.read(&mut self.buffer)? == 0 {
                return Ok(true);
            }
            self.upload.write(&self.buffer)?;
        }
        Ok(false)
    }

    /// Verifies what was copied.
    ///
    /// # Errors
    /// If the source has changed, or has another digest than it should have.
    pub fn finish(self) -> Result<VerifiedUpload> {
        let ContentCopy { mut source, upload, digest, .. } = self;
        source.finish()?;
        // It is closed before the file is published: only then does a replaced file lend its bytes.
        drop(source);
        upload.finish_at_eof(Some(digest))
    }
}
