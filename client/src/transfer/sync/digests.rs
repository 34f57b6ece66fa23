//! Compares files of the same size by their digests. This side computes them from its disk, the server does so, too, or has
//! stored them when it published the files.

use super::local::unreadable;
use crate::conversation::ConversationError;
use crate::transfer::get::open_directory;
use crate::transfer::retries::Retries;
use crate::transfer::{Failure, ProgressDisplay, TransferContext, blocking};
use sshome_wire::{Digest, Payload, RemotePath, Reply, Request, StoredFile};
use std::io::{self, Read};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio_util::sync::CancellationToken;

/// Read in pieces of this many bytes.
const READ_BYTES: usize = 1 << 20;

/// As many files are compared at a time, or as many bytes.
const PART_FILES: usize = 1000;
const PART_BYTES: u64 = 256 << 20;

/// Two files to compare.
#[derive(Debug)]
pub(super) struct FilePair {
    pub(super) local: LocalFile,
    pub(super) remote: RemotePath,
    /// The length of each in bytes.
    pub(super) size: u64,
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

/// The results of a comparison.
#[derive(Debug, Default)]
pub(super) struct ComparedDigests {
    /// In the order of the pairs.
    pub(super) results: Vec<DigestResult>,
    /// The number of files that the server did not read: their stored digests still applied.
    pub(super) trusted: u64,
}

/// Compares pairs of files, a part of them at a time: after a lost connection, only the current part is read again. With
/// `trust`, the server reads only files without a stored digest. With a display, the local bytes that were read count as
/// progress.
///
/// # Errors
/// Those of the conversation.
pub(super) async fn compare(
    ctx: &mut TransferContext<'_>,
    retries: &mut Retries,
    pairs: Vec<FilePair>,
    trust: bool,
    progress: Option<&ProgressDisplay>,
) -> Result<ComparedDigests, ConversationError> {
    let (mut compared, mut rest) = (ComparedDigests::default(), pairs.into_iter().peekable());
    while rest.peek().is_some() {
        let (part, read) = (Arc::new(next_part(&mut rest)), Arc::new(AtomicU64::new(0)));
        let compare_part = async |ctx: &mut TransferContext<'_>, _: &mut Retries| {
            let again = read.swap(0, Ordering::Relaxed);
            progress.iter().for_each(|progress| progress.rewind(again));
            compare_part(ctx, &part, trust, progress.cloned(), &read).await
        };
        let ComparedDigests { results, trusted } = retries.persist(ctx, compare_part).await?;
        compared.results.extend(results);
        compared.trusted += trusted;
        retries.reached.settle();
    }
    Ok(compared)
}

fn next_part(rest: &mut impl Iterator<Item = FilePair>) -> Vec<FilePair> {
    let (mut part, mut bytes) = (Vec::new(), 0_u64);
    while part.len() < PART_FILES && bytes < PART_BYTES {
        let Some(pair) = rest.next() else { break };
        bytes = bytes.saturating_add(pair.size);
        part.push(pair);
    }
    part
}

async fn compare_part(
    ctx: &mut TransferContext<'_>,
    pairs: &Arc<Vec<FilePair>>,
    trust: bool,
    progress: Option<ProgressDisplay>,
    read: &Arc<AtomicU64>,
) -> Result<ComparedDigests, ConversationError> {
    let (stop, locals, read) = (ctx.cancel.child_token(), Arc::clone(pairs), Arc::clone(read));
    // If this future is dropped, the thread stops.
    let _stop = stop.clone().drop_guard();
    let stopped = stop.clone();
    let mut each_read = move |bytes| {
        read.fetch_add(bytes, Ordering::Relaxed);
        progress.iter().for_each(|progress| progress.advance(bytes));
    };
    let reading = blocking(move || {
        locals.iter().map(|pair| digest(pair, &stopped, &mut each_read)).collect::<Vec<_>>()
    });
    let asking = async {
        let asked = remote_digests(ctx, pairs, trust).await;
        // Without the other digests these need not be computed to the end.
        if asked.is_err() {
            stop.cancel();
        }
        asked
    };
    let (ours, asked) = tokio::join!(reading, asking);
    let (theirs, trusted) = asked?;
    let result = |(ours, theirs)| match (ours, theirs) {
        (Ok(ours), Ok(theirs)) if ours == theirs => DigestResult::Same,
        (Ok(_), Ok(_)) => DigestResult::Different,
        (Err(failure), _) | (_, Err(failure)) => DigestResult::Unreadable(failure),
    };
    Ok(ComparedDigests { results: ours?.into_iter().zip(theirs).map(result).collect(), trusted })
}

/// The digests of the files on the server, and how many of them were stored there, if these are trusted.
async fn remote_digests(
    ctx: &mut TransferContext<'_>,
    pairs: &[FilePair],
    trust: bool,
) -> Result<(Vec<Result<Digest, Failure>>, u64), ConversationError> {
    let stored = match trust {
        true => {
            let paths: Vec<RemotePath> = pairs.iter().map(|pair| pair.remote.clone()).collect();
            ctx.conversation.stored_files(&paths, ctx.cancel).await?
        }
        false => vec![None; pairs.len()],
    };
    let digest = |file: Option<StoredFile>| file.and_then(|file| file.digest).map(Ok);
    let mut digests: Vec<Option<Result<Digest, Failure>>> = stored.into_iter().map(digest).collect();
    let trusted = digests.iter().flatten().count() as u64;
    let (mut unknown, mut read): (Vec<_>, Vec<_>) = (Vec::new(), Vec::new());
    for (place, pair) in digests.iter_mut().zip(pairs).filter(|(place, _)| place.is_none()) {
        unknown.push(place);
        read.push(pair.remote.as_bytes());
    }
    let hash = |path: &&[u8]| Request::Hash { path: path.to_vec(), verify: false };
    let mut each = |index: usize, reply: Reply| {
        let path = read.get(index).copied().unwrap_or_default();
        if let Some(place) = unknown.get_mut(index) {
            **place = Some(match reply.payload {
                Payload::Hash(hashed) => Ok(hashed.digest),
                _ => Err(Failure::refused(path, reply.status, &reply.message)),
            });
        }
    };
    ctx.conversation.ask_all(read.iter().map(hash), ctx.cancel, &mut each).await?;
    Ok((digests.into_iter().flatten().collect(), trusted))
}

fn digest(
    FilePair { local, size, .. }: &FilePair,
    stop: &CancellationToken,
    each_read: &mut impl FnMut(u64),
) -> Result<Digest, Failure> {
    let mut read = || -> io::Result<Digest> {
        let mut handle = open_directory(&local.base, &local.below)?.read(&local.name, local.follow)?;
        // Room for the end of the file, too.
        let length = usize::try_from(*size).unwrap_or(READ_BYTES).saturating_add(1).min(READ_BYTES);
        let (mut hasher, mut buffer) = (blake3::Hasher::new(), vec![0; length]);
        loop {
            let read = if stop.is_cancelled() { 0 } else { handle.read(&mut buffer)? };
            if read == 0 {
                return Ok(Digest(*hasher.finalize().as_bytes()));
            }
            hasher.update(buffer.get(..read).unwrap_or_default());
            each_read(read as u64);
        }
    };
    read().map_err(|error| unreadable(&local.path(), &error))
}

impl LocalFile {
    /// Its path, for messages.
    fn path(&self) -> PathBuf {
        let mut path = self.base.clone();
        path.extend(self.below.iter().chain([&self.name]).filter_map(|name| crate::names::path(name)));
        path
    }
}
