//! Files that are read and written at offsets, as in SFTP.

mod open_transfer;

use super::restricted::{self, Opening};
use super::{Error, Result, SetAttributes, StepLimit, User, VerifiedUpload, publish};
use crate::accounts::SftpUploads;
use open_transfer::OpenTransfer;
use sshome_store::{Cause, FileHandle, FileInfo, OpenMode, StoreResult};
use sshome_wire::RemotePath;

/// An open file. Each write is accounted for, and the file counts until it is closed, even after its name is removed. All
/// methods take `&self`, so that one handle can be read and written concurrently.
#[derive(Debug)]
pub struct OpenFile {
    path: RemotePath,
    mode: OpenMode,
    /// Whether the login may only add files, and this one is new.
    exclusive: bool,
    file: Box<dyn FileHandle>,
    traffic: OpenTransfer,
}

impl OpenFile {
    /// Opens a file; links are followed. If the user's uploads are atomic, a file that is opened for writing and may be
    /// created is staged: [`OpenFile::finish`] publishes it, dropping it does not. Old content that is not overwritten is
    /// copied before that.
    ///
    /// # Errors
    /// If it is not a regular file, does not exist or must not exist, or a new entry would exceed the quota.
    pub fn open(user: &User, path: &RemotePath, mode: OpenMode) -> Result<OpenFile> {
        if mode.changes() {
            user.require_add()?;
        }
        let opening = match user.is_restricted() {
            true => restricted::opening(user, path, mode)?,
            false => Opening { mode, exclusive: false },
        };
        let Opening { mode, exclusive } = opening;
        if !mode.changes() {
            user.require_read()?;
        }
        let staged = exclusive || mode.is_upload() && user.sftp_uploads() == SftpUploads::Atomic;
        let opened = user.recorded(user.home.open_file(path, mode, staged));
        let file = opened.map_err(|error| user.or_protected(path, error))?;
        let traffic = OpenTransfer::begin(user, file.logged_path(), mode, file.publishes_at_close());
        Ok(OpenFile { path: path.clone(), mode, exclusive, file, traffic })
    }

    /// The path that it was opened by.
    #[must_use]
    pub fn path(&self) -> &RemotePath {
        &self.path
    }

    /// Whether closing it syncs and publishes it, which takes long.
    #[must_use]
    pub fn publishes_at_close(&self) -> bool {
        self.file.publishes_at_close()
    }

    /// Appends up to `max_bytes` bytes at `offset` to `buffer`, limited by its capacity. Returns their number; 0 at the
    /// end.
    ///
    /// # Errors
    /// If the file was not opened for reading, or the disk's.
    pub fn read_at(&self, offset: u64, buffer: &mut Vec<u8>, max_bytes: usize) -> Result<usize> {
        let read = self.read_unmetered(offset, buffer, max_bytes)?;
        self.traffic.read(read);
        Ok(read)
    }

    /// As [`read_at`](OpenFile::read_at), for data that are not sent to the client.
    pub(super) fn read_unmetered(
        &self,
        offset: u64,
        buffer: &mut Vec<u8>,
        max_bytes: usize,
    ) -> Result<usize> {
        Ok(self.file.read_at(offset, buffer, max_bytes)?)
    }

    /// Writes all of `data` at `offset`, or at the end if the file was opened to append.
    ///
    /// # Errors
    /// If the quota does not allow all of it: nothing is written. If the disk fails: part of it may be written, and is
    /// accounted for. All later changes of the content then fail with the same error.
    pub fn write_at(&self, offset: u64, data: &[u8]) -> Result<()> {
        self.write_pieces_at(offset, &[data])
    }

    /// As [`write_at`](OpenFile::write_at), for data in several slices.
    ///
    /// # Errors
    /// As [`write_at`](OpenFile::write_at).
    pub fn write_pieces_at(&self, offset: u64, data: &[&[u8]]) -> Result<()> {
        self.check_open_for_writing()?;
        let written = self.file.write_at((!self.mode.append).then_some(offset), data);
        self.changed(written, data.iter().map(|piece| piece.len() as u64).sum())
    }

    /// The file's current attributes.
    ///
    /// # Errors
    /// The disk's.
    pub fn info(&self) -> Result<FileInfo> {
        Ok(self.file.info()?)
    }

