//! Partial uploads: listed, checked, discarded.

use super::{Error, LongOperation, OperationResult, Result, STEP_BYTES, StepLimit, User};
use sshome_store::{CheckedPartial, EntryId, PartialCheck, UploadSource};
use sshome_wire::{Part, RemotePath, StreamId, Time};

/// The user's partial uploads, the oldest first. Empty for a login that may only upload.
#[must_use]
pub fn parts(user: &User) -> Vec<Part> {
    if !user.access().reads() {
        return Vec::new();
    }
    let all = user.home.partial_uploads().into_iter();
    let mut parts: Vec<Part> = all
        .map(|partial| Part {
            path: partial.path.as_bytes().to_vec(),
            length: partial.length,
            size: match partial.source {
                Some(UploadSource::File { size, .. }) => size,
                Some(UploadSource::Stream(_)) => 0,
                // Unknown: its record cannot be read.
                None => partial.length,
            },
            since: partial.since,
        })
        .collect();
    parts.sort_by_key(|part| part.since);
    parts
}

/// Deletes the partial uploads to this path, or all if there is no path. Returns their number. A path from [`parts`] always
/// works, even if its directory no longer exists.
///
/// # Errors
/// If the user may not write.
pub fn discard(user: &User, path: Option<&RemotePath>) -> Result<usize> {
    let root = RemotePath::root();
    user.change(path.unwrap_or(&root), |home| Ok(home.discard_partial_uploads(path)))
}

/// The identity of an upload's target; `None` if its directory is missing.
#[must_use]
pub fn target_id(user: &User, path: &RemotePath) -> Option<EntryId> {
    user.home.entry_id(path, true).ok()
}

/// A check of a partial upload: it is read and digested. The partial upload is leased to one conversation; dropping the
/// check releases it.
#[derive(Debug)]
pub struct PartCheck(Box<dyn PartialCheck>);

/// Finds the partial upload of a stream; `None` if there is none.
///
/// # Errors
/// [`Error::wait`] if a different conversation still holds it, which was told to end. If it cannot be opened.
pub fn find_stream(user: &User, path: &RemotePath, id: StreamId) -> Result<Option<PartCheck>> {
    Ok(user.home.lease_stream(path, id, &user.takeover())?.map(PartCheck))
}

impl PartCheck {
    /// Takes out the partial upload of exactly this file; `None` if there is none, or another session works on it.
    ///
    /// # Errors
    /// If it cannot be opened.
    pub fn begin(user: &User, path: &RemotePath, size: u64, mtime: Time) -> Result<Option<PartCheck>> {
        if !user.may_resume(path, size, mtime) {
            return Ok(None);
        }
        Ok(user.home.lease_partial(path, size, mtime)?.map(PartCheck))
    }

    /// Executes one step. Returns the checked partial upload at the end.
    ///
    /// # Errors
    /// The disk's.
    pub fn step(&mut self, limit: StepLimit) -> Result<Option<CheckedPartial>> {
        self.0.step(limit).map_err(Error::from)
    }

    /// The number of bytes that were read, and of all.
    pub(super) fn bytes(&self) -> (u64, u64) {
        self.0.progress()
    }
}

impl LongOperation for PartCheck {
    fn advance(&mut self, _: &User) -> Result<Option<OperationResult>> {
        let checked = self.step(StepLimit::bytes(STEP_BYTES))?;
        Ok(checked.map(|partial| OperationResult::Partial(Some(Box::new(partial)))))
    }

    fn progress(&self) -> (u64, Option<u64>) {
        let (done, total) = self.bytes();
        (done, Some(total))
    }
}

/// The check of a stream's partial upload, if there is one. It waits for a different conversation that still holds it.
pub(crate) struct StreamCheck {
    path: RemotePath,
    id: StreamId,
    check: Option<PartCheck>,
}

impl StreamCheck {
    pub(crate) fn new(path: RemotePath, id: StreamId) -> StreamCheck {
        StreamCheck { path, id, check: None }
    }
}

impl LongOperation for StreamCheck {
    fn advance(&mut self, user: &User) -> Result<Option<OperationResult>> {
        if self.check.is_none() {
            self.check = find_stream(user, &self.path, self.id)?;
        }
        match &mut self.check {
            Some(check) => check.advance(user),
            None => Ok(Some(OperationResult::Partial(None))),
        }
    }

    fn progress(&self) -> (u64, Option<u64>) {
        self.check.as_ref().map_or((0, Some(0)), PartCheck::progress)
    }
}
