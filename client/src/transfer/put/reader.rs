//! The reader thread of a put: reads and hashes local files and encodes them as frames, many small files to a message.

use super::copies::CopyCandidates;
use super::items::{UnsettledItems, UploadItems};
use super::message::{QuestionAnswer, RequestKind, ResumeOffset, SentRequest, UploadMessage};
use super::source::{FileInPieces, LocalSource};
use super::split::FileDivider;
use super::stored::{LookedUpItems, SkipRules};
use super::walk::{FilledDirectory, ParentDirectory, UploadDirectory, UploadItem, upwards};
use crate::transfer::delta::{DeltaLimits, OldVersion};
use crate::transfer::pool::WorkItem;
use crate::transfer::{Failure, ProgressDisplay, path_bytes};
use bytes::{BufMut, BytesMut};
use sshome_ssh::DataCompressor;
use sshome_wire::frame::HEADER_BYTES;
use sshome_wire::{BLOCK_BYTES, End, Frame, RemotePath, Request, Status, StoredFile};
use std::collections::HashSet;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::sync::{mpsc, oneshot};

/// Cap on the length of a message.
const MAX_MESSAGE_BYTES: usize = 256 << 10;

/// Upper bound for an End frame, in bytes.
const MAX_END_FRAME_BYTES: usize = 512;

/// Options of the reader.
#[derive(Clone, Debug)]
pub(super) struct ReaderOptions {
    /// The longest frame, counted from the kind on, in bytes.
    pub(super) max_frame: usize,
    /// The largest number of requests in one message.
    pub(super) max_requests: usize,
    /// Whether modes and times are sent.
    pub(super) preserve: bool,
    /// Which files are sent as differences; `None` for none.
    pub(super) delta: Option<DeltaLimits>,
    /// Leaves large files to all connections.
    pub(super) divider: FileDivider,
    /// Which files the server may have: they are not sent. `None` sends all.
    pub(super) skip: Option<Arc<SkipRules>>,
    /// Files on the server that may have the content of other files.
    pub(super) candidates: Arc<CopyCandidates>,
    /// The number of files in pieces that were refused or sent: one with a lower number need not be read further.
    pub(super) settled: Arc<AtomicU64>,
    /// Shows the progress of comparing a partial upload.
    pub(super) progress: ProgressDisplay,
}

/// The sending task has ended.
pub(super) struct ReceiverGone;

/// How a file is opened and sent.
struct FileState {
    /// Whether a link is followed.
    follow: bool,
    /// Whether a connection was lost over it.
    again: bool,
    old: OldVersion,
    /// What the server has at its path, if that was looked up.
    stored: Option<StoredFile>,
}

/// Reads all items and sends messages to `out`, until there are no more items or the receiver has ended.
pub(super) fn read(
    items: UploadItems,
    manner: ReaderOptions,
    compressor: DataCompressor,
    out: mpsc::Sender<UploadMessage>,
) {
    let (batch, asked, unsettled) = (BytesMut::new(), Vec::new(), items.unsettled());
    let mut reader = UploadReader {
        manner,
        compressor,
        out,
        batch,
        asked,
        unsettled,
        in_pieces: 0,
        parts: None,
        made: None,
    };
    // The receiver knows why it ended.
    let _ = reader.run(items);
}

pub(super) struct UploadReader {
    pub(super) manner: ReaderOptions,
    pub(super) compressor: DataCompressor,
    out: mpsc::Sender<UploadMessage>,
    /// Whole requests that are not sent yet.
    batch: BytesMut,
    asked: Vec<SentRequest>,
    unsettled: UnsettledItems,
    /// The number of files in pieces so far.
    in_pieces: u64,
    /// The partial uploads on the server, as paths and sizes; `None` if the server was not asked.
    pub(super) parts: Option<HashSet<(Vec<u8>, u64)>>,
    /// The directory that was sent last; its parents were sent before.
    made: ParentDirectory,
}

