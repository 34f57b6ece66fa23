//! Files on the local disk, from their first byte until they are durable under their names.

use super::plan::{Plan, Planned};
use super::store::Store;
use crate::transfer::local::{Directory, Seen, begin_writeback, open_files, set_mode, set_mtime};
use crate::transfer::{Done, Failure, Observer, Options, Summary, names};
use bytes::Bytes;
use sshome_wire::display::Escaped;
use sshome_wire::{Digest, End, Header, Status};
use std::fs::File;
use std::io::{self, Write};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Data are hashed and written in pieces of this many bytes: whole blocks of the digest's tree are
/// twice as fast as what packets happen to hold.
const BUFFER: usize = 256 << 10;

/// A file of at least this many bytes is brought to the disk by itself.
const LARGE: u64 = 8 << 20;

/// So many bytes at a time are on their way to the disk while more are received.
const WRITEBACK: u64 = 8 << 20;

/// A group of files is published when it has this many bytes.
const GROUP_BYTES: u64 = 64 << 20;

/// What is done with the answers to gets, in their order.
pub(super) enum Event {
    /// A file of the plan begins.
    Begin(usize, Header),
    /// Some of its bytes.
    Data(Bytes),
    /// It ends.
    End(End),
}

/// Writes files, checks them and publishes them in groups.
pub(super) struct Writer {
    plan: Arc<Plan>,
    options: Options,
    full: Arc<AtomicBool>,
    store: Store,
    current: Option<Current>,
    group: Vec<Staged>,
    group_bytes: u64,
    /// Handles that the group holds open.
    group_handles: usize,
    most_handles: usize,
    observer: Option<Arc<dyn Observer>>,
    summary: Summary,
}

/// The file that is being written.
struct Current {
    file: usize,
    header: Header,
    /// Where it goes, or why it cannot: then its data are dropped.
    sink: Result<Sink, Failure>,
    received: u64,
}

/// An unfinished file.
struct Sink {
    directory: Rc<Directory>,
    part: Vec<u8>,
    handle: File,
    hasher: blake3::Hasher,
    buffer: Vec<u8>,
    written: u64,
    /// How many bytes are on their way to the disk.
    written_back: u64,
}

/// A file that is whole and verified, but not yet under its name.
struct Staged {
    file: usize,
    size: u64,
    digest: Digest,
    /// Where its data began.
    offset: u64,
    directory: Rc<Directory>,
    part: Vec<u8>,
    /// Open until it is published: its lock keeps other clients away.
    handle: File,
}

impl Writer {
    /// A writer of the plan's files, whose directories are there. It raises `full` when the disk is, and
    /// tells an observer of what is published.
    pub(super) fn new(
        plan: Arc<Plan>,
        options: Options,
        full: Arc<AtomicBool>,
        observer: Option<Arc<dyn Observer>>,
    ) -> Writer {
        let store = Store::new(Arc::clone(&plan));
        Writer {
            plan,
            options,
            full,
            store,
            current: None,
            group: Vec::new(),
            group_bytes: 0,
            group_handles: 0,
            // The rest is for everything else.
            most_handles: open_files() / 2,
            observer,
            summary: Summary::default(),
        }
    }

    /// Takes the next event.
    pub(super) fn take(&mut self, event: Event) {
        match event {
            Event::Begin(file, header) => self.begin(file, header),
            Event::Data(data) => self.data(&data),
            Event::End(end) => self.end(&end),
        }
    }

    /// Publishes what is whole, removes what is not, and tells what became of everything.
    pub(super) fn finish(mut self) -> Summary {
        if let Some(Current { sink: Ok(sink), .. }) = self.current.take() {
            sink.discard();
        }
        self.publish();
        self.summary
    }

    fn begin(&mut self, file: usize, header: Header) {
        let sink = self.open(file, &header);
        self.current = Some(Current { file, header, sink, received: 0 });
    }

    fn open(&mut self, file: usize, header: &Header) -> Result<Sink, Failure> {
        let planned = self.plan.files.get(file).ok_or_else(|| Failure::of(b"?", "nobody asked for it"))?;
        if header.offset != 0 {
            return Err(self.failure(file, "the server began in the middle of the file"));
        }
        let part = names::part(planned.local_name());
        let place = planned.place;
        let mut opened = self.store.create(place, &part, header.mode);
        if opened.is_err() && !self.group.is_empty() {
            // Another source of the same name may be in the group, or too many files open for it.
            self.publish();
            opened = self.store.create(place, &part, header.mode);
        }
        let (directory, handle) = opened.map_err(|error| self.failure(file, written(&error)))?;
        let (hasher, buffer) = (blake3::Hasher::new(), Vec::new());
        Ok(Sink { directory, part, handle, hasher, buffer, written: 0, written_back: 0 })
    }

