//! Files that are written as a whole: staged, verified, published.

use crate::quota::FileId;
use crate::{EntryId, StoreError, StoreResult, UploadPermissions};
use sshome_wire::{BLOCK_BYTES, Digest, RemotePath, StreamId, Time};
use std::any::Any;
use std::fmt;

/// The source of an upload. A partial upload is resumed only from the same source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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

/// What is known about an upload when it begins.
#[derive(Clone, Copy, Debug)]
pub struct UploadSpec {
    /// Length in bytes; `None` if its sender does not know it.
    pub size: Option<u64>,
    /// The modification time that the file gets; `None` for the time of the upload.
    pub mtime: Option<Time>,
    /// The source, if an interrupted upload may be resumed from it.
    pub source: Option<UploadSource>,
    /// The permissions that the file gets.
    pub permissions: UploadPermissions,
    /// Blocks of the partial upload after which this one continues; 0 for all of the file.
    pub resume: u32,
    /// Whether beginning and publishing fail if the name exists, even as a link. A link at the end is not followed.
    pub exclusive: bool,
}

impl UploadSpec {
    /// Call it before a partial upload is resumed.
    ///
    /// # Errors
    /// [`StoreError::NoPart`] if more is to be resumed than was announced.
    pub fn check_resume(&self, path: &RemotePath) -> StoreResult<()> {
        let resumed = u64::from(self.resume) * BLOCK_BYTES;
        match self.size.is_some_and(|size| resumed > size) {
            true => Err(StoreError::NoPart(path.clone())),
            false => Ok(()),
        }
    }
}

/// A file that is being received. Dropping it keeps a partial upload if the source can resume it and a whole block
/// has arrived, and nothing otherwise.
pub trait Upload: fmt::Debug + Send {
    /// The canonical path of the target when the upload began, for the log.
    fn logged_path(&self) -> &RemotePath;

    /// Bytes that have arrived, counted from the start of the file.
    fn written(&self) -> u64;

    /// Bytes from the start of the file that survive the end of this process, so that the sender may forget them.
    fn surviving(&self) -> u64;

    /// Writes the next bytes.
    ///
    /// # Errors
    /// If they exceed the announced size or the quota, or the disk fails. Nothing is kept then.
    fn write(&mut self, data: &[u8]) -> StoreResult<()>;

    /// Makes dropping it keep nothing.
    fn discard_on_drop(&mut self);

    /// Verifies that the file has this many bytes and, if given, this digest, and prepares it for publishing. It may
    /// have fewer bytes than were announced.
    ///
    /// # Errors
    /// If size or digest differ. Nothing is kept then.
    fn finish(self: Box<Self>, size: u64, digest: Option<Digest>) -> StoreResult<PublishItem>;
}

/// A complete and verified file that is ready to be published. If it is dropped before, for example after a lost
/// connection, it becomes a partial upload.
pub struct PublishItem {
    /// The path that it was uploaded to.
    pub path: RemotePath,
    /// Length in bytes.
    pub size: u64,
    /// The digest, if known.
    pub digest: Option<Digest>,
    held: Box<dyn Any + Send>,
}

impl PublishItem {
    /// An item. The content of `held` is up to the store.
    #[must_use]
    pub fn new(path: RemotePath, size: u64, digest: Option<Digest>, held: impl Any + Send) -> PublishItem {
        PublishItem { path, size, digest, held: Box::new(held) }
    }

    /// The store's own type; `None` if a different store made it.
    #[must_use]
    pub fn into_held<T: Any>(self) -> Option<T> {
        self.held.downcast().ok().map(|held| *held)
    }

    /// As [`PublishItem::into_held`], by reference.
    #[must_use]
    pub fn held<T: Any>(&self) -> Option<&T> {
        self.held.downcast_ref()
    }
}

impl fmt::Debug for PublishItem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PublishItem")
            .field("path", &self.path)
            .field("size", &self.size)
            .finish_non_exhaustive()
    }
}

/// The result of one item.
#[derive(Debug)]
pub enum PublishResult {
    /// It has its name, and survives a power cut.
    Done {
        /// Whether a file was replaced.
        replaced: bool,
        /// The file, if it was published exclusively.
        id: Option<FileId>,
    },
    /// It was not published, and its target is unchanged.
    Refused(StoreError),
    /// It has its name, but may not survive a power cut.
    VisibleNotDurable(StoreError),
    /// The store gave no answer in time: the item may have been published.
    Unknown(StoreError),
}

/// The results of a batch.
#[derive(Debug)]
pub struct Published {
    /// A result for each item, in their order.
    pub items: Vec<PublishResult>,
    /// Whether the new names are durable, too.
    pub names: StoreResult<()>,
}

/// A partial upload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartialUploadInfo {
    /// The target's path when the upload began, for display; the store's own name if its record cannot be read.
    pub path: RemotePath,
    /// Bytes that have arrived.
    pub length: u64,
    /// The source; `None` if its record cannot be read.
    pub source: Option<UploadSource>,
    /// The time of the last write. For a stream, the time when a channel last held it, or when the server started.
    pub since: Time,
}

/// A partial upload that is leased to one channel and is being read, so that its blocks can be compared. Dropping it
/// returns the lease.
pub trait PartialCheck: fmt::Debug + Send {
    /// Bytes read, and bytes in total.
    fn progress(&self) -> (u64, u64);

    /// Executes one step. Returns the checked partial upload at the end.
    ///
    /// # Errors
    /// If it cannot be read.
    fn step(&mut self, limit: crate::StepLimit) -> StoreResult<Option<CheckedPartial>>;
}

/// A partial upload that was checked, and stays leased to one channel for its next upload. Dropping it returns the lease.
pub struct CheckedPartial {
    /// The digests of its whole blocks.
    pub digests: Vec<Digest>,
    /// Its target; `None` if it is no longer known.
    pub target: Option<EntryId>,
    held: Box<dyn Any + Send>,
}

impl CheckedPartial {
    /// A checked partial upload. The content of `held` is up to the store; dropping it returns the lease.
    #[must_use]
    pub fn new(digests: Vec<Digest>, target: Option<EntryId>, held: impl Any + Send) -> CheckedPartial {
        CheckedPartial { digests, target, held: Box::new(held) }
    }

    /// Its digests and the store's own type; `None` if a different store made it.
    #[must_use]
    pub fn into_held<T: Any>(self) -> Option<(Vec<Digest>, T)> {
        let CheckedPartial { digests, held, .. } = self;
        held.downcast().ok().map(|held| (digests, *held))
    }
}

impl fmt::Debug for CheckedPartial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CheckedPartial").field("blocks", &self.digests.len()).finish_non_exhaustive()
    }
}
