//! The staged file of a partial upload, and the record beside it that identifies the upload.

use super::{Result, STAGING_DIRECTORY};
use rustix::fd::OwnedFd;
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};
use sshome_store::{EntryId, UploadSource};
use sshome_wire::{RemotePath, StreamId, Time};
use std::fs::File;
use std::io::Read;
use std::time::{SystemTime, UNIX_EPOCH};

/// The first bytes of a record: its kind and version.
const MAGIC: &[u8; 8] = b"sshome\0\x02";

/// Bytes of a record that are read at most.
const MAX_RECORD_BYTES: u64 = 64 << 10;

/// Identifies the upload that a staged file is a part of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct UploadRecord {
    /// The target: an absolute path in the home.
    pub(crate) target: Vec<u8>,
    /// The source.
    pub(crate) source: UploadSource,
}

/// The source of an upload, as it is recorded: see [`UploadSource`]. Its variants never change their order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum RecordedSource {
    File { size: u64, mtime: Time },
    Stream(StreamId),
}

impl From<UploadSource> for RecordedSource {
    fn from(source: UploadSource) -> RecordedSource {
        match source {
            UploadSource::File { size, mtime } => RecordedSource::File { size, mtime },
            UploadSource::Stream(id) => RecordedSource::Stream(id),
        }
    }
}

impl From<RecordedSource> for UploadSource {
    fn from(source: RecordedSource) -> UploadSource {
        match source {
            RecordedSource::File { size, mtime } => UploadSource::File { size, mtime },
            RecordedSource::Stream(id) => UploadSource::Stream(id),
        }
    }
}

/// The staged file of a partial upload, with its record.
#[derive(Clone, Debug)]
pub(crate) struct PartialFile {
    pub(super) name: String,
    /// `None` if the record cannot be read.
    pub(super) record: Option<UploadRecord>,
    /// The target; `None` if it is no longer known.
    pub(super) target: Option<EntryId>,
    /// Its length in bytes.
    pub(crate) length: u64,
    /// The time of the last write. Of a stream: when a session last held it, or the server started.
    pub(crate) since: Time,
}

impl PartialFile {
    /// The target's path when the upload began, for display; the staged name if the record cannot be read.
    #[must_use]
    pub(crate) fn path(&self) -> RemotePath {
        let recorded = self.record.as_ref().and_then(|record| RemotePath::root().join(&record.target).ok());
        recorded.unwrap_or_else(|| {
            let staged = format!("{STAGING_DIRECTORY}/{}", self.name);
            RemotePath::root().join(staged.as_bytes()).unwrap_or_else(|_| RemotePath::root())
        })
    }

    /// The source; `None` if the record cannot be read.
    #[must_use]
    pub(crate) fn source(&self) -> Option<UploadSource> {
        self.record.as_ref().map(|record| record.source)
    }

    /// Whether the source is a stream.
    #[must_use]
    pub(crate) fn is_stream(&self) -> bool {
        self.source().is_some_and(|source| source.is_stream())
    }

    /// The target; `None` if it is no longer known.
    #[must_use]
    pub(crate) fn target(&self) -> Option<&EntryId> {
        self.target.as_ref()
    }

    /// Whether it is of an upload to this target.
    #[must_use]
    pub(crate) fn is_of(&self, target: &EntryId) -> bool {
        self.target.as_ref() == Some(target)
    }

    /// Sets the target.
    pub(super) fn set_target(&mut self, target: Option<EntryId>) {
        self.target = target;
    }

    /// Restarts the time after which a partial stream expires.
    pub(crate) fn renew(&mut self) {
        if self.is_stream() {
            let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            self.since = Time { seconds: now.as_secs().cast_signed(), nanoseconds: now.subsec_nanos() };
        }
    }
}

impl UploadRecord {
    /// The encoded record.
    pub(super) fn encode(&self) -> Result<Vec<u8>> {
        let recorded = (&self.target, RecordedSource::from(self.source));
        Ok(postcard::to_extend(&recorded, MAGIC.to_vec()).map_err(|_| Errno::INVAL)?)
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
        let recorded: (Vec<u8>, RecordedSource) =
            postcard::from_bytes(bytes).map_err(|error| error.to_string())?;
        Ok(UploadRecord { target: recorded.0, source: recorded.1.into() })
    }
}

/// The name of a staged file's record.
pub(super) fn record_name(name: &str) -> String {
    format!("{name}.part")
}
