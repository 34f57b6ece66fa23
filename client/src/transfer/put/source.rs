//! A local file that is uploaded.

use super::walk::unreadable;
use crate::transfer::local::{self, Version};
use crate::transfer::{Failure, path_bytes};
use bytes::{BufMut, BytesMut};
use sshome_ssh::DataCompressor;
use sshome_wire::frame::{HEADER_BYTES, data_head};
use sshome_wire::{
    BLOCK_BYTES, BlockHasher, Digest, End, Entry, FileKind, Frame, Put, RemotePath, Request, Status,
    StoredFile, Time,
};
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

/// The size of a read, in bytes.
const READ_BYTES: usize = 256 << 10;

/// An open file to be uploaded.
#[derive(Debug)]
pub(super) struct LocalSource {
    file: File,
    pub(super) size: u64,
    pub(super) mtime: Time,
    version: Version,
    mode: Option<u32>,
}

impl LocalSource {
    pub(super) fn open(path: &Path, follow: bool) -> Result<LocalSource, Failure> {
        let opened =
            local::open_source(path, follow).and_then(|file| file.metadata().map(|seen| (file, seen)));
        let (file, seen) = opened.map_err(|error| unreadable(path, &error))?;
        if !seen.is_file() {
            return Err(Failure::of(path_bytes(path), "it is not a regular file"));
        }
        let (version, mode) = (local::version(&seen), local::mode(&seen));
        Ok(LocalSource { file, size: version.size, mtime: version.mtime, version, mode })
    }

    /// Whether an interrupted upload of it leaves a partial upload that can be resumed.
    pub(super) fn is_resumable(&self) -> bool {
        BlockHasher::knowable(self.size) > 0
    }

    /// The request that stores it. `resume` is the number of blocks that the server has.
    pub(super) fn request(&self, to: &RemotePath, preserve: bool, resume: u32) -> BytesMut {
        encoded(Request::Put(self.put(to, preserve, resume)))
    }

    /// The request that stores it as the difference to an old version.
    pub(super) fn delta_request(&self, to: &RemotePath, preserve: bool, resume: u32) -> BytesMut {
        encoded(Request::PutDelta(self.put(to, preserve, resume)))
    }

    /// The description of an upload of it. `resume` is the number of blocks that the server has.
    pub(super) fn put(&self, to: &RemotePath, preserve: bool, resume: u32) -> Put {
        Put {
            path: to.as_bytes().to_vec(),
            size: Some(self.size),
            mtime: preserve.then_some(self.mtime),
            mode: self.mode.filter(|_| preserve),
            source: self.is_resumable().then_some(self.mtime),
            resume,
        }
    }

    /// Fills `data` from an offset on. Several threads may read at a time.
    ///
    /// # Errors
    /// If reading fails, or the file has become shorter.
    pub(super) fn read_at(&self, offset: u64, data: &mut [u8]) -> io::Result<()> {
        local::read_at(&self.file, offset, data)
    }

    /// The leading blocks of `theirs` that agree with the file. The next read continues after them. `each` gets the
    /// number of compared bytes, and returns whether to continue.
    ///
    /// # Errors
    /// If reading fails, or the file has become shorter.
    pub(super) fn agreeing(
        &mut self,
        mut theirs: Vec<Digest>,
        mut each: impl FnMut(u64) -> bool,
    ) -> io::Result<Vec<Digest>> {
        theirs.truncate(usize::try_from(BlockHasher::knowable(self.size)).unwrap_or(usize::MAX));
        let mut hasher = BlockHasher::new();
        let mut buffer = vec![0; READ_BYTES];
        // The digest of a block is final once a byte follows it.
        let mut reader = (&self.file).take(theirs.len() as u64 * BLOCK_BYTES + 1);
        let mut agreed = 0;
        while hasher.blocks().len() < theirs.len() && each(hasher.length()) {
            let read = reader.read(&mut buffer)?;
            if read == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            hasher.update(buffer.get(..read).unwrap_or_default());
            let fresh = hasher.blocks().iter().zip(&theirs).skip(agreed);
            agreed += fresh.take_while(|(ours, theirs)| ours == theirs).count();
            if agreed < hasher.blocks().len() {
                break;
            }
        }
        theirs.truncate(agreed);
        (&self.file).seek(SeekFrom::Start(theirs.len() as u64 * BLOCK_BYTES))?;
        Ok(theirs)
    }

