//! Writes files to the local disk and verifies them.

use super::local_part::LocalPart;
use super::local_version::LocalVersion;
use super::name_reservations::NameReservations;
use super::plan::Plan;
use super::publish::{Publisher, VerifiedFile};
use super::sink::PartFile;
use super::write_error::{is_full, written};
use super::write_queue::EventWriter;
use crate::transfer::{CONTENT_DIFFERS, Failure, Observer, ResumedFile, TransferOptions, TransferSummary};
use bytes::Bytes;
use sshome_wire::{CopyRange, End, Header, Status};
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// The parts of the answers to gets, in order.
pub(super) enum WriteEvent {
    /// A file begins.
    Begin(ArrivingHeader),
    /// Bytes of it.
    Data(Bytes),
    /// A range of its old version.
    Copy(CopyRange),
    /// Its end.
    End(End),
}

/// The beginning of a file.
pub(super) struct ArrivingHeader {
    /// Its number in the plan.
    pub(super) file: usize,
    pub(super) header: Header,
    /// Its partial download, if there is one.
    pub(super) known: Option<LocalPart>,
    /// Its old version, if it was requested as a delta.
    pub(super) old: Option<LocalVersion>,
}

/// What became of the files.
pub(super) struct WriteResult {
    pub(super) summary: TransferSummary,
    /// Files whose delta was of no use, to be requested as a whole, with the bytes that have counted as transferred.
    pub(super) whole: Vec<(usize, u64)>,
}

/// Writes files, verifies them and passes them to the publisher.
pub(super) struct DownloadWriter {
    plan: Arc<Plan>,
    full: Arc<AtomicBool>,
    current: Option<ArrivingFile>,
    /// Files whose delta was of no use, with the bytes that have counted as transferred.
    whole: Vec<(usize, u64)>,
    publisher: Publisher,
}

/// The file that is being written.
struct ArrivingFile {
    file: usize,
    header: Header,
    /// The local file, or why there is none: then the data are dropped.
    sink: Result<PartFile, Failure>,
    /// Bytes that exist, from the first on.
    received: u64,
    old: Option<LocalVersion>,
    /// Bytes that were copied from it.
    copied: u64,
}

impl EventWriter for DownloadWriter {
    type Event = WriteEvent;
    type Output = WriteResult;

    fn take(&mut self, event: WriteEvent) {
        match event {
            WriteEvent::Begin(begun) => self.begin(begun),
            WriteEvent::Data(data) => self.data(&data),
            WriteEvent::Copy(range) => self.copy(range),
            WriteEvent::End(end) => self.end(&end),
        }
    }

    /// Publishes whole files, and keeps partial downloads that can be resumed.
    fn finish(mut self) -> WriteResult {
        if let Some(ArrivingFile { sink: Ok(sink), .. }) = self.current.take() {
            sink.keep();
        }
        WriteResult { summary: self.publisher.finish(), whole: self.whole }
    }
}

impl DownloadWriter {
    /// A writer for the plan's files, whose directories exist. It sets `full` if the disk is full, and reports
    /// published files to an observer.
    pub(super) fn new(
        plan: Arc<Plan>,
        options: TransferOptions,
        reservations: Arc<NameReservations>,
        full: Arc<AtomicBool>,
        observer: Option<Arc<dyn Observer>>,
    ) -> DownloadWriter {
        let publisher = Publisher::new(Arc::clone(&plan), options, reservations, observer);
        DownloadWriter { plan, full, current: None, whole: Vec::new(), publisher }
    }

    fn begin(&mut self, ArrivingHeader { file, header, known, old }: ArrivingHeader) {
        let received = header.offset;
        let sink = self.open(file, &header, known);
        self.current = Some(ArrivingFile { file, header, sink, received, old, copied: 0 });
    }

    fn open(&mut self, file: usize, header: &Header, known: Option<LocalPart>) -> Result<PartFile, Failure> {
        let plan = Arc::clone(&self.plan);
        let planned = plan.files.get(file).ok_or_else(|| Failure::of(b"?", "it was not requested"))?;
        let full = Arc::clone(&self.full);
        let failed = |error: io::Error| {
            full.fetch_or(is_full(&error), Ordering::Relaxed);
            plan.failure(file, written(&error))
        };
        if let Some(known) = known {
            let directory = self.publisher.store.directory(planned.place).map_err(failed)?;
            let resumed = ResumedFile::of(&plan.remote_bytes(file), header.offset);
            if let Some(sink) = PartFile::resume(directory, known, header).map_err(failed)? {
                self.publisher.summary.resumed.push(resumed);
                return Ok(sink);
            }
        }
        if header.offset != 0 {
            return Err(plan.failure(file, "the server began in the middle of the file"));
        }
        let (place, name) = (planned.place, planned.local_name());
        let mut opened = self.publisher.store.create(place, name);
        if opened.is_err() && !self.publisher.is_empty() {
            // There may be too many open files.
            self.publisher.publish();
            opened = self.publisher.store.create(place, name);
        }
        let (directory, part, handle) = opened.map_err(failed)?;
        Ok(PartFile::new(directory, part, handle))
    }

