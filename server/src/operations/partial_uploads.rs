//! Parts of uploads that were cut: found again, checked, gone on with, removed.

use super::error::{Context, errno};
use super::{Result, StepLimit, User};
use crate::home::{Claim, EntryId, Kept, Location, Record, Shelf, Source, Staged};
use crate::quota::Reservation;
use sshome_wire::{BLOCK, BlockHasher, Digest, Part, RemotePath, StreamId, Time};
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::time::Duration;

/// What is left of uploads that were cut, the oldest first.
#[must_use]
pub fn parts(user: &User) -> Vec<Part> {
    let mut parts: Vec<Part> = user
        .home
        .shelf()
        .list()
        .into_iter()
        .map(|left| Part {
            path: left.path().as_bytes().to_vec(),
            length: left.length,
            size: match left.source() {
                Some(Source::File { size, .. }) => size,
                Some(Source::Stream(_)) => 0,
                // Nobody knows: its record cannot be read.
                None => left.length,
            },
            since: left.since,
        })
        .collect();
    parts.sort_by_key(|part| part.since);
    parts
}

/// Removes what is left of uploads to this path; of all where none is given. Returns how many. A path as
/// [`parts`] tells it always works, also if the directory is gone.
pub fn discard(user: &User, path: Option<&RemotePath>) -> usize {
    let target = path.and_then(|path| target_id(user, path));
    user.home.discard(|kept| {
        let is_of = |path: &RemotePath| {
            kept.left.path() == *path || target.as_ref().is_some_and(|target| kept.left.is_of(target))
        };
        path.is_none_or(is_of)
    })
}

/// Where an upload to this path would go; none if the directory is missing.
#[must_use]
pub fn target_id(user: &User, path: &RemotePath) -> Option<EntryId> {
    user.home.locate_target(path).and_then(|(target, _)| target.identity()).ok()
}

/// A staged file and the room that is reserved for it. If it is dropped before it is complete, and
/// has a record, the whole blocks that have arrived are kept for a later put; otherwise it goes.
#[derive(Debug)]
pub(super) struct Draft {
    held: Option<(Staged, Reservation)>,
    record: Option<Record>,
    target: Option<EntryId>,
    shelf: Arc<Shelf>,
    /// Of a stream: dropped when what is left of it is on the shelf.
    claim: Option<Claim>,
    /// Bytes that were written, from the first on.
    pub(super) written: u64,
}

impl Draft {
    pub(super) fn new(
        user: &User,
        staged: Staged,
        room: Reservation,
        record: Option<Record>,
        target: &Location,
        claim: Option<Claim>,
    ) -> Draft {
        let shelf = Arc::clone(user.home.shelf());
        // Only what can be kept needs to be found again.
        let target = record.as_ref().and_then(|_| target.identity().ok());
        Draft { held: Some((staged, room)), record, target, shelf, claim, written: 0 }
    }

    /// Whether it is of a stream.
    pub(super) fn is_stream(&self) -> bool {
        self.claim.is_some()
    }

    /// The file, until it is taken.
    pub(super) fn staged(&self) -> Option<&Staged> {
        self.held.as_ref().map(|held| &held.0)
    }

    /// The room, until it is taken.
    pub(super) fn room(&mut self) -> Option<&mut Reservation> {
        self.held.as_mut().map(|held| &mut held.1)
    }

    /// The file, the room and the claim of an upload that is complete.
    pub(super) fn take(&mut self) -> Option<(Staged, Reservation, Option<Claim>)> {
        let (staged, room) = self.held.take()?;
        Some((staged, room, self.claim.take()))
    }

    /// Says that nothing of this is worth keeping.
    pub(super) fn spoil(&mut self) {
        self.record = None;
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        let Some((staged, mut room)) = self.held.take() else { return };
        let Some(record) = self.record.take() else { return };
        let length = self.written / BLOCK * BLOCK;
        if length == 0 {
            return;
        }
        match staged.keep(record, self.target.take(), length) {
            Ok(left) => {
                // Now that the rest is gone from the disk.
                room.shrink_to(length, 0);
                self.shelf.put(Kept { left, room });
            }
            Err(error) => tracing::warn!(%error, "a part could not be kept"),
        }
    }
}

/// A part that is being read from the disk, to learn what is in it. Leased to one conversation:
/// dropping it puts it back.
#[derive(Debug)]
pub struct PartCheck {
    path: RemotePath,
    file: File,
    lease: Lease,
    hasher: BlockHasher,
    buffer: Vec<u8>,
}

/// A part that was read, and is leased to one conversation for its next put.
#[derive(Debug)]
pub struct CheckedPart {
    /// What is in it, block by block.
    pub digests: Vec<Digest>,
    lease: Lease,
}

/// A part off the shelf, and the way back.
#[derive(Debug)]
struct Lease {
    kept: Option<Kept>,
    shelf: Arc<Shelf>,
    /// Of a stream: dropped when the part is back.
    claim: Option<Claim>,
}

/// What is left of a stream.
#[derive(Debug)]
pub enum StreamLeft {
    /// Another conversation has it still, and has been told to end.
    Busy,
    /// Nothing.
    Nothing,
    /// A part, which has to be read.
    Part(Box<PartCheck>),
}

