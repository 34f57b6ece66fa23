//! Storing a file: `put`.

use super::comparison::ContentComparison;
use super::describe::DeltaBase;
use super::{DescribedFile, Error, Result, User, VerifiedUpload};
use crate::audit::Transfer;
use crate::metrics::TransferDirection;
use sshome_store::{
    Cause, CheckedPartial, FileType, NEW_FILE_MODE, StoreError, StoreResult, Upload, UploadPermissions,
    UploadSource, UploadSpec,
};
use sshome_wire::{CopyRange, Digest, End, Put, RemotePath, StreamId};

/// A file that is being received. Dropping it keeps a partial upload of a large file or of a stream, and deletes anything
/// else.
#[derive(Debug)]
pub struct PutUpload {
    path: RemotePath,
    upload: Box<dyn Upload>,
    is_stream: bool,
    announced: Option<u64>,
    /// Bytes of a stream that were acknowledged to its client.
    reported: u64,
    transfer: Transfer,
    /// Whether an existing file is not replaced.
    protected: bool,
    /// The old version that a delta copies from.
    base: Option<DeltaBase>,
}

impl PutUpload {
    /// Begins an upload, of a stream if `stream` is given: checks the target and reserves space, before any data arrive.
    /// `part` is the partial upload that was checked for this path; the put says whether it is resumed.
    ///
    /// # Errors
    /// If the target is a directory, its parent is missing, the quota is exceeded, a different conversation receives the
    /// stream, or the put does not match the partial upload.
    pub fn begin(
        user: &User,
        put: &Put,
        path: &RemotePath,
        part: Option<CheckedPartial>,
        stream: Option<StreamId>,
    ) -> Result<PutUpload> {
        let file = || Some(UploadSource::File { size: put.size?, mtime: put.source? });
        let source = stream.map(UploadSource::Stream).or_else(file);
        let spec = UploadSpec { source, resume: put.resume, ..PutUpload::spec(put) };
        PutUpload::begin_as(user, path, &spec, part, TransferDirection::Upload)
    }

    /// Begins an upload whose content is copied on the server. Nothing of it can be resumed.
    ///
    /// # Errors
    /// As [`PutUpload::begin`].
    pub(super) fn begin_copy(user: &User, put: &Put, path: &RemotePath) -> Result<PutUpload> {
        PutUpload::begin_as(user, path, &PutUpload::spec(put), None, TransferDirection::Copy)
    }

    /// The upload of a put that leaves no partial upload.
    pub(super) fn spec(put: &Put) -> UploadSpec {
        let inherited = UploadPermissions::Inherited(NEW_FILE_MODE);
        UploadSpec {
            size: put.size,
            mtime: put.mtime,
            source: None,
            permissions: put.mode.map_or(inherited, UploadPermissions::Exact),
            resume: 0,
            exclusive: false,
        }
    }

    /// Begins the upload of a new file of `size` bytes, if that is known, whose mode is a creation mode: a replaced file keeps
    /// its own, and the umask or the directory's default access control list applies.
    ///
    /// # Errors
    /// As [`PutUpload::begin`].
    pub fn begin_new(
        user: &User,
        path: &RemotePath,
        size: Option<u64>,
        mode: u32,
        direction: TransferDirection,
    ) -> Result<PutUpload> {
        let permissions = UploadPermissions::Inherited(mode);
        let spec = UploadSpec { size, mtime: None, source: None, permissions, resume: 0, exclusive: false };
        PutUpload::begin_as(user, path, &spec, None, direction)
    }

    fn begin_as(
        user: &User,
        path: &RemotePath,
        spec: &UploadSpec,
        part: Option<CheckedPartial>,
        direction: TransferDirection,
    ) -> Result<PutUpload> {
        user.require_add()?;
        let begun = match user.is_restricted() {
            true => PutUpload::begin_exclusive(user, path, spec, part)?,
            false => user.recorded(user.home.begin_upload(path, spec, part, &user.takeover()))?,
        };
        let upload: Box<dyn Upload> = begun;
        let transfer = user.audit.transfer(direction, upload.logged_path(), spec.size);
        let reported = upload.written();
        transfer.skip(reported);
        let is_stream = spec.source.is_some_and(|source| source.is_stream());
        let (path, announced, protected) = (path.clone(), spec.size, user.is_restricted());
        Ok(PutUpload { path, upload, is_stream, announced, reported, transfer, protected, base: None })
    }

