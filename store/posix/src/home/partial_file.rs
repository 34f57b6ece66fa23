//! The staged file of a partial upload, and the record beside it that identifies the upload.

use super::{Result, STAGING_DIRECTORY};
use rustix::fd::OwnedFd;
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};
use sshome_store::{EntryId, UploadSource};
use sshome_wire::{BlockHasher, RemotePath, StreamId, Time};
use std::fs::File;
use std::io::Read;
use std::time::{SystemTime, UNIX_EPOCH};

/// The first bytes of a record of any version. The version follows them.
const MAGIC: &[u8] = b"sshome\0";

/// The version of the records that are written: the BLAKE3 of the fields, and the fields.
const RECORD_VERSION: u8 = 3;

/// The previous version: the fields alone.
const VERSION_WITHOUT_DIGEST: u8 = 2;

/// Length of a BLAKE3 digest in bytes.
const DIGEST_BYTES: usize = 32;

/// The suffix of a record's name.
const RECORD_SUFFIX: &str = ".part";

/// Bytes that are read of a record; what follows is ignored.
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
    /// The time of the last write. For a stream, the time when a session last held it, or when the server started.
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

    /// Whether it belongs to an upload to this target.
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

/// Why a record cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum RecordError {
    /// A part of it did not reach the disk before a power cut: no version can read it.
    Torn,
    /// A different version wrote it, or the disk fails.
    Unreadable(String),
}

impl UploadRecord {
    /// The encoded record.
    pub(super) fn encode(&self) -> Result<Vec<u8>> {
        let fields = (&self.target, RecordedSource::from(self.source));
        let fields = postcard::to_allocvec(&fields).map_err(|_| Errno::INVAL)?;
        Ok([MAGIC, &[RECORD_VERSION], &digest_of(&fields), &fields].concat())
    }

    /// Reads the record of the staged file `name`.
    pub(super) fn read(dir: &OwnedFd, name: &str) -> std::result::Result<UploadRecord, RecordError> {
        let unreadable = |error: std::io::Error| RecordError::Unreadable(error.to_string());
        // Opening a pipe would block for ever.
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let record = rustix::fs::openat(dir, record_name(name).as_str(), flags, Mode::empty());
        let record = File::from(record.map_err(|error| unreadable(error.into()))?);
        if !record.metadata().map_err(unreadable)?.is_file() {
            return Err(RecordError::Unreadable("it is not a regular file".to_owned()));
        }
        let mut bytes = Vec::new();
        record.take(MAX_RECORD_BYTES).read_to_end(&mut bytes).map_err(unreadable)?;
        UploadRecord::decode(&bytes)
    }

    /// After a power cut, a file that was not synced may have any earlier length, and zeros in place of any page.
    fn decode(bytes: &[u8]) -> std::result::Result<UploadRecord, RecordError> {
        let Some((version, rest)) = bytes.strip_prefix(MAGIC).and_then(<[u8]>::split_first) else {
            let is_torn = MAGIC.starts_with(bytes) || bytes.first() == Some(&0);
            let foreign = RecordError::Unreadable("it is not a record".to_owned());
            return Err(if is_torn { RecordError::Torn } else { foreign });
        };
        let fields = match *version {
            RECORD_VERSION => match rest.split_first_chunk::<DIGEST_BYTES>() {
                Some((digest, fields)) if *digest == digest_of(fields) => fields,
                _ => return Err(RecordError::Torn),
            },
            VERSION_WITHOUT_DIGEST => rest,
            _ => return Err(RecordError::Unreadable("it was written by a different version".to_owned())),
        };
        let (target, source): (Vec<u8>, RecordedSource) =
            postcard::from_bytes(fields).map_err(|_| RecordError::Torn)?;
        Ok(UploadRecord { target, source: source.into() })
    }
}

fn digest_of(fields: &[u8]) -> [u8; DIGEST_BYTES] {
    let mut hasher = BlockHasher::new();
    hasher.update(fields);
    hasher.finish().0
}

/// The name of a staged file's record.
pub(super) fn record_name(name: &str) -> String {
    format!("{name}{RECORD_SUFFIX}")
}

/// The name of the staged file that the record with this name describes; `None` for anything else.
pub(super) fn recorded_name(record: &[u8]) -> Option<&str> {
    let name = std::str::from_utf8(record).ok()?.strip_suffix(RECORD_SUFFIX)?;
    (!name.is_empty() && !name.contains('.')).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn records() -> [UploadRecord; 2] {
        let time = Time { seconds: 1_000_000, nanoseconds: 5 };
        let file = UploadSource::File { size: 9 << 20, mtime: time };
        let long = vec![b'x'; 10_000];
        [
            UploadRecord { target: b"/a/b".to_vec(), source: file },
            UploadRecord { target: long, source: UploadSource::Stream(StreamId([7; 16])) },
        ]
    }

    #[test]
    fn records_of_this_and_the_previous_version_are_read() {
        for record in records() {
            let bytes = record.encode().unwrap();
            assert_eq!(UploadRecord::decode(&bytes), Ok(record.clone()));
            let before = [MAGIC, &[2], &bytes[MAGIC.len() + 1 + DIGEST_BYTES..]].concat();
            assert_eq!(UploadRecord::decode(&before), Ok(record));
        }
    }

    #[test]
    fn an_incomplete_record_after_a_power_cut_is_torn() {
        for record in records() {
            let bytes = record.encode().unwrap();
            for length in
                (0..bytes.len().min(200)).chain([4095, 4096, 8192].into_iter().filter(|at| *at < bytes.len()))
            {
                assert_eq!(UploadRecord::decode(&bytes[..length]), Err(RecordError::Torn), "{length}");
                assert_eq!(UploadRecord::decode(&vec![0; length]), Err(RecordError::Torn), "{length}");
            }
            for page in 0..bytes.len().div_ceil(4096) {
                let mut disk = bytes.clone();
                let end = disk.len().min((page + 1) * 4096);
                disk[page * 4096..end].fill(0);
                assert_eq!(UploadRecord::decode(&disk), Err(RecordError::Torn), "page {page}");
            }
        }
    }

    #[test]
    fn a_record_of_a_later_version_is_not_torn() {
        for bytes in [&b"sshome\0\x09something of a later version"[..], b"sshome\0\x04", b"something else"] {
            assert!(matches!(UploadRecord::decode(bytes), Err(RecordError::Unreadable(_))), "{bytes:?}");
        }
    }
}
