//! Compares files of the same size by their digests, which both sides compute from their disks.

use crate::conversation::ConversationError;
use crate::transfer::get::open_directory;
use crate::transfer::{TransferContext, blocking};
use sshome_wire::{Digest, Payload, RemotePath, Reply, Request};
use std::io::{self, Read};
use std::path::PathBuf;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

/// Read in pieces of this many bytes.
const READ_BYTES: usize = 1 << 20;

/// Two files to compare.
#[derive(Debug)]
pub(super) struct FilePair {
    pub(super) local: LocalFile,
    pub(super) remote: RemotePath,
}

/// A local file.
#[derive(Debug)]
pub(super) struct LocalFile {
    /// The directory that the user named. Links in its path are followed.
    pub(super) base: PathBuf,
    /// The names of the directories below it. Links there are not followed.
    pub(super) below: Vec<Vec<u8>>,
    pub(super) name: Vec<u8>,
    /// Whether the file may be a link.
    pub(super) follow: bool,
}

/// What the digests say about two files.
#[derive(Debug)]
pub(super) enum DigestResult {
    Same,
    Different,
    /// One side cannot read its file.
    Unreadable,
}

/// Compares pairs of files.
///
/// # Errors
/// Those of the conversation.
pub(super) async fn compare(
    ctx: &mut TransferContext<'_>,
    pairs: &Arc<Vec<FilePair>>,
) -> Result<Vec<DigestResult>, ConversationError> {
    let (stop, locals) = (ctx.cancel.child_token(), Arc::clone(pairs));
    // If this future is dropped, the thread stops.
    let _stop = stop.clone().drop_guard();
    let reading = blocking(move || locals.iter().map(|pair| digest(&pair.local, &stop)).collect::<Vec<_>>());
    let mut theirs: Vec<Option<Digest>> = Vec::with_capacity(pairs.len());
    let hash = |pair: &FilePair| Request::Hash { path: pair.remote.as_bytes().to_vec(), verify: false };
    let mut each = |_: usize, reply: Reply| {
        theirs.push(match reply.payload {
            Payload::Hash(hashed) => Some(hashed.digest),
            _ => None,
        });
    };
    let asking = ctx.conversation.ask_all(pairs.iter().map(hash), ctx.cancel, &mut each);
    let (ours, asked) = tokio::join!(reading, asking);
    asked?;
    let result = |(ours, theirs)| match (ours, theirs) {
        (Some(ours), Some(theirs)) if ours == theirs => DigestResult::Same,
        (Some(_), Some(_)) => DigestResult::Different,
        _ => DigestResult::Unreadable,
    };
    Ok(ours?.into_iter().zip(theirs).map(result).collect())
}

fn digest(file: &LocalFile, stop: &CancellationToken) -> Option<Digest> {
    let read = || -> io::Result<Digest> {
        let mut handle = open_directory(&file.base, &file.below)?.read(&file.name, file.follow)?;
        let (mut hasher, mut buffer) = (blake3::Hasher::new(), vec![0; READ_BYTES]);
        loop {
            let read = if stop.is_cancelled() { 0 } else { handle.read(&mut buffer)? };
            if read == 0 {
                return Ok(Digest(*hasher.finalize().as_bytes()));
            }
            hasher.update(buffer.get(..read).unwrap_or_default());
        }
    };
    read().ok()
}
