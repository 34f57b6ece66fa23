//! Deletes entries that exist only on the server: last, deepest first, and only if nothing failed. Each entry is
//! checked again just before.

use super::push::RemoteBackup;
use super::{SyncAction, SyncOptions, limits, report};
use crate::conversation::ConversationError;
use crate::transfer::retries::Retries;
use crate::transfer::{CappedList, Failure, TransferContext, TransferSummary};
use sshome_wire::{Entries, Entry, FileKind, Payload, RemotePath, Reply, Request, Status, Time};
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::path::{Path, PathBuf};

/// Entries that are looked at together before they are removed. A change in between is not noticed.
const ENTRIES_PER_CHECK: usize = 500;

/// The permissions that the owner of a directory needs to change it.
const OWNER_RWX: u32 = 0o700;

/// Entries that exist only on the server.
#[derive(Debug)]
pub(super) struct Extras {
    /// The destination, for messages.
    target: RemotePath,
    entries: Vec<ExtraEntry>,
    /// The directories that have them, and the times that these get in the end.
    parents: BTreeMap<RemotePath, Time>,
    /// The number of entries that were listed on the server.
    listed: u64,
}

#[derive(Debug)]
struct ExtraEntry {
    path: RemotePath,
    /// Its path below the top of the tree; `None` if this system cannot have such a name.
    relative: Option<PathBuf>,
    entry: Entry,
}

impl Extras {
    pub(super) fn new(target: RemotePath) -> Extras {
        Extras { target, entries: Vec::new(), parents: BTreeMap::new(), listed: 0 }
    }

    /// The destination.
    pub(super) fn target(&self) -> &RemotePath {
        &self.target
    }

    /// Counts entries of a listing.
    pub(super) fn count(&mut self, entries: usize) {
        self.listed += entries as u64;
    }

    /// Adds the extra entries of a directory, which has the time `mtime` locally.
    pub(super) fn add(&mut self, directory: &RemotePath, relative: &Path, mtime: Time, entries: Vec<Entry>) {
        for entry in entries {
            let Ok(path) = directory.join(&entry.name) else { continue };
            let relative = crate::names::path(&entry.name).map(|name| relative.join(name));
            self.parents.insert(directory.clone(), mtime);
            self.entries.push(ExtraEntry { path, relative, entry });
        }
    }
}

/// Deletes the extra entries within the limits. With a dry run it only reports them.
///
/// # Errors
/// Those of the conversation. Refusals are in the summary.
pub(super) async fn run(
    ctx: &mut TransferContext<'_>,
    retries: &mut Retries,
    extras: Extras,
    (options, backup): (&SyncOptions, Option<&RemoteBackup>),
    failures: &CappedList<Failure>,
) -> Result<TransferSummary, ConversationError> {
    let mut summary = TransferSummary::default();
    let Extras { target, entries, parents, listed } = extras;
    if entries.is_empty() {
        return Ok(summary);
    }
    let refused = |why: String| limits::refusal(target.as_bytes(), &why);
    if failures.count() > 0 {
        summary.skipped.push(refused(limits::FIRST_FIX.to_owned()));
        return Ok(summary);
    }
    let (mut doomed, mut below, mut times) = (Vec::new(), 0, parents);
    for extra in &entries {
        let list = async |ctx: &mut TransferContext<'_>, _: &mut Retries| tree(ctx, extra).await;
        match retries.persist(ctx, list).await? {
            Ok(tree) => {
                below += tree.len() as u64 - 1;
                times.extend(directory_times(&tree));
                doomed.extend(without_excluded(tree, options, backup));
            }
            Err(reply) => {
                summary.failures.push(Failure::refused(extra.path.as_bytes(), reply.status, &reply.message));
                summary.skipped.push(refused("a directory could not be listed".to_owned()));
                return Ok(summary);
            }
        }
    }
    let (count, of) = (doomed.len() as u64, listed + below);
    if let Err(why) = limits::check(options, count, of) {
        summary.failures.push(refused(why));
        return Ok(summary);
    }
    // A directory comes before its entries, so the reverse order is deepest first.
    doomed.reverse();
    for (path, entry) in &doomed {
        report(ctx, SyncAction::Delete, path, entry.kind == FileKind::Directory);
    }
    if options.dry_run {
        return Ok(summary);
    }
    let (deleted, failures) = remove(ctx, retries, &doomed, backup).await?;
    summary.deleted = deleted;
    let changed = changed_directories(&doomed, &failures, times);
    summary.failures.extend(failures.into_values());
    let finish_all = async |ctx: &mut TransferContext<'_>, _: &mut Retries| finish(ctx, &changed).await;
    retries.persist(ctx, finish_all).await?;
    Ok(summary)
}

