//! Compares files of the same size by their digests, which both sides compute from their disks.

use super::local::unreadable;
use crate::conversation::ConversationError;
use crate::transfer::get::open_directory;
use crate::transfer::{Failure, ProgressDisplay, TransferContext, blocking};
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
    Unreadable(Failure),
}

/// Compares pairs of files. With a display, the local bytes that were read count as progress.
///
/// # Errors
/// Those of the conversation.
pub(super) async fn compare(
    ctx: &mut TransferContext<'_>,
    pairs: &Arc<Vec<FilePair>>,
    progress: Option<&ProgressDisplay>,
) -> Result<Vec<DigestResult>, ConversationError> {
    let (stop, locals, progress) = (ctx.cancel.child_token(), Arc::clone(pairs), progress.cloned());
    let mut each_read = move |bytes| progress.iter().for_each(|progress| progress.advance(bytes));
    // If this future is dropped, the thread stops.
    let _stop = stop.clone().drop_guard();
    let reading = blocking(move || {
        locals.iter().map(|pair| digest(&pair.local, &stop, &mut each_read)).collect::<Vec<_>>()
    });
    let mut theirs: Vec<Result<Digest, Failure>> = Vec::with_capacity(pairs.len());
    let hash = |pair: &FilePair| Request::Hash { path: pair.remote.as_bytes().to_vec(), verify: false };
    let mut each = |index: usize, reply: Reply| {
        let path = pairs.get(index).map_or(&b""[..], |pair| pair.remote.as_bytes());
        theirs.push(match reply.payload {
            Payload::Hash(hashed) => Ok(hashed.digest),
            _ => Err(Failure::refused(path, reply.status, &reply.message)),
        });
    };
    let asking = ctx.conversation.ask_all(pairs.iter().map(hash), ctx.cancel, &mut each);
    let (ours, asked) = tokio::join!(reading, asking);
    asked?;
    let result = |(ours, theirs)| match (ours, theirs) {
        (Ok(ours), Ok(theirs)) if ours == theirs => DigestResult::Same,
        (Ok(_), Ok(_)) => DigestResult::Different,
        (Err(failure), _) | (_, Err(failure)) => DigestResult::Unreadable(failure),
    };
    Ok(ours?.into_iter().zip(theirs).map(result).collect())
}

fn digest(
    file: &LocalFile,
    stop: &CancellationToken,
    each_read: &mut impl FnMut(u64),
) -> Result<Digest, Failure> {
    let mut read = || -> io::Result<Digest> {
        let mut handle = open_directory(&file.base, &file.below)?.read(&file.name, file.follow)?;
        let (mut hasher, mut buffer) = (blake3::Hasher::new(), vec![0; READ_BYTES]);
        loop {
            let read = if stop.is_cancelled() { 0 } else { handle.read(&mut buffer)? };
            if read == 0 {
                return Ok(Digest(*hasher.finalize().as_bytes()));
            }
            hasher.update(buffer.get(..read).unwrap_or_default());
            each_read(read as u64);
        }
    };
    read().map_err(|error| unreadable(&file.path(), &error))
}

impl LocalFile {
    /// Its path, for messages.
    fn path(&self) -> PathBuf {
        let mut path = self.base.clone();
        path.extend(self.below.iter().chain([&self.name]).filter_map(|name| crate::names::path(name)));
        path
    }
}
