//! The directories of a source that have changed.

use super::super::SyncOptions;
use super::super::watch::WatchedChanges;
use super::pair::PendingPair;
use crate::conversation::ConversationError;
use crate::transfer::TransferContext;
use crate::transfer::retries::Retries;
use sshome_wire::{FileKind, Payload, Reply, Request};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The pairs below these tops that have changed, instead of the tops. A directory that the server does not have is compared
/// with the one around it.
///
/// # Errors
/// Those of the conversation.
pub(super) async fn pairs(
    ctx: &mut TransferContext<'_>,
    retries: &mut Retries,
    tops: Vec<PendingPair>,
    changes: &WatchedChanges,
    options: &SyncOptions,
) -> Result<Vec<PendingPair>, ConversationError> {
    let WatchedChanges::Directories { directories, .. } = changes else { return Ok(tops) };
    let mut found: BTreeMap<PathBuf, PendingPair> = BTreeMap::new();
    let mut wanted: Vec<(PathBuf, bool)> =
        directories.iter().map(|(path, is_whole)| (path.clone(), *is_whole)).collect();
    while !wanted.is_empty() {
        let candidates: Vec<PendingPair> =
            wanted.iter().filter_map(|(path, is_whole)| below(&tops, path, *is_whole, options)).collect();
        let look = async |ctx: &mut TransferContext<'_>, _: &mut Retries| exist(ctx, &candidates).await;
        let exists = retries.persist(ctx, look).await?;
        wanted.clear();
        for (pair, exists) in candidates.into_iter().zip(exists) {
            let is_top = pair.relative.as_os_str().is_empty();
            match pair.local.parent() {
                Some(parent) if !exists && !is_top => wanted.push((parent.to_owned(), false)),
                _ => {
                    let known = found.entry(pair.local.clone()).or_insert_with(|| pair.clone());
                    (known.exists, known.is_shallow) = (exists, known.is_shallow && pair.is_shallow);
                }
            }
        }
    }
    Ok(without_covered(found))
}

/// Leaves out what is below a directory that is compared as a whole.
fn without_covered(found: BTreeMap<PathBuf, PendingPair>) -> Vec<PendingPair> {
    let mut pairs: Vec<PendingPair> = Vec::new();
    for (path, pair) in found {
        // The directory around it comes before it.
        if !pairs.iter().rev().any(|other| !other.is_shallow && path.starts_with(&other.local)) {
            pairs.push(pair);
        }
    }
    pairs
}

/// The pair of a local directory below one of the tops, unless it does not exist or is excluded.
fn below(tops: &[PendingPair], path: &Path, is_whole: bool, options: &SyncOptions) -> Option<PendingPair> {
    let top = tops.iter().find(|top| path.starts_with(&top.local))?;
    let relative = path.strip_prefix(&top.local).ok()?.to_owned();
    let is_excluded = |above: &Path| !above.as_os_str().is_empty() && options.filter.excludes(above, true);
    if !path.symlink_metadata().is_ok_and(|seen| seen.is_dir()) && !relative.as_os_str().is_empty()
        || relative.ancestors().any(is_excluded)
    {
        return None;
    }
    let mut remote = top.remote.clone();
    for name in relative.iter() {
        remote = remote.join(&crate::names::bytes(name)).ok()?;
    }
    let local = path.to_owned();
    let (old_mode, within) = (None, None);
    Some(PendingPair { local, relative, remote, exists: true, old_mode, within, is_shallow: !is_whole })
}

/// Whether the server has the directories of these pairs.
async fn exist(ctx: &mut TransferContext<'_>, pairs: &[PendingPair]) -> Result<Vec<bool>, ConversationError> {
    let mut found = Vec::with_capacity(pairs.len());
    let stat = |pair: &PendingPair| Request::Stat { path: pair.remote.as_bytes().to_vec(), follow: false };
    let mut each = |_: usize, reply: Reply| {
        found.push(matches!(reply.payload, Payload::Stat(entry) if entry.kind == FileKind::Directory));
    };
    ctx.conversation.ask_all(pairs.iter().map(stat), ctx.cancel, &mut each).await?;
    Ok(found)
}
