//! Files that are read and written at offsets, as in SFTP.

mod atomic_upload;
mod in_place;
mod io;
mod old_content;
mod open_transfer;

pub use sshome_store::OpenMode;

use super::error::Context;
use super::{Error, Result, SetAttributes, StepLimit, User, publish};
use crate::accounts::SftpUploads;
use crate::home::{DescriptorPermit, HomeRoot};
use crate::quota::FileId;
use atomic_upload::AtomicUpload;
use in_place::InPlaceFile;

use open_transfer::OpenTransfer;
use rustix::fs::Stat;
use rustix::io::Errno;
use sshome_wire::RemotePath;
use std::sync::Arc;

/// An open file. Each write is accounted for, and the file counts until it is closed, even after its name is removed. All
/// methods take `&self`, so that one handle can be read and written concurrently.
#[derive(Debug)]
pub struct OpenFile {
    path: RemotePath,
    mode: OpenMode,
    content: FileContent,
    traffic: OpenTransfer,
    root: Arc<HomeRoot>,
    /// `None` for a staged file, which has its own permit.
    _descriptor: Option<DescriptorPermit>,
}

#[derive(Debug)]
enum FileContent {
    InPlace(InPlaceFile),
    Atomic(Box<AtomicUpload>),
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
            user.require_write()?;
        }
        OpenFile::prepare(user, path, mode).inspect_err(|error| user.audit.refused(error))
    }

    fn prepare(user: &User, path: &RemotePath, mode: OpenMode) -> Result<OpenFile> {
        let atomic = mode.is_upload() && user.sftp_uploads() == SftpUploads::Atomic;
        let permit = if atomic { None } else { Some(user.home.descriptors(1).of_file(path)?) };
        let (content, logged) = if atomic {
            let (upload, logged) = AtomicUpload::open(user, path, mode)?;
            (FileContent::Atomic(Box::new(upload)), logged)
        } else {
            let (file, logged) = InPlaceFile::open(user, path, mode)?;
            (FileContent::InPlace(file), logged)
        };
        let (traffic, root) = (OpenTransfer::begin(user, &logged, mode), Arc::clone(user.home.root()));
        Ok(OpenFile { path: path.clone(), mode, content, traffic, root, _descriptor: permit })
    }

    /// The path that it was opened by.
    #[must_use]
    pub fn path(&self) -> &RemotePath {
        &self.path
    }

    /// Whether closing it syncs and publishes it, which takes long.
    #[must_use]
    pub fn publishes_at_close(&self) -> bool {
        matches!(self.content, FileContent::Atomic(_))
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
        match &self.content {
            _ if !self.mode.read => Err(Errno::BADF),
            FileContent::InPlace(file) => file.read(offset, buffer, max_bytes),
            FileContent::Atomic(upload) => upload.read(offset, buffer, max_bytes),
        }
        .of_file(&self.path)
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
        if !self.mode.writes() {
            return Err(Errno::BADF).of_file(&self.path);
        }
        self.root.check().of_file(&self.path)?;
        self.traffic.check()?;
        let offset = (!self.mode.append).then_some(offset);
        let written = match &self.content {
            FileContent::InPlace(file) => file.write(&self.path, offset, data),
            FileContent::Atomic(upload) => upload.write(&self.path, offset, data),
        };
        self.traffic.changed(written, data.iter().map(|piece| piece.len() as u64).sum())
    }

    /// The file's current attributes.
    ///
    /// # Errors
    /// The disk's.
    pub fn stat(&self) -> Result<Stat> {
        match &self.content {
            FileContent::InPlace(file) => file.stat(),
            FileContent::Atomic(upload) => upload.stat(),
        }
        .of_file(&self.path)
    }

    /// Sets size, mode, times and group, as far as they are given.
    ///
    /// # Errors
    /// As [`set_attributes`](super::set_attributes).
    pub fn set_attributes(&self, user: &User, wanted: &SetAttributes) -> Result<()> {
        user.require_write()?;
        wanted.set_owner(&self.path, &self.stat()?, |group| match &self.content {
            FileContent::InPlace(file) => file.set_group(group),
            // It inherits the group of the file that it replaces, or of its directory.
            FileContent::Atomic(_) => Err(Errno::PERM.into()),
        })?;
        if let Some(size) = wanted.size {
            self.set_length(size)?;
        }
        match &self.content {
            FileContent::InPlace(file) => file.set_mode_and_times(wanted),
            FileContent::Atomic(upload) => upload.set_mode_and_times(wanted),
        }
        .of_file(&self.path)
    }

    fn set_length(&self, length: u64) -> Result<()> {
        if !self.mode.writes() {
            return Err(Errno::BADF).of_file(&self.path);
        }
        self.root.check().of_file(&self.path)?;
        self.traffic.check()?;
        let set = match &self.content {
            FileContent::InPlace(file) => file.set_length(&self.path, length),
            FileContent::Atomic(upload) => upload.set_length(&self.path, length),
        };
        self.traffic.changed(set, 0)
    }

    /// Syncs the file.
    ///
    /// # Errors
    /// The disk's, or if an earlier change failed.
    pub fn sync(&self) -> Result<()> {
        self.traffic.check()?;
        let synced = match &self.content {
            FileContent::InPlace(file) => file.sync(),
            FileContent::Atomic(upload) => upload.sync(),
        };
        synced.of_file(&self.path).map_err(|error| self.fail(error))
    }

    /// Executes one step of preparing a staged file to be closed: copies the old content that is kept. Returns whether it
    /// is done.
    ///
    /// # Errors
    /// If an earlier change failed, the old file was changed meanwhile, the quota is exceeded, or the disk fails. Closing
    /// then fails as well.
    pub fn copy_old_content(&self, user: &User, limit: StepLimit) -> Result<bool> {
        self.traffic.check()?;
        match &self.content {
            FileContent::InPlace(_) => Ok(true),
            FileContent::Atomic(upload) => {
                upload.copy_old_content(user, &self.path, limit).map_err(|error| self.fail(error))
            }
        }
    }

    /// Closes the file. A staged file is published.
    ///
    /// # Errors
    /// If an earlier change failed, or it cannot be published. A staged file is then discarded, and the old file stays.
    pub fn finish(self, user: &User) -> Result<()> {
        // A failure is reported below.
        while matches!(self.copy_old_content(user, StepLimit::bytes(u64::MAX)), Ok(false)) {}
        let OpenFile { path, content, mut traffic, .. } = self;
        let FileContent::Atomic(upload) = content else {
            drop(content);
            return traffic.closed();
        };
        let Some(transfer) = traffic.take_transfer()? else { return Ok(()) };
        let pending = upload.finish(user, &path, transfer)?;
        let (placed, synced) = publish(user, vec![pending], Vec::new());
        placed.into_iter().chain([synced]).collect()
    }

    /// Records that a change failed, so that every later change fails as well.
    pub(super) fn fail(&self, error: Error) -> Error {
        self.traffic.fail(error)
    }

    /// Whether writes append.
    pub(super) fn appends(&self) -> bool {
        self.mode.append
    }

    /// The identity of the file.
    pub(super) fn id(&self) -> Result<FileId> {
        Ok(crate::home::file_id(&self.stat()?))
    }

    /// Fails early if writing up to `end` would exceed the quota, or an earlier change failed. It reserves nothing.
    pub(super) fn check_quota(&self, user: &User, end: u64) -> Result<()> {
        self.traffic.check()?;
        // A staged file has the credit of the file that it replaces: only its writes can tell.
        if matches!(self.content, FileContent::Atomic(_)) {
            return Ok(());
        }
        let more = end.saturating_sub(crate::home::length(&self.stat()?));
        user.ledger
            .reserve(more, 0)
            .map(drop)
            .map_err(|exceeded| Error::Quota { path: self.path.clone(), exceeded })
    }
}
