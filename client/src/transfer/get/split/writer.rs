//! Writes runs of divided files, and verifies their blocks.

use super::file::SplitPart;
use super::run::{BlockVerdict, TakenRun};
use super::state::CompleteFile;
use crate::transfer::block_pool::block_bytes;
use crate::transfer::get::name_reservations::NameReservations;
use crate::transfer::get::plan::Plan;
use crate::transfer::get::publish::{Publisher, VerifiedFile};
use crate::transfer::get::sink::MergeBuffer;
use crate::transfer::get::write_error::{is_full, written};
use crate::transfer::get::write_queue::EventWriter;
use crate::transfer::local::begin_writeback;
use crate::transfer::{
    CONTENT_DIFFERS, Failure, ProgressDisplay, ResumedFile, TransferOptions, TransferSummary,
};
use bytes::Bytes;
use sshome_wire::{BLOCK_BYTES, BlockHasher, Digest, Status};
use std::collections::VecDeque;
use std::io;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// The parts of the answers to gets of runs, in order.
pub(super) enum RangeEvent {
    /// A run begins.
    Begin(Arc<TakenRun>),
    Data(Bytes),
    /// The server's digests of the next blocks.
    Digests(Vec<Digest>),
    /// The run is complete.
    End,
    /// The run ends early.
    Abort,
}

/// Writes runs at their offsets, and publishes files of which all blocks are right.
pub(super) struct RangeWriter {
    plan: Arc<Plan>,
    full: Arc<AtomicBool>,
    progress: ProgressDisplay,
    current: Option<ArrivingRun>,
    publisher: Publisher,
}

/// The run that is being written.
struct ArrivingRun {
    run: Arc<TakenRun>,
    /// The blocks whose digests have not arrived.
    blocks: Range<usize>,
    part: Arc<SplitPart>,
    buffer: MergeBuffer,
    /// The offset in the file at which it is written, in bytes.
    position: u64,
    hasher: BlockHasher,
    /// The digests of blocks that were written, and not verified yet.
    digests: VecDeque<Digest>,
}

impl EventWriter for RangeWriter {
    type Event = RangeEvent;
    type Output = TransferSummary;

    fn take(&mut self, event: RangeEvent) {
        match event {
            RangeEvent::Begin(run) => self.current = run.file.part().map(|part| ArrivingRun::new(run, part)),
            RangeEvent::Data(data) => self.data(&data),
            RangeEvent::Digests(digests) => digests.into_iter().for_each(|digest| self.verify(digest)),
            RangeEvent::End => self.end(),
            RangeEvent::Abort => self.current = None,
        }
    }

    fn finish(self) -> TransferSummary {
        self.publisher.finish()
    }
}

impl RangeWriter {
    pub(super) fn new(
        plan: Arc<Plan>,
        options: TransferOptions,
        reservations: Arc<NameReservations>,
        full: Arc<AtomicBool>,
        progress: ProgressDisplay,
    ) -> RangeWriter {
        let publisher = Publisher::new(Arc::clone(&plan), options, reservations, progress.observer());
        RangeWriter { plan, full, progress, current: None, publisher }
    }

    fn data(&mut self, data: &[u8]) {
        let Some(current) = &mut self.current else { return };
        if let Err(error) = current.write(data) {
            self.full.fetch_or(is_full(&error), Ordering::Relaxed);
            let failure = self.plan.failure(current.run.file.number, written(&error));
            self.fail(failure, !is_full(&error));
        }
    }

    /// Compares the next block with the server's digest.
    fn verify(&mut self, theirs: Digest) {
        let Some(current) = &mut self.current else { return };
        let Some(block) = current.blocks.next() else { return self.differs() };
        let ours = match current.run.is_check {
            true => None,
            false => match current.next_digest() {
                Ok(Some(ours)) => Some(ours),
                Ok(None) => return self.differs(),
                Err(error) => {
                    self.full.fetch_or(is_full(&error), Ordering::Relaxed);
                    let failure = self.plan.failure(current.run.file.number, written(&error));
                    return self.fail(failure, !is_full(&error));
                }
            },
        };
        let run = Arc::clone(&current.run);
        let verdict = run.verify(block, theirs, ours);
        if let Some(resumed) = run.take_resumed() {
            self.progress.resume_at(&run.file.path, resumed);
            self.publisher.summary.resumed.push(ResumedFile::of(&run.file.path, resumed));
        }
        let length = block_bytes(run.version.size, block);
        match verdict {
            BlockVerdict::Right => {}
            BlockVerdict::Differs { counted } => self.progress.rewind_shared(counted),
            BlockVerdict::Stale if run.is_check => {}
            BlockVerdict::Stale => self.progress.rewind_shared(length),
            BlockVerdict::Wrong => self.differs(),
            BlockVerdict::Complete(file) => {
                self.current = None;
                self.complete(&run, *file);
            }
        }
    }