    fn data(&mut self, data: &[u8]) {
        let Some(current) = &mut self.current else { return };
        current.received += data.len() as u64;
        let Ok(sink) = &mut current.sink else { return };
        let taken = if current.received > current.header.size {
            Err("the server sent more than it announced".to_owned())
        } else {
            sink.write(data, current.header.size).map_err(|error| {
                let is_full =
                    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded);
                self.full.fetch_or(is_full, Ordering::Relaxed);
                written(&error)
            })
        };
        let file = current.file;
        if let Err(why) = taken {
            let failure = self.failure(file, why);
            self.give_up(failure);
        }
    }

    /// Ends the current file as a failure; what still comes of it is dropped.
    fn give_up(&mut self, failure: Failure) {
        if let Some(current) = &mut self.current
            && let Ok(sink) = std::mem::replace(&mut current.sink, Err(failure))
        {
            sink.discard();
        }
    }

    fn end(&mut self, end: &End) {
        let Some(current) = self.current.take() else { return };
        let Current { file, header, sink, .. } = current;
        let staged = sink.and_then(|sink| self.stage(file, &header, sink, end));
        match staged {
            Ok(staged) => {
                let size = staged.size;
                let last = self.group.last().map(|last| &last.directory);
                let is_shared = last.is_some_and(|last| Rc::ptr_eq(last, &staged.directory));
                self.group_handles += if is_shared { 1 } else { 2 };
                self.group_bytes += size;
                self.group.push(staged);
                let is_full = self.group_bytes >= GROUP_BYTES || self.group_handles >= self.most_handles;
                if size >= LARGE || is_full {
                    self.publish();
                }
            }
            Err(failure) => self.summary.failures.push(failure),
        }
    }

    /// Checks a file that has come to its end, and gives it its attributes.
    fn stage(&mut self, file: usize, header: &Header, mut sink: Sink, end: &End) -> Result<Staged, Failure> {
        let checked = match sink.flush() {
            _ if end.status.is_error() => Err(self.refused(file, end.status, &end.message)),
            Err(error) => Err(self.failure(file, written(&error))),
            Ok(digest) if digest != end.digest || header.size != end.size => Err(self.refused(
                file,
                Status::DigestMismatch,
                "what arrived is not what was sent; get it again",
            )),
            Ok(_) => self.dress(file, header, &sink).map_err(|error| self.failure(file, written(&error))),
        };
        if let Err(failure) = checked {
            sink.discard();
            return Err(failure);
        }
        let Sink { directory, part, handle, .. } = sink;
        let (size, digest, offset) = (end.size, end.digest, header.offset);
        Ok(Staged { file, size, digest, offset, directory, part, handle })
    }

    /// Sets mode and time: the server's if they are to be preserved, else the mode of the file
    /// that is replaced.
    fn dress(&self, file: usize, header: &Header, sink: &Sink) -> io::Result<()> {
        if self.options.preserve {
            set_mode(&sink.handle, header.mode & 0o777)?;
            set_mtime(&sink.handle, header.mtime)?;
        } else if self.options.force
            && let Some(planned) = self.plan.files.get(file)
            && let Some(Seen::File { mode, .. }) = sink.directory.look(planned.local_name(), false)?
        {
            set_mode(&sink.handle, mode)?;
        }
        Ok(())
    }

    /// Brings the group to the disk, then gives its files their names, then brings those to the disk.
    fn publish(&mut self) {
        (self.group_bytes, self.group_handles) = (0, 0);
        let group = std::mem::take(&mut self.group);
        let group = super::store::sync_files(group, |staged| (&staged.directory, &staged.handle));
        let mut published = Vec::new();
        for (staged, synced) in group {
            let named = synced.map_err(|error| written(&error)).and_then(|()| self.name(&staged));
            match named {
                Ok(name) => {
                    self.store.touched(&staged.directory);
                    published.push((staged, name));
                }
                Err(why) => {
                    let _ = staged.directory.remove(&staged.part);
                    self.summary.failures.push(self.failure(staged.file, why));
                }
            }
        }
        let synced = self.store.sync_names();
        for (staged, name) in published {
            match &synced {
                Ok(()) => self.report(&staged, name),
                Err(error) => self.summary.failures.push(self.failure(staged.file, written(error))),
            }
        }
    }

    /// Renames a file to its name, or beside a different one that has it; says which it was.
    fn name(&self, staged: &Staged) -> Result<Option<Vec<u8>>, String> {
        let planned = self.plan.files.get(staged.file).ok_or("it is not in the plan")?;
        let name = planned.local_name();
        let directory = &staged.directory;
        let put = |name: &[u8]| match directory.look(name, false) {
            Ok(Some(Seen::Directory)) => Err(in_the_way(name)),
            Ok(_) => directory.publish(&staged.part, name).map_err(|error| written(&error)),
            Err(error) => Err(written(&error)),
        };
        if self.options.force {
            return put(name).map(|()| None);
        }
        match directory.publish_new(&staged.part, name) {
            Ok(true) => Ok(None),
            Ok(false) if matches!(directory.look(name, false), Ok(Some(Seen::Directory))) => {
                Err(in_the_way(name))
            }
            Ok(false) => put(&names::new(name)).map(|()| Some(names::new(name))),
            Err(error) => Err(written(&error)),
        }
    }

    fn report(&mut self, staged: &Staged, saved: Option<Vec<u8>>) {
        self.summary.files += 1;
        self.summary.bytes += staged.size;
        let Some(planned) = self.plan.files.get(staged.file) else { return };
        let Some(place) = self.plan.places.get(planned.place) else { return };
        let wanted = self.plan.local(planned);
        let saved = saved.map(|saved| place.path(&saved));
        if let Some(observer) = &self.observer {
            observer.done(&Done {
                remote: &self.remote(staged.file),
                local: Some(saved.as_ref().unwrap_or(&wanted)),
                size: staged.size,
                digest: Some(staged.digest),
                resumed_at: staged.offset,
                status: Status::Done,
            });
        }
        if let Some(saved) = saved {
            self.summary.saved_as.push(crate::transfer::SavedAs { wanted, saved });
        }
    }

    fn failure(&self, file: usize, why: impl Into<String>) -> Failure {
        Failure::of(&self.remote(file), why)
    }

    fn refused(&self, file: usize, status: Status, message: &str) -> Failure {
        Failure::refused(&self.remote(file), status, message)
    }

    fn remote(&self, file: usize) -> Vec<u8> {
        let remote = self.plan.files.get(file).map(|planned: &Planned| self.plan.remote(planned));
        remote.and_then(Result::ok).map(|path| path.as_bytes().to_vec()).unwrap_or_default()
    }
}