    fn data(&mut self, data: &[u8]) {
        let Some(current) = &mut self.current else { return };
        current.received = current.received.saturating_add(data.len() as u64);
        let Ok(sink) = &mut current.sink else { return };
        let file = current.file;
        if current.received > current.header.size {
            let failure = self.plan.failure(file, "the server sent more than it announced");
            return self.give_up(failure, PartFile::discard);
        }
        if let Err(error) = sink.write(data, current.header.size) {
            let failure = self.failed(file, &error);
            self.give_up(failure, if is_full(&error) { PartFile::keep } else { PartFile::discard });
        }
    }

    /// Copies a range of the old version. If that fails, the data that follow do not give the file: its digest tells.
    fn copy(&mut self, range: CopyRange) {
        let old = self.current.as_mut().and_then(|current| current.old.take());
        let Some(mut old) = old else {
            if let Some(file) = self.current.as_ref().map(|current| current.file) {
                let failure = self.plan.failure(file, "the server copies from a file that was not described");
                self.give_up(failure, PartFile::discard);
            }
            return;
        };
        // Errors of the new version are noted by `data`.
        let _ = old.copy(range, |data| {
            self.data(data);
            Ok(())
        });
        if let Some(current) = &mut self.current {
            current.copied = current.copied.saturating_add(range.length);
            current.old = Some(old);
        }
    }

    /// The failure of a file that cannot be written. A full disk ends the get.
    fn failed(&self, file: usize, error: &io::Error) -> Failure {
        self.full.fetch_or(is_full(error), Ordering::Relaxed);
        self.plan.failure(file, written(error))
    }

    /// Ends the current file as a failure; the rest of its data is dropped.
    fn give_up(&mut self, failure: Failure, end: fn(PartFile)) {
        if let Some(current) = &mut self.current
            && let Ok(sink) = std::mem::replace(&mut current.sink, Err(failure))
        {
            end(sink);
        }
    }

    fn end(&mut self, end: &End) {
        let Some(current) = self.current.take() else { return };
        let ArrivingFile { file, header, sink, received, old, copied } = current;
        match sink.and_then(|sink| self.stage(file, &header, sink, (received, end))) {
            Ok(staged) => {
                self.publisher.summary.matched += copied;
                self.publisher.add(staged);
            }
            // A chunk was mistaken for another, or the old version was changed.
            Err(failure) if old.is_some() && failure.status == Some(Status::DigestMismatch) => {
                self.whole.push((file, received));
            }
            Err(failure) => self.publisher.summary.failures.push(failure),
        }
    }

    /// Verifies a complete file, and sets its attributes.
    fn stage(
        &mut self,
        file: usize,
        header: &Header,
        mut sink: PartFile,
        (received, end): (u64, &End),
    ) -> Result<VerifiedFile, Failure> {
        let whole = [header.size, end.size].iter().all(|size| *size == received);
        let checked = match sink.finish() {
            _ if end.status == Status::Cancelled => {
                sink.keep();
                return Err(self.plan.refused(file, end.status, &end.message));
            }
            _ if end.status != Status::Done => Err(self.plan.refused(file, end.status, &end.message)),
            Err(error) => Err(self.failed(file, &error)),
            Ok(digest) if digest != end.digest || !whole => {
                Err(self.plan.refused(file, Status::DigestMismatch, CONTENT_DIFFERS))
            }
            Ok(_) => self
                .publisher
                .dress(file, (header.mode, header.mtime), &sink.directory, &sink.handle)
                .map_err(|error| self.plan.failure(file, written(&error))),
        };
        if let Err(failure) = checked {
            sink.discard();
            return Err(failure);
        }
        let PartFile { directory, part, handle, .. } = sink;
        let (size, digest, offset) = (end.size, end.digest, header.offset);
        Ok(VerifiedFile { file, size, digest, offset, directory, part, handle })
    }
}
