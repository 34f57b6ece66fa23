//! What the server has of a file whose upload was interrupted.

use super::reader::{ReceiverGone, UploadReader};
use super::source::LocalSource;
use sshome_wire::{BLOCK_BYTES, Digest, Payload, RemotePath, Request, Status};
use std::io;

impl UploadReader {
    /// The digest of the file if the server has stored it, and only its answer was lost. Smaller files are sent again
    /// instead: that takes no longer than to ask.
    pub(super) fn stored_digest(
        &mut self,
        source: &LocalSource,
        to: &RemotePath,
    ) -> Result<Option<Digest>, ReceiverGone> {
        let path = || to.as_bytes().to_vec();
        match self.ask(Request::Stat { path: path(), follow: true })?.payload {
            Payload::Stat(entry) if source.is_like(&entry, self.manner.preserve) => {}
            _ => return Ok(None),
        }
        let Payload::Hash(hashed) = self.ask(Request::Hash { path: path(), verify: false })?.payload else {
            return Ok(None);
        };
        // If it cannot be read, that is noticed when it is sent.
        let is_same = source.has_digest(hashed.digest, || !self.is_abandoned()).unwrap_or(false);
        Ok(is_same.then_some(hashed.digest))
    }

    /// The digests of the blocks of the partial upload of this file, if the server has one.
    pub(super) fn part(
        &mut self,
        source: &LocalSource,
        to: &RemotePath,
    ) -> Result<Option<Vec<Digest>>, ReceiverGone> {
        if self.parts.is_none() {
            // One question for all files: usually there are no partial uploads.
            let parts = self.ask(Request::Parts)?.parts;
            self.parts = Some(parts.into_iter().map(|part| (part.path, part.size)).collect());
        }
        let (path, size, mtime) = (to.as_bytes().to_vec(), source.size, source.mtime);
        if !self.parts.as_ref().is_some_and(|parts| parts.contains(&(path.clone(), size))) {
            return Ok(None);
        }
        let answer = self.ask(Request::PartStatus { path, size, mtime })?;
        Ok((answer.status == Status::Resuming && !answer.digests.is_empty()).then_some(answer.digests))
    }

    /// The blocks of the partial upload that agree with the source.
    pub(super) fn compare(
        &mut self,
        source: &mut LocalSource,
        to: &RemotePath,
        theirs: Vec<Digest>,
    ) -> Result<io::Result<Vec<Digest>>, ReceiverGone> {
        let (name, total) = (to.file_name().unwrap_or_default(), theirs.len() as u64 * BLOCK_BYTES);
        let agreeing = source.agreeing(theirs, |done| {
            self.manner.progress.check(name, done, total);
            !self.is_abandoned()
        });
        self.manner.progress.end_check();
        if self.is_abandoned() { Err(ReceiverGone) } else { Ok(agreeing) }
    }
}