    /// Begins an upload that replaces nothing. If the name exists, the data are compared with its file.
    fn begin_exclusive(
        user: &User,
        path: &RemotePath,
        spec: &UploadSpec,
        part: Option<CheckedPartial>,
    ) -> Result<Box<dyn Upload>> {
        let is_new = spec.resume == 0;
        let may_compare = user.access().reads() && is_new && !spec.source.is_some_and(|s| s.is_stream());
        if may_compare
            && let Ok(info) = user.home.info(path, false)
            && info.file_type == FileType::Regular
            && spec.size.is_none_or(|size| size == info.size)
        {
            return Ok(Box::new(ContentComparison::begin(user, path)?));
        }
        // A partial upload that is not resumed would be deleted, and it may be another key's.
        let part = part.filter(|_| !is_new);
        let spec = UploadSpec { exclusive: true, ..*spec };
        let begun = user.recorded(user.home.begin_upload(path, &spec, part, &user.takeover()));
        let begun = begun.map_err(|error| user.or_protected(path, error))?;
        user.note_upload(path, spec.source);
        Ok(begun)
    }

    /// Copies may come from this file, if any.
    ///
    /// # Errors
    /// If it is no longer what was described. A partial upload that was to be resumed stays.
    pub fn with_base(self, user: &User, described: Option<&DescribedFile>) -> Result<PutUpload> {
        let base = described.map(|file| file.open(user)).transpose();
        Ok(PutUpload { base: base.inspect_err(|error| self.transfer.refused(error))?, ..self })
    }

    /// Whether the source is a stream.
    #[must_use]
    pub fn is_stream(&self) -> bool {
        self.is_stream
    }

    /// Bytes of a stream that need not be sent again, if they are more than at the last call.
    pub fn newly_stored(&mut self) -> Option<u64> {
        let stored = self.upload.surviving();
        let more = self.is_stream && stored > self.reported;
        more.then(|| {
            self.reported = stored;
            stored
        })
    }

    /// Ends an upload that its sender aborted. Nothing of a stream is kept: its client will not resume it.
    pub fn give_up(mut self) {
        if self.is_stream {
            self.upload.discard_on_drop();
        }
    }

    /// Writes the next bytes.
    ///
    /// # Errors
    /// If they exceed the announced size or the quota, or the disk fails.
    pub fn write(&mut self, data: &[u8]) -> Result<()> {
        let written = self.upload.write(data);
        self.recorded(written)?;
        self.transfer.moved(data.len() as u64);
        Ok(())
    }

    /// Writes a range of the described file next.
    ///
    /// # Errors
    /// As [`PutUpload::write`]; if the range is not in the file, or the file cannot be read.
    pub fn copy(&mut self, range: CopyRange) -> Result<()> {
        let base = self.base.take().ok_or_else(|| Error::NotDescribed(self.path.clone()))?;
        let copied = base.copy(range, |data| self.write(data));
        self.base = Some(base);
        copied.inspect_err(|error| self.transfer.refused(error))
    }

    /// Ends the upload: verifies size and digest, and prepares the file for publishing.
    ///
    /// # Errors
    /// If the sender aborted it, or size or digest differ. Nothing is kept then.
    pub fn finish(mut self, end: &End) -> Result<VerifiedUpload> {
        if end.status.is_error() {
            let (path, status) = (self.path.clone(), end.status);
            // The sender's own words are sent back to it, truncated.
            let why = end.message.chars().take(200).collect();
            let error = Error::GivenUp { path, status, why };
            self.transfer.refused(&error);
            self.upload.discard_on_drop();
            return Err(error);
        }
        // It is closed before the file is published: only then does a replaced file lend its bytes.
        if let Some(base) = self.base.take() {
            // The blocks that arrived before the change are right: a partial upload of them is kept.
            base.check_unchanged().inspect_err(|error| self.transfer.refused(error))?;
        }
        self.seal(end.size, Some(end.digest))
    }

    /// Ends an upload at the end of its data, without an End from the client. Verifies the announced size, and the digest
    /// if there is one.
    ///
    /// # Errors
    /// If size or digest differ. Nothing is kept then.
    pub fn finish_at_eof(self, digest: Option<Digest>) -> Result<VerifiedUpload> {
        let size = self.announced.unwrap_or(self.upload.written());
        self.seal(size, digest)
    }

    fn seal(self, size: u64, digest: Option<Digest>) -> Result<VerifiedUpload> {
        let PutUpload { path, upload, transfer, protected, .. } = self;
        match upload.finish(size, digest) {
            Ok(item) => Ok(VerifiedUpload { item, transfer }),
            Err(error) => {
                let error = refused(error, &path, protected);
                transfer.refused(&error);
                Err(error)
            }
        }
    }

    fn recorded<T>(&self, result: StoreResult<T>) -> Result<T> {
        let result = result.map_err(|error| refused(error, &self.path, self.protected));
        result.inspect_err(|error| self.transfer.refused(error))
    }
}

/// Whether what a client is about to send to `path` goes into a directory there.
///
/// # Errors
/// If the login may add nothing.
pub fn is_target_directory(user: &User, path: &RemotePath) -> Result<bool> {
    user.require_add()?;
    Ok(user.home.info(path, true).is_ok_and(|info| info.is_directory()))
}

fn refused(error: StoreError, path: &RemotePath, protected: bool) -> Error {
    match error.cause() {
        Some(Cause::Exists) if protected => Error::Protected(path.clone()),
        _ => error.into(),
    }
}
