//! The thread that reads what a put sends: it makes frames of it, many small files to a message.

use super::walk::{Item, Walk, unreadable};
use crate::transfer::{Failure, local, path_bytes};
use bytes::{BufMut, Bytes, BytesMut};
use sshome_wire::frame::{HEAD, data_head};
use sshome_wire::{Digest, End, Frame, Put, RemotePath, Request, Status};
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::sync::mpsc;

/// Messages are up to this long, in bytes.
const MESSAGE: usize = 256 << 10;

/// What a frame that ends a file takes, and more, in bytes.
const END: usize = 512;

/// A message for the server, or a word for the user.
#[derive(Debug)]
pub(super) enum Message {
    /// Whole requests.
    Whole { bytes: Bytes, asked: Vec<Asked> },
    /// The request of a file that comes in pieces: `Piece`s, then a `Last`.
    First { bytes: Bytes, asked: Asked },
    /// Some of that file's bytes.
    Piece { bytes: Bytes, length: u64 },
    /// The end of it, its digest, and why it is to be thrown away, if it is.
    Last { bytes: Bytes, digest: Digest, failed: Option<Failure> },
    /// Something was left out.
    Skipped(Failure),
    /// Something could not be sent.
    Failed(Failure),
}

/// What a request is about, until its answer comes.
#[derive(Debug)]
pub(super) struct Asked {
    /// The path on the server.
    pub(super) to: RemotePath,
    /// The length of a file in bytes; none for a directory.
    pub(super) size: Option<u64>,
    /// The digest of a file, once it has been read.
    pub(super) digest: Option<Digest>,
    /// Why we have ended it ourselves; it says more than the server's answer to that.
    pub(super) failed: Option<Failure>,
}

impl Asked {
    fn directory(to: RemotePath) -> Asked {
        Asked { to, size: None, digest: None, failed: None }
    }

    fn file(to: RemotePath, size: u64, digest: Option<Digest>) -> Asked {
        Asked { to, size: Some(size), digest, failed: None }
    }
}

/// Limits and wishes that the reader keeps to.
#[derive(Clone, Debug)]
pub(super) struct Manner {
    /// The longest frame, counted from the kind on, in bytes.
    pub(super) max_frame: usize,
    /// How many requests may be in one message.
    pub(super) max_requests: usize,
    /// Whether modes and times are sent.
    pub(super) preserve: bool,
    /// How many files in pieces the server has refused, or taken, up to now: a file of a lower
    /// number need not be read on.
    pub(super) settled: Arc<AtomicU64>,
}

/// The receiver is gone: there is nobody to read for.
struct Gone;

/// Reads everything and sends it to `out`, until there is no more or nobody wants it.
pub(super) fn read(walk: Walk, manner: Manner, out: mpsc::Sender<Message>) {
    let batch = BytesMut::new();
    let mut reader = Reader { manner, out, batch, asked: Vec::new(), in_pieces: 0 };
    let _ = reader.run(walk);
}

struct Reader {
    manner: Manner,
    out: mpsc::Sender<Message>,
    /// Whole requests that wait for more of them.
    batch: BytesMut,
    asked: Vec<Asked>,
    /// How many files in pieces there were.
    in_pieces: u64,
}

impl Reader {
    fn run(&mut self, walk: Walk) -> Result<(), Gone> {
        for item in walk {
            match item {
                Item::Directory { from, to, mode } => self.directory(&from, to, mode)?,
                Item::File { from, to, follow } => self.file(&from, to, follow)?,
                Item::Skipped(failure) => self.send(Message::Skipped(failure))?,
                Item::Failed(failure) => self.send(Message::Failed(failure))?,
            }
        }
        self.flush()
    }

    fn directory(&mut self, from: &Path, to: RemotePath, mode: Option<u32>) -> Result<(), Gone> {
        // What is put into a directory needs it to be writable.
        let mode = mode.filter(|_| self.manner.preserve).map(|mode| mode | 0o700);
        let request = Request::Mkdir { path: to.as_bytes().to_vec(), parents: false, mode };
        self.make_room(to.as_bytes().len() + END)?;
        match Frame::Request(request).encode(&mut self.batch) {
            Ok(()) => {
                self.asked.push(Asked::directory(to));
                Ok(())
            }
            Err(error) => self.send(Message::Failed(Failure::of(path_bytes(from), error.to_string()))),
        }
    }