/// An extra entry and all below it, each directory before its entries. `Err` if it cannot be listed.
async fn tree(
    ctx: &mut TransferContext<'_>,
    extra: &ExtraEntry,
) -> Result<Result<Vec<(RemotePath, Option<PathBuf>, Entry)>, Reply>, ConversationError> {
    let mut found = vec![(extra.path.clone(), extra.relative.clone(), extra.entry.clone())];
    if extra.entry.kind != FileKind::Directory {
        return Ok(Ok(found));
    }
    let mut each = |entries: Entries| {
        let Ok(directory) = extra.path.join(&entries.directory) else { return };
        let below = crate::names::path(&entries.directory);
        let relative = extra.relative.as_ref().zip(below).map(|(top, below)| top.join(below));
        for entry in entries.entries {
            let Ok(path) = directory.join(&entry.name) else { continue };
            let name = crate::names::path(&entry.name);
            let relative = relative.as_ref().zip(name).map(|(directory, name)| directory.join(name));
            found.push((path, relative, entry));
        }
    };
    let listed = ctx.conversation.list(extra.path.as_bytes(), true, ctx.cancel, &mut each).await;
    match listed {
        Ok(_) => Ok(Ok(found)),
        Err(ConversationError::Refused(reply)) => Ok(Err(reply)),
        Err(error) => Err(error),
    }
}

/// The directories of a tree, and their times.
fn directory_times(
    tree: &[(RemotePath, Option<PathBuf>, Entry)],
) -> impl Iterator<Item = (RemotePath, Time)> {
    let directories = tree.iter().filter(|(.., entry)| entry.kind == FileKind::Directory);
    directories.map(|(path, _, entry)| (path.clone(), entry.mtime))
}

/// The directories, with their times, that remain of those in which something was to be removed.
fn changed_directories(
    doomed: &[(RemotePath, Entry)],
    failures: &HashMap<RemotePath, Failure>,
    mut times: BTreeMap<RemotePath, Time>,
) -> Vec<(RemotePath, Time)> {
    let changed: HashSet<RemotePath> = doomed.iter().filter_map(|(path, _)| parent(path)).collect();
    times.retain(|path, _| changed.contains(path));
    for (path, _) in doomed.iter().filter(|(path, _)| !failures.contains_key(path)) {
        times.remove(path);
    }
    times.into_iter().collect()
}

/// Leaves out what the filter excludes, the old versions, and the directories that contain such entries.
fn without_excluded(
    tree: Vec<(RemotePath, Option<PathBuf>, Entry)>,
    options: &SyncOptions,
    backup: Option<&RemoteBackup>,
) -> Vec<(RemotePath, Entry)> {
    let backup = backup.map(RemoteBackup::directory);
    let (mut excluded, mut kept) = (HashSet::new(), HashSet::new());
    kept.extend(std::iter::successors(backup.cloned(), parent));
    for (path, relative, entry) in &tree {
        let is_directory = entry.kind == FileKind::Directory;
        let is_excluded = || relative.as_ref().is_none_or(|path| options.filter.excludes(path, is_directory));
        let matches = Some(path) == backup || !options.deletes_excluded() && is_excluded();
        if matches || parent(path).is_some_and(|parent| excluded.contains(&parent)) {
            excluded.insert(path.clone());
            kept.extend(std::iter::successors(Some(path.clone()), parent));
        }
    }
    tree.into_iter().filter(|(path, ..)| !kept.contains(path)).map(|(path, _, entry)| (path, entry)).collect()
}

/// The directory of an entry; `None` for the top.
pub(super) fn parent(path: &RemotePath) -> Option<RemotePath> {
    path.split().map(|(parent, _)| parent)
}

/// Removes entries that are still as they were listed; with a backup, files and links are moved there. Returns their number,
/// and the failures of the others. A missing one counts as removed.
///
/// Directories that deny their owner access are made accessible, so they have to be finished afterwards.
///
/// # Errors
/// Those of the conversation.
pub(super) async fn remove(
    ctx: &mut TransferContext<'_>,
    retries: &mut Retries,
    doomed: &[(RemotePath, Entry)],
    backup: Option<&RemoteBackup>,
) -> Result<(u64, HashMap<RemotePath, Failure>), ConversationError> {
    let (mut removed, mut failures) = (0, HashMap::new());
    for some in doomed.chunks(ENTRIES_PER_CHECK) {
        let remove_some =
            async |ctx: &mut TransferContext<'_>, _: &mut Retries| remove_unchanged(ctx, some, backup).await;
        let failed = retries.persist(ctx, remove_some).await?;
        removed += some.len() as u64 - failed.len() as u64;
        failures.extend(failed);
        retries.reached.settle();
    }
    Ok((removed, failures))
}

