//! Where a file is while it is on its way.
//!
//! A staged file of a random name holds the bytes. One that can be resumed has a record beside it
//! that says what it is a part of: then it outlives the session, and the server.

use super::directory::DirectoryInfo;
use super::inherit::DEFAULT_ACL;
use super::{
    DescriptorPermit, EntryId, Error, Home, Location, Mark, MountId, Names, Result, length, set_group,
};
use crate::quota::FileId;
use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{AtFlags, FileType, Mode, OFlags};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};
use sshome_wire::{RemotePath, StreamId, Time};
use std::fs::File;
use std::io::{Read, Write};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

/// The folder at the home's top that transfers are staged in, so that publishing is one rename on
/// one filesystem. No path of any subsystem reaches it, and no listing shows it.
pub const STAGING: &str = ".sshome-staging";

/// What a record begins with: its kind and version.
const MAGIC: &[u8; 8] = b"sshome\0\x02";

/// The opened staging folder.
#[derive(Debug)]
pub(super) struct Area {
    dir: Arc<OwnedFd>,
    id: FileId,
    mount: MountId,
    has_default_acl: bool,
}

/// What a staged file is a part of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// Where it is to go: an absolute path in the home.
    pub target: Vec<u8>,
    /// What it comes from.
    pub source: Source,
}

/// What a staged file comes from: it goes on with nothing else.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Source {
    /// A file, which can be read again.
    File {
        /// Its length in bytes.
        size: u64,
        /// When its content last changed.
        mtime: Time,
    },
    /// A stream, with which only the client that sends it can go on.
    Stream(StreamId),
}

impl Source {
    /// Whether it cannot be read again.
    #[must_use]
    pub fn is_stream(&self) -> bool {
        matches!(self, Source::Stream(_))
    }
}

/// A staged file that was left, with its record.
#[derive(Clone, Debug)]
pub struct Left {
    name: String,
    /// What it is a part of; none if the record beside it cannot be read.
    record: Option<Record>,
    /// Where it is to go; none if that is not known any more.
    target: Option<EntryId>,
    /// Bytes that are there.
    pub length: u64,
    /// When the last of them came; of a stream, when it was last seen to, or the server started.
    pub since: Time,
}

impl Left {
    /// The path at which the upload began, for showing. One whose record cannot be read has its staged name.
    #[must_use]
    pub fn path(&self) -> RemotePath {
        let recorded = self.record.as_ref().and_then(|record| RemotePath::root().join(&record.target).ok());
        recorded.unwrap_or_else(|| {
            let staged = format!("{STAGING}/{}", self.name);
            RemotePath::root().join(staged.as_bytes()).unwrap_or_else(|_| RemotePath::root())
        })
    }

    /// What it comes from; none if the record cannot be read.
    #[must_use]
    pub fn source(&self) -> Option<Source> {
        self.record.as_ref().map(|record| record.source)
    }

    /// Whether it is of a stream.
    #[must_use]
    pub fn is_stream(&self) -> bool {
        self.source().is_some_and(|source| source.is_stream())
    }

    /// Where it is to go; none if that is not known any more.
    #[must_use]
    pub fn target(&self) -> Option<&EntryId> {
        self.target.as_ref()
    }

    /// Whether it is of an upload to this target.
    #[must_use]
    pub fn is_of(&self, target: &EntryId) -> bool {
        self.target.as_ref() == Some(target)
    }

    /// Notes where it is to go.
    pub(super) fn set_target(&mut self, target: Option<EntryId>) {
        self.target = target;
    }

    /// Notes that a stream was in somebody's hands up to now: from now on its client may be awaited.
    pub fn renew(&mut self) {
        if self.is_stream() {
            let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            self.since = Time { seconds: now.as_secs().cast_signed(), nanoseconds: now.subsec_nanos() };
        }
    }
}

/// A file that nobody sees yet. Dropping it removes it.
#[derive(Debug)]
pub struct Staged {
    area: Arc<OwnedFd>,
    name: String,
    file: File,
    recorded: bool,
    mark: Mark,
    /// Whether dropping leaves it alone: it has its place, or is kept.
    settled: bool,
    _descriptors: DescriptorPermit,
}

/// A staged file's mode until it is complete.
const STAGED_MODE: Mode = Mode::RUSR.union(Mode::WUSR);

