//! Uploads of the difference to an old version.

use super::{Session, Source, allowed, path};
use anyhow::Result;
use sshome_store::StepLimit;
use sshome_wire::{CopyRange, Digest, End, Status};
use sshomed::service::{self, DescribedFile, Describing, PutUpload, VerifiedUpload};
use std::ops::Range;

/// A part of the new version.
#[derive(Clone, Debug)]
pub(crate) enum Piece {
    /// Copied from the old version.
    Copy(Range<usize>),
    /// Sent.
    Data(Vec<u8>),
}

impl Session {
    /// Replaces a file by pieces of its old version and of new data, which are the content of the source. Sends the first
    /// `count` pieces; if these are not all, the connection is lost.
    pub(crate) fn put_delta(&self, source: &Source, pieces: &[Piece], count: usize) -> Result<bool> {
        let sent = self.send_pieces(source, &pieces[..count]);
        if count < pieces.len() {
            return allowed(sent.map(drop));
        }
        let (digest, size) = (Digest(blake3::hash(&source.content).into()), source.content.len() as u64);
        let end = End { status: Status::Done, message: String::new(), digest, size };
        let verified = sent.and_then(|upload| upload.finish(&end));
        allowed(verified.and_then(|verified: VerifiedUpload| {
            let (published, synced) = service::publish(&self.0, vec![verified], Vec::new());
            synced.and(published.into_iter().collect())
        }))
    }

    fn send_pieces(&self, source: &Source, pieces: &[Piece]) -> service::Result<PutUpload> {
        let at = path(&source.path);
        let described = self.describe(source)?;
        let upload = PutUpload::begin(&self.0, &source.put(0), &at, None, None)?;
        let mut upload = upload.with_base(&self.0, Some(&described))?;
        for piece in pieces {
            match piece {
                Piece::Copy(range) => {
                    let (offset, length) = (range.start as u64, range.len() as u64);
                    upload.copy(CopyRange { offset, length })?;
                }
                Piece::Data(data) => upload.write(data)?,
            }
        }
        Ok(upload)
    }

    fn describe(&self, source: &Source) -> service::Result<DescribedFile> {
        let mut describing = Describing::begin(&self.0, &path(&source.path), [0; 32])?;
        loop {
            if let Some(described) = describing.advance(StepLimit::bytes(u64::MAX), &mut Vec::new())? {
                return Ok(described);
            }
        }
    }
}