/// Looks for what is left of a stream, and waits up to `patience` for another conversation to let go.
///
/// # Errors
/// If the part cannot be opened.
pub fn find_stream(user: &User, path: &RemotePath, id: StreamId, patience: Duration) -> Result<StreamLeft> {
    let Some(claim) = user.home.streams().take_over(id, &user.superseded, patience) else {
        return Ok(StreamLeft::Busy);
    };
    let found = PartCheck::open(user, path, Source::Stream(id), Some(claim))?;
    Ok(found.map_or(StreamLeft::Nothing, |part| StreamLeft::Part(Box::new(part))))
}

impl Drop for Lease {
    fn drop(&mut self) {
        if let Some(mut kept) = self.kept.take() {
            kept.left.renew();
            self.shelf.put(kept);
        }
    }
}

/// A part with which an upload goes on.
pub(super) struct GoneOn {
    pub(super) staged: Staged,
    pub(super) room: Reservation,
    pub(super) claim: Option<Claim>,
    /// Of what stays of it.
    pub(super) digests: Vec<Digest>,
}

impl CheckedPart {
    /// Goes on after this many blocks: the file, its room, and the digests of what stays. None if
    /// there are fewer.
    pub(super) fn go_on(mut self, user: &User, blocks: u32) -> Option<GoneOn> {
        let blocks = usize::try_from(blocks).ok()?;
        if blocks > self.digests.len() {
            return None;
        }
        self.digests.truncate(blocks);
        let staged = user.home.reopen(&self.lease.kept.as_ref()?.left).ok()?;
        let (room, claim) = (self.lease.kept.take()?.room, self.lease.claim.take());
        Some(GoneOn { staged, room, claim, digests: self.digests })
    }

    /// Where it is to go.
    #[must_use]
    pub fn target(&self) -> Option<&EntryId> {
        self.lease.kept.as_ref()?.left.target()
    }

    /// The stream that it is of; none if it is of a file.
    pub(super) fn stream(&self) -> Option<StreamId> {
        self.lease.claim.as_ref().map(Claim::id)
    }

    /// Removes the part: its source is not what it was.
    pub(super) fn remove(mut self, user: &User) {
        if let Some(kept) = self.lease.kept.take() {
            user.home.remove_part(kept);
        }
    }
}

impl PartCheck {
    /// Takes the part of just this file, if there is one that nobody works on.
    ///
    /// # Errors
    /// If it cannot be opened.
    pub fn begin(user: &User, path: &RemotePath, size: u64, mtime: Time) -> Result<Option<PartCheck>> {
        PartCheck::open(user, path, Source::File { size, mtime }, None)
    }

    fn open(
        user: &User,
        path: &RemotePath,
        source: Source,
        claim: Option<Claim>,
    ) -> Result<Option<PartCheck>> {
        let kept = target_id(user, path).and_then(|target| user.home.shelf().take(&target, source));
        let Some(kept) = kept else { return Ok(None) };
        let file = user.home.read_part(&kept.left);
        let lease = Lease { kept: Some(kept), shelf: Arc::clone(user.home.shelf()), claim };
        let (hasher, buffer) = (BlockHasher::new(), vec![0; 1 << 20]);
        Ok(Some(PartCheck { path: path.clone(), file: file.of_file(path)?, lease, hasher, buffer }))
    }

    /// Bytes dealt with, and bytes in all.
    #[must_use]
    pub fn progress(&self) -> (u64, u64) {
        (self.hasher.length(), self.length())
    }

    fn length(&self) -> u64 {
        self.lease.kept.as_ref().map_or(0, |kept| kept.left.length)
    }

    /// Reads on for one step; the checked part at the end.
    ///
    /// # Errors
    /// If the disk reports one.
    pub fn step(&mut self, limit: StepLimit) -> Result<Option<CheckedPart>> {
        let start = self.hasher.length();
        let mut ended = false;
        while self.hasher.length() < self.length() && !ended {
            let at = self.hasher.length();
            if limit.is_reached(at - start) {
                break;
            }
            let room = usize::try_from(self.length() - at).unwrap_or(usize::MAX).min(self.buffer.len());
            let buffer = self.buffer.get_mut(..room).unwrap_or_default();
            let read = self.file.read_at(buffer, at).map_err(|error| errno(&error)).of_file(&self.path)?;
            ended = read == 0;
            self.hasher.update(buffer.get(..read).unwrap_or_default());
        }
        if self.hasher.length() < self.length() && !ended {
            return Ok(None);
        }
        let mut digests = self.hasher.whole_blocks();
        if let Some(Source::File { size, .. }) = self.lease.kept.as_ref().and_then(|kept| kept.left.source())
        {
            digests.truncate(usize::try_from(BlockHasher::knowable(size)).unwrap_or(usize::MAX));
        }
        let shelf = Arc::clone(&self.lease.shelf);
        let lease = Lease { kept: self.lease.kept.take(), shelf, claim: self.lease.claim.take() };
        Ok(Some(CheckedPart { digests, lease }))
    }
}