/// What a staged file holds: itself, and the directory that it is to go to.
const STAGED_DESCRIPTORS: usize = 2;

impl Area {
    /// Opens the folder below `top`; makes it if it is missing and `make` is set.
    pub(super) fn open(top: impl AsFd, make: bool) -> Result<Option<Area>> {
        if make {
            match rustix::fs::mkdirat(&top, STAGING, Mode::RWXU) {
                Ok(()) | Err(Errno::EXIST) => {}
                Err(error) => return Err(error.into()),
            }
        }
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let dir = match rustix::fs::openat(top, STAGING, flags, Mode::empty()) {
            Err(Errno::NOENT) => return Ok(None),
            result => result?,
        };
        let DirectoryInfo { id, mount, .. } = DirectoryInfo::of(&dir)?;
        let has_default_acl = match rustix::fs::fgetxattr(&dir, DEFAULT_ACL, &mut [0; 4][..]) {
            Err(Errno::NODATA | Errno::OPNOTSUPP) => false,
            // It does not fit.
            Ok(_) | Err(Errno::RANGE) => true,
            Err(error) => return Err(error.into()),
        };
        Ok(Some(Area { dir: Arc::new(dir), id, mount, has_default_acl }))
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

    /// What an ended server has left that can be resumed. Everything else is removed. No session may
    /// be in the home.
    pub(super) fn recover(&self) -> Result<Vec<Left>> {
        let mut names = Vec::new();
        for item in rustix::fs::Dir::read_from(&self.dir)? {
            let name = item?.file_name().to_bytes().to_vec();
            if name != b"." && name != b".." {
                names.push(name);
            }
        }
        let has = |name: &str| names.iter().any(|other| other == name.as_bytes());
        let recorded = |name: &&Vec<u8>| std::str::from_utf8(name).is_ok_and(|name| has(&record_name(name)));
        let left: Vec<Left> = names.iter().filter(recorded).filter_map(|name| self.look(name)).collect();
        let kept = |name: &[u8]| {
            left.iter().any(|left| name == left.name.as_bytes() || name == record_name(&left.name).as_bytes())
        };
        for name in names.iter().filter(|name| !kept(name)) {
            rustix::fs::unlinkat(&self.dir, name.as_slice(), AtFlags::empty())?;
        }
        Ok(left)
    }

    /// A staged file that has a record; none if it is anything else. A record that cannot be read does not make
    /// the bytes worthless: its upload stays until it expires.
    fn look(&self, name: &[u8]) -> Option<Left> {
        let name = String::from_utf8(name.to_vec()).ok().filter(|name| !name.contains('.'))?;
        let stat = rustix::fs::statat(&self.dir, name.as_str(), AtFlags::SYMLINK_NOFOLLOW).ok()?;
        if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
            return None;
        }
        let record = self.read_record(&name);
        if let Err(why) = &record {
            tracing::warn!(
                staged = name,
                why,
                "the record of a partial upload cannot be read: it is kept until part-expiry, and cannot be resumed"
            );
        }
        let since = Time { seconds: stat.st_mtime, nanoseconds: stat.st_mtime_nsec as u32 };
        Some(Left { name, record: record.ok(), target: None, length: length(&stat), since })
    }

