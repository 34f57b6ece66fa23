//! Staged files: uploads until they are published.
//!
//! A staged file has a random name. If its upload can be resumed, a record beside it says which upload it is a part of;
//! it then survives the session and a restart of the server.

use super::acl::DEFAULT_ACL;
use super::directory::{DirectoryInfo, MountId};
use super::partial_file::{RecordError, record_name, recorded_name};
use super::{
    DescriptorPermit, Location, NamespaceLock, PartialFile, Result, STAGING_DIRECTORY, UploadRecord,
    WritebackEpoch, length, set_group,
};
use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{AtFlags, FileType, Mode, OFlags, Stat};
use rustix::io::Errno;
use sshome_store::EntryId;
use sshome_store::quota::FileId;
use sshome_wire::Time;
use sshome_wire::display::Escaped;
use std::fs::File;
use std::io::Write;
use std::sync::Arc;

/// The opened staging folder.
#[derive(Debug)]
pub(super) struct StagingFolder {
    dir: Arc<OwnedFd>,
    id: FileId,
    mount: MountId,
    has_default_acl: bool,
}

/// A file that has no name in the home yet. Dropping it deletes it, unless it was published or kept.
#[derive(Debug)]
pub(crate) struct StagedFile {
    staging: Arc<OwnedFd>,
    name: String,
    file: File,
    recorded: bool,
    writeback_epoch: WritebackEpoch,
    /// Whether it was published or kept: dropping does not delete it.
    settled: bool,
    _descriptors: DescriptorPermit,
}

/// A staged file's mode until it is complete.
const STAGED_MODE: Mode = Mode::RUSR.union(Mode::WUSR);

/// Descriptors that a staged file holds: its own, and that of its target directory.
pub(super) const STAGED_DESCRIPTORS: usize = 2;

impl StagingFolder {
    /// Opens the folder below `top`. Creates it if it is missing and `make` is set.
    pub(super) fn open(top: impl AsFd, make: bool) -> Result<Option<StagingFolder>> {
        if make {
            match rustix::fs::mkdirat(&top, STAGING_DIRECTORY, Mode::RWXU) {
                Ok(()) | Err(Errno::EXIST) => {}
                Err(error) => return Err(error.into()),
            }
        }
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let dir = match rustix::fs::openat(top, STAGING_DIRECTORY, flags, Mode::empty()) {
            Err(Errno::NOENT) => return Ok(None),
            result => result?,
        };
        let DirectoryInfo { id, mount, .. } = DirectoryInfo::of(&dir)?;
        let has_default_acl = match rustix::fs::fgetxattr(&dir, DEFAULT_ACL, &mut [0; 4][..]) {
            Err(Errno::NODATA | Errno::OPNOTSUPP) => false,
            // `RANGE`: there is a list, which does not fit into four bytes.
            Ok(_) | Err(Errno::RANGE) => true,
            Err(error) => return Err(error.into()),
        };
        Ok(Some(StagingFolder { dir: Arc::new(dir), id, mount, has_default_acl }))
    }

    pub(super) fn id(&self) -> FileId {
        self.id
    }

    pub(super) fn mount(&self) -> MountId {
        self.mount
    }

    pub(super) fn has_default_acl(&self) -> bool {
        self.has_default_acl
    }

    /// The partial uploads of an earlier run of the server. Deletes all other staged files. No session may be in
    /// the home.
    pub(super) fn recover(&self, user: &str) -> Result<Vec<PartialFile>> {
        let mut names = Vec::new();
        for item in rustix::fs::Dir::read_from(&self.dir)? {
            let name = item?.file_name().to_bytes().to_vec();
            if name != b"." && name != b".." {
                names.push(name);
            }
        }
        let recorded = names.iter().filter_map(|name| recorded_name(name));
        let partials: Vec<PartialFile> = recorded.filter_map(|name| self.read_partial(user, name)).collect();
        let is_partial = |name: &[u8]| {
            partials.iter().any(|partial| {
                name == partial.name.as_bytes() || name == record_name(&partial.name).as_bytes()
            })
        };
        for name in names.iter().filter(|name| !is_partial(name)) {
            if let Err(error) = rustix::fs::unlinkat(&self.dir, name.as_slice(), AtFlags::empty()) {
                // The server did not create it, or the disk fails. That is no reason to lock the user out.
                let staged = Escaped(name);
                tracing::warn!(user, %staged, %error, "cannot delete an entry of the staging folder: delete it by hand");
            }
        }
        Ok(partials)
    }

