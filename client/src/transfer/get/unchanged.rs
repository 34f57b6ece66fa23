//! Local files with the same content as on the server, which are not downloaded again.

use super::plan::{DirectoryAttributes as Attributes, Plan};
use super::prepare::{PreparedPlan, each_answer, follows, remote};
use super::store::Store;
use super::write_error::written;
use crate::conversation::ConversationError;
use crate::transfer::local::{mode, mtime, set_mode, set_mtime};
use crate::transfer::{Failure, FinishedFile, TransferContext, blocking};
use sshome_wire::{Digest, Payload, RemotePath, Request, Status, StoredFile};
use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::io;
use std::sync::Arc;

/// The files whose content exists locally.
#[derive(Debug, Default)]
pub(super) struct UnchangedFiles {
    /// By their numbers in the plan.
    pub(super) same: HashSet<usize>,
    /// Those of them whose attributes could not be set.
    pub(super) failures: Vec<Failure>,
}

/// A local file with the same length as on the server.
struct SameLengthFile {
    /// Its number in the plan.
    number: usize,
    /// Its length in bytes.
    size: u64,
    /// The digest on the server.
    digest: Digest,
    /// The attributes on the server, if it has told them.
    attributes: Option<Attributes>,
}

/// Finds the files whose content exists locally: with the same length, and the digest that the server has stored, or computes
/// if it has none. With `preserve` they get the attributes that they have on the server.
pub(super) async fn find(
    ctx: &mut TransferContext<'_>,
    plan: &Arc<Plan>,
    prepared: &PreparedPlan,
    preserve: bool,
) -> Result<UnchangedFiles, ConversationError> {
    let mut existing: Vec<(usize, u64)> =
        prepared.existing.iter().map(|(number, size)| (*number, *size)).collect();
    existing.sort_unstable();
    // A file of unknown size was named.
    let may_be_same = |(number, size): &(usize, u64)| {
        plan.files.get(*number).is_some_and(|file| file.size.is_none_or(|theirs| theirs == *size))
    };
    existing.retain(may_be_same);
    let candidates = match ctx.conversation.has_same_content() {
        true => stored(ctx, plan, existing).await?,
        false => {
            let unsized_files =
                |(number, _): &(usize, u64)| plan.files.get(*number).is_some_and(|file| file.size.is_none());
            let (ask, mut known): (Vec<_>, Vec<_>) = existing.into_iter().partition(unsized_files);
            let stat = |path| Request::Stat { path, follow: true };
            each_answer(ctx, plan, &ask, stat, |payload, of| match payload {
                Payload::Stat(entry) if entry.size == of.1 => known.push(of),
                _ => {}
            })
            .await?;
            hashed(ctx, plan, &known, &HashMap::new()).await?
        }
    };
    if candidates.is_empty() {
        return Ok(UnchangedFiles::default());
    }
    let sizes: Vec<(usize, u64)> = candidates.iter().map(|one| (one.number, one.size)).collect();
    let reading = Arc::clone(plan);
    let found = blocking(move || compare(&reading, &candidates, preserve)).await?;
    if let Some(observer) = ctx.progress.observer() {
        for (number, size) in sizes.into_iter().filter(|(number, _)| found.same.contains(number)) {
            let Some(file) = plan.files.get(number) else { continue };
            let (remote, local) = (remote(plan, file), plan.local(file));
            let (local, status) = (Some(local.as_path()), Status::FileExists);
            observer.done(&FinishedFile {
                remote: &remote,
                local,
                size,
                digest: None,
                resumed_at: 0,
                status,
            });
        }
    }
    Ok(found)
}

/// The candidates by the digests that the server has stored. It computes those that are missing.
async fn stored(
    ctx: &mut TransferContext<'_>,
    plan: &Plan,
    existing: Vec<(usize, u64)>,
) -> Result<Vec<SameLengthFile>, ConversationError> {
    let (mut numbers, mut paths) = (Vec::new(), Vec::<RemotePath>::new());
    for (number, size) in existing {
        if let Some(Ok(path)) = plan.files.get(number).map(|file| plan.remote(file)) {
            numbers.push((number, size));
            paths.push(path);
        }
    }
    let files = ctx.conversation.stored_files(&paths, ctx.cancel).await?;
    let (mut candidates, mut unknown, mut attributes) = (Vec::new(), Vec::new(), HashMap::new());
    for ((number, size), file) in numbers.into_iter().zip(files) {
        let Some(StoredFile { mode, mtime, digest, .. }) = file.filter(|file| file.size == size) else {
            continue;
        };
        let theirs = Attributes { mode, mtime };
        match digest {
            Some(digest) => {
                candidates.push(SameLengthFile { number, size, digest, attributes: Some(theirs) })
            }
            None => {
                unknown.push((number, size));
                attributes.insert(number, theirs);
            }
        }
    }
    candidates.extend(hashed(ctx, plan, &unknown, &attributes).await?);
    Ok(candidates)
}

/// The candidates by the digests that the server computes now.
async fn hashed(
    ctx: &mut TransferContext<'_>,
    plan: &Plan,
    files: &[(usize, u64)],
    attributes: &HashMap<usize, Attributes>,
) -> Result<Vec<SameLengthFile>, ConversationError> {
    let mut candidates = Vec::new();
    let hash = |path| Request::Hash { path, verify: false };
    each_answer(ctx, plan, files, hash, |payload, (number, size)| match payload {
        Payload::Hash(hashed) if hashed.size == size => {
            let (digest, attributes) = (hashed.digest, attributes.get(&number).copied());
            candidates.push(SameLengthFile { number, size, digest, attributes });
        }
        _ => {}
    })
    .await?;
    Ok(candidates)
}

fn compare(plan: &Arc<Plan>, candidates: &[SameLengthFile], preserve: bool) -> UnchangedFiles {
    let (mut store, mut found) = (Store::new(Arc::clone(plan)), UnchangedFiles::default());
    for SameLengthFile { number, digest, attributes, .. } in candidates {
        // One that cannot be read is downloaded: that tells why.
        let Ok(Some(file)) = same_content(&mut store, plan, *number, *digest) else { continue };
        found.same.insert(*number);
        if let Some(attributes) = attributes.filter(|_| preserve)
            && let Err(error) = dress(&file, attributes)
        {
            found.failures.push(plan.failure(*number, written(&error)));
        }
    }
    found
}

/// The local file, if it has this digest.
fn same_content(store: &mut Store, plan: &Plan, number: usize, digest: Digest) -> io::Result<Option<File>> {
    let Some(file) = plan.files.get(number) else { return Ok(None) };
    let mut local = store.directory(file.place)?.read(file.local_name(), follows(plan, file))?;
    let mut hasher = blake3::Hasher::new();
    hasher.update_reader(&mut local)?;
    Ok((hasher.finalize().as_bytes() == &digest.0).then_some(local))
}

/// Sets mode and time, if they differ.
fn dress(file: &File, attributes: Attributes) -> io::Result<()> {
    let seen = file.metadata()?;
    let wanted = attributes.mode & 0o777;
    if mode(&seen).is_some_and(|mode| mode & 0o777 != wanted) {
        set_mode(file, wanted)?;
    }
    if mtime(&seen) != attributes.mtime {
        set_mtime(file, attributes.mtime)?;
    }
    Ok(())
}