    /// Appends the frames of its data, compressed if that pays off, and of its end. Returns the digest.
    pub(super) fn append_whole(
        &self,
        path: &Path,
        compressor: &mut DataCompressor,
        out: &mut BytesMut,
    ) -> Result<Digest, Failure> {
        let mut hasher = BlockHasher::new();
        let length = usize::try_from(self.size).unwrap_or(usize::MAX);
        if length > 0 {
            let mut data = Vec::with_capacity(HEADER_BYTES + length);
            let read = self.append_data(length, &mut data, &mut hasher);
            read.map_err(|error| self.failure(path, &error))?;
            out.put_slice(&compressor.frame(data));
        }
        let digest = hasher.finish();
        self.check_unchanged(path, digest, || true)?;
        let end = End { status: Status::Done, message: String::new(), digest, size: self.size };
        Frame::End(end).encode(out).map_err(|error| Failure::of(path_bytes(path), error.to_string()))?;
        Ok(digest)
    }

    /// Appends a frame of the next `length` bytes.
    pub(super) fn append_data(
        &self,
        length: usize,
        out: &mut Vec<u8>,
        hasher: &mut BlockHasher,
    ) -> io::Result<()> {
        out.extend_from_slice(&data_head(u32::try_from(length).unwrap_or(0)));
        self.append(length, out, hasher)
    }

    /// Appends the next `length` bytes.
    pub(super) fn append(
        &self,
        length: usize,
        out: &mut Vec<u8>,
        hasher: &mut BlockHasher,
    ) -> io::Result<()> {
        let begin = out.len();
        (&self.file).take(length as u64).read_to_end(out)?;
        let data = out.get(begin..).unwrap_or_default();
        if data.len() < length {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        hasher.update(data);
        Ok(())
    }

    /// Checks that the file has this digest and was not written to since it was opened. If only its version differs,
    /// perhaps because it was renamed or got a new mode, it is read again. That ends early, as a change, if `each`
    /// returns `false`.
    pub(super) fn check_unchanged(
        &self,
        path: &Path,
        digest: Digest,
        each: impl Fn() -> bool,
    ) -> Result<(), Failure> {
        let is_same = self.file.metadata().and_then(|seen| {
            let now = local::version(&seen);
            Ok(now == self.version || now.looks_like(&self.version) && self.read_again(each)? == Some(digest))
        });
        match is_same {
            Ok(true) => Ok(()),
            Ok(false) => Err(changed(path)),
            Err(error) => Err(unreadable(path, &error)),
        }
    }

    /// Whether an entry on the server looks as if this file was stored there: type, length, and mode and time if they
    /// are preserved.
    pub(super) fn is_like(&self, stored: &Entry, preserve: bool) -> bool {
        let is_preserved = stored.mtime == self.mtime && self.mode.is_none_or(|mode| mode == stored.mode);
        stored.kind == FileKind::File && stored.size == self.size && (is_preserved || !preserve)
    }

    /// The request that stores it with content that the server has.
    pub(super) fn copied(&self, to: &RemotePath, preserve: bool) -> Put {
        Put { source: None, ..self.put(to, preserve, 0) }
    }

    /// Its mode and time, as far as those on the server differ.
    pub(super) fn other_attributes(&self, stored: &StoredFile) -> (Option<u32>, Option<Time>) {
        let mode = self.mode.filter(|mode| *mode != stored.mode);
        (mode, Some(self.mtime).filter(|mtime| *mtime != stored.mtime))
    }

    /// Its digest; `None` if it was written to since it was opened, or `each` returned `false`. The next read begins at the
    /// start.
    pub(super) fn digest(&self, each: impl Fn() -> bool) -> io::Result<Option<Digest>> {
        let read = self.read_again(each)?;
        let now = local::version(&self.file.metadata()?);
        (&self.file).seek(SeekFrom::Start(0))?;
        Ok(read.filter(|_| now == self.version))
    }

    /// Whether the file has this digest and was not written to since it was opened. It ends early if `each` returns
    /// `false`. The next read begins at the start.
    pub(super) fn has_digest(&self, digest: Digest, each: impl Fn() -> bool) -> io::Result<bool> {
        Ok(self.digest(each)? == Some(digest))
    }

    /// The digest of the current content; `None` if `each` returned `false`.
    fn read_again(&self, each: impl Fn() -> bool) -> io::Result<Option<Digest>> {
        (&self.file).seek(SeekFrom::Start(0))?;
        let (mut hasher, mut buffer) = (BlockHasher::new(), vec![0; READ_BYTES]);
        while each() {
            match (&self.file).read(&mut buffer)? {
                0 => return Ok(Some(hasher.finish())),
                read => hasher.update(buffer.get(..read).unwrap_or_default()),
            }
        }
        Ok(None)
    }

    pub(super) fn failure(&self, path: &Path, error: &io::Error) -> Failure {
        match error.kind() {
            io::ErrorKind::UnexpectedEof => changed(path),
            _ => unreadable(path, error),
        }
    }
}

/// A file that is being sent in pieces.
pub(super) struct FileInPieces<'a> {
    pub(super) source: &'a LocalSource,
    pub(super) hasher: BlockHasher,
    /// Bytes that remain to be read.
    pub(super) left: u64,
    /// Bytes that the server copies from an old version.
    pub(super) matched: u64,
}

