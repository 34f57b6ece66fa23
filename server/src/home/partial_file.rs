//! A staged file that outlived its upload, and the record beside it that says what it is a part of.

use super::{EntryId, Result, STAGING_DIRECTORY};
use rustix::fd::OwnedFd;
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};
use sshome_wire::{RemotePath, StreamId, Time};
use std::fs::File;
use std::io::Read;
use std::time::{SystemTime, UNIX_EPOCH};

/// What a record begins with: its kind and version.
const MAGIC: &[u8; 8] = b"sshome\0\x02";

/// The longest record that is read, in bytes.
const MAX_RECORD_BYTES: u64 = 64 << 10;

/// What a staged file is a part of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UploadRecord {
    /// Where it is to go: an absolute path in the home.
    pub target: Vec<u8>,
    /// What it comes from.
    pub source: UploadSource,
}

/// What a staged file comes from: it goes on with nothing else.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum UploadSource {
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

impl UploadSource {
    /// Whether it cannot be read again.
    #[must_use]
    pub fn is_stream(&self) -> bool {
        matches!(self, UploadSource::Stream(_))
    }
}

/// A staged file that was left, with its record.
#[derive(Clone, Debug)]
pub struct PartialFile {
    pub(super) name: String,
    /// What it is a part of; none if the record beside it cannot be read.
    pub(super) record: Option<UploadRecord>,
    /// Where it is to go; none if that is not known any more.
    pub(super) target: Option<EntryId>,
    /// Bytes that are there.
    pub length: u64,
    /// When the last of them came; of a stream, when it was last seen to, or the server started.
    pub since: Time,
}

impl PartialFile {
    /// The path at which the upload began, for showing. One whose record cannot be read has its staged name.
    #[must_use]
    pub fn path(&self) -> RemotePath {
        let recorded = self.record.as_ref().and_then(|record| RemotePath::root().join(&record.target).ok());
        recorded.unwrap_or_else(|| {
            let staged = format!("{STAGING_DIRECTORY}/{}", self.name);
            RemotePath::root().join(staged.as_bytes()).unwrap_or_else(|_| RemotePath::root())
        })
    }

    /// What it comes from; none if the record cannot be read.
    #[must_use]
    pub fn source(&self) -> Option<UploadSource> {
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

impl UploadRecord {
    /// Its bytes in a file.
    pub(super) fn encode(&self) -> Result<Vec<u8>> {
        Ok(postcard::to_extend(self, MAGIC.to_vec()).map_err(|_| Errno::INVAL)?)
    }

    /// Reads the record of the staged file `name`; otherwise, why it cannot be read.
    pub(super) fn read(dir: &OwnedFd, name: &str) -> std::result::Result<UploadRecord, String> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let record = rustix::fs::openat(dir, record_name(name).as_str(), flags, Mode::empty());
        let record = record.map_err(|error| error.to_string())?;
        let mut bytes = Vec::new();
        let mut record = File::from(record).take(MAX_RECORD_BYTES);
        record.read_to_end(&mut bytes).map_err(|error| error.to_string())?;
        let bytes = bytes.strip_prefix(MAGIC).ok_or("it is of another version")?;
        postcard::from_bytes(bytes).map_err(|error| error.to_string())
    }
}

/// The name of a staged file's record.
pub(super) fn record_name(name: &str) -> String {
    format!("{name}.part")
}