    fn read_record(&self, name: &str) -> std::result::Result<Record, String> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let record = rustix::fs::openat(&self.dir, record_name(name).as_str(), flags, Mode::empty());
        let record = record.map_err(|error| error.to_string())?;
        let mut bytes = Vec::new();
        File::from(record).take(64 << 10).read_to_end(&mut bytes).map_err(|error| error.to_string())?;
        let bytes = bytes.strip_prefix(MAGIC).ok_or("it is of another version")?;
        postcard::from_bytes(bytes).map_err(|error| error.to_string())
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

impl Home {
    /// Makes an empty staged file of a random name for this target, readable by the owner alone. With a record
    /// it can be kept.
    ///
    /// # Errors
    /// The kernel's; `EROFS` in a home that was opened without a staging folder.
    pub fn stage(&self, target: &Location, record: Option<&Record>) -> Result<Staged> {
        let area = self.staging.as_ref().ok_or(Error::Os(Errno::ROFS))?;
        let permit = self.descriptors(STAGED_DESCRIPTORS)?;
        let name = format!("{:032x}", rand::random::<u128>());
        let file = match set_group::create_for(target, &area.dir, &name, STAGED_MODE) {
            Some(file) => file,
            None => create(&area.dir, &name)?,
        };
        let recorded = record.is_some();
        let (area, mark) = (Arc::clone(&area.dir), self.mark());
        let staged = Staged { area, name, file, recorded, mark, settled: false, _descriptors: permit };
        if let Some(record) = record {
            let bytes = postcard::to_extend(record, MAGIC.to_vec()).map_err(|_| Errno::INVAL)?;
            let written = create(&staged.area, &record_name(&staged.name))?.write_all(&bytes);
            written.map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::IO))?;
        }
        Ok(staged)
    }

    /// Opens what was left, to read it.
    ///
    /// # Errors
    /// The kernel's.
    pub fn read_part(&self, left: &Left) -> Result<File> {
        let area = self.staging.as_ref().ok_or(Error::Os(Errno::ROFS))?;
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        Ok(File::from(rustix::fs::openat(&area.dir, left.name.as_str(), flags, Mode::empty())?))
    }

    /// Opens what was left, to go on with it.
    ///
    /// # Errors
    /// The kernel's.
    pub fn reopen(&self, left: &Left) -> Result<Staged> {
        let area = self.staging.as_ref().ok_or(Error::Os(Errno::ROFS))?;
        let permit = self.descriptors(STAGED_DESCRIPTORS)?;
        let flags = OFlags::RDWR | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = File::from(rustix::fs::openat(&area.dir, left.name.as_str(), flags, Mode::empty())?);
        let (area, name) = (Arc::clone(&area.dir), left.name.clone());
        let (mark, recorded) = (self.mark(), true);
        Ok(Staged { area, name, file, recorded, mark, settled: false, _descriptors: permit })
    }
}

impl Home {
    /// Removes what was left, and its record.
    pub(super) fn unlink_left(&self, left: &Left) -> Result<()> {
        let area = self.staging.as_ref().ok_or(Error::Os(Errno::ROFS))?;
        for name in [left.name.clone(), record_name(&left.name)] {
            match rustix::fs::unlinkat(&area.dir, name, AtFlags::empty()) {
                Ok(()) | Err(Errno::NOENT) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// Bytes of all staged files.
    ///
    /// # Errors
    /// The kernel's.
    pub(super) fn staged_bytes(&self) -> Result<u64> {
        self.staging.as_ref().map_or(Ok(0), Area::bytes)
    }
}

impl Staged {
    /// The file.
    #[must_use]
    pub fn file(&self) -> &File {
        &self.file
    }

    /// When it began to be written.
    #[must_use]
    pub fn mark(&self) -> Mark {
        self.mark
    }

    /// Gives the file its name, in place of what has it now.
    ///
    /// # Errors
    /// The kernel's, `rename(2)`; the staged file is then removed.
    pub fn publish(mut self, to: &Location, _names: &Names<'_>) -> Result<()> {
        rustix::fs::renameat(&self.area, self.name.as_str(), to.dir(), &*to.spelled())?;
        self.settled = true;
        if self.recorded {
            self.unlink(&record_name(&self.name));
        }
        Ok(())
    }

    /// Leaves the file where it is, cut to `length` bytes, to be resumed later. `record` is what it was
    /// staged with.
    ///
    /// # Errors
    /// The kernel's; the file is then removed.
    pub fn keep(mut self, record: Record, target: Option<EntryId>, length: u64) -> Result<Left> {
        rustix::fs::ftruncate(&self.file, length)?;
        let stat = rustix::fs::fstat(&self.file)?;
        self.settled = true;
        let since = Time { seconds: stat.st_mtime, nanoseconds: stat.st_mtime_nsec as u32 };
        let mut left = Left { name: self.name.clone(), record: Some(record), target, length, since };
        left.renew();
        Ok(left)
    }

    fn unlink(&self, name: &str) {
        // What cannot be removed now is removed at the next start.
        if let Err(error) = rustix::fs::unlinkat(&self.area, name, AtFlags::empty()) {
            tracing::warn!(name, %error, "a staged file could not be removed");
        }
    }
}

impl Drop for Staged {
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

fn record_name(name: &str) -> String {
    format!("{name}.part")
}
