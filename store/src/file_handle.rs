//! Files that are read and written at offsets.

use crate::{FileInfo, SetAttributes, StepLimit, StoreResult};
use sshome_wire::{Digest, RemotePath};
use std::fmt;

/// An open file. It counts until it is closed, even after its name is removed. All methods take `&self`, so that one
/// handle can be read and written concurrently. Dropping it closes it; a staged file is then discarded.
pub trait FileHandle: fmt::Debug + Send + Sync {
    /// The canonical path when it was opened, for the log.
    fn logged_path(&self) -> &RemotePath;

    /// The current attributes.
    ///
    /// # Errors
    /// The disk's.
    fn info(&self) -> StoreResult<FileInfo>;

    /// The content version: it differs after each change through any channel. `None` during a change.
    fn version(&self) -> Option<u64>;

    /// The digest that was stored when the file was published. `info` is the file's; the digest no longer applies if size
    /// or mtime differ.
    fn stored_digest(&self, info: &FileInfo) -> Option<Digest>;

    /// Appends up to `max_bytes` bytes at `offset` to `buffer`, limited by its capacity. Returns their number; 0 at the
    /// end.
    ///
    /// # Errors
    /// If the file was not opened for reading, or the disk's.
    fn read_at(&self, offset: u64, buffer: &mut Vec<u8>, max_bytes: usize) -> StoreResult<usize>;

    /// Writes all of `data` at `offset`, or at the end with `None`, which the caller gives for a file that was opened to
    /// append.
    ///
    /// # Errors
    /// If the quota does not allow all of it: nothing is written. If the disk fails: part of it may be written, and is
    /// accounted for.
    fn write_at(&self, offset: Option<u64>, data: &[&[u8]]) -> StoreResult<()>;

    /// Sets the length in bytes. Added bytes are zero.
    ///
    /// # Errors
    /// As [`FileHandle::write_at`].
    fn set_length(&self, length: u64) -> StoreResult<()>;

    /// Sets mode, times and group, as far as they are given.
    ///
    /// # Errors
    /// If only an owner or a group is given that cannot be set, or the disk's.
    fn set_attributes(&self, wanted: &SetAttributes) -> StoreResult<()>;

    /// Fails early if writing up to `end` would exceed the quota. It reserves nothing.
    ///
    /// # Errors
    /// If it would.
    fn check_space(&self, end: u64) -> StoreResult<()>;

    /// Makes the content durable.
    ///
    /// # Errors
    /// The disk's.
    fn sync(&self) -> StoreResult<()>;

    /// Whether closing it publishes it, which takes long.
    fn publishes_at_close(&self) -> bool;

    /// Executes one step of what has to be done before the file is closed, such as copying old content that was not
    /// overwritten. Returns whether it is done.
    ///
    /// # Errors
    /// If the old file was changed meanwhile, the quota is exceeded, or the disk fails.
    fn prepare_close(&self, limit: StepLimit) -> StoreResult<bool>;

    /// Closes the file. Returns the item to be published, if its content was staged.
    ///
    /// # Errors
    /// If it cannot be published. The old file then stays.
    fn close(self: Box<Self>) -> StoreResult<Option<crate::PublishItem>>;
}