    fn file(&mut self, from: &Path, to: RemotePath, follow: bool) -> Result<(), Gone> {
        let source = match Source::open(from, follow) {
            Ok(source) => source,
            Err(failure) => return self.send(Message::Failed(failure)),
        };
        let request = source.request(&to, self.manner.preserve);
        let whole =
            usize::try_from(source.size).unwrap_or(usize::MAX).saturating_add(request.len() + HEAD + END);
        if whole > MESSAGE || source.size >= self.manner.max_frame as u64 {
            return self.in_pieces(from, to, source, request);
        }
        self.make_room(whole)?;
        let before = self.batch.len();
        self.batch.put_slice(&request);
        match source.append_whole(from, &mut self.batch) {
            Ok(digest) => {
                self.asked.push(Asked::file(to, source.size, Some(digest)));
                Ok(())
            }
            Err(failure) => {
                // Nothing of it has been sent: the server need not know.
                self.batch.truncate(before);
                self.send(Message::Failed(failure))
            }
        }
    }

    fn in_pieces(
        &mut self,
        from: &Path,
        to: RemotePath,
        source: Source,
        request: BytesMut,
    ) -> Result<(), Gone> {
        self.flush()?;
        self.in_pieces += 1;
        let asked = Asked::file(to, source.size, None);
        self.send(Message::First { bytes: request.freeze(), asked })?;
        let mut hasher = blake3::Hasher::new();
        let mut left = source.size;
        let piece = self.manner.max_frame - 1;
        let mut failed = None;
        while left > 0 && self.manner.settled.load(Ordering::Relaxed) < self.in_pieces {
            let length = piece.min(usize::try_from(left).unwrap_or(piece));
            let mut bytes = Vec::with_capacity(HEAD + length);
            match source.append_data(length, &mut bytes, &mut hasher) {
                Ok(()) => {
                    left -= length as u64;
                    self.send(Message::Piece { bytes: bytes.into(), length: length as u64 })?;
                }
                Err(error) => {
                    failed = Some(error);
                    break;
                }
            }
        }
        let digest = Digest(*hasher.finalize().as_bytes());
        let failure =
            failed.map_or_else(|| source.check_unchanged(from), |error| Err(source.failure(from, &error)));
        let (end, failed) = match failure {
            Ok(()) => (End { status: Status::Done, message: String::new(), digest, size: source.size }, None),
            Err(failure) => {
                let status = failure.status.unwrap_or(Status::Failed);
                let message = "the source could not be read to its end as it was at its beginning".into();
                (End { status, message, digest, size: source.size }, Some(failure))
            }
        };
        let mut bytes = BytesMut::new();
        // A frame of this size is always sendable.
        let _ = Frame::End(end).encode(&mut bytes);
        self.send(Message::Last { bytes: bytes.freeze(), digest, failed })
    }