impl FileInPieces<'_> {
    /// What follows the blocks that the server has.
    pub(super) fn after(known: Vec<Digest>, source: &LocalSource) -> FileInPieces<'_> {
        let left = source.size.saturating_sub(known.len() as u64 * BLOCK_BYTES);
        FileInPieces { source, hasher: BlockHasher::after(known), left, matched: 0 }
    }
}

fn encoded(request: Request) -> BytesMut {
    let mut bytes = BytesMut::new();
    // A path is at most 4,095 bytes long, so the frame is always sendable.
    let _ = Frame::Request(request).encode(&mut bytes);
    bytes
}

fn changed(path: &Path) -> Failure {
    Failure::refused(path_bytes(path), Status::Changed, "it changed while it was read; repeat the command")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_small_file_that_changes_is_not_sent() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("a");
        std::fs::write(&path, "1234").unwrap();
        for now in ["12", "123456"] {
            let source = LocalSource::open(&path, false).unwrap();
            std::fs::write(&path, now).unwrap();
            let failure =
                source.append_whole(&path, &mut DataCompressor::default(), &mut BytesMut::new()).unwrap_err();
            assert_eq!(failure.status, Some(Status::Changed));
        }
    }

    /// Writes to a file and sets its time back, until the system's clock for changes has moved on.
    fn rewrite(path: &Path, content: &str) {
        let before = std::fs::metadata(path).unwrap();
        let version = local::version(&before);
        while local::version(&std::fs::metadata(path).unwrap()) == version {
            std::fs::write(path, content).unwrap();
            let file = File::options().write(true).open(path).unwrap();
            file.set_modified(before.modified().unwrap()).unwrap();
        }
        assert!(local::version(&std::fs::metadata(path).unwrap()).looks_like(&version));
    }

    #[test]
    fn a_rewritten_file_whose_time_was_set_back_is_not_sent_as_a_mixture() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("a");
        std::fs::write(&path, "old old").unwrap();
        let source = LocalSource::open(&path, false).unwrap();
        let (mut out, mut hasher) = (Vec::new(), BlockHasher::new());
        source.append_data(4, &mut out, &mut hasher).unwrap();
        rewrite(&path, "new new");
        source.append_data(3, &mut out, &mut hasher).unwrap();
        assert!(out.ends_with(b"new"));
        let failure = source.check_unchanged(&path, hasher.finish(), || true).unwrap_err();
        assert_eq!(failure.status, Some(Status::Changed));
    }

    #[test]
    fn a_file_that_was_only_renamed_is_sent() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("a");
        std::fs::write(&path, "content").unwrap();
        let source = LocalSource::open(&path, false).unwrap();
        let (mut out, mut hasher) = (Vec::new(), BlockHasher::new());
        source.append_data(7, &mut out, &mut hasher).unwrap();
        while local::version(&std::fs::metadata(&path).unwrap()) == source.version {
            std::fs::hard_link(&path, place.path().join("b")).unwrap();
            std::fs::remove_file(place.path().join("b")).unwrap();
        }
        source.check_unchanged(&path, hasher.finish(), || true).unwrap();
        assert!(source.check_unchanged(&path, hasher.finish(), || false).is_err());
        assert!(source.check_unchanged(&path, Digest([0; 32]), || true).is_err());
    }

    #[test]
    fn only_matching_blocks_are_skipped() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("a");
        let mut content = vec![7; 3 * BLOCK_BYTES as usize + 1];
        blake3::Hasher::new().finalize_xof().fill(&mut content);
        std::fs::write(&path, &content).unwrap();
        let mut hasher = BlockHasher::new();
        hasher.update(&content);
        let all = hasher.blocks().to_vec();
        let mut wrong = all.clone();
        wrong[1].0[5] ^= 1;
        let more = [all.clone(), all.clone()].concat();
        for (theirs, agreed) in [(&all[..], 3), (&all[..2], 2), (&wrong, 1), (&more, 3), (&all[1..], 0)] {
            let mut source = LocalSource::open(&path, false).unwrap();
            assert_eq!(source.agreeing(theirs.to_vec(), |_| true).unwrap(), all[..agreed]);
            let mut rest = Vec::new();
            source.append_data(100, &mut rest, &mut BlockHasher::new()).unwrap_or_default();
            let offset = agreed * BLOCK_BYTES as usize;
            assert!(
                content[offset..].starts_with(&rest[HEADER_BYTES..][..(rest.len() - HEADER_BYTES).min(1)])
            );
        }
        let mut source = LocalSource::open(&path, false).unwrap();
        std::fs::write(&path, "shorter").unwrap();
        assert!(source.agreeing(all, |_| true).is_err());
    }
}
