//! Uploads in blocks, as those over several connections are.

use super::{Session, Source, WRITE_BYTES, allowed, path};
use anyhow::Result;
use sshome_store::StepLimit;
use sshome_wire::{BLOCK_BYTES, BlockHasher, Digest, End, Status};
use sshomed::service::{self, BlockRun, OpenedUpload, OpeningUpload};
use std::sync::Arc;

impl Session {
    /// Puts these blocks of a file, in this order, except those that the server has. Then the file is finished, or its
    /// connections are lost.
    pub(crate) fn put_blocks(&self, source: &Source, blocks: &[u32], finishes: bool) -> Result<bool> {
        match self.send_blocks(source, blocks) {
            Ok(opened) if finishes => {
                let finished = opened.upload.finish(&end_of(&source.content));
                let published = finished.and_then(|verified| {
                    let (published, synced) = service::publish(&self.0, vec![verified], Vec::new());
                    synced.and(published.into_iter().collect())
                });
                allowed(published)
            }
            sent => allowed(sent.map(drop)),
        }
    }

    fn send_blocks(&self, source: &Source, blocks: &[u32]) -> service::Result<OpenedUpload> {
        let mut opening = OpeningUpload::begin(&self.0, source.put(0), path(&source.path))?;
        let opened = loop {
            if let Some(opened) = opening.step(&self.0, StepLimit::bytes(u64::MAX))? {
                break opened;
            }
        };
        let mut hasher = BlockHasher::new();
        hasher.update(&source.content);
        let own = hasher.subtrees();
        for block in blocks {
            let at = *block as usize;
            if opened.kept.get(at) == Some(&own[at]) {
                continue;
            }
            let content: Vec<&[u8]> = source.content.chunks(BLOCK_BYTES as usize).collect();
            let mut run = BlockRun::begin(Arc::clone(&opened.upload), *block, 1)?;
            content[at].chunks(WRITE_BYTES).try_for_each(|data| run.write(data))?;
            run.finish(&end_of(content[at]))?;
        }
        Ok(opened)
    }
}

fn end_of(content: &[u8]) -> End {
    let (digest, size) = (Digest(blake3::hash(content).into()), content.len() as u64);
    End { status: Status::Done, message: String::new(), digest, size }
}
