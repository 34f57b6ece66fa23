//! Where a file is while it is on its way.
//!
//! A staged file of a random name holds the bytes. One that can be resumed has a record beside it
//! that says what it is a part of: then it outlives the session, and the server.

use super::{DescriptorPermit, Error, Home, Location, Mark, Names, Result, file_id, length};
use crate::quota::FileId;
use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{AtFlags, Mode, OFlags};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};
use sshome_wire::{StreamId, Time};
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
    /// What it is a part of.
    pub record: Record,
    /// Bytes that are there.
    pub length: u64,
    /// When the last of them came; of a stream, when it was last seen to, or the server started.
    pub since: Time,
}

impl Left {
    /// Notes that a stream was in somebody's hands up to now: from now on its client may be awaited.
    pub fn renew(&mut self) {
        if self.record.source.is_stream() {
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
        let id = file_id(&rustix::fs::fstat(&dir)?);
        Ok(Some(Area { dir: Arc::new(dir), id }))
    }

    pub(super) fn id(&self) -> FileId {
        self.id
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
        let left: Vec<Left> = names.iter().filter_map(|name| self.look(name)).collect();
        let kept = |name: &[u8]| {
            left.iter().any(|left| name == left.name.as_bytes() || name == record_name(&left.name).as_bytes())
        };
        for name in names.iter().filter(|name| !kept(name)) {
            rustix::fs::unlinkat(&self.dir, name.as_slice(), AtFlags::empty())?;
        }
        Ok(left)
    }

    /// A staged file with a record that can be read; none if it is anything else.
    fn look(&self, name: &[u8]) -> Option<Left> {
        let name = String::from_utf8(name.to_vec()).ok().filter(|name| !name.contains('.'))?;
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let record = rustix::fs::openat(&self.dir, record_name(&name).as_str(), flags, Mode::empty()).ok()?;
        let mut bytes = Vec::new();
        File::from(record).take(64 << 10).read_to_end(&mut bytes).ok()?;
        let record = postcard::from_bytes(bytes.strip_prefix(MAGIC)?).ok()?;
        let stat = rustix::fs::statat(&self.dir, name.as_str(), AtFlags::SYMLINK_NOFOLLOW).ok()?;
        let since = Time { seconds: stat.st_mtime, nanoseconds: stat.st_mtime_nsec as u32 };
        Some(Left { name, record, length: length(&stat), since })
    }
}

impl Home {
    /// Makes an empty staged file of a random name, readable by the owner alone. With a record it
    /// can be kept.
    ///
    /// # Errors
    /// The kernel's; `EROFS` in a home that was opened without a staging folder.
    pub fn stage(&self, record: Option<&Record>) -> Result<Staged> {
        let area = self.staging.as_ref().ok_or(Error::Os(Errno::ROFS))?;
        let permit = self.descriptors(STAGED_DESCRIPTORS)?;
        let name = format!("{:032x}", rand::random::<u128>());
        let file = create(&area.dir, &name)?;
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

    /// Leaves the file where it is, cut to `length` bytes, to be gone on with later. `record` is
    /// what it was staged with.
    ///
    /// # Errors
    /// The kernel's; the file is then removed.
    pub fn keep(mut self, record: Record, length: u64) -> Result<Left> {
        rustix::fs::ftruncate(&self.file, length)?;
        let stat = rustix::fs::fstat(&self.file)?;
        self.settled = true;
        let since = Time { seconds: stat.st_mtime, nanoseconds: stat.st_mtime_nsec as u32 };
        let mut left = Left { name: self.name.clone(), record, length, since };
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
    Ok(File::from(rustix::fs::openat(dir, name, flags, Mode::RUSR | Mode::WUSR)?))
}

fn record_name(name: &str) -> String {
    format!("{name}.part")
}