    /// Sets size, mode, times and group, as far as they are given.
    ///
    /// # Errors
    /// As [`set_attributes`](super::set_attributes).
    pub fn set_attributes(&self, user: &User, wanted: &SetAttributes) -> Result<()> {
        user.require_add()?;
        if user.is_restricted() && !self.exclusive {
            if wanted.size.is_some() {
                self.check_open_for_writing()?;
            }
            let set =
                || Ok(self.file.set_attributes(&SetAttributes { owner: None, size: None, ..*wanted })?);
            restricted::set_attributes_of(user, &self.path, || self.info(), set)?;
            self.audit_attributes(user, wanted);
            return Ok(());
        }
        if let Some(size) = wanted.size {
            self.check_open_for_writing()?;
            let set = self.file.set_length(size);
            self.changed(set, 0)?;
        }
        self.file.set_attributes(wanted)?;
        self.audit_attributes(user, wanted);
        Ok(())
    }

    /// Those that belong to an upload have its line in the log.
    fn audit_attributes(&self, user: &User, set: &SetAttributes) {
        if !set.is_size_only() && !self.traffic.is_upload() {
            user.audit.attributes_set(self.file.logged_path());
        }
    }

    /// Fails if the file was not opened for writing, or an earlier change failed.
    fn check_open_for_writing(&self) -> Result<()> {
        if !self.mode.writes() {
            return Err(Error::file(&self.path, Cause::NotOpenForThis));
        }
        self.traffic.check()
    }

    /// Records the result of a change. A change that was refused because the home was replaced or is being counted does
    /// not count as failed: it was never begun.
    fn changed(&self, result: StoreResult<()>, bytes: u64) -> Result<()> {
        match result {
            Err(error) if matches!(error.cause(), Some(Cause::Replaced | Cause::Counting { .. })) => {
                Err(error.into())
            }
            result => self.traffic.changed(result.map_err(Error::from), bytes),
        }
    }

    /// Syncs the file.
    ///
    /// # Errors
    /// The disk's, or if an earlier change failed.
    pub fn sync(&self) -> Result<()> {
        self.traffic.check()?;
        self.file.sync().map_err(|error| self.fail(error.into()))
    }

    /// Executes one step of preparing a staged file to be closed: copies the old content that is kept. Returns whether it
    /// is done.
    ///
    /// # Errors
    /// If an earlier change failed, the old file was changed meanwhile, the quota is exceeded, or the disk fails. Closing
    /// then fails as well.
    pub fn prepare_close(&self, limit: StepLimit) -> Result<bool> {
        self.traffic.check()?;
        self.file.prepare_close(limit).map_err(|error| self.fail(error.into()))
    }

    /// Closes the file. A staged file is published.
    ///
    /// # Errors
    /// If an earlier change failed, or it cannot be published. A staged file is then discarded, and the old file stays.
    pub fn finish(self, user: &User) -> Result<()> {
        // A failure is reported below.
        while matches!(self.prepare_close(StepLimit::bytes(u64::MAX)), Ok(false)) {}
        let OpenFile { file, mut traffic, .. } = self;
        if !file.publishes_at_close() {
            drop(file);
            return traffic.closed();
        }
        let Some(transfer) = traffic.take_transfer()? else { return Ok(()) };
        match file.close() {
            Ok(None) => Ok(()),
            Ok(Some(item)) => {
                let (placed, synced) = publish(user, vec![VerifiedUpload { item, transfer }], Vec::new());
                placed.into_iter().chain([synced]).collect()
            }
            Err(error) => {
                let error = Error::from(error);
                transfer.refused(&error);
                Err(error)
            }
        }
    }

    /// Records that a change failed, so that every later change fails as well.
    pub(super) fn fail(&self, error: Error) -> Error {
        self.traffic.fail(error)
    }

    /// Whether writes append.
    pub(super) fn appends(&self) -> bool {
        self.mode.append
    }

    /// Fails early if writing up to `end` would exceed the quota, or an earlier change failed. It reserves nothing.
    pub(super) fn check_space(&self, end: u64) -> Result<()> {
        self.traffic.check()?;
        Ok(self.file.check_space(end)?)
    }
}