impl Sink {
    fn write(&mut self, mut data: &[u8], announced: u64) -> io::Result<()> {
        if self.buffer.capacity() == 0 {
            // A small file's buffer is as long as the file; nothing is allocated for what is announced.
            self.buffer.reserve_exact(usize::try_from(announced).unwrap_or(BUFFER).min(BUFFER));
        }
        while !data.is_empty() {
            let (now, rest) = data.split_at(data.len().min(BUFFER - self.buffer.len()));
            self.buffer.extend_from_slice(now);
            data = rest;
            if self.buffer.len() == BUFFER {
                self.write_buffer()?;
            }
        }
        Ok(())
    }

    fn flush(&mut self) -> io::Result<Digest> {
        self.write_buffer()?;
        Ok(Digest(*self.hasher.finalize().as_bytes()))
    }

    fn write_buffer(&mut self) -> io::Result<()> {
        self.hasher.update(&self.buffer);
        self.handle.write_all(&self.buffer)?;
        self.written += self.buffer.len() as u64;
        self.buffer.clear();
        if self.written - self.written_back >= WRITEBACK {
            begin_writeback(&self.handle, self.written_back, self.written - self.written_back);
            self.written_back = self.written;
        }
        Ok(())
    }

    fn discard(self) {
        // What stays behind is thrown away by the next get of this name.
        let _ = self.directory.remove(&self.part);
    }
}

/// A local failure, in words.
fn written(error: &io::Error) -> String {
    format!("cannot write it here: {error}")
}

fn in_the_way(name: &[u8]) -> String {
    format!("a directory has the name {} here; move it away", Escaped(name))
}
