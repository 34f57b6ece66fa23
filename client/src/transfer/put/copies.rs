//! Files whose content the server has at another path: copied there instead of sent.

use super::message::{RequestKind, SentRequest};
use super::reader::{ReceiverGone, UploadReader};
use super::source::LocalSource;
use sshome_wire::{Digest, RemotePath, Request, StoredFile};
use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

/// Files on the server that may have the content of what is sent: by length in bytes, and by their stored digests.
#[derive(Debug, Default)]
pub(in crate::transfer) struct CopyCandidates(HashMap<u64, HashMap<Digest, (RemotePath, StoredFile)>>);

impl CopyCandidates {
    /// Adds a file, if its digest is stored.
    pub(in crate::transfer) fn add(&mut self, path: RemotePath, file: StoredFile) {
        if let Some(digest) = file.digest {
            self.0.entry(file.size).or_default().insert(digest, (path, file));
        }
    }
}

impl UploadReader {
    /// Whether the server may have a file's content, as far as its length in bytes tells.
    pub(super) fn may_be_there(&self, size: u64, stored: Option<&StoredFile>) -> bool {
        let is_stored = stored.is_some_and(|stored| stored.size == size && stored.digest.is_some());
        is_stored || self.manner.candidates.0.contains_key(&size)
    }

    /// Whether the server has the content of a file. If so, it copies it, or only sets attributes if it has it at this path.
    pub(super) fn copy(
        &mut self,
        number: u64,
        (from, to): (&Path, &RemotePath),
        source: &LocalSource,
    ) -> Result<bool, ReceiverGone> {
        let candidates = Arc::clone(&self.manner.candidates);
        let Some(candidates) = candidates.0.get(&source.size) else { return Ok(false) };
        // If it cannot be read, that is noticed when it is sent.
        let digest = source.digest(|| !self.is_abandoned()).unwrap_or_default();
        let Some((digest, (path, stored))) =
            digest.and_then(|digest| Some((digest, candidates.get(&digest)?)))
        else {
            return Ok(false);
        };
        if path == to {
            let asked = SentRequest::new(number, to.clone(), RequestKind::Same { size: source.size });
            self.same((from, source), stored, asked)?;
            return Ok(true);
        }
        let asked = SentRequest::new(number, to.clone(), RequestKind::Copied { size: source.size, digest });
        let put = source.copied(to, self.manner.preserve);
        self.small(
            from,
            Request::PutCopy { put: Box::new(put), from: path.as_bytes().to_vec(), digest },
            asked,
        )?;
        Ok(true)
    }
}
