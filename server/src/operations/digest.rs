//! Digests that other programs know: SFTP's `check-file`, and `md5sum` and its like.

use super::{Error, OpenFile, Result, StepLimit};
use crate::home::length;
use sha2::digest::DynDigest;
use std::fmt;

/// Bytes of digests that one answer may have.
const MAX_DIGEST_BYTES: u64 = 128 << 10;

/// Bytes that are read at a time.
const READ_CHUNK_BYTES: usize = 256 << 10;

/// A digest's algorithm.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DigestAlgorithm {
    /// MD5: rclone and others compare by it. It finds faults and no attacks.
    Md5,
    /// SHA-1. As MD5.
    Sha1,
    /// SHA-256.
    Sha256,
    /// SHA-512.
    Sha512,
    /// BLAKE3, of 32 bytes.
    Blake3,
}

impl DigestAlgorithm {
    /// All, the strongest first.
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

    /// The algorithm of that name.
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

/// Which bytes of a file are digested.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DigestRange {
    /// The first byte.
    pub offset: u64,
    /// Bytes; 0 for all from there to the end.
    pub length: u64,
    /// Bytes that have a digest together; 0 for one of all.
    pub block: u64,
}

/// A digest of an open file, or of each block of it, under way.
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
    /// Begins. The range ends where the file ends now, if not before.
    ///
    /// # Errors
    /// If it would be more digests than fit into an answer.
    pub fn begin(file: &OpenFile, algorithm: DigestAlgorithm, range: DigestRange) -> Result<FileDigest> {
        let size = length(&file.stat()?);
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

    /// Goes on for one step, with the file that it began with. At the end, the digests one after
    /// the other; one of no bytes if the range is empty.
    ///
    /// # Errors
    /// If the file was not opened to be read, or the disk reports one.
    pub fn step(&mut self, file: &OpenFile, limit: StepLimit) -> Result<Option<Vec<u8>>> {
        let start = self.at;
        while self.at < self.end && !limit.is_reached(self.at - start) {
            self.buffer.clear();
            let left = self.end.min(self.block_end) - self.at;
            let most = usize::try_from(left).unwrap_or(READ_CHUNK_BYTES).min(READ_CHUNK_BYTES);
            let read = file.read_unmetered(self.at, &mut self.buffer, most)?;
            if read == 0 {
                // It has become shorter.
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

/// A digest of bytes as they come.
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
            HasherKind::Blake3(hasher) => drop(hasher.update(data)),
            HasherKind::Other(hasher) => hasher.update(data),
        }
    }

    /// Appends the digest, and begins anew.
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