    /// The partial upload with this name; `None` if there is no regular file with it, or only a part of its record is
    /// on the disk. If its record cannot be read for another reason, it is kept until it expires, even without a file:
    /// a newer version may keep its content elsewhere.
    fn read_partial(&self, user: &str, name: &str) -> Option<PartialFile> {
        let stat = |name: &str| rustix::fs::statat(&self.dir, name, AtFlags::SYMLINK_NOFOLLOW);
        let is_file = |stat: &Stat| FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile;
        let file = stat(name).ok().filter(is_file);
        let (record, stat) = match UploadRecord::read(&self.dir, name) {
            Ok(record) => (Some(record), file?),
            Err(RecordError::Torn) => {
                let bytes = file.as_ref().map_or(0, length);
                let what = "a partial upload is deleted: its record is incomplete, as after a power cut";
                tracing::warn!(user, staged = name, bytes, "{what}");
                return None;
            }
            Err(RecordError::Unreadable(why)) => {
                tracing::warn!(
                    user,
                    staged = name,
                    why,
                    "the record of a partial upload cannot be read: it is kept until part-expiry, and cannot be resumed"
                );
                (None, file.or_else(|| stat(&record_name(name)).ok())?)
            }
        };
        // A complete one has its final mode, which may not let the owner write.
        if file.is_some()
            && let Err(error) = rustix::fs::chmodat(&self.dir, name, STAGED_MODE, AtFlags::empty())
        {
            tracing::warn!(user, staged = name, %error, "a partial upload may not be resumable");
        }
        let since = Time { seconds: stat.st_mtime, nanoseconds: stat.st_mtime_nsec as u32 };
        let (name, length) = (name.to_owned(), file.as_ref().map_or(0, length));
        Some(PartialFile { name, record, target: None, length, since })
    }

