//! Compares files of the same size by their digests, which both sides compute from their disks.

use crate::conversation::ConversationError;
use crate::transfer::{TransferContext, blocking};
use sshome_wire::{Digest, Payload, RemotePath, Reply, Request};
use std::fs::File;
use std::path::PathBuf;
use tokio_util::sync::CancellationToken;

/// Which of these pairs have different content. A file that one side cannot read counts as different: sending it tells
/// why.
///
/// # Errors
/// Those of the conversation.
pub(super) async fn differing(
    ctx: &mut TransferContext<'_>,
    pairs: &[(PathBuf, RemotePath)],
) -> Result<Vec<bool>, ConversationError> {
    let locals: Vec<PathBuf> = pairs.iter().map(|(local, _)| local.clone()).collect();
    let stop = ctx.cancel.child_token();
    // If this future is dropped, the thread stops at the next file.
    let _stop = stop.clone().drop_guard();
    let reading = blocking(move || digests(&locals, &stop));
    let mut theirs: Vec<Option<Digest>> = vec![None; pairs.len()];
    let requests =
        pairs.iter().map(|(_, remote)| Request::Hash { path: remote.as_bytes().to_vec(), verify: false });
    let mut each = |index: usize, reply: Reply| {
        if let (Some(theirs), Payload::Hash(hashed)) = (theirs.get_mut(index), reply.payload) {
            *theirs = Some(hashed.digest);
        }
    };
    let asking = ctx.conversation.ask_all(requests, ctx.cancel, &mut each);
    let (ours, asked) = tokio::join!(reading, asking);
    asked?;
    Ok(ours?.into_iter().zip(theirs).map(|(ours, theirs)| ours.is_none() || ours != theirs).collect())
}

fn digests(paths: &[PathBuf], stop: &CancellationToken) -> Vec<Option<Digest>> {
    let digest = |path: &PathBuf| {
        let mut hasher = blake3::Hasher::new();
        hasher.update_reader(File::open(path).ok()?).ok()?;
        Some(Digest(*hasher.finalize().as_bytes()))
    };
    paths.iter().map(|path| if stop.is_cancelled() { None } else { digest(path) }).collect()
}