impl UploadReader {
    fn run(&mut self, items: UploadItems) -> Result<(), ReceiverGone> {
        let mut items = LookedUpItems::new(items);
        while let Some((number, WorkItem { thing, again }, stored)) = items.next(self)? {
            if again {
                // The lost connection may have left a partial upload of it.
                self.parts = None;
            }
            match thing {
                UploadItem::Directory(directory) => self.directory(number, directory)?,
                UploadItem::File { from, to, follow, size, old, within } => {
                    self.make_missing(&within)?;
                    if !self.may_be_there(size, stored.as_ref())
                        && let Some(connections) = self.manner.divider.connections(size, old)
                    {
                        // From now on it is an item of all connections.
                        self.unsettled.settle(number);
                        self.manner.divider.add((from, follow), (to, within), old, connections);
                        continue;
                    }
                    self.file(number, &from, to, FileState { follow, again, old, stored })?;
                }
                UploadItem::Link { from, to, target, within } => {
                    self.make_missing(&within)?;
                    self.link(number, &from, to, target)?;
                }
                UploadItem::Filled(filled) => self.finish(number, filled)?,
                UploadItem::Skipped(failure) => self.send(UploadMessage::Skipped(number, failure))?,
                UploadItem::Failed(failure) => self.send(UploadMessage::Failed(number, failure))?,
            }
        }
        self.flush()
    }

    fn directory(&mut self, number: u64, directory: Arc<UploadDirectory>) -> Result<(), ReceiverGone> {
        self.make_missing(&directory.within)?;
        self.make(Some(number), &directory)?;
        self.made = Some(directory);
        Ok(())
    }

    /// Makes the parents that another connection also makes, or has made: files in them may be sent before its answers
    /// arrive. Making an existing directory does no harm.
    fn make_missing(&mut self, within: &ParentDirectory) -> Result<(), ReceiverGone> {
        let is_made =
            |directory: &&Arc<UploadDirectory>| upwards(&self.made).any(|made| Arc::ptr_eq(made, directory));
        let missing: Vec<&Arc<UploadDirectory>> =
            upwards(within).take_while(|directory| !is_made(directory)).collect();
        for directory in missing.into_iter().rev() {
            self.make(None, directory)?;
            self.made = Some(Arc::clone(directory));
        }
        Ok(())
    }

    fn make(&mut self, number: Option<u64>, directory: &Arc<UploadDirectory>) -> Result<(), ReceiverGone> {
        let mode = directory.mode.filter(|_| self.manner.preserve);
        let to = directory.to.clone();
        let request = Request::Mkdir { path: to.as_bytes().to_vec(), parents: false, mode };
        let what = RequestKind::Directory(Arc::clone(directory));
        self.small(&directory.from, request, SentRequest { number, to, what, failed: None })
    }

    fn finish(
        &mut self,
        number: u64,
        FilledDirectory { to, mtime }: FilledDirectory,
    ) -> Result<(), ReceiverGone> {
        let request = Request::FinishDirectory { path: to.as_bytes().to_vec(), mtime };
        let asked = SentRequest::new(number, to, RequestKind::Filled);
        self.small(Path::new(""), request, asked)
    }

    fn link(
        &mut self,
        number: u64,
        from: &Path,
        to: RemotePath,
        target: Vec<u8>,
    ) -> Result<(), ReceiverGone> {
        let request = Request::Symlink { path: to.as_bytes().to_vec(), target: target.clone() };
        self.small(from, request, SentRequest::new(number, to, RequestKind::Link(target)))
    }

    /// Adds a request without data.
    pub(super) fn small(
        &mut self,
        from: &Path,
        request: Request,
        asked: SentRequest,
    ) -> Result<(), ReceiverGone> {
        self.make_room(request.weight() + MAX_END_FRAME_BYTES)?;
        match Frame::Request(request).encode(&mut self.batch) {
            Ok(()) => {
                self.asked.push(asked);
                Ok(())
            }
            Err(error) => match asked.number {
                Some(number) => {
                    self.send(UploadMessage::Failed(number, Failure::of(path_bytes(from), error.to_string())))
                }
                None => Ok(()),
            },
        }
    }

