//! The staged file of a partial upload, and the record beside it that identifies the upload.

use super::{EntryId, Result, STAGING_DIRECTORY};
use rustix::fd::OwnedFd;
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};
use sshome_wire::{RemotePath, StreamId, Time};
use std::fs::File;
use std::io::Read;
use std::time::{SystemTime, UNIX_EPOCH};

/// The first bytes of a record: its kind and version.
const MAGIC: &[u8; 8] = b"sshome\0\x02";

/// Bytes of a record that are read at most.
const MAX_RECORD_BYTES: u64 = 64 << 10;

/// Identifies the upload that a staged file is a part of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UploadRecord {
    /// The target: an absolute path in the home.
    pub target: Vec<u8>,
    /// The source.
    pub source: UploadSource,
}

/// The source of an upload. A partial upload is resumed only from the same source.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum UploadSource {
    /// A file, which the client can read again.
    File {
        /// Its length in bytes.
        size: u64,
        /// When its content last changed.
        mtime: Time,
    },
    /// A stream, which only the client that sends it can resume.
    Stream(StreamId),
}

impl UploadSource {
    /// Whether the client cannot read it again.
    #[must_use]
    pub fn is_stream(&self) -> bool {
        matches!(self, UploadSource::Stream(_))
    }
}

/// The staged file of a partial upload, with its record.
#[derive(Clone, Debug)]
pub struct PartialFile {
    pub(super) name: String,
    /// `None` if the record cannot be read.
    pub(super) record: Option<UploadRecord>,
    /// The target; `None` if it is no longer known.
    pub(super) target: Option<EntryId>,
    /// Its length in bytes.
    pub length: u64,
    /// The time of the last write. Of a stream: when a session last held it, or the server started.
    pub since: Time,
}

impl PartialFile {
    /// The target's path when the upload began, for display; the staged name if the record cannot be read.
    #[must_use]
    pub fn path(&self) -> RemotePath {
        let recorded = self.record.as_ref().and_then(|record| RemotePath::root().join(&record.target).ok());
        recorded.unwrap_or_else(|| {
            let staged = format!("{STAGING_DIRECTORY}/{}", self.name);
            RemotePath::root().join(staged.as_bytes()).unwrap_or_else(|_| RemotePath::root())
        })
    }

    /// The source; `None` if the record cannot be read.
    #[must_use]
    pub fn source(&self) -> Option<UploadSource> {
        self.record.as_ref().map(|record| record.source)
    }

    /// Whether the source is a stream.
    #[must_use]
    pub fn is_stream(&self) -> bool {
        self.source().is_some_and(|source| source.is_stream())
    }

    /// The target; `None` if it is no longer known.
    #[must_use]
    pub fn target(&self) -> Option<&EntryId> {
        self.target.as_ref()
    }

    /// Whether it is of an upload to this target.
    #[must_use]
    pub fn is_of(&self, target: &EntryId) -> bool {
        self.target.as_ref() == Some(target)
    }

    /// Sets the target.
    pub(super) fn set_target(&mut self, target: Option<EntryId>) {
        self.target = target;
    }

    /// Restarts the time after which a partial stream expires.
    pub fn renew(&mut self) {
        if self.is_stream() {
            let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            self.since = Time { seconds: now.as_secs().cast_signed(), nanoseconds: now.subsec_nanos() };
        }
    }
}

impl UploadRecord {
    /// The encoded record.
    pub(super) fn encode(&self) -> Result<Vec<u8>> {
        Ok(postcard::to_extend(self, MAGIC.to_vec()).map_err(|_| Errno::INVAL)?)
    }

    /// Reads the record of the staged file `name`. The error says why it cannot be read.
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