    fn end(&mut self) {
        if let Some(current) = &self.current
            && !current.blocks.is_empty()
        {
            self.differs();
        }
        self.current = None;
    }

    /// Publishes a file of which all blocks are right.
    fn complete(&mut self, run: &TakenRun, complete: CompleteFile) {
        self.progress.end_shared_file();
        run.file.forget_part();
        let number = run.file.number;
        if complete.stored.is_some_and(|stored| stored != complete.digest) {
            let failure = self.plan.refused(number, Status::DigestMismatch, CONTENT_DIFFERS);
            return self.discard(number, &complete.part, failure);
        }
        match self.seal(number, &complete) {
            Ok(verified) => self.publisher.add(verified),
            Err(error) => {
                let failure = self.plan.failure(number, written(&error));
                self.discard(number, &complete.part, failure);
            }
        }
    }

    fn seal(&mut self, number: usize, complete: &CompleteFile) -> io::Result<VerifiedFile> {
        let place = self.plan.files.get(number).ok_or(io::ErrorKind::NotFound)?.place;
        let directory = self.publisher.store.directory(place)?;
        let handle = complete.part.handle.try_clone()?;
        self.publisher.dress(number, (complete.mode, complete.mtime), &directory, &handle)?;
        let CompleteFile { size, digest, resumed, .. } = *complete;
        let part = complete.part.name.clone();
        Ok(VerifiedFile { file: number, size, digest, offset: resumed, directory, part, handle })
    }

    /// The data are not those that the server says to have sent.
    fn differs(&mut self) {
        let Some(current) = &self.current else { return };
        let number = current.run.file.number;
        self.fail(self.plan.refused(number, Status::DigestMismatch, CONTENT_DIFFERS), true);
    }

    /// Ends the current file as a failure, unless another connection has ended it.
    fn fail(&mut self, failure: Failure, discard: bool) {
        let Some(current) = self.current.take() else { return };
        if !current.run.file.finish() {
            return;
        }
        self.progress.end_shared_file();
        match discard {
            true => {
                current.run.file.forget_part();
                self.discard(current.run.file.number, &current.part, failure);
            }
            false => self.publisher.summary.failures.push(failure),
        }
    }

    fn discard(&mut self, number: usize, part: &SplitPart, failure: Failure) {
        if let Some(file) = self.plan.files.get(number)
            && let Ok(directory) = self.publisher.store.directory(file.place)
        {
            // The next get of this name removes what remains.
            let _ = directory.remove(&part.name);
        }
        self.publisher.summary.failures.push(failure);
    }
}

impl ArrivingRun {
    fn new(run: Arc<TakenRun>, part: Arc<SplitPart>) -> ArrivingRun {
        let (blocks, first) = (run.blocks.clone(), run.blocks.start as u64);
        ArrivingRun {
            run,
            blocks,
            part,
            buffer: MergeBuffer::default(),
            position: first.saturating_mul(BLOCK_BYTES),
            hasher: BlockHasher::at(first),
            digests: VecDeque::new(),
        }
    }

    fn write(&mut self, data: &[u8]) -> io::Result<()> {
        let mut buffer = std::mem::take(&mut self.buffer);
        let written = buffer.push(data, u64::MAX, |data| self.write_out(data));
        self.buffer = buffer;
        written
    }

    fn write_out(&mut self, data: &[u8]) -> io::Result<()> {
        // What is beyond the run is refused when its digest arrives.
        let end = (self.run.blocks.end as u64).saturating_mul(BLOCK_BYTES).min(self.run.version.size);
        let room = usize::try_from(end.saturating_sub(self.position)).unwrap_or(usize::MAX);
        let inside = data.get(..room.min(data.len())).unwrap_or_default();
        self.run.write(&self.part, self.position, inside)?;
        self.hasher.update(data);
        self.position = self.position.saturating_add(data.len() as u64);
        self.digests.extend(self.hasher.take_blocks());
        Ok(())
    }

    /// The digest of the next block that was written, if it is complete.
    fn next_digest(&mut self) -> io::Result<Option<Digest>> {
        let mut buffer = std::mem::take(&mut self.buffer);
        buffer.flush(|data| self.write_out(data))?;
        self.buffer = buffer;
        if self.digests.is_empty() && self.position >= self.run.version.size {
            self.digests.extend(self.hasher.subtrees());
        }
        let digest = self.digests.pop_front();
        begin_writeback(&self.part.handle, self.position.saturating_sub(BLOCK_BYTES), BLOCK_BYTES);
        Ok(digest)
    }
}