    /// Sends a file.
    fn file(
        &mut self,
        number: u64,
        from: &Path,
        to: RemotePath,
        state: FileState,
    ) -> Result<(), ReceiverGone> {
        let source = match LocalSource::open(from, state.follow) {
            Ok(source) => source,
            Err(failure) => return self.send(UploadMessage::Failed(number, failure)),
        };
        if let Some(stored) = &state.stored
            && self.skip(number, (from, &to), &source, (stored, state.again))?
        {
            return Ok(());
        }
        if state.old != OldVersion::Unusable && self.copy(number, (from, &to), &source)? {
            return Ok(());
        }
        let request = source.request(&to, self.manner.preserve, 0);
        let whole = usize::try_from(source.size)
            .unwrap_or(usize::MAX)
            .saturating_add(request.len() + HEADER_BYTES + MAX_END_FRAME_BYTES);
        if whole > MAX_MESSAGE_BYTES || source.size >= self.manner.max_frame as u64 {
            self.flush()?;
            if state.again
                && source.is_resumable()
                && let Some(digest) = self.stored_digest(&source, &to)?
            {
                let what = RequestKind::file(source.size, Some(digest));
                return self.send(UploadMessage::Stored { asked: SentRequest::new(number, to, what) });
            }
            return self.large_file(number, from, to, source, state.old);
        }
        self.make_room(whole)?;
        let before = self.batch.len();
        self.batch.put_slice(&request);
        match source.append_whole(from, &mut self.compressor, &mut self.batch) {
            Ok(digest) => {
                let what = RequestKind::file(source.size, Some(digest));
                self.asked.push(SentRequest::new(number, to, what));
                Ok(())
            }
            Err(failure) => {
                // Nothing of it was sent, so the server is not informed.
                self.batch.truncate(before);
                self.send(UploadMessage::Failed(number, failure))
            }
        }
    }

    fn large_file(
        &mut self,
        number: u64,
        from: &Path,
        to: RemotePath,
        mut source: LocalSource,
        old: OldVersion,
    ) -> Result<(), ReceiverGone> {
        let mut known = Vec::new();
        let mut resumed = None;
        if source.is_resumable()
            && let Some(theirs) = self.part(&source, &to)?
        {
            match self.compare(&mut source, &to, theirs)? {
                Ok(agreeing) => {
                    resumed = Some(ResumeOffset(agreeing.len() as u64 * BLOCK_BYTES));
                    known = agreeing;
                }
                Err(error) => return self.send(UploadMessage::Failed(number, source.failure(from, &error))),
            }
        }
        let delta = match self.manner.delta {
            Some(limits) if limits.allow(source.size, old) => self.describe(&to)?,
            _ => None,
        };
        let (resume, preserve) = (u32::try_from(known.len()).unwrap_or(u32::MAX), self.manner.preserve);
        let bytes = match &delta {
            Some(_) => source.delta_request(&to, preserve, resume),
            None => source.request(&to, preserve, resume),
        };
        let (size, resumed_at) = (source.size, known.len() as u64 * BLOCK_BYTES);
        let what =
            RequestKind::File { size, resumed_at, digest: None, is_delta: delta.is_some(), matched: 0 };
        let asked = SentRequest::new(number, to, what);
        self.send(UploadMessage::First { bytes: bytes.freeze(), asked, resumed })?;
        self.in_pieces += 1;
        let mut file = FileInPieces::after(known, &source);
        let sent = match delta {
            Some(encoder) => self.send_delta(&mut file, encoder)?,
            None => self.send_whole(&mut file)?,
        };
        self.end(from, file, sent)
    }