    /// Sends what has gathered, if `more` bytes would be too much for the message.
    fn make_room(&mut self, more: usize) -> Result<(), Gone> {
        if self.batch.len() + more > MESSAGE || self.asked.len() >= self.manner.max_requests {
            self.flush()?;
        }
        if self.batch.capacity() == 0 {
            self.batch.reserve(MESSAGE);
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<(), Gone> {
        if self.asked.is_empty() {
            return Ok(());
        }
        let bytes = std::mem::take(&mut self.batch).freeze();
        let asked = std::mem::take(&mut self.asked);
        self.send(Message::Whole { bytes, asked })
    }

    fn send(&mut self, message: Message) -> Result<(), Gone> {
        self.out.blocking_send(message).map_err(|_| Gone)
    }
}

/// A file that is open to be sent.
struct Source {
    file: File,
    size: u64,
    mtime: sshome_wire::Time,
    mode: Option<u32>,
}

impl Source {
    fn open(path: &Path, follow: bool) -> Result<Source, Failure> {
        let opened =
            local::open_source(path, follow).and_then(|file| file.metadata().map(|seen| (file, seen)));
        let (file, seen) = opened.map_err(|error| unreadable(path, &error))?;
        if !seen.is_file() {
            return Err(Failure::of(path_bytes(path), "it is no regular file"));
        }
        Ok(Source { file, size: seen.len(), mtime: local::mtime(&seen), mode: local::mode(&seen) })
    }

    fn request(&self, to: &RemotePath, preserve: bool) -> BytesMut {
        let put = Put {
            path: to.as_bytes().to_vec(),
            size: Some(self.size),
            mtime: preserve.then_some(self.mtime),
            mode: self.mode.filter(|_| preserve),
            source: None,
            resume: 0,
        };
        let mut bytes = BytesMut::new();
        // A path is at most 4,095 bytes long, so the frame is always sendable.
        let _ = Frame::Request(Request::Put(put)).encode(&mut bytes);
        bytes
    }

    /// Appends the frames of all its data and of its end; returns the digest.
    fn append_whole(&self, path: &Path, out: &mut BytesMut) -> Result<Digest, Failure> {
        let mut hasher = blake3::Hasher::new();
        let length = usize::try_from(self.size).unwrap_or(usize::MAX);
        if length > 0 {
            let mut data = Vec::with_capacity(HEAD + length);
            let read = self.append_data(length, &mut data, &mut hasher);
            read.map_err(|error| self.failure(path, &error))?;
            out.put_slice(&data);
        }
        self.check_unchanged(path)?;
        let digest = Digest(*hasher.finalize().as_bytes());
        let end = End { status: Status::Done, message: String::new(), digest, size: self.size };
        Frame::End(end).encode(out).map_err(|error| Failure::of(path_bytes(path), error.to_string()))?;
        Ok(digest)
    }

    /// Appends a frame of the next `length` bytes.
    fn append_data(&self, length: usize, out: &mut Vec<u8>, hasher: &mut blake3::Hasher) -> io::Result<()> {
        out.extend_from_slice(&data_head(u32::try_from(length).unwrap_or(0)));
        let begin = out.len();
        (&self.file).take(length as u64).read_to_end(out)?;
        let data = out.get(begin..).unwrap_or_default();
        if data.len() < length {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        hasher.update(data);
        Ok(())
    }

    /// Whether the file is still what it was when it was opened.
    fn check_unchanged(&self, path: &Path) -> Result<(), Failure> {
        match self.file.metadata() {
            Ok(seen) if (seen.len(), local::mtime(&seen)) == (self.size, self.mtime) => Ok(()),
            Ok(_) => Err(changed(path)),
            Err(error) => Err(unreadable(path, &error)),
        }
    }

    fn failure(&self, path: &Path, error: &io::Error) -> Failure {
        match error.kind() {
            io::ErrorKind::UnexpectedEof => changed(path),
            _ => unreadable(path, error),
        }
    }
}

fn changed(path: &Path) -> Failure {
    Failure::refused(path_bytes(path), Status::Changed, "it changed while it was read; put it again")
}

#[cfg(test)]
mod tests {
    use super::*;
    use sshome_wire::{Decoder, MAX_FRAME};

    fn manner() -> Manner {
        Manner { max_frame: MAX_FRAME as usize, max_requests: 2, preserve: false, settled: Arc::default() }
    }

    fn end_of(bytes: Bytes) -> End {
        let mut decoder = Decoder::new();
        decoder.push(bytes);
        match decoder.next().unwrap() {
            Some(Frame::End(end)) => end,
            other => panic!("not an end: {other:?}"),
        }
    }

    #[test]
    fn a_small_file_that_changes_is_not_sent() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("a");
        std::fs::write(&path, "1234").unwrap();
        for now in ["12", "123456"] {
            let source = Source::open(&path, false).unwrap();
            std::fs::write(&path, now).unwrap();
            let failure = source.append_whole(&path, &mut BytesMut::new()).unwrap_err();
            assert_eq!(failure.status, Some(Status::Changed));
        }
    }

    #[test]
    fn a_large_file_that_changes_ends_with_410() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("a");
        std::fs::write(&path, vec![1; 5 << 20]).unwrap();
        let (out, mut messages) = mpsc::channel(1);
        let walk = Walk::new(vec![(path.clone(), RemotePath::root())], false);
        let reading = std::thread::spawn(move || read(walk, manner(), out));
        assert!(matches!(messages.blocking_recv(), Some(Message::First { .. })));
        // The reader is three pieces ahead at the most, and a quarter of the file is five.
        File::options().write(true).open(&path).unwrap().set_len(5 << 18).unwrap();
        let last = std::iter::from_fn(|| messages.blocking_recv()).last();
        let Some(Message::Last { bytes, failed: Some(failure), .. }) = last else { panic!("{last:?}") };
        assert_eq!((end_of(bytes).status, failure.status), (Status::Changed, Some(Status::Changed)));
        reading.join().unwrap();
    }

    #[test]
    fn a_refused_file_is_not_read_on() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("a");
        std::fs::write(&path, vec![1; 5 << 20]).unwrap();
        let manner = manner();
        let settled = Arc::clone(&manner.settled);
        let (out, mut messages) = mpsc::channel(1);
        let walk = Walk::new(vec![(path, RemotePath::root())], false);
        let reading = std::thread::spawn(move || read(walk, manner, out));
        assert!(matches!(messages.blocking_recv(), Some(Message::First { .. })));
        settled.store(1, Ordering::Relaxed);
        assert!(std::iter::from_fn(|| messages.blocking_recv()).count() < 10);
        reading.join().unwrap();
    }
}
