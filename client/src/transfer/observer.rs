//! Who receives the events of a transfer.

use super::reconnect::Retry;
use super::sync::{SyncChange, TreeDifference};
use sshome_wire::{Digest, Status};
use std::fmt::Debug;
use std::path::Path;

/// Receives the events of a transfer. It is called from several threads and must be quick.
pub trait Observer: Debug + Send + Sync {
    /// A transfer begins. `bytes` is `None` if the total is not known.
    fn begin(&self, files: u64, bytes: Option<u64>);
    /// More files and bytes of the transfer were found.
    fn grow(&self, files: u64, bytes: Option<u64>);
    /// Bytes were transferred.
    fn advance(&self, bytes: u64);
    /// The transfer of a file, given by its path on the server, resumes after `offset` bytes, which count as
    /// transferred. 0 if the partial file differs.
    fn resume_at(&self, remote: &[u8], offset: u64);
    /// Bytes that counted as transferred have to be transferred again after a lost connection.
    fn rewind(&self, bytes: u64);
    /// A file is finished: verified, durable and published.
    fn done(&self, file: &FinishedFile<'_>);
    /// A symbolic link was made, or existed.
    fn linked(&self, link: &FinishedLink<'_>);
    /// A connection was lost, or the server is busy; a retry follows.
    fn retry(&self, retry: &Retry<'_>);
    /// A synchronisation changes an entry of the destination, or would with a dry run.
    fn changes(&self, _change: &SyncChange<'_>) {}
    /// A comparison has found a difference.
    fn differs(&self, _difference: &TreeDifference<'_>) {}
}

/// A finished file.
#[derive(Clone, Copy, Debug)]
pub struct FinishedFile<'a> {
    /// Its path on the server.
    pub remote: &'a [u8],
    /// Its local path, if a get saved it.
    pub local: Option<&'a Path>,
    /// Its length in bytes.
    pub size: u64,
    /// The BLAKE3 digest of the whole file.
    pub digest: Option<Digest>,
    /// The offset at which it was resumed, in bytes: an earlier transfer, or an earlier connection of this one, left
    /// the bytes before it.
    pub resumed_at: u64,
    /// 204, or 202 if it existed and was not transferred.
    pub status: Status,
}

/// A finished symbolic link.
#[derive(Clone, Copy, Debug)]
pub struct FinishedLink<'a> {
    /// Its path on the server.
    pub remote: &'a [u8],
    /// Its local path, if a get made it.
    pub local: Option<&'a Path>,
    /// Its target.
    pub target: &'a [u8],
    /// 204, or 202 if it existed.
    pub status: Status,
}