    /// Sends the rest of a file's bytes.
    fn send_whole(&mut self, file: &mut FileInPieces<'_>) -> Result<io::Result<()>, ReceiverGone> {
        while file.left > 0 && self.is_wanted() {
            let piece = self.compressor.data_bytes().min(self.manner.max_frame - 1);
            let length = piece.min(usize::try_from(file.left).unwrap_or(piece));
            let mut bytes = Vec::with_capacity(HEADER_BYTES + length);
            if let Err(error) = file.source.append_data(length, &mut bytes, &mut file.hasher) {
                return Ok(Err(error));
            }
            file.left -= length as u64;
            let bytes = self.compressor.frame(bytes).into();
            self.send(UploadMessage::Piece { bytes, length: length as u64 })?;
        }
        Ok(Ok(()))
    }

    /// Whether the server has not refused the file that is sent in pieces.
    pub(super) fn is_wanted(&self) -> bool {
        self.manner.settled.load(Ordering::Relaxed) < self.in_pieces
    }

    /// Whether the sending task has ended.
    pub(super) fn is_abandoned(&self) -> bool {
        self.out.is_closed()
    }

    fn end(&mut self, from: &Path, file: FileInPieces<'_>, sent: io::Result<()>) -> Result<(), ReceiverGone> {
        let FileInPieces { source, hasher, matched, .. } = file;
        let (digest, size) = (hasher.finish(), source.size);
        let is_wanted = || !self.out.is_closed();
        let failure = match sent {
            Ok(()) => source.check_unchanged(from, digest, is_wanted),
            Err(error) => Err(source.failure(from, &error)),
        };
        let (end, failed) = match failure {
            Ok(()) => (End { status: Status::Done, message: String::new(), digest, size }, None),
            Err(failure) => {
                let status = failure.status.unwrap_or(Status::Failed);
                let message = "the source could not be read to its end as it was at its beginning".into();
                (End { status, message, digest, size }, Some(failure))
            }
        };
        let mut bytes = BytesMut::new();
        // A frame of this size is always sendable.
        let _ = Frame::End(end).encode(&mut bytes);
        self.send(UploadMessage::Last { bytes: bytes.freeze(), digest, matched, failed })
    }

    /// Asks the server, and waits for the answer.
    pub(super) fn ask(&mut self, request: Request) -> Result<QuestionAnswer, ReceiverGone> {
        self.question(request)?.blocking_recv().map_err(|_| ReceiverGone)
    }

    /// Asks the server. The answer arrives later.
    pub(super) fn question(
        &mut self,
        request: Request,
    ) -> Result<oneshot::Receiver<QuestionAnswer>, ReceiverGone> {
        let mut bytes = BytesMut::new();
        // Paths are at most 4,095 bytes long, and lists of them are limited, so the frame is always sendable.
        let _ = Frame::Request(request).encode(&mut bytes);
        let (answer, answered) = oneshot::channel();
        self.send(UploadMessage::Question { bytes: bytes.freeze(), answer })?;
        Ok(answered)
    }

    /// Sends the batch if `more` bytes would not fit into the message.
    fn make_room(&mut self, more: usize) -> Result<(), ReceiverGone> {
        if self.batch.len() + more > MAX_MESSAGE_BYTES || self.asked.len() >= self.manner.max_requests {
            self.flush()?;
        }
        if self.batch.capacity() == 0 {
            self.batch.reserve(MAX_MESSAGE_BYTES);
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<(), ReceiverGone> {
        if self.asked.is_empty() {
            return Ok(());
        }
        let bytes = std::mem::take(&mut self.batch).freeze();
        let asked = std::mem::take(&mut self.asked);
        self.send(UploadMessage::Whole { bytes, asked })
    }

    pub(super) fn send(&mut self, message: UploadMessage) -> Result<(), ReceiverGone> {
        self.out.blocking_send(message).map_err(|_| ReceiverGone)
    }
}

#[cfg(test)]
mod tests;