    /// Creates an empty staged file with a random name. See [`HomeHandle::stage`](super::HomeHandle::stage).
    pub(super) fn stage(
        &self,
        target: &Location,
        record: Option<&UploadRecord>,
        writeback_epoch: WritebackEpoch,
        permit: DescriptorPermit,
    ) -> Result<StagedFile> {
        let name = format!("{:032x}", rand::random::<u128>());
        let file = match set_group::create_for(target, &self.dir, &name, STAGED_MODE) {
            Some(file) => file,
            None => create(&self.dir, &name)?,
        };
        let (staging, recorded) = (Arc::clone(&self.dir), record.is_some());
        let staged = StagedFile {
            staging,
            name,
            file,
            recorded,
            writeback_epoch,
            settled: false,
            _descriptors: permit,
        };
        if let Some(record) = record {
            let written = create(&staged.staging, &record_name(&staged.name))?.write_all(&record.encode()?);
            written.map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::IO))?;
        }
        Ok(staged)
    }

    /// Links a file here under a random name, and renames that to `to`. The next start removes one that is left.
    pub(super) fn link_over(&self, from: &Location, to: &Location, _lock: &NamespaceLock<'_>) -> Result<()> {
        let name = format!("{:032x}", rand::random::<u128>());
        rustix::fs::linkat(from.dir(), from.name(), &self.dir, &name, AtFlags::empty())?;
        let renamed = rustix::fs::renameat(&self.dir, &name, to.dir(), &*to.spelled());
        if renamed.is_err() {
            let _ = rustix::fs::unlinkat(&self.dir, &name, AtFlags::empty());
        }
        Ok(renamed?)
    }

    /// Opens a partial upload to read it.
    pub(super) fn open_partial(&self, partial: &PartialFile) -> Result<File> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        Ok(File::from(rustix::fs::openat(&self.dir, partial.name.as_str(), flags, Mode::empty())?))
    }

    /// Opens a partial upload to resume it.
    pub(super) fn reopen(
        &self,
        partial: &PartialFile,
        writeback_epoch: WritebackEpoch,
        permit: DescriptorPermit,
    ) -> Result<StagedFile> {
        let flags = OFlags::RDWR | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = File::from(rustix::fs::openat(&self.dir, partial.name.as_str(), flags, Mode::empty())?);
        let (staging, name) = (Arc::clone(&self.dir), partial.name.clone());
        Ok(StagedFile {
            staging,
            name,
            file,
            recorded: true,
            writeback_epoch,
            settled: false,
            _descriptors: permit,
        })
    }

    /// Removes a partial upload and its record.
    pub(super) fn unlink_partial(&self, partial: &PartialFile) -> Result<()> {
        for name in [partial.name.clone(), record_name(&partial.name)] {
            match rustix::fs::unlinkat(&self.dir, name, AtFlags::empty()) {
                Ok(()) | Err(Errno::NOENT) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// Bytes of all staged files, without the records.
    pub(super) fn bytes(&self) -> Result<u64> {
        let mut sum = 0;
        for item in rustix::fs::Dir::read_from(&self.dir)? {
            let item = item?;
            let name = item.file_name();
            if name.to_bytes().contains(&b'.') {
                continue;
            }
            match rustix::fs::statat(&self.dir, name, AtFlags::SYMLINK_NOFOLLOW) {
                Ok(stat) => sum += length(&stat),
                Err(Errno::NOENT) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(sum)
    }
}

impl StagedFile {
    /// The open file.
    #[must_use]
    pub(crate) fn file(&self) -> &File {
        &self.file
    }

    /// The writeback epoch before its first write.
    #[must_use]
    pub(crate) fn writeback_epoch(&self) -> WritebackEpoch {
        self.writeback_epoch
    }

    /// Renames the file to its target, replacing what is there.
    ///
    /// # Errors
    /// The kernel's, `rename(2)`; the staged file is then deleted.
    pub(crate) fn publish(mut self, to: &Location, _lock: &NamespaceLock<'_>) -> Result<()> {
        rustix::fs::renameat(&self.staging, self.name.as_str(), to.dir(), &*to.spelled())?;
        self.settled = true;
        if self.recorded {
            self.unlink(&record_name(&self.name));
        }
        Ok(())
    }

    /// Truncates the file to `length` bytes and keeps it as a partial upload. `record` is the one that it was staged
    /// with.
    ///
    /// # Errors
    /// The kernel's; the file is then deleted.
    pub(crate) fn keep(
        mut self,
        record: UploadRecord,
        target: Option<EntryId>,
        length: u64,
    ) -> Result<PartialFile> {
        // A complete one has its final mode, which may not let the owner write.
        rustix::fs::fchmod(&self.file, STAGED_MODE)?;
        rustix::fs::ftruncate(&self.file, length)?;
        let stat = rustix::fs::fstat(&self.file)?;
        self.settled = true;
        let since = Time { seconds: stat.st_mtime, nanoseconds: stat.st_mtime_nsec as u32 };
        let mut partial =
            PartialFile { name: self.name.clone(), record: Some(record), target, length, since };
        partial.renew();
        Ok(partial)
    }

    fn unlink(&self, name: &str) {
        // The next start deletes the file.
        if let Err(error) = rustix::fs::unlinkat(&self.staging, name, AtFlags::empty()) {
            tracing::warn!(name, %error, "a staged file could not be removed");
        }
    }
}

impl Drop for StagedFile {
    fn drop(&mut self) {
        if !self.settled {
            self.unlink(&self.name);
            if self.recorded {
                self.unlink(&record_name(&self.name));
            }
        }
    }
}

fn create(dir: impl AsFd, name: &str) -> Result<File> {
    let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    Ok(File::from(rustix::fs::openat(dir, name, flags, STAGED_MODE)?))
}