async fn remove_unchanged(
    ctx: &mut TransferContext<'_>,
    doomed: &[(RemotePath, Entry)],
    backup: Option<&RemoteBackup>,
) -> Result<HashMap<RemotePath, Failure>, ConversationError> {
    let (mut failures, mut unchanged, mut closed) = (HashMap::new(), Vec::new(), Vec::new());
    let directories: BTreeSet<RemotePath> = doomed.iter().filter_map(|(path, _)| parent(path)).collect();
    let directories: Vec<RemotePath> = directories.into_iter().collect();
    let paths: Vec<&RemotePath> = doomed.iter().map(|(path, _)| path).chain(&directories).collect();
    let stats = paths.iter().map(|path| Request::Stat { path: path.as_bytes().to_vec(), follow: false });
    let mut each = |index: usize, reply: Reply| {
        let Some((path, listed)) = doomed.get(index) else {
            let directory = index.checked_sub(doomed.len()).and_then(|index| directories.get(index));
            closed.extend(directory.zip(closed_mode(&reply)));
            return;
        };
        match reply.payload {
            Payload::Stat(now) if is_unchanged(listed, &now) => unchanged.push((path, listed.kind)),
            _ if is_missing(reply.status) => {}
            Payload::Stat(_) => {
                let failure = Failure::of(path.as_bytes(), limits::CHANGED_SINCE_LISTED);
                failures.insert(path.clone(), failure);
            }
            _ => {
                let failure = Failure::refused(path.as_bytes(), reply.status, &reply.message);
                failures.insert(path.clone(), failure);
            }
        }
    };
    ctx.conversation.ask_all(stats, ctx.cancel, &mut each).await?;
    open_to_owner(ctx, &closed).await?;
    if let Some(backup) = backup {
        let is_file = |kind: FileKind| kind != FileKind::Directory;
        let files: Vec<_> = unchanged.extract_if(.., |(_, kind)| is_file(*kind)).collect();
        failures.extend(backup.ask(ctx, files.into_iter().map(|(path, _)| path), true).await?);
    }
    let removals = unchanged.iter().map(|(path, kind)| {
        let path = path.as_bytes().to_vec();
        match kind {
            FileKind::Directory => Request::Rmdir { path },
            _ => Request::Rm { path, recursive: false },
        }
    });
    let mut each = |index: usize, reply: Reply| {
        if let Some((path, kind)) = unchanged.get(index)
            && reply.status.is_error()
            && !is_missing(reply.status)
        {
            let message = match kind {
                FileKind::Directory => limits::NOT_EMPTY,
                _ => &reply.message,
            };
            let failure = Failure::refused(path.as_bytes(), reply.status, message);
            failures.insert((*path).clone(), failure);
        }
    };
    ctx.conversation.ask_all(removals, ctx.cancel, &mut each).await?;
    Ok(failures)
}

/// The mode of a directory that denies its owner access.
fn closed_mode(reply: &Reply) -> Option<u32> {
    let Payload::Stat(entry) = &reply.payload else { return None };
    (entry.mode & OWNER_RWX != OWNER_RWX).then_some(entry.mode)
}

/// Makes directories with these modes accessible to their owner. The server notes the modes until the directories are finished,
/// also if the connection is lost. What stays closed is noticed when something in it is removed.
async fn open_to_owner(
    ctx: &mut TransferContext<'_>,
    closed: &[(&RemotePath, u32)],
) -> Result<(), ConversationError> {
    let open = |(path, mode): &(&RemotePath, u32)| Request::Mkdir {
        path: path.as_bytes().to_vec(),
        parents: false,
        mode: Some(*mode),
    };
    ctx.conversation.ask_all(closed.iter().map(open), ctx.cancel, &mut |_, _| {}).await
}

/// Whether an entry is as it was listed. Removing its entries changes a directory's time.
pub(super) fn is_unchanged(listed: &Entry, now: &Entry) -> bool {
    listed.kind == now.kind
        && (listed.kind == FileKind::Directory || (listed.size, listed.mtime) == (now.size, now.mtime))
}

fn is_missing(status: Status) -> bool {
    matches!(status, Status::NoSuchFile | Status::NoSuchDirectory)
}

/// Gives directories back the times and the modes that the deletion has changed. A directory that is gone needs none.
async fn finish(
    ctx: &mut TransferContext<'_>,
    parents: &[(RemotePath, Time)],
) -> Result<(), ConversationError> {
    let requests = parents
        .iter()
        .map(|(path, mtime)| Request::FinishDirectory { path: path.as_bytes().to_vec(), mtime: *mtime });
    ctx.conversation.ask_all(requests, ctx.cancel, &mut |_, _| {}).await
}
