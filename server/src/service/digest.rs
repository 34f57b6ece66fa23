//! Digests with common algorithms: SFTP's `check-file`, `md5sum` and the like.

use super::{Error, OpenFile, Result, StepLimit};
use sha2::digest::DynDigest;
use std::fmt;

/// Bytes of digests that one reply may contain.
const MAX_DIGEST_BYTES: u64 = 128 << 10;

/// Bytes that are read at a time.
const READ_CHUNK_BYTES: usize = 256 << 10;

/// A digest algorithm.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DigestAlgorithm {
    /// MD5, which rclone and other programs use. It detects errors, not attacks.
    Md5,
    /// SHA-1, as MD5.
    Sha1,
    /// SHA-256.
    Sha256,
    /// SHA-512.
    Sha512,
    /// BLAKE3, of 32 bytes.
    Blake3,
}

impl DigestAlgorithm {
    /// All algorithms, the strongest first.
    pub const ALL: [DigestAlgorithm; 5] = [
        DigestAlgorithm::Blake3,
        DigestAlgorithm::Sha512,
        DigestAlgorithm::Sha256,
        DigestAlgorithm::Sha1,
        DigestAlgorithm::Md5,
    ];

    /// Its name in `check-file`: `md5`, `sha1`, `sha256`, `sha512`, `blake3`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            DigestAlgorithm::Md5 => "md5",
            DigestAlgorithm::Sha1 => "sha1",
            DigestAlgorithm::Sha256 => "sha256",
            DigestAlgorithm::Sha512 => "sha512",
            DigestAlgorithm::Blake3 => "blake3",
        }
    }

    /// The algorithm with that name.
    #[must_use]
    pub fn by_name(name: &[u8]) -> Option<DigestAlgorithm> {
        DigestAlgorithm::ALL.into_iter().find(|algorithm| algorithm.name().as_bytes() == name)
    }

    /// Bytes of a digest.
    #[must_use]
    pub fn digest_length(self) -> usize {
        match self {
            DigestAlgorithm::Md5 => 16,
            DigestAlgorithm::Sha1 => 20,
            DigestAlgorithm::Sha256 | DigestAlgorithm::Blake3 => 32,
            DigestAlgorithm::Sha512 => 64,
        }
    }
}

/// The bytes of a file that are digested.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DigestRange {
    /// The first byte.
    pub offset: u64,
    /// Length in bytes; 0 for all up to the end.
    pub length: u64,
    /// Bytes of one block, each with its own digest; 0 for one digest of the range.
    pub block: u64,
}

/// The computation of the digest of an open file, or of each of its blocks.
#[derive(Debug)]
pub struct FileDigest {
    hasher: Hasher,
    at: u64,
    end: u64,
    block: u64,
    /// Where the current block ends.
    block_end: u64,
    digests: Vec<u8>,
    buffer: Vec<u8>,
}

impl FileDigest {
    /// Begins. The range is limited to the file's current length.
    ///
    /// # Errors
    /// If the digests do not fit into one reply.
    pub fn begin(file: &OpenFile, algorithm: DigestAlgorithm, range: DigestRange) -> Result<FileDigest> {
        let size = file.info()?.size;
        let end = match range.length {
            0 => size,
            length => range.offset.saturating_add(length).min(size),
        };
        let bytes = end.saturating_sub(range.offset);
        let block = if range.block == 0 { u64::MAX } else { range.block };
        if bytes.div_ceil(block).saturating_mul(algorithm.digest_length() as u64) > MAX_DIGEST_BYTES {
            return Err(Error::TooManyDigests(file.path().clone()));
        }
        Ok(FileDigest {
            hasher: Hasher::new(algorithm),
            at: range.offset,
            end: range.offset.saturating_add(bytes),
            block,
            block_end: range.offset.saturating_add(block),
            digests: Vec::new(),
            buffer: Vec::with_capacity(
                usize::try_from(bytes).unwrap_or(READ_CHUNK_BYTES).min(READ_CHUNK_BYTES),
            ),
        })
    }

    /// Executes one step, with the same file. Returns the concatenated digests at the end; for an empty range, the digest
    /// of no bytes.
    ///
    /// # Errors
    /// If the file was not opened for reading, or the disk's.
    pub fn step(&mut self, file: &OpenFile, limit: StepLimit) -> Result<Option<Vec<u8>>> {
        let start = self.at;
        while self.at < self.end && !limit.is_reached(self.at - start) {
            self.buffer.clear();
            let left = self.end.min(self.block_end) - self.at;
            let most = usize::try_from(left).unwrap_or(READ_CHUNK_BYTES).min(READ_CHUNK_BYTES);
            let read = file.read_unmetered(self.at, &mut self.buffer, most)?;
            if read == 0 {
                // The file has become shorter.
                self.end = self.at;
            }
            self.hasher.update(&self.buffer);
            self.at += read as u64;
            if self.at == self.block_end && self.at < self.end {
                self.hasher.finish_into(&mut self.digests);
                self.block_end = self.at.saturating_add(self.block);
            }
        }
        if self.at < self.end {
            return Ok(None);
        }
        self.hasher.finish_into(&mut self.digests);
        Ok(Some(std::mem::take(&mut self.digests)))
    }
}

/// An incremental digest.
pub(crate) struct Hasher(HasherKind);

enum HasherKind {
    Blake3(Box<blake3::Hasher>),
    Other(Box<dyn DynDigest + Send>),
}

impl Hasher {
    pub(crate) fn new(algorithm: DigestAlgorithm) -> Hasher {
        Hasher(match algorithm {
            DigestAlgorithm::Md5 => HasherKind::Other(Box::new(md5::Md5::default())),
            DigestAlgorithm::Sha1 => HasherKind::Other(Box::new(sha1::Sha1::default())),
            DigestAlgorithm::Sha256 => HasherKind::Other(Box::new(sha2::Sha256::default())),
            DigestAlgorithm::Sha512 => HasherKind::Other(Box::new(sha2::Sha512::default())),
            DigestAlgorithm::Blake3 => HasherKind::Blake3(Box::default()),
        })
    }

    pub(crate) fn update(&mut self, data: &[u8]) {
        match &mut self.0 {
            HasherKind::Blake3(hasher) => {
                hasher.update(data);
            }
            HasherKind::Other(hasher) => hasher.update(data),
        }
    }

    /// Appends the digest to `out` and resets.
    pub(crate) fn finish_into(&mut self, out: &mut Vec<u8>) {
        match &mut self.0 {
            HasherKind::Blake3(hasher) => {
                out.extend_from_slice(hasher.finalize().as_bytes());
                hasher.reset();
            }
            HasherKind::Other(hasher) => out.extend_from_slice(&hasher.finalize_reset()),
        }
    }
}

impl fmt::Debug for Hasher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Hasher")
    }
}
